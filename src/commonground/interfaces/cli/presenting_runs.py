"""Pages of executions: one of them, a list, and what rests on something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from commonground.errors import count
from commonground.interfaces.cli.page import (
    GAP_SIGN,
    NOT_RECORDED,
    Block,
    Cell,
    Column,
    Page,
    Table,
    show_figure,
    show_moment,
    show_seconds,
)
from commonground.interfaces.cli.presenting_reading import STATES
from commonground.operations.execution_reading import ExecutionRecord, FoundExecution

if TYPE_CHECKING:
    from commonground.operations.answers import Dependents

SHOWN = 3


def present_execution(answer: ExecutionRecord, args: Mapping[str, Any]) -> Page:
    """One execution."""
    del args
    one = answer.execution
    took = show_seconds((one.ended_at - one.started_at) / 1e6) if one.ended_at else "still running"
    scratch = ", scratch" if one.scratch else ""
    below = [
        Cell(f"{one.name}, {one.status}{scratch}, {took}", STATES.get(str(one.status), "")),
        Cell(f"{answer.person or NOT_RECORDED}, {show_moment(one.started_at)}", "quiet"),
    ]
    if one.reason:
        below.append(Cell(one.reason, "stop"))
    code = answer.workflow
    kept = NOT_RECORDED if code is None else f"{code.name}, commit {(code.commit or 'none')[:10]}"
    rows = [
        (
            Cell("code", "quiet"),
            Cell(kept + (", uncommitted changes kept" if code and code.dirty else ""), "" if code else "gap"),
        )
    ]
    rows += [
        (Cell("used", "quiet"), Cell(str(edge.details.get("reference") or thing.name))) for edge, thing in answer.inputs
    ]
    if not answer.inputs:
        rows.append((Cell("used", "quiet"), Cell(NOT_RECORDED, "gap")))
    rows += [
        (Cell("made", "quiet"), Cell(f"{thing.name} ({thing.state or thing.kind})")) for _, thing in answer.outputs
    ]
    rows += [(Cell(f"parameter {key}", "quiet"), Cell(str(value))) for key, value in answer.params.items()]
    figures = tuple(
        (
            Cell(key),
            Cell(show_figure(found.value)),
            Cell(show_figure(found.lowest)),
            Cell(show_figure(found.highest)),
            Cell(f"{found.points:,}"),
        )
        for key, found in answer.metrics.items()
    )
    blocks: list[Block] = [Table((Column(""), Column("", wraps=True)), tuple(rows), heads=False)]
    if figures:
        heads = ("metric", "last", "lowest", "highest", "points")
        blocks.append(Table(tuple(Column(head, right=at > 0) for at, head in enumerate(heads)), figures))
    headline = f"“{answer.intent}”" if answer.intent else f"{one.name}: {GAP_SIGN} not said what for"
    return Page(headline, below=tuple(below), blocks=tuple(blocks))


def present_found(answer: Sequence[FoundExecution], args: Mapping[str, Any]) -> Page:
    """Executions in a list."""
    if not answer:
        return Page("No executions match." if args.get("filter") else "No executions yet.")
    asked = f"{args.get('filter') or ''} {args.get('order') or ''}"
    every = dict.fromkeys(key for found in answer for key in found.metrics)
    # What was asked for goes first: there is no room for all, and names must be whole to be copied.
    keys = sorted(every, key=lambda key: key not in asked)[:SHOWN]
    rows = tuple(
        (
            Cell(found.execution.name, "strong"),
            Cell(
                str(found.execution.status) + (", scratch" if found.execution.scratch else ""),
                STATES.get(str(found.execution.status), ""),
            ),
            *(Cell(show_figure(found.metrics[key].value) if key in found.metrics else GAP_SIGN) for key in keys),
            Cell(show_moment(found.execution.started_at, short=True), "quiet"),
        )
        for found in answer
    )
    columns = (
        Column("execution", wraps=True),
        Column("state"),
        *(Column(key, right=True) for key in keys),
        Column("began"),
    )
    order = f", ordered by {args['order']}" if args.get("order") else ", newest first"
    return Page(f"{count(len(rows), 'execution')}{order}.", blocks=(Table(columns, rows),))


def present_dependents(answer: Dependents, args: Mapping[str, Any]) -> Page:
    """What rests on something."""
    del args
    groups = (
        ("Released versions", answer.versions),
        ("Unreleased datasets", answer.datasets),
        ("Executions", answer.executions),
        ("Made by these", answer.assets),
    )
    models = sum(asset.state == "model" for asset in answer.assets)
    blocks: list[Block] = []
    for title, things in groups:
        if things:
            rows = tuple(
                (Cell(thing.name, "strong"), Cell(thing.state or "", STATES.get(thing.state or "", "quiet")))
                for thing in things
            )
            blocks.append(Table((Column("", wraps=True), Column("")), rows, title, heads=False))
    if not blocks:
        return Page("Nothing rests on it.", look="holds")
    cut = () if answer.complete else (Cell("There is more than this.", "open"),)
    headline = f"{count(len(answer.versions), 'version')} and {count(models, 'model')} rest on it."
    return Page(headline, below=cut, blocks=tuple(blocks))
