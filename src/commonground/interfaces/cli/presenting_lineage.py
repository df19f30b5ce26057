"""The page of `lineage`: a tree, each thing once, with the exact versions and the way it was used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from commonground.errors import count
from commonground.interfaces.cli.page import Block, Cell, Column, Page, Table
from commonground.operations.lineage import Lineage

if TYPE_CHECKING:
    from commonground.operations.answers import Edge

TITLES = {"up": "Came from", "down": "Led to"}
MOST = 200


def present_lineage(answers: Sequence[Lineage], short: Mapping[int, str]) -> Page:
    """What something came from, and what came of it."""
    start = answers[0].start
    told = [
        f"{'came from' if one.direction == 'up' else 'led to'} {count(len(one.things), 'thing')}" for one in answers
    ]
    trees = [_tree(one, short) for one in answers if one.things]
    blocks: list[Block] = [replace(tree, rows=tree.rows[:MOST]) for tree in trees]
    cut = (
        [Cell("There is more than this; --depth and --up or --down narrow it.", "open")]
        if not all(one.complete for one in answers)
        else []
    )
    if any(len(tree.rows) > MOST for tree in trees):
        cut.append(Cell(f"The first {MOST} lines are shown; --json gives all, --depth fewer.", "open"))
    below = [Cell(f"{start.kind} {short.get(start.rid, '')}", "id"), *cut]
    return Page(f"{start.name} {' and '.join(told)}.", below=tuple(below), blocks=tuple(blocks))


def _tree(answer: Lineage, short: Mapping[int, str]) -> Table:
    up = answer.direction == "up"
    named = {thing.rid: thing for thing in (answer.start, *answer.things)}
    steps: dict[int, list[tuple[int, str]]] = {}
    for edge in answer.edges:
        here, there = (edge.dst, edge.src) if up else (edge.src, edge.dst)
        names = [named[rid].name for rid in (here, there) if rid in named]
        told = {part for name in names for part in (name, name.partition("@")[0], name.rpartition(".")[2])}
        steps.setdefault(here, []).append((there, _how(edge, up=up, told=told)))
    seen = {answer.start.rid}
    rows: list[tuple[Cell, ...]] = []
    waiting = [(rid, 0, how) for rid, how in reversed(steps.get(answer.start.rid, []))]
    left = [thing.rid for thing in answer.things]
    while waiting or left:
        if not waiting:
            rid = left.pop(0)
            if rid in seen:
                continue
            waiting.append((rid, 0, "gave values it holds" if up else "holds its values"))
        rid, level, how = waiting.pop()
        thing = named.get(rid)
        if thing is None or len(rows) > MOST:
            continue
        again = rid in seen
        look = "quiet" if again else ""
        name = Cell("  " * level + thing.name + (" (above)" if again else ""), look or "strong")
        rows.append(
            (
                name,
                Cell(thing.kind, "quiet"),
                Cell(thing.state or "", "quiet"),
                Cell(how, "quiet"),
                Cell(short.get(rid, ""), "id"),
            )
        )
        if not again:
            seen.add(rid)
            waiting += [(other, level + 1, by) for other, by in reversed(steps.get(rid, []))]
    columns = (Column("", wraps=True), Column(""), Column(""), Column("", wraps=True), Column(""))
    return Table(columns, tuple(rows), TITLES[answer.direction], heads=False)


def _how(edge: Edge, *, up: bool, told: set[str]) -> str:
    """What a thing has to do with the one above it; a role that is the name of one of the two says nothing more."""
    words = {
        ("used", True): "used",
        ("used", False): "used it",
        ("produced", True): "made it",
        ("produced", False): "made",
    }
    said = words.get((edge.relation, up), edge.relation)
    role = f" as {edge.role}" if edge.role and edge.role not in told else ""
    return f"{said}{role}{', not released' if edge.details.get('unreleased') else ''}"
