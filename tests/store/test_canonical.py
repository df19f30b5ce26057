"""The canonical encoding: one table, one digest, whatever held it."""

import hashlib
import math
import struct
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonground.errors import InvalidInput
from commonground.store import canonical
from commonground.store.canonical import (
    Column,
    batch_row_digests,
    combine,
    encode,
    row_digest,
    table_digest,
)

MAX = 2**63 - 1
MIN = -(2**63)
SALT = bytes(range(16))

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
VALUES = {
    "int": st.integers(MIN, MAX),
    "instant": st.integers(MIN, MAX),
    "bool": st.booleans(),
    "real": st.floats(width=64),
    "text": TEXT,
    "bytes": st.binary(max_size=6),
}
TAGS = {"int": b"i", "instant": b"u", "bool": b"b", "real": b"r", "text": b"t", "bytes": b"y"}


def spec_word_and_tail(kind, value):
    """The word and tail of one value, written from the module's table of types and nothing else."""
    if value is None:
        return struct.pack("<q", 0), b""
    if kind == "real":
        if value != value:  # noqa: PLR0124 - the definition of a NaN
            return bytes.fromhex("000000000000f87f"), b""
        return struct.pack("<d", 0.0 if value == 0 else value), b""
    if kind in {"text", "bytes"}:
        tail = value.encode() if kind == "text" else value
        return struct.pack("<q", len(tail)), tail
    return struct.pack("<q", int(value)), b""


def spec_heading(name, kind):
    """A column's heading as the module docstring lays it down."""
    return struct.pack("<I", len(name.encode())) + name.encode() + TAGS[kind]


def spec_table(columns):
    """The `canon1` bytes of rows in the order given, from the module docstring; columns are (name, type, list)."""
    rows = len(columns[0][2]) if columns else 0
    out = b"canon1" + struct.pack("<Q", rows) + struct.pack("<I", len(columns))
    for name, kind, values in columns:
        bitmap = bytearray(math.ceil(rows / 8))
        for row, value in enumerate(values):
            bitmap[row // 8] |= (value is not None) << (row % 8)
        pairs = [spec_word_and_tail(kind, value) for value in values]
        out += spec_heading(name, kind) + bytes(bitmap)
        out += b"".join(word for word, _ in pairs) + b"".join(tail for _, tail in pairs)
    return out


def spec_row(salt, fields):
    """The `row1` digest from the module docstring."""
    out = b"row1" + salt
    for name, kind, value in fields:
        if value is not None:
            out += spec_heading(name, kind) + b"".join(spec_word_and_tail(kind, value))
    return hashlib.sha256(out).digest()


def spec_batch(salts, columns):
    """The `brow1` digests from the module docstring; columns are (name, type, list)."""
    headings = struct.pack("<I", len(columns)) + b"".join(spec_heading(name, kind) for name, kind, _ in columns)
    digests = []
    for row in range(len(columns[0][2]) if columns else 0):
        out = b"brow1" + hashlib.sha256(b"bcols1" + headings).digest() + salts[16 * row : 16 * row + 16]
        pairs = [spec_word_and_tail(kind, values[row]) for _, kind, values in columns]
        for (word, _), (_, _, values) in zip(pairs, columns, strict=True):
            out += bytes([values[row] is not None]) + word
        digests.append(hashlib.sha256(out + b"".join(tail for _, tail in pairs)).digest())
    return digests


@st.composite
def tables(draw, most_rows=40):
    """Columns (name, type, list) of one length, the first one an int key without nulls or repeats."""
    rows = draw(st.integers(0, most_rows))
    kinds = draw(st.lists(st.sampled_from(sorted(VALUES)), max_size=4))
    columns = [("rid", "int", draw(st.lists(st.integers(MIN, MAX), min_size=rows, max_size=rows, unique=True)))]
    for position, kind in enumerate(kinds):
        values = st.lists(st.none() | VALUES[kind], min_size=rows, max_size=rows)
        columns.append((f"c{position}é", kind, draw(values)))
    return columns


def as_lists(columns):
    """Test columns as `Column`s of plain lists."""
    return [Column(name, kind, values) for name, kind, values in columns]


def as_masked(columns):
    """Test columns as `Column`s of numpy arrays with a mask, rubbish under the mask."""
    rubbish = {"int": -5, "instant": 9, "bool": True, "real": math.nan, "text": "\0\ud800", "bytes": b"rubbish"}
    dtypes = {"int": np.int64, "instant": np.int64, "bool": np.bool_, "real": np.float64}
    out = []
    for name, kind, values in columns:
        filled = [rubbish[kind] if value is None else value for value in values]
        array = np.empty(len(values), dtypes.get(kind, object))
        array[:] = filled
        out.append(Column(name, kind, array, np.array([value is None for value in values], dtype=bool)))
    return out


@pytest.fixture(params=[0, 10**9], ids=["numpy", "plain"])
def path(request, monkeypatch):
    """Both ways of encoding, whatever the size of the table."""
    monkeypatch.setattr(canonical, "SMALL", request.param)


# --- tables -------------------------------------------------------------------------------------------------------


@given(tables())
@settings(max_examples=150)
def test_encoding_is_the_specified_bytes(columns):
    """The bytes of any table, from lists and from masked arrays, are those of the written specification."""
    expected = spec_table(columns)
    assert encode(as_lists(columns)) == expected
    assert encode(as_masked(columns)) == expected


@given(tables(most_rows=20))
@settings(max_examples=60)
def test_plain_and_numpy_paths_agree(columns):
    """The plain-Python path and the numpy path give the same bytes and the same order for every table."""
    found = set()
    usual = canonical.SMALL
    try:
        for canonical.SMALL, make in product((0, 10**9), (as_lists, as_masked)):
            found.add((encode(make(columns)), encode(make(columns), ["rid"]), table_digest(make(columns), ["rid"])))
    finally:
        canonical.SMALL = usual
    ((as_given, ordered, digest),) = found
    order = sorted(range(len(columns[0][2])), key=columns[0][2].__getitem__)
    assert as_given == spec_table(columns)
    assert ordered == spec_table([(name, kind, [values[row] for row in order]) for name, kind, values in columns])
    assert digest == hashlib.sha256(ordered).hexdigest()


@given(tables(), st.randoms(use_true_random=False))
def test_shuffled_rows_have_one_digest(columns, random):
    """The order in which rows arrive does not change a table's digest."""
    rows = list(range(len(columns[0][2])))
    random.shuffle(rows)
    shuffled = [(name, kind, [values[row] for row in rows]) for name, kind, values in columns]
    assert table_digest(as_lists(shuffled), ["rid"]) == table_digest(as_lists(columns), ["rid"])


@pytest.mark.usefixtures("path")
def test_rows_are_ordered_by_all_keys_in_turn():
    """The first column of the order decides, then the second; signed, not as text or as bytes."""
    batch, ordinal, value = [2, -1, 2, 10, -1], [1, 5, 0, 3, 4], ["d", "b", "c", "e", "a"]
    columns = [Column("batch", "int", batch), Column("ordinal", "int", ordinal), Column("value", "text", value)]
    expected = [("batch", "int", [-1, -1, 2, 2, 10]), ("ordinal", "int", [4, 5, 0, 1, 3])]
    assert encode(columns, ["batch", "ordinal"]) == spec_table([*expected, ("value", "text", list("abcde"))])
    by_ordinal = [("batch", "int", [2, 2, 10, -1, -1]), ("ordinal", "int", [0, 1, 3, 4, 5])]
    assert encode(columns, ["ordinal", "batch"]) == spec_table([*by_ordinal, ("value", "text", list("cdeab"))])


def test_tails_longer_than_a_chunk_are_whole(monkeypatch):
    """Text of more rows than are joined at once is hashed completely and in order."""
    monkeypatch.setattr(canonical, "CHUNK", 3)
    texts = [str(row) * row for row in range(10)]
    columns = [("rid", "int", list(range(10))), ("t", "text", texts)]
    assert encode(as_lists(columns)) == spec_table(columns)
    assert table_digest(as_lists(columns), ["rid"]) == hashlib.sha256(spec_table(columns)).hexdigest()


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("order", [["rid"], ["rid", "rid"], ["pair", "rid"], ["rid", "pair"]])
def test_two_rows_with_one_place_are_refused(order):
    """Rows that the whole order cannot tell apart are refused, for their sequence would be chance."""
    columns = [Column("rid", "int", [5, 2, 5, 1]), Column("pair", "int", [4, 5, 4, 4])]
    with pytest.raises(InvalidInput) as caught:
        encode(columns, order)
    assert caught.value.what == f"Two rows have the same place in the order {', '.join(order)}."
    assert caught.value.todo == "Name int columns that together tell every row from the others."


@pytest.mark.usefixtures("path")
def test_order_needs_the_whole_key_to_repeat():
    """Rows that share one part of the order, but not all of it, are in order."""
    columns = [Column("batch", "int", [1, 1, 2]), Column("ordinal", "int", [1, 2, 1])]
    assert encode(columns, ["batch", "ordinal"]) == encode(columns)


@pytest.mark.usefixtures("path")
def test_impossible_orders_are_refused_with_all_faults():
    """An order that names no column, a text column, an instant or a null says so for each name."""
    columns = [
        Column("t", "text", ["a", "b"]),
        Column("at", "instant", [1, 2]),
        Column("rid", "int", [1, None]),
        Column("ok", "int", [1, 2]),
    ]
    with pytest.raises(InvalidInput, match=r"^The rows cannot be put in order\.") as caught:
        encode(columns, ["x", "t", "at", "rid", "ok"])
    assert caught.value.faults == (
        "there is no column 'x'",
        "column 't' is of type text, not int",
        "column 'at' is of type instant, not int",
        "column 'rid' has a null",
    )
    with pytest.raises(InvalidInput) as caught:
        table_digest(columns, [])
    assert caught.value.faults == ("no column is named",)


def test_columns_must_make_one_table():
    """Unequal lengths and repeated names are refused together."""
    with pytest.raises(InvalidInput, match=r"^These columns do not make one table\.") as caught:
        encode([Column("b", "int", [1]), Column("a", "int", [1, 2]), Column("b", "int", [1])])
    assert caught.value.faults == (
        "column 'b' comes twice",
        "column 'b' has 1 rows",
        "column 'a' has 2 rows",
        "column 'b' has 1 rows",
    )


@pytest.mark.usefixtures("path")
def test_faults_of_all_columns_come_at_once():
    """One error names the bad rows of every column, twenty at most, and counts the others."""
    with pytest.raises(InvalidInput, match="do not fit") as caught:
        encode([Column("a", "int", ["x", 1]), Column("b", "text", ["fine", 3])])
    assert caught.value.faults == (
        "column 'a', row 0: the value is of type str, not an integer",
        "column 'b', row 1: the value is of type int, not text",
    )
    for bad, expected in ((20, 20), (21, 21), (25, 21)):
        with pytest.raises(InvalidInput) as caught:
            encode([Column("a", "int", ["x"] * bad)])
        assert len(caught.value.faults) == expected
        assert caught.value.faults[19] == "column 'a', row 19: the value is of type str, not an integer"
        assert (caught.value.faults[-1] == f"and {bad - 20} more") == (bad > 20)


def test_the_chosen_path_follows_the_number_of_rows(monkeypatch):
    """Tables up to the limit never reach numpy; one row more does."""
    taken = []
    monkeypatch.setattr(canonical, "arrayed", lambda column: taken.append("numpy") or canonical.listed(column))
    encode([Column("a", "int", [0] * canonical.SMALL)])
    assert taken == []
    encode([Column("a", "int", [0] * (canonical.SMALL + 1))])
    assert taken == ["numpy"]


def test_golden_encoding():
    """The layout, byte by byte, so that no later release can change it unseen."""
    columns = [Column("id", "int", [7, -1]), Column("é", "text", [None, "aé"])]
    assert encode(columns) == (
        b"canon1" + bytes.fromhex("0200000000000000 02000000")
        + bytes.fromhex("02000000") + b"idi" + bytes.fromhex("03 0700000000000000 ffffffffffffffff")
        + bytes.fromhex("02000000") + "é".encode() + b"t" + bytes.fromhex("02 0000000000000000 0300000000000000")
        + "aé".encode()
    )  # fmt: skip


GOLDEN_TABLES = {
    "no columns": ([], "3d326362b60fbda9fb8083b6d65bf03609229816ab49a58bcb4012d7cf2a70da"),
    "empty": (
        [("rid", "int", []), ("t", "text", [])],
        "acc238f7f1f71992e33b30bc72e88c9e5dc490e04f7a688c7df5f2669f7a16e4",
    ),
    "nulls": (
        [
            ("rid", "int", [1, 2]),
            *((kind, kind, [None, None]) for kind in ("int", "instant", "bool", "real", "text", "bytes")),
        ],
        "920d6dce3adf5ab3cb26753e50a667b117de509393ce60b9c8a9767ff37b090d",
    ),
    "composed": (
        [("rid", "int", [1]), ("t", "text", ["\u00e9"])],
        "9203be293200b79055d4745827e3b394cf393e3f0e124d06f755aaba5f8b6bb5",
    ),
    "decomposed": (
        [("rid", "int", [1]), ("t", "text", ["e\u0301"])],
        "51189ec242bbd915ae9db5053d7b80f49132bc670edde20331e5ebb0418f6fca",
    ),
    "zero": (
        [("rid", "int", [1]), ("v", "real", [-0.0])],
        "c1afe741b07a7dc0ad1f5de955338ea09110bfa27ce040dbc2711bf5a97c815f",
    ),
    "nan": (
        [("rid", "int", [1]), ("v", "real", [math.nan])],
        "2048851cc8bc9bad763925147c16dabfcdc6368d0e9c8783327f2037c97337a0",
    ),
    "extremes": (
        [
            ("rid", "int", [MIN, MAX]),
            ("at", "instant", [MIN, MAX]),
            ("ok", "bool", [True, False]),
            ("v", "real", [math.inf, 5e-324]),
            ("t", "text", ["", "\U0010ffff"]),
            ("y", "bytes", [b"", b"\0\xff"]),
        ],
        "bc1f369c459f08197b9e06117a295ba514152ef5dba785354081f4104a52ac5c",
    ),
    "seventeen": (
        [("rid", "int", list(range(17))), ("v", "real", [row / 7 for row in range(17)])],
        "d166b6b2725b3d9c4dc8b085aec5981920c1a429b7c7d36b7b62938ca95d4fe3",
    ),
}


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("name", GOLDEN_TABLES)
def test_golden_tables(name):
    """Digests written down once stay as they are, on both paths."""
    columns, digest = GOLDEN_TABLES[name]
    assert hashlib.sha256(encode(as_lists(columns))).hexdigest() == digest
    if columns:
        assert table_digest(as_lists(columns), ["rid"]) == digest


def test_golden_tables_differ():
    """Composed and decomposed letters, zero and NaN, empty and null tables are all told apart."""
    assert len({digest for _, digest in GOLDEN_TABLES.values()}) == len(GOLDEN_TABLES)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([("a", "int", [1])], [("a", "instant", [1])]),
        ([("a", "int", [1])], [("b", "int", [1])]),
        ([("a", "text", ["x", "yz"])], [("a", "text", ["xy", "z"])]),
        ([("a", "text", [""])], [("a", "text", [None])]),
        ([("a", "int", [0])], [("a", "int", [None])]),
        ([("a", "bool", [False])], [("a", "bool", [None])]),
        ([("a", "int", [1]), ("b", "int", [2])], [("b", "int", [2]), ("a", "int", [1])]),
    ],
)
def test_different_tables_differ(first, second):
    """Type, name, the border between two texts, null and the sequence of columns all count."""
    assert encode(as_lists(first)) != encode(as_lists(second))


# --- rows ---------------------------------------------------------------------------------------------------------

FIELDS = [
    ("id", "int", 7),
    ("gone", "text", None),
    ("note", "text", "é"),
    ("v", "real", -0.0),
    ("ok", "bool", True),
    ("at", "instant", -1),
    ("y", "bytes", b"\0"),
]


@st.composite
def rows_of_fields(draw):
    """Fields of one row with names of their own."""
    kinds = draw(st.lists(st.sampled_from(sorted(VALUES)), max_size=6))
    return [(f"f{at}", kind, draw(st.none() | VALUES[kind])) for at, kind in enumerate(kinds)]


@given(st.binary(min_size=16, max_size=16), rows_of_fields())
def test_row_digest_is_the_specified_one(salt, fields):
    """A row's digest is SHA-256 over the specified bytes; a null field added anywhere leaves it as it is."""
    assert row_digest(salt, fields) == spec_row(salt, fields)
    assert row_digest(salt, [("new", "real", None), *fields, ("newer", "text", None)]) == spec_row(salt, fields)


def test_golden_row_digest():
    """A row's digest written down once stays as it is."""
    assert row_digest(SALT, FIELDS).hex() == "44b9a94572c7d558b84166b2918f69ae5fe0d0e7ac2322dedd637b0a3d59fc31"


def test_row_digest_hangs_on_everything():
    """Salt, names, types, values and their sequence all change a row's digest."""
    variants = [
        (bytes(16), FIELDS),
        (SALT, FIELDS[::-1]),
        (SALT, FIELDS[1:]),
        (SALT, [("id", "int", 8), *FIELDS[1:]]),
        (SALT, [("id", "instant", 7), *FIELDS[1:]]),
        (SALT, [("ie", "int", 7), *FIELDS[1:]]),
        (SALT, FIELDS),
    ]
    assert len({row_digest(salt, fields) for salt, fields in variants}) == len(variants)


@pytest.mark.parametrize("length", [0, 15, 17, 32])
def test_a_salt_has_sixteen_bytes(length):
    """A salt of another length is refused, for one row and for a batch of one row."""
    with pytest.raises(InvalidInput, match=rf"^1 rows need 16 bytes of salt, not {length}\.\n"):
        row_digest(bytes(length), FIELDS)
    with pytest.raises(InvalidInput, match=rf"^1 rows need 16 bytes of salt, not {length}\.\n"):
        batch_row_digests(bytes(length), [Column("a", "int", [1])])


def test_row_faults_are_refused_together():
    """Two bad values of one row are named in one error; so is a name that comes twice, or a type that is none."""
    with pytest.raises(InvalidInput) as caught:
        row_digest(SALT, [("a", "int", "x"), ("b", "text", "\0")])
    assert caught.value.faults == (
        "column 'a', row 0: the value is of type str, not an integer",
        "column 'b', row 0: the value holds a NUL character",
    )
    with pytest.raises(InvalidInput) as caught:
        row_digest(SALT, [("a", "int", 1), ("a", "int", None)])
    assert caught.value.faults == ("column 'a' comes twice",)
    with pytest.raises(InvalidInput, match="cannot be encoded"):
        row_digest(SALT, [("a", "date", "2024")])


@given(tables(most_rows=20), st.integers(1, 7), st.data())
def test_batch_row_digests_are_the_specified_ones(columns, chunk, data):
    """Each row of a batch has the specified digest, whatever held the columns and however the batch is cut up."""
    rows = len(columns[0][2])
    salts = data.draw(st.binary(min_size=16 * rows, max_size=16 * rows))
    usual = canonical.CHUNK
    try:
        canonical.CHUNK = chunk
        expected = spec_batch(salts, columns)
        assert batch_row_digests(salts, as_lists(columns)) == expected
        assert batch_row_digests(salts, as_masked(columns)) == expected
    finally:
        canonical.CHUNK = usual


def test_golden_batch_row_digests():
    """The digests of a batch written down once stay as they are."""
    columns = [Column("id", "int", [7, -1]), Column("t", "text", ["é", None])]
    assert [digest.hex() for digest in batch_row_digests(bytes(range(32)), columns)] == [
        "0e45fa918777ab2391ab239935c15b71c4a7fba59187025aeafb23e33d87a5e8",
        "33652fc8bb2ffab14ad39dbcd7be5ed25e80d896fb44ebbe17f006864dc4eff6",
    ]


def test_batch_rows_do_not_hang_on_each_other():
    """A row keeps its digest when other rows of the batch change or go, so that one row can be erased."""
    salts = bytes(range(48))
    whole = batch_row_digests(salts, [Column("a", "int", [1, 2, 3]), Column("t", "text", ["x", "yy", None])])
    rest = batch_row_digests(salts[:16] + salts[32:], [Column("a", "int", [1, 3]), Column("t", "text", ["x", None])])
    assert rest == [whole[0], whole[2]]
    assert len(set(whole)) == 3


def test_tails_of_one_row_are_told_apart():
    """Moving a letter from one text column to the next changes the digest of the row."""
    first = batch_row_digests(SALT, [Column("a", "text", ["xy"]), Column("b", "text", ["z"])])
    second = batch_row_digests(SALT, [Column("a", "text", ["x"]), Column("b", "text", ["yz"])])
    assert first != second


def test_batches_without_rows_or_columns():
    """A batch without rows has no digests and takes no salts."""
    assert batch_row_digests(b"", []) == []
    assert batch_row_digests(b"", [Column("a", "int", [])]) == []
    with pytest.raises(InvalidInput, match="0 rows need 0 bytes"):
        batch_row_digests(SALT, [])


def test_batches_must_make_one_table():
    """Columns of unequal length are no batch, and bad values are named."""
    with pytest.raises(InvalidInput, match="do not make one table"):
        batch_row_digests(SALT, [Column("a", "int", [1]), Column("b", "int", [])])
    with pytest.raises(InvalidInput, match="do not fit") as caught:
        batch_row_digests(SALT, [Column("a", "int", [2.5]), Column("b", "bytes", [""])])
    assert len(caught.value.faults) == 2


def test_combine_is_the_specified_digest():
    """Digests are combined in their order under a mark of their own."""
    digests = [bytes(32), b"\1" * 32]
    assert combine(iter(digests)) == hashlib.sha256(b"digests1" + digests[0] + digests[1]).digest()
    assert combine(digests).hex() == "80fdcdb9672118909909bf381574b3fe8d786aa7717fe279592006664f11aeba"
    assert combine(digests[::-1]) != combine(digests)
    assert combine([]).hex() == "d0d11ce0b990dfc5541623e77a294572e66210dae57889a51e9ad374e8bf210f"


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_combine_takes_whole_digests_only(length):
    """A piece of another length is refused, for the border between two pieces would be lost."""
    with pytest.raises(InvalidInput, match=rf"^Digest 1 has {length} bytes; a digest has 32\.\n"):
        combine([bytes(32), bytes(length)])
