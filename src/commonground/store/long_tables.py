"""Tables too long for memory: rows put in order, and read and digested a portion at a time.

`Runs` takes portions of rows in any order, puts each in order, and merges them. What belongs together in a file follows
on: rows that come in order are one run, however many. `LongTable` takes rows in order; up to one portion stays in
memory, of more only the last. Rows are ordered by int columns without nulls that together tell every row from the
others. All columns are given, and come back, as arrays of one length, texts as objects.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeAlias

from commonground.errors import InvalidInput
from commonground.late import np
from commonground.store.canonical import LongColumn, long_table_digest
from commonground.store.canonical_words import Column
from commonground.store.column_file import ColumnFile, KeptColumn

PORTION = 1 << 16
"""Rows that are looked at together; a multiple of 8, so that every portion has whole bytes of a bitmap."""
MOST_RUNS = 64
"""So many are merged at once: of more each would be read a few rows at a time."""

Array: TypeAlias = "np.ndarray[Any, Any]"
Columns: TypeAlias = tuple[Column, ...]
Key: TypeAlias = tuple[int, ...]


def joined(pieces: Sequence[Columns]) -> Columns:
    """The rows of several tables with the same columns, one after the other."""
    return pieces[0] if len(pieces) == 1 else tuple(map(_joined, zip(*pieces, strict=True)))


def taken(columns: Columns, rows: slice | Array) -> Columns:
    """Some of the rows."""
    return tuple(
        Column(
            column.name,
            column.type,
            np.asarray(column.values)[rows],
            None if column.missing is None else np.asarray(column.missing)[rows],
        )
        for column in columns
    )


class Runs:
    """Rows given in any order, to be had in order."""

    def __init__(self, order: Sequence[str], folder: Path | None = None, portion: int = PORTION) -> None:
        self._order = tuple(order)
        self._file = ColumnFile(folder)
        self._portion = portion
        self._runs: list[_Run] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, columns: Columns) -> None:
        """Take rows in any order; memory holds about twice what is given."""
        if not len(columns[0].values):
            return
        keys = _keys(columns, self._order)
        if not _ascend(keys):
            columns = taken(columns, np.lexsort(keys[::-1]))
            keys = _keys(columns, self._order)
        if not self._runs or self._runs[-1].last >= _key(keys, 0):
            self._runs.append(_Run([], ()))
        self._keep(self._runs[-1], columns)

    def merged(self) -> Iterator[Columns]:
        """All rows in order, up to about a portion at a time."""
        while len(self._runs) > MOST_RUNS:
            fewer = []
            for start in range(0, len(self._runs), MOST_RUNS):
                fewer.append(_Run([], ()))
                for columns in self._merge(self._runs[start : start + MOST_RUNS]):
                    self._keep(fewer[-1], columns)
            self._runs = fewer
        yield from self._merge(self._runs)

    def _keep(self, run: _Run, columns: Columns) -> None:
        run.portions.append(tuple(map(self._file.put, columns)))
        run.last = _key(_keys(columns, self._order), -1)

    def _merge(self, runs: Sequence[_Run]) -> Iterator[Columns]:
        each = max(1, self._portion // max(1, len(runs)))
        waiting = [_Cursor(self._file, run, self._order, each) for run in runs]
        while waiting:
            # Up to the least of their last rows nothing can come any more from any of them.
            until = min((cursor.last for cursor in waiting if not cursor.exhausted), default=None)
            pieces = [piece for cursor in waiting if (piece := cursor.take(until))]
            columns = joined(pieces)
            keys = _keys(columns, self._order)
            yield columns if _ascend(keys) else taken(columns, np.lexsort(keys[::-1]))
            waiting = [cursor for cursor in waiting if cursor.fill()]


class LongTable:
    """Rows given in order, of which memory holds one portion."""

    def __init__(self, order: Sequence[str], folder: Path | None = None, portion: int = PORTION) -> None:
        self._order = tuple(order)
        self._folder = folder
        self._portion = portion
        self._pending: list[Columns] = []
        self._waiting = 0
        self._file: ColumnFile | None = None
        self._kept: list[tuple[KeptColumn, ...]] = []
        self._last: Key | None = None
        self.rows = 0
        """How many rows it has."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def append(self, columns: Columns) -> None:
        """Take more rows; raises InvalidInput if one has the place of another or an earlier one."""
        rows = len(columns[0].values)
        self._pending.append(columns)
        self._waiting += rows
        self.rows += rows
        if self._waiting > self._portion:
            given, start = joined(self._pending), 0
            while self._waiting > self._portion:
                self._keep(taken(given, slice(start, start + self._portion)))
                start += self._portion
                self._waiting -= self._portion
            self._pending = [taken(given, slice(start, None))]

    @property
    def columns(self) -> Columns | None:
        """All rows, if they are no more than one portion."""
        return joined(self._pending) if self._file is None else None

    def portions(self, names: Collection[str] | None = None) -> Iterator[Columns]:
        """All rows, a portion at a time, of all columns or only of these."""
        file = self._whole()
        for kept in self._kept:
            yield tuple(file.get(column) for column in kept if names is None or column.name in names)

    def digest(self) -> str:
        """What `table_digest` gives for the same rows."""
        file = self._whole()
        return long_table_digest(self.rows, [self._column(file, at) for at in range(len(self._kept[0]))])

    def _column(self, file: ColumnFile, at: int) -> LongColumn:
        kept = [portion[at] for portion in self._kept]
        return LongColumn(
            Column(kept[0].name, kept[0].type, []),
            lambda: map(file.valid, kept),
            lambda: map(file.words, kept),
            lambda: map(file.tails, kept),
        )

    def _whole(self) -> ColumnFile:
        """The file with all rows in it."""
        if self._pending:
            self._keep(joined(self._pending))
            self._pending, self._waiting = [], 0
        return self._opened()

    def _opened(self) -> ColumnFile:
        if self._file is None:
            self._file = ColumnFile(self._folder)
        return self._file

    def _keep(self, columns: Columns) -> None:
        keys = _keys(columns, self._order)
        if not _ascend(keys) or (self._last is not None and self._last >= _key(keys, 0)):
            raise InvalidInput(
                f"Two rows have the same place in the order {', '.join(self._order)}, or come in another order.",
                todo="Name int columns that together tell every row from the others.",
            )
        self._last = _key(keys, -1)
        self._kept.append(tuple(map(self._opened().put, columns)))


@dataclass(slots=True)
class _Run:
    """Portions in order, and the key of their last row."""

    portions: list[tuple[KeptColumn, ...]]
    last: Key


class _Cursor:
    """The next rows of a run: a part of one of its portions is held."""

    def __init__(self, file: ColumnFile, run: _Run, order: Sequence[str], most: int) -> None:
        self._file = file
        self._portions = list(reversed(run.portions))
        self._order = order
        self._most = most
        self._first = self._start = self._stop = 0
        self._held: Columns = ()
        self._keys: list[Array] = []
        self.fill()

    @property
    def exhausted(self) -> bool:
        """Whether the run has no rows besides those held."""
        return len(self._portions) == 1 and self._stop == self._portions[-1][0].rows

    @property
    def last(self) -> Key:
        """The key of the last row held."""
        return _key(self._keys, -1)

    def fill(self) -> bool:
        """Hold more rows if few are left; whether any are."""
        if self._start == self._portions[-1][0].rows:
            self._portions.pop()
            if not self._portions:
                return False
            self._first = self._start = self._stop = 0
        kept = self._portions[-1]
        if self._stop < kept[0].rows and 2 * (self._stop - self._start) <= self._most:
            self._first, self._stop = self._start, min(self._start + self._most, kept[0].rows)
            self._held = tuple(self._file.get(column, self._first, self._stop) for column in kept)
            self._keys = _keys(self._held, self._order)
        return True

    def take(self, until: Key | None) -> Columns:
        """The rows held up to this key, which are held no more; all of them without one; nothing if there are none."""
        start = self._start - self._first
        end = self._stop - self._first if until is None else _count_up_to(self._keys, until)
        self._start = self._first + end
        if start == end:
            return ()
        return taken(self._held, slice(start, end)) if end - start < len(self._keys[0]) else self._held


def _joined(pieces: tuple[Column, ...]) -> Column:
    first = pieces[0]
    values = np.concatenate([np.asarray(piece.values) for piece in pieces])
    if all(piece.missing is None for piece in pieces):
        return Column(first.name, first.type, values)
    gaps = [np.zeros(len(piece.values), np.bool_) if piece.missing is None else piece.missing for piece in pieces]
    return Column(first.name, first.type, values, np.concatenate(gaps))


def _keys(columns: Columns, order: Sequence[str]) -> list[Array]:
    named = {column.name: column for column in columns}
    return [np.asarray(named[name].values) for name in order]


def _key(keys: Sequence[Array], row: int) -> Key:
    return tuple(int(key[row]) for key in keys)


def _ascend(keys: Sequence[Array]) -> bool:
    """Whether each row has a greater key than the one before."""
    later = np.zeros(len(keys[0]) - 1, np.bool_)
    same = ~later
    for key in keys:
        later |= same & (key[1:] > key[:-1])
        same &= key[1:] == key[:-1]
    return bool(later.all())


def _count_up_to(keys: Sequence[Array], until: Key) -> int:
    """How many of the rows, which are in order, have this key or a lesser one."""
    first, end = 0, len(keys[0])
    for key, wanted in zip(keys, until, strict=True):
        within = key[first:end]
        first, end = (first + int(np.searchsorted(within, wanted, side)) for side in ("left", "right"))
    return end
