"""Withdrawing entities that are no longer valid: out of the living state with a reason, and revertable."""

from __future__ import annotations

from collections.abc import Sequence

from commonground.errors import Conflict, InvalidInput, NotFound
from commonground.identity import Rid
from commonground.operations.plans import Plan, Reading
from commonground.store.ground import Ground
from commonground.store.transaction import Transaction
from commonground.store.view import View
from commonground.structure import datasets, entities
from commonground.structure.entities import EntityType
from commonground.structure.withdrawals import list_withdrawn, withdraw

NAMED = 5
"""How many keys are named in what a plan says: enough to recognise them."""


def plan_withdraw(
    on: Reading,
    *,
    type: str,
    keys: Sequence[str],
    reason: str,
    linked: bool = False,
) -> Plan:
    """Take entities out of the living state because they are no longer valid; versions and earlier times keep them.

    With `linked` whatever links to them goes too, as the scans of a patient; without it such a link is refused.
    """
    if not reason.strip():
        raise InvalidInput("A withdrawal needs its reason.", todo="Say why they are no longer valid.")
    kind = entities.get_type(on.view, type)
    found = _find(on, kind, keys)
    types = {one.rid: one for one in entities.list_types(on.view)}
    reach = _reach(on.view, types, kind.rid, set(found.values()))
    more = {types[rid].name: len(rids) for rid, rids in reach.items() if rid != kind.rid or len(rids) > len(found)}
    if more and not linked:
        told = ", ".join(f"{count - len(found) if name == kind.name else count} {name}" for name, count in more.items())
        raise Conflict(
            f"These still lead to them: {told}.",
            todo="Withdraw them too (linked; --linked), or let them lead elsewhere first.",
        )
    gone = {rid for rids in reach.values() for rid in rids}
    return Plan(
        id=on.mint()[0],
        verb="entity withdraw",
        args={
            "reason": reason,
            "of": [kind.rid, sorted(found.values())],
            "entities": [[types[rid].place, rid, sorted(rids)] for rid, rids in sorted(reach.items())],
        },
        at=on.view.change,
        anchors=tuple(sorted(gone)),
        reads=(*reach, *sorted(gone)),
        why=reason,
        effect={
            "withdraws": ", ".join(f"{kind.name}:{key}" for key in sorted(set(keys))[:NAMED])
            + (f" and {len(set(keys)) - NAMED} more" if len(set(keys)) > NAMED else ""),
            "because": reason,
            "entities": {types[rid].name: len(rids) for rid, rids in reach.items()},
            "members of live datasets": _memberships(on, gone),
        },
    )


def apply_withdraw(tx: Transaction, plan: Plan) -> None:
    """End the entities and say why."""
    for place, kind, rids in plan.args["entities"]:
        withdraw(tx, place, kind, rids, plan.args["reason"])


def recheck_withdraw(_ground: Ground, view: View, plan: Plan) -> None:
    """Raise Conflict if something has come in between that links to what is withdrawn."""
    types = {one.rid: one for one in entities.list_types(view)}
    kind, start = plan.args["of"]
    now = [[types[rid].place, rid, sorted(rids)] for rid, rids in sorted(_reach(view, types, kind, set(start)).items())]
    if now != plan.args["entities"]:
        raise Conflict("More links to these by now than when it was planned.", todo="Repeat the command.")


def _find(on: Reading, kind: EntityType, keys: Sequence[str]) -> dict[str, Rid]:
    found = entities.find_keys(on.view, kind, sorted(set(keys)))
    if not keys or len(found) < len(set(keys)):
        done = {one.key: one for one in list_withdrawn(on.view, kind)}
        raise NotFound(
            f"Not all of these are a living {kind.name}.",
            faults=[
                f"{key!r} was withdrawn by change {done[key].change}: {done[key].reason}" if key in done else repr(key)
                for key in sorted(set(keys) - found.keys())
            ],
            todo="Take those out of the list.",
        )
    return found


def _reach(view: View, types: dict[Rid, EntityType], kind: Rid, start: set[Rid]) -> dict[Rid, set[Rid]]:
    """These and all living entities that link to them, at any distance, by type."""
    reach: dict[Rid, set[Rid]] = {kind: set(start)}
    waiting = [(kind, set(start))]
    while waiting:
        target, rids = waiting.pop()
        for other in types.values():
            places = [link.place for link in other.links if link.target == target]
            listed = entities.list_entities(view, other) if places else {"rid": []}
            fresh = {
                rid
                for position, rid in enumerate(listed["rid"])
                if any(listed[place][position] in rids for place in places)
            } - reach.get(other.rid, set())
            if fresh:
                reach.setdefault(other.rid, set()).update(fresh)
                waiting.append((other.rid, fresh))
    return reach


def _memberships(on: Reading, gone: set[Rid]) -> dict[str, int]:
    found = {}
    for dataset in datasets.list_datasets(on.view):
        held = gone.intersection(datasets.read_members(on.view, [dataset.rid]).entity.tolist())
        if held:
            found[dataset.name] = len(held)
    return found
