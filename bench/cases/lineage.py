"""Lineage: walks over a million edges, through a diamond of twelve layers and a fan-in of 200 by 200."""

from __future__ import annotations

import os
import random
import time

from bench.bench_place import Bench
from bench.measuring import Row, time_each
from bench.peers import Absent, run_peer
from commonground.identity import Kind
from commonground.interfaces.client.study import Study
from commonground.store import changes
from commonground.store.bulk import insert_rows
from commonground.structure import lineage as walking
from commonground.structure import tables

ANCESTORS, DIAMONDS, FAN = 2_000, 12, 200


def lineage(bench: Bench) -> list[Row]:
    """The p95 of each walk, and LaminDB's times for the diamond."""
    study = bench.study()
    parts = bench.pick(60, 333)
    sinks, diamond, fan, edges = fill(study, parts)
    draw = random.Random(2)
    rows = []
    with study.session.reading() as on:
        view = on.view
        for task, starts in (
            (f"lineage walk, about {ANCESTORS:,} ancestors among {edges:,} edges", sinks),
            (f"a diamond of {DIAMONDS} layers", [diamond]),
            (f"a fan-in of {FAN} x {FAN}", [fan]),
        ):
            found = len(walking.walk(view, starts[0], "up").reached)
            taken = time_each(lambda _, starts=starts: walking.walk(view, draw.choice(starts), "up"), 100)
            figures = taken.figures(1e3)
            cpu = f"CPU p50 {taken.at(0.5, cpu=True) * 1e3:.1f}, p95 {taken.at(0.95, cpu=True) * 1e3:.1f} ms"
            note = f"{found:,} things; {cpu}"
            p95 = taken.at(0.95) * 1e3
            rows.append(Row(task, "ms", p95, "p95", **figures, target="< 30 ms", limit=30.0, note=note))
    study.close()
    try:
        told = run_peer("lamindb", "diamond", bench.folder / "lamindb", layers=bench.pick(6, 8), seconds=180)
        beside = ", ".join(f"{layer} layers {taken * 1e3:,.0f} ms" for layer, taken in told.items())
    except Absent as reason:
        beside = f"not measured: {reason}"
    rows[1].beside["LaminDB"] = beside
    return rows


def fill(study: Study, parts: int) -> tuple[list[int], int, int, int]:
    """Edges put straight into their table: parts of 2,000 things above one, a diamond, a fan; what to start from."""
    draw = random.Random(0)
    ground = study.session.ground
    rids = ground.mint.many(parts * ANCESTORS + 3 * DIAMONDS + 1 + 2 * FAN + 2)
    edges: list[tuple[int, int]] = []
    for part in range(parts):
        first = part * ANCESTORS
        for place in range(1, ANCESTORS):
            edges.append((rids[first + place], rids[first + draw.randrange(place)]))
            if place % 2:
                edges.append((rids[first + place], rids[first + draw.randrange(place)]))
    sinks = [rids[part * ANCESTORS] for part in range(parts)]
    at = parts * ANCESTORS
    diamond = rids[at]
    for layer in range(DIAMONDS):
        low, left, right, high = (rids[at + 3 * layer + place] for place in range(4))
        edges += [(left, low), (right, low), (high, left), (high, right)]
    at += 3 * DIAMONDS + 1
    fan = rids[at]
    middle, above = range(at + 1, at + 1 + FAN), range(at + 1 + FAN, at + 1 + 2 * FAN)
    edges += [(rids[one], fan) for one in middle]
    edges += [(rids[one], rids[other]) for one in above for other in middle]
    edges = sorted(set(edges))
    own = ground.mint.many(len(edges))
    with ground.change() as tx:
        tx.register(Kind.ASSET, rids)
        insert_rows(
            tx.connection, tables.edge, ["rid", "src", "dst", "relation", "role", "details", "salt"],
            [(rid, src, dst, "used", None, None, os.urandom(16)) for rid, (src, dst) in zip(own, edges, strict=True)],
            [("since", tx.change), ("until", None)],
        )  # fmt: skip
        changes.append(
            tx, plan=ground.mint.one(), verb="execution start", args={}, why="bench", actor=study.session.actor,
            recorded_at=time.time_ns() // 1000,
        )  # fmt: skip
    return sinks, diamond, fan, len(edges)
