"""One sheet of an Excel workbook (.xlsx, .xlsm) into a draft, with every fault at once; needs the extra `excel`.

The first row holds the names of the columns. Formulas are read as the values stored with them; a formula without a
stored value, a merged range and an error cell (#N/A) are faults. Every cell becomes the text that means its value and
is then judged by the rules of text tables, so a number stored as text is judged as the same cell of a CSV file.
A date is a date when its format shows no time of day and it has none.
"""

from __future__ import annotations

import os
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final
from xml.etree import ElementTree as ET

from commonground.errors import BrokenFile, InvalidInput, MissingExtra
from commonground.exchange.drafts import (
    MISSING,
    FaultList,
    TableDraft,
    check_names,
    clean_name,
    printable,
    source_file,
    steady,
)
from commonground.exchange.text_tables import Layout, Page, Reading, Row, bad_cell, cell_of, draft_table, paged

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.cell.read_only import ReadOnlyCell
    from openpyxl.worksheet._read_only import ReadOnlyWorksheet

_MAIN: Final = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_UNPACKED_LIMIT: Final = 1 << 32
_STRINGS_LIMIT: Final = 1 << 29
_BROKEN: Final = (
    zipfile.BadZipFile,
    zlib.error,
    ET.ParseError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What the reading library raises for workbooks that are not what they claim to be."""


@dataclass(slots=True)
class _Sheet:
    """What is known of the sheet before its rows are read."""

    source: Path
    title: str
    decimal: str
    missing: tuple[str, ...]
    names: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)


def inspect(
    path: str | os.PathLike[str],
    *,
    sheet: str | None = None,
    key: str | Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    missing: Sequence[str] = MISSING,
    decimal: str | None = None,
) -> TableDraft:
    """What a sheet of a workbook (the first, unless named) holds, and everything that is wrong with it.

    `decimal` is the sign within cells of text; cells of numbers need none. The other parameters are those of CSV.
    MissingExtra without openpyxl; NotFound, InvalidInput, BrokenFile if there is no table to inspect at all.
    """
    source = source_file(path)
    faults = FaultList()
    with steady(source) as digest:
        found = _Sheet(source, sheet or "", decimal or ".", tuple(missing))
        with _workbook(source) as book:
            found.title = _title(book, sheet, found.notes)
            header = next(iter(_sheet(book, found.title).iter_rows(max_row=1)), ())
            found.names = _names(header, found, faults)
            _scan(book, found, faults)
        layout = Layout(source, digest, found.names)
        reading = Reading.asked(key, types, missing, found.decimal, found.names)

        def pages(size: int, faults: FaultList | None) -> Iterator[Page]:
            return paged(_rows(found, faults), size)

        def again(types: Mapping[str, str], missing: Sequence[str]) -> TableDraft:
            stated = {**reading.types, **types}
            return inspect(source, sheet=found.title, key=reading.key, types=stated, missing=missing, decimal=decimal)

        return draft_table(layout, pages, reading, faults=faults, notes=found.notes, again=again)


@contextmanager
def _workbook(source: Path) -> Iterator[Workbook]:
    try:
        import openpyxl  # noqa: PLC0415 - an optional extra
    except ImportError:
        raise MissingExtra(
            "Reading Excel workbooks needs the package openpyxl.", todo="Install commonground[excel]."
        ) from None
    warnings.filterwarnings("ignore", category=UserWarning, module=r"openpyxl\b")
    with source.open("rb") as file:
        try:
            _check_archive(file)
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
            try:
                yield book
            finally:
                book.close()
        except _BROKEN as error:
            raise BrokenFile(
                f"{source.name} is no workbook that can be read: {error}.",
                todo="Save it again as .xlsx without a password, or export the sheet as CSV.",
            ) from error


def _check_archive(file: BinaryIO) -> None:
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
    strings = max((entry.file_size for entry in entries if entry.filename.endswith("sharedStrings.xml")), default=0)
    if sum(entry.file_size for entry in entries) > _UNPACKED_LIMIT or strings > _STRINGS_LIMIT:
        raise ValueError("it unpacks to more than any workbook needs")
    file.seek(0)


def _title(book: Workbook, asked: str | None, notes: list[str]) -> str:
    titles = [str(sheet.title) for sheet in book.worksheets]
    if asked is not None:
        if asked not in titles:
            shown = ", ".join(f"'{printable(title)}'" for title in titles)
            raise InvalidInput(f"The workbook has no sheet '{printable(asked)}'.", todo=f"Its sheets are: {shown}.")
        return asked
    if not titles:
        raise InvalidInput("The workbook has no sheet of cells.", todo="Give another workbook.")
    if len(titles) > 1:
        others = ", ".join(f"'{printable(title)}'" for title in titles[1:])
        notes.append(f"sheet '{printable(titles[0])}', the first; not read: {others}")
    return titles[0]


def _sheet(book: Workbook, title: str) -> ReadOnlyWorksheet:
    """The sheet, without trusting the size that the file states for it."""
    sheet = next(sheet for sheet in book.worksheets if sheet.title == title)
    sheet.reset_dimensions()
    return sheet


def _names(header: Sequence[ReadOnlyCell], found: _Sheet, faults: FaultList) -> tuple[str, ...]:
    names = [clean_name(cell_of(cell.value)) for cell in header]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise BrokenFile(
            f"The first row of the sheet '{printable(found.title)}' is empty.",
            todo="Put the names of the columns in the first row.",
        )
    check_names(names, faults)
    return tuple(names)


def _scan(book: Workbook, found: _Sheet, faults: FaultList) -> None:
    """Add the faults that the reading library does not show: merged ranges, formulas without a stored value."""
    hidden = 0
    sheet = _sheet(book, found.title)
    with book._archive.open(sheet._worksheet_path) as xml:  # noqa: SLF001 - there is no public way to the sheet's file
        data: ET.Element | None = None
        row = column = 0
        for event, element in ET.iterparse(xml, events=("start", "end")):  # noqa: S314 - no entity expands
            tag = element.tag.removeprefix(_MAIN)
            if event == "start":
                data = element if tag == "sheetData" else data
                if tag == "row":
                    row, column = int(element.get("r") or row + 1), 0
            elif tag == "c":
                reference = "".join(filter(str.isalpha, element.get("r") or ""))
                column = _column_number(reference) if reference else column + 1
                if element.find(f"{_MAIN}f") is not None and not element.findtext(f"{_MAIN}v"):
                    words = "a formula without a stored value; open the workbook in Excel and save it"
                    name = found.names[column - 1] if column <= len(found.names) else None
                    faults.add("no-value", words, row=max(0, row - 1) or None, line=row, column=name)
            elif tag == "row":
                hidden += element.get("hidden") in {"1", "true"}
                if data is not None:
                    data.clear()
            elif tag == "mergeCell":
                cells = element.get("ref") or ""
                line = int("".join(filter(str.isdigit, cells.partition(":")[0])) or 0)
                words = "merged cells; unmerge them and fill in each cell"
                faults.add("merged-cells", words, row=max(0, line - 1) or None, line=line, sample=cells)
    if hidden:
        found.notes.append(f"{hidden:,} hidden rows are read like the others")


def _column_number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


def _rows(found: _Sheet, faults: FaultList | None) -> Iterator[Row]:
    """The rows below the header, as wide as the header; empty rows at the end are left out."""
    width = len(found.names)
    with _workbook(found.source) as book:
        empty: list[int] = []
        for line, cells in enumerate(_sheet(book, found.title).iter_rows(min_row=2), start=2):
            texts = _texts(cells, line, found, faults)
            if texts is None:
                continue
            if not any(texts):
                empty.append(line)
                continue
            for blank in empty:
                yield blank - 1, blank, [""] * width, width
            empty.clear()
            yield line - 1, line, texts, sum(map(len, texts))


def _texts(cells: Sequence[ReadOnlyCell], line: int, found: _Sheet, faults: FaultList | None) -> list[str] | None:
    width = len(found.names)
    fits = True
    texts = []
    for place, cell in enumerate(cells):
        text = _text(cell, found.decimal)
        problem: tuple[str, str] | None = None
        if place >= width:
            if text:
                problem = ("ragged-row", f"a cell beyond the {width} columns that have a name")
        elif cell.data_type == "e" and text not in found.missing:
            problem = ("error-cell", "an Excel error")
        elif isinstance(cell.value, str):
            problem = bad_cell(text)
        if problem is not None:
            fits = False
            if faults is not None:
                name = found.names[place] if place < width else None
                faults.add(*problem, row=line - 1, line=line, column=name, sample=text)
        texts.append(text)
    if not fits:
        return None
    return texts[:width] + [""] * (width - len(texts))


def _text(cell: ReadOnlyCell, decimal: str) -> str:
    value = cell.value
    if isinstance(value, datetime) and value.time() == datetime.min.time():
        shown = str(cell.number_format or "").lower().split(";")[0]
        if not any(letter in _without_names(shown) for letter in "hs"):
            return value.date().isoformat()
    return cell_of(value, decimal)


def _without_names(number_format: str) -> str:
    """A number format without its quoted words and its bracketed locale."""
    kept = []
    skipping = ""
    for letter in number_format:
        if skipping:
            skipping = "" if letter == skipping else skipping
        elif letter in '"[':
            skipping = '"' if letter == '"' else "]"
        else:
            kept.append(letter)
    return "".join(kept)
