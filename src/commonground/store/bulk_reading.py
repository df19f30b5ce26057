"""Bulk rows into arrays, a chunk at a time: memory holds the arrays, and one chunk of rows."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa

from commonground.identity import Rid
from commonground.store import schema
from commonground.store.collection import without_collection
from commonground.store.view import View

CHUNK = 50_000
NAMED_BATCHES = 400
Array = np.ndarray[Any, Any]
Ints = np.ndarray[Any, np.dtype[np.int64]]


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
    for rows in _chunks(view, table, known, names):
        cells = list(zip(*rows, strict=True))
        chunks["batch"].append(np.array(cells[0], dtype=np.int64))
        chunks["ordinal"].append(np.array(cells[1], dtype=np.int64))
        for name, given in zip(names, cells[2:], strict=True):
            values, missing = _array(given, types[name])
            chunks[name].append(values)
            gaps[name].append(missing)
    batch, ordinal = _joined(chunks["batch"], "int"), _joined(chunks["ordinal"], "int")
    keep = _living(view, known, batch, ordinal)
    order = keep[np.lexsort((ordinal[keep], batch[keep]))]
    places = np.searchsorted(known, batch[order])

    def of_header(pick: Callable[[Any], int | None]) -> Ints:
        return np.array([pick(row) or 0 for row in headers], dtype=np.int64)[places]

    return BulkRows(
        batch[order],
        ordinal[order],
        of_header(lambda row: row.subject),
        of_header(lambda row: row.origin),
        of_header(lambda row: row.since),
        {name: _joined(chunks[name], types[name])[order] for name in names},
        {name: (np.concatenate(gaps[name]) if gaps[name] else np.empty(0, np.bool_))[order] for name in names},
    )


def read_tuples(view: View, statement: sa.Select[Any]) -> Sequence[Any]:
    """All rows of a statement as plain tuples; of many rows half the cost of `View.rows`, which names the cells."""
    text = statement.compile(dialect=view.connection.dialect, compile_kwargs={"literal_binds": True})
    with without_collection(), contextlib.closing(view.connection.exec_driver_sql(str(text))) as result:
        rows: Sequence[Any] = result.cursor.fetchall()
    return rows


def _headers(view: View, table: sa.Table, subjects: Sequence[Rid]) -> list[Any]:
    header = schema.batch_header
    found: list[Any] = []
    for start in range(0, len(subjects), 500):
        part = list(subjects[start : start + 500])
        found += view.list_rows(header, header.c.name == table.name, header.c.subject.in_(part))
    return sorted(found, key=lambda row: row.rid)


def _chunks(view: View, table: sa.Table, known: Ints, names: Sequence[str]) -> Iterator[list[tuple[Any, ...]]]:
    quote = view.connection.dialect.identifier_preparer.quote
    columns = ", ".join(quote(name) for name in ("batch", "ordinal", *names))
    # Whole numbers from our own tables stand in the statement: binding a million of them is what would be slow.
    for start in range(0, len(known), NAMED_BATCHES):
        listed = ", ".join(str(int(rid)) for rid in known[start : start + NAMED_BATCHES])
        statement = f"SELECT {columns} FROM {quote(table.name)} WHERE batch IN ({listed})"
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


def _array(given: Sequence[Any], kind: str) -> tuple[Array, Array]:
    if kind == "text":
        values = np.empty(len(given), dtype=object)
        values[:] = given
        return values, np.fromiter((value is None for value in given), dtype=np.bool_, count=len(given))
    dtype = np.float64 if kind == "real" else np.int64
    nothing = given.count(None)
    if not nothing:
        return np.array(given, dtype=dtype), np.zeros(len(given), dtype=np.bool_)
    if nothing == len(given):
        return np.zeros(len(given), dtype=dtype), np.ones(len(given), dtype=np.bool_)
    missing = np.fromiter((value is None for value in given), dtype=np.bool_, count=len(given))
    return np.array([0 if value is None else value for value in given], dtype=dtype), missing


def _joined(parts: list[Array], kind: str) -> Array:
    dtype: Any = {"int": np.int64, "real": np.float64, "text": object}[kind]
    return np.concatenate(parts) if parts else np.empty(0, dtype=dtype)


def _living(view: View, known: Ints, batch: Array, ordinal: Array) -> Array:
    """The places of the rows that no retirement has taken out."""
    gone = schema.retired
    rows = view.rows(sa.select(gone.c.batch, gone.c.ordinal).where(view.visible(gone)))
    taken = np.array([(row.batch, row.ordinal) for row in rows], dtype=np.int64).reshape(-1, 2)
    taken = taken[np.isin(taken[:, 0], known)]
    if not len(taken):
        return np.arange(len(batch))
    # A place within the sorted list of batches and an ordinal make one number, so that pairs are looked up at once.
    wide = int(max(ordinal.max(initial=0), taken[:, 1].max())) + 1
    pairs = np.searchsorted(known, batch) * wide + ordinal
    return np.flatnonzero(~np.isin(pairs, np.searchsorted(known, taken[:, 0]) * wide + taken[:, 1]))
