"""Whether the rows of the record are those that the changes recorded; one change, or one chunk of a batch, at a time.

Temporal rows: the rows a change added are those with its number in `since`, the rows it ended those with it in
`until`; shells of erased rows stand in for the rows they are left of. Bulk rows: header digest, chunk by chunk.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, cast

import sqlalchemy as sa

from commonground.errors import InvalidInput
from commonground.store import schema
from commonground.store.batches import CHUNK_ROWS, ROWS
from commonground.store.canonical import batch_row_digests, combine
from commonground.store.canonical_words import Column, ColumnType
from commonground.store.transaction import SALT_BYTES, digest_of, effect_digest

Progress = Callable[[str, int], None]
"""Called with what is being looked at and how many more of it have been."""
WRONG = bytes(32)
"""Stands for the digest of a row that cannot be what was recorded."""
_ADDED, _ENDED, _RECORDED = range(3)
_NOTHING = (combine([]), 0)
_STREAM = {"stream_results": True, "yield_per": 2000}
_SMALL_BATCHES = 200


def check_table(connection: sa.Connection, table: sa.Table, progress: Progress) -> Iterator[str]:
    """The faults in the rows of one temporal table."""
    touched = schema.change_table
    recorded = (
        (row.change, _RECORDED, (row.added, row.ended, bytes(row.digest)))
        for row in _stream(
            connection, sa.select(touched).where(touched.c.name == table.name).order_by(touched.c.change)
        )
    )
    added = ((number, _ADDED, found) for number, found in _added(connection, table, progress))
    ended = ((number, _ENDED, found) for number, found in _ended(connection, table))
    for number, group in groupby(heapq.merge(added, ended, recorded, key=itemgetter(0, 1)), key=itemgetter(0)):
        parts: dict[int, Any] = {kind: found for _, kind, found in group}
        digest, rows = parts.get(_ADDED, _NOTHING)
        gone = parts.get(_ENDED, b"")
        if _RECORDED not in parts:
            yield f"{table.name}: {rows} rows begin and {len(gone) // 8} end at change {number}, which did not touch it"
            continue
        told_added, told_ended, told = parts[_RECORDED]
        counts = (rows, len(gone) // 8)
        if effect_digest(table.name, digest, gone) != told or counts != (told_added, told_ended):
            yield (
                f"{table.name}: the rows of change {number} are not what was recorded "
                f"({told_added} added and {told_ended} ended then; {counts[0]} and {counts[1]} found)"
            )


def _added(connection: sa.Connection, table: sa.Table, progress: Progress) -> Iterator[tuple[int, tuple[bytes, int]]]:
    names, types = schema.names_and_types(table)
    width = len(names)
    columns = [table.c.since, table.c.rid, table.c.salt, *(table.c[name] for name in names)]
    rows = (
        (row[0], row[1], _digest(names, types, row[3 : 3 + width], row[2]))
        for row in _stream(connection, sa.select(*columns).order_by(table.c.since, table.c.rid))
    )
    shell = schema.erased
    shells = (
        (row.since, row.rid, _of_length(row.digest))
        for row in _stream(connection, sa.select(shell).where(_of_rows(table)).order_by(shell.c.since, shell.c.rid))
    )
    for number, group in groupby(heapq.merge(rows, shells), key=itemgetter(0)):
        counter = itertools.count()
        combined = combine(digest for (_, _, digest), _ in zip(group, counter, strict=False))
        count = next(counter)
        progress(table.name, count)
        yield number, (combined, count)


def _ended(connection: sa.Connection, table: sa.Table) -> Iterator[tuple[int, bytes]]:
    shell = schema.erased
    rows = _stream(
        connection,
        sa.select(table.c.until, table.c.rid).where(table.c.until.is_not(None)).order_by(table.c.until, table.c.rid),
    )
    shells = _stream(
        connection,
        sa.select(shell.c.until, shell.c.rid)
        .where(_of_rows(table), shell.c.until.is_not(None))
        .order_by(shell.c.until, shell.c.rid),
    )
    for number, group in groupby(heapq.merge(map(tuple, rows), map(tuple, shells)), key=itemgetter(0)):
        yield number, b"".join(rid.to_bytes(8, "little") for _, rid in group)


def _of_length(digest: bytes) -> bytes:
    return bytes(digest) if len(digest) == len(WRONG) else WRONG


def _of_rows(table: sa.Table) -> sa.ColumnElement[bool]:
    return schema.erased.c.name == table.name


def _digest(names: Sequence[str], types: Sequence[str], values: Sequence[Any], salt: bytes) -> bytes:
    try:
        return digest_of(names, types, values, bytes(salt))
    except InvalidInput:
        return WRONG


def check_batches(connection: sa.Connection, tables: dict[str, sa.Table], progress: Progress) -> Iterator[str]:
    """The faults in the rows of all batches."""
    header = schema.batch_header
    small: dict[str, list[sa.Row[Any]]] = {}
    for row in _stream(connection, sa.select(header).order_by(header.c.rid)):
        if row.name not in tables:
            yield f"batch {row.rid}: there is no table {row.name}"
        elif row.rows > CHUNK_ROWS:
            yield from _check_large(connection, tables[row.name], row, progress)
        else:
            waiting = small.setdefault(row.name, [])
            waiting.append(row)
            if len(waiting) >= _SMALL_BATCHES or sum(told.rows for told in waiting) > CHUNK_ROWS:
                yield from _check_small(connection, tables[row.name], small.pop(row.name), progress)
    for name, waiting in small.items():
        yield from _check_small(connection, tables[name], waiting, progress)
    for table in tables.values():
        yield from _orphans(connection, table)


def _check_large(connection: sa.Connection, table: sa.Table, told: sa.Row[Any], progress: Progress) -> Iterator[str]:
    chunk = schema.batch_chunk
    whole, expected = hashlib.sha256(ROWS), 0
    for part in connection.execute(sa.select(chunk).where(chunk.c.batch == told.rid).order_by(chunk.c.first)).all():
        span = sa.and_(
            table.c.batch == told.rid, table.c.ordinal >= part.first, table.c.ordinal < part.first + part.rows
        )
        rows = connection.execute(_ordered(table, told.columns).where(span)).all()
        digests = _bulk_digests(connection, table, told, [part], rows) if part.first == expected else [WRONG]
        whole.update(b"".join(digests))
        expected += part.rows
        progress(table.name, part.rows)
    if whole.digest() != bytes(told.digest) or expected != told.rows:
        yield _wrong_batch(table, told)


def _check_small(
    connection: sa.Connection, table: sa.Table, headers: list[sa.Row[Any]], progress: Progress
) -> Iterator[str]:
    chunk, batches = schema.batch_chunk, [told.rid for told in headers]
    chunks: dict[int, list[sa.Row[Any]]] = {}
    for part in connection.execute(sa.select(chunk).where(chunk.c.batch.in_(batches)).order_by(chunk.c.first)):
        chunks.setdefault(part.batch, []).append(part)
    rows: dict[int, list[sa.Row[Any]]] = {}
    for told_columns in {told.columns for told in headers}:
        statement = _ordered(table, told_columns).where(table.c.batch.in_(batches), table.c.ordinal < CHUNK_ROWS)
        found = {told.rid for told in headers if told.columns == told_columns}
        for row in connection.execute(statement):
            if row.batch in found:
                rows.setdefault(row.batch, []).append(row)
    for told in headers:
        digests = _bulk_digests(connection, table, told, chunks.get(told.rid, []), rows.get(told.rid, []))
        if hashlib.sha256(ROWS + b"".join(digests)).digest() != bytes(told.digest) or len(digests) != told.rows:
            yield _wrong_batch(table, told)
    progress(table.name, sum(told.rows for told in headers))


def _wrong_batch(table: sa.Table, told: sa.Row[Any]) -> str:
    return f"{table.name}: the {told.rows} rows of batch {told.rid} (change {told.since}) are not what was recorded"


def _columns(told: str) -> list[tuple[str, str]]:
    """The columns that a header tells; none if the header was spoilt."""
    try:
        return [(str(name), str(kind)) for name, kind in json.loads(told)]
    except (TypeError, ValueError):
        return []


def _ordered(table: sa.Table, told: str) -> sa.Select[Any]:
    fields = [table.c[name] for name, _ in _columns(told) if name in table.c]
    return sa.select(table.c.batch, table.c.ordinal, *fields).order_by(table.c.batch, table.c.ordinal)


def _bulk_digests(
    connection: sa.Connection,
    table: sa.Table,
    told: sa.Row[Any],
    chunks: Sequence[sa.Row[Any]],
    rows: Sequence[sa.Row[Any]],
) -> list[bytes]:
    """The digests of the rows of one batch in order, erased ones from their shells; [WRONG] if they do not fit."""
    if not chunks:
        return [WRONG] * len(rows)
    first, last = chunks[0].first, chunks[-1].first + chunks[-1].rows
    salts = b"".join(bytes(part.salts) for part in chunks)
    found = [row.ordinal for row in rows]
    if len(salts) != (last - first) * SALT_BYTES or any(not first <= ordinal < last for ordinal in found):
        return [WRONG]
    digests: list[bytes | None] = [None] * (last - first)
    own = b"".join(salts[(n - first) * SALT_BYTES : (n - first + 1) * SALT_BYTES] for n in found)
    values = list(zip(*rows, strict=True))[2:] if rows else []
    columns = _columns(told.columns)
    if rows and len(values) != len(columns):
        return [WRONG]
    if rows:
        listed = [Column(name, cast("ColumnType", kind), values[place]) for place, (name, kind) in enumerate(columns)]
        try:
            for ordinal, digest in zip(found, batch_row_digests(own, listed), strict=True):
                digests[ordinal - first] = digest
        except InvalidInput:
            return [WRONG]
    if len(found) < len(digests):
        shell = schema.erased
        erased = sa.select(shell.c.ordinal, shell.c.digest).where(
            shell.c.name == table.name, shell.c.rid == told.rid, shell.c.ordinal.between(first, last - 1)
        )
        for ordinal, digest in connection.execute(erased):
            digests[ordinal - first] = WRONG if digests[ordinal - first] else _of_length(digest)
    return [digest or WRONG for digest in digests]


def _orphans(connection: sa.Connection, table: sa.Table) -> Iterator[str]:
    """Bulk rows that no header accounts for: of no batch, or beyond the end of theirs."""
    header, staging = schema.batch_header, schema.staging
    unknown = (
        sa.select(table.c.batch, sa.func.count())
        .where(
            ~sa.exists().where(header.c.rid == table.c.batch, header.c.name == table.name),
            ~sa.exists().where(staging.c.batch == table.c.batch),
        )
        .group_by(table.c.batch)
        .order_by(table.c.batch)
    )
    for batch, count in _stream(connection, unknown):
        yield f"{table.name}: {count} rows belong to batch {batch}, which no change made"
    beyond = (
        sa.select(table.c.batch, sa.func.count())
        .join(header, sa.and_(header.c.rid == table.c.batch, header.c.name == table.name))
        .where(sa.or_(table.c.ordinal < 0, table.c.ordinal >= header.c.rows))
        .group_by(table.c.batch)
        .order_by(table.c.batch)
    )
    for batch, count in _stream(connection, beyond):
        yield f"{table.name}: {count} rows stand beyond the end of batch {batch}"


def _stream(connection: sa.Connection, statement: sa.Select[Any]) -> Iterator[Any]:
    yield from connection.execute(statement, execution_options=_STREAM)
