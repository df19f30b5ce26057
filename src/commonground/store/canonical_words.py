"""Typed columns, and their values as the 64-bit words and tails of the canonical encoding (`canonical`).

Every value becomes one signed 64-bit word; text and bytes have a tail besides. A null has word 0 and no tail.
Small tables go through plain Python, large ones through numpy; both give the same words and refuse the same values.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Literal, NamedTuple, cast, get_args

from commonground.errors import InvalidInput
from commonground.late import np, npt

ColumnType = Literal["int", "real", "bool", "text", "instant", "bytes"]

MIN_INT, MAX_INT = -(1 << 63), (1 << 63) - 1
UNFIT = "Some values do not fit the type of their column."
CORRECT = "Correct these values."
NAN_WORD = 0x7FF8000000000000

_ARRAY_KINDS = "biufOUT"
_DOUBLE_BYTES = 8
_PLAIN: dict[ColumnType, type] = {"int": int, "instant": int, "bool": bool, "real": float, "text": str, "bytes": bytes}
_ARRAY_KIND: dict[ColumnType, str] = {"int": "iu", "instant": "iu", "bool": "b", "real": "f", "text": "", "bytes": ""}


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A named, typed column; raises InvalidInput if it cannot be one."""

    name: str
    """Not empty; no NUL, no lone surrogate."""
    type: ColumnType
    """Decides how a value is written; an instant is an integer of UTC microseconds."""
    values: Sequence[object] | npt.NDArray[np.generic]
    """One value a row; None is null. A list, or a one-dimensional array of bool, integer, float, text or object."""
    missing: Sequence[bool] | npt.NDArray[np.bool_] | None = None
    """True where the row is null; the value there is not looked at."""

    def __post_init__(self) -> None:
        faults = []
        if self.type not in _PLAIN:
            faults.append(f"{self.type!r} is not a column type; the types are {', '.join(get_args(ColumnType))}")
        if not self.name:
            faults.append("the name is empty")
        try:
            _text(self.name)
        except (TypeError, ValueError) as error:
            faults.append(f"the name {error}")
        if isinstance(self.values, np.ndarray) and (fault := _array_fault(self.values)):
            faults.append(fault)
        elif self.missing is not None and len(self.missing) != len(self.values):
            faults.append(f"{len(self.values)} values, but {len(self.missing)} marks of missing ones")
        if faults:
            raise InvalidInput(f"Column {self.name!r} cannot be encoded.", faults=faults, todo="Correct this column.")


class Listed(NamedTuple):
    """A column's rows as lists."""

    valid: list[bool]
    words: list[int]
    tails: list[bytes]  # empty for a type without tails


class Arrayed(NamedTuple):
    """A column's rows as arrays."""

    valid: npt.NDArray[np.bool_]
    words: npt.NDArray[np.int64]
    tails: list[bytes]  # empty for a type without tails


def listed(column: Column) -> Listed:
    """A column as lists; raises InvalidInput with a fault for each value that does not fit."""
    values = _values(column)
    return _plainly_listed(column.type, values) or _listed_one_by_one(column, values)


def _plainly_listed(kind: ColumnType, values: list[object]) -> Listed | None:
    """Values that are all of one plain type as lists at once; None if they have to be looked at one by one."""
    if set(map(type, values)) != {_PLAIN[kind]}:
        return None
    valid = [True] * len(values)
    if kind == "text":
        try:
            tails = _texts(cast("list[str]", values))
        except ValueError:
            return None
        return Listed(valid, list(map(len, tails)), tails)
    if kind == "real":
        packed = struct.pack(f"<{len(values)}d", *[value + 0.0 for value in cast("list[float]", values)])
        if any(map(math.isnan, cast("list[float]", values))):
            return None
        return Listed(valid, list(struct.unpack(f"<{len(values)}q", packed)), [])
    if kind in {"int", "instant"}:
        numbers = cast("list[int]", values)
        return Listed(valid, numbers, []) if min(numbers) >= MIN_INT and max(numbers) <= MAX_INT else None
    return None


def _listed_one_by_one(column: Column, values: list[object]) -> Listed:
    valid: list[bool] = []
    words: list[int] = []
    tails: list[bytes] = []
    faults: list[str] = []
    written = WRITTEN[column.type]
    for row, value in enumerate(values):
        word, tail = 0, b""
        if value is not None:
            try:
                word, tail = written(value)
            except (TypeError, ValueError) as error:
                faults.append(f"column {column.name!r}, row {row}: the value {error}")
        valid.append(value is not None)
        words.append(word)
        tails.append(tail)
    if faults:
        raise InvalidInput(UNFIT, faults=faults, todo=CORRECT)
    return Listed(valid, words, tails if _has_tails(column) else [])


def arrayed(column: Column) -> Arrayed:
    """A column as arrays, all rows at once where the values allow it; the same words and errors as `listed`."""
    quick = _from_array(column) if isinstance(column.values, np.ndarray) else _from_list(column, _values(column))
    if quick is not None:
        return quick
    valid, words, tails = listed(column)
    return Arrayed(np.array(valid, dtype=np.bool_), np.array(words, dtype=np.int64), tails)


def _values(column: Column) -> list[object]:
    """The values as a list of Python objects, None where the row is null."""
    values = column.values.tolist() if isinstance(column.values, np.ndarray) else list(column.values)
    if column.missing is None:
        return cast("list[object]", values)
    return [None if missing else value for value, missing in zip(values, column.missing, strict=True)]


def _array_fault(values: npt.NDArray[np.generic]) -> str:
    if values.ndim != 1:
        return f"the array has {values.ndim} dimensions, not one"
    # By name, because to ask numpy for its masked arrays is to import them, which nothing else here needs.
    if any(kind.__name__ == "MaskedArray" for kind in type(values).__mro__):
        return "a masked array is not taken; give its data as the values and its mask as the missing rows"
    if values.dtype.kind not in _ARRAY_KINDS:
        return f"an array of {values.dtype} is not taken; give integers, floats, booleans, text or objects"
    return ""


def _from_array(column: Column) -> Arrayed | None:
    """A whole array at once, or None if its kind has to be looked at value by value."""
    values = cast("npt.NDArray[np.number]", column.values)
    kind = values.dtype.kind
    if kind in "OUT":
        return _from_list(column, _values(column))
    if kind not in _ARRAY_KIND[column.type] or values.dtype.itemsize > _DOUBLE_BYTES:
        return None
    missing = np.zeros(len(values), np.bool_) if column.missing is None else np.asarray(column.missing, np.bool_)
    if kind == "u" and bool((values[~missing] > MAX_INT).any()):
        return None
    # Of a column that is as it shall be no copy is made: those of all columns are held at once.
    gaps = bool(missing.any())
    words = _real_words(values) if column.type == "real" else values.astype(np.int64, copy=gaps)
    if gaps:
        words[missing] = 0
    return Arrayed(~missing, words, [])


def _from_list(column: Column, values: list[object]) -> Arrayed | None:
    """A whole list at once, or None if its values have to be looked at one by one."""
    plain, rows = _PLAIN[column.type], len(values)
    types = set(map(type, values))
    if not types <= {plain, NoneType}:
        return None
    if plain not in types:
        return Arrayed(np.zeros(rows, np.bool_), np.zeros(rows, np.int64), [b""] * rows if _has_tails(column) else [])
    valid, filled = np.ones(rows, np.bool_), values
    if NoneType in types:
        valid = np.fromiter((value is not None for value in values), np.bool_, rows)
        filled = [plain() if value is None else value for value in values]
    try:
        if _has_tails(column):
            tails = _texts(cast("list[str]", filled)) if plain is str else cast("list[bytes]", filled)
            return Arrayed(valid, np.fromiter(map(len, tails), np.int64, len(tails)), tails)
        words = _real_words(np.array(filled, np.float64)) if plain is float else np.array(filled, np.int64)
    except (ValueError, OverflowError):
        return None
    return Arrayed(valid, words, [])


def _has_tails(column: Column) -> bool:
    return column.type in {"text", "bytes"}


def _real_words(values: npt.NDArray[np.number]) -> npt.NDArray[np.int64]:
    with np.errstate(invalid="ignore"):  # a signalling NaN is a NaN like any other
        words = (values.astype(np.float64) + 0.0).view(np.int64)  # -0.0 + 0.0 is 0.0
    words[np.isnan(values)] = NAN_WORD
    return words


def _whole(value: object) -> tuple[int, bytes]:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"is of type {type(value).__name__}, not an integer")
    if not MIN_INT <= value <= MAX_INT:
        raise ValueError("does not fit in 64 bits")
    return int(value), b""


def _boolean(value: object) -> tuple[int, bytes]:
    if not isinstance(value, bool | np.bool_ | int | np.integer) or value not in {0, 1}:
        raise ValueError(f"of type {type(value).__name__} is neither true nor false (1 and 0 are taken too)")
    return int(value), b""


def _real(value: object) -> tuple[int, bytes]:
    if isinstance(value, bool) or not isinstance(value, float | np.floating | int | np.integer):
        raise TypeError(f"is of type {type(value).__name__}, not a real number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isnan(number):
        return NAN_WORD, b""
    if number != value:
        raise ValueError("is no double: it would be rounded")
    word: int = struct.unpack("<q", struct.pack("<d", number + 0.0))[0]  # -0.0 + 0.0 is 0.0
    return word, b""


def _text(value: object) -> bytes:
    if not isinstance(value, str):
        raise TypeError(f"is of type {type(value).__name__}, not text")
    if "\0" in value:
        raise ValueError("holds a NUL character")
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise ValueError("holds half a surrogate pair") from error


def _texts(values: list[str]) -> list[bytes]:
    """All values as UTF-8 at once; raises ValueError if one of them is no text."""
    tails = "\0".join(values).encode().split(b"\0")
    if len(tails) != len(values):
        raise ValueError("a value holds a NUL character")
    return tails


def _written_text(value: object) -> tuple[int, bytes]:
    tail = _text(value)
    return len(tail), tail


def _written_bytes(value: object) -> tuple[int, bytes]:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise TypeError(f"is of type {type(value).__name__}, not bytes")
    tail = bytes(value)
    return len(tail), tail


WRITTEN: dict[ColumnType, Callable[[object], tuple[int, bytes]]] = {
    "int": _whole,
    "instant": _whole,
    "bool": _boolean,
    "real": _real,
    "text": _written_text,
    "bytes": _written_bytes,
}
"""By type: a value as its word and tail; raises TypeError or ValueError for one that does not fit."""
