"""Asking where something came from, what came of it, and what rests on it."""

from __future__ import annotations

from dataclasses import dataclass

from commonground.errors import InvalidInput, NotFound
from commonground.identity import Rid
from commonground.operations.plans import Reading
from commonground.operations.resolving import resolve
from commonground.structure import lineage, naming
from commonground.structure.lineage import Dependents, Direction, Edge, Named
from commonground.structure.people import get_person
from commonground.structure.tables import slot, term, vocabulary


@dataclass(frozen=True, slots=True)
class Lineage:
    """What was reached from one thing, with its names and the steps between."""

    start: Named
    """Where it began."""
    direction: Direction
    """up: what it came from; down: what came of it."""
    things: tuple[Named, ...]
    """Everything reached, nearest first."""
    edges: tuple[Edge, ...]
    """The steps between these."""
    complete: bool
    """False if the bound was met: then there is more."""


def read_lineage(
    on: Reading, *, rid: Rid | str, direction: Direction = "up", depth: int | None = None, most: int = 1_000
) -> Lineage:
    """What something came from (up), or what came of it (down)."""
    if direction not in {"up", "down"}:
        raise InvalidInput(f"{direction!r} is no direction.", todo="Say up or down.")
    if not 1 <= most <= lineage.MOST or (depth is not None and depth < 1):
        raise InvalidInput(
            "The lineage cannot be followed so far.",
            todo=f"Ask for a depth of 1 or more, and for 1 to {lineage.MOST:,} things.",
        )
    rid = _thing(on, rid)
    walk = lineage.walk(on.view, rid, direction, depth=depth, most=most)
    named = naming.name_things(on.view, [rid, *walk.reached])
    among = lineage.list_edges_among(on.view, [rid, *walk.reached], direction)
    edges = [edge for edge in among if edge.src in named and edge.dst in named]
    return Lineage(named[rid], direction, tuple(named[one] for one in walk.reached), tuple(edges), walk.complete)


def read_dependents(
    on: Reading, *, rater: str | Rid | None = None, term: str | Rid | None = None, rid: Rid | str | None = None
) -> Dependents:
    """What rests on values by a rater, on a term, or on any one thing."""
    if sum(one is not None for one in (rater, term, rid)) != 1:
        raise InvalidInput("It is not said on what they rest.", todo="Name one of the three: --rater, --term or --rid.")
    if rater is not None:
        return lineage.find_dependents(on.view, rater=_rater(on, rater))
    if term is not None:
        return lineage.find_dependents(on.view, term=_term(on, term))
    return lineage.find_dependents(on.view, rid=_thing(on, rid or ""))


def _thing(on: Reading, given: Rid | str) -> Rid:
    return given if isinstance(given, int) else resolve(on.view, given).rid


def _rater(on: Reading, rater: str | Rid) -> Rid:
    if isinstance(rater, str):
        return get_person(on.view, rater).rid
    slots = on.view.list_rows(slot, slot.c.rid == rater)
    return slots[0].rid if slots else rater


def _term(on: Reading, name: str | Rid) -> Rid:
    if not isinstance(name, str):
        return name
    words, _, word = name.rpartition(".")
    rows = on.view.list_rows(term, term.c.name == word)
    if words:
        owners = {row.rid for row in on.view.list_rows(vocabulary, vocabulary.c.name == words)}
        rows = [row for row in rows if row.vocabulary in owners]
    if len(rows) != 1:
        what = "There is no term" if not rows else "More than one vocabulary has a term"
        raise NotFound(f"{what} {name!r}.", todo="Name it as vocabulary.term.")
    return int(rows[0].rid)
