"""`kill -9` at every registered fault point of every verb that acknowledges: what was acknowledged is there, whole.

Each workload is run once to see which points it passes and how often; then once for the first and once for the last
pass of each point, with the kill there. What is left is opened and looked at, and the same steps are done again.
`CG_KILL_ALL=1` kills at every single pass.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from kill_checks import look_after
from kill_state import read_state
from kill_workloads import WORKLOADS

from commonground.store import faults

HERE = Path(__file__).parent


class Killer:
    """The process that forks, and the prepared studies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        environment = {name: value for name, value in os.environ.items() if name != faults.PLAN}
        self._server = subprocess.Popen(
            [sys.executable, str(HERE / "kill_server.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**environment, "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        self._known: dict[str, dict[str, Any]] = {}

    def order(self, workload: str, root: Path, plan: str = "", done: int = 0) -> int:
        """Do something in a fork; its exit status."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        line = json.dumps({"workload": workload, "root": str(root), "plan": plan, "done": done})
        self._server.stdin.write(f"{line}\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())

    def base(self, workload: str) -> Path:
        """The folder with the prepared study."""
        return self.folder / f"{workload} prepared".replace(" ", "-")

    def count(self, workload: str) -> dict[str, Any]:
        """The points that a workload passes, and the states of its study after each change."""
        if workload not in self._known:
            base = self.base(workload)
            base.mkdir()
            assert self.order(workload, base, "prepare") == 0, told(base)
            root = self.copy(workload, "whole")
            assert self.order(workload, root) == 0, told(root)
            seen = json.loads(root.with_name(f"{root.name}.passed").read_text())
            self._known[workload] = {**seen, "acks": acknowledged(root)}
        return self._known[workload]

    def copy(self, workload: str, name: str) -> Path:
        """A copy of the prepared study."""
        return Path(shutil.copytree(self.base(workload), self.folder / f"{workload} {name}".replace(" ", "-")))

    def end(self) -> None:
        """End the process."""
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(timeout=60)
        assert self._server.stdout is not None
        self._server.stdout.close()


def told(root: Path) -> str:
    """What a fork printed."""
    path = root.with_name(f"{root.name}.told")
    return path.read_text() if path.exists() else ""


def acknowledged(root: Path) -> list[int]:
    """The newest change after each step that has returned."""
    path = root.with_name(f"{root.name}.acks")
    return [int(line) for line in path.read_text().split()] if path.exists() else []


@pytest.fixture(scope="module")
def killer(tmp_path_factory):
    """The process that forks."""
    made = Killer(tmp_path_factory.mktemp("kill"))
    yield made
    made.end()


def choose(passed: dict[str, int]) -> list[tuple[str, int]]:
    """The passes at which to kill."""
    if os.environ.get("CG_KILL_ALL"):
        return [(point, nth) for point, count in passed.items() for nth in range(1, count + 1)]
    return [(point, nth) for point, count in passed.items() for nth in sorted({1, count})]


@pytest.mark.power
@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_kill_anywhere_loses_nothing_and_leaves_nothing_half(killer, workload):
    """Whatever was acknowledged is visible, nothing is half visible, all verifies, and the same verbs then succeed."""
    seen = killer.count(workload)
    problems = []
    for point, nth in choose(seen["passed"]):
        root = killer.copy(workload, f"{point} {nth}")
        status = killer.order(workload, root, f"{point}:{nth}:kill")
        if status != -signal.SIGKILL:
            # A pass fewer than in the first run, as threads may have it: then it has to have ended well.
            faults_found = [] if status == 0 else [f"ended with {status}: {told(root)}"]
        else:
            faults_found = look_after(workload, root, seen, acknowledged(root), killer.order)
        problems += [f"{point}:{nth}: {fault}" for fault in faults_found]
        shutil.rmtree(root)
    assert problems == []


@pytest.mark.power
def test_every_registered_point_is_reached_by_a_workload(killer):
    """A fault point that no workload passes is a point at which nobody was ever killed."""
    passed = Counter()
    for workload in WORKLOADS:
        passed.update(killer.count(workload)["passed"])
    missing = set(faults.POINTS) - set(passed)
    assert not missing


@pytest.mark.power
def test_the_look_sees_a_loss(killer):
    """If an acknowledged change is taken away, or half of one is there, the look says so."""
    seen = killer.count("release")
    root = killer.copy("release", "whole again")
    assert killer.order("release", root) == 0
    shutil.rmtree(root / "study")
    shutil.copytree(killer.base("release") / "study", root / "study")
    lost = look_after("release", root, seen, acknowledged(root), killer.order)
    assert any("acknowledged" in fault for fault in lost)
    newest = read_state(killer.base("release") / "study").change
    halves = {**seen, "states": {**seen["states"], str(newest): {}}}
    root = killer.copy("release", "half")
    assert any("half" in fault for fault in look_after("release", root, halves, [], killer.order))
