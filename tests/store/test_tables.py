"""Tables that a study declares are kept as definitions, grow by columns, and keep the digests of older rows."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from commonground.store import schema, tables
from commonground.store.schema import Field, StorageClass
from commonground.store.transaction import digest_of


def test_a_declared_table_is_loaded_as_it_was_made(database, thing):
    """The same definition gives the same object, by name or among all."""
    with database.read() as connection:
        assert tables.load(connection)["t_thing"] is tables.load_one(connection, "t_thing") is thing
        kinds = {table.name: table.info["storage"] for table in tables.list_temporal(connection)}
    assert kinds["t_thing"] is StorageClass.TEMPORAL
    assert {"batch", "retired", "dataset"} <= set(kinds)
    assert "member" not in kinds
    assert "member" in {table.name for table in tables.list_batch()}


def test_a_new_column_leaves_old_rows_and_digests_alone(database, thing, change):
    """After columns were added, old rows have nothing in them and their digest is still the recorded one."""
    with change() as tx:
        tx.insert(thing, [{"rid": 1, "label": "old"}])
        recorded = tx.effects["t_thing"].added[1]
    with change() as tx:
        wider = tables.add_fields(tx.connection, "t_thing", [Field("colour", "text", indexed=True), Field("n", "int")])
        tx.insert(wider, [{"rid": 2, "label": "new", "colour": "red", "n": 4}])
    with database.read() as connection:
        assert tables.load_one(connection, "t_thing") is wider
        rows = connection.execute(sa.select(wider).order_by(wider.c.rid)).mappings().all()
        indexes = {index["name"] for index in sa.inspect(connection).get_indexes("t_thing")}
    assert [(row["label"], row["colour"], row["n"]) for row in rows] == [("old", None, None), ("new", "red", 4)]
    names, types = schema.names_and_types(wider)
    assert digest_of(names, types, [rows[0][name] for name in names], bytes(rows[0]["salt"])) == recorded
    assert "ix_t_thing_colour" in indexes


def test_a_failed_new_column_is_rolled_back(database, change):
    """A column added in a change that fails is neither in the database nor in the definition."""
    with pytest.raises(RuntimeError), change() as tx:  # noqa: PT012 - what is done before the fault is the point
        tables.add_fields(tx.connection, "t_thing", [Field("colour", "text")])
        raise RuntimeError
    with database.read() as connection:
        assert "colour" not in tables.load_one(connection, "t_thing").c
        assert "colour" not in {column["name"] for column in sa.inspect(connection).get_columns("t_thing")}


@pytest.mark.parametrize("name", ["order", "select", "a b", 'q"uote', "ünïcode", "%s %%", "x'y"])
def test_any_column_name_can_be_stored(database, change, name):
    """Words of SQL, spaces, quotes and other letters are names like any other."""
    with change() as tx:
        made = tables.declare(tx.connection, "t_odd", [Field(name, "text", indexed=True)])
        tx.insert(made, [{"rid": n, name: f"v{n}"} for n in range(1, 80)])
    with change() as tx:
        tx.replace(made, [{"rid": 1, name: "other"}])
    with database.read() as connection:
        assert connection.execute(sa.select(made.c[name]).where(made.c.since == 2)).scalars().all() == ["other"]
