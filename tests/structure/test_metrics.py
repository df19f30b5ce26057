"""Points are kept once, whatever is delivered how often, and their summary always says what they say."""

from __future__ import annotations

import math

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commonground.store.ground import Ground
from commonground.structure import metrics
from commonground.structure.metrics import MetricSummary, Point
from commonground.structure.tables import metric

POINT = st.tuples(
    st.sampled_from(["loss", "val/auc", "später"]),
    st.integers(0, 4),
    st.integers(1, 3),
    st.sampled_from([0.0, 1.5, -2.0, math.nan, math.inf, -math.inf]),
)


def expected(points: list[Point]) -> dict[str, tuple[object, ...]]:
    """The summary of the distinct points, worked out in the plainest way."""
    distinct: dict[tuple[str, int, int], float] = {}
    for key, step, at, value in points:
        distinct.setdefault((key, step, at), value)
    told: dict[str, tuple[object, ...]] = {}
    for key in {key for key, _, _ in distinct}:
        own = {(step, at): value for (name, step, at), value in distinct.items() if name == key}
        last = max(own)
        real = [value for value in own.values() if not math.isnan(value)]
        told[key] = (last, repr(own[last]), min(real, default=None), max(real, default=None), len(own))
    return told


def shown(summaries: dict[str, MetricSummary]) -> dict[str, tuple[object, ...]]:
    """Summaries in the form of `expected`."""
    return {
        key: ((one.step, one.at), repr(one.value), one.lowest, one.highest, one.points)
        for key, one in summaries.items()
    }


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(POINT, max_size=6), max_size=4))
def test_the_summary_is_that_of_the_distinct_points(ground: Ground, parts: list[list[Point]]) -> None:
    """However points are cut into deliveries and repeated, table and summary hold each of them once."""
    execution = ground.mint.one()
    everything: list[Point] = []
    for part in parts:
        unique = list({point[:3]: point for point in reversed(part)}.values())[::-1]
        with ground.database.write() as connection:
            metrics.add_points(connection, execution, unique)
        everything += unique
    with ground.view() as view:
        found = metrics.list_summaries(view, [execution])[execution]
        columns = metrics.read_points(view, execution)
    assert shown(found) == expected(everything)
    assert len(columns["key"]) == len({point[:3] for point in everything})


def test_nan_and_infinity_are_kept(ground: Ground) -> None:
    """Numbers that are none come back as they were, on both engines."""
    points: list[Point] = [("loss", 0, 1, math.nan), ("loss", 1, 1, math.inf), ("loss", 2, 1, -math.inf)]
    with ground.database.write() as connection:
        assert metrics.add_points(connection, 7, points) == 3
        flags = connection.execute(sa.select(metric.c.flag).order_by(metric.c.step)).scalars().all()
    with ground.view() as view:
        assert repr(metrics.read_points(view, 7)["value"]) == "[nan, inf, -inf]"
    assert flags == [1, 2, 3]


def test_a_second_delivery_changes_nothing(ground: Ground) -> None:
    """The same points again, in one part or in two, leave points and summary as they were."""
    points: list[Point] = [("loss", step, 1, 1 / (step + 1)) for step in range(200)]
    with ground.database.write() as connection:
        metrics.add_points(connection, 7, points[:120])
        metrics.add_points(connection, 7, points)
        assert metrics.add_points(connection, 7, points) == 0
        assert metrics.add_points(connection, 7, points, all_there_are=True) == 0
    with ground.view() as view:
        (found,) = metrics.list_summaries(view, [7])[7].values()
    assert found == MetricSummary("loss", 199, 1, 1 / 200, lowest=1 / 200, highest=1.0, points=200)


def test_the_digest_tells_any_other_points() -> None:
    """One value, one step or one key changed gives another digest; a list from JSON gives the same."""
    points: list[Point] = [("a", 0, 5, 0.5), ("b", 1, 6, math.nan)]
    digest = metrics.digest_of_points(points)
    assert metrics.digest_of_points([("a", 0, 5, 0.5), ("b", 1, 6, float("nan"))]) == digest
    for other in ([("a", 0, 5, 0.25), points[1]], [("a", 1, 5, 0.5), points[1]], [points[1], points[0]]):
        assert metrics.digest_of_points(other) != digest


@pytest.mark.parametrize("rows", [3, 400])
def test_many_points_and_few_take_the_same_way_out(ground: Ground, rows: int) -> None:
    """COPY and single inserts on PostgreSQL, executemany on SQLite: what comes out does not tell which it was."""
    points: list[Point] = [("loss", step, step, float(step)) for step in range(rows)]
    with ground.database.write() as connection:
        metrics.add_points(connection, 9, points[:1])
        metrics.add_points(connection, 9, points)
    with ground.view() as view:
        assert metrics.read_points(view, 9, "loss")["value"] == [float(step) for step in range(rows)]
        assert metrics.list_summaries(view, [9])[9]["loss"].points == rows
