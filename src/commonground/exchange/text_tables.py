"""A table whose cells are text, in one pass for what it proves and one for its values.

The formats (delimited text, worksheets) supply pages of cells; what the cells mean is decided here, the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time
from pathlib import Path
from typing import Final

from commonground.errors import InvalidInput
from commonground.exchange.cell_kinds import EXACT
from commonground.exchange.drafts import (
    MISSING,
    FaultList,
    Slice,
    TableDraft,
    check_columns_exist,
    one_or_more,
    steady,
    too_long,
)
from commonground.exchange.repeats import Keys, check_keys
from commonground.exchange.text_columns import (
    Decision,
    Evidence,
    add_faults,
    column_draft,
    decide,
    stated_types,
    values_of,
)

PAGE: Final = 20_000
PAGE_TEXT: Final = 1 << 24
"""A page ends when it holds this many characters, however few its rows."""


@dataclass(slots=True)
class Page:
    """Some rows of a table: their numbers, their lines in the file, their cells, all of one width."""

    rows: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    cells: list[list[str]] = field(default_factory=list)


Row = tuple[int, int, list[str], int]
"""Number, line, cells, and about how many characters they are."""

Pages = Callable[[int, FaultList | None], Iterator[Page]]
"""Reads the rows from the start, at most so many to a page, and adds what is wrong with them to the list, if given."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How the caller wants the cells read."""

    key: tuple[str, ...] = ()
    types: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = MISSING
    decimal: str | None = None

    @classmethod
    def asked(
        cls,
        key: str | Sequence[str] | None,
        types: Mapping[str, str] | None,
        missing: Sequence[str],
        decimal: str | None,
        names: Sequence[str],
    ) -> Reading:
        """What the caller asks, checked against the columns there are."""
        parts = one_or_more(key)
        check_columns_exist(parts, names, "the key")
        if decimal not in {None, ".", ","}:
            raise InvalidInput(f"'{decimal}' is no decimal sign.", todo="State '.' or ','.")
        if isinstance(missing, str):
            raise InvalidInput("The missing values are one text.", todo="Give them as a list.")
        return cls(parts, stated_types(types, names), tuple(cell.strip() for cell in missing), decimal)


@dataclass(frozen=True, slots=True)
class Layout:
    """What the format found out before the first row."""

    source: Path
    digest: str
    names: tuple[str, ...]
    encoding: str | None = None
    delimiter: str | None = None
    dots_in_doubt: bool = False
    """Whether the format gives reason to take "1.234" for a thousand."""


def paged(rows: Iterable[Row], size: int) -> Iterator[Page]:
    """Rows gathered into pages of at most `size`, fewer when the cells are long."""
    page = Page()
    length = 0
    for row, line, cells, characters in rows:
        page.rows.append(row)
        page.lines.append(line)
        page.cells.append(cells)
        length += characters
        if len(page.rows) >= size or length > PAGE_TEXT:
            yield page
            page, length = Page(), 0
    if page.rows:
        yield page


def draft_table(
    layout: Layout,
    pages: Pages,
    reading: Reading,
    *,
    faults: FaultList,
    notes: list[str],
    again: Callable[[Mapping[str, str], Sequence[str]], TableDraft],
) -> TableDraft:
    """The draft of a table of text cells: types decided, keys checked, every fault collected."""
    names = layout.names
    missing = frozenset(reading.missing)
    seen, rows = _survey(pages, names, missing, faults)
    points = any(evidence.kinds["real"] or evidence.kinds["whole"] for evidence in seen)
    in_doubt = any(evidence.kinds["comma"] for evidence in seen) or (layout.dots_in_doubt and not points)
    decisions = [
        decide(evidence, reading.types.get(name), reading.decimal, dots_in_doubt=in_doubt)
        for name, evidence in zip(names, seen, strict=True)
    ]
    for name, evidence, decision in zip(names, seen, decisions, strict=True):
        add_faults(name, evidence, decision, faults)
    if reading.key:
        _check_key(reading, names, decisions, pages, faults)
    columns = tuple(
        column_draft(name, evidence, decision, is_key=name in reading.key)
        for name, evidence, decision in zip(names, seen, decisions, strict=True)
    )
    commas = any(decision.type == "real" and decision.decimal == "," for decision in decisions)

    def read(size: int) -> Iterator[Slice]:
        with steady(layout.source, layout.digest):
            for page in pages(size, None):
                values = {
                    name: values_of(cells, decision, missing, is_key=name in reading.key)
                    for name, decision, cells in zip(names, decisions, zip(*page.cells, strict=True), strict=True)
                }
                yield Slice(page.rows, page.lines, values)

    return TableDraft(
        source=layout.source,
        digest=layout.digest,
        encoding=layout.encoding,
        delimiter=layout.delimiter,
        decimal="," if commas else ".",
        columns=columns,
        rows=rows,
        faults=faults.listed(),
        notes=tuple(notes),
        fault_count=len(faults),
        key=reading.key,
        missing=reading.missing,
        reader=read,
        again=again,
    )


def _survey(
    pages: Pages, names: Sequence[str], missing: frozenset[str], faults: FaultList
) -> tuple[list[Evidence], int]:
    seen = [Evidence() for _ in names]
    rows = 0
    for page in pages(PAGE, faults):
        rows += len(page.rows)
        for evidence, cells in zip(seen, zip(*page.cells, strict=True), strict=True):
            evidence.observe(page.rows, page.lines, cells, missing)
    if not rows and not len(faults):
        faults.add("no-rows", "the table has a header and no rows")
    return seen, rows


def _check_key(
    reading: Reading, names: Sequence[str], decisions: Sequence[Decision], pages: Pages, faults: FaultList
) -> None:
    places = [names.index(name) for name in reading.key]
    missing = frozenset(reading.missing)
    usable = True
    for name, place in zip(reading.key, places, strict=True):
        kind = decisions[place].type
        if kind in {"real", "bool"}:
            words = f"a {kind} column makes no key; state the type text if these are names"
            faults.add("bad-key", words, column=name)
            usable = False
    if not usable or any(fault.kind.startswith(("not-", "doubtful-")) for fault in faults.listed()):
        decisions = [Decision("text") for _ in decisions]

    def keys() -> Iterator[Keys]:
        for page in pages(PAGE, None):
            columns = [[cells[place] for cells in page.cells] for place in places]
            parts = [
                values_of(cells, decisions[place], missing, is_key=True)
                for place, cells in zip(places, columns, strict=True)
            ]
            yield page.rows, page.lines, parts

    check_keys(keys, reading.key, faults)


def cell_of(value: object, decimal: str | None = None) -> str:
    """The text of a typed value, such that the text means the value again; "" for None.

    A whole float is written as a whole number: worksheets do not tell them apart.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if value.is_integer() and abs(value) <= EXACT:
            return str(int(value))
        return repr(value).replace(".", decimal or ".")
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)


def bad_cell(text: str) -> tuple[str, str] | None:
    """What makes a cell unfit for any table, as kind and words; None if nothing does."""
    if too_long(text):
        return "long-cell", f"a cell of more than 1 MiB ({len(text):,} characters)"
    if "\0" in text:
        return "nul", "a NUL character"
    if not text.isascii():
        for letter in text:
            if "\ud800" <= letter <= "\udfff":
                if "\udc80" <= letter <= "\udcff":
                    return "bad-bytes", "bytes that are not in the encoding of the file"
                return "surrogate", "a lone surrogate, half of a character"
    return None
