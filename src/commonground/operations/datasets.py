"""Making datasets, changing their members, and nesting them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from commonground.errors import Conflict, InvalidInput, NotFound, count
from commonground.identity import Rid
from commonground.operations.features import resolve_feature
from commonground.operations.plans import Bulk, Plan, Reading
from commonground.store.transaction import Transaction
from commonground.structure import datasets, entities, tables
from commonground.structure.datasets import AXES
from commonground.structure.former_names import refuse_taken
from commonground.structure.names import clean_name, name_key

SHOWN = 10


def plan_dataset(
    on: Reading,
    *,
    name: str,
    description: str | None = None,
    labels: Mapping[str, Sequence[str]] | None = None,
    features: Sequence[str] = (),
    type: str | None = None,
    keys: Sequence[str] | None = None,
    members: Sequence[Rid] | np.ndarray[Any, Any] | None = None,
    criteria: str | None = None,
    reason: str | None = None,
) -> Plan:
    """Make a dataset, with its first members, the features it names, and what produced the members."""
    clean = clean_name(name, "dataset's name")
    if any(name_key(one.name) == name_key(clean) for one in datasets.list_datasets(on.view)):
        raise Conflict(f"There is a dataset {clean!r} already.", todo="Choose another name, or change that one.")
    refuse_taken(on.view, tables.dataset, clean, "dataset")
    told = labels or {}
    unknown = set(told) - set(AXES)
    if unknown:
        raise InvalidInput(
            f"{', '.join(sorted(unknown))}: no such axis.", todo=f"The axes of labels are {', '.join(AXES)}."
        )
    pairs = [(axis, clean_name(label, "label")) for axis, words in told.items() for label in words]
    named = [resolve_feature(on, feature)[0].rid for feature in features]
    rid, plan_id, criteria_rid, batch, *more = on.mint(4 + len(pairs) + len(named))
    rids = iter(more)
    added = _members(on, type, keys, members)
    return Plan(
        id=plan_id,
        verb="dataset create",
        args={
            "dataset": {"rid": rid, "name": clean, "description": description},
            "labels": [{"rid": next(rids), "axis": axis, "label": label} for axis, label in pairs],
            "features": [[next(rids), feature] for feature in named],
            "criteria": [criteria_rid, criteria, reason] if criteria else None,
            "members": len(added[0]),
        },
        at=on.view.change,
        anchors=(rid, *named),
        effect={"adds": f"dataset {clean}", "members": len(added[0]), "features": list(features)},
        bulk=_bulk(batch, rid, added),
        why=reason,
    )


def apply_dataset(tx: Transaction, plan: Plan) -> None:
    """Write the dataset; its members are the plan's bulk rows."""
    dataset = plan.args["dataset"]
    datasets.add_dataset(tx, dataset, plan.args["labels"])
    datasets.add_named_features(tx, dataset["rid"], [(rid, feature) for rid, feature in plan.args["features"]])
    if plan.args["criteria"]:
        rid, rule, reason = plan.args["criteria"]
        datasets.put_criteria(tx, rid, dataset["rid"], rule, reason)


def plan_add(
    on: Reading,
    *,
    dataset: str,
    type: str | None = None,
    keys: Sequence[str] | None = None,
    members: Sequence[Rid] | np.ndarray[Any, Any] | None = None,
    features: Sequence[str] = (),
    criteria: str | None = None,
    reason: str | None = None,
) -> Plan:
    """Add members to a dataset, or features that it names, or say anew what produces its members."""
    one = datasets.get_dataset(on.view, dataset)
    there = datasets.read_members(on.view, [one.rid])
    kinds, rids = _members(on, type, keys, members)
    fresh = ~np.isin(rids, there.entity)
    named = set(datasets.list_named_features(on.view, one.rid))
    more = [rid for rid in dict.fromkeys(resolve_feature(on, f)[0].rid for f in features) if rid not in named]
    plan_id, batch, criteria_rid, *minted = on.mint(3 + len(more))
    return Plan(
        id=plan_id,
        verb="dataset add",
        args={
            "dataset": one.rid,
            "members": int(fresh.sum()),
            "features": [[rid, feature] for rid, feature in zip(minted, more, strict=True)],
            "criteria": [criteria_rid, criteria, reason] if criteria else None,
        },
        at=on.view.change,
        anchors=(one.rid,),
        reads=(one.rid,),
        effect={"adds": int(fresh.sum()), "there already": int((~fresh).sum()), "to": one.name},
        bulk=_bulk(batch, one.rid, (kinds[fresh], rids[fresh])),
        why=reason,
    )


def apply_add(tx: Transaction, plan: Plan) -> None:
    """Name the features and the criteria; the members are the plan's bulk rows."""
    datasets.add_named_features(tx, plan.args["dataset"], [(rid, one) for rid, one in plan.args["features"]])
    if plan.args["criteria"]:
        rid, rule, reason = plan.args["criteria"]
        datasets.put_criteria(tx, rid, plan.args["dataset"], rule, reason)


def plan_remove(
    on: Reading,
    *,
    dataset: str,
    type: str | None = None,
    keys: Sequence[str] | None = None,
    members: Sequence[Rid] | np.ndarray[Any, Any] | None = None,
) -> Plan:
    """Take members out of a dataset's unreleased state; released versions keep them."""
    one = datasets.get_dataset(on.view, dataset)
    there = datasets.read_member_rows(on.view, [one.rid])
    _, rids = _members(on, type, keys, members)
    lost = np.setdiff1d(rids, there.entity)
    if len(lost):
        raise NotFound(f"{len(lost)} of these are no members of {one.name}.", todo="Take those out of the list.")
    rows = np.flatnonzero(np.isin(there.entity, rids))
    plan_id, *minted = on.mint(1 + len(rows))
    return Plan(
        id=plan_id,
        verb="dataset remove",
        args={
            "dataset": one.rid,
            "retires": [
                [rid, int(there.batch[row]), int(there.ordinal[row])] for rid, row in zip(minted, rows, strict=True)
            ],
        },
        at=on.view.change,
        anchors=(one.rid,),
        reads=(one.rid,),
        effect={"removes": len(rows), "from": one.name},
    )


def apply_remove(tx: Transaction, plan: Plan) -> None:
    """Retire the membership rows."""
    datasets.retire_members(tx, [(rid, batch, ordinal) for rid, batch, ordinal in plan.args["retires"]])


def plan_nest(on: Reading, *, dataset: str, inside: str) -> Plan:
    """Put a dataset into another."""
    child, parent = datasets.get_dataset(on.view, dataset), datasets.get_dataset(on.view, inside)
    if child.rid in datasets.list_children(on.view, parent.rid):
        raise Conflict(f"{child.name} lies in {parent.name} already.", todo="Nothing is left to do.")
    if parent.rid in datasets.list_inside(on.view, child.rid):
        raise Conflict("A dataset cannot lie within itself.", todo="Nest the other way round, or make a third one.")
    rid, plan_id = on.mint(2)
    return Plan(
        id=plan_id,
        verb="dataset nest",
        args={"rid": rid, "parent": parent.rid, "child": child.rid},
        at=on.view.change,
        anchors=(parent.rid, child.rid),
        reads=(parent.rid, child.rid),
        effect={"puts": child.name, "into": parent.name},
    )


def apply_nest(tx: Transaction, plan: Plan) -> None:
    """Write the nesting."""
    datasets.nest(tx, plan.args["rid"], plan.args["parent"], plan.args["child"])


def plan_unnest(on: Reading, *, dataset: str, inside: str) -> Plan:
    """Take a nested dataset out of another."""
    child, parent = datasets.get_dataset(on.view, dataset), datasets.get_dataset(on.view, inside)
    if child.rid not in datasets.list_children(on.view, parent.rid):
        raise NotFound(
            f"{child.name} does not lie directly in {parent.name}.",
            todo=f"`cg show {parent.name}` names what lies in it.",
        )
    return on.plan(
        verb="dataset unnest",
        args={"parent": parent.rid, "child": child.rid},
        about=(parent.rid, child.rid),
        effect={"takes": child.name, "out of": parent.name},
    )


def apply_unnest(tx: Transaction, plan: Plan) -> None:
    """End the nesting."""
    datasets.unnest(tx, plan.args["parent"], plan.args["child"])


def _members(
    on: Reading,
    type_name: str | None,
    keys: Sequence[str] | None,
    given: Sequence[Rid] | np.ndarray[Any, Any] | None,
) -> tuple[np.ndarray[Any, np.dtype[np.int64]], np.ndarray[Any, np.dtype[np.int64]]]:
    """Types and rids of the entities named; raises InvalidInput or NotFound."""
    empty = np.empty(0, dtype=np.int64)
    if keys is None and given is None:
        return empty, empty
    if type_name is None:
        raise InvalidInput("It is not said of which entity type the members are.", todo="Name it: type; --type.")
    kind = entities.get_type(on.view, type_name)
    if keys is not None:
        found = entities.find_keys(on.view, kind, sorted(set(keys)))
        missing = sorted({key for key in keys if key not in found})
        if missing:
            raise NotFound(
                f"{count(len(missing), 'key is', 'keys are')} no {kind.name}.",
                faults=[repr(key) for key in missing[:SHOWN]],
                todo=f"Look for slips of the pen, or bring them in first: `cg import TABLE --as {kind.name}`.",
            )
        rids = np.unique(np.array(list(found.values()), dtype=np.int64))
    else:
        rids = np.unique(np.asarray(given, dtype=np.int64))
        lost = np.setdiff1d(rids, entities.list_rids(on.view, kind))
        if len(lost):
            raise NotFound(
                f"{len(lost)} of the ids are no {kind.name}.",
                todo="Give ids of this type, or name them by key.",
            )
    return np.full(len(rids), kind.rid, dtype=np.int64), rids


def _bulk(batch: Rid, dataset: Rid, members: tuple[Any, Any]) -> tuple[Bulk, ...]:
    kinds, rids = members
    if not len(rids):
        return ()
    return (Bulk(batch, "member", dataset, {"entity": rids, "type": kinds}),)
