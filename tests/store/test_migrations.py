"""A study is made at the newest schema, and is only opened by a release that knows its schema."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from commonground.errors import SchemaTooNew, SchemaTooOld, StorageError
from commonground.store import migrations, schema
from commonground.store.database import Database
from commonground.store.migrations import Step


def test_a_new_study_has_the_newest_schema(database):
    """A new database passes the check, and no step is left to run."""
    with database.read() as connection:
        migrations.check(connection)
        assert migrations.read_meta(connection)["schema"] == str(migrations.NEWEST)
        assert migrations.plan(connection) == []


def test_a_database_in_use_is_not_taken_over(address):
    """A database that holds any table is refused and keeps what it holds."""
    opened = Database(address)
    with opened.write() as connection:
        connection.exec_driver_sql("CREATE TABLE theirs (x INTEGER)")
    with pytest.raises(StorageError, match="not empty"), opened.write() as connection:
        migrations.create(connection)
    with opened.read() as connection:
        assert sa.inspect(connection).get_table_names() == ["theirs"]
    opened.close()


def test_another_schema_is_refused_with_what_to_do(database, monkeypatch):
    """A newer study names the way out, an older one names the migration."""
    with database.write() as connection:
        migrations.write_meta(connection, "schema", str(migrations.NEWEST + 1))
    with database.read() as connection, pytest.raises(SchemaTooNew, match="schema"):
        migrations.check(connection)
    monkeypatch.setattr(migrations, "NEWEST", migrations.NEWEST + 2)
    with database.read() as connection, pytest.raises(SchemaTooOld) as caught:
        migrations.check(connection)
    assert "cg migrate" in caught.value.todo


def add_colour(connection):
    """A step that adds a column."""
    connection.exec_driver_sql("ALTER TABLE meta ADD COLUMN colour TEXT")


def fail(_):
    """A step that fails."""
    raise RuntimeError


def test_steps_run_all_or_none(database, monkeypatch):
    """When the second step fails, neither its work nor that of the first remains, and the schema number stays."""
    first, second = Step(2, "colour", add_colour), Step(3, "fails", fail)
    monkeypatch.setattr(migrations, "STEPS", (first, second))
    with database.read() as connection:
        assert [step.number for step in migrations.plan(connection)] == [2, 3]
    with pytest.raises(RuntimeError), database.write() as connection:
        migrations.run(connection, [first, second])
    with database.read() as connection:
        assert migrations.read_meta(connection)["schema"] == "1"
        assert "colour" not in {column["name"] for column in sa.inspect(connection).get_columns(schema.meta.name)}
    with database.write() as connection:
        migrations.run(connection, [first])
    with database.read() as connection:
        assert migrations.read_meta(connection)["schema"] == "2"
        assert [step.number for step in migrations.plan(connection)] == [3]
