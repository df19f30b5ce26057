"""`kill -9` at every registered fault point of every verb that acknowledges: what was acknowledged is there, whole.

Each workload is run once to see which points it passes and how often; then once for the first and once for the last
pass of each point, with the kill there. What is left is opened and looked at, and the same steps are done again.
`CG_KILL_ALL=1` kills at every single pass.

A reader that looks on meanwhile is a process of its own (`kill_reader.py`).

The study is a folder, or has its catalogue on a PostgreSQL server, where the client is killed and the server goes on.
Left out there are `init` and `restore`, which make a folder last of all and begin again in a database that is marked as
half made (`tests/operations/test_studies.py` kills them), and `files` and `import pictures`, which differ from the
other imports in what they do to files and not to a catalogue.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from kill_checks import holding, look_after
from kill_engines import OnFiles, OnServer
from kill_state import read_state
from kill_workloads import WORKLOADS

from commonground.store import faults
from commonground.store.ground import CATALOGUE

HERE = Path(__file__).parent
WARMING = ("release", "erase", "backup")
"""The largest workloads: between them they need all that there is to load."""
LEFT_OUT = {"init", "restore", "import pictures", "files"}
"""What is killed on SQLite only."""
SERVED = [name for name in WORKLOADS if name not in LEFT_OUT]
EVERY = [("sqlite", name) for name in WORKLOADS] + [("postgresql", name) for name in SERVED]
COMMITS = {"database.before_commit", "database.after_commit", "batch.header", "deliver.after", "run.finish"}
"""Around these each workload is killed on PostgreSQL."""
OF_A_FILE = {"database.fold", "database.checkpoint"}
"""Points that lie in what is done to a SQLite file only."""


class Killer:
    """The process that forks, and the prepared studies."""

    def __init__(self, folder: Path, engine: OnFiles) -> None:
        self.folder = folder
        self.engine = engine
        environment = {name: value for name, value in os.environ.items() if name != faults.PLAN}
        self._server = subprocess.Popen(
            [sys.executable, str(HERE / "kill_server.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**environment, "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        self._known: dict[str, dict[str, Any]] = {}
        for workload in WARMING:
            root = folder / f"warming {workload}"
            engine.begin(root)
            assert self.order(workload, root, "warm") == 0
            engine.remove(root)

    def order(self, workload: str, root: Path, plan: str = "", done: int = 0, *, settle: bool = True) -> int:
        """Do something in a fork; its exit status, if it has to `settle` when nothing of it goes on anywhere."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        line = json.dumps({"workload": workload, "root": str(root), "plan": plan, "done": done})
        self._server.stdin.write(f"{line}\n")
        self._server.stdin.flush()
        status = int(self._server.stdout.readline())
        if settle:
            self.engine.settle(root)
        return status

    def base(self, workload: str) -> Path:
        """The folder with the prepared study."""
        return self.folder / f"{workload} prepared".replace(" ", "-")

    def count(self, workload: str) -> dict[str, Any]:
        """The points that a workload passes, and the states of its study after each change."""
        if workload not in self._known:
            base = self.base(workload)
            self.engine.begin(base)
            assert self.order(workload, base, "prepare") == 0, told(base)
            root = self.copy(workload, "whole")
            assert self.order(workload, root) == 0, told(root)
            seen = json.loads(root.with_name(f"{root.name}.passed").read_text())
            self._known[workload] = {**seen, "acks": acknowledged(root)}
        return self._known[workload]

    def copy(self, workload: str, name: str) -> Path:
        """A copy of the prepared study."""
        root = self.folder / f"{workload} {name}".replace(" ", "-")
        self.engine.copy(self.base(workload), root)
        return root

    def choose(self, workload: str) -> list[tuple[str, int]]:
        """The passes at which to kill a workload.

        On PostgreSQL those around what it commits; all others, of which the ways through the code are the same on both
        engines, at their first pass in the first workload that has them.
        """
        passed: dict[str, int] = self.count(workload)["passed"]
        if os.environ.get("CG_KILL_ALL"):
            return [(point, nth) for point, count in passed.items() for nth in range(1, count + 1)]
        chosen = [(point, nth) for point, count in passed.items() for nth in sorted({1, count})]
        if self.engine.name == "sqlite":
            return chosen
        earlier: set[str] = set()
        for before in SERVED[: SERVED.index(workload)]:
            earlier |= set(self.count(before)["passed"])
        return [(point, nth) for point, nth in chosen if point in COMMITS or (nth == 1 and point not in earlier)]

    def end(self) -> None:
        """End the process."""
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(timeout=60)
        assert self._server.stdout is not None
        self._server.stdout.close()
        self.engine.end()


def told(root: Path) -> str:
    """What a fork printed."""
    path = root.with_name(f"{root.name}.told")
    return path.read_text() if path.exists() else ""


def acknowledged(root: Path) -> list[int]:
    """The newest change after each step that has returned."""
    path = root.with_name(f"{root.name}.acks")
    return [int(line) for line in path.read_text().split()] if path.exists() else []


@pytest.fixture(scope="module")
def killers(request, tmp_path_factory):
    """The process that forks for studies on an engine, started when it is asked for first."""
    made: dict[str, Killer] = {}

    def get(engine: str) -> Killer:
        if engine not in made:
            server = engine == "postgresql" and request.getfixturevalue("postgres_server")
            made[engine] = Killer(tmp_path_factory.mktemp("kill"), OnServer(server) if server else OnFiles())
        return made[engine]

    yield get
    for each in made.values():
        each.end()


@pytest.fixture
def killer(killers, engine):
    """The one of this test's engine."""
    return killers(engine)


@pytest.mark.power
@pytest.mark.parametrize(("engine", "workload"), EVERY)
def test_a_kill_anywhere_loses_nothing_and_leaves_nothing_half(killer, workload):
    """Whatever was acknowledged is visible, nothing is half visible, all verifies, and the same verbs then succeed."""
    seen = killer.count(workload)
    problems = []
    for point, nth in killer.choose(workload):
        root = killer.copy(workload, f"{point} {nth}")
        status = killer.order(workload, root, f"{point}:{nth}:kill")
        if status != -signal.SIGKILL:
            # A pass fewer than in the first run, as threads may have it: then it has to have ended well.
            faults_found = [] if status == 0 else [f"ended with {status}: {told(root)}"]
        else:
            faults_found = look_after(workload, root, seen, acknowledged(root), killer.order)
        problems += [f"{point}:{nth}: {fault}" for fault in faults_found]
        killer.engine.remove(root)
    assert problems == []


@pytest.mark.power
@pytest.mark.parametrize("engine", ["sqlite"])
def test_every_registered_point_is_reached_by_a_workload(killer):
    """A fault point that no workload passes is a point at which nobody was ever killed."""
    passed = Counter()
    for workload in WORKLOADS:
        passed.update(killer.count(workload)["passed"])
    missing = set(faults.POINTS) - set(passed)
    assert not missing


@pytest.mark.power
@pytest.mark.parametrize("engine", ["postgresql"])
def test_every_point_that_is_reached_on_a_server_is_one_of_a_kill(killer):
    """There too somebody is killed at every point that a workload passes; those of a SQLite file are not passed."""
    passed = {point for workload in SERVED for point in killer.count(workload)["passed"]}
    killed = {point for workload in SERVED for point, _ in killer.choose(workload)}
    assert killed == passed
    assert not passed & OF_A_FILE
    assert {point for point in faults.POINTS if point.startswith(("database.", "changes.", "batch."))} <= (
        passed | OF_A_FILE
    )


@pytest.mark.power
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_the_look_sees_a_loss(killer):
    """If an acknowledged change is taken away, or half of one is there, the look says so."""
    seen = killer.count("release")
    root = killer.copy("release", "whole again")
    assert killer.order("release", root) == 0
    acks = acknowledged(root)
    killer.engine.remove(root)
    root = killer.copy("release", "taken away")
    lost = look_after("release", root, seen, acks, killer.order)
    assert any("acknowledged" in fault for fault in lost)
    newest = read_state(killer.base("release") / "study").change
    halves = {**seen, "states": {**seen["states"], str(newest): {}}}
    root = killer.copy("release", "half")
    assert any("half" in fault for fault in look_after("release", root, halves, [], killer.order))


@pytest.mark.power
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_the_look_finds_what_was_not_erased(killer, engine):
    """Before the erasure the look finds the words where they stand: in the file of the catalogue, or on the server."""
    killer.count("erase")
    found = holding(killer.base("erase"), "study")
    assert any(("of the server" if engine == "postgresql" else CATALOGUE) in place for place in found)


ROUNDS = 12


@pytest.mark.power
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_reader_sees_whole_changes_only_while_writers_are_killed(killer):
    """It gets no error, no change that goes back, and only states that a whole change leaves; the past stays."""
    seen = killer.count("release")
    root = killer.copy("release", "read")
    points = [
        one for one in killer.choose("release") if one[0].startswith(("database.", "batch.", "changes.", "blobs."))
    ]
    chosen = random.Random(int(os.environ.get("CG_KILL_SEED", "1"))).sample(points, ROUNDS)
    with subprocess.Popen(
        [sys.executable, str(HERE / "kill_reader.py"), str(root / "study")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"},
    ) as reader:
        assert reader.stdout.readline() == "reading\n"
        ends = [killer.order("release", root, f"{point}:{nth}:kill", settle=False) for point, nth in chosen]
        ends.append(killer.order("release", root, "redo", settle=False))
        read = json.loads(reader.communicate("enough")[0])
    assert read["faults"] == []
    assert ends.count(-signal.SIGKILL) > ROUNDS // 2, told(root)
    assert ends[-1] == 0, told(root)
    assert read["reads"] > ROUNDS
    assert len(read["states"]) > 2
    rules = differences(seen["states"])
    base = seen["states"][min(seen["states"], key=int)]
    for change, counts in read["states"].items():
        assert counts == expected(base, rules, counts["verbs"]), change


Rules = dict[str, dict[str, list[int]]]


def differences(states: dict[str, dict[str, Any]]) -> Rules:
    """By the verb of a change, what it adds to each count."""
    ordered = [states[key] for key in sorted(states, key=int)]
    return {
        after["verbs"][-1]: {
            name: [new - old for new, old in zip(after[name], before[name], strict=True)]
            for name in after
            if name != "verbs"
        }
        for before, after in itertools.pairwise(ordered)
    }


def expected(base: dict[str, Any], rules: Rules, verbs: list[str]) -> dict[str, Any]:
    """The counts after these verbs."""
    counts: dict[str, Any] = {**base, "verbs": verbs}
    assert verbs[: len(base["verbs"])] == base["verbs"]
    for verb in verbs[len(base["verbs"]) :]:
        for name, more in rules[verb].items():
            counts[name] = [old + new for old, new in zip(counts[name], more, strict=True)]
    return counts
