"""The execution that stands for an array of tasks ends when its tasks have, and counts them."""

from __future__ import annotations

from typing import Any

import pytest

from commonground.operations.arrays import SILENT_S, judge
from commonground.structure.execution_states import Status
from commonground.structure.executions import Execution

NOW = 10_000_000_000_000


def make(rid: int, status: Status, *, ended_at: int | None = NOW, **details: Any) -> Execution:
    """An execution."""
    return Execution(
        rid=rid,
        workflow=None,
        person=None,
        name="sweep",
        status=status,
        reason=None,
        scratch=False,
        parent=None,
        place=None,
        environment=None,
        argv=(),
        seed=None,
        started_at=1,
        ended_at=ended_at,
        details=details,
    )


def array_of(tasks: int | None) -> Execution:
    """The execution that stands for an array."""
    return make(1, Status.RUNNING, ended_at=None, array="slurm array 7", tasks=tasks)


DONE, BAD, RUNS = Status.FINISHED, Status.FAILED, Status.RUNNING
LATER = NOW + int(SILENT_S * 1_000_000) + 1


@pytest.mark.parametrize(
    ("tasks", "ended", "now", "expected"),
    [
        (2, [("0", DONE), ("1", DONE)], NOW, (DONE, None)),
        (2, [("0", DONE), ("1", BAD)], NOW, (BAD, "Of 2 tasks: 1 failed, 1 finished.")),
        (2, [("0", DONE), ("1", BAD), ("1", DONE)], NOW, (DONE, None)),
        (2, [("0", DONE), ("1", RUNS)], LATER, None),
        (3, [("0", DONE), ("1", DONE)], NOW, None),
        (3, [("0", DONE), ("1", DONE)], LATER, (BAD, "Of 3 tasks: 2 finished, 1 never heard of.")),
        (None, [("4", DONE)], NOW, None),
        (None, [("4", DONE)], LATER, (DONE, None)),
        (3, [], LATER, (BAD, "Of 3 tasks: 3 never heard of.")),
    ],
)
def test_an_array_ends_with_its_tasks(
    tasks: int | None, ended: list[tuple[str, Status]], now: int, expected: tuple[Status, str | None] | None
) -> None:
    """It waits while a task runs or may come, counts the last try of each, and gives up on those never heard of."""
    children = [
        make(10 + place, status, ended_at=None if status is RUNS else NOW, array_task=task)
        for place, (task, status) in enumerate(ended)
    ]
    assert judge(array_of(tasks), children, now) == expected
