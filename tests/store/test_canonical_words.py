"""Values as words and tails: what is taken, what is refused, and that both paths agree."""

import dataclasses
import datetime as dt
import decimal
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonground.errors import InvalidInput
from commonground.store import canonical_words
from commonground.store.canonical_words import NAN_WORD, Column, arrayed, listed

MAX = 2**63 - 1
MIN = -(2**63)
GIVE = "is not taken; give integers, floats, booleans, text or objects"


def outcome(make, column):
    """What a path makes of a column: valid, words, tails as lists, or its faults."""
    try:
        valid, words, tails = make(column)
    except InvalidInput as error:
        return error.what, error.faults
    return [bool(one) for one in valid], [int(word) for word in words], list(tails)


def both(kind, values, missing=None):
    """The outcome of a column, the same by both paths."""
    column = Column("c", kind, values, missing)
    plain = outcome(listed, column)
    assert outcome(arrayed, column) == plain
    return plain


def words(kind, values, missing=None):
    """The words of a column that is taken."""
    found = both(kind, values, missing)
    assert len(found) == 3, found
    return found[1]


def fault(kind, value):
    """The fault of one value that is refused, the same among good values and by both paths."""
    what, faults = both(kind, [None, value])
    assert what == "Some values do not fit the type of their column."
    assert len(faults) == 1
    return faults[0].removeprefix("column 'c', row 1: the value ")


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**66), 2**66),
    st.sampled_from([MIN, MIN - 1, MAX, MAX + 1, 0, 1, 2, -1, 2**53, 2**53 + 1, 10**400]),
    st.floats(),
    st.text(max_size=3),
    st.binary(max_size=3),
    st.sampled_from(["\0", "\ud800", "é", "", np.int8(3), np.uint64(MAX + 1), np.float32(0.1), np.bool_(1), (1,), []]),
)


@given(st.sampled_from(["int", "instant", "bool", "real", "text", "bytes"]), st.lists(ANYTHING, max_size=4), st.data())
def test_both_paths_agree_on_any_list(kind, values, data):
    """Whatever a list holds, plain Python and numpy give the same words or the same faults."""
    both(kind, values)
    both(kind, values, data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values))))


DTYPES = ["?", "i1", "u1", "i2", "u4", "i8", ">i8", "u8", "f2", "f4", "f8", ">f8", "U2", "O"]


@given(st.sampled_from(["int", "instant", "bool", "real", "text", "bytes"]), st.sampled_from(DTYPES), st.data())
def test_both_paths_agree_on_any_array(kind, dtype, data):
    """Whatever kind of array, masked or not, plain Python and numpy agree, and the array is left as it was."""
    raw = data.draw(st.lists(st.integers(0, 127), max_size=4))
    stretch = {"i8": MAX // 127, ">i8": -(MAX // 127), "u8": (2**64 - 1) // 127, "f8": math.pi, "f4": 0.1}
    numbers = [one > 9 for one in raw] if dtype == "?" else [one * stretch.get(dtype, 1) for one in raw]
    array = np.array(numbers, dtype=object).astype(dtype)
    before = array.copy()
    mask = data.draw(st.none() | st.lists(st.booleans(), min_size=len(raw), max_size=len(raw)).map(np.array))
    both(kind, array, None if mask is None else mask.astype(bool))
    assert (array == before).all()


# --- integers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["int", "instant"])
def test_integers_of_any_width_are_one_word(kind):
    """Python integers and every numpy width give the same words, to the ends of 64 bits."""
    for dtype in ("i1", "u1", "i2", "i4", ">i4", "u4", "i8", "u8", "O"):
        assert words(kind, np.array([0, 1, 100], dtype)) == [0, 1, 100]
    assert words(kind, [MIN, MAX, -1]) == [MIN, MAX, -1]
    assert words(kind, np.array([MAX], np.uint64)) == [MAX]
    assert words(kind, [np.int8(-3), np.uint64(5), 7]) == [-3, 5, 7]


@pytest.mark.parametrize("value", [MAX + 1, MIN - 1, np.uint64(MAX + 1), 10**400])
def test_integers_beyond_64_bits_are_refused(value):
    """The first integer past either end is refused."""
    assert fault("int", value) == "does not fit in 64 bits"


def test_unsigned_arrays_are_looked_at_where_they_count():
    """A too large unsigned number is refused, unless its row is null."""
    array = np.array([1, MAX + 1, 3], np.uint64)
    assert both("int", array)[1] == ("column 'c', row 1: the value does not fit in 64 bits",)
    assert both("int", array, np.array([False, True, False])) == ([True, False, True], [1, 0, 3], [])


@pytest.mark.parametrize(("value", "name"), [(True, "bool"), (1.0, "float"), ("1", "str"), (b"1", "bytes")])
def test_what_is_no_integer_is_refused(value, name):
    """Booleans, reals and text do not pass for integers."""
    assert fault("int", value) == f"is of type {name}, not an integer"
    assert len(both("int", np.array([value]) if name in {"bool", "float", "str"} else [value])[1]) == 1


# --- booleans -----------------------------------------------------------------------------------------------------


def test_booleans_are_one_and_zero():
    """True and 1, False and 0 are the same word, from lists and from arrays."""
    assert words("bool", [True, False, 1, 0, np.bool_(1), np.int8(0)]) == [1, 0, 1, 0, 1, 0]
    assert words("bool", np.array([True, False])) == [1, 0]
    assert words("bool", np.array([1, 0])) == [1, 0]


@pytest.mark.parametrize(("value", "name"), [(2, "int"), (-1, "int"), (1.0, "float"), ("true", "str"), ([], "list")])
def test_what_is_no_boolean_is_refused(value, name):
    """Other integers, reals and text are neither true nor false."""
    assert fault("bool", value) == f"of type {name} is neither true nor false (1 and 0 are taken too)"


# --- reals --------------------------------------------------------------------------------------------------------


def test_reals_are_the_bits_of_a_double():
    """Known doubles have their known bits; single precision widens without loss; whole numbers are doubles too."""
    assert words("real", [1.0, -2.5, math.inf, -math.inf, 5e-324]) == [
        0x3FF0000000000000,
        0xC004000000000000 - 2**64,
        0x7FF0000000000000,
        0xFFF0000000000000 - 2**64,
        1,
    ]
    for dtype in ("f2", "f4", "f8", ">f8", "i8", "u1", "O"):
        assert words("real", np.array([1, 2], dtype)) == words("real", [1.0, 2.0])
    assert words("real", [1, np.int8(2), np.float32(3), 2**53]) == words("real", [1.0, 2.0, 3.0, 2.0**53])
    assert words("real", np.array([0.1], "f4")) == words("real", [float(np.float32(0.1))])
    assert words("real", [2**1000]) == words("real", [2.0**1000])


def test_zero_has_one_sign_and_nan_one_pattern():
    """-0.0 is 0.0, and every NaN, whatever its bits, is one word."""
    assert words("real", [-0.0, 0.0, None]) == [0, 0, 0]
    assert words("real", np.array([-0.0, 0.0])) == [0, 0]
    odd = np.array([0x7FF8000000000001, 0xFFF8000000000000, 0x7FF0000000000001], np.uint64).view(np.float64)
    assert words("real", odd) == [NAN_WORD] * 3
    narrow = np.array([0x7F800001, 0xFFC00000], np.uint32).view(np.float32)
    assert words("real", narrow) == [NAN_WORD] * 2
    assert words("real", [math.nan, -math.nan, np.float32("nan")]) == [NAN_WORD] * 3
    assert NAN_WORD == 0x7FF8000000000000


@pytest.mark.parametrize("value", [2**53 + 1, -(2**53) - 1, MAX, 10**400, -(10**400)])
def test_integers_that_a_double_rounds_are_refused(value):
    """A whole number no double can hold is refused instead of rounded."""
    assert fault("real", value) == "is no double: it would be rounded"


def test_long_doubles_are_taken_only_if_exact():
    """An extended-precision number is taken if it is a double, and refused if it would be rounded."""
    exact = np.array([0.5, 3], np.longdouble)
    assert words("real", exact) == words("real", [0.5, 3.0])
    finer = np.array([1], np.longdouble) / 3
    assert (float(finer[0]) == finer[0]) == (len(both("real", finer)) == 3)


@pytest.mark.parametrize(("value", "name"), [(True, "bool"), ("1.0", "str"), (decimal.Decimal(1), "Decimal")])
def test_what_is_no_real_is_refused(value, name):
    """Booleans, text and decimals do not pass for reals."""
    assert fault("real", value) == f"is of type {name}, not a real number"


# --- text and bytes -----------------------------------------------------------------------------------------------


def test_text_is_its_length_and_its_bytes():
    """The word counts UTF-8 bytes, not letters; nothing is normalised; arrays of text are taken."""
    assert both("text", ["é", "e\u0301", "", None]) == (
        [True, True, True, False],
        [2, 3, 0, 0],
        ["é".encode(), "e\u0301".encode(), b"", b""],
    )
    assert both("text", np.array(["ab", "c"])) == both("text", ["ab", "c"])
    assert both("text", np.array(["ab", None], object)) == both("text", ["ab", None])
    assert both("text", np.array(["ab", "c"], np.dtypes.StringDType())) == both("text", ["ab", "c"])


def test_text_of_no_row_has_no_tails():
    """A type without tails has an empty list of them; a text column has one a row."""
    assert both("int", [1])[2] == []
    assert both("text", [None])[2] == [b""]
    assert both("bytes", [None])[2] == [b""]
    assert both("text", []) == ([], [], [])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a\0", "holds a NUL character"),
        ("\ud800", "holds half a surrogate pair"),
        ("\udfff!", "holds half a surrogate pair"),
        (b"a", "is of type bytes, not text"),
        (1, "is of type int, not text"),
    ],
)
def test_text_no_database_can_keep_is_refused(value, expected):
    """NUL, lone surrogates and what is no text are refused."""
    assert fault("text", value) == expected


def test_bytes_are_their_length_and_themselves():
    """Bytes of every kind are taken as they are; text is not bytes."""
    assert both("bytes", [b"\0\xff", bytearray(b"a"), memoryview(b"bc"), None])[1:] == (
        [2, 1, 2, 0],
        [b"\0\xff", b"a", b"bc", b""],
    )
    assert both("bytes", np.array([b"a\0", None], object))[2] == [b"a\0", b""]
    assert fault("bytes", "a") == "is of type str, not bytes"


# --- columns ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["int", "instant", "bool", "real", "text", "bytes"])
def test_masked_rows_are_null_whatever_lies_there(kind):
    """A row marked missing is the same as None, even over rubbish."""
    rubbish = ["\0", 2.5, object()]
    assert both(kind, rubbish, [True, True, True]) == both(kind, [None, None, None])
    assert both(kind, np.array(rubbish, object), np.ones(3, bool)) == both(kind, [None] * 3)


def test_masks_cover_numeric_arrays():
    """Where the mask is true the word is 0 and the row is not valid; elsewhere the value stands."""
    mask = np.array([True, False])
    assert both("int", np.array([5, 6]), mask) == ([False, True], [0, 6], [])
    assert both("bool", np.array([True, True]), mask) == ([False, True], [0, 1], [])
    assert both("real", np.array([math.nan, 0.0]), mask) == ([False, True], [0, 0], [])
    assert both("int", np.array([5, 6]), [False, True]) == ([True, False], [5, 0], [])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("", "int", []), ["the name is empty"]),
        (("a\0", "int", []), ["the name holds a NUL character"]),
        (("\ud800", "int", []), ["the name holds half a surrogate pair"]),
        ((3, "int", []), ["the name is of type int, not text"]),
        (("a", "int", [1, 2], [True]), ["2 values, but 1 marks of missing ones"]),
        (("a", "int", np.zeros((2, 2))), ["the array has 2 dimensions, not one"]),
        (("a", "int", np.array(3)), ["the array has 0 dimensions, not one"]),
        (("a", "real", np.array([1j])), ["an array of complex128 " + GIVE]),
        (("a", "bytes", np.array([b"a"])), ["an array of |S1 " + GIVE]),
        (
            ("", "date", [1], []),
            [
                "'date' is not a column type; the types are int, real, bool, text, instant, bytes",
                "the name is empty",
                "1 values, but 0 marks of missing ones",
            ],
        ),
    ],
)
def test_impossible_columns_are_refused(arguments, expected):
    """A column says all that is wrong with its name, type, shape and mask at once."""
    with pytest.raises(InvalidInput) as caught:
        Column(*arguments)
    assert caught.value.what == f"Column {arguments[0]!r} cannot be encoded."
    assert list(caught.value.faults) == expected


def test_masked_arrays_and_dates_are_refused():
    """A numpy masked array, whose mask would be lost, and dates, whose unit would be, are not taken."""
    with pytest.raises(InvalidInput) as caught:
        Column("a", "int", np.ma.array([1, 2], mask=[True, False]))
    assert caught.value.faults == (
        "a masked array is not taken; give its data as the values and its mask as the missing rows",
    )
    for unit in ("ns", "us", "D"):
        with pytest.raises(InvalidInput) as caught:
            Column("a", "instant", np.array([0], f"M8[{unit}]"))
        assert f"an array of datetime64[{unit}] is not taken" in caught.value.faults[0]
    assert fault("instant", dt.datetime(2024, 1, 1, tzinfo=dt.UTC)) == ("is of type datetime, not an integer")


QUICK = [
    ("int", [1, None, MAX]),
    ("int", [1, 2]),
    ("int", []),
    ("instant", [None]),
    ("bool", [True, None, False]),
    ("real", [0.5, None, math.nan]),
    ("text", ["a", None]),
    ("bytes", [b"a", None]),
    ("text", np.array(["a", "b"])),
    ("text", np.array(["a", None], object)),
    ("text", np.array(["a"], np.dtypes.StringDType())),
    ("bytes", np.array([b"a"], object)),
    ("int", np.array([1, None], object)),
    *(("int", np.array([1, 2], dtype)) for dtype in ("i1", "u1", "i4", "i8", ">i8")),
    ("instant", np.array([MAX], np.uint64)),
    ("bool", np.array([True])),
    *(("real", np.array([1.0], dtype)) for dtype in ("f2", "f4", "f8")),
]


@pytest.mark.parametrize(("kind", "values"), QUICK)
def test_plain_values_are_never_looked_at_one_by_one(kind, values, monkeypatch):
    """Lists of the plain type and arrays of the fitting kinds take the quick way, with the words of the slow one."""
    expected = outcome(listed, Column("c", kind, values))

    def refuse(column):
        raise AssertionError(column.name)

    monkeypatch.setattr(canonical_words, "listed", refuse)
    found = arrayed(Column("c", kind, values))
    assert outcome(lambda _: found, None) == expected
    assert found.valid.dtype == np.bool_
    assert found.words.dtype == np.int64


def test_values_looked_at_one_by_one_come_as_the_same_types():
    """The slow way of `arrayed` gives booleans and 64-bit integers too, even for no rows."""
    for column in (Column("c", "int", [np.int8(1)]), Column("c", "real", np.array([1])), Column("c", "bool", [1, 0])):
        found = arrayed(column)
        assert (found.valid.dtype, found.words.dtype) == (np.bool_, np.int64)


def test_a_column_does_not_change():
    """A column cannot be renamed once it was checked, and equals nothing but itself."""
    column = Column("a", "int", [1])
    with pytest.raises(dataclasses.FrozenInstanceError):
        column.name = "b"
    assert column != Column("a", "int", [1])


def test_every_bad_row_is_a_fault():
    """All bad rows are named, not only the first."""
    assert both("int", ["x", 1, MAX + 1])[1] == (
        "column 'c', row 0: the value is of type str, not an integer",
        "column 'c', row 2: the value does not fit in 64 bits",
    )
