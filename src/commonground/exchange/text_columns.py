"""What the text cells of a column prove about its type, and the typed values once it is decided.

Nothing is guessed in silence. A column is of the family (numbers, dates, times, truth) that more than 90 % of its
values belong to, and then every other value is a fault; with less it is text, and its note says what was mixed.
What can be read in two ways (1.234, 1,234, 03/04/2024, 1e5) is a fault that asks for a type or a decimal sign, unless
another cell of the column proves one reading. A type stated by the caller decides alone.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from commonground.errors import InvalidInput, count
from commonground.exchange.cell_kinds import kind_of, to_bool, to_int, to_moment, to_real, to_real_comma
from commonground.exchange.drafts import (
    SHOWN,
    TYPES,
    ColumnDraft,
    DraftType,
    FaultList,
    Value,
    check_columns_exist,
    clean_name,
    printable,
)

STATED: Final = (*TYPES, "date:dmy", "date:mdy", "time:dmy", "time:mdy")
"""The types a caller may state; an order says how 03/04/2024 is read."""

THRESHOLD: Final = 0.9
NOTED: Final = 0.1
EXAMPLES: Final = 5
KEPT: Final = 200

WHOLE: Final = frozenset({"bit", "year", "int"})
POINTS: Final = frozenset({"real", "whole"})
DOTS: Final = POINTS | {"dot3"}
COMMAS: Final = frozenset({"comma", "comma3"})
POWERS: Final = frozenset({"power", "exp"})
NAMES: Final = frozenset({"ident", "long-ident"})
NUMBERS: Final = WHOLE | DOTS | COMMAS | POWERS | NAMES | {"wide", "huge", "grouped", "nan", "infinite"}
DATES: Final = frozenset({"date", "month", "dmy", "mdy", "same", "order", "bad-date", "short-date"})
TIMES: Final = frozenset({"time", "time-dmy", "time-mdy", "time-same", "time-order", "zoned", "fine"})
EVERYTHING: Final = NUMBERS | DATES | TIMES | {"bool", "text"}

WORDS: Final = {
    "huge": "a whole number beyond 64 bits; if it is a name, state the type text",
    "wide": "a whole number beyond 2**53 among decimals would be rounded",
    "nan": "NaN is not a value; if it means missing, add it to the missing values",
    "infinite": "not a finite number",
    "grouped": "thousands separators are not taken; write the number without them",
    "comma": "a decimal comma where the decimal sign is a point",
    "comma3": "a thousands separator, or a decimal comma where the decimal sign is a point",
    "whole": "a decimal point where the decimal sign is a comma",
    "real": "a decimal point where the decimal sign is a comma",
    "dot3": "a thousands separator, or a decimal point where the decimal sign is a comma",
    "ident": "leading zeros or a plus sign make this a name, not a number",
    "long-ident": "leading zeros or a plus sign make this a name, not a number",
    "bad-date": "no day or time that exists",
    "short-date": "a year of two digits",
    "zoned": "a time with a zone; write the local time, or state the type text",
    "fine": "a time finer than microseconds",
    "dmy": "day first, where the dates of this column are month first",
    "mdy": "month first, where the dates of this column are day first",
    "time-dmy": "day first, where the dates of this column are month first",
    "time-mdy": "month first, where the dates of this column are day first",
}
UNFIT: Final[Mapping[DraftType, str]] = {
    "int": "not a whole number",
    "real": "not a number",
    "bool": "not yes or no",
    "text": "not text",
    "date": "not a date",
    "time": "not a date with a time of day",
}
"""What a cell is not, where nothing closer can be said."""


@dataclass(slots=True)
class Evidence:
    """What has been seen in one column so far; its size does not depend on the number of rows."""

    missing: int = 0
    markers: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    samples: dict[str, list[tuple[int, int, str]]] = field(default_factory=dict)
    """For each kind its first cells: row, line, text."""
    padded: int = 0
    """Cells with spaces around them."""
    examples: list[str] = field(default_factory=list)

    def observe(self, rows: Sequence[int], lines: Sequence[int], cells: Sequence[str], missing: frozenset[str]) -> None:
        """Take in one page of cells."""
        wanted: dict[str, str] = {}
        for cell, times in Counter(cells).items():
            text = cell.strip()
            if text in missing:
                self.missing += times
                if text:
                    self.markers[text] += times
                continue
            if len(text) != len(cell):
                self.padded += times
            kind = kind_of(text)
            self.kinds[kind] += times
            if len(self.examples) < EXAMPLES and (example := printable(text)) not in self.examples:
                self.examples.append(example)
            if len(self.samples.setdefault(kind, [])) < SHOWN:
                wanted[cell] = kind
        if wanted:
            for place, cell in enumerate(cells):
                found = wanted.get(cell)
                if found is not None and len(kept := self.samples[found]) < SHOWN:
                    kept.append((rows[place], lines[place], cell[:KEPT]))


@dataclass(frozen=True, slots=True)
class Decision:
    """How a column is read: its type, the kinds of cell that fit it, and what cannot be settled."""

    type: DraftType
    fits: frozenset[str] = EVERYTHING
    order: str = "dmy"
    decimal: str = "."
    note: str = ""
    doubts: tuple[tuple[str, str], ...] = ()
    """Faults of the whole column: kind, words."""

    def converter(self) -> Callable[[str], Value]:
        """The function from one cell, without spaces around it, to its value."""
        if self.type == "real":
            return to_real_comma if self.decimal == "," else to_real
        plain: dict[str, Callable[[str], Value]] = {"int": to_int, "bool": to_bool, "text": str}
        return plain.get(self.type) or partial(to_moment, order=self.order)


def stated_types(types: Mapping[str, str] | None, names: Sequence[str]) -> dict[str, str]:
    """The types a caller states, by clean column name; InvalidInput for unknown columns or types, all at once."""
    stated = {clean_name(name): kind for name, kind in (types or {}).items()}
    check_columns_exist(stated, names, "a stated type")
    wrong = [f"column '{printable(name)}': no type '{kind}'" for name, kind in stated.items() if kind not in STATED]
    if wrong:
        raise InvalidInput("A stated type is not known.", faults=wrong, todo=f"The types are: {', '.join(STATED)}.")
    return stated


def decide(seen: Evidence, stated: str | None, decimal: str | None, *, dots_in_doubt: bool) -> Decision:
    """The type of a column from its cells, or from the type stated for it.

    `decimal` is "." or "," if the caller says so; `dots_in_doubt`: the rest of the file gives reason to take "1.234"
    for a thousand.
    """
    if stated is not None:
        kind, _, order = stated.partition(":")
        return _stated(seen, kind, order, decimal)
    total = seen.kinds.total()
    if not total:
        return Decision("text", note="no values")
    shares = {name: count / total for name, count in _families(seen.kinds).items()}
    family = max(shares, key=lambda name: shares[name])
    if shares[family] <= THRESHOLD:
        looks = f"{shares[family]:.0%} of the values look like {family}; read as text"
        return Decision("text", note=looks if shares[family] >= NOTED else "")
    if family == "numbers":
        return _numbers(seen.kinds, decimal, dots_in_doubt=dots_in_doubt)
    if family == "truth":
        return Decision("bool", frozenset({"bool"}))
    return _moments(seen.kinds, "date" if family == "dates" else "time", "")


def _families(kinds: Counter[str]) -> dict[str, int]:
    reduced = kinds["year"] if kinds["date"] or kinds["month"] else 0
    return {
        "numbers": _count(kinds, NUMBERS),
        "dates": _count(kinds, DATES) + reduced,
        "times": _count(kinds, TIMES),
        "truth": kinds["bool"],
    }


def _count(kinds: Counter[str], which: Iterable[str]) -> int:
    return sum(kinds[kind] for kind in which)


def _stated(seen: Evidence, kind: str, order: str, decimal: str | None) -> Decision:
    if kind == "int":
        return Decision("int", WHOLE | {"wide", "ident", "whole"})
    if kind == "bool":
        return Decision("bool", frozenset({"bool", "bit"}))
    if kind == "real":
        mark, doubts = _decimal_sign(seen.kinds, decimal, dots_in_doubt=False)
        fits = WHOLE | POWERS | {"wide", "ident"} | (COMMAS if mark == "," else DOTS)
        return Decision("real", fits, decimal=mark, doubts=doubts)
    if kind == "date":
        return _moments(seen.kinds, "date", order)
    if kind == "time":
        return _moments(seen.kinds, "time", order)
    return Decision("text")


def _decimal_sign(
    kinds: Counter[str], decimal: str | None, *, dots_in_doubt: bool
) -> tuple[str, tuple[tuple[str, str], ...]]:
    if decimal is not None:
        return decimal, ()
    points = _count(kinds, POINTS)
    if not _count(kinds, COMMAS):
        if kinds["dot3"] and not points and dots_in_doubt:
            words = "numbers such as 1.234 can be decimals or thousands here; state the decimal sign"
            return ".", (("doubtful-number", words),)
        return ".", ()
    if kinds["comma"] and not points:
        return ",", ()
    if points and not kinds["comma"]:
        return ".", ()
    if not kinds["comma"]:
        words = "numbers such as 1,234 can be decimals or thousands; state the decimal sign, or write them without"
        return ",", (("doubtful-number", words),)
    return ("," if _count(kinds, COMMAS) > _count(kinds, DOTS) else "."), ()


def _numbers(kinds: Counter[str], decimal: str | None, *, dots_in_doubt: bool) -> Decision:
    fractions = _count(kinds, DOTS | COMMAS | POWERS)
    if _count(kinds, NAMES) and not fractions:
        return Decision("text", note="leading zeros or plus signs: names rather than numbers, read as text")
    if kinds["huge"] and not fractions:
        return Decision("text", EVERYTHING - {"huge"}, note="whole numbers beyond 64 bits, read as text")
    mark, doubts = _decimal_sign(kinds, decimal, dots_in_doubt=dots_in_doubt)
    if kinds["exp"] and fractions == kinds["exp"]:
        words = "cells such as 1e5 can be numbers or codes; state the type real or text"
        doubts = (*doubts, ("doubtful-number", words))
    if not fractions:
        return Decision("int", WHOLE | {"wide"})
    fits = WHOLE | POWERS | (COMMAS if mark == "," else DOTS)
    note = "decimal comma" if mark == "," else ""
    if fractions == kinds["whole"]:
        note = "all values are whole; state the type int if they are counts or grades"
    return Decision("real", fits, decimal=mark, note=note, doubts=doubts)


def _moments(kinds: Counter[str], family: DraftType, order: str) -> Decision:
    start = "" if family == "date" else "time-"
    dmy, mdy, either = kinds[f"{start}dmy"], kinds[f"{start}mdy"], kinds[f"{start}order"]
    doubts: tuple[tuple[str, str], ...] = ()
    if not order and either and bool(dmy) == bool(mdy):
        why = "some dates are day first and others month first" if dmy else "no date shows whether the day comes first"
        words = f"{why}; state the type '{family}:dmy' or '{family}:mdy'"
        doubts = ((f"doubtful-{family}", words),)
    chosen = order or ("mdy" if mdy > dmy else "dmy")
    fits = {f"{start}{chosen}", f"{start}same", f"{start}order"}
    fits |= {"date", "month", "year"} if family == "date" else {"time"}
    said = f"read {'day' if chosen == 'dmy' else 'month'} first" if dmy + mdy + either else ""
    return Decision(family, frozenset(fits), chosen, note=said, doubts=doubts)


def add_faults(name: str, seen: Evidence, decision: Decision, faults: FaultList) -> None:
    """Add the doubts of a column and every cell that does not fit its decision, in the order of the file."""
    for kind, words in decision.doubts:
        faults.add(kind, words, column=name)
    cells: list[tuple[int, int, str, str]] = []
    total = 0
    for kind, times in seen.kinds.items():
        if kind not in decision.fits:
            total += times
            cells += [(row, line, kind, text) for row, line, text in seen.samples[kind]]
    for row, line, kind, text in sorted(cells)[:SHOWN]:
        words = UNFIT[decision.type]
        if decision.type != "int" or kind in {"huge", "nan", "infinite", "grouped", "ident", "long-ident"}:
            words = WORDS.get(kind, words)
        faults.add(f"not-{decision.type}", words, row=row, line=line, column=name, sample=text)
    faults.count(f"not-{decision.type}", name, total - min(total, len(cells), SHOWN))


def column_draft(name: str, seen: Evidence, decision: Decision, *, is_key: bool) -> ColumnDraft:
    """The column as it is shown before an import."""
    notes = [decision.note]
    for marker, times in seen.markers.most_common():
        notes.append(f"{count(times, 'cell')} '{printable(marker)}' read as missing")
    if is_key and seen.padded:
        told = count(seen.padded, "key has spaces around it and is", "keys have spaces around them and are")
        notes.append(f"{told} read without")
    return ColumnDraft(name, decision.type, seen.missing, tuple(seen.examples), "; ".join(filter(None, notes)))


def values_of(cells: Sequence[str], decision: Decision, missing: frozenset[str], *, is_key: bool) -> list[Value]:
    """The typed values of cells whose column has no fault; None where the cell means no value."""
    if decision.type == "text":
        if is_key:
            normal = unicodedata.normalize
            return [None if (text := cell.strip()) in missing else normal("NFC", text) for cell in cells]
        return [None if cell.strip() in missing else cell for cell in cells]
    convert = decision.converter()
    if decision.type in {"int", "real"}:
        return [None if (text := cell.strip()) in missing else convert(text) for cell in cells]
    known: dict[str, Value] = {
        cell: None if (text := cell.strip()) in missing else convert(text) for cell in set(cells)
    }
    return [known[cell] for cell in cells]
