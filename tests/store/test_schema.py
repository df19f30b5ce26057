"""Each table states its storage class, and its columns and indexes follow from it."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from commonground.store import schema
from commonground.store.schema import Field, StorageClass, batch, field_type, payload, stream, temporal, working


def test_every_table_has_a_storage_class():
    """No table of the ground or of a layer above is without one."""
    assert schema.metadata.tables
    for table in schema.metadata.tables.values():
        assert isinstance(table.info["storage"], StorageClass), table.name


def test_a_temporal_table_has_the_index_that_keeps_as_of_reads_linear():
    """Beside the fields: pk, rid, salt, since, until, and a full unique index on (rid, since)."""
    table = temporal("x", [Field("a", "int", indexed=True)], unique=["a"], into=sa.MetaData())
    assert [column.name for column in table.columns] == ["pk", "rid", "a", "salt", "since", "until"]
    full = [index for index in table.indexes if [c.name for c in index.columns] == ["rid", "since"]]
    assert len(full) == 1
    assert full[0].unique
    assert full[0].dialect_options["sqlite"]["where"] is None
    assert [column.name for column in payload(table)] == ["rid", "a"]


def test_the_types_are_told_apart():
    """int, real, text and bytes each come back as their word."""
    fields = [Field(word, word) for word in ("int", "real", "text", "bytes")]
    for make in (temporal, batch):
        table = make("x", fields, into=sa.MetaData())
        assert [field_type(table.c[field.name]) for field in fields] == [field.type for field in fields]


def test_classes_without_history_have_no_life_span():
    """Batch, stream and working tables have no since and until; their keys are those declared."""
    keyed = [Field("k", "int")]
    assert [c.name for c in batch("x", keyed, into=sa.MetaData()).primary_key] == ["batch", "ordinal"]
    for make in (stream, working):
        table = make("x", keyed, [Field("v", "text")], into=sa.MetaData())
        assert [c.name for c in table.columns] == ["k", "v"]
        assert [c.name for c in table.primary_key] == ["k"]


def test_sqlite_tables_are_strict(database):
    """Either engine refuses a value of another type even when no check of ours stands before it."""
    statement = "INSERT INTO edge (rid, src, dst, relation, salt, since) VALUES (1, 'text', 1, 'x', '', 1)"
    with pytest.raises(Exception, match=r"rule of its table|invalid input syntax"), database.write() as connection:
        connection.exec_driver_sql(statement)


def test_an_index_of_living_rows_is_of_these_only(postgres_url: str) -> None:
    """On PostgreSQL, too, a name may be used again once its first bearer has ended: the index has a condition."""
    engine = sa.create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://"))
    table = schema.temporal("bearer", [schema.Field("name", "text")], unique=["name"], into=sa.MetaData())
    with engine.begin() as connection:
        table.create(connection)
        told = connection.execute(sa.text("SELECT indexdef FROM pg_indexes WHERE indexname = 'ux_bearer_live'"))
        assert "WHERE (until IS NULL)" in told.scalar_one()
        table.drop(connection)
    engine.dispose()
