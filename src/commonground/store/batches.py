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
from typing import Any, TypeAlias, cast

import sqlalchemy as sa

from commonground.errors import Conflict, InvalidInput
from commonground.identity import Rid
from commonground.late import np
from commonground.store import schema
from commonground.store.bulk import Cells, insert_cells, insert_rows
from commonground.store.canonical import as_words, batch_row_digests, batch_word_digests
from commonground.store.canonical_words import NAN_WORD, Arrayed, Column, ColumnType
from commonground.store.database import Database
from commonground.store.faults import point
from commonground.store.portions import portions
from commonground.store.processes import this_process
from commonground.store.transaction import SALT_BYTES, Shell, Transaction

CHUNK_ROWS = 5_000
"""Rows that are written without letting others write in between."""
ROWS = b"rows1"
_PLAIN = {str, bytes, type(None)}

Columns: TypeAlias = "Mapping[str, Sequence[Any] | np.ndarray[Any, Any]]"


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
    mark: int | None = None
    """The time at which its staging began, by which it knows its own rows; None if it was written in the change."""


def count_rows(columns: Columns) -> int:
    """The number of rows; raises InvalidInput if the columns differ in length."""
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise InvalidInput(
            f"Columns of one table must be equally long, but these are {lengths}.",
            todo="Give each column as many values as the others.",
        )
    return next(iter(lengths.values()), 0)


def stage(
    database: Database,
    table: sa.Table,
    batch: Rid,
    columns: Columns,
    progress: Callable[[int], None] = lambda _: None,
) -> StagedBatch:
    """Write the rows in chunks, each its own short transaction, so that others write in between."""
    total, mark = count_rows(columns), time.time_ns() // 1000
    combined = hashlib.sha256(ROWS)
    with database.write() as connection:
        _forget(connection, table, batch)
        process = json.dumps(dataclasses.asdict(this_process()), sort_keys=True)
        insert_rows(
            connection, schema.staging, ["batch", "name", "process", "at"], [(batch, table.name, process, mark)]
        )
    try:
        for first in range(0, total, CHUNK_ROWS):
            rows = min(CHUNK_ROWS, total - first)
            prepared = _prepare(table, columns, first, rows)
            with database.draft() as connection:
                point("batch.stage")
                _write_chunk(connection, table, batch, prepared)
            combined.update(b"".join(prepared.digests))
            progress(rows)
    except InvalidInput:
        discard(database, table, batch)
        raise
    return StagedBatch(batch, table.name, total, _columns_told(table), combined.digest(), mark)


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
    if staged.mark is None:
        return
    known = schema.staging
    own = sa.delete(known).where(known.c.batch == staged.batch, known.c.at == staged.mark)
    if not tx.connection.execute(own).rowcount:
        raise Conflict("Another process prepared the same plan meanwhile.", todo="Commit the plan again.")


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
    for ordinals in portions(wanted):
        part = sa.and_(table.c.batch == chunk.batch, table.c.ordinal.in_(ordinals))
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
    cells: dict[str, Cells]
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
        raise InvalidInput(
            f"{table.name} has no column {', '.join(sorted(unknown))}.", todo="Give columns that the table has."
        )
    salts = os.urandom(SALT_BYTES * rows)
    told = []
    for field in fields:
        kind = cast("ColumnType", schema.field_type(field))
        values = columns[field.name][first : first + rows] if field.name in columns else [None] * rows
        told.append(Column(field.name, kind, values))
    contents = as_words(told)
    cells: dict[str, Cells] = {"ordinal": Cells(np.arange(first, first + rows))}
    cells |= {one.name: _cells(one, words) for one, words in zip(told, contents, strict=True) if one.name in columns}
    return _Chunk(first, cells, salts, batch_word_digests(salts, told, contents))


def _cells(column: Column, words: Arrayed) -> Cells:
    """The values as both engines keep them: the words of numbers, so that there is no -0.0; refuses NaN."""
    missing = None if words.valid.all() else ~words.valid
    if column.type == "real":
        if bool((words.words[words.valid] == NAN_WORD).any()):
            raise InvalidInput(f"{column.name}: NaN is not a value.", todo="Leave it out, or say why it is missing.")
        return Cells(words.words.view(np.float64), missing)
    if column.type == "int":
        return Cells(words.words, missing)
    if not words.valid.any():
        return Cells(words.words, missing)
    values = column.values.tolist() if isinstance(column.values, np.ndarray) else list(column.values)
    return Cells([_plain(value) for value in values] if set(map(type, values)) - _PLAIN else values)


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


def _write_chunk(connection: sa.Connection, table: sa.Table, batch: Rid, chunk: _Chunk) -> None:
    insert_cells(connection, table, chunk.cells, [("batch", batch)])
    told = (batch, chunk.first, len(chunk.digests), chunk.salts)
    insert_rows(connection, schema.batch_chunk, ["batch", "first", "rows", "salts"], [told])
