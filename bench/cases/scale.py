"""A catalogue of EyeAI's scale: 361,000 rows reachable from one dataset, about 80 tables, 85 nested datasets."""

from __future__ import annotations

import numpy as np

from bench.bench_place import Bench
from bench.measuring import Row, say, time_once
from commonground.interfaces.client.study import Study
from commonground.structure import entities

TYPES, FEATURES, LEAVES, MIDDLE = 40, 40, 80, 4
PUBLISHED = {"release": "280-1,120 s", "diff": "464 s", "size and drift": "79 s"}


def scale(bench: Bench) -> list[Row]:
    """Release, difference, size and drift."""
    share = bench.pick(20, 100) / 100
    study = bench.study()
    built, _ = time_once(lambda: build(study, share))
    say(f"built in {built:.0f} s")
    rows = []
    first, first_cpu = time_once(lambda: study.datasets.release("everything"))
    state = study.datasets.status("everything")
    held = sum(state.rows.values())
    told = f"{held:,} rows reachable, {TYPES + FEATURES} tables of entities and values, {LEAVES + MIDDLE + 1} datasets"
    clean = min(time_once(lambda: study.datasets.status("everything"))[0] for _ in "123")
    change(study, share)
    dirty = max(time_once(lambda: study.datasets.status("everything"))[0] for _ in "123")
    second, _ = time_once(lambda: study.datasets.release("everything"))
    diffs = [time_once(lambda: study.datasets.diff("everything@1.0.0", "everything@2.0.0"))[0] for _ in "123"]
    study.close()
    for task, value, published, note in (
        ("release", first, "release", f"{told}; {first_cpu:.1f} s CPU"),
        ("release again after 3 % changed", second, "release", ""),
        ("difference of the two", sorted(diffs)[1], "diff", ""),
        ("size and drift, nothing changed", clean, "size and drift", ""),
        ("size and drift after 3 % changed", dirty, "size and drift", ""),
    ):
        beside = {"published": PUBLISHED[published]}
        rows.append(Row(f"EyeAI's scale: {task}", "s", value, target="< 5 s", limit=5.0, beside=beside, note=note))
    return rows


def build(study: Study, share: float) -> None:
    """Types that link in chains of four, features on some, and datasets in three levels; half as many rows outside."""
    draw = np.random.default_rng(0)
    members: list[np.ndarray] = []
    for number in range(TYPES):
        rows = int((20_000 if number % 8 == 3 else 1_800) * share)
        linked = [{"name": "of", "holds": "link", "target": f"T{number - 1}"}] if number % 4 else []
        study.entities.declare(f"T{number}", [{"name": "size", "holds": "real"}, *linked])
        keys = [f"{number}-{row}" for row in range(rows)]
        columns: dict[str, list[object]] = {"size": draw.random(rows).tolist()}
        if linked:
            before = int((20_000 if (number - 1) % 8 == 3 else 1_800) * share)
            columns["of"] = [f"{number - 1}-{row % before}" for row in range(rows)]
        study.entities.upsert(f"T{number}", keys, columns)
        with study.session.reading() as on:
            kind = entities.get_type(on.view, f"T{number}")
            members.append(np.array(entities.list_entities(on.view, kind)["rid"]))
    for number in range(FEATURES):
        study.features.add(f"f{number}", type=f"T{number}", holds="int")
        rows = int((107_000 if number == 3 else 1_400) * share)
        study.features.annotate(f"f{number}", rids=draw.choice(members[number], rows), values=draw.integers(0, 5, rows))
    study.datasets.create("everything")
    for number in range(MIDDLE):
        study.datasets.create(f"middle{number}")
        study.datasets.nest(f"middle{number}", inside="everything")
    for number in range(LEAVES):
        kind = number % TYPES
        inside = members[kind][number // TYPES :: 3]
        study.datasets.create(f"leaf{number}", type=f"T{kind}", members=inside, features=[f"f{kind}"])
        study.datasets.nest(f"leaf{number}", inside=f"middle{number % MIDDLE}")


def change(study: Study, share: float) -> None:
    """Other sizes for 3 % of the entities of the large types, and new values."""
    draw = np.random.default_rng(1)
    for number in range(3, TYPES, 8):
        rows = int(20_000 * share)
        keys = [f"{number}-{row}" for row in draw.choice(rows, int(rows * 0.1), replace=False)]
        study.entities.upsert(f"T{number}", keys, {"size": draw.random(len(keys)).tolist()})
    with study.session.reading() as on:
        rids = np.array(entities.list_entities(on.view, entities.get_type(on.view, "T3"))["rid"])
    rows = int(3_000 * share)
    study.features.annotate("f3", rids=draw.choice(rids, rows), values=draw.integers(0, 5, rows))
