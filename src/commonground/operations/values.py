"""Values of a feature that an execution computed: the feature is declared if it is new, the values are one change."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from commonground.errors import NotFound
from commonground.identity import Rid
from commonground.operations.executions import produced_edge
from commonground.operations.session import Session
from commonground.structure import entities, features


def write_values(session: Session, execution: Rid, told: Mapping[str, Any]) -> dict[str, Any]:
    """Write them, once, however often it is tried; gives the edge from the execution to the feature.

    `told` is plain data: plan and edge (ids made by the caller), type, feature, entities (rids) or keys, values,
    reasons. Raises InvalidInput or NotFound if they cannot be taken.
    """
    with session.ground.view() as view:
        kind = entities.get_type(view, told["type"])
        try:
            features.get_feature(view, told["feature"], kind.rid)
            known = True
        except NotFound:
            known = False
    if not known:
        holds = _holds(told["values"])
        session.write("feature add", name=told["feature"], type=told["type"], holds=holds)
    given = {"keys": told["keys"]} if "keys" in told else {"entities_": told["entities"]}
    plan = session.plan(
        "feature annotate",
        feature=told["feature"],
        type=told["type"],
        values=told["values"],
        reasons=told.get("reasons"),
        origin=execution,
        **given,
    )
    done = session.commit(dataclasses.replace(plan, id=told["plan"]))
    made = done.change.args if done.change is not None else plan.args
    details = {"feature": told["feature"], "type": told["type"], "values": len(told["values"]), "batch": made["batch"]}
    return produced_edge(told["edge"], execution, plan.args["feature"], told["feature"], details)


def _holds(values: Sequence[Any]) -> str:
    given = [value for value in values if value is not None]
    if given and all(isinstance(value, bool) for value in given):
        return "bool"
    if given and all(isinstance(value, int) for value in given):
        return "int"
    return "real" if all(isinstance(value, (int, float)) for value in given) else "text"
