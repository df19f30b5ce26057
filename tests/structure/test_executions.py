"""An execution moves only as its states allow, and keeps what it was in its history."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from commonground.errors import Ambiguous, Conflict, InvalidInput, NotFound
from commonground.identity import Actor
from commonground.store import changes
from commonground.store.ground import Ground
from commonground.store.transaction import Transaction
from commonground.structure import executions
from commonground.structure.execution_states import Status


def add(ground: Ground, name: str = "train", **fields: Any) -> int:
    """Write a running execution and return its rid."""
    rid = ground.mint.one()
    told = {"rid": rid, "name": name, "status": "running", "scratch": 0, "started_at": 1, **fields}
    with one_change(ground) as tx:
        executions.add_execution(tx, told)
    return rid


def change(ground: Ground, rid: int, **fields: Any) -> None:
    """Change an execution in a change of its own."""
    with one_change(ground) as tx:
        executions.change_execution(tx, rid, fields)


@contextlib.contextmanager
def one_change(ground: Ground) -> Iterator[Transaction]:
    """A change that is linked to the chain, so that the next one has another number."""
    with ground.change() as tx:
        yield tx
        changes.append(tx, plan=ground.mint.one(), verb="test", args={}, why=None, actor=Actor(name="t"), recorded_at=1)


def test_an_execution_reads_as_it_was_written(ground: Ground) -> None:
    """Command line and details come back as plain data."""
    rid = add(ground, argv=["python", "tränen.py"], details={"pid": 7})
    with ground.view() as view:
        found = executions.get_execution(view, rid)
    assert (found.argv, found.details, found.status, found.ended) == (
        ("python", "tränen.py"),
        {"pid": 7},
        Status.RUNNING,
        False,
    )


def test_details_are_added_and_other_fields_replaced(ground: Ground) -> None:
    """An end says more of the details, and loses none of those told at the start."""
    rid = add(ground, details={"pid": 7})
    change(ground, rid, status="finished", ended_at=9, details={"exit_status": 0})
    with ground.view() as view:
        found = executions.get_execution(view, rid)
    assert found.details == {"pid": 7, "exit_status": 0}
    assert (found.status, found.ended_at, found.started_at) == (Status.FINISHED, 9, 1)


def test_a_failure_needs_its_reason_and_an_end_is_final(ground: Ground) -> None:
    """Without a reason nothing fails, and nothing leaves an end."""
    rid = add(ground)
    with pytest.raises(InvalidInput):
        change(ground, rid, status="failed")
    change(ground, rid, status="failed", reason="out of memory")
    with pytest.raises(Conflict):
        change(ground, rid, status="finished")


def test_a_lost_one_may_be_mended_and_says_that_it_came_late(ground: Ground) -> None:
    """A record that comes after an execution was counted as lost corrects it, visibly."""
    rid = add(ground)
    change(ground, rid, status="lost", reason="its process is gone")
    change(ground, rid, status="finished", ended_at=5)
    with ground.view() as view:
        found = executions.get_execution(view, rid)
    assert found.status is Status.FINISHED
    assert found.reason == executions.LATE


def test_names_may_be_shared_and_then_need_an_id(ground: Ground) -> None:
    """One name of two executions is ambiguous; a name that nobody has is not found."""
    add(ground)
    rid = add(ground)
    with ground.view() as view:
        with pytest.raises(Ambiguous):
            executions.get_execution(view, "train")
        with pytest.raises(NotFound):
            executions.get_execution(view, "nothing")
        assert executions.get_execution(view, rid).rid == rid


def test_children_and_leases_are_listed(ground: Ground) -> None:
    """What belongs to an execution, and which process it belongs to, can be asked for."""
    parent = add(ground)
    child = add(ground, "fold", parent=parent)
    with ground.database.write() as connection:
        executions.hold_lease(connection, child, '{"pid": 1}', "/spool", 5)
        assert executions.renew_lease(connection, child, 6)
        assert not executions.renew_lease(connection, parent, 6)
    with ground.view() as view:
        assert [one.rid for one in executions.list_children(view, parent)] == [child]
        (lease,) = executions.list_leases(view)
        assert (lease.execution, lease.process, lease.seen_at) == (child, {"pid": 1}, 6)
        assert len(executions.list_running(view)) == 2
    with ground.database.write() as connection:
        executions.drop_lease(connection, child)
    with ground.view() as view:
        assert executions.list_leases(view) == []
