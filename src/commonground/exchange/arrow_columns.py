"""How a column of an Arrow table becomes values of a draft, by its Arrow type.

| Arrow | draft | refused |
|---|---|---|
| bool, int8-64, uint8-64 | bool, int | beyond 64 bits with a sign |
| float16-64, decimal | real (int for a decimal without fraction, up to 18 digits) | infinity; NaN is missing |
| string, large_string, string_view, dictionary of these | text | NUL, more than 1 MiB, bytes that are not UTF-8 |
| date32, date64 | date | outside the years 1 to 9999 |
| timestamp without zone | time | finer than microseconds, outside the years 1 to 9999 |
| time32, time64 | text, ISO | |
| null | text | |
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from commonground.exchange.drafts import CELL_LIMIT, DraftType, Value

Mask = npt.NDArray[np.bool_]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST: Final = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH).days
_LAST: Final = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH).days
_PER_DAY: Final = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
_SMALL_DECIMAL: Final = 18


@dataclass(frozen=True, slots=True)
class ArrowColumn:
    """The draft type of an Arrow column, its values, and which of its cells are no value."""

    type: DraftType
    values: Callable[[pa.Array], list[Value]]
    """Array -> values; only for cells that are not bad."""
    bad: Callable[[pa.Array], Mask] | None = None
    words: str = ""
    """What is wrong with a bad cell."""
    note: str = ""


def arrow_column(kind: pa.DataType) -> ArrowColumn | None:
    """How a column of this Arrow type is read; None if it has no counterpart."""
    types = pa.types
    if types.is_dictionary(kind):
        return arrow_column(kind.value_type)
    if types.is_boolean(kind):
        return ArrowColumn("bool", _plain)
    if types.is_uint64(kind):
        return ArrowColumn("int", _plain, _beyond_64_bits, "a whole number beyond 64 bits")
    if types.is_integer(kind):
        return ArrowColumn("int", _plain)
    if types.is_floating(kind):
        return ArrowColumn("real", _floats, _infinite, "not a finite number")
    if types.is_decimal(kind):
        if kind.scale == 0 and kind.precision <= _SMALL_DECIMAL:
            return ArrowColumn("int", _whole_decimals)
        return ArrowColumn("real", _floats, note="decimal numbers, read as floating point")
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return ArrowColumn("text", _plain, _unfit_text, "a NUL character, or a cell of more than 1 MiB")
    if types.is_date(kind):
        return ArrowColumn("date", _dates, _outside_dates, "a date outside the years 1 to 9999")
    if types.is_timestamp(kind) and kind.tz is None:
        words = "a time finer than microseconds, or outside the years 1 to 9999"
        return ArrowColumn("time", _times, _outside_times, words)
    if types.is_time(kind):
        return ArrowColumn("text", _clock, note="times of day, read as text")
    if types.is_null(kind):
        return ArrowColumn("text", _plain)
    return None


def _plain(array: pa.Array) -> list[Value]:
    return list(array.to_pylist())


def _floats(array: pa.Array) -> list[Value]:
    values = array.cast(pa.float64(), safe=False).to_pylist()
    return [None if value is None or math.isnan(value) else value for value in values]


def _whole_decimals(array: pa.Array) -> list[Value]:
    return _plain(array.cast(pa.int64()))


def _dates(array: pa.Array) -> list[Value]:
    return [None if day is None else day.isoformat() for day in array.cast(pa.date32(), safe=False).to_pylist()]


def _times(array: pa.Array) -> list[Value]:
    moments = array.cast(pa.timestamp("us"), safe=False).to_pylist()
    return [None if moment is None else moment.isoformat() for moment in moments]


def _clock(array: pa.Array) -> list[Value]:
    return _plain(array.cast(pa.string()))


def _beyond_64_bits(array: pa.Array) -> Mask:
    return _mask(pc.greater(array, pa.scalar(2**63 - 1, pa.uint64())))


def _infinite(array: pa.Array) -> Mask:
    return _mask(pc.is_inf(array.cast(pa.float64(), safe=False)))


def _unfit_text(array: pa.Array) -> Mask:
    text = array.cast(pa.large_string())
    return _mask(pc.or_(pc.greater(pc.binary_length(text), CELL_LIMIT), pc.match_substring(text, "\0")))


def _outside_dates(array: pa.Array) -> Mask:
    days = array.cast(pa.date32(), safe=False).cast(pa.int32()).fill_null(0).to_numpy(zero_copy_only=False)
    return np.asarray((days < _FIRST) | (days > _LAST), dtype=np.bool_)


def _outside_times(array: pa.Array) -> Mask:
    ticks = array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    unit = str(array.type.unit)
    days = ticks // _PER_DAY[unit]
    finer = ticks % 1000 != 0 if unit == "ns" else np.zeros(len(ticks), dtype=np.bool_)
    return np.asarray((days < _FIRST) | (days > _LAST) | finer, dtype=np.bool_)


def _mask(found: pa.BooleanArray) -> Mask:
    return np.asarray(found.fill_null(fill_value=False).to_numpy(zero_copy_only=False), dtype=np.bool_)
