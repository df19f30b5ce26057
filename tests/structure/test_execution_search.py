"""A search finds what a plain look at every execution finds, whichever plan it takes."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from commonground.store.ground import Ground
from commonground.structure import execution_search, metrics
from commonground.structure.execution_filters import read_filter, read_order
from commonground.structure.execution_search import find
from commonground.structure.executions import add_execution
from commonground.structure.parameters import add_params, as_rows

RUNS = 60


@pytest.fixture
def runs(ground: Ground) -> dict[int, dict[str, Any]]:
    """Some executions with parameters and metrics of all kinds: rid to what each was told."""
    chance = random.Random(7)
    told: dict[int, dict[str, Any]] = {}
    with ground.change() as tx:
        for number in range(RUNS):
            rid = ground.mint.one()
            params = {
                "trees": chance.choice([100, 300, 300.0]),
                "tag": chance.choice(["a", "b", "300"]),
                "flag": bool(number % 2),
                "none": None if number % 3 else 1,
                "big": 2**60 + number % 2,
            }
            auc = chance.choice([0.1 * (number % 10), math.nan, math.inf])
            status = "finished" if number % 5 else "failed"
            fields = {"rid": rid, "name": f"run {number:03}", "status": status, "scratch": number % 2}
            add_execution(tx, {**fields, "reason": "x" if status == "failed" else None, "started_at": number})
            add_params(tx.connection, rid, as_rows(params), new=True)
            if number % 4:
                metrics.add_points(tx.connection, rid, [("auc", 0, 1, 0.5), ("auc", 1, 1, auc)])
            told[rid] = {**params, "auc": auc if number % 4 else None, **fields, "number": number}
    return told


CASES = [
    ("metrics.auc > 0.45", lambda run: run["auc"] is not None and run["auc"] > 0.45),
    ("metrics.auc > 0.2 and metrics.auc < 0.6", lambda run: run["auc"] is not None and 0.2 < run["auc"] < 0.6),
    ("metrics.auc = nan", lambda run: run["auc"] is not None and math.isnan(run["auc"])),
    ("metrics.auc = inf", lambda run: run["auc"] == math.inf),
    (
        "highest.auc >= 0.6",
        lambda run: run["auc"] is not None and max(0.5, 0 if math.isnan(run["auc"]) else run["auc"]) >= 0.6,
    ),
    ("params.trees = 300 and status = finished", lambda run: run["trees"] == 300 and run["status"] == "finished"),
    ("params.tag = '300'", lambda run: run["tag"] == "300"),
    ("params.tag != a and params.flag = true", lambda run: run["tag"] != "a" and run["flag"]),
    ("params.none = none", lambda run: run["none"] is None),
    (f"params.big = {2**60 + 1}", lambda run: run["big"] == 2**60 + 1),
    ("params.nothing = 1", lambda _: False),
    ("name ~ 'RUN 01' and scratch = false", lambda run: "run 01" in run["name"] and not run["scratch"]),
    ("status = failed and params.trees < 200", lambda run: run["status"] == "failed" and run["trees"] < 200),
    ("person = nobody", lambda _: False),
]


@pytest.mark.parametrize("few", [0, 10, 3000])
def test_every_plan_finds_the_same(
    ground: Ground, runs: dict[int, dict[str, Any]], few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a filter counts as rare or as common changes the plan, and never the answer or its order."""
    monkeypatch.setattr(execution_search, "FEW", few)
    with ground.view() as view:
        for text, wanted in CASES:
            found = find(view, read_filter(text), read_order("-started"), limit=100)
            assert found == [rid for rid in sorted(runs, reverse=True) if wanted(runs[rid])], text


@pytest.mark.parametrize("few", [0, 3000])
def test_order_by_a_metric(
    ground: Ground, runs: dict[int, dict[str, Any]], few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The greatest comes first, infinity before all; executions without the metric, or with NaN, are not shown."""
    monkeypatch.setattr(execution_search, "FEW", few)
    having = [rid for rid in runs if runs[rid]["auc"] is not None and not math.isnan(runs[rid]["auc"])]
    with ground.view() as view:
        found = find(view, read_filter("params.trees = 300"), read_order("-metrics.auc"), limit=100)
        wanted = sorted((rid for rid in having if runs[rid]["trees"] == 300), key=lambda rid: (-runs[rid]["auc"], -rid))
        assert found == wanted
        both = find(
            view, read_filter("metrics.auc > 0.2 and params.trees = 300"), read_order("-metrics.auc"), limit=100
        )
        assert both == [rid for rid in wanted if runs[rid]["auc"] > 0.2]
        by_param = find(view, read_filter("params.flag = true"), read_order("params.trees"), limit=100)
        assert [runs[rid]["trees"] for rid in by_param] == sorted(runs[rid]["trees"] for rid in by_param)
        first = find(view, (), read_order("metrics.auc"), limit=5)
        assert first == sorted(having, key=lambda rid: (runs[rid]["auc"], rid))[:5]


def test_pages_join_without_gap_or_overlap(ground: Ground, runs: dict[int, dict[str, Any]]) -> None:
    """Two pages are the beginning of the whole list."""
    with ground.view() as view:
        pages = [find(view, (), read_order("-started"), limit=7, offset=offset) for offset in (0, 7)]
    assert pages[0] + pages[1] == sorted(runs, reverse=True)[:14]
