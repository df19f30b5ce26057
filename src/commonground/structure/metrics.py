"""Metrics: numbers over steps that an execution reports of itself.

A point is (execution, key, step, at, value); a second delivery of the same point changes nothing. `flag` keeps what a
number cannot say on both engines: 1 NaN (the value is null), 2 infinity, 3 minus infinity; null for finite numbers.
`metric_last` is a summary of each key, made from the points: the last one by (step, at), the least and the greatest
that are not NaN, and how many there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from commonground.identity import Rid
from commonground.late import np
from commonground.store.bulk import insert_rows
from commonground.store.canonical import SMALL, Column, table_digest
from commonground.store.portions import portions
from commonground.store.view import View
from commonground.structure.tables import metric, metric_last

NAN, INFINITE, MINUS_INFINITE = 1, 2, 3
_COLUMNS = ("key", "step", "at", "value", "flag")

Point = tuple[str, int, int, float]
"""key, step, at (UTC microseconds), value."""


@dataclass(frozen=True, slots=True)
class MetricSummary:
    """What one metric of one execution came to."""

    key: str
    """Its name."""
    step: int
    """The last step."""
    at: int
    """When the last point was made, UTC microseconds."""
    value: float
    """The last value; may be NaN or infinite."""
    lowest: float | None
    """The least value that is not NaN; None if there is none."""
    highest: float | None
    """The greatest value that is not NaN; None if there is none."""
    points: int
    """How many points there are."""


def flag_of(value: float) -> int | None:
    """The flag of a number; None if it is finite."""
    if math.isfinite(value):
        return None
    if math.isnan(value):
        return NAN
    return INFINITE if value > 0 else MINUS_INFINITE


def digest_of_points(points: Sequence[Point]) -> str:
    """SHA-256 of the points as a canonical table in the order given; the same for lists from any source."""
    keys, steps, ats, values = zip(*points, strict=True) if points else ((), (), (), ())
    few = len(points) <= SMALL
    order = list(range(len(points))) if few else np.arange(len(points))
    columns = [
        Column("key", "text", list(keys)),
        Column("step", "int", list(steps)),
        Column("at", "int", list(ats)),
        Column("value", "real", list(values)),
        Column("order", "int", order),
    ]
    return table_digest(columns, ["order"])


def add_points(
    connection: sa.Connection, execution: Rid, points: Sequence[Point], *, all_there_are: bool = False
) -> int:
    """Add points and bring the summary up to date; points that are there already change nothing. Returns how many came.

    If all of them are new, the summary is merged in Python; else it is made again from all points of the keys.
    `all_there_are` says that the execution has no others: if it has as many already, there is nothing to do.
    """
    if not points:
        return 0
    had = connection.execute(_SUMMARIES, {"execution": execution}).all()
    if all_there_are and sum(row.points for row in had) == len(points):
        return 0
    rows = [(key, step, at, None if math.isnan(value) else value, flag_of(value)) for key, step, at, value in points]
    if had:
        added = _insert_or_ignore(connection, execution, rows)
    else:
        distinct = list({row[:3]: row for row in rows}.values())
        insert_rows(connection, metric, _COLUMNS, distinct, [("execution", execution)])
        added = len(rows) if len(distinct) == len(rows) else len(distinct)
    if added == len(rows):
        known = {row.key: _summary(row) for row in had}
        _write_summaries(connection, execution, _merge(known, points))
    else:
        _remake(connection, execution, sorted({point[0] for point in points}))
    return added


def read_points(view: View, execution: Rid, key: str | None = None) -> dict[str, list[Any]]:
    """The points of an execution, column by column (key, step, at, value), ordered by key, step and at."""
    statement = (
        sa.select(metric.c.key, metric.c.step, metric.c.at, metric.c.value, metric.c.flag)
        .where(metric.c.execution == execution)
        .order_by(metric.c.key, metric.c.step, metric.c.at)
    )
    if key is not None:
        statement = statement.where(metric.c.key == key)
    rows = view.rows(statement)
    return {
        "key": [row.key for row in rows],
        "step": [row.step for row in rows],
        "at": [row.at for row in rows],
        "value": [_number(row.value) for row in rows],
    }


def list_summaries(view: View, executions: Sequence[Rid]) -> dict[Rid, dict[str, MetricSummary]]:
    """The summaries of several executions: execution to key to summary."""
    found: dict[Rid, dict[str, MetricSummary]] = {rid: {} for rid in executions}
    for part in portions(executions):
        statement = (
            sa.select(metric_last)
            .where(metric_last.c.execution.in_(part))
            .order_by(metric_last.c.execution, metric_last.c.key)
        )
        for row in view.rows(statement):
            execution, key, step, at, value, _, lowest, highest, points = tuple(row)
            found[execution][key] = MetricSummary(key, step, at, _number(value), lowest, highest, points)
    return found


_SUMMARIES = sa.select(metric_last).where(metric_last.c.execution == sa.bindparam("execution"))


def _merge(known: Mapping[str, MetricSummary], points: Iterable[Point]) -> dict[str, MetricSummary]:
    """The summaries of the keys that the points touch, with what was known of them before."""
    last: dict[str, tuple[int, int, float]] = {}
    finite: dict[str, list[float]] = {}
    count: dict[str, int] = {}
    for key, step, at, value in points:
        if key not in last or (step, at) >= last[key][:2]:
            last[key] = (step, at, value)
        if not math.isnan(value):
            finite.setdefault(key, []).append(value)
        count[key] = count.get(key, 0) + 1
    merged = {}
    for key, point in last.items():
        newest = point
        numbers = finite.get(key, [])
        before = known.get(key)
        points_before = 0
        if before is not None:
            numbers = [*numbers, *(bound for bound in (before.lowest, before.highest) if bound is not None)]
            points_before = before.points
            newest = max(newest, (before.step, before.at, before.value), key=itemgetter(0, 1))
        merged[key] = MetricSummary(
            key, *newest, min(numbers, default=None), max(numbers, default=None), points_before + count[key]
        )
    return merged


def _insert_or_ignore(connection: sa.Connection, execution: Rid, rows: Sequence[tuple[Any, ...]]) -> int:
    columns = ", ".join(["execution", *(f'"{name}"' for name in _COLUMNS)])
    if connection.dialect.name == "sqlite":
        statement = f"INSERT OR IGNORE INTO metric ({columns}) VALUES ({int(execution)}, ?, ?, ?, ?, ?)"
        return connection.exec_driver_sql(statement, list(rows)).rowcount
    # COPY knows no conflict, so the points go through a table of this transaction alone.
    connection.exec_driver_sql("CREATE TEMP TABLE IF NOT EXISTS metric_new (LIKE metric) ON COMMIT DELETE ROWS")
    connection.exec_driver_sql("TRUNCATE metric_new")
    insert_rows(connection, _NEW, _COLUMNS, rows, [("execution", execution)])
    return connection.exec_driver_sql(
        f"INSERT INTO metric ({columns}) SELECT {columns} FROM metric_new ON CONFLICT DO NOTHING"
    ).rowcount


def _remake(connection: sa.Connection, execution: Rid, keys: Sequence[str]) -> None:
    for part in portions(keys):
        rows = connection.execute(
            sa.select(metric.c.key, metric.c.step, metric.c.at, metric.c.value).where(
                metric.c.execution == execution, metric.c.key.in_(part)
            )
        )
        points = [(row.key, row.step, row.at, _number(row.value)) for row in rows]
        _write_summaries(connection, execution, _merge({}, points))


def _write_summaries(connection: sa.Connection, execution: Rid, summaries: Mapping[str, MetricSummary]) -> None:
    names = ("execution", "key", "step", "at", "value", "flag", "lowest", "highest", "points")
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    changed = ", ".join(f'"{name}" = excluded."{name}"' for name in names[2:])
    columns = ", ".join(f'"{name}"' for name in names)
    statement = (
        f"INSERT INTO metric_last ({columns}) VALUES ({', '.join([mark] * len(names))})"
        f" ON CONFLICT (execution, key) DO UPDATE SET {changed}"
    )
    rows = [
        (
            execution,
            key,
            one.step,
            one.at,
            None if math.isnan(one.value) else one.value,
            flag_of(one.value),
            one.lowest,
            one.highest,
            one.points,
        )
        for key, one in summaries.items()
    ]
    connection.exec_driver_sql(statement, rows)


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _summary(row: sa.Row[Any]) -> MetricSummary:
    return MetricSummary(row.key, row.step, row.at, _number(row.value), row.lowest, row.highest, row.points)


_NEW = sa.Table("metric_new", sa.MetaData(), *(sa.Column(column.name, column.type) for column in metric.columns))
