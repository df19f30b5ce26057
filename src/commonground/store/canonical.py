"""The canonical columnar encoding `canon1`, and the SHA-256 digests of tables and rows.

One table has one encoding, whatever held it: lists or arrays, int32 or int64, nulls as None or as a mask, rows in any
order. All numbers are little-endian. Text is encoded as it stands: no Unicode normalisation.

Every value is one signed 64-bit *word* and, for text and bytes, a *tail*:

    type      tag   word                                                            tail
    int       i     the integer
    instant   u     microseconds since 1970-01-01 UTC
    bool      b     0 or 1
    real      r     the bits of the IEEE 754 double; -0.0 is 0.0, a NaN is 0x7ff8000000000000
    text      t     number of UTF-8 bytes                                           the UTF-8 bytes
    bytes     y     number of bytes                                                 the bytes
    (null)          0                                                               nothing

A table, `canon1`, rows ascending by the integer columns named as its order:

    b"canon1", u64 number of rows, u32 number of columns; then for each column as declared:
    u32 length of the name, name in UTF-8, tag, validity bitmap (bit i % 8 of byte i // 8 is 1 if row i is not null;
    spare bits are 0), one word a row, the tails of all rows one after the other

A row of a temporal table, `row1`; a null field leaves no trace, so a column added later changes no digest:

    b"row1", salt (16 bytes); then for each field that is not null, as declared:
    u32 length of the name, name, tag, word, tail

A row of a batch, `brow1`; the columns are bound into it, so a batch keeps the list of columns it was written with:

    b"brow1", SHA-256 of (b"bcols1", u32 number of columns; for each: u32 length of the name, name, tag),
    salt (16 bytes); for each column 1 or 0 (valid or null) and the word; then the tails in the order of the columns

A list of digests, `combine`: b"digests1", then the digests. A salt lies beside its row and goes with it when the row is
erased; the digest that is left still verifies the chain and cannot be guessed back.
"""

from __future__ import annotations

import functools
import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias, cast

from commonground.errors import InvalidInput
from commonground.late import np, npt
from commonground.store.canonical_words import (
    CORRECT,
    UNFIT,
    WRITTEN,
    Arrayed,
    Column,
    ColumnType,
    Listed,
    arrayed,
    listed,
)

__all__ = [
    "DIGEST_BYTES",
    "SALT_BYTES",
    "Column",
    "ColumnType",
    "LongColumn",
    "as_words",
    "batch_row_digests",
    "batch_word_digests",
    "combine",
    "encode",
    "long_table_digest",
    "row_digest",
    "table_digest",
]

SALT_BYTES = 16
DIGEST_BYTES = 32
MOST_FAULTS = 20
SMALL = 16
"""Up to so many rows plain Python is quicker than numpy; the bytes are the same."""
CHUNK = 1 << 16
"""Rows or tails that are joined before they are hashed, to bound memory."""

_TAGS: dict[str, bytes] = {"int": b"i", "real": b"r", "bool": b"b", "text": b"t", "instant": b"u", "bytes": b"y"}
_CELL = 9  # a validity byte and a word
_WORD = struct.Struct("<q")

_Places: TypeAlias = "list[int] | npt.NDArray[np.intp]"


def encode(columns: Sequence[Column], order: Sequence[str] | None = None) -> bytes:
    """The `canon1` bytes of a table; without `order` the rows stay in the order given.

    Raises InvalidInput for values that do not fit their type, columns of unequal length, and an order that names no
    int column, meets a null or gives two rows the same place.
    """
    return b"".join(_chunks(columns, order))


def table_digest(columns: Sequence[Column], order: Sequence[str]) -> str:
    """The SHA-256 of the `canon1` bytes in hex, rows ascending by the int columns in `order`; errors as `encode`."""
    digest = hashlib.sha256()
    for chunk in _chunks(columns, order):
        digest.update(chunk)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class LongColumn:
    """A column of which memory holds a portion of rows at a time; all portions but the last are multiples of 8."""

    heading: Column
    """Its name and type, without rows."""
    valid: Callable[[], Iterable[npt.NDArray[np.bool_]]]
    """True where a row is not null, by portions."""
    words: Callable[[], Iterable[npt.NDArray[np.int64]]]
    """The words, by portions."""
    tails: Callable[[], Iterable[bytes]]
    """The tails of the rows of each portion, one after the other."""


def long_table_digest(rows: int, columns: Sequence[LongColumn]) -> str:
    """What `table_digest` gives for a table whose rows are in order already, read column by column in portions."""
    digest = hashlib.sha256(_beginning(rows, len(columns)))
    for column in columns:
        digest.update(_heading(column.heading))
        for valid in column.valid():
            digest.update(np.packbits(valid, bitorder="little").tobytes())
        for words in column.words():
            digest.update(words.astype("<i8", copy=False).tobytes())
        for tails in column.tails():
            digest.update(tails)
    return digest.hexdigest()


def row_digest(salt: bytes, fields: Iterable[tuple[str, str, object]]) -> bytes:
    """The 32-byte `row1` digest of one row given as (name, type, value); None is null.

    Raises InvalidInput if the salt is not 16 bytes, a name comes twice, or a value does not fit its type.
    """
    told = list(fields)
    _check_salts(salt, 1)
    parts = [b"row1", salt]
    try:
        for name, kind, value in told:
            heading = _heading_of(name, kind)
            if value is not None:
                word, tail = WRITTEN[cast("ColumnType", kind)](value)
                parts += (heading, _WORD.pack(word), tail)
        fits = len({name for name, _, _ in told}) == len(told)
    except (TypeError, ValueError, InvalidInput):
        fits = False
    if not fits:
        # All the faults at once, in the words of every other table.
        columns = [Column(name, cast("ColumnType", kind), [value]) for name, kind, value in told]
        _check_one_table(columns)
        _all_words(columns, small=True)
    return hashlib.sha256(b"".join(parts)).digest()


def batch_row_digests(salts: bytes, columns: Sequence[Column]) -> list[bytes]:
    """The 32-byte `brow1` digest of every row of a batch, in the order given; `salts` holds 16 bytes a row.

    Raises InvalidInput for salts of another length, columns of unequal length and values that do not fit their type.
    """
    return batch_word_digests(salts, columns, as_words(columns))


def as_words(columns: Sequence[Column]) -> list[Arrayed]:
    """The columns of one table as words and tails; raises InvalidInput as `batch_row_digests` does."""
    _check_one_table(columns)
    return [cast("Arrayed", content) for content in _all_words(columns, small=False)]


def batch_word_digests(salts: bytes, columns: Sequence[Column], contents: Sequence[Arrayed]) -> list[bytes]:
    """The digests of `batch_row_digests` for columns that were made words already by `as_words`."""
    rows = len(columns[0].values) if columns else 0
    _check_salts(salts, rows)
    headings = struct.pack("<I", len(columns)) + b"".join(map(_heading, columns))
    prefix = b"brow1" + hashlib.sha256(b"bcols1" + headings).digest()
    cells_at = len(prefix) + SALT_BYTES
    block = np.empty((min(rows, CHUNK), cells_at + _CELL * len(columns)), np.uint8)
    block[:, : len(prefix)] = np.frombuffer(prefix, np.uint8)
    salt_rows = np.frombuffer(salts, np.uint8).reshape(rows, SALT_BYTES)
    digests: list[bytes] = []
    for start in range(0, rows, CHUNK):
        part = slice(start, min(start + CHUNK, rows))
        filled = block[: part.stop - start]
        filled[:, len(prefix) : cells_at] = salt_rows[part]
        for position, content in enumerate(contents):
            at = cells_at + _CELL * position
            filled[:, at] = content.valid[part]
            filled[:, at + 1 : at + _CELL] = content.words[part].astype("<i8").view(np.uint8).reshape(-1, 8)
        tails = [content.tails[part] for content in contents if content.tails and content.valid.any()]
        digests += _hashed(filled.tobytes(), filled.shape[1], tails)
    return digests


def combine(digests: Iterable[bytes]) -> bytes:
    """One 32-byte digest over 32-byte digests in the order given; raises InvalidInput for one of another length."""
    whole = hashlib.sha256(b"digests1")
    for position, digest in enumerate(digests):
        if len(digest) != DIGEST_BYTES:
            raise InvalidInput(
                f"Digest {position} has {len(digest)} bytes; a digest has {DIGEST_BYTES}.",
                todo="Give digests of SHA-256, as bytes.",
            )
        whole.update(digest)
    return whole.digest()


def _hashed(fixed: bytes, width: int, tails: list[list[bytes]]) -> list[bytes]:
    """The digest of each `width` bytes of `fixed`, followed by the row's tails."""
    sha256 = hashlib.sha256
    starts = range(0, len(fixed), width)
    if not tails:
        return [sha256(fixed[start : start + width]).digest() for start in starts]
    joined = tails[0] if len(tails) == 1 else [b"".join(row) for row in zip(*tails, strict=True)]
    return [sha256(fixed[start : start + width] + tail).digest() for start, tail in zip(starts, joined, strict=True)]


def _chunks(columns: Sequence[Column], order: Sequence[str] | None) -> Iterator[bytes]:
    rows = _check_one_table(columns)
    contents = _all_words(columns, small=rows <= SMALL)
    if order is not None:
        places = _places(columns, contents, order, rows)
        as_they_are = places == list(range(rows)) if isinstance(places, list) else (places[1:] > places[:-1]).all()
        if not as_they_are:
            contents = [_moved(content, places) for content in contents]
    yield _beginning(rows, len(columns))
    for column, content in zip(columns, contents, strict=True):
        yield _heading(column)
        if isinstance(content, Listed):
            bits = sum(1 << row for row, valid in enumerate(content.valid) if valid)
            yield bits.to_bytes((rows + 7) // 8, "little")
            yield struct.pack(f"<{rows}q", *content.words)
        else:
            yield np.packbits(content.valid, bitorder="little").tobytes()
            yield content.words.astype("<i8", copy=False).tobytes()
        for start in range(0, len(content.tails), CHUNK):
            yield b"".join(content.tails[start : start + CHUNK])


def _beginning(rows: int, columns: int) -> bytes:
    return b"canon1" + struct.pack("<QI", rows, columns)


def _all_words(columns: Sequence[Column], *, small: bool) -> list[Listed | Arrayed]:
    """Every column as words and tails; the faults of all columns come in one error."""
    contents: list[Listed | Arrayed] = []
    faults: list[str] = []
    for column in columns:
        try:
            contents.append(listed(column) if small else arrayed(column))
        except InvalidInput as error:
            faults += error.faults
    if faults:
        more = len(faults) - MOST_FAULTS
        raise InvalidInput(
            UNFIT, faults=[*faults[:MOST_FAULTS], *([f"and {more} more"] if more > 0 else [])], todo=CORRECT
        )
    return contents


def _places(
    columns: Sequence[Column], contents: Sequence[Listed | Arrayed], order: Sequence[str], rows: int
) -> _Places:
    """Where each row of the ordered table stands now."""
    named = {column.name: (column, content) for column, content in zip(columns, contents, strict=True)}
    faults = [] if order else ["no column is named"]
    for name in order:
        if name not in named:
            faults.append(f"there is no column {name!r}")
        elif named[name][0].type != "int":
            faults.append(f"column {name!r} is of type {named[name][0].type}, not int")
        elif False in named[name][1].valid:
            faults.append(f"column {name!r} has a null")
    if faults:
        raise InvalidInput(
            "The rows cannot be put in order.", faults=faults, todo="Order them by columns that can be compared."
        )
    keys = [named[name][1].words for name in order]
    places: _Places
    if rows <= SMALL:
        rank = list(zip(*keys, strict=True))
        places = sorted(range(rows), key=rank.__getitem__)
        twice = any(rank[first] == rank[second] for first, second in pairwise(places))
    else:
        places, twice = _sorted_places([np.asarray(key) for key in keys], rows)
    if twice:
        raise InvalidInput(
            f"Two rows have the same place in the order {', '.join(order)}.",
            todo="Name int columns that together tell every row from the others.",
        )
    return places


def _sorted_places(keys: Sequence[npt.NDArray[np.int64]], rows: int) -> tuple[_Places, bool]:
    """The rows in ascending order of the keys, and whether two rows have equal keys."""
    places = np.lexsort(keys[::-1])
    same = np.ones(rows - 1, np.bool_)
    for key in keys:
        ordered = key[places]
        same &= ordered[1:] == ordered[:-1]
    return places, bool(same.any())


def _moved(content: Listed | Arrayed, places: _Places) -> Listed | Arrayed:
    in_turn = places.tolist() if isinstance(places, np.ndarray) else places
    tails = [content.tails[place] for place in in_turn] if content.tails else []
    if isinstance(content, Listed):
        return Listed([content.valid[place] for place in in_turn], [content.words[place] for place in in_turn], tails)
    return Arrayed(content.valid[places], content.words[places], tails)


def _check_one_table(columns: Sequence[Column]) -> int:
    """The number of rows; refuses columns of unequal length and a name that comes twice."""
    names = [column.name for column in columns]
    faults = [f"column {name!r} comes twice" for name in sorted({name for name in names if names.count(name) > 1})]
    lengths = {len(column.values) for column in columns} or {0}
    if len(lengths) > 1:
        faults += [f"column {column.name!r} has {len(column.values)} rows" for column in columns]
    if faults:
        raise InvalidInput("These columns do not make one table.", faults=faults, todo="Correct these columns.")
    return lengths.pop()


def _check_salts(salts: bytes, rows: int) -> None:
    if len(salts) != SALT_BYTES * rows:
        raise InvalidInput(
            f"{rows} rows need {SALT_BYTES * rows} bytes of salt, not {len(salts)}.", todo="Give a salt for each row."
        )


@functools.lru_cache(maxsize=4096)
def _heading_of(name: str, kind: str) -> bytes:
    """The heading of a column by its name and type, which are checked."""
    return _heading(Column(name, cast("ColumnType", kind), []))


def _heading(column: Column) -> bytes:
    name = column.name.encode()
    return struct.pack("<I", len(name)) + name + _TAGS[column.type]
