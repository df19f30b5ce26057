"""What people mean by a word: an id or the beginning of one, a name, name@version, Type:key, key, or a change as c12.

A name goes before the beginning of an id, and that before the key of an entity. What could mean two things is refused
with the candidates; what means nothing, with the nearest names. `kind:name` (dataset:nodules) narrows a name to one
kind.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from commonground.errors import Ambiguous, InvalidInput, NotFound
from commonground.identity import Kind, Rid
from commonground.store.view import Identified, View, find_prefix, shorten
from commonground.structure import history, naming, people
from commonground.structure.lineage import Named
from commonground.structure.references import pin

SHORTEST = 4
SHOWN = 6
_CHANGE = re.compile(r"c(\d{1,18})")


def resolve(view: View, text: str) -> Identified:
    """What a word names; raises NotFound with the nearest names, or Ambiguous with the candidates.

    A change is identified by its number instead of a rid.
    """
    text = text.strip()
    if not text:
        raise InvalidInput("Nothing was named.", todo="Give an id, a name, name@version, Type:key, or a change as c12.")
    change = _CHANGE.fullmatch(text)
    if change is not None:
        return _change(view, int(change.group(1)))
    if "@" in text and (person := people.find_person(view, text)) is not None:
        return Identified(person.rid, Kind.PERSON, None)
    if "@" in text:
        pinned = pin(view, text)
        if pinned.version is not None:
            return Identified(pinned.version.rid, Kind.VERSION, None)
        return Identified(pinned.dataset.rid, Kind.DATASET, None)
    named = _named(view, text)
    if len(named) == 1:
        return Identified(named[0].rid, Kind(named[0].kind), None)
    if named:
        raise _ambiguous(view, text, named)
    return _by_id(view, text)


def name_of(view: View, what: Identified) -> Named:
    """What to call it."""
    if what.kind is Kind.CHANGE:
        return Named(what.rid, Kind.CHANGE, f"c{what.rid}", None)
    return naming.name_things(view, [what.rid])[what.rid]


def shorten_all(view: View, rids: Sequence[Rid]) -> dict[Rid, str]:
    """The shortest beginning of each id that only it has."""
    return {rid: shorten(view.connection, rid) for rid in dict.fromkeys(rids)}


def suggest(view: View, text: str) -> list[str]:
    """The names that are nearest to a word."""
    known = {name.casefold(): name for name in reversed(naming.list_names(view))}
    return [known[near] for near in difflib.get_close_matches(text.casefold(), list(known), n=3, cutoff=0.6)]


def _named(view: View, text: str) -> list[Named]:
    found = naming.find_named(view, text)
    if found or ":" not in text:
        return found
    first, _, rest = text.partition(":")
    entity = naming.find_entity(view, first, rest)
    if entity is not None:
        return [entity]
    kinds = {str(kind) for kind in Kind} | {"run"}
    if first.lower() not in kinds:
        return []
    wanted = "execution" if first.lower() == "run" else first.lower()
    return [one for one in naming.find_named(view, rest) if one.kind == wanted]


def _by_id(view: View, text: str) -> Identified:
    if len(text.replace("-", "")) >= SHORTEST:
        try:
            return find_prefix(view.connection, text)
        except (InvalidInput, NotFound):
            pass
    entities = naming.find_entities(view, text)
    if len(entities) == 1:
        return Identified(entities[0].rid, Kind.ENTITY, None)
    if entities:
        names = [one.name for one in entities]
        raise Ambiguous(
            f"{text!r} is the key of {len(names)} things.",
            faults=names,
            todo=f"Write one of these, such as {names[0]}.",
        )
    raise _unknown(view, text)


def _change(view: View, number: int) -> Identified:
    if history.get_change(view, number) is None:
        raise NotFound(f"There is no change {number}; the newest is {view.change}.", todo="`cg log` lists the changes.")
    return Identified(number, Kind.CHANGE, None)


def _unknown(view: View, text: str) -> NotFound:
    near = suggest(view, text)
    hint = f"Did you mean {' or '.join(near)}?" if near else "`cg find WORDS` searches names and descriptions."
    return NotFound(f"Nothing here is called {text!r}, and no id begins with it.", todo=hint)


def _ambiguous(view: View, text: str, named: Sequence[Named]) -> Ambiguous:
    short = shorten_all(view, [one.rid for one in named[-SHOWN:]])
    newest = sorted(named, key=lambda one: one.rid, reverse=True)[:SHOWN]
    short |= shorten_all(view, [one.rid for one in newest])
    lines = [f"{short[one.rid]}  {one.kind} {one.name}" + (f", {one.state}" if one.state else "") for one in newest]
    more = [f"... and {len(named) - len(newest)} older ones"] if len(named) > len(newest) else []
    kinds = {one.kind for one in named}
    todo = "Give the id of one."
    if len(kinds) == len(named):
        todo = f"Write {' or '.join(f'{kind}:{text}' for kind in sorted(kinds))}, or the id of one."
    return Ambiguous(f"{text!r} could mean {len(named)} things.", faults=[*lines, *more], todo=todo)
