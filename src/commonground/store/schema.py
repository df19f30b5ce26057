"""Tables and their four storage classes.

temporal  a row lives from one change to another; only its end may be set, once
batch     immutable rows keyed by batch and ordinal; visible while the batch's header lives
stream    insert only
working   free, and in no digest

A table is made by the function of its class, which adds the columns that the class needs.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

FOREVER = (1 << 63) - 1
INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
REAL: sa.types.TypeEngine[Any] = sa.Double().with_variant(sa.REAL(), "sqlite")
TEXT = sa.Text()
BYTES = sa.LargeBinary()
SQL_TYPES: dict[str, sa.types.TypeEngine[Any]] = {"int": INT, "real": REAL, "text": TEXT, "bytes": BYTES}
SYSTEM_COLUMNS = frozenset({"pk", "salt", "since", "until"})

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    },
)


class StorageClass(StrEnum):
    """How rows of a table live."""

    TEMPORAL = "temporal"
    BATCH = "batch"
    STREAM = "stream"
    WORKING = "working"


@dataclass(frozen=True, slots=True)
class Field:
    """One payload column of a table."""

    name: str
    """The column's name in the database."""
    type: str
    """int, real, text or bytes."""
    required: bool = False
    """Whether a row must have it."""
    indexed: bool = False
    """Whether it is looked up by."""


WHERE = "where"
"""Under this word the info of an index has the condition of the rows that it is of."""


def _columns(fields: Sequence[Field]) -> list[sa.Column[object]]:
    return [sa.Column(field.name, SQL_TYPES[field.type], nullable=not field.required) for field in fields]


@sa.event.listens_for(sa.Table, "before_create")
def _limit_indexes(table: sa.Table, connection: sa.Connection, **_: object) -> None:
    """Tell PostgreSQL which rows an index is of; said any earlier, SQLAlchemy would load its dialect for everybody."""
    if connection.dialect.name == "postgresql":
        for index in table.indexes:
            if WHERE in index.info:
                index.dialect_options["postgresql"]["where"] = index.info[WHERE]


def temporal(
    name: str,
    fields: Sequence[Field],
    *,
    unique: Sequence[str] = (),
    into: sa.MetaData = metadata,
) -> sa.Table:
    """A temporal table: pk, rid, the fields, salt, since, until.

    `unique` names fields that together may occur once among the living rows. The full index on (rid, since) is what
    keeps as-of reads linear: with a partial index alone SQLite scans all closed rows for each row it returns.
    """
    table = sa.Table(
        name,
        into,
        sa.Column("pk", INT, primary_key=True, autoincrement=True),
        sa.Column("rid", INT, nullable=False),
        *_columns(fields),
        sa.Column("salt", BYTES, nullable=False),
        sa.Column("since", INT, nullable=False),
        sa.Column("until", INT),
        info={"storage": StorageClass.TEMPORAL},
        sqlite_strict=True,
    )
    sa.Index(f"ux_{name}_rid_since", table.c.rid, table.c.since, unique=True)
    sa.Index(f"ix_{name}_since", table.c.since)
    ended = table.c.until.is_not(None)
    sa.Index(f"ix_{name}_until", table.c.until, sqlite_where=ended, info={WHERE: ended})
    for field in fields:
        if field.indexed:
            sa.Index(f"ix_{name}_{field.name}", table.c[field.name], table.c.since)
    if unique:
        live = table.c.until.is_(None)
        columns = [table.c[column] for column in unique]
        sa.Index(f"ux_{name}_live", *columns, unique=True, sqlite_where=live, info={WHERE: live})
    return table


def batch(name: str, fields: Sequence[Field], *, into: sa.MetaData = metadata) -> sa.Table:
    """A batch table: batch, ordinal, the fields; the key is (batch, ordinal)."""
    table = sa.Table(
        name,
        into,
        sa.Column("batch", INT, primary_key=True, autoincrement=False),
        sa.Column("ordinal", INT, primary_key=True, autoincrement=False),
        *_columns(fields),
        info={"storage": StorageClass.BATCH},
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    for field in fields:
        if field.indexed:
            sa.Index(f"ix_{name}_{field.name}", table.c[field.name])
    return table


def stream(name: str, key: Sequence[Field], fields: Sequence[Field], *, into: sa.MetaData = metadata) -> sa.Table:
    """A stream table, whose rows are only ever inserted; `key` makes a repeated delivery harmless."""
    table = sa.Table(
        name,
        into,
        *(sa.Column(part.name, SQL_TYPES[part.type], primary_key=True, autoincrement=False) for part in key),
        *_columns(fields),
        info={"storage": StorageClass.STREAM},
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    for field in fields:
        if field.indexed:
            sa.Index(f"ix_{name}_{field.name}", table.c[field.name])
    return table


def working(
    name: str,
    key: Sequence[Field],
    fields: Sequence[Field] = (),
    *,
    into: sa.MetaData = metadata,
) -> sa.Table:
    """A working table: free to change, and in no digest."""
    table = stream(name, key, fields, into=into)
    table.info["storage"] = StorageClass.WORKING
    return table


def payload(table: sa.Table) -> list[sa.Column[object]]:
    """The columns of a table that say something, in declared order: all but keys of storage, salt and life span."""
    return [column for column in table.columns if column.name not in SYSTEM_COLUMNS]


def field_type(column: sa.Column[object]) -> str:
    """The word for a column's type: int, real, text or bytes."""
    kind: sa.types.TypeEngine[object] = column.type
    for word, python in (("text", sa.Text), ("bytes", sa.LargeBinary), ("real", sa.Double), ("int", sa.BigInteger)):
        if isinstance(kind, python):
            return word
    raise AssertionError(column)


@functools.lru_cache(maxsize=512)
def names_and_types(table: sa.Table) -> tuple[list[str], list[str]]:
    """The names of a table's payload columns and the words for their types; not to be changed by the caller."""
    columns = payload(table)
    return [column.name for column in columns], [field_type(column) for column in columns]


# Tables of the ground floor itself.

meta = working("meta", [Field("key", "text")], [Field("value", "text", required=True)])

identity = working(
    "identity",
    [Field("first", "int")],
    [Field("last", "int", required=True), Field("kind", "text", required=True), Field("place", "text")],
)

stored_table = working("stored_table", [Field("name", "text")], [Field("definition", "text", required=True)])

change = stream(
    "change",
    [Field("id", "int")],
    [
        Field("plan", "int", required=True),
        Field("verb", "text", required=True),
        Field("words", "text"),
        Field("salt", "bytes"),
        Field("words_digest", "bytes", required=True),
        Field("actor", "int"),
        Field("on_behalf", "int"),
        Field("via", "text", required=True),
        Field("agent", "text"),
        Field("recorded_at", "int", required=True),
        Field("made_at", "int"),
        Field("origin", "text"),
        Field("previous", "bytes", required=True),
        Field("digest", "bytes", required=True),
    ],
)
sa.Index("ux_change_plan", change.c.plan, unique=True)

change_table = stream(
    "change_table",
    [Field("change", "int"), Field("name", "text")],
    [
        Field("added", "int", required=True),
        Field("ended", "int", required=True),
        Field("digest", "bytes", required=True),
    ],
)
sa.Index("ix_change_table_name", change_table.c.name, change_table.c.change)

change_anchor = stream("change_anchor", [Field("rid", "int"), Field("change", "int")], [])
sa.Index("ix_change_anchor_change", change_anchor.c.change)

erased = stream(
    "erased",
    [Field("name", "text"), Field("rid", "int"), Field("ordinal", "int"), Field("since", "int")],
    [
        Field("until", "int"),
        Field("digest", "bytes", required=True),
        Field("by", "int", required=True, indexed=True),
    ],
)

batch_header = temporal(
    "batch",
    [
        Field("name", "text", required=True),
        Field("subject", "int", required=True, indexed=True),
        Field("origin", "int", indexed=True),
        Field("rows", "int", required=True),
        Field("columns", "text", required=True),
        Field("digest", "bytes", required=True),
    ],
)

batch_chunk = stream(
    "batch_chunk",
    [Field("batch", "int"), Field("first", "int")],
    [Field("rows", "int", required=True), Field("salts", "bytes", required=True)],
)

retired = temporal(
    "retired",
    [Field("batch", "int", required=True, indexed=True), Field("ordinal", "int", required=True)],
    unique=["batch", "ordinal"],
)

staging = working(
    "staging",
    [Field("batch", "int")],
    [Field("name", "text", required=True), Field("process", "text", required=True), Field("at", "int", required=True)],
)
