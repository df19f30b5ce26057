"""Tables that a study declares for itself, kept as definitions so that nothing is ever reflected from the database."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Sequence

import sqlalchemy as sa

from commonground.store import schema
from commonground.store.bulk import insert_rows
from commonground.store.schema import Field


@functools.lru_cache(maxsize=4096)
def build(name: str, definition: str) -> sa.Table:
    """The temporal table of a definition; the same definition gives the same object, so statements stay compiled."""
    told = json.loads(definition)
    return schema.temporal(
        name,
        [Field(**field) for field in told["fields"]],
        unique=told["unique"],
        into=sa.MetaData(naming_convention=schema.metadata.naming_convention),
    )


def declare(connection: sa.Connection, name: str, fields: Sequence[Field], unique: Sequence[str] = ()) -> sa.Table:
    """Create a temporal table and keep its definition; `unique` fields may occur once among living rows."""
    definition = _definition(fields, unique)
    table = build(name, definition)
    table.create(connection)
    insert_rows(connection, schema.stored_table, ["name", "definition"], [(name, definition)])
    return table


def add_fields(connection: sa.Connection, name: str, fields: Sequence[Field]) -> sa.Table:
    """Add columns to a declared table; rows written before have nothing in them, and their digests stay as they are."""
    stored = schema.stored_table
    known = connection.execute(sa.select(stored.c.definition).where(stored.c.name == name)).scalar_one()
    told = json.loads(known)
    definition = _definition([*(Field(**field) for field in told["fields"]), *fields], told["unique"])
    table = build(name, definition)
    quote = connection.dialect.identifier_preparer.quote
    for field in fields:
        kind = table.c[field.name].type.compile(connection.dialect)
        connection.exec_driver_sql(f"ALTER TABLE {quote(name)} ADD COLUMN {quote(field.name)} {kind}")
        for index in table.indexes:
            if field.indexed and index.name == f"ix_{name}_{field.name}":
                index.create(connection)
    connection.execute(sa.update(stored).where(stored.c.name == name).values(definition=definition))
    return table


def load(connection: sa.Connection) -> dict[str, sa.Table]:
    """All tables that the study declared, by name."""
    return {row.name: build(row.name, row.definition) for row in connection.execute(sa.select(schema.stored_table))}


def load_one(connection: sa.Connection, name: str) -> sa.Table:
    """One declared table."""
    stored = schema.stored_table
    definition = connection.execute(sa.select(stored.c.definition).where(stored.c.name == name)).scalar_one()
    return build(name, definition)


def list_temporal(connection: sa.Connection) -> list[sa.Table]:
    """Every temporal table of the study, its own and the system's."""
    system = [
        table for table in schema.metadata.sorted_tables if table.info.get("storage") is schema.StorageClass.TEMPORAL
    ]
    return [*system, *load(connection).values()]


def list_batch() -> list[sa.Table]:
    """Every batch table."""
    return [table for table in schema.metadata.sorted_tables if table.info.get("storage") is schema.StorageClass.BATCH]


def _definition(fields: Sequence[Field], unique: Sequence[str]) -> str:
    return json.dumps({"fields": [dataclasses.asdict(field) for field in fields], "unique": list(unique)})
