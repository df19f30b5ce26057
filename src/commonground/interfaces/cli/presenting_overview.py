"""Pages of `status` and `dataset list`: where the study stands, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from commonground.errors import count
from commonground.interfaces.cli.page import (
    GAP_SIGN,
    Block,
    Cell,
    Column,
    Page,
    Table,
    quote,
    show_number,
)
from commonground.interfaces.cli.presenting_reading import STATES, log_table
from commonground.operations.overview import DatasetLine, Overview, RunLine

FEATURES = 8


def present_overview(answer: Overview, args: Mapping[str, Any]) -> Page:
    """The study at a glance."""
    del args
    changed = [line for line in answer.datasets if line.changed]
    headline = f"{answer.name}: " + _standing(answer, changed)
    people = "1 person" if answer.people == 1 else f"{answer.people:,} people"
    below = Cell(f"change {answer.change:,}, {people}, in {answer.folder}", "quiet")
    blocks: list[Block] = []
    if answer.types:
        rows = tuple(
            (
                Cell(kind.name, "strong"),
                Cell(f"{kind.count:,}"),
                _read_of(kind.features),
            )
            for kind in answer.types
        )
        blocks.append(
            Table((Column("entities"), Column("count", right=True), Column("what is read of them", wraps=True)), rows)
        )
    if answer.datasets:
        blocks.append(datasets_table(answer.datasets))
    if answer.runs:
        blocks.append(runs_table(answer.runs, answer.executions, answer.failed))
    if answer.changes:
        said = (
            f"Last changes, {answer.silent} of {len(answer.changes)} without a reason"
            if answer.silent
            else "Last changes"
        )
        blocks.append(log_table(answer.changes, said))
    return Page(headline, below=(below,), blocks=tuple(blocks), hints=answer.next)


def present_datasets(answer: Sequence[DatasetLine], args: Mapping[str, Any]) -> Page:
    """All datasets."""
    del args
    if not answer:
        return Page("No datasets yet.", hints=("cg dataset create NAME --type TYPE --key KEY",))
    changed = sum(bool(line.changed) for line in answer)
    waiting = sum(line.newest is None for line in answer)
    said = [f"{waiting:,} not released yet"] if waiting else []
    said.append(f"{changed:,} changed since the last release" if changed else "none changed since its release")
    headline = f"{count(len(answer), 'dataset')}: {', '.join(said if waiting < len(answer) else said[:1])}."
    return Page(headline, blocks=(datasets_table(answer),))


def datasets_table(lines: Sequence[DatasetLine]) -> Table:
    """Datasets: newest release, its reason, and whether it still holds."""
    rows = tuple(
        (Cell(line.name, "strong"), _newest(line), Cell(f"{line.members:,}"), _drift(line), _release_why(line))
        for line in lines
    )
    columns = (
        Column("dataset"),
        Column("release"),
        Column("members", right=True),
        Column("since then"),
        Column("what is new in it", wraps=True),
    )
    return Table(columns, rows)


def runs_table(runs: Sequence[RunLine], total: int, failed: int) -> Table:
    """Executions: what was asked comes first."""
    rows = tuple(
        (
            quote(run.intent, f"{GAP_SIGN} not said what for"),
            Cell(run.name),
            Cell(run.status + (", scratch" if run.scratch else ""), STATES.get(run.status, "")),
            Cell(", ".join(f"{key} {show_number(value)}" for key, value in run.metrics) or GAP_SIGN),
            Cell(run.id, "id"),
        )
        for run in runs
    )
    columns = (Column("asked", wraps=True), Column("run"), Column("state"), Column("figures", wraps=True), Column("id"))
    bad = f"; {failed:,} did not finish" if failed else ""
    return Table(columns, rows, f"Newest of {count(total, 'run')}{bad}")


def _standing(answer: Overview, changed: list[DatasetLine]) -> str:
    if not answer.types:
        return "nothing in it yet."
    if answer.running:
        return f"{count(answer.running, 'run')} under way."
    if changed:
        names = ", ".join(line.name for line in changed[:3])
        return f"{names} {'has' if len(changed) == 1 else 'have'} changed since the last release."
    if answer.datasets and all(line.newest for line in answer.datasets):
        return "all datasets are as released."
    if answer.datasets:
        waiting = sum(line.newest is None for line in answer.datasets)
        return f"{waiting} of {count(len(answer.datasets), 'dataset')} not released yet."
    return f"{count(sum(kind.count for kind in answer.types), 'entity', 'entities')}, no dataset yet."


def _read_of(names: Sequence[str]) -> Cell:
    if not names:
        return Cell(f"{GAP_SIGN} nothing yet", "gap")
    more = f" and {len(names) - FEATURES:,} more" if len(names) > FEATURES else ""
    return Cell(", ".join(names[:FEATURES]) + more)


def _newest(line: DatasetLine) -> Cell:
    return Cell(line.newest) if line.newest else Cell(f"{GAP_SIGN} none", "gap")


def _drift(line: DatasetLine) -> Cell:
    if line.newest is None:
        return Cell("")
    if line.changed is None:
        return Cell("cannot tell", "open")
    return Cell("changed", "open") if line.changed else Cell("the same", "holds")


def _release_why(line: DatasetLine) -> Cell:
    return Cell("") if line.newest is None else quote(line.why, f"{GAP_SIGN} not said")
