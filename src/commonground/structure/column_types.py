"""What a column or a feature can hold, and how values given by people become what is stored.

int, real, bool, text   as usual; int within 64 bits; no NaN; text without NUL and lone surrogates
date                    ISO, of day, month or year precision: 2024-03-05, 2024-03, 2024
time                    local date and time without a zone: 2024-03-05T10:20:30, with a fraction if there is one
instant                 a moment: UTC microseconds since 1970
term, link, asset       the rid of a term, an entity, an asset
"""

from __future__ import annotations

import datetime as dt
import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, Literal

from commonground.errors import InvalidInput, count
from commonground.late import np
from commonground.plain import Cell

LARGEST = (1 << 63) - 1
LONGEST_TEXT = 1 << 20
SCREENFUL = 20
"""So many faults are told one by one."""
_SHORTER = "Shorten it, or keep it as a file of its own."
_PLAIN = "Take that character out."
_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", re.ASCII)
_TIME_OF_DAY = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}.*", re.ASCII)
_INSTANTS = (-62_135_596_800_000_000, 253_370_764_800_000_000)
"""From the beginning of the year 1 to that of 9999: the calendar has no other moments, so nothing could show them."""
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_WORDS = {"true": 1, "yes": 1, "false": 0, "no": 0}


class Holds(StrEnum):
    """What a column or a feature can hold."""

    INT = "int"
    REAL = "real"
    BOOL = "bool"
    TEXT = "text"
    DATE = "date"
    TIME = "time"
    INSTANT = "instant"
    TERM = "term"
    LINK = "link"
    ASSET = "asset"

    @property
    def stored(self) -> Literal["int", "real", "text"]:
        """The database's word for it: int, real or text."""
        if self in {Holds.TEXT, Holds.DATE, Holds.TIME}:
            return "text"
        return "real" if self is Holds.REAL else "int"


def read_int(value: object) -> int:
    """A whole number within 64 bits."""
    if isinstance(value, bool | np.bool_):
        raise InvalidInput("true and false are not numbers")
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d+", value.strip()):
        number = int(value.strip())
    elif isinstance(value, int | np.integer | float | np.floating) and value == value // 1:
        number = int(value)
    else:
        raise InvalidInput(f"{value!r} is not a whole number")
    if not -LARGEST - 1 <= number <= LARGEST:
        raise InvalidInput(f"{value!r} does not fit in 64 bits")
    return number


def read_real(value: object) -> float:
    """A finite or infinite number; never NaN."""
    if isinstance(value, bool | np.bool_):
        raise InvalidInput("true and false are not numbers")
    if not isinstance(value, int | float | str | np.number) or (isinstance(value, str) and "_" in value):
        raise InvalidInput(f"{value!r} is not a number")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise InvalidInput(f"{value!r} is not a number") from None
    if math.isnan(number):
        raise InvalidInput("NaN is not a value; leave it out, or say why it is missing")
    return number + 0.0


def read_bool(value: object) -> int:
    """1 for true or yes, 0 for false or no."""
    if isinstance(value, bool | np.bool_):
        return int(value)
    if isinstance(value, str) and value.strip().lower() in _WORDS:
        return _WORDS[value.strip().lower()]
    if isinstance(value, int | np.integer) and value in {0, 1}:
        return int(value)
    raise InvalidInput(f"{value!r} is not true or false")


def read_text(value: object) -> str:
    """Text of at most 1 MiB, kept as it is."""
    if not isinstance(value, str):
        raise InvalidInput(f"{value!r} is not text")
    if len(value) > LONGEST_TEXT:
        raise InvalidInput(f"a text of {len(value):,} characters; a cell can have {LONGEST_TEXT:,}", todo=_SHORTER)
    if "\0" in value:
        raise InvalidInput("text with a NUL character in it", todo=_PLAIN)
    if any(unicodedata.category(character) == "Cs" for character in value if character >= "\ud800"):
        raise InvalidInput("text with half a character (a lone surrogate) in it", todo=_PLAIN)
    return value


def read_date(value: object) -> str:
    """A date of day, month or year precision, as ISO text."""
    if isinstance(value, dt.datetime):
        raise InvalidInput(f"{value!r} has a time of day; a date has none")
    if isinstance(value, dt.date):
        return value.isoformat()
    match = _DATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise InvalidInput(f"{value!r} is not a date such as 2024, 2024-03 or 2024-03-05")
    year, month, day = match.groups()
    try:
        dt.date(int(year), int(month or 1), int(day or 1))
    except ValueError:
        raise InvalidInput(f"{value!r} is not a day of the calendar") from None
    return match.group()


def read_time(value: object) -> str:
    """A local date and time without a zone, as ISO text; a day without a time of day is not taken for midnight."""
    moment = value if isinstance(value, dt.datetime) else _time_in(str(value).strip())
    if moment is None:
        raise InvalidInput(f"{value!r} is not a date and time such as 2024-03-05T10:20:30")
    if moment.tzinfo is not None:
        raise InvalidInput(f"{value!r} has a time zone; a local time has none (an instant has)")
    return moment.isoformat()


def _time_in(text: str) -> dt.datetime | None:
    """The day and time of day that a text says; None if it does not say both."""
    try:
        return dt.datetime.fromisoformat(text) if _TIME_OF_DAY.fullmatch(text) else None
    except ValueError:
        return None


def read_instant(value: object) -> int:
    """A moment as UTC microseconds; text and datetimes must name their zone."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        if not _INSTANTS[0] <= value < _INSTANTS[1]:
            raise InvalidInput(f"{value!r} microseconds since 1970 is no moment of the years 1 to 9998")
        return int(value)
    try:
        moment = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise InvalidInput(f"{value!r} is not a moment such as 2024-03-05T10:20:30+01:00") from None
    if moment.tzinfo is None:
        raise InvalidInput(f"{value!r} does not say its time zone")
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)


READERS: dict[Holds, Callable[[object], int | float | str]] = {
    Holds.INT: read_int,
    Holds.REAL: read_real,
    Holds.BOOL: read_bool,
    Holds.TEXT: read_text,
    Holds.DATE: read_date,
    Holds.TIME: read_time,
    Holds.INSTANT: read_instant,
    Holds.TERM: read_int,
    Holds.LINK: read_int,
    Holds.ASSET: read_int,
}


def read_values(name: str, holds: Holds, values: Sequence[Any] | np.ndarray[Any, Any]) -> list[Any]:
    """All values of one column in their stored form, None where there is none.

    Raises InvalidInput that lists the first twenty faults, by row from 1.
    """
    if isinstance(values, np.ndarray):
        quick = _read_array(holds, values)
        if quick is not None:
            return quick
        values = values.tolist()
    reader = READERS[holds]
    stored: list[Any] = []
    faults: list[str] = []
    for row, value in enumerate(values, start=1):
        if value is None:
            stored.append(None)
            continue
        try:
            stored.append(reader(value))
        except InvalidInput as fault:
            faults.append(f"{name}, row {row}: {fault.what}")
    if faults:
        more = [f"... and {len(faults) - SCREENFUL} more"] if len(faults) > SCREENFUL else []
        raise InvalidInput(
            f"{name} holds {holds}; {count(len(faults), 'value is', 'values are')} not.",
            faults=[*faults[:SCREENFUL], *more],
            todo=f"Correct these values, or declare {name} as what they are.",
        )
    return stored


def _read_array(holds: Holds, values: np.ndarray[Any, Any]) -> list[Any] | None:
    if holds.stored == "int" and holds not in {Holds.BOOL, Holds.INSTANT} and values.dtype.kind == "i":
        listed: list[Any] = values.astype(np.int64).tolist()
        return listed
    if holds is Holds.REAL and values.dtype.kind in "if":
        numbers = values.astype(np.float64) + 0.0
        finite: list[Any] = numbers.tolist()
        return None if np.isnan(numbers).any() else finite
    return None


def show(holds: Holds, value: Cell) -> Cell:
    """A stored value in the form that people and programs read: bool and instants are not left as numbers."""
    if value is None:
        return None
    if holds is Holds.BOOL:
        return bool(value)
    if holds is Holds.INSTANT:
        return (_EPOCH + dt.timedelta(microseconds=int(value))).isoformat().replace("+00:00", "Z")
    return value
