"""What an outside file becomes before the catalogue takes it: typed columns, all its faults at once, chunks of values.

A draft holds no values. `chunks` reads the file a second time, so memory does not grow with the file, and refuses a
file that is no longer the one inspected (SHA-256). Values are int, float, bool or str; None is a missing value.

| type | value | text |
|---|---|---|
| int | int within 64 bits | |
| real | finite float | |
| bool | bool | |
| text | str | as in the file; cells of a key without spaces around them, NFC |
| date | str | ISO with reduced precision: "2024", "2024-03", "2024-03-05" |
| time | str | ISO, local, without a zone: "2024-03-05T10:20:30[.ffffff]" |

Rows are numbered from 1 and do not count the header; lines are lines of the file (rows of the sheet), from 1.
"""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NoReturn, Self

from commonground.errors import BrokenFile, Conflict, InvalidInput, NotFound

DraftType = Literal["int", "real", "bool", "text", "date", "time"]
Value = int | float | bool | str | None
Chunk = dict[str, list[Value]]

TYPES: Final[tuple[DraftType, ...]] = ("int", "real", "bool", "text", "date", "time")
MISSING: Final = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null")
"""Cells that mean "no value" unless the caller says otherwise; spaces around a cell do not count."""

CELL_LIMIT: Final = 1 << 20
"""The largest cell that is taken, in bytes of UTF-8."""

SHOWN: Final = 50
"""How many faults are listed, besides the first of each kind in each column; the rest are counted."""

SAMPLE: Final = 60


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a file, and where."""

    row: int | None
    """Data row from 1, as in the file; None when it concerns a column or the whole file."""
    column: str | None
    what: str
    """What is wrong, and where it helps, what to do."""
    sample: str | None = None
    """The beginning of the cell or name, made printable."""
    line: int | None = None
    """Line of the file, or row of the sheet, from 1."""
    kind: str = ""
    """A stable word for faults of this sort, such as "ragged-row"."""

    def __str__(self) -> str:
        places = [
            f"row {self.row}" if self.row is not None else "",
            f"line {self.line}" if self.line is not None else "",
            f"column '{self.column}'" if self.column is not None else "",
        ]
        where = ", ".join(place for place in places if place)
        words = f"{where}: {self.what}" if where else self.what
        return words if self.sample is None else f"{words} ('{self.sample}')"


class FaultList:
    """Faults as they are found: the first `SHOWN` of each kind and column are kept, all are counted."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str | None], list[Fault]] = {}
        self._counts: dict[tuple[str, str | None], int] = {}

    def __len__(self) -> int:
        return sum(self._counts.values())

    def add(
        self,
        kind: str,
        what: str,
        *,
        row: int | None = None,
        line: int | None = None,
        column: str | None = None,
        sample: str | None = None,
    ) -> None:
        """Count one fault, and keep it while fewer than `SHOWN` of its kind and column are kept."""
        group = (kind, column)
        self._counts[group] = self._counts.get(group, 0) + 1
        kept = self._kept.setdefault(group, [])
        if len(kept) < SHOWN:
            shown = None if sample is None else printable(sample)
            kept.append(Fault(row, column, what, shown, line, kind))

    def count(self, kind: str, column: str | None, times: int) -> None:
        """Count faults that are not described because `SHOWN` of their kind already are."""
        if times:
            group = (kind, column)
            self._counts[group] = self._counts.get(group, 0) + times

    def listed(self) -> tuple[Fault, ...]:
        """The faults as a file is read: of the whole first, then row by row; last, how many more there are of which."""
        firsts = {id(kept[0]) for kept in self._kept.values()}
        every = sorted((fault for kept in self._kept.values() for fault in kept), key=_place)
        lines = [fault for at, fault in enumerate(every) if at < SHOWN or id(fault) in firsts]
        listed = Counter((fault.kind, fault.column) for fault in lines)
        for (kind, column), kept in self._kept.items():
            if rest := self._counts[kind, column] - listed[kind, column]:
                lines.append(Fault(None, column, f"and {rest:,} more, such as: {kept[0].what}", kind=kind))
        return tuple(lines)


def _place(fault: Fault) -> tuple[int, int]:
    """Where a fault stands among others; those of one row stay in the order in which their columns were looked at."""
    return fault.row or 0, fault.line or 0


@dataclass(frozen=True, slots=True)
class ColumnDraft:
    """A column as the file proves it to be."""

    name: str
    type: DraftType
    missing: int
    """How many cells hold no value."""
    examples: tuple[str, ...]
    """The first few different cells, made printable."""
    note: str = ""
    """What was decided that the reader should know, in words."""


@dataclass(frozen=True, slots=True)
class Slice:
    """A chunk with the place of each row in the file."""

    rows: Sequence[int]
    lines: Sequence[int | None]
    columns: Chunk


Reader = Callable[[int], Iterator[Slice]]


@dataclass(frozen=True, slots=True)
class TableDraft:
    """A table file, inspected: what its columns are, what is wrong with it, and how to read it."""

    source: Path
    digest: str
    """SHA-256 of the file, in hexadecimal."""
    encoding: str | None
    delimiter: str | None
    decimal: str | None
    columns: tuple[ColumnDraft, ...]
    rows: int
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]
    fault_count: int = 0
    """All faults, those not listed included."""
    key: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    """The cells that were read as no value."""
    reader: Reader = field(repr=False, compare=False, kw_only=True)
    """Reads the rows that are whole; only to be asked when no cell of a column is a fault."""
    again: Callable[[Mapping[str, str], Sequence[str]], TableDraft] = field(repr=False, compare=False, kw_only=True)
    """Inspects the file once more: types stated besides those stated before, cells that mean no value."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in the order of the file."""
        return tuple(column.name for column in self.columns)

    def check(self) -> Self:
        """The draft itself; InvalidInput with every fault if it has any."""
        if self.faults:
            refuse(self.source, self.faults, self.fault_count)
        return self

    def chunks(self, size: int = 50_000) -> Iterator[Chunk]:
        """Typed columns, at most `size` rows at a time (fewer when the cells are long).

        InvalidInput if the draft has faults; Conflict if the file is no longer the one inspected.
        """
        if size < 1:
            raise InvalidInput("A chunk has at least one row.", todo="Give a size of 1 or more.")
        self.check()
        return (part.columns for part in self.reader(size))

    def retyped(self, types: Mapping[str, str], missing: Sequence[str] | None = None) -> TableDraft:
        """The same file inspected once more, with these types stated and these cells meaning no value."""
        return self.again(types, self.missing if missing is None else missing)


def refuse(source: Path, faults: Sequence[Fault], total: int) -> NoReturn:
    """InvalidInput that lists the faults of a file."""
    number = "one fault" if total == 1 else f"{total:,} faults"
    raise InvalidInput(
        f"{source.name} has {number}.",
        todo="Correct the file, or state types, missing values or a decimal sign, and look again.",
        faults=[str(fault) for fault in faults],
    )


def printable(text: str) -> str:
    """The beginning of a text in which control characters and lone surrogates are written as escapes."""
    cut = text[:SAMPLE]
    shown = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape", "surrogatepass").decode("ascii")
        for letter in cut
    )
    return shown + ("..." if len(text) > SAMPLE else "")


def too_long(text: str) -> bool:
    """Whether a cell is larger than the largest that is taken."""
    return len(text) * 4 > CELL_LIMIT and len(text.encode("utf-8", "surrogatepass")) > CELL_LIMIT


def clean_name(name: str) -> str:
    """A column name as it will be stored: NFC, without spaces around it."""
    return unicodedata.normalize("NFC", name.strip())


def check_names(names: Sequence[str], faults: FaultList) -> None:
    """Add a fault for each column name that is empty, unprintable, or the twin of an earlier one.

    Twins are equal names, or names equal after NFC and case folding: two people would not tell them apart.
    """
    first: dict[str, tuple[int, str]] = {}
    for place, name in enumerate(names, start=1):
        if not name:
            faults.add("no-name", f"column {place} has no name: name it, or delete it if it only numbers the rows")
            continue
        if not name.isprintable():
            faults.add("bad-name", f"the name of column {place} holds a line break or control character", sample=name)
        twin = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
        if twin not in first:
            first[twin] = (place, name)
            continue
        before, other = first[twin]
        if other == name:
            faults.add("duplicate-name", f"columns {before} and {place} have the same name", sample=name)
        else:
            words = (
                f"the names of columns {before} ('{printable(other)}') and {place} differ only in case or accents' form"
            )
            faults.add("twin-name", words, sample=name)


def check_columns_exist(asked: Iterable[str], names: Sequence[str], role: str) -> None:
    """InvalidInput that lists every name in `asked` that is no column."""
    unknown = [name for name in asked if name not in names]
    if unknown:
        raise InvalidInput(
            f"The file has no column for {role}.",
            faults=[f"no column '{printable(name)}'" for name in unknown],
            todo=f"The columns are: {', '.join(printable(name) for name in names[:SHOWN])}.",
        )


def one_or_more(key: str | Sequence[str] | None) -> tuple[str, ...]:
    """The columns of a key, given as one name, several, or none."""
    if key is None:
        return ()
    return tuple(clean_name(name) for name in ([key] if isinstance(key, str) else key))


def source_file(path: str | os.PathLike[str]) -> Path:
    """The path of an existing, ordinary, non-empty file.

    NotFound, InvalidInput (a folder, a pipe, a device) or BrokenFile (empty).
    """
    source = Path(path)
    try:
        found = source.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"There is no file {source}.", todo="Check the path.") from None
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{source.name} cannot be read: {error}.", todo="Check the path and its rights.") from None
    if not stat.S_ISREG(found.st_mode):
        raise InvalidInput(f"{source.name} is not an ordinary file.", todo="Give the path of a file.")
    if not found.st_size:
        raise BrokenFile(f"{source.name} is empty.", todo="Export it again.")
    return source


@contextmanager
def steady(source: Path, digest: str | None = None) -> Iterator[str]:
    """The SHA-256 of a file that must stay the same while it is read.

    Conflict if it is not `digest`, or if the file has changed when the block ends.
    """
    before = _signature(source)
    try:
        with source.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InvalidInput(f"{source.name} cannot be read: {error.strerror}.", todo="Check its rights.") from None
    if digest is not None and found != digest:
        raise Conflict(f"{source.name} has changed since it was inspected.", todo="Inspect it again.")
    yield found
    if _signature(source) != before:
        raise Conflict(f"{source.name} changed while it was being read.", todo="Inspect it again.")


def _signature(source: Path) -> tuple[int, ...]:
    try:
        found = source.stat()
    except OSError:
        raise Conflict(f"{source.name} is no longer there.", todo="Inspect it again.") from None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
