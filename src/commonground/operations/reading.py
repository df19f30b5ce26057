"""Reading one thing: what it is, its changes, what it came from and what came of it; and finding things by words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from commonground.errors import InvalidInput
from commonground.identity import Kind, Rid, show_rid
from commonground.operations.describing import Fact, SideBySide, describe_thing, description_of, list_side_by_side
from commonground.operations.plans import Reading
from commonground.operations.resolving import name_of, resolve, shorten_all, suggest
from commonground.operations.schema_things import COLUMN, find_columns
from commonground.store import text_index
from commonground.store.changes import Change
from commonground.store.view import View
from commonground.structure import entities, history, naming
from commonground.structure.lineage import Edge, Named, list_edges

RECENT = 5
SHOWN = 3
LOOKED_AT = 50
RANK = (
    Kind.VERSION,
    Kind.DATASET,
    Kind.EXECUTION,
    Kind.ASSET,
    Kind.FEATURE,
    Kind.TERM,
    Kind.VOCABULARY,
    Kind.ENTITY,
    Kind.TYPE,
    Kind.PERSON,
)
"""What a change is chiefly about, if it is about several kinds of thing."""
REPRODUCED = "execution reproduced"
NEED_NO_REASON = frozenset({"execution finish", "execution input", REPRODUCED, "person add"})


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One change, as a line of the log."""

    change: int
    """Its number."""
    at: int
    """When, UTC microseconds."""
    who: str
    """Who did it; with the door and the agent, if one acted."""
    verb: str
    """What was done."""
    about: tuple[str, ...]
    """What it was chiefly about."""
    more: int
    """How many more things of that kind it was about."""
    why: str | None
    """The reason in their words; None if none was given."""
    asked: bool
    """Whether a reason would be expected: the end of a run, or somebody's arrival, needs none."""
    came_to: str | None = None
    """What came of it, where that is the point of it: of a reproduction whether it was identical."""

    @property
    def silent(self) -> bool:
        """Whether a reason is missing."""
        return self.asked and self.why is None


@dataclass(frozen=True, slots=True)
class Log:
    """Changes, newest first."""

    subject: str | None
    """The thing they are about; None for the whole study."""
    total: int
    """How many there are."""
    entries: tuple[LogEntry, ...]
    """The newest of them."""


@dataclass(frozen=True, slots=True)
class Hop:
    """A thing one step away."""

    relation: str
    """used, produced."""
    role: str | None
    """The name under which the execution knew it."""
    kind: str
    """Its kind."""
    name: str
    """What it is called."""
    id: str
    """The beginning of its id."""
    state: str | None
    """The state of an execution, the kind of a file."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One thing: what it is, and what lies around it."""

    rid: str
    """Its whole id; the number of a change."""
    id: str
    """The beginning of its id that only it has."""
    kind: str
    """Its kind."""
    name: str
    """What it is called."""
    description: str | None
    """What people say of it; None if nobody said."""
    facts: tuple[Fact, ...]
    """What it consists of."""
    values: SideBySide | None
    """Of an entity: what everybody said of it."""
    came_from: tuple[Hop, ...]
    """What it came from, one step back."""
    used_in: tuple[Hop, ...]
    """What came of it, one step on."""
    log: Log
    """Its newest changes."""


@dataclass(frozen=True, slots=True)
class Found:
    """One result of a search."""

    id: str
    """The beginning of its id."""
    kind: str
    """Its kind."""
    name: str
    """What it is called."""
    description: str | None
    """What people say of it."""


@dataclass(frozen=True, slots=True)
class Results:
    """What a search found, best first."""

    words: str
    """What was asked."""
    found: tuple[Found, ...]
    """What was found."""
    nearest: tuple[str, ...]
    """If nothing was found: the names that are nearest."""


def read_show(on: Reading, *, what: str, sensitive: bool = False) -> Shown:
    """What something is, where it came from, where it is used, and its newest changes.

    What stands in sensitive columns is shown only if it is asked for, to somebody who may.
    """
    view = on.view
    found = resolve(view, what)
    named = name_of(view, found)
    description, facts = describe_thing(on, found, sensitive=sensitive)
    is_change = found.kind is Kind.CHANGE
    return Shown(
        rid=named.name if is_change else show_rid(found.rid),
        id=named.name if is_change else shorten_all(view, [found.rid])[found.rid],
        kind=str(found.kind),
        name=named.name,
        description=description,
        facts=facts,
        values=list_side_by_side(on, found.rid, named.name.partition(":")[0]) if found.kind is Kind.ENTITY else None,
        came_from=() if is_change else _hops(view, list_edges(view, dst=found.rid), "up"),
        used_in=() if is_change else _hops(view, list_edges(view, src=found.rid), "down"),
        log=Log(named.name, 1, ()) if is_change else _log(view, found.rid, named.name, RECENT, found.kind),
    )


def read_log(on: Reading, *, what: str | None = None, limit: int = 20) -> Log:
    """The newest changes first, all of them or those about one thing."""
    view = on.view
    _check_limit(limit)
    if what is None:
        return _log(view, None, None, limit)
    found = resolve(view, what)
    if found.kind is Kind.CHANGE:
        change = history.get_change(view, found.rid)
        return Log(f"c{found.rid}", 1, tuple(describe_changes(view, [change] if change else [])))
    return _log(view, found.rid, name_of(view, found).name, limit, found.kind)


def read_find(on: Reading, *, words: Sequence[str], kind: str | None = None, limit: int = 20) -> Results:
    """Things whose name or description has these words or parts of them, best first; columns last, by their type."""
    view = on.view
    _check_limit(limit)
    text = " ".join(words)
    rids = text_index.search(view.connection, text, kind=kind, limit=limit)
    named = naming.name_things(view, rids)
    short = shorten_all(view, rids)
    found = tuple(
        Found(short[rid], named[rid].kind, named[rid].name, description_of(view, named[rid].kind, rid))
        for rid in rids
        if named[rid].name != named[rid].kind
    )
    columns = find_columns(view, text) if kind in {None, COLUMN} else []
    holders = shorten_all(view, [one.holder or 0 for one, _ in columns])
    # A column has no page of its own: its type has.
    found += tuple(Found(holders[one.holder or 0], COLUMN, one.full_name, said) for one, said in columns)
    found = found[:limit]
    return Results(text, found, () if found else tuple(suggest(view, text)))


def _check_limit(limit: int) -> None:
    if limit < 1:
        raise InvalidInput(f"At most {limit} cannot be listed.", todo="Give a limit of 1 or more.")


def describe_changes(view: View, listed: Sequence[Change]) -> list[LogEntry]:
    """Changes as lines of the log."""
    subjects = history.list_subjects(view, [change.id for change in listed])
    wanted = {rid for rids in subjects.values() for rid in rids[:LOOKED_AT]}
    wanted.update(rid for change in listed for rid in _again(change))
    actors = {rid for change in listed for rid in (change.actor, change.on_behalf) if rid is not None}
    named = naming.name_things(view, [*wanted, *actors])
    lines = []
    for change in listed:
        rids = subjects[change.id]
        about, more = _chief(named, _again(change) or rids)
        lines.append(
            LogEntry(
                change.id,
                change.recorded_at,
                _who(change, named, rids),
                change.verb,
                about,
                more,
                change.why,
                change.verb not in NEED_NO_REASON,
                change.args.get("said", {}).get("outcome") if change.verb == REPRODUCED else None,
            )
        )
    return lines


def _log(view: View, about: Rid | None, name: str | None, limit: int, kind: Kind | None = None) -> Log:
    types = entities.list_types(view) if kind is Kind.ENTITY else []
    one = next((one for one in types if one.name == (name or "").partition(":")[0]), None)
    if one is not None and about is not None:
        numbers = history.list_changes_of_entity(view, one, about)
        found = (history.get_change(view, number) for number in numbers[:limit])
        return Log(name, len(numbers), tuple(describe_changes(view, [change for change in found if change])))
    listed = history.list_changes(view, about, limit=limit)
    return Log(name, history.count_changes(view, about), tuple(describe_changes(view, listed)))


def _again(change: Change) -> list[Rid]:
    """What was run again, which a reproduction is about: not the re-runs, nor the record of having done it."""
    return [change.args["of"]] if change.verb == REPRODUCED and "of" in change.args else []


def _chief(named: dict[Rid, Named], rids: Sequence[Rid]) -> tuple[tuple[str, ...], int]:
    known = [named[rid] for rid in rids[:LOOKED_AT] if named[rid].name != named[rid].kind]
    for kind in RANK:
        names = [one.name for one in known if one.kind == kind]
        if names:
            unseen = max(0, len(rids) - LOOKED_AT)
            return tuple(names[:SHOWN]), max(0, len(names) - SHOWN) + unseen
    return (), 0


def _who(change: Change, named: dict[Rid, Named], about: Sequence[Rid]) -> str:
    # Only the change that brings the first person in has no actor: they did it themselves.
    actor = change.actor if change.actor is not None else next(iter(about), None)
    person = named[actor].name if actor in named else "the study's maker"
    if change.on_behalf is not None:
        person = f"{person} for {named[change.on_behalf].name}"
    return f"{person}, by an agent" if change.agent else person


def _hops(view: View, edges: Sequence[Edge], direction: str) -> tuple[Hop, ...]:
    ends = [edge.src if direction == "up" else edge.dst for edge in edges]
    named = naming.name_things(view, ends)
    short = shorten_all(view, ends)
    return tuple(
        Hop(edge.relation, edge.role, named[end].kind, named[end].name, short[end], named[end].state)
        for edge, end in zip(edges, ends, strict=True)
    )
