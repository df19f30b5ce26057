"""`cg run`: real programs, run, crashed, killed and forked, each leave one truthful execution."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from commonground.identity import show_rid
from commonground.interfaces.cli.plain_data import as_plain
from commonground.interfaces.cli.program import build_program
from commonground.interfaces.run_command import supervise
from commonground.operations.delivery import sync
from commonground.operations.session import Session
from commonground.operations.studies import create_study, open_study
from commonground.store import faults
from commonground.structure import tables
from commonground.structure.execution_states import Status

INSIDE = """
    import os, signal, sys
    from pathlib import Path
    from commonground.interfaces.client.run import Run
    from commonground.operations.studies import open_study
    study = open_study(Path(os.environ["STUDY"]))
"""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a new study on SQLite, and a current folder with code in it."""
    create_study(tmp_path / "study", name="Test study").ground.close()
    code = tmp_path / "code"
    code.mkdir()
    monkeypatch.chdir(code)
    monkeypatch.setenv("STUDY", str(tmp_path / "study"))
    return tmp_path / "study"


def write_script(text: str, name: str = "train.py", *, inside: bool = False) -> list[str]:
    """A script in the current folder, and the command that runs it."""
    Path(name).write_text(textwrap.dedent(INSIDE if inside else "") + textwrap.dedent(text))
    return [sys.executable, name]


def executions_of(folder: Path) -> list[Any]:
    """All executions as records, the oldest first."""
    session = open_study(folder)
    try:
        found = session.read("execution find")
        return [session.read("execution get", execution=one.execution.rid) for one in reversed(found)]
    finally:
        session.ground.close()


def log_of(folder: Path, record: Any) -> str:
    """The text of an execution's log."""
    session = open_study(folder)
    try:
        (digest,) = [
            asset.digest for asset in _assets(session) if asset.rid in {named.rid for _, named in record.outputs}
        ]
        return session.ground.blobs.get_bytes(digest).decode()
    finally:
        session.ground.close()


def _assets(session: Session) -> Any:
    with session.ground.view() as view:
        return view.list_rows(tables.asset, tables.asset.c.kind == "log")


def test_a_program_that_knows_nothing_of_us(study: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What it prints is shown and kept, without secrets; code, command and exit status are on record."""
    command = write_script("""
        import sys
        print("epoch 1")
        print("password=hunter2hunter2", file=sys.stderr)
    """)
    assert supervise(study, command, intent="try it") == 0
    shown = capfd.readouterr()
    assert "epoch 1" in shown.out
    assert "hunter2hunter2" in shown.err
    (record,) = executions_of(study)
    one = record.execution
    assert (one.status, record.intent, one.details["exit_status"]) == (Status.FINISHED, "try it", 0)
    assert one.argv[-1] == "train.py"
    assert record.workflow is not None
    assert record.workflow.entry == "train.py"
    log = log_of(study, record)
    assert "epoch 1" in log
    assert "hunter2hunter2" not in log


@pytest.mark.parametrize("away", [False, True])
def test_the_answer_in_json_is_the_execution(study: Path, capfd: pytest.CaptureFixture[str], away: bool) -> None:
    """`cg run --json` gives what `cg execution get` gives, or where it waits; what the program prints is on stderr."""
    command = write_script("import sys; print('epoch 1'); sys.exit(3)")
    faulty = faults.planned("run.start:1:eio!,run.finish:1:eio!") if away else contextlib.nullcontext()
    with faulty, pytest.raises(SystemExit) as left:
        build_program().main(["run", "--json", "--study", str(study), "--", *command])
    shown = capfd.readouterr()
    assert left.value.code == 3
    assert "epoch 1" in shown.err
    told = json.loads(shown.out)
    if away:
        assert told["waits"] == "`cg sync` delivers it."
        session = open_study(study)
        sync(session)
        session.ground.close()
    (record,) = executions_of(study)
    assert told["execution"]["rid"] == show_rid(record.execution.rid)
    if not away:
        assert told == as_plain(record)
        assert (told["execution"]["status"], told["execution"]["details"]["exit_status"]) == ("failed", 3)


@pytest.mark.parametrize(
    ("body", "status", "code", "reason"),
    [
        ("raise ValueError('bad rate')", Status.FAILED, 1, "exit status 1: ValueError: bad rate"),
        ("import sys; sys.exit(7)", Status.FAILED, 7, "exit status 7"),
        ("import os; os.kill(os.getpid(), 9)", Status.KILLED, 137, "SIGKILL"),
        ("import os; os.kill(os.getpid(), 15)", Status.KILLED, 143, "SIGTERM"),
        ("import os; os.abort()", Status.KILLED, 134, "SIGABRT"),
        ("import os; os._exit(3)", Status.FAILED, 3, "exit status 3"),
    ],
)
def test_every_end_is_told_as_it_was(study: Path, body: str, status: Status, code: int, reason: str) -> None:
    """Errors, exit statuses and signals each give their state, their reason and their exit status."""
    assert supervise(study, write_script(body)) == code
    (record,) = executions_of(study)
    assert record.execution.status is status
    assert reason in (record.execution.reason or "")


def test_a_command_that_is_not_there(study: Path) -> None:
    """A start that fails stays on record, and the exit status is that of a shell."""
    assert supervise(study, ["no-such-program"]) == 127
    (record,) = executions_of(study)
    assert record.execution.status is Status.FAILED
    assert "cannot be run" in record.execution.reason


def test_a_run_inside_joins_the_launcher(study: Path) -> None:
    """`study.run` in a program under `cg run` adds to its execution; a second one is a child of it."""
    command = write_script(
        """
        with Run(study, intent="inner", params={"seed": 3}) as run:
            for step in range(5):
                run.log({"loss": float("nan") if step == 4 else 1 / (step + 1)}, step=step)
            run.save(b"weights", name="model.bin", kind="model")
        with Run(study, name="second"):
            pass
        """,
        inside=True,
    )
    assert supervise(study, command, params={"from": "outside"}) == 0
    first, second = executions_of(study)
    assert first.params == {"from": "outside", "seed": 3}
    assert first.execution.seed == '{"seed": 3}'
    assert first.metrics["loss"].points == 5
    assert first.metrics["loss"].value != first.metrics["loss"].value
    assert "model.bin" in {named.name for _, named in first.outputs}
    assert (second.execution.name, second.execution.parent) == ("second", first.execution.rid)


def test_a_run_inside_that_is_killed_keeps_what_it_logged(study: Path) -> None:
    """After kill -9 in the middle of a run all that was logged and saved before is there."""
    command = write_script(
        """
        with Run(study, params={"a": 1}) as run:
            run.log({"auc": 0.5}, step=0)
            run.save(b"weights", name="model.bin")
            os.kill(os.getpid(), signal.SIGKILL)
        """,
        inside=True,
    )
    assert supervise(study, command) == 137
    (record,) = executions_of(study)
    assert record.execution.status is Status.KILLED
    assert record.metrics["auc"].points == 1
    assert {named.name for _, named in record.outputs} == {"model.bin"}
    assert record.params["a"] == 1


def test_ranks_are_children_of_one_execution(study: Path) -> None:
    """Four ranks of a launcher: rank 0 is the execution, the others are its children, and each logs for itself."""
    write_script(
        """
        with Run(study, name="rank " + os.environ["RANK"]) as run:
            run.log({"loss": float(os.environ["RANK"])})
        """,
        "rank.py",
        inside=True,
    )
    command = write_script(
        """
        import os, subprocess, sys
        ranks = [
            subprocess.Popen([sys.executable, "rank.py"],
                             env={**os.environ, "RANK": str(n), "LOCAL_RANK": str(n), "WORLD_SIZE": "4",
                                  "TORCHELASTIC_RUN_ID": "job"})
            for n in range(4)
        ]
        sys.exit(max(rank.wait() for rank in ranks))
        """,
        "launch.py",
    )
    assert supervise(study, command) == 0
    records = executions_of(study)
    (main,) = [record for record in records if record.execution.parent is None]
    others = [record for record in records if record.execution.parent is not None]
    assert {record.execution.parent for record in others} == {main.execution.rid}
    assert sorted(record.metrics["loss"].value for record in others) == [1.0, 2.0, 3.0]
    assert main.metrics["loss"].value == 0.0
    assert all(record.execution.status is Status.FINISHED for record in records)


def test_ranks_without_us_as_launcher_find_one_another(study: Path) -> None:
    """Started by somebody else, rank 0 is still the execution and the others its children."""
    command = write_script(
        """
        with Run(study) as run:
            run.log({"loss": float(os.environ["RANK"])})
        """,
        inside=True,
    )
    ranks = [
        subprocess.Popen(command, env={**os.environ, "RANK": str(n), "WORLD_SIZE": "3", "TORCHELASTIC_RUN_ID": "j7"})
        for n in range(3)
    ]
    assert [rank.wait() for rank in ranks] == [0, 0, 0]
    records = executions_of(study)
    (main,) = [record for record in records if record.execution.parent is None]
    assert len(main.children) == 2
    assert main.metrics["loss"].value == 0.0


def start_alone(study: Path, body: str) -> subprocess.Popen[bytes]:
    """A script with a run of its own, started; it has written `ready` when it is where it waits."""
    process = subprocess.Popen(write_script(body, inside=True), env={**os.environ, "STUDY": str(study)})
    wait_for(Path("ready"))
    return process


def wait_for(path: Path) -> None:
    """Wait until a file is there."""
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.02)


WAITS = """
    with Run(study, params={"a": 1}, name="waits") as run:
        run.log({"auc": 0.5}, step=0)
        run.save(b"weights", name="model.bin")
        print("before the end")
        Path("ready").touch()
        signal.pause()
"""


def test_a_killed_process_is_recovered_as_lost(study: Path) -> None:
    """After kill -9 of a run without a launcher: the next delivery closes it as lost, with all that it had recorded."""
    process = start_alone(study, WAITS)
    session = open_study(study)
    try:
        (alive,) = sync(session)
        assert alive.outcome == "running"
        process.kill()
        process.wait()
        (done,) = sync(session)
        assert (done.status, done.outcome) == ("lost", "delivered")
        assert sync(session) == []
    finally:
        session.ground.close()
    (record,) = executions_of(study)
    assert record.execution.status is Status.LOST
    assert str(process.pid) in record.execution.reason
    assert record.metrics["auc"].points == 1
    assert {named.name for _, named in record.outputs} == {"model.bin", "output.log"}
    assert "before the end" in log_of(study, record)


def test_sigterm_ends_a_run_in_good_order(study: Path) -> None:
    """A run that is asked to end is on record as killed at once, and the process dies by the signal."""
    process = start_alone(study, WAITS)
    process.terminate()
    assert process.wait() == -signal.SIGTERM
    (record,) = executions_of(study)
    assert record.execution.status is Status.KILLED
    assert "SIGTERM" in record.execution.reason


def test_a_killed_launcher_is_recovered(study: Path) -> None:
    """If `cg run` is killed, the next delivery closes its execution, with what the program inside had recorded."""
    inner = write_script(WAITS, inside=True)
    outer = f"""
        import json, sys
        from pathlib import Path
        from commonground.interfaces.run_command import supervise
        supervise(Path({str(study)!r}), json.loads(sys.argv[1]))
    """
    command = write_script(outer, "outer.py")
    process = subprocess.Popen([*command, json.dumps(inner)], start_new_session=True)
    wait_for(Path("ready"))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    session = open_study(study)
    try:
        deadline = time.monotonic() + 30
        while (done := sync(session)) and done[0].outcome == "running":
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        session.ground.close()
    (record,) = executions_of(study)
    assert record.execution.status is Status.LOST
    assert record.metrics["auc"].points == 1
    assert "model.bin" in {named.name for _, named in record.outputs}


def test_a_process_left_running_does_not_hold_us(study: Path) -> None:
    """A daemon that keeps the output open does not keep the execution from ending, and is told of."""
    command = write_script("""
        import os, time
        if os.fork() == 0:
            time.sleep(20)
            os._exit(0)
        print("done")
    """)
    began = time.monotonic()
    assert supervise(study, command) == 0
    assert time.monotonic() - began < 15
    (record,) = executions_of(study)
    assert "left_running" in record.execution.details
