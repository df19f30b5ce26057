"""A million feature values: written, read live, and read from a release; beside the bare engine and bare Parquet."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq

import commonground as cg
from bench.bench_place import Bench, make_database, postgres
from bench.limits import COLUMNS, insert_postgres, insert_sqlite
from bench.measuring import Row, time_once
from commonground.interfaces.client.study import Study
from commonground.store import changes
from commonground.structure import entities, features


def values(bench: Bench) -> list[Row]:
    """On SQLite, then on PostgreSQL."""
    count = bench.pick(100_000, 1_000_000)
    rows = _on(bench, "SQLite", None, count)
    with postgres() as server:
        rows += _on(bench, "PostgreSQL", make_database(server, "values"), count)
    return rows


def _on(bench: Bench, engine: str, url: str | None, count: int) -> list[Row]:
    study, rids = make_entities(bench, f"values-{engine.lower()}", url, count // 10)
    draw = np.random.default_rng(1)
    chosen, grades = draw.choice(rids, count), draw.integers(1, 6, count)
    rows: list[Row] = []
    bare = _bare(bench, engine, url, study, chosen, grades)
    for when in ("", " after 2 % were retired"):
        wall, cpu = time_once(lambda: study.features.annotate("grade", rids=chosen, values=grades))
        rows.append(
            Row(
                f"write {count:,} feature values{when}, {engine}: share of the bare insert", "x", bare[0] / wall,
                "once", target=">= 0.25x", limit=0.25, more_is_better=True,
                beside={"bare insert": f"{count / bare[0]:,.0f}/s wall, {count / bare[1]:,.0f}/s CPU"},
                note=f"{count / wall:,.0f}/s wall, {count / cpu:,.0f}/s CPU",
            )
        )  # fmt: skip
        if not when:
            _retire(study, 0.02)
    rows.append(_read_live(study, engine, 2 * count))
    rows += _read_released(study, engine, rids)
    study.close()
    return rows


def make_entities(bench: Bench, name: str, url: str | None, count: int) -> tuple[Study, np.ndarray]:
    """A study with so many entities of one type, a feature, and the entities' rids."""
    study = bench.study(name, url)
    study.entities.declare("Item", [{"name": "size", "holds": "real"}])
    sizes = np.random.default_rng(0).random(count).tolist()
    study.entities.upsert("Item", [f"k{number}" for number in range(count)], {"size": sizes})
    study.features.add("grade", type="Item", holds="int", ordered=True)
    with study.session.reading() as on:
        listed = entities.list_entities(on.view, entities.get_type(on.view, "Item"))
    return study, np.array(listed["rid"])


def _bare(
    bench: Bench, engine: str, url: str | None, study: Study, chosen: np.ndarray, grades: np.ndarray
) -> tuple[float, float]:
    author, batch = study.session.actor.person or 0, study.session.ground.mint.one()
    same = [
        (batch, place, entity, grade, author, 0, None, 0)
        for place, (entity, grade) in enumerate(zip(chosen.tolist(), grades.tolist(), strict=True))
    ]
    if url is None:
        return insert_sqlite(bench.folder / f"bare-{engine}.sqlite", same)
    return insert_postgres(url, same)


def _retire(study: Study, share: float) -> None:
    session = study.session
    with session.reading() as on:
        feature = features.get_feature(on.view, "grade")
        there = features.read_values(on.view, feature)
    places = np.random.default_rng(2).choice(len(there), int(share * len(there)), replace=False)
    rids = session.ground.mint.many(len(places))
    told = [(rid, int(there.batch[at]), int(there.ordinal[at])) for rid, at in zip(rids, places, strict=True)]
    with session.ground.change() as tx:
        features.retire_values(tx, told)
        tx.touch(feature.rid)
        changes.append(
            tx, plan=session.ground.mint.one(), verb="feature annotate", args={}, why="bench", actor=session.actor,
            recorded_at=session.ground.clock(),
        )  # fmt: skip


def _read_live(study: Study, engine: str, count: int) -> Row:
    with study.session.reading() as on:
        feature = features.get_feature(on.view, "grade")
        driver = on.view.connection.connection.driver_connection
        plain = min(time_once(lambda: driver.execute(f"SELECT {COLUMNS} FROM value_int").fetchall())[0] for _ in "123")
        ours = min(time_once(lambda: features.read_values(on.view, feature))[0] for _ in "123")
    return Row(
        f"read {count:,} live values, {engine}: times a plain fetch", "x", ours / plain, "best of 3", n=3,
        target="<= 1.5x", limit=1.5, beside={"plain fetch": f"{plain:.2f} s"}, note=f"{ours:.2f} s",
    )  # fmt: skip


def _read_released(study: Study, engine: str, rids: np.ndarray) -> list[Row]:
    study.datasets.create("items", type="Item", members=rids, features=["grade"])
    release, _ = time_once(lambda: study.datasets.release("items"))
    paths = [one["path"] for one in study.datasets.files("items@1.0.0")]
    plain = min(time_once(lambda: [pq.read_table(path) for path in paths])[0] for _ in "123")
    simple = min(time_once(lambda: study.frame("items@1.0.0"))[0] for _ in "123")
    chosen = {"grade": cg.median(ties="low")}
    median = min(time_once(lambda: study.frame("items@1.0.0", features=chosen))[0] for _ in "123")
    wide = study.frame("items@1.0.0", features=chosen)
    beside = {"plain Parquet": f"{plain * 1e3:.0f} ms for all {len(paths)} files"}
    return [
        Row(f"release of it, {engine}", "s", release, "once"),
        Row(
            f"a released frame ({len(wide):,} rows), {engine}: times plain Parquet", "x", simple / plain, "best of 3",
            n=3, target="<= 1.5x", limit=1.5, beside=beside, note=f"{simple * 1e3:.0f} ms",
        ),
        Row(
            f"the same with the median of all values, {engine}: times plain Parquet", "x", median / plain,
            "best of 3", n=3, beside=beside, note=f"{median * 1e3:.0f} ms; the choice among many values is ours",
        ),
    ]  # fmt: skip
