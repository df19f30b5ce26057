"""What one cell of text looks like, judged strictly, and the value it stands for once its column is decided.

A kind is a short word. Numbers keep apart what a reader could take in two ways:

- `year int wide huge`: whole numbers (1000-2999; others; beyond 2**53; beyond 64 bits); `bit`: 0 or 1
- `ident`, `long-ident`: digits that are a name rather than a number: leading zeros ("007"), "+" and eight digits or
  more; the long ones do not fit in 64 bits
- `real`: a decimal point that can be nothing else; `whole`: "3.0", as programs write whole numbers;
  `dot3`: "1.234", a decimal or a thousand
- `power`: "1e-5"; `exp`: "1e5", a number or a code
- `comma`, `comma3`: the same two with a comma; `grouped`: thousands separators; `nan`, `infinite`: no finite number
- `date`, `month`: year first; `dmy mdy same order`: day and month proven, equal, or unknown;
  `time` and `time-...` the same with a time of day; `zoned`, `fine`: with a zone, finer than microseconds
- `short-date`, `bad-date`: a two-digit year, a day that the calendar does not have
- `bool`: yes, no, true, false in any case; `text`: all else
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Final

from commonground.exchange.drafts import Value

_NUMBER: Final = re.compile(r"([+-]?)([0-9]*)(?:([.,])([0-9]*))?([eE][+-]?[0-9]+)?")
_GROUPED: Final = re.compile(
    r"[+-]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]*)?"
    r"|[+-]?[0-9]{1,3}(?:\.[0-9]{3})+(?:,[0-9]*)?"
    r"|[+-]?[0-9]{1,3}(?:(?P<gap>[ '\u00a0\u2009\u202f\u2019])[0-9]{3})(?:(?P=gap)[0-9]{3})*(?:[.,][0-9]*)?"
)
_MOMENT: Final = re.compile(
    r"(?:(?P<y>[0-9]{4})(?P<ysep>[-/.])(?P<m>[0-9]{1,2})(?P=ysep)(?P<d>[0-9]{1,2})"
    r"|(?P<a>[0-9]{1,2})(?P<sep>[./-])(?P<b>[0-9]{1,2})(?P=sep)(?P<long>[0-9]{4}|[0-9]{2}))"
    r"(?:(?:T|[ ]+)(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,](?P<part>[0-9]+))?)?"
    r"(?:[ ]?(?P<half>[AaPp])[Mm])?(?P<zone>[ ]?(?:Z|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?))?)?"
)
_MONTH: Final = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])")
_YEAR: Final = re.compile(r"[12][0-9]{3}")

_WORDS: Final = {
    "yes": "bool", "no": "bool", "true": "bool", "false": "bool",
    "nan": "nan", "-nan": "nan", "+nan": "nan",
    "inf": "infinite", "+inf": "infinite", "-inf": "infinite",
    "infinity": "infinite", "+infinity": "infinite", "-infinity": "infinite", "∞": "infinite", "-∞": "infinite",
}  # fmt: skip
_LONGEST: Final = 64
_BOOLS: Final = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
_STARTS: Final = frozenset("0123456789+-.,")

EXACT: Final = 2**53
LARGEST: Final = 2**63
LONG_PLUS: Final = 8
LONG_WHOLE: Final = 16
GROUP: Final = 3
SHORT_YEAR: Final = 2
HALF_DAY: Final = 12
MICROSECONDS: Final = 6


def kind_of(text: str) -> str:
    """The kind of a cell without spaces around it; see the head of this file for the kinds."""
    if not text or len(text) > _LONGEST:
        return "huge" if text.isascii() and text.isdigit() else "text"
    if text[0] not in _STARTS:
        return _WORDS.get(text.lower(), "text")
    if text.isascii() and text.isdigit():
        return _kind_of_digits(text)
    number = _NUMBER.fullmatch(text)
    if number is not None and (number[2] or number[4]):
        return _kind_of_number(text, number)
    if _MONTH.fullmatch(text):
        return "month"
    moment = _MOMENT.fullmatch(text)
    if moment is not None:
        return _kind_of_moment(moment)
    if _GROUPED.fullmatch(text):
        return "grouped"
    return _WORDS.get(text.lower(), "text")


def _kind_of_digits(text: str) -> str:
    if text[0] == "0":
        return "bit" if text == "0" else _kind_of_name(text)
    if len(text) < LONG_WHOLE:
        if text == "1":
            return "bit"
        return "year" if _YEAR.fullmatch(text) else "int"
    return _kind_of_size(int(text))


def _kind_of_name(digits: str) -> str:
    return "ident" if len(digits) < len(str(LARGEST)) else "long-ident"


def _kind_of_size(whole: int) -> str:
    if abs(whole) <= EXACT:
        return "int"
    return "wide" if -LARGEST <= whole < LARGEST else "huge"


def _kind_of_number(text: str, number: re.Match[str]) -> str:
    sign, whole, mark, part, power = number.groups()
    padded = len(whole) > 1 and whole[0] == "0"
    if mark is None and power is None:
        return _kind_of_name(whole) if padded or (sign == "+" and len(whole) >= LONG_PLUS) else _kind_of_size(int(text))
    if padded:
        return "text"
    if mark is None:
        if not math.isfinite(float(text)):
            return "infinite"
        return "exp" if power is not None and power[1] not in "+-" and not sign else "power"
    if mark == "," and not part:
        return "text"
    if power is not None and not math.isfinite(float(text.replace(",", "."))):
        return "infinite"
    thousand = power is None and part is not None and len(part) == GROUP and 0 < len(whole) <= GROUP and whole != "0"
    if mark == ".":
        if thousand:
            return "dot3"
        return "whole" if power is None and part and not part.strip("0") and len(whole) < LONG_WHOLE else "real"
    return "comma3" if thousand else "comma"


def _kind_of_moment(moment: re.Match[str]) -> str:
    order = _order_of(moment)
    timed = moment["hour"] is not None
    if order in {"short-date", "bad-date"}:
        return order
    if not timed:
        return order
    if _moment(moment, "mdy" if order == "mdy" else "dmy") is None:
        return "bad-date"
    if moment["zone"]:
        return "zoned"
    if moment["part"] and len(moment["part"].rstrip("0")) > MICROSECONDS:
        return "fine"
    return "time" if order == "date" else f"time-{order}"


def _order_of(moment: re.Match[str]) -> str:
    if moment["y"]:
        return "date" if _is_day(int(moment["y"]), int(moment["m"]), int(moment["d"])) else "bad-date"
    if len(moment["long"]) == SHORT_YEAR:
        return "short-date"
    year, first, second = int(moment["long"]), int(moment["a"]), int(moment["b"])
    day_first, month_first = _is_day(year, second, first), _is_day(year, first, second)
    if day_first and month_first:
        return "same" if first == second else "order"
    if day_first:
        return "dmy"
    return "mdy" if month_first else "bad-date"


def _is_day(year: int, month: int, day: int) -> bool:
    try:
        datetime(year, month, day, tzinfo=UTC)
    except ValueError:
        return False
    return True


def _moment(moment: re.Match[str], order: str) -> str | None:
    if moment["y"]:
        year, month, day = int(moment["y"]), int(moment["m"]), int(moment["d"])
    else:
        day, month, year = int(moment["a"]), int(moment["b"]), int(moment["long"])
        if order == "mdy":
            day, month = month, day
    if moment["hour"] is None:
        return f"{year:04}-{month:02}-{day:02}"
    hour, minute, second = int(moment["hour"]), int(moment["minute"]), int(moment["second"] or 0)
    if moment["half"]:
        if not 1 <= hour <= HALF_DAY:
            return None
        hour = hour % HALF_DAY + (HALF_DAY if moment["half"] in "Pp" else 0)
    part = int((moment["part"] or "0")[:MICROSECONDS].ljust(MICROSECONDS, "0"))
    try:
        return datetime(year, month, day, hour, minute, second, part).isoformat()  # noqa: DTZ001 - local, no zone
    except ValueError:
        return None


def to_int(text: str) -> int:
    """The whole number a cell stands for, written 3 or 3.0."""
    return int(float(text)) if "." in text else int(text)


def to_real(text: str) -> float:
    """The number a cell with a decimal point stands for."""
    return float(text)


def to_real_comma(text: str) -> float:
    """The number a cell with a decimal comma stands for."""
    return float(text.replace(",", "."))


def to_bool(text: str) -> bool:
    """The truth a cell stands for: yes, true, 1, or no, false, 0."""
    return _BOOLS[text.lower()]


def to_moment(text: str, order: str = "dmy") -> Value:
    """The date or local time a cell stands for, as ISO text; `order` ("dmy", "mdy") reads dates without year first."""
    moment = _MOMENT.fullmatch(text)
    return text if moment is None else _moment(moment, order)
