"""Starts workloads with a planned fault, each in a fork of this process, which has all loaded and nothing open.

One order a line on standard input: {"workload", "root", "plan", "done"}; the answer is the exit status of the fork, one
line. The plan is one of faults, or `prepare`, or `redo` to do the steps without any, or `warm` to do them here, so that
no fork has to load what they need. With an empty plan the points that are passed are counted into `passed`, with the
state after each commit; `done` says how many steps are left out. Beside the root the fork writes `acks`: the number of
the newest change after each step that has returned.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections import Counter
from pathlib import Path

from kill_state import read_state
from kill_workloads import WORKLOADS

from commonground.store import faults


def act(order: dict[str, object]) -> int:
    """Prepare a workload, or do its steps; the exit status."""
    root = Path(str(order["root"]))
    workload = WORKLOADS[str(order["workload"])]
    told = os.open(root.with_name(f"{root.name}.told"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(told, 1)
    os.dup2(told, 2)
    try:
        if order["plan"] == "prepare":
            workload.prepare(root)
        elif order["plan"] == "redo":
            run(workload.steps[order["done"] :], root)  # type: ignore[misc]
        elif order["plan"]:
            with faults.planned(str(order["plan"])):
                run(workload.steps[order["done"] :], root)  # type: ignore[misc]
        else:
            count(workload.steps, root)
    except BaseException:  # noqa: BLE001 - whatever it is, the test tells it
        traceback.print_exc()
        return 1
    return 0


def run(steps, root: Path) -> None:
    """Do the steps; each that has returned is acknowledged."""
    acks = os.open(root.with_name(f"{root.name}.acks"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for step in steps:
        step(root)
        state = read_state(root / "study")
        os.write(acks, f"{state.change if state else 0}\n".encode())


def count(steps, root: Path) -> None:
    """Do the steps while counting the points and looking at the study after each commit."""
    passed: Counter[str] = Counter()
    states = {}

    def look() -> None:
        state = read_state(root / "study")
        if state is not None:
            states[state.change] = state.counts

    def record(name: str) -> None:
        passed[name] += 1
        if name == "database.after_commit":
            look()

    look()
    with faults.recording(record):
        run(steps, root)
    look()
    root.with_name(f"{root.name}.passed").write_text(json.dumps({"passed": passed, "states": states}))


def main() -> None:
    """Obey orders until there are no more."""
    for line in sys.stdin:
        order = json.loads(line)
        if order["plan"] == "warm":
            root = Path(order["root"])
            WORKLOADS[order["workload"]].prepare(root)
            for step in WORKLOADS[order["workload"]].steps:
                step(root)
            status = 0
        else:
            child = os.fork()
            if child == 0:
                os._exit(act(order))
            status = os.waitpid(child, 0)[1]
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
