"""The verbs of executions, at any door: begun and ended by hand, found, compared, and walked."""

from __future__ import annotations

import math

import pytest

from commonground.errors import Conflict, Corrupt, InvalidInput, NotFound
from commonground.identity import show_rid
from commonground.operations.executions import finish_plan
from commonground.operations.session import Session


def begin(session: Session, **words: object) -> int:
    """Begin an execution by hand; its rid."""
    done = session.write("execution start", **words)
    return int(done.plan.args["execution"]["rid"])


def test_work_by_hand_is_an_execution(session: Session) -> None:
    """A start and an end without any program of ours give a whole record, under an id, its beginning, or the name."""
    rid = begin(session, name="annotation afternoon", params={"seed": 3, "sites": ["a", "b"]})
    session.write("execution finish", execution="annotation afternoon", metrics={"kappa": 0.6}, params={"late": True})
    record = session.read("execution get", execution=show_rid(rid)[:10])
    assert (record.execution.rid, record.execution.status, record.person) == (rid, "finished", "Tester")
    assert record.params == {"seed": 3, "sites": ["a", "b"], "late": True}
    assert record.metrics["kappa"].value == 0.6
    with pytest.raises(Conflict):
        session.write("execution finish", execution=rid)
    with pytest.raises(Conflict):
        session.write("execution input", execution=rid, input="nothing")
    with pytest.raises(NotFound):
        session.read("execution get", execution="no such run")


def test_an_end_that_needs_a_reason_gets_one_or_nothing_changes(session: Session) -> None:
    """Without a reason nothing fails; the execution still runs."""
    rid = begin(session, name="x")
    with pytest.raises(InvalidInput):
        session.write("execution finish", execution=rid, status="failed")
    assert session.read("execution get", execution=rid).execution.status == "running"


def test_all_that_is_wrong_with_the_metrics_of_an_end_is_told_at_once(session: Session) -> None:
    """Each metric that is no number, and each without a name, is named; nothing is written."""
    rid = begin(session, name="x")
    with pytest.raises(InvalidInput) as refused:
        session.write("execution finish", execution=rid, metrics={"auc": "high", "loss": None, " ": 1.0, "f1": 0.5})
    told = " ".join(refused.value.faults)
    assert len(refused.value.faults) == 3
    assert all(name in told for name in ("'auc'", "'loss'", "' '"))
    assert session.read("execution get", execution=rid).execution.status == "running"


def test_the_same_end_is_made_once(session: Session) -> None:
    """A plan that was committed gives the first change again, also if what it says has changed since."""
    rid = begin(session, name="x")
    points = [("auc", 0, 1, 0.5), ("auc", 1, 2, math.nan)]
    changes = {"status": "finished", "ended_at": 5}
    plan = finish_plan(session.ground.mint, execution=rid, changes=changes, points=points)
    first = session.commit(plan)
    again = session.commit(plan)
    assert (first.again, again.again, again.change) == (False, True, first.change)
    assert session.read("execution metrics", execution=rid)["step"] == [0, 1]


def test_points_that_are_not_the_recorded_ones_are_refused(session: Session) -> None:
    """If the points at hand are not those of the plan's digest, nothing is written."""
    rid = begin(session, name="x")
    changes = {"status": "finished", "ended_at": 5}
    plan = finish_plan(session.ground.mint, execution=rid, changes=changes, points=[("auc", 0, 1, 0.5)])
    plan.payload["points"][0] = ("auc", 0, 1, 0.9)
    with pytest.raises(Corrupt):
        session.commit(plan)
    assert session.read("execution get", execution=rid).execution.status == "running"


def test_a_comparison_names_what_differs(session: Session) -> None:
    """Axes that differ come first; True is not 1, and metrics are no cause."""
    rids = []
    for trees, flag in ((100, True), (300, 1)):
        rid = begin(session, name=f"t{trees}", params={"trees": trees, "flag": flag, "same": "s"})
        session.write("execution finish", execution=rid, metrics={"auc": trees / 1000})
        rids.append(rid)
    found = session.read("execution compare", executions=rids)
    assert [axis.name for axis in found.differing] == ["param:flag", "param:trees"]
    assert {axis.name: axis.values for axis in found.axes}["metric:auc"] == (0.1, 0.3)
    assert not next(axis for axis in found.axes if axis.name == "param:same").differs
    with pytest.raises(InvalidInput):
        session.read("execution compare", executions=rids[:1])


def test_a_listing_is_bounded(session: Session) -> None:
    """Nobody gets a listing of everything by mistake."""
    with pytest.raises(InvalidInput):
        session.read("execution find", limit=100_000)


def test_an_asset_can_be_an_input_and_is_walked(session: Session) -> None:
    """A model that one execution used and another wrote joins the two, up and down."""
    first = begin(session, name="first")
    blob = session.ground.blobs.put_bytes(b"weights")
    asset, edge = session.ground.mint.many(2)
    fields = {"rid": asset, "name": "model.bin", "kind": "model", "digest": blob.digest, "size": 7, "files": 1}
    made = {"rid": edge, "src": first, "dst": asset, "relation": "produced", "role": "model", "details": {}}
    changes = {"status": "finished", "ended_at": 5}
    session.commit(finish_plan(session.ground.mint, execution=first, changes=changes, assets=[fields], edges=[made]))
    second = begin(session, name="second", inputs=["model.bin"])
    up = session.read("lineage", rid=second)
    assert [one.rid for one in up.things] == [asset, first]
    assert {(edge.src, edge.dst) for edge in up.edges} == {(first, asset), (asset, second)}
    down = session.read("dependents", rid=first)
    assert [one.name for one in down.assets] == ["model.bin"]
    assert [one.rid for one in down.executions] == [second]
    with pytest.raises(InvalidInput):
        session.read("dependents")
    with pytest.raises(InvalidInput):
        session.read("lineage", rid=second, direction="sideways")
