"""Jobs of several processes: the tasks of an array, ranks that are started again, workers that a run starts."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from commonground.interfaces.client.run import Run
from commonground.operations.delivery import sync
from commonground.operations.session import Session
from commonground.operations.studies import create_study

pytestmark = pytest.mark.soak

TASK = """
    import os, sys
    import commonground as cg
    with cg.open(os.environ["STUDY"]) as study, study.run(name="part", scratch=False) as run:
        run.log({"loss": 1.0})
        sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A session in a new study, with a script beside it."""
    made = create_study(tmp_path / "study", name="Test study")
    (tmp_path / "part.py").write_text(textwrap.dedent(TASK))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STUDY", str(tmp_path / "study"))
    return made


def start(*words: str, **variables: str) -> subprocess.Popen[bytes]:
    """The script, started by something that sets these variables."""
    return subprocess.Popen([sys.executable, "part.py", *words], env={**os.environ, **variables})


def records(session: Session) -> tuple[list[Any], list[Any]]:
    """The executions that have no parent, and those that have one."""
    found = [one.execution for one in session.read("execution find", limit=100)]
    return [one for one in found if one.parent is None], [one for one in found if one.parent is not None]


def test_the_tasks_of_an_array_have_one_parent(session: Session) -> None:
    """The parent comes with the first task, runs while tasks may come, and ends with the last one, counting them."""
    array = {"SLURM_ARRAY_JOB_ID": "4711", "SLURM_ARRAY_TASK_COUNT": "3"}
    first = start("0", SLURM_ARRAY_TASK_ID="1", **array)
    assert first.wait() == 0
    ((parent,), (child,)) = records(session)
    assert (child.parent, child.details["array_task"], str(parent.status)) == (parent.rid, "1", "running")
    assert sync(session) == []
    others = [start(code, SLURM_ARRAY_TASK_ID=task, **array) for task, code in (("2", "0"), ("3", "4"))]
    assert [other.wait() for other in others] == [0, 4]
    ((parent,), children) = records(session)
    assert sorted(child.details["array_task"] for child in children) == ["1", "2", "3"]
    assert {child.parent for child in children} == {parent.rid}
    assert (str(parent.status), parent.reason) == ("failed", "Of 3 tasks: 1 failed, 2 finished.")
    assert parent.name == "part-array"
    session.ground.close()


def test_an_array_without_a_catalogue_is_delivered_whole(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks that began and ended with the catalogue away bring their parent with them, once."""

    def unreachable(*_: Any, **__: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "4712")
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "2")
    with monkeypatch.context() as patch:
        patch.setattr(session, "commit", unreachable)
        for task in ("1", "2"):
            patch.setenv("SLURM_ARRAY_TASK_ID", task)
            with Run(session, name="part") as run:
                run.log({"loss": 1.0})
    assert records(session) == ([], [])
    sync(session)
    ((parent,), children) = records(session)
    assert (len(children), str(parent.status)) == (2, "finished")
    assert sync(session) == []
    session.ground.close()


def test_ranks_that_are_started_again_are_another_execution(session: Session) -> None:
    """After a restart by the launcher the ranks agree anew, and the first start keeps its own record."""
    for attempt, code in (("0", "3"), ("1", "0")):
        given = {"WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "job", "TORCHELASTIC_RESTART_COUNT": attempt}
        ranks = [start(code, RANK=number, **given) for number in ("0", "1")]
        assert [rank.wait() for rank in ranks] == [int(code)] * 2
    mains, children = records(session)
    assert sorted(str(one.status) for one in mains) == ["failed", "finished"]
    assert {child.parent for child in children} == {one.rid for one in mains}
    session.ground.close()


def test_a_worker_that_tracks_itself_is_a_child(session: Session) -> None:
    """A program with a run of its own, started inside a run, becomes its child; after the run it stands alone."""
    code = """
        import os, subprocess, sys
        import commonground as cg
        with cg.open(os.environ["STUDY"]) as study:
            with study.run(name="outer"):
                subprocess.run([sys.executable, "part.py", "0"], check=True)
            subprocess.run([sys.executable, "part.py", "0"], check=True)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)
    mains, (child,) = records(session)
    assert {one.rid: one.name for one in mains}[child.parent] == "outer"
    assert sorted(one.name for one in mains) == ["outer", "part"]
    session.ground.close()
