"""Delimited text (CSV, TSV, and the like) into a draft, with every fault at once.

Quoting is that of RFC 4180: a cell in double quotes may hold delimiters, line breaks and doubled quotes, and nothing
may stand between its closing quote and the next delimiter. A quote that never closes costs its own line only: reading
goes on with the next. Blank lines, and rows of empty cells at the end, are left out and counted in the notes. A first
line "sep=;", as Excel writes it, names the delimiter.
"""

from __future__ import annotations

import csv
import itertools
import os
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TextIO

from commonground.errors import BrokenFile, InvalidInput, count
from commonground.exchange.drafts import (
    CELL_LIMIT,
    MISSING,
    FaultList,
    TableDraft,
    check_names,
    clean_name,
    printable,
    source_file,
    steady,
)
from commonground.exchange.text_encoding import TextEncoding, find_encoding
from commonground.exchange.text_tables import Layout, Page, Reading, Row, bad_cell, draft_table, paged

DELIMITERS: Final = (",", ";", "\t", "|")
_NAMES: Final = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_LINE_LIMIT: Final = 1 << 24
"""A line, or the lines of one row, longer than this many characters cannot be a row."""
_FIELD_LIMIT: Final = 1 << 26
_SAMPLE_LINES: Final = 500
_SAMPLE_TEXT: Final = 1 << 20
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_SEPARATOR_LINE: Final = re.compile(r"\ufeff?sep=([^\"\0 ])\r?\n?", re.IGNORECASE)


class _TooLong(Exception):
    """The lines of one row are longer than any row."""


class _Lines:
    """The lines of a text, counted; those of a row that turned out broken can be given back."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._returned: deque[str] = deque()
        self.number = 0
        self.blank = 0
        self.pulled: list[str] = []
        self.length = 0
        self.suspect = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._returned.popleft() if self._returned else self._file.readline(_LINE_LIMIT)
        if not line:
            raise StopIteration
        self.number += 1
        self.pulled.append(line)
        self.length += len(line)
        if self.length >= _LINE_LIMIT:
            raise _TooLong
        if "\0" in line or (not line.isascii() and _SURROGATE.search(line)):
            self.suspect = True
        return line

    def begin(self) -> None:
        """The next line begins a row."""
        self.pulled = []
        self.length = 0
        self.suspect = False

    def give_back(self) -> None:
        """All lines of the present row but its first will be read again."""
        again = self.pulled[1:]
        self._returned.extendleft(reversed(again))
        self.number -= len(again)


@dataclass(slots=True)
class _Form:
    """What is known of the file before its rows are read."""

    source: Path
    encoding: TextEncoding
    delimiter: str
    skip: int
    """Lines before the header."""
    names: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Record:
    line: int
    cells: list[str]
    suspect: bool
    problem: str = ""
    """Why the line has no cells."""
    text: str = ""


def inspect(
    path: str | os.PathLike[str],
    *,
    key: str | Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    missing: Sequence[str] = MISSING,
    decimal: str | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
) -> TableDraft:
    """What a delimited text file holds, and everything that is wrong with it.

    `key` names the columns that must tell rows apart; `types` states types (`text_columns.STATED`) by column;
    `missing` lists the cells that mean no value. What is not stated is found out, and said in the notes.
    NotFound, InvalidInput, BrokenFile if there is no table to inspect at all.
    """
    source = source_file(path)
    _raise_field_limit()
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n\0 '):
        raise InvalidInput("The delimiter is not one plain character.", todo="State ',', ';', '|' or a tab.")
    faults = FaultList()
    with steady(source) as digest:
        found = find_encoding(source, encoding)
        try:
            form = _form(source, found, delimiter, faults)
            layout = Layout(source, digest, form.names, found.name, form.delimiter, form.delimiter == ";")
            reading = Reading.asked(key, types, missing, decimal, form.names)

            def pages(size: int, faults: FaultList | None) -> Iterator[Page]:
                return paged(_rows(form, faults), size)

            def again(types: Mapping[str, str], missing: Sequence[str]) -> TableDraft:
                stated = {**reading.types, **types}
                asked = (decimal, encoding, delimiter)
                return inspect(
                    source, key=reading.key, types=stated, missing=missing,
                    decimal=asked[0], encoding=asked[1], delimiter=asked[2],
                )  # fmt: skip

            return draft_table(layout, pages, reading, faults=faults, notes=form.notes, again=again)
        except UnicodeDecodeError as error:
            raise BrokenFile(
                f"{source.name} is not in the encoding {found.name}: {error.reason}.", todo="State its encoding."
            ) from None


def _raise_field_limit() -> None:
    """The limit is one for the whole process: raised only, so that nobody else's reading breaks."""
    if csv.field_size_limit() < _FIELD_LIMIT:
        csv.field_size_limit(_FIELD_LIMIT)


def _form(source: Path, encoding: TextEncoding, delimiter: str | None, faults: FaultList) -> _Form:
    notes = [encoding.note] if encoding.note else []
    with encoding.open(source) as file:
        first = file.readline(_LINE_LIMIT)
        stated = _SEPARATOR_LINE.fullmatch(first)
        sample = [] if stated else [first]
        length = len(first)
        while (line := file.readline(_LINE_LIMIT)) and len(sample) < _SAMPLE_LINES and length < _SAMPLE_TEXT:
            sample.append(line)
            length += len(line)
    if delimiter is None:
        delimiter = stated[1] if stated else _sniff(sample, notes, faults, cut=bool(line))
    form = _Form(source, encoding, delimiter, 1 if stated else 0, notes=notes)
    with encoding.open(source) as file:
        lines = _Lines(file)
        header = next(_records(lines, form, faults), None)
    if header is None or not header.cells:
        raise BrokenFile(
            f"{source.name} has no header line that can be read.",
            todo="Export it again, with the names of its columns.",
            faults=[] if header is None else [f"line {header.line}: {header.problem}"],
        )
    names = [clean_name(name.removeprefix("\ufeff")) for name in header.cells]
    for place, name in enumerate(names, start=1):
        problem = bad_cell(name)
        if problem:
            faults.add(problem[0], f"{problem[1]} in the name of column {place}", line=header.line, sample=name)
    check_names(names, faults)
    form.names = tuple(names)
    return form


def _sniff(sample: Sequence[str], notes: list[str], faults: FaultList, *, cut: bool) -> str:
    """The delimiter under which most rows are as wide as the header."""
    shares: dict[str, tuple[float, int]] = {}
    rows = 0
    for delimiter in DELIMITERS:
        widths = [len(cells) for cells in csv.reader(sample, delimiter=delimiter) if cells]
        if cut:
            widths = widths[:-1]
        rows = max(rows, len(widths) - 1)
        if len(widths) and widths[0] > 1:
            same = sum(width == widths[0] for width in widths[1:])
            shares[delimiter] = (same / max(1, len(widths) - 1), widths[0])
    if not shares:
        notes.append("one column, no delimiter found")
        return ","
    best = max(shares, key=lambda delimiter: shares[delimiter])
    rivals = [delimiter for delimiter, (share, _) in shares.items() if share == shares[best][0] > 0]
    if len(rivals) > 1 and rows > 0:
        words = " or ".join(_NAMES[delimiter] for delimiter in rivals)
        faults.add("doubtful-delimiter", f"the delimiter can be {words}; state it")
    notes.append(f"delimiter: {_NAMES[best]}")
    return best


def _records(lines: _Lines, form: _Form, faults: FaultList | None) -> Iterator[_Record]:
    """The rows of the file from the header on, blank lines left out.

    A row with broken quotes has no cells; its other lines are read again as rows of their own.
    """
    reader = csv.reader(lines, delimiter=form.delimiter, strict=True)
    for _ in range(form.skip):
        next(lines)
    while True:
        lines.begin()
        start = lines.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except (csv.Error, _TooLong) as error:
            if len(lines.pulled) == 1 and isinstance(error, _TooLong):
                if faults is not None:
                    words = "the line is longer than any row; reading stopped here"
                    faults.add("unreadable", words, line=start, sample=lines.pulled[0])
                return
            yield _Record(start, [], suspect=True, problem=_quote_words(error), text=lines.pulled[0])
            lines.give_back()
            reader = csv.reader(lines, delimiter=form.delimiter, strict=True)
            continue
        if not cells:
            lines.blank += 1
        else:
            yield _Record(start, cells, lines.suspect or lines.length * 4 > CELL_LIMIT)


def _quote_words(error: Exception) -> str:
    if isinstance(error, csv.Error) and "expected after" in str(error):
        return "text after a closing quote, or a quote that does not close; quotes within a cell are doubled"
    if isinstance(error, _TooLong) or "unexpected end" in str(error):
        return "a quote opens here and never closes"
    return f"the line cannot be read: {error}"


def _rows(form: _Form, faults: FaultList | None) -> Iterator[Row]:
    """The rows that have the width of the header and no unfit cell."""
    width = len(form.names)
    row = 0
    empty: list[tuple[int, int]] = []
    with form.encoding.open(form.source) as file:
        lines = _Lines(file)
        for record in itertools.islice(_records(lines, form, faults), 1, None):
            row += 1
            cells = record.cells
            if (record.suspect or len(cells) != width) and not _fits(record, row, form, faults):
                continue
            if not any(cells):
                empty.append((row, record.line))
                continue
            for blank, line in empty:
                yield blank, line, [""] * width, width
            empty.clear()
            yield row, record.line, cells, lines.length
    if faults is not None:
        if lines.blank:
            form.notes.append(f"{lines.blank:,} blank lines left out")
        if empty:
            form.notes.append(f"{len(empty):,} empty rows at the end left out")


def _fits(record: _Record, row: int, form: _Form, faults: FaultList | None) -> bool:
    width = len(form.names)
    if not record.cells:
        if faults is not None:
            faults.add("broken-quotes", record.problem, row=row, line=record.line, sample=record.text)
        return False
    if len(record.cells) != width:
        if not any(record.cells):
            return True
        if faults is not None:
            words = f"{count(len(record.cells), 'cell')} where the header has {width}"
            shown = form.delimiter.join(record.cells[:width])
            faults.add("ragged-row", words, row=row, line=record.line, sample=shown)
        return False
    fits = True
    for name, cell in zip(form.names, record.cells, strict=True):
        problem = bad_cell(cell)
        if problem is not None:
            fits = False
            if faults is not None:
                faults.add(problem[0], problem[1], row=row, line=record.line, column=name, sample=printable(cell))
    return fits
