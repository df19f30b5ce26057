"""Whatever a program does, through each of the three doors: always exactly one execution, and what it says is true.

The doors are `with study.run`, `@study.track`, and `cg run -- python train.py` for a program that knows nothing of us.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest
from programs import DOORS, INSIDE, Scene

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One study for all programs."""
    made = Scene(tmp_path_factory.mktemp("truth"))
    yield made
    made.session.ground.close()


PRINTS = "print('epoch 1')\nlog(0.5)"
ENDS = {
    # program, exit status; status and reason on record inside and under `cg run`
    "prints": (PRINTS, 0, ("finished", ""), ("finished", "")),
    "crashes": ("raise ValueError('bad rate')", 1, ("failed", "ValueError: bad rate"), ("failed", "bad rate")),
    "diverges": ("log(float('nan'))\nprint('nan')", 0, ("finished", ""), ("finished", "")),
    "leaves": ("sys.exit(3)", 3, ("failed", "exit status 3"), ("failed", "exit status 3")),
    "killed": ("os.kill(os.getpid(), 9)", -9, ("lost", "without a last word"), ("killed", "SIGKILL")),
    "terminated": ("os.kill(os.getpid(), 15); time.sleep(9)", -15, ("killed", "SIGTERM"), ("killed", "SIGTERM")),
    "interrupted": ("os.kill(os.getpid(), 2); time.sleep(9)", -2, ("killed", "interrupted"), ("killed", "SIGINT")),
    "closes its output": ("sys.stdout.close()\nos.close(1); os.close(2)", 0, ("finished", ""), ("finished", "")),
    "goes elsewhere and deletes itself": (
        "Path(sys.argv[0]).unlink()\nos.chdir('/')\nprint('here')",
        0,
        ("finished", ""),
        ("finished", ""),
    ),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", ENDS)
def test_one_execution_says_how_it_ended(scene: Scene, door: str, name: str) -> None:
    """Each end is told as it was: by the program where it could speak, by `cg run` where it could not."""
    body, code, inside, supervised = ENDS[name]
    status, reason = inside if door in INSIDE else supervised
    seen, told = scene.run(door, body)
    assert seen == (code if door in INSIDE or code >= 0 else 128 - code)
    assert (told.status, reason in told.reason) == (status, True), told.reason
    if name == "prints":
        assert told.log == "epoch 1\n"
        assert ("loss" in told.record.metrics) == (door in INSIDE)
    if name == "diverges" and door in INSIDE:
        assert told.record.metrics["loss"].value != told.record.metrics["loss"].value
    assert told.record.workflow is not None


@pytest.mark.parametrize("door", DOORS)
def test_forked_and_spawned_workers_make_no_execution(scene: Scene, door: str) -> None:
    """Children made by fork and by spawn that do their work and leave are no executions and end none."""
    body = """
        child = os.fork()
        if child == 0:
            print("child", flush=True)
            sys.exit(3)
        assert os.waitpid(child, 0)[1] == 3 << 8
        worker = multiprocessing.get_context("spawn").Process(target=print, args=("spawned",))
        worker.start()
        worker.join()
        assert worker.exitcode == 0
        print("parent")
    """
    code, told = scene.run(door, body)
    assert (code, told.status) == (0, "finished"), told.reason
    assert "parent" in told.log


@pytest.mark.parametrize("door", DOORS)
def test_a_program_that_replaces_itself_is_one_execution(scene: Scene, door: str) -> None:
    """After exec the same process goes on as the same execution, with what was logged before and after."""
    body = """
        log(float(len(sys.argv)))
        print(f"round {len(sys.argv)}", flush=True)
        if len(sys.argv) < 3:
            os.execv(sys.executable, [sys.executable, *sys.argv, "again"])
    """
    code, told = scene.run(door, body)
    assert (code, told.status) == (0, "finished"), told.reason
    assert told.log == "round 1\nround 2\nround 3\n"
    if door in INSIDE:
        assert told.record.metrics["loss"].points == 3
        assert "replaced_itself" in told.record.execution.details


@pytest.mark.parametrize("door", DOORS)
def test_a_daemon_is_told_of(scene: Scene, door: str) -> None:
    """A program that goes on in the background has finished when that has; `cg run` tells that it left one behind."""
    body = """
        for _ in range(2):
            if os.fork():
                os._exit(0)
            os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for place in range(3):
            os.dup2(null, place)
        while not Path("go on").exists():
            time.sleep(0.05)
        log(1.0)
    """
    process, where = scene.start(door, body)
    assert process.wait(timeout=100) == 0
    (where / "go on").touch()
    if door not in INSIDE:
        told = scene.look()
        assert (told.status, "left_running" in told.record.execution.details) == ("finished", True)
        return
    deadline = time.monotonic() + 60
    while scene.session.read("execution find", limit=1)[0].execution.status != "finished":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    told = scene.look()
    assert told.record.metrics["loss"].points == 1


BACKGROUND = """
import os, time
from pathlib import Path
import commonground as cg
with cg.open(os.environ["STUDY"]) as study, study.run() as run:
    run.log({"loss": 1.0})
    Path("begun").touch()
    while not Path("go on").exists():
        time.sleep(0.05)
    raise ValueError("bad rate")
"""


def test_a_run_in_the_background_is_ended_by_itself(scene: Scene) -> None:
    """Under `cg run` a program may leave a run behind: the execution goes on, and ends as that run ends."""
    body = f"""
        import subprocess
        subprocess.Popen([sys.executable, "-c", {BACKGROUND!r}], start_new_session=True, stdout=-3, stderr=-3)
        while not Path("begun").exists():
            time.sleep(0.05)
    """
    process, where = scene.start("cg run", body)
    assert process.wait(timeout=100) == 0
    assert [str(one.execution.status) for one in scene.session.read("execution find", limit=1)] == ["running"]
    (where / "go on").touch()
    deadline = time.monotonic() + 60
    while scene.session.read("execution find", limit=1)[0].execution.status == "running":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    told = scene.look()
    assert (told.status, told.reason, told.record.metrics["loss"].points) == ("failed", "ValueError: bad rate", 1)


@pytest.mark.parametrize("door", DOORS)
def test_a_flood_of_output_is_bounded(scene: Scene, door: str) -> None:
    """Of 4 MB of output the beginning and the end are kept, and the program ends as it would."""
    code, told = scene.run(door, "for number in range(40_000):\n    print(f'{number:7d} ' + 'x' * 91)")
    assert (code, told.status) == (0, "finished"), told.reason
    lines = told.log.splitlines()
    assert (lines[0][:9], lines[-1][:9], len(lines[-1])) == ("      0 x", "  39999 x", 99)
    assert len(told.log) < 3 << 20


@pytest.mark.parametrize("door", DOORS)
def test_the_catalogue_is_lost_in_the_middle(scene: Scene, door: str) -> None:
    """With the study gone while it works a program ends as it would, and `cg sync` brings the whole execution."""
    body = """
        log(0.5)
        print("before", flush=True)
        Path("ready").touch()
        while not Path("gone").exists():
            time.sleep(0.05)
        log(0.7)
        print("after")
    """
    process, where = scene.start(door, body)
    deadline = time.monotonic() + 60
    while not (where / "ready").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    place = scene.session.ground.folder.parent
    away = place.with_name("away")
    place.rename(away)
    (where / "gone").touch()
    try:
        assert process.wait(timeout=100) == 0
    finally:
        away.rename(place)
    told = scene.look()
    assert (told.status, told.log) == ("finished", "before\nafter\n")
    if door in INSIDE:
        assert told.record.metrics["loss"].points == 2


def test_cg_run_passes_an_interrupt_on(scene: Scene) -> None:
    """An interrupt that is sent to `cg run` alone, by a scheduler, reaches the program, and both end by it."""
    process, where = scene.start("cg run", "Path('ready').touch()\ntime.sleep(60)")
    deadline = time.monotonic() + 60
    while not (where / "ready").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=50) == 128 + signal.SIGINT
    told = scene.look()
    assert (told.status, "passed on by cg run" in told.reason) == ("killed", True), told.reason
