"""Reads as of a change answer what was there then, and ids are found by prefix."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commonground.errors import Ambiguous, InvalidInput, NotFound
from commonground.identity import Kind, show_rid
from commonground.store import batches, changes
from commonground.store.view import View, find_prefix, identify, shorten
from commonground.structure.tables import value_int

RIDS = range(1, 9)
step = st.lists(
    st.tuples(st.sampled_from(["put", "end"]), st.sampled_from(RIDS), st.integers(-5, 5)), min_size=1, max_size=6
)


def view_at(connection, number):
    """A view as of a change."""
    newest, _ = changes.head(connection)
    return View(connection, number, number == newest)


def seen(view, thing):
    """What a view shows of the table."""
    return {row.rid: row.count for row in view.list_rows(thing)}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(history=st.lists(step, min_size=1, max_size=12))
def test_as_of_reads_agree_with_a_model(database, thing, change, history):
    """After any history with many versions per row, each past change shows exactly what a dictionary held then."""
    with database.write() as connection:
        connection.execute(sa.delete(thing))
    with database.read() as connection:
        first, _ = changes.head(connection)
    model: dict[int, int] = {}
    kept = {first: {}}
    for steps in history:
        wanted = dict(model)
        for what, rid, count in steps:
            if what == "put":
                wanted[rid] = count
            else:
                wanted.pop(rid, None)
        with change() as tx:
            tx.end(thing, [rid for rid in model if model[rid] != wanted.get(rid)])
            tx.insert(thing, [{"rid": r, "count": n} for r, n in wanted.items() if model.get(r) != n])
            kept[tx.change] = wanted
        model = wanted
    with database.read() as connection:
        for number, rows in kept.items():
            assert seen(view_at(connection, number), thing) == rows
            assert seen(View(connection, number, current=False), thing) == rows
        last = view_at(connection, max(kept))
        assert last.current
        assert [row.rid for row in last.list_rows(thing, thing.c.count > 0)] == sorted(
            rid for rid, count in model.items() if count > 0
        )


def test_an_as_of_read_does_not_scan_the_ended_rows(database, thing):
    """On SQLite a past row is looked up through (rid, since), never by a union of two index scans."""
    if database.dialect != "sqlite":
        return
    with database.read() as connection:
        view = View(connection, 5, current=False)
        statement = sa.select(thing).where(view.visible(thing), thing.c.rid == 3)
        text = statement.compile(connection.engine, compile_kwargs={"literal_binds": True})
        plan = " ".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}"))
    assert "rid_since" in plan
    assert "MULTI-INDEX OR" not in plan


def test_live_batches_leave_out_retired_rows_and_other_subjects(database, change):
    """A batch is there from its header on, a single retired row is gone from its retirement on, before it is not."""
    with change() as tx:
        batches.publish(tx, batches.write(tx, value_int, 50, {"entity": [1, 2, 3], "value": [7, 8, 9]}), 900, None)
        batches.publish(tx, batches.write(tx, value_int, 51, {"entity": [1], "value": [4]}), 901, 77)
    with change() as tx:
        batches.retire(tx, [60], [(50, 1)])
    with change() as tx:
        tx.end(batches.schema.batch_header, [50])
    with database.read() as connection:
        told = {
            number: sorted(
                row.value for row in connection.execute(view_at(connection, number).live_batches(value_int, 900))
            )
            for number in (0, 1, 2, 3)
        }
        (other,) = connection.execute(view_at(connection, 3).live_batches(value_int)).all()
    assert told == {0: [], 1: [7, 8, 9], 2: [7, 9], 3: []}
    assert (other.subject, other.origin, other.told, other.value) == (901, 77, 1, 4)


def test_ids_resolve_inside_their_range_only(database, change):
    """Every id of a registered range resolves to its kind and place; its neighbours do not."""
    with change() as tx:
        tx.register(Kind.ENTITY, range(1000, 1010), place="t_thing")
        tx.register(Kind.TERM, [1010])
    with database.read() as connection:
        assert (identify(connection, 1009).kind, identify(connection, 1009).place) == (Kind.ENTITY, "t_thing")
        assert identify(connection, 1010).kind is Kind.TERM
        for rid in (0, 999, 1011, (1 << 63) - 1):
            with pytest.raises(NotFound):
                identify(connection, rid)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    starts=st.lists(st.one_of(st.integers(0, 60), st.integers(1 << 61, (1 << 61) + 5000)), min_size=1, max_size=12),
    length=st.integers(1, 40),
)
def test_shortened_ids_lead_back(database, change, starts, length):
    """The shortened form of any registered id finds that id alone, and no shorter one of at least four letters does."""
    spans = []
    for start in sorted(starts):
        if not spans or start > spans[-1][-1]:
            spans.append(range(start, start + length))
    with database.write() as connection:
        connection.exec_driver_sql("DELETE FROM identity")
    with change() as tx:
        for span in spans:
            tx.register(Kind.ENTITY, span)
    everything = [show_rid(rid) for span in spans for rid in span]
    with database.read() as connection:
        for span in spans:
            for rid in (span[0], span[len(span) // 2], span[-1]):
                short = shorten(connection, rid)
                assert find_prefix(connection, short.lower()).rid == rid
                assert [text for text in everything if text.startswith(short)] == [show_rid(rid)]
                assert len(short) == 4 or sum(text.startswith(short[:-1]) for text in everything) > 1


def test_an_ambiguous_prefix_names_candidates(database, change):
    """A prefix of several ids is refused with five of them; one of none, and one that is no id, are told apart."""
    with change() as tx:
        tx.register(Kind.ENTITY, range(1 << 40, (1 << 40) + 1_000_000))
    with database.read() as connection:
        with pytest.raises(Ambiguous) as caught:
            find_prefix(connection, show_rid(1 << 40)[:6])
        assert len(caught.value.faults) == 5
        with pytest.raises(NotFound):
            find_prefix(connection, "7zzz")
        for wrong in ("", "u", "8", "0" * 14, "é"):
            with pytest.raises(InvalidInput):
                find_prefix(connection, wrong)
