"""Splitting and subsampling a state of a dataset into datasets of their own, seeded, grouped and stratified.

Groups are never divided: by default members are grouped by the entity that owns them, found by following the only link
of each type to its end (nodule -> scan -> patient). Where more than one way leads up, the call is refused until the
group is named. The source is recorded as what the parts came from; it is not their parent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from commonground.errors import Ambiguous, Conflict, InvalidInput, NotFound
from commonground.identity import Rid
from commonground.operations.frames import read_frame
from commonground.operations.plans import Bulk, Plan, Reading
from commonground.operations.rules_in_words import rule_in_words
from commonground.store.changes import canonical_json
from commonground.store.transaction import Transaction
from commonground.store.view import View
from commonground.structure import datasets, entities, lineage, partition
from commonground.structure.column_types import read_real
from commonground.structure.lineage import Edge
from commonground.structure.names import clean_name, name_key
from commonground.structure.references import Pinned, pin
from commonground.structure.selectors import Selector

ALONE = "none"
SPLIT, SUBSAMPLE = "split", "subsample"


def plan_split(
    on: Reading,
    *,
    dataset: str,
    shares: Mapping[str, float | str],
    seed: int = 0,
    group: str | None = None,
    stratify: str | None = None,
    selector: Selector | None = None,
) -> Plan:
    """Split a state of a dataset into parts named `dataset-part`.

    `group` is a column of the dataset's frame whose equal values stay together, or "none"; `stratify` is a column, or a
    feature with the `selector` that turns its values into one.
    """
    pinned = pin(on.view, dataset)
    shares = _read_shares(shares)
    table, grouped, strata = _table(on, pinned, group, stratify, selector)
    parts = partition.split(
        table["rid"].to_numpy(),
        shares,
        seed=seed,
        groups=_labels(table, grouped),
        strata=_labels(table, strata),
    )
    rule = {
        "split of": str(pinned),
        "shares": dict(shares),
        "seed": seed,
        "group": grouped or ALONE,
        "stratify": _told(strata, selector),
    }
    named = {f"{pinned.dataset.name}-{part}": rids for part, rids in parts.items()}
    return _plan(on, "dataset split", pinned, named, rule, SPLIT, roles=list(parts))


def plan_subsample(
    on: Reading,
    *,
    dataset: str,
    name: str,
    size: int | None = None,
    share: float | None = None,
    seed: int = 0,
    group: str | None = None,
    stratify: str | None = None,
    selector: Selector | None = None,
) -> Plan:
    """Draw a part of a dataset's state as a dataset of its own: `size` members or a `share` of them."""
    pinned = pin(on.view, dataset)
    table, grouped, strata = _table(on, pinned, group, stratify, selector)
    rids = partition.subsample(
        table["rid"].to_numpy(),
        seed=seed,
        size=size,
        share=share,
        groups=_labels(table, grouped),
        strata=_labels(table, strata),
    )
    rule = {
        "subsample of": str(pinned),
        "size": size,
        "share": share,
        "seed": seed,
        "group": grouped or ALONE,
        "stratify": _told(strata, selector),
    }
    return _plan(on, "dataset subsample", pinned, {name: rids}, rule, SUBSAMPLE, roles=[])


def apply_split(tx: Transaction, plan: Plan) -> None:
    """Write the parts, and what they came from; their members are the plan's bulk rows."""
    for part in plan.args["parts"]:
        datasets.add_dataset(tx, part["dataset"], part["labels"])
        datasets.add_named_features(tx, part["dataset"]["rid"], [(rid, one) for rid, one in part["features"]])
        datasets.put_criteria(tx, part["criteria"], part["dataset"]["rid"], plan.args["rule"], None)
    lineage.add_edges(
        tx,
        [
            Edge(part["edge"], plan.args["source"], part["dataset"]["rid"], plan.args["relation"], None, {})
            for part in plan.args["parts"]
        ],
    )


apply_subsample = apply_split


def find_owner(view: View, kind_name: str) -> str | None:
    """The column of a frame of this type that names the owning entity: `scan.patient`; None if nothing owns it.

    Raises Ambiguous if more than one link leads up from a type on the way.
    """
    kind = entities.get_type(view, kind_name)
    path: list[str] = []
    seen = {kind.rid}
    while kind.links:
        if len(kind.links) > 1:
            raise Ambiguous(
                f"{kind.name} leads to more than one entity, so it is not clear what owns it.",
                todo=f"Name the group: {', '.join('.'.join([*path, link.name]) for link in kind.links)}, or none.",
            )
        link = kind.links[0]
        path.append(link.name)
        if link.target in seen:
            break
        seen.add(link.target or 0)
        kind = entities.get_type(view, link.target or 0)
    return ".".join(path) or None


def _read_shares(given: Mapping[str, float | str]) -> dict[str, float]:
    """Shares as numbers: the command line gives them as words."""
    faults = []
    shares: dict[str, float] = {}
    for name, share in given.items():
        try:
            shares[clean_name(name, "part")] = read_real(share)
        except InvalidInput as error:
            faults.append(f"{name}: {error.what}")
    if faults:
        raise InvalidInput("The shares cannot be read.", faults=faults, todo="Write them as train=0.8.")
    return shares


def _table(
    on: Reading, pinned: Pinned, group: str | None, stratify: str | None, selector: Selector | None
) -> tuple[pa.Table, str | None, str | None]:
    chosen = {stratify: selector} if stratify and selector else {}
    frame = read_frame(on, dataset=str(pinned), features=chosen).table
    with on.ground.view(pinned.change) as then:
        grouped = None if group == ALONE else group or find_owner(then, _grain(on, pinned))
    for name in (grouped, stratify):
        if name is not None and name not in frame.column_names:
            raise NotFound(
                f"{pinned} has no column {name!r}.",
                todo=f"It has: {', '.join(frame.column_names)}. A feature needs its selector as well.",
            )
    return frame, grouped, stratify


def _grain(on: Reading, pinned: Pinned) -> str:
    with on.ground.view(pinned.change) as view:
        members = datasets.read_members(view, datasets.list_inside(view, pinned.dataset.rid))
        kinds = np.unique(members.type)
        if len(kinds) != 1:
            raise InvalidInput("Only members of one entity type can be split.", todo="Split each type by itself.")
        return entities.get_type(view, int(kinds[0])).name


def _labels(table: pa.Table, name: str | None) -> list[object] | None:
    """The cells of a column as labels; a moment by its ISO text."""
    if name is None:
        return None
    cells = table[name].to_pylist()
    if not pa.types.is_timestamp(table[name].type):
        return list(cells)
    return [None if cell is None else cell.isoformat().replace("+00:00", "Z") for cell in cells]


def _told(name: str | None, selector: Selector | None) -> object:
    return {"feature": name, "selector": selector.as_dict()} if name and selector else name


def _plan(
    on: Reading,
    verb: str,
    pinned: Pinned,
    named: Mapping[str, np.ndarray[Any, np.dtype[np.int64]]],
    rule: Mapping[str, Any],
    relation: str,
    roles: list[str],
) -> Plan:
    there = {name_key(one.name): one.name for one in datasets.list_datasets(on.view)}
    taken = [there[name_key(name)] for name in named if name_key(name) in there]
    if taken:
        raise Conflict(f"There is a dataset {', '.join(taken)} already.", todo="Rename or withdraw it first.")
    features = datasets.list_named_features(on.view, pinned.dataset.rid)
    source: Rid = pinned.version.rid if pinned.version else pinned.dataset.rid
    kind = entities.get_type(on.view, _grain(on, pinned))
    parts: list[dict[str, Any]] = []
    bulk: list[Bulk] = []
    for position, (name, rids) in enumerate(named.items()):
        rid, batch, criteria, edge, origin, role, *rest = on.mint(6 + len(features))
        labels = [{"rid": origin, "axis": "origin", "label": relation}]
        if roles:
            labels.append({"rid": role, "axis": "role", "label": roles[position]})
        parts.append(
            {
                "dataset": {"rid": rid, "name": clean_name(name), "description": None},
                "labels": labels,
                "features": [list(pair) for pair in zip(rest, features, strict=True)],
                "criteria": criteria,
                "edge": edge,
                "members": len(rids),
            }
        )
        kinds = np.full(len(rids), kind.rid, dtype=np.int64)
        bulk.append(Bulk(batch, "member", rid, {"entity": rids, "type": kinds}))
    return Plan(
        id=on.mint()[0],
        verb=verb,
        args={"source": source, "relation": relation, "rule": canonical_json(rule), "parts": parts},
        at=on.view.change,
        anchors=tuple(part["dataset"]["rid"] for part in parts),
        effect={
            "splits" if relation == SPLIT else "draws from": str(pinned),
            "rule": rule_in_words(canonical_json(rule)),
            "members": {n: len(rids) for n, rids in named.items()},
        },
        bulk=tuple(bulk),
    )
