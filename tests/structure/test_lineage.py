"""A walk finds every thing that a way leads to, each once, in any graph, and as it was at any change."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commonground.identity import Actor
from commonground.store import changes
from commonground.store.bulk import insert_rows
from commonground.store.ground import Ground
from commonground.store.transaction import Transaction
from commonground.structure import lineage, tables
from commonground.structure.lineage import Edge


@contextlib.contextmanager
def one_change(ground: Ground) -> Iterator[Transaction]:
    """A change that is linked to the chain."""
    with ground.change() as tx:
        yield tx
        changes.append(tx, plan=ground.mint.one(), verb="test", args={}, why=None, actor=Actor(name="t"), recorded_at=1)


def connect(ground: Ground, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Write edges; returns their rids."""
    listed = list(pairs)
    rids = list(ground.mint.many(len(listed))) if listed else []
    with one_change(ground) as tx:
        lineage.add_edges(
            tx, [Edge(rid, src, dst, "used", None, {}) for rid, (src, dst) in zip(rids, listed, strict=True)]
        )
    return rids


def connect_fast(ground: Ground, pairs: Iterable[tuple[int, int]]) -> None:
    """Write many edges without digests, for the timing of reads alone."""
    rows = [(rid, src, dst, "used", b"0" * 16) for rid, (src, dst) in enumerate(pairs, 1)]
    with ground.database.write() as connection:
        names = ["rid", "src", "dst", "relation", "salt"]
        insert_rows(connection, tables.edge, names, rows, [("since", 1), ("until", None)])
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("ANALYZE edge")


def closure(pairs: Iterable[tuple[int, int]], start: int, *, up: bool) -> set[int]:
    """All that is reached, found in the plainest way."""
    listed = list(pairs)
    found, new = {start}, {start}
    while new:
        new = {src if up else dst for src, dst in listed if (dst if up else src) in new} - found
        found |= new
    return found - {start}


PAIRS = st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), max_size=25)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PAIRS, st.integers(1, 12), st.booleans(), st.integers(0, 10**6))
def test_a_walk_is_the_closure(ground: Ground, pairs: list[tuple[int, int]], start: int, up: bool, shift: int) -> None:
    """Also with circles and double edges: everything that can be reached is reached once, and the start is left out."""
    moved = [(src + shift * 100, dst + shift * 100) for src, dst in pairs]
    connect(ground, moved)
    with ground.view() as view:
        known = [(row.src, row.dst) for row in view.list_rows(tables.edge)]
        walk = lineage.walk(view, start + shift * 100, "up" if up else "down")
    assert set(walk.reached) == closure(known, start + shift * 100, up=up)
    assert len(walk.reached) == len(set(walk.reached))
    assert walk.complete


def test_a_walk_is_bounded_in_steps_and_in_things(ground: Ground) -> None:
    """Depth and number of things can be bounded, and what was cut off is told."""
    connect(ground, [(number, number + 1) for number in range(1, 50)])
    with ground.view() as view:
        assert lineage.walk(view, 50, "up", depth=3).reached == (49, 48, 47)
        cut = lineage.walk(view, 50, "up", most=10)
        assert (len(cut.reached), cut.complete) == (10, False)
        assert lineage.walk(view, 50, "up", most=49).complete


def test_an_edge_that_ended_is_walked_only_as_of_before(ground: Ground) -> None:
    """A walk in the past sees the edges of the past."""
    (rid, _) = connect(ground, [(1, 2), (2, 3)])
    with ground.view() as view:
        before = view.change
    with one_change(ground) as tx:
        tx.end(tables.edge, [rid])
    with ground.view() as view:
        assert lineage.walk(view, 3, "up").reached == (2,)
    with ground.view(before) as view:
        assert lineage.walk(view, 3, "up").reached == (2, 1)


def count_reached(ground: Ground, start: int) -> int:
    """How many things a walk up reaches."""
    with ground.view() as view:
        return len(lineage.walk(view, start, "up").reached)


def test_diamonds_do_not_double_the_work(ground: Ground) -> None:
    """Sixty diamonds, one upon the other, are walked as 180 things: as 2**60 ways they would never end."""
    pairs = []
    for layer in range(60):
        top, left, right, bottom = (layer * 3 + number for number in (1, 2, 3, 4))
        pairs += [(top, left), (top, right), (left, bottom), (right, bottom)]
    connect_fast(ground, pairs)
    assert count_reached(ground, 181) == 180


def test_a_wide_fan_is_walked_once(ground: Ground) -> None:
    """200 things that each come from 200 others, 40,000 edges: each is passed once."""
    pairs = [(1_000 + src, 2_000 + dst) for src in range(200) for dst in range(200)]
    connect_fast(ground, [*pairs, *((2_000 + dst, 9_000) for dst in range(200))])
    assert count_reached(ground, 9_000) == 400


@pytest.mark.soak
def test_two_thousand_ancestors_among_a_million_edges(ground: Ground) -> None:
    """A walk reaches its own ancestors only, however much there is besides."""
    chance = random.Random(3)
    pairs = []
    for group in range(500):
        base = (group + 1) * 10_000
        pairs += [(base + chance.randrange(number), base + number) for number in range(1, 2_000)]
    chain = [(number, number + 1) for number in range(1, 2_001)]
    connect_fast(ground, [*pairs, *chain])
    assert count_reached(ground, 2_001) == 2_000
