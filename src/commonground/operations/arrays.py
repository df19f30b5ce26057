"""Arrays of tasks: one execution stands for the whole array and ends when its tasks have ended.

It runs nothing itself and belongs to no process. Every task brings what begins it, and the first that reaches the
catalogue does so. It has finished if the last try of every task has; otherwise it failed, and the reason counts the
tasks. Where the launcher did not say how many tasks there are, or where some were never heard of, it ends when nothing
was heard for `SILENT_S`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from commonground.errors import Conflict
from commonground.identity import Mint, Rid
from commonground.operations.executions import start_plan
from commonground.operations.session import Session
from commonground.structure import executions
from commonground.structure.execution_states import Status
from commonground.structure.executions import Execution

SILENT_S: Final = 3600.0
TASK: Final = "array_task"
TASKS: Final = "tasks"
ARRAY: Final = "array"


def begin_array(session: Session, told: Mapping[str, Any]) -> None:
    """Begin the execution that stands for an array, once; `told` is plan and execution."""
    plan = start_plan(Mint(), execution=told["execution"], workflow=None, params=[], plan=told["plan"])
    session.commit(plan, made_at=told["execution"]["started_at"])


def settle(session: Session, array: Rid) -> Status | None:
    """End an array whose tasks have all ended; how it ended, or None if it did not end now."""
    with session.ground.view() as view:
        parent = executions.list_executions(view, [array])
        children = executions.list_children(view, array)
    if not parent or parent[0].ended or ARRAY not in parent[0].details:
        return None
    found = judge(parent[0], children, session.ground.clock())
    if found is None:
        return None
    status, reason = found
    try:
        session.write("execution finish", execution=array, status=str(status), reason=reason)
    except Conflict:
        # Another task was the last one as well.
        return None
    return status


def settle_all(session: Session) -> list[tuple[Rid, Status]]:
    """End every array that can be ended."""
    with session.ground.view() as view:
        arrays = [one.rid for one in executions.list_running(view) if ARRAY in one.details]
    settled = [(rid, settle(session, rid)) for rid in arrays]
    return [(rid, status) for rid, status in settled if status is not None]


def judge(array: Execution, children: list[Execution], now: int) -> tuple[Status, str | None] | None:
    """How an array ends, and why if it did not finish; None if more may come."""
    last = {str(child.details.get(TASK)): child for child in children}
    if any(not child.ended for child in last.values()):
        return None
    expected = array.details.get(TASKS)
    heard = max([array.started_at, *(child.ended_at or 0 for child in last.values())])
    if (expected is None or len(last) < expected) and now - heard < SILENT_S * 1_000_000:
        return None
    counts = Counter(str(child.status) for child in last.values())
    lacking = max(0, (expected or 0) - len(last))
    if set(counts) == {str(Status.FINISHED)} and not lacking:
        return Status.FINISHED, None
    told = [f"{many} {status}" for status, many in sorted(counts.items())]
    told += [f"{lacking} never heard of"] if lacking else []
    return Status.FAILED, f"Of {expected or len(last)} tasks: {', '.join(told)}."
