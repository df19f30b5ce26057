"""Rows are written whole, checked on both engines alike, and ended once."""

from __future__ import annotations

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from commonground.errors import Conflict, InvalidInput
from commonground.identity import Kind
from commonground.store import schema
from commonground.store.canonical import combine
from commonground.store.transaction import TOGETHER, RowDigests, digest_of, effect_digest


def rows_of(database, thing):
    """All rows of the table, by change and rid."""
    with database.read() as connection:
        return connection.execute(sa.select(thing).order_by(thing.c.since, thing.c.rid)).mappings().all()


@pytest.mark.parametrize(
    "row",
    [
        {"size": float("nan")},
        {"size": np.float64("nan")},
        {"label": "a\0b"},
        {"label": "half \ud800 pair"},
        {"count": 1 << 63},
        {"count": -(1 << 63) - 1},
        {"count": 1.5},
        {"count": True},
        {"count": "1"},
        {"size": "1.0"},
        {"size": (1 << 53) + 1},
        {"label": 7},
        {"raw": "text"},
        {"colour": "red"},
    ],
)
def test_what_an_engine_would_bend_is_refused_on_both(database, thing, change, row):
    """NaN, NUL, half surrogates, integers beyond 64 bits, wrong types and unknown columns change nothing."""
    with pytest.raises(InvalidInput), change() as tx:
        tx.insert(thing, [{"rid": 1, "label": "kept?"}, {"rid": 2, **row}])
    assert rows_of(database, thing) == []


def test_extreme_values_come_back_as_they_were(database, thing, change):
    """The ends of 64 bits, infinities, the smallest double, empty text, emoji, and bytes survive on both engines."""
    told = [
        {"rid": 1, "count": (1 << 63) - 1, "size": float("inf"), "label": "", "raw": b""},
        {
            "rid": 2,
            "count": -(1 << 63),
            "size": 5e-324,
            "label": "é e\u0301 \U0001f9e0 %s :x ? 'q' \"d\"",
            "raw": bytes(range(256)),
        },
        {"rid": 3, "count": np.int64(7), "size": np.float32(0.1), "label": "np", "raw": bytearray(b"ab")},
        {"rid": 4, "count": None, "size": 3, "label": None, "raw": None},
    ]
    with change() as tx:
        tx.insert(thing, told)
    for found, row in zip(rows_of(database, thing), told, strict=True):
        assert {name: found[name] for name in row} == row


def test_negative_zero_is_zero(database, thing, change):
    """-0.0 is kept as 0.0 on both engines, so that two studies with equal values have equal text."""
    with change() as tx:
        tx.insert(thing, [{"rid": 1, "size": -0.0}])
    assert str(rows_of(database, thing)[0]["size"]) == "0.0"


def test_many_rows_take_the_bulk_path_with_the_same_result(database, thing, change):
    """A thousand rows (COPY on PostgreSQL) hold the same values as single rows, nulls and tabs included."""
    told = [
        {
            "rid": n,
            "count": n if n % 3 else None,
            "size": n / 7,
            "label": f"a\tb\n\\N {n}" if n % 5 else None,
            "raw": b"\\x00\0",
        }
        for n in range(1, 1001)
    ]
    with change() as tx:
        tx.insert(thing, told)
    assert [{name: row[name] for name in told[0]} for row in rows_of(database, thing)] == told


def test_the_recorded_digest_is_that_of_the_row_read_back(database, thing, change):
    """The digest of a row as it is read back, with the salt beside it, is the one that went into the chain."""
    with change() as tx:
        tx.insert(thing, [{"rid": 5, "count": 3, "size": -0.0, "label": "x", "raw": b"\x01"}])
        told = dict(tx.effects[thing.name].added)
    (row,) = rows_of(database, thing)
    names, types = schema.names_and_types(thing)
    assert {5: digest_of(names, types, [row[name] for name in names], bytes(row["salt"]))} == told
    assert len(bytes(row["salt"])) == 16


def test_rows_that_are_written_in_several_portions(database, thing, change):
    """More rows than are written together, in no order, are all there, and all their digests went into the chain."""
    rids = np.random.default_rng(0).permutation(2 * TOGETHER + 2).tolist()
    with change() as tx:
        tx.insert(thing, [{"rid": rid + 1, "count": rid} for rid in rids])
        effect = tx.effects[thing.name]
        told, digest, count = dict(effect.added), effect.digest("t"), len(effect.added)
    names, types = schema.names_and_types(thing)
    found = {
        row["rid"]: digest_of(names, types, [row[name] for name in names], bytes(row["salt"]))
        for row in rows_of(database, thing)
    }
    assert found == told
    assert count == 2 * TOGETHER + 2
    assert digest == effect_digest("t", combine(found[rid] for rid in sorted(found)), b"")


@given(st.lists(st.dictionaries(st.integers(-9, 9), st.binary(min_size=32, max_size=32), max_size=5)))
def test_digests_of_rows_are_those_last_given(parts):
    """However many are held as plain bytes, the digests of rows are what a plain mapping has of them."""
    held, plain = RowDigests(most=3), {}
    for part in parts:
        held.update(part)
        plain.update(part)
        assert (len(held), bool(held)) == (len(plain), bool(plain))
    assert list(held) == sorted(plain)
    assert list(held.ordered()) == [plain[rid] for rid in sorted(plain)]
    assert all(held.get(rid) == plain.get(rid) for rid in range(-10, 10))


def test_an_exception_leaves_nothing(database, thing, change):
    """Rows, ended rows, registered ids and the change itself vanish together when the block fails."""
    with change() as tx:
        tx.insert(thing, [{"rid": 1, "label": "a"}])
    with pytest.raises(RuntimeError), change() as tx:  # noqa: PT012 - what is done before the fault is the point
        tx.end(thing, [1])
        tx.insert(thing, [{"rid": 2, "label": "b"}])
        tx.register(Kind.ENTITY, [2])
        raise RuntimeError
    (row,) = rows_of(database, thing)
    assert (row["rid"], row["until"]) == (1, None)
    with database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(schema.identity)).scalar() == 0
        assert connection.execute(sa.select(sa.func.count()).select_from(schema.change)).scalar() == 1


def test_a_row_is_ended_once(database, thing, change):
    """Ending a row that does not live is a conflict, and what did live stays alive."""
    with change() as tx:
        tx.insert(thing, [{"rid": 1}, {"rid": 2}])
    with change() as tx:
        tx.end(thing, [1])
    with pytest.raises(Conflict), change() as tx:
        tx.end(thing, [2, 1])
    assert {row["rid"]: row["until"] for row in rows_of(database, thing)} == {1: 2, 2: None}


def test_replace_keeps_the_old_version(database, thing, change):
    """A replaced row ends in the change in which its successor begins."""
    with change() as tx:
        tx.insert(thing, [{"rid": 1, "label": "old"}])
    with change() as tx:
        tx.replace(thing, [{"rid": 1, "label": "new"}])
    assert [(row["label"], row["since"], row["until"]) for row in rows_of(database, thing)] == [
        ("old", 1, 2),
        ("new", 2, None),
    ]


def test_two_living_rows_that_must_differ_are_a_conflict(change):
    """A unique rule of a table becomes a Conflict that says so, not a driver's error."""
    retired = schema.retired
    with change() as tx:
        tx.insert(retired, [{"rid": 1, "batch": 5, "ordinal": 0}])
    with pytest.raises(Conflict, match="only once"), change() as tx:
        tx.insert(retired, [{"rid": 2, "batch": 5, "ordinal": 0}])
    with change() as tx:
        tx.end(retired, [1])
        tx.insert(retired, [{"rid": 3, "batch": 5, "ordinal": 0}])


def test_a_missing_required_value_is_bad_input(change):
    """A row without a value that its table requires is InvalidInput on both engines."""
    with pytest.raises(InvalidInput, match="rule of its table"), change() as tx:
        tx.insert(schema.retired, [{"rid": 1, "batch": 5}])


def test_registered_ids_are_taken(database, change):
    """A range that overlaps a registered one is refused, whichever of the two is longer."""
    with change() as tx:
        tx.register(Kind.ENTITY, range(100, 200), place="t_thing")
    for rids in ([150], range(90, 101), range(199, 300), range(50, 400), [99, 100]):
        with pytest.raises(Conflict), change() as tx:
            tx.register(Kind.ENTITY, rids)
    with change() as tx:
        tx.register(Kind.TERM, [200, 99, 201, 300])
    with database.read() as connection:
        spans = connection.execute(sa.select(schema.identity.c.first, schema.identity.c.last).order_by("first")).all()
    assert [tuple(span) for span in spans] == [(99, 99), (100, 199), (200, 201), (300, 300)]


def test_an_erased_row_leaves_a_shell(database, thing, change):
    """Erasing destroys every version with its salt, and keeps digest and life span; the living version ends."""
    with change() as tx:
        tx.insert(thing, [{"rid": 1, "label": "secret"}, {"rid": 2, "label": "kept"}])
        first = tx.effects[thing.name].added[1]
    with change() as tx:
        tx.replace(thing, [{"rid": 1, "label": "secret too"}])
        second = tx.effects[thing.name].added[1]
    with change() as tx:
        assert tx.erase(thing, [1, 1]) == 2
    assert [row["rid"] for row in rows_of(database, thing)] == [2]
    with database.read() as connection:
        shells = connection.execute(sa.select(schema.erased).order_by(schema.erased.c.since)).all()
    assert [(s.name, s.rid, s.since, s.until, bytes(s.digest), s.by) for s in shells] == [
        (thing.name, 1, 1, 2, first, 3),
        (thing.name, 1, 2, 3, second, 3),
    ]
