"""Looking at executions: one with all that belongs to it, many by what they came to, several side by side."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from commonground.errors import InvalidInput, count
from commonground.identity import Rid, read_rid, show_rid
from commonground.operations.executions import pick_execution
from commonground.operations.plans import Reading
from commonground.plain import Plain
from commonground.store.changes import list_changes
from commonground.structure import executions, lineage
from commonground.structure.execution_filters import Order, read_filter, read_order
from commonground.structure.execution_search import find
from commonground.structure.executions import Execution
from commonground.structure.lineage import PRODUCED, USED, Edge, Named
from commonground.structure.metrics import MetricSummary, list_summaries, read_points
from commonground.structure.parameters import list_params
from commonground.structure.people import name_raters
from commonground.structure.workflows import Workflow, get_workflow

NEWEST_FIRST = Order("started", "", descending=True)
MOST = 1_000
_CHOSEN = re.compile(r'"execution": "([0-9A-Z]{13})"')
FEWEST_COMPARED, MOST_COMPARED = 2, 50


@dataclass(frozen=True, slots=True)
class FoundExecution:
    """One line of a listing."""

    execution: Execution
    """The execution."""
    params: Mapping[str, Plain]
    """What it was told."""
    metrics: Mapping[str, MetricSummary]
    """What it came to."""


@dataclass(frozen=True, slots=True)
class ExecutionRecord:
    """One execution with all that belongs to it."""

    execution: Execution
    """The execution."""
    intent: str | None
    """The words given when it was begun."""
    person: str | None
    """Who ran it."""
    workflow: Workflow | None
    """Its code."""
    params: Mapping[str, Plain]
    """What it was told."""
    metrics: Mapping[str, MetricSummary]
    """What it came to."""
    inputs: tuple[tuple[Edge, Named], ...]
    """What it used, and how."""
    outputs: tuple[tuple[Edge, Named], ...]
    """What it made."""
    children: tuple[Execution, ...]
    """The executions that are part of it."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One thing in which executions may differ."""

    name: str
    """code, environment, data, param:KEY, metric:KEY, status, person, place."""
    values: tuple[Any, ...]
    """What each has, in the order asked for; None where it has nothing."""
    differs: bool
    """Whether they are not all the same."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Executions side by side."""

    executions: tuple[Execution, ...]
    """In the order asked for."""
    axes: tuple[Axis, ...]
    """Every axis, the ones that differ first."""
    names: Mapping[str, str] = field(default_factory=dict)
    """What the executions are called whose values were chosen, by the id that stands in the data."""

    @property
    def differing(self) -> tuple[Axis, ...]:
        """The axes on which they differ, metrics left out: what could explain a difference in those."""
        return tuple(axis for axis in self.axes if axis.differs and not axis.name.startswith("metric:"))


def read_execution(on: Reading, *, execution: Rid | str) -> ExecutionRecord:
    """One execution with all that belongs to it."""
    found = pick_execution(on, execution)
    into = [edge for edge in lineage.list_edges(on.view, dst=found.rid) if edge.relation == USED]
    out = [edge for edge in lineage.list_edges(on.view, src=found.rid) if edge.relation == PRODUCED]
    named = lineage.describe(on.view, [edge.src for edge in into] + [edge.dst for edge in out])
    starts = [
        change
        for change in list_changes(on.view.connection, about=found.rid, until=on.view.change)
        if change.verb == "execution start"
    ]
    person = name_raters(on.view, [found.person]).get(found.person) if found.person else None
    return ExecutionRecord(
        execution=found,
        intent=(starts[-1].why if starts else None) or found.details.get("intent"),
        person=person,
        workflow=get_workflow(on.view, found.workflow) if found.workflow else None,
        params=list_params(on.view, [found.rid])[found.rid],
        metrics=list_summaries(on.view, [found.rid])[found.rid],
        inputs=tuple((edge, named[edge.src]) for edge in into),
        outputs=tuple((edge, named[edge.dst]) for edge in out),
        children=tuple(executions.list_children(on.view, found.rid)),
    )


def read_found(
    on: Reading,
    *,
    filter: str = "",
    order: str | None = None,
    limit: int = 100,
    offset: int = 0,
) -> list[FoundExecution]:
    """Executions that meet a filter, the newest first unless an order is given; see structure/execution_filters.py."""
    if not 1 <= limit <= MOST or offset < 0:
        raise InvalidInput(f"A listing has 1 to {MOST} lines.", todo="Use limit and offset to turn pages.")
    wanted = read_order(order) if order else NEWEST_FIRST
    rids = find(on.view, read_filter(filter), wanted, limit=limit, offset=offset)
    params, metrics = list_params(on.view, rids), list_summaries(on.view, rids)
    return [FoundExecution(one, params[one.rid], metrics[one.rid]) for one in executions.list_executions(on.view, rids)]


def read_metrics(on: Reading, *, execution: Rid | str, key: str | None = None) -> dict[str, list[Any]]:
    """Every point of an execution's metrics, column by column: key, step, at, value."""
    return read_points(on.view, pick_execution(on, execution).rid, key)


def read_comparison(on: Reading, *, executions: Sequence[Rid | str]) -> Comparison:
    """In what executions differ: data, code, environment, parameters, metrics, and who ran them where."""
    if not FEWEST_COMPARED <= len(executions) <= MOST_COMPARED:
        raise InvalidInput(
            f"{count(len(executions), 'execution')} cannot be compared.",
            todo=f"Name {FEWEST_COMPARED} to {MOST_COMPARED}.",
        )
    records = [read_execution(on, execution=one) for one in executions]
    axes = [
        _axis("code", [_code(record) for record in records]),
        _axis("environment", [record.execution.environment for record in records]),
        _axis("data", [_data(record) for record in records]),
        _axis("person", [record.person for record in records]),
        _axis("place", [record.execution.place for record in records]),
        _axis("status", [str(record.execution.status) for record in records]),
    ]
    keys = sorted({key for record in records for key in record.params})
    axes += [_axis(f"param:{key}", [record.params.get(key) for record in records]) for key in keys]
    for key in sorted({key for record in records for key in record.metrics}):
        last = [record.metrics.get(key) for record in records]
        axes.append(_axis(f"metric:{key}", [one.value if one else None for one in last]))
    axes.sort(key=lambda axis: not axis.differs)
    chosen = {read_rid(rid) for record in records for rid in _CHOSEN.findall(_data(record))}
    names = {show_rid(rid): one.name for rid, one in lineage.describe(on.view, sorted(chosen)).items()}
    return Comparison(tuple(record.execution for record in records), tuple(axes), names)


def _axis(name: str, values: list[Any]) -> Axis:
    # A text tells True from 1 and NaN from nothing, which `==` does not.
    return Axis(name, tuple(values), len({f"{type(value).__name__} {value!r}" for value in values}) > 1)


def _code(record: ExecutionRecord) -> str | None:
    if record.workflow is None:
        return None
    return f"{record.workflow.repository or '-'} {record.workflow.tree} {record.workflow.entry or '-'}"


def _data(record: ExecutionRecord) -> str:
    """What was used, and which rows of it by which rule: one text that is the same only if all of it is."""
    told = []
    for edge, named in record.inputs:
        frames = [
            {name: frame.get(name) for name in ("grain", "columns", "rows_digest", "features")}
            for frame in edge.details.get("frames", ())
        ]
        told.append([edge.details.get("reference", named.name), frames])
    return json.dumps(sorted(told, key=str), sort_keys=True, default=str)
