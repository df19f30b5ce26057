"""The change log is serial, chained, and keeps what was said."""

from __future__ import annotations

import math

import pytest
import sqlalchemy as sa

from commonground.errors import Conflict, InvalidInput, NotFound
from commonground.identity import Actor
from commonground.store import changes, schema


def test_changes_are_numbered_from_one_without_gaps(database, thing, change):
    """A failed change leaves no gap: the next one takes its number and links to the last that stayed."""
    with change() as tx:
        tx.insert(thing, [{"rid": 1}])
    with pytest.raises(TypeError), change() as tx:
        tx.insert(thing, [{"rid": 2}, None])
    with change():
        pass
    with database.read() as connection:
        walked = list(changes.walk(connection, size=1))
        assert changes.head(connection) == (2, bytes(walked[-1].row["digest"]))
    assert [recorded.row["id"] for recorded in walked] == [1, 2]
    assert bytes(walked[0].row["previous"]) == changes.GENESIS
    assert bytes(walked[1].row["previous"]) == bytes(walked[0].row["digest"])


def test_each_link_can_be_recomputed_from_what_is_stored(database, thing, change):
    """Row, table digests and anchors of every change give its digest again, in pieces of any size."""
    for number in range(1, 8):
        with change(why="é" * number, args={"n": number}) as tx:
            tx.insert(thing, [{"rid": number}])
            tx.touch(number, 99)
    with database.read() as connection:
        for size in (1, 3, 100):
            walked = list(changes.walk(connection, size=size))
            assert [r.row["id"] for r in walked] == list(range(1, 8))
            for recorded in walked:
                assert changes.link(recorded.row, recorded.tables, recorded.anchors) == bytes(recorded.row["digest"])
                assert sorted(recorded.anchors) == sorted({recorded.row["id"], 99})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("verb", "other"),
        ("actor", 5),
        ("via", "cli"),
        ("recorded_at", 1),
        ("made_at", 1),
        ("origin", "{}"),
        ("plan", 3),
    ],
)
def test_every_field_of_a_change_is_in_its_digest(database, change, name, value):
    """A change with another verb, person, door, time, origin or plan has another digest."""
    with change(why="because"):
        pass
    with database.read() as connection:
        (recorded,) = changes.walk(connection)
    assert changes.link({**recorded.row, name: value}, {}, []) != bytes(recorded.row["digest"])
    assert changes.link(recorded.row, {}, [1]) != bytes(recorded.row["digest"])
    assert changes.link(recorded.row, {"t": b"x" * 32}, []) != bytes(recorded.row["digest"])


def test_what_was_said_comes_back(database):
    """Arguments, reason, person, door, agent and claimed time of a change are read back as they were given."""
    actor = Actor(person=7, name="A", on_behalf=8, via="cli", agent="some-tool")
    with database.write() as connection:
        tx = changes.begin(connection)
        told = changes.append(
            tx, plan=5, verb="v", args={"b": [1, None], "a": "é"}, why="why not", actor=actor, recorded_at=9, made_at=4
        )
    with database.read() as connection:
        found = changes.get_change(connection, 1)
        assert found == told == changes.find_plan(connection, 5)
        assert changes.find_plan(connection, 6) is None
        with pytest.raises(NotFound):
            changes.get_change(connection, 2)
    assert (found.args, found.why) == ({"b": [1, None], "a": "é"}, "why not")
    assert (found.actor, found.on_behalf, found.via, found.agent, found.made_at) == (7, 8, "cli", "some-tool", 4)


@pytest.mark.parametrize("value", [math.nan, math.inf, "\ud800", {1, 2}, b"x"])
def test_words_that_are_no_plain_data_are_refused(database, change, value):
    """NaN, infinities, half surrogates, sets and bytes cannot be arguments, and nothing is written."""
    with pytest.raises(InvalidInput), change(args={"x": value}):
        pass
    with database.read() as connection:
        assert changes.head(connection)[0] == 0


def test_a_plan_is_committed_once(database):
    """The database itself refuses a second change with the same plan."""
    for plan in (1, 2):
        with database.write() as connection:
            changes.append(
                changes.begin(connection), plan=plan, verb="v", args={}, why=None, actor=Actor(), recorded_at=1
            )
    with pytest.raises(Conflict), database.write() as connection:
        changes.append(changes.begin(connection), plan=2, verb="v", args={}, why=None, actor=Actor(), recorded_at=1)


def test_heads_and_history_of_a_thing(database, change):
    """A thing's head is the newest change about it; its history lists these changes, the newest first."""
    for number in range(1, 6):
        with change() as tx:
            tx.touch(100, 200 + number)
    with database.read() as connection:
        found = changes.heads(connection, [100, 201, 205, 999, *range(10_000, 11_500)])
        assert (found[100], found[201], found[205], found[999]) == (5, 1, 5, 0)
        assert [c.id for c in changes.list_changes(connection, about=100)] == [5, 4, 3, 2, 1]
        assert [c.id for c in changes.list_changes(connection, about=203)] == [3]
        assert [c.id for c in changes.list_changes(connection, until=3, limit=2)] == [3, 2]


def test_erased_words_leave_the_chain_as_it_was(database, change):
    """What a change said can be destroyed with its salt; its link still holds, and it reads as saying nothing."""
    with change(why="a patient's name", args={"name": "x"}):
        pass
    with change() as tx:
        changes.erase_words(tx, [1])
        changes.erase_words(tx, [1])
    with database.read() as connection:
        for recorded in changes.walk(connection):
            assert changes.link(recorded.row, recorded.tables, recorded.anchors) == bytes(recorded.row["digest"])
        found = changes.get_change(connection, 1)
        assert (dict(found.args), found.why) == ({}, None)
        row = connection.execute(sa.select(schema.change.c.words, schema.change.c.salt)).first()
        assert tuple(row) == (None, None)
        assert connection.execute(sa.select(sa.func.count()).select_from(schema.erased)).scalar() == 1
