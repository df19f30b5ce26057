"""Bulk rows: staged in chunks before the change, invisible until the batch's header is born inside it.

A batch's digest combines the salted digests of its rows in order, so that a row can be erased and the rest verified.
Its header keeps the list of columns it was written with, because the columns are part of a row's digest.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, cast

import numpy as np
import sqlalchemy as sa

from commonground.errors import Conflict, InvalidInput
from commonground.identity import Rid
from commonground.store import schema
from commonground.store.bulk import insert_rows
from commonground.store.canonical import batch_row_digests
from commonground.store.canonical_words import Column, ColumnType
from commonground.store.database import Database
from commonground.store.faults import point
from commonground.store.processes import this_process
from commonground.store.transaction import SALT_BYTES, Shell, Transaction

CHUNK_ROWS = 20_000
ROWS = b"rows1"

Columns = Mapping[str, "Sequence[Any] | np.ndarray[Any, Any]"]


@dataclass(frozen=True, slots=True)
class StagedBatch:
    """Rows that wait for their header."""

    batch: Rid
    """The batch's own id."""
    table: str
    """The batch table that holds the rows."""
    rows: int
    """How many."""
    columns: str
    """Name and type of each column they were written with, as JSON."""
    digest: bytes
    """SHA-256 over the row digests in order."""


def count_rows(columns: Columns) -> int:
    """The number of rows; raises InvalidInput if the columns differ in length."""
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise InvalidInput(f"Columns of one table must be equally long, but these are {lengths}.")
    return next(iter(lengths.values()), 0)


def stage(
    database: Database,
    table: sa.Table,
    batch: Rid,
    columns: Columns,
    progress: Callable[[int], None] = lambda _: None,
) -> StagedBatch:
    """Write the rows in chunks, each its own short transaction, so that others write in between."""
    total = count_rows(columns)
    combined = hashlib.sha256(ROWS)
    with database.write() as connection:
        _forget(connection, table, batch)
        mark = json.dumps(dataclasses.asdict(this_process()), sort_keys=True)
        insert_rows(
            connection,
            schema.staging,
            ["batch", "name", "process", "at"],
            [(batch, table.name, mark, time.time_ns() // 1000)],
        )
    try:
        for first in range(0, total, CHUNK_ROWS):
            rows = min(CHUNK_ROWS, total - first)
            prepared = _prepare(table, columns, first, rows)
            with database.write() as connection:
                point("batch.stage")
                _write_chunk(connection, table, batch, prepared)
            combined.update(b"".join(prepared.digests))
            progress(rows)
    except InvalidInput:
        discard(database, table, batch)
        raise
    return StagedBatch(batch, table.name, total, _columns_told(table), combined.digest())


def discard(database: Database, table: sa.Table, batch: Rid) -> None:
    """Remove the rows of a batch that got no header; raises Conflict if it has one."""
    with database.write() as connection:
        point("batch.discard")
        _forget(connection, table, batch)


def _forget(connection: sa.Connection, table: sa.Table, batch: Rid) -> None:
    header = schema.batch_header
    if connection.execute(sa.select(header.c.rid).where(header.c.rid == batch)).first():
        raise Conflict("These rows are part of the study already.", todo="Plan again: a new plan draws a new batch.")
    for part in (table, schema.batch_chunk, schema.staging):
        connection.execute(sa.delete(part).where(part.c.batch == batch))


def write(tx: Transaction, table: sa.Table, batch: Rid, columns: Columns) -> StagedBatch:
    """Write a small batch inside the change itself."""
    total = count_rows(columns)
    combined = hashlib.sha256(ROWS)
    for first in range(0, total, CHUNK_ROWS):
        prepared = _prepare(table, columns, first, min(CHUNK_ROWS, total - first))
        _write_chunk(tx.connection, table, batch, prepared)
        combined.update(b"".join(prepared.digests))
    return StagedBatch(batch, table.name, total, _columns_told(table), combined.digest())


def publish(tx: Transaction, staged: StagedBatch, subject: Rid, origin: Rid | None) -> None:
    """Give a batch its header: from this change on its rows are there."""
    point("batch.header")
    tx.insert(
        schema.batch_header,
        [
            {
                "rid": staged.batch,
                "name": staged.table,
                "subject": subject,
                "origin": origin,
                "rows": staged.rows,
                "columns": staged.columns,
                "digest": staged.digest,
            }
        ],
    )
    tx.connection.execute(sa.delete(schema.staging).where(schema.staging.c.batch == staged.batch))


def retire(tx: Transaction, rids: Sequence[Rid], rows: Sequence[tuple[Rid, int]]) -> None:
    """Retire single rows, named by batch and ordinal; each retirement takes one of `rids`."""
    tx.insert(
        schema.retired,
        [{"rid": rid, "batch": batch, "ordinal": ordinal} for rid, (batch, ordinal) in zip(rids, rows, strict=True)],
    )


def erase(tx: Transaction, table: sa.Table, rows: Sequence[tuple[Rid, int]]) -> int:
    """Destroy single rows of batches, named by batch and ordinal, with their salts; the number of rows."""
    erased = 0
    for batch, group in groupby(sorted(set(rows)), key=itemgetter(0)):
        ordinals = [ordinal for _, ordinal in group]
        for chunk in tx.connection.execute(
            sa.select(schema.batch_chunk)
            .where(schema.batch_chunk.c.batch == batch)
            .order_by(schema.batch_chunk.c.first)
        ).all():
            wanted = [ordinal for ordinal in ordinals if chunk.first <= ordinal < chunk.first + chunk.rows]
            if wanted:
                erased += _erase_of_chunk(tx, table, chunk, wanted)
    return erased


def _erase_of_chunk(tx: Transaction, table: sa.Table, chunk: sa.Row[Any], wanted: Sequence[int]) -> int:
    connection, header = tx.connection, schema.batch_header
    told = connection.execute(sa.select(header.c.columns).where(header.c.rid == chunk.batch).limit(1)).scalar_one()
    salts = bytearray(chunk.salts)
    shells = []
    for start in range(0, len(wanted), 500):
        part = sa.and_(table.c.batch == chunk.batch, table.c.ordinal.in_(wanted[start : start + 500]))
        for row in connection.execute(sa.select(table).where(part)).mappings():
            at = (row["ordinal"] - chunk.first) * SALT_BYTES
            (digest,) = row_digests(bytes(salts[at : at + SALT_BYTES]), told, [row])
            shells.append(Shell(table.name, chunk.batch, row["ordinal"], 0, None, digest))
            salts[at : at + SALT_BYTES] = bytes(SALT_BYTES)
        connection.execute(sa.delete(table).where(part))
    tx.bury(shells)
    kept = schema.batch_chunk
    connection.execute(
        sa.update(kept).where(kept.c.batch == chunk.batch, kept.c.first == chunk.first).values(salts=bytes(salts))
    )
    return len(shells)


def row_digests(salts: bytes, told: str, rows: Sequence[Mapping[Any, Any]]) -> list[bytes]:
    """The digests of bulk rows with the columns that their batch's header tells."""
    columns = [Column(name, cast("ColumnType", kind), [row[name] for row in rows]) for name, kind in json.loads(told)]
    return batch_row_digests(salts, columns)


@dataclass(frozen=True, slots=True)
class _Chunk:
    first: int
    names: list[str]
    tuples: list[tuple[Any, ...]]
    salts: bytes
    digests: list[bytes]


def _fields(table: sa.Table) -> list[sa.Column[object]]:
    return [column for column in table.columns if column.name not in {"batch", "ordinal"}]


def _columns_told(table: sa.Table) -> str:
    return json.dumps([[column.name, schema.field_type(column)] for column in _fields(table)])


def _prepare(table: sa.Table, columns: Columns, first: int, rows: int) -> _Chunk:
    fields = _fields(table)
    unknown = set(columns) - {column.name for column in fields}
    if unknown:
        raise InvalidInput(f"{table.name} has no column {', '.join(sorted(unknown))}.")
    salts = os.urandom(SALT_BYTES * rows)
    told: list[Column] = []
    lists: list[Sequence[Any]] = [range(first, first + rows)]
    names = ["ordinal"]
    for field in fields:
        kind = schema.field_type(field)
        values = columns[field.name][first : first + rows] if field.name in columns else [None] * rows
        column = Column(field.name, cast("ColumnType", kind), values)
        told.append(column)
        if field.name in columns:
            names.append(field.name)
            lists.append(_bindable(column))
    digests = batch_row_digests(salts, told)
    return _Chunk(first, names, list(zip(*lists, strict=True)), salts, digests)


def _bindable(column: Column) -> list[Any]:
    """The values as both engines keep them: plain Python, no -0.0; refuses NaN."""
    values = column.values.tolist() if isinstance(column.values, np.ndarray) else list(column.values)
    if column.type == "real":
        if any(value != value for value in values):  # noqa: PLR0124 - only NaN differs from itself
            raise InvalidInput(f"{column.name}: NaN is not a value.", todo="Leave it out, or say why it is missing.")
        return [value + 0.0 if isinstance(value, float) else _plain(value) for value in values]
    plain = {type(value) for value in values} <= {int, str, bytes, float, type(None)}
    return values if plain else [_plain(value) for value in values]


def _plain(value: Any) -> Any:  # noqa: ANN401 - any value of a row
    return value.item() if isinstance(value, np.generic) else value


def _write_chunk(connection: sa.Connection, table: sa.Table, batch: Rid, chunk: _Chunk) -> None:
    insert_rows(connection, table, chunk.names, chunk.tuples, [("batch", batch)])
    insert_rows(
        connection,
        schema.batch_chunk,
        ["batch", "first", "rows", "salts"],
        [(batch, chunk.first, len(chunk.tuples), chunk.salts)],
    )
