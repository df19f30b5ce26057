"""Fault points do nothing in an ordinary run and exactly what the plan says in a test run."""

from __future__ import annotations

import ast
import errno
import os
import signal
import subprocess
import sys
import timeit
from pathlib import Path

import pytest

import commonground
from commonground.errors import InvalidInput
from commonground.store import faults

SOURCES = Path(commonground.__file__).parent
CALLS = {"point", "allowance", "write_all"}


def run_child(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a fresh interpreter with only these test variables set."""
    clean = {name: value for name, value in os.environ.items() if name not in {faults.MARK, faults.PLAN}}
    return subprocess.run(
        [sys.executable, "-c", code], env=clean | environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_no_plan_no_effect_and_no_cost():
    """Without the mark a point costs well under a microsecond, and neither plan nor unknown name has an effect."""
    code = (
        "import timeit; from commonground.store import faults; faults.point('no.such.point');"
        "assert faults.allowance('files.write', 9) == 9;"
        "print(timeit.timeit(lambda: faults.point('files.sync'), number=100_000))"
    )
    child = run_child(code, **{faults.PLAN: "files.sync:1:kill"})
    assert child.returncode == 0, child.stderr
    probe = timeit.timeit(lambda: None, number=100_000)
    assert float(child.stdout) < max(0.1, 20 * probe)


def test_undeclared_name_raises_in_a_test_run():
    """A name that is not in POINTS raises as soon as the mark is set, with no plan at all."""
    child = run_child("from commonground.store import faults; faults.point('no.such')", **{faults.MARK: "1"})
    assert child.returncode == 1
    assert "not a declared fault point" in child.stderr


def test_every_name_in_the_sources_is_declared():
    """Each literal name given to point(), allowance() or write_all() anywhere in the package is in POINTS."""
    unknown = []
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            function = node.func
            called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            names = [value for value in node.args[:1] if called in {"point", "allowance"}]
            names += [word.value for word in node.keywords if word.arg == "point"]
            unknown += [
                f"{path.name}:{node.lineno} {name.value}"
                for name in names
                if isinstance(name, ast.Constant) and isinstance(name.value, str) and name.value not in faults.POINTS
            ]
    assert unknown == []


def test_there_are_forty_points_or_more():
    """Promise P1 asks for at least forty fault points, each with a sentence of what it guards."""
    assert len(faults.POINTS) >= 40
    assert all(sentence for sentence in faults.POINTS.values())


@pytest.mark.parametrize("action", ["eio", "enospc", "emfile", "erofs"])
def test_error_comes_once_at_the_nth_pass(action):
    """A step without `!` raises its OSError at the N-th pass only."""
    with faults.planned(f"files.sync:3:{action}"):
        faults.point("files.sync")
        faults.point("files.write")
        faults.point("files.sync")
        with pytest.raises(OSError, match="rrno") as caught:
            faults.point("files.sync")
        faults.point("files.sync")
    assert caught.value.errno == getattr(errno, action.upper())


def test_error_for_ever():
    """A step with `!` raises at the N-th pass and at every later one."""
    with faults.planned("files.write:2:eio!"):
        faults.point("files.write")
        for _ in range(3):
            with pytest.raises(OSError, match="rrno"):
                faults.point("files.write")
    faults.point("files.write")


def test_any_point_by_number():
    """`*` counts the passes of all points together, so a loop over N fails each call in turn."""
    with faults.planned("*:2:enospc"):
        faults.point("files.open")
        with pytest.raises(OSError, match="rrno"):
            faults.point("files.write")
        faults.point("files.write")


def test_short_write():
    """`short` halves one write, never to nothing; `short!` halves all."""
    with faults.planned("files.write:2:short"):
        assert [faults.allowance("files.write", size) for size in (10, 10, 10)] == [10, 5, 10]
    with faults.planned("files.write:1:short!"):
        assert [faults.allowance("files.write", size) for size in (10, 1)] == [5, 1]


def test_kill_from_the_environment():
    """A plan in the environment of a test run kills the process at the N-th pass, before the call is made."""
    code = (
        "from commonground.store import faults\nfor i in range(9): faults.point('blobs.publish'); print(i, flush=True)"
    )
    child = run_child(code, **{faults.MARK: "1", faults.PLAN: "blobs.publish:3:kill"})
    assert child.returncode == -signal.SIGKILL
    assert child.stdout.split() == ["0", "1"]


def test_recorder_sees_each_pass_before_the_plan():
    """The recorder is told every name in order, also the one at which the plan fails."""
    seen: list[str] = []
    with faults.planned("files.sync:1:eio"), faults.recording(seen.append):
        faults.point("files.write")
        with pytest.raises(OSError, match="rrno"):
            faults.point("files.sync")
    assert seen == ["files.write", "files.sync"]


def test_wrong_plans_are_refused_with_all_faults():
    """A plan with unknown point, pass 0 and unknown action names all three."""
    with pytest.raises(InvalidInput) as caught:
        faults.read_plan("no.such:1:eio,files.sync:0:eio,files.sync:1:burn")
    assert len(caught.value.faults) == 3


def test_planning_is_refused_outside_a_test_run(monkeypatch):
    """In an ordinary process neither a plan nor a recorder can be set."""
    monkeypatch.delenv(faults.MARK)
    with pytest.raises(InvalidInput), faults.planned("files.sync:1:eio"):
        pass
    with pytest.raises(InvalidInput), faults.recording(lambda _: None):
        pass
