"""Bulk rows into arrays, a chunk at a time: memory holds the arrays, and one chunk of rows.

Of a large batch only what differs from row to row is fetched: often all rows of a batch have one rater, and none a
reason. That a column is the same in all rows the database finds out much faster than its cells become Python objects.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import sqlalchemy as sa

from commonground.identity import Rid
from commonground.late import np
from commonground.store import schema
from commonground.store.collection import without_collection
from commonground.store.portions import portions
from commonground.store.view import View

CHUNK = 50_000
NAMED_BATCHES = 400
LARGE = 5_000
"""From so many rows on a batch is asked for what is the same in all of them."""
Array: TypeAlias = "np.ndarray[Any, Any]"
Ints: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"
_DTYPES = {"int": "int64", "real": "float64", "text": "object"}


@dataclass(frozen=True, slots=True)
class _Same:
    """One value in all rows of a chunk."""

    value: Any
    rows: int


_Cells = Sequence[Any] | _Same


@dataclass(frozen=True, slots=True)
class BulkRows:
    """Rows of a batch table that are there in a view, column by column, in the order of batch and ordinal."""

    batch: Ints
    ordinal: Ints
    subject: Ints
    """What each row's batch is about."""
    origin: Ints
    """The execution or file that the batch comes from; 0 if none."""
    told: Ints
    """The change in which the batch came."""
    columns: dict[str, Array]
    """int64, float64 or object; what stands where `missing` is True means nothing."""
    missing: dict[str, np.ndarray[Any, np.dtype[np.bool_]]]
    """Where a column is null."""


def read_bulk(view: View, table: sa.Table, subjects: Sequence[Rid], names: Sequence[str]) -> BulkRows:
    """The living rows of batches about these subjects."""
    headers = _headers(view, table, subjects)
    known = np.array([row.rid for row in headers], dtype=np.int64)
    types = {name: schema.field_type(table.c[name]) for name in names}
    chunks: dict[str, list[Array]] = {name: [] for name in ("batch", "ordinal", *names)}
    gaps: dict[str, list[Array]] = {name: [] for name in names}
    for cells in _chunks(view, table, headers, names):
        for name in ("batch", "ordinal"):
            chunks[name].append(_array(cells[name], "int")[0])
        for name in names:
            values, missing = _array(cells[name], types[name])
            chunks[name].append(values)
            gaps[name].append(missing)
    batch, ordinal = _joined(chunks["batch"], "int"), _joined(chunks["ordinal"], "int")
    rows = _living(_retired(view, known), known, batch, ordinal)
    if not _ascending(batch[rows], ordinal[rows]):
        rows = np.arange(len(batch))[rows]
        rows = rows[np.lexsort((ordinal[rows], batch[rows]))]
    places = np.searchsorted(known, batch[rows])
    return BulkRows(
        batch[rows],
        ordinal[rows],
        *_at(_about(headers), places),
        {name: _joined(chunks.pop(name), types[name])[rows] for name in names},
        {name: (np.concatenate(gaps[name]) if gaps[name] else np.empty(0, np.bool_))[rows] for name in names},
    )


def iterate_bulk(view: View, table: sa.Table, subjects: Sequence[Rid], names: Sequence[str]) -> Iterator[BulkRows]:
    """The same rows a chunk at a time, in no order; to be read to the end before anything else is."""
    headers = _headers(view, table, subjects)
    known = np.array([row.rid for row in headers], dtype=np.int64)
    gone, about = _retired(view, known), _about(headers)
    types = {name: schema.field_type(table.c[name]) for name in names}
    for cells in _chunks(view, table, headers, names):
        batch, ordinal = (_array(cells[name], "int")[0] for name in ("batch", "ordinal"))
        read = {name: _array(cells[name], types[name]) for name in names}
        rows = _living(gone, known, batch, ordinal)
        places = np.searchsorted(known, batch[rows])
        yield BulkRows(
            batch[rows],
            ordinal[rows],
            *_at(about, places),
            {name: values[rows] for name, (values, _) in read.items()},
            {name: missing[rows] for name, (_, missing) in read.items()},
        )


def count_bulk(view: View, table: sa.Table, subjects: Sequence[Rid]) -> int:
    """How many rows the batches about these subjects came with, retired ones included."""
    header = schema.batch_header
    counted = sa.select(sa.func.sum(header.c.rows)).where(view.visible(header), header.c.name == table.name)
    return sum(
        view.connection.execute(counted.where(header.c.subject.in_(some))).scalar_one() or 0
        for some in portions(subjects)
    )


def read_tuples(view: View, statement: sa.Select[Any]) -> Sequence[Any]:
    """All rows of a statement as plain tuples; of many rows half the cost of `View.rows`, which names the cells."""
    with without_collection(), contextlib.closing(view.connection.execute(statement)) as result:
        rows: Sequence[Any] = result.cursor.fetchall()
    return rows


def _headers(view: View, table: sa.Table, subjects: Sequence[Rid]) -> list[Any]:
    header = schema.batch_header
    found: list[Any] = []
    for part in portions(subjects):
        found += view.list_rows(header, header.c.name == table.name, header.c.subject.in_(part))
    return sorted(found, key=lambda row: row.rid)


def _chunks(view: View, table: sa.Table, headers: Sequence[Any], names: Sequence[str]) -> Iterator[dict[str, _Cells]]:
    """The rows of batches column by column, a chunk at a time."""
    quote = view.connection.dialect.identifier_preparer.quote
    small = [row.rid for row in headers if row.rows < LARGE]
    # Whole numbers from our own tables stand in the statement: binding a million of them is what would be slow.
    for start in range(0, len(small), NAMED_BATCHES):
        listed = ", ".join(str(int(rid)) for rid in small[start : start + NAMED_BATCHES])
        wanted = ("batch", "ordinal", *names)
        columns = ", ".join(map(quote, wanted))
        for rows in _fetch(view, f"SELECT {columns} FROM {quote(table.name)} WHERE batch IN ({listed})"):
            yield dict(zip(wanted, zip(*rows, strict=True), strict=True))
    for header in headers:
        if header.rows >= LARGE:
            yield from _chunks_of_large(view, table, header, names)


def _chunks_of_large(
    view: View, table: sa.Table, header: sa.Row[Any], names: Sequence[str]
) -> Iterator[dict[str, _Cells]]:
    quote = view.connection.dialect.identifier_preparer.quote
    rows, same = _same(view, table, header.rid, names)
    # SQLite reads its key in order for nothing; PostgreSQL would sort. Erased rows leave gaps.
    counted = rows == header.rows and view.connection.dialect.name == "sqlite"
    wanted = [*([] if counted else ["ordinal"]), *(name for name in names if name not in same)]
    columns = ", ".join(map(quote, wanted)) or "NULL"
    order = " ORDER BY ordinal" if counted else ""
    first = 0
    for part in _fetch(view, f"SELECT {columns} FROM {quote(table.name)} WHERE batch = {int(header.rid)}{order}"):
        cells: dict[str, _Cells] = dict(zip(wanted, zip(*part, strict=True), strict=bool(wanted)))
        cells["batch"] = _Same(header.rid, len(part))
        if counted:
            cells["ordinal"] = range(first, first + len(part))
        first += len(part)
        yield cells | {name: _Same(value, len(part)) for name, value in same.items()}


def _same(view: View, table: sa.Table, batch: Rid, names: Sequence[str]) -> tuple[int, dict[str, Any]]:
    """The number of a batch's rows, and the columns in which all rows have one value, with that value."""
    own = table.c.batch == batch
    ends = [
        view.first(sa.select(*(table.c[name] for name in names)).where(own).order_by(by).limit(1))
        for by in (table.c.ordinal, table.c.ordinal.desc())
    ]
    if ends[0] is None or ends[1] is None:
        return 0, {}
    first, last = ends[0]._asdict(), ends[1]._asdict()
    likely = {name: first[name] for name in names if first[name] == last[name]}
    others = [sa.func.count().filter(table.c[name].is_distinct_from(value)) for name, value in likely.items()]
    counting = sa.select(sa.func.count(), *others).where(own)
    rows, *counts = view.connection.execute(counting).one()
    return rows, {name: value for (name, value), other in zip(likely.items(), counts, strict=True) if not other}


def _fetch(view: View, statement: str) -> Iterator[list[tuple[Any, ...]]]:
    with _cursor(view.connection) as cursor, without_collection():
        cursor.execute(statement)
        while rows := cursor.fetchmany(CHUNK):
            yield rows


@contextlib.contextmanager
def _cursor(connection: sa.Connection) -> Iterator[Any]:
    driver: Any = connection.connection.driver_connection
    cursor = driver.cursor() if connection.dialect.name == "sqlite" else driver.cursor(name="bulk", binary=True)
    try:
        yield cursor
    finally:
        cursor.close()


def _array(given: _Cells, kind: str) -> tuple[Array, Array]:
    if isinstance(given, _Same):
        nothing = {"text": None, "real": 0.0, "int": 0}[kind]
        values = np.full(given.rows, nothing if given.value is None else given.value, dtype=_DTYPES[kind])
        return values, np.full(given.rows, given.value is None)
    if kind == "text":
        values = np.empty(len(given), dtype=object)
        values[:] = given
        return values, np.fromiter((value is None for value in given), dtype=np.bool_, count=len(given))
    dtype = _DTYPES[kind]
    if isinstance(given, range):
        return np.arange(given.start, given.stop), np.zeros(len(given), dtype=np.bool_)
    nothing = given.count(None)
    if not nothing:
        return np.array(given, dtype=dtype), np.zeros(len(given), dtype=np.bool_)
    if nothing == len(given):
        return np.zeros(len(given), dtype=dtype), np.ones(len(given), dtype=np.bool_)
    missing = np.fromiter((value is None for value in given), dtype=np.bool_, count=len(given))
    return np.array([0 if value is None else value for value in given], dtype=dtype), missing


def _joined(parts: list[Array], kind: str) -> Array:
    return np.concatenate(parts) if parts else np.empty(0, dtype=_DTYPES[kind])


def _ascending(batch: Ints, ordinal: Ints) -> bool:
    later = batch[1:] > batch[:-1]
    return bool((later | ((batch[1:] == batch[:-1]) & (ordinal[1:] > ordinal[:-1]))).all())


def _about(headers: Sequence[Any]) -> tuple[Ints, Ints, Ints]:
    """Subject, origin and change of each batch."""
    subject, origin, told = (
        np.array([getattr(row, name) or 0 for row in headers], dtype=np.int64)
        for name in ("subject", "origin", "since")
    )
    return subject, origin, told


def _at(about: tuple[Ints, Ints, Ints], places: Ints) -> tuple[Ints, Ints, Ints]:
    return about[0][places], about[1][places], about[2][places]


def _retired(view: View, known: Ints) -> Array:
    """Batch and ordinal of the rows of these batches that a retirement has taken out."""
    gone = schema.retired
    rows = view.rows(sa.select(gone.c.batch, gone.c.ordinal).where(view.visible(gone)))
    taken = np.array([(row.batch, row.ordinal) for row in rows], dtype=np.int64).reshape(-1, 2)
    return taken[np.isin(taken[:, 0], known)]


def _living(taken: Array, known: Ints, batch: Array, ordinal: Array) -> Array | slice:
    """The places of the rows that are not `taken`; if they are all there, a slice, which copies nothing."""
    if not len(taken):
        return slice(None)
    # A place within the sorted list of batches and an ordinal make one number, so that pairs are looked up at once.
    wide = int(max(ordinal.max(initial=0), taken[:, 1].max())) + 1
    pairs = np.searchsorted(known, batch) * wide + ordinal
    return np.flatnonzero(~np.isin(pairs, np.searchsorted(known, taken[:, 0]) * wide + taken[:, 1]))
