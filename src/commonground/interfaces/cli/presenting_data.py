"""Pages of datasets and comparisons: what differs, where a dataset stands, its files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from commonground.errors import count, show_bytes
from commonground.interfaces.cli.page import (
    GAP_SIGN,
    NOT_RECORDED,
    Block,
    Cell,
    Column,
    Lines,
    Page,
    Table,
    quote,
    show_figure,
)
from commonground.operations.comparing import StateComparison
from commonground.operations.execution_reading import Axis, Comparison
from commonground.operations.releases import DatasetState, Difference
from commonground.operations.rules_in_words import rule_in_words

FIGURE = "metric:"
_DIGEST = re.compile(r"[0-9a-f]{41,}")
"""No word is as long."""
EXAMPLES = 2


def present_difference(answer: StateComparison | Difference | Comparison, args: Mapping[str, Any]) -> Page:
    """What differs between two states, or between executions."""
    del args
    if isinstance(answer, Comparison):
        return _compared(answer)
    if isinstance(answer, Difference):
        return _differs(StateComparison(answer, {}, (None, None)))
    return _differs(answer)


def present_state(answer: DatasetState, args: Mapping[str, Any]) -> Page:
    """Where a dataset stands."""
    del args
    if answer.newest is None:
        headline, look = f"{answer.name} has not been released yet.", "open"
    elif answer.dirty:
        headline, look = f"{answer.name} has changed since {answer.newest}.", "open"
    else:
        headline, look = f"{answer.name} is as released in {answer.newest}.", "holds"
    rows = tuple((Cell(table), Cell(f"{rows:,}")) for table, rows in answer.rows.items())
    hint = f"cg diff {answer.name}@{answer.newest} {answer.name}@dev: what has changed"
    if answer.newest is None:
        hint = f"cg dataset release {answer.name}: freeze its first version"
    hints = (hint,) if answer.dirty else ()
    table = Table((Column("a release would hold now"), Column("rows", right=True)), rows)
    blocks: tuple[Block, ...] = (table,)
    if answer.withdrawn:
        gone = tuple(Cell(one, "open") for one in answer.withdrawn)
        blocks = (table, Lines(gone, "Withdrawn members, which a release leaves out"))
    return Page(headline, look=look, blocks=blocks, hints=hints)


def present_files(answer: Sequence[Mapping[str, Any]], args: Mapping[str, Any]) -> Page:
    """The Parquet files of a version."""
    rows = tuple(
        (Cell(one["table"]), Cell(f"{one['rows']:,}"), Cell(show_bytes(one["bytes"])), Cell(one["path"], "id"))
        for one in answer
    )
    size = show_bytes(sum(one["bytes"] for one in answer))
    headline = f"{args.get('version', 'The version')}: {count(len(rows), 'Parquet file')}, {size}."
    columns = (Column("table"), Column("rows", right=True), Column("size", right=True), Column("path", wraps=True))
    left_out = getattr(answer, "left_out", {})
    below = tuple(Cell(f"Left out: {table} ({why}).", "gap") for table, why in left_out.items())
    hints = ("--sensitive lists them too, for a curator or an owner",) if left_out else ()
    return Page(headline, below=below, blocks=(Table(columns, rows),), hints=hints)


def _differs(found: StateComparison) -> Page:
    answer = found.difference
    if answer.same:
        return Page(f"{answer.old} and {answer.new} say the same.", look="holds")
    totals = {word: sum(getattr(table, word) for table in answer.tables) for word in ("added", "removed", "changed")}
    members = next((table for table in answer.tables if table.table == "members"), None)
    if members is not None:
        moved = ((members.added, "came"), (members.removed, "left"))
        parts = [f"{count(number, 'member')} {word}" for number, word in moved if number]
        headline = f"From {answer.old} to {answer.new}: {' and '.join(parts) or 'members changed'}."
    else:
        said = ", ".join(f"{count(total, 'row')} {word}" for word, total in totals.items() if total)
        headline = f"From {answer.old} to {answer.new}: {said or 'only the rule'}; the members are the same."
    rows = tuple(
        (
            Cell(one.table, "strong"),
            *(Cell(f"{rows:,}" if (rows := getattr(one, word)) else "") for word in totals),
            Cell(", ".join(found.examples.get(one.table, ())[:EXAMPLES]), "quiet"),
        )
        for one in sorted(answer.tables, key=lambda one: one.table != "members")
    )
    columns = (Column("rows of"), *(Column(word, right=True) for word in totals), Column("for example", wraps=True))
    blocks: list[Block] = [Table(columns, rows)] if rows else []
    blocks.append(_rules(found))
    return Page(headline, blocks=tuple(blocks))


def _rules(found: StateComparison) -> Block:
    """The rule and its reason, before and after: the why beside the what."""
    answer = found.difference
    if answer.criteria == (None, None) == answer.reasons:
        return Lines((Cell(f"{GAP_SIGN} for neither is it recorded how the members were chosen", "gap"),))
    sides = [(answer.old, 0), (answer.new, 1)]
    if answer.criteria[0] == answer.criteria[1] and answer.reasons[0] == answer.reasons[1]:
        sides = [("both", 0)]
    rows = tuple((Cell(name, "id"), _rule(answer.criteria[at]), quote(answer.reasons[at])) for name, at in sides)
    columns = (Column("state"), Column("chosen by", wraps=True), Column("because", wraps=True))
    return Table(columns, rows)


def _compared(answer: Comparison) -> Page:
    reasons = [
        axis.name.removeprefix("param:") for axis in answer.differing if axis.name not in {"person", "place", "status"}
    ]
    names = " and ".join(one.name for one in answer.executions[:2])
    if not reasons:
        headline, look = f"{names} had the same code, data, parameters and packages.", "holds"
    else:
        headline, look = f"{names} differ in {', '.join(reasons[:6])}.", "open" if len(reasons) > 1 else "strong"
    warning = Cell("More than one thing differs: no single one explains the figures.", "open")
    heads = (Column(""), *(Column(one.name, wraps=True) for one in answer.executions), Column(""))
    conditions = [axis for axis in answer.axes if not axis.name.startswith(FIGURE)]
    figures = [axis for axis in answer.axes if axis.name.startswith(FIGURE)]
    blocks: list[Block] = [Table(heads, tuple(_axis_row(axis, answer.names) for axis in conditions))]
    if figures:
        right = (Column("metric"), *(Column(one.name, right=True) for one in answer.executions), Column(""))
        blocks.append(Table(right, tuple(_axis_row(axis) for axis in figures)))
    return Page(headline, look=look, below=(warning,) if len(reasons) > 1 else (), blocks=tuple(blocks))


def _axis_row(axis: Axis, names: Mapping[str, str] | None = None) -> tuple[Cell, ...]:
    name = axis.name.removeprefix(FIGURE).replace("param:", "parameter ")
    sign = Cell("differs", "open") if axis.differs else Cell("same", "quiet")
    if all(value is None for value in axis.values):
        # Two unknowns are not the same.
        sign = Cell("cannot tell", "open")
    show = {"data": _data, "code": _code}.get(axis.name, _axis_cell)
    values = [show(value) for value in axis.values]
    for rid, called in (names or {}).items():
        values = [Cell(cell.text.replace(f"by execution {rid}", f"by {called}"), cell.look) for cell in values]
    return Cell(name, "quiet"), *values, sign


def _code(value: object) -> Cell:
    """The entry point and the beginning of the tree digest, out of the text that code is compared by."""
    try:
        # The entry point goes last, and may be a function of a file.
        repository, tree, entry = str(value).split(maxsplit=2)
    except ValueError:
        return _axis_cell(value)
    return Cell(" ".join([*([entry] if entry != "-" else []), tree[:8], *([repository] if repository != "-" else [])]))


def _data(value: object) -> Cell:
    """What a run used, and by which rule, out of the JSON that it is compared by."""
    try:
        used = json.loads(str(value))
        lines = [" ".join([str(name), *(_frame(frame) for frame in frames)]) for name, frames in used]
    except (TypeError, ValueError, AttributeError):
        return _axis_cell(value)
    return Cell("\n".join(lines)) if lines else Cell(NOT_RECORDED, "gap")


def _frame(frame: Mapping[str, Any]) -> str:
    """The rules by which values were chosen, and the beginning of the digest of the exact rows."""
    rules = dict.fromkeys(_words(one.get("selector")) for one in frame.get("features") or ())
    rows = str(frame.get("rows_digest") or "")[:6]
    return ", ".join([*(f"by {rule}" for rule in rules), *([f"rows {rows}"] if rows else [])])


def _words(selector: object) -> str:
    if isinstance(selector, Mapping) and selector.get("rule") == "by_execution":
        return f"execution {selector.get('execution')}"
    if isinstance(selector, Mapping):
        return " ".join(_words(inner) for inner in selector.values() if inner is not None)
    return str(selector)


def _axis_cell(value: object) -> Cell:
    if value is None:
        return Cell(NOT_RECORDED, "gap")
    if isinstance(value, float):
        return Cell(show_figure(value))
    text = str(value)
    is_digest = _DIGEST.fullmatch(text) is not None
    return Cell(text[:10], "id") if is_digest else Cell(text)


def _rule(text: str | None) -> Cell:
    return Cell(rule_in_words(text) or text) if text else Cell(NOT_RECORDED, "gap")
