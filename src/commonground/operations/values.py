"""Values of a feature that an execution computed: the feature is declared if it is new, the values are one change."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from commonground.errors import NotFound
from commonground.identity import Rid
from commonground.operations.executions import produced_edge
from commonground.operations.features import name_entities
from commonground.operations.plans import Plan
from commonground.operations.session import Session
from commonground.store import changes
from commonground.structure import entities, features


def write_values(session: Session, execution: Rid, told: Mapping[str, Any]) -> dict[str, Any]:
    """Write them, once, however often it is tried; gives the edge from the execution to the feature.

    `told` is plain data: plan and edge (ids made by the caller), type, feature, entities (rids) or keys, values,
    reasons. Raises InvalidInput, NotFound or Conflict if they cannot be taken.
    """
    written = find_written(session, execution, told)
    if written is not None:
        return written
    declared = plan_feature(session, told)
    if declared is not None:
        session.commit(declared, new=True)
    return commit_values(session, execution, told, plan_values(session, execution, told))


def find_written(session: Session, execution: Rid, told: Mapping[str, Any]) -> dict[str, Any] | None:
    """The edge of values that are on record already, which may not be taken a second time by now; None if not."""
    with session.ground.database.read() as connection:
        change = changes.find_plan(connection, told["plan"])
    return None if change is None or not change.args else _edge(execution, told, change.args)


def plan_feature(session: Session, told: Mapping[str, Any]) -> Plan | None:
    """What declares their feature; None if it is there. Raises NotFound for entities that are not there."""
    with session.reading() as on:
        kind = entities.get_type(on.view, told["type"])
        try:
            features.get_feature(on.view, told["feature"], kind.rid)
        except NotFound:
            if "keys" in told:
                # Before anything is declared for them.
                name_entities(on, kind, told["keys"])
        else:
            return None
    return session.plan("feature add", name=told["feature"], type=told["type"], holds=_holds(told["values"]))


def plan_values(session: Session, execution: Rid, told: Mapping[str, Any]) -> Plan:
    """What writes them, under the id that they were given; raises as `write_values` does."""
    return dataclasses.replace(plan_annotation(session, execution, told), id=told["plan"])


def plan_annotation(session: Session, execution: Rid, told: Mapping[str, Any]) -> Plan:
    """What would write them, under an id of its own; raises as `write_values` does."""
    given = {"keys": told["keys"]} if "keys" in told else {"entities_": told["entities"]}
    return session.plan(
        "feature annotate",
        feature=told["feature"],
        type=told["type"],
        values=told["values"],
        reasons=told.get("reasons"),
        origin=execution,
        **given,
    )


def commit_values(session: Session, execution: Rid, told: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """Write what was planned, and give the edge."""
    done = session.commit(plan)
    return _edge(execution, told, done.change.args if done.change is not None else plan.args)


def _edge(execution: Rid, told: Mapping[str, Any], made: Mapping[str, Any]) -> dict[str, Any]:
    details = {"feature": told["feature"], "type": told["type"], "values": len(told["values"]), "batch": made["batch"]}
    return produced_edge(told["edge"], execution, made["feature"], told["feature"], details)


def _holds(values: Sequence[Any]) -> str:
    given = [value for value in values if value is not None]
    if given and all(isinstance(value, bool) for value in given):
        return "bool"
    if given and all(isinstance(value, int) for value in given):
        return "int"
    return "real" if all(isinstance(value, (int, float)) for value in given) else "text"
