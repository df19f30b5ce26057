"""What schedulers, terminals, disks and clocks do to a run: one execution, and no more is said than is known."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from programs import CG_RUN, INSIDE, Scene, wait_for

pytestmark = pytest.mark.soak

WAITS = "Path('ready').touch()\ntime.sleep(60)"
LEAVES = "os.mkdir(os.environ['GONE'])\nos.chdir(os.environ['GONE'])\nos.rmdir(os.environ['GONE'])\n"
DAEMON = """
    for _ in range(2):
        if os.fork():
            os._exit(0)
        os.setsid()
    os.closerange(0, 200)
    Path("ready").touch()
    while not Path("go on").exists():
        time.sleep(0.05)
    {end}
"""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One study for all programs."""
    made = Scene(tmp_path_factory.mktemp("ends"))
    yield made
    made.session.ground.close()


def wait_until(scene: Scene, *ends: str) -> None:
    """Wait until the newest execution has one of these states; every look is a `cg sync` by somebody else."""
    deadline = time.monotonic() + 60
    while scene.status() not in ends:
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.parametrize(
    ("end", "status", "reason"),
    [
        ("", "finished", ""),
        ("raise ValueError('bad rate')", "failed", "bad rate"),
        ("os._exit(0)", "lost", "last word"),
    ],
)
def test_a_silent_daemon_runs_until_it_ends(scene: Scene, end: str, status: str, reason: str) -> None:
    """A daemon that closed all files and logs nothing is not lost for whoever syncs; then its own end is told."""
    process, where = scene.begin("with", DAEMON.format(end=end))
    assert process.wait(timeout=60) == 0
    assert scene.status() == "running"
    (where / "go on").touch()
    wait_until(scene, "finished", "failed", "lost")
    told = scene.look()
    assert (told.status, reason in told.reason) == (status, True), told.reason


def test_a_worker_left_behind_is_no_daemon(scene: Scene) -> None:
    """After kill -9 of a program the execution is lost, though a worker that it had forked still runs."""
    body = "if os.fork() == 0:\n    Path('ready').touch()\n    time.sleep(5)\n    os._exit(0)\ntime.sleep(60)"
    process, _ = scene.begin("with", body)
    process.kill()
    process.wait(timeout=60)
    assert scene.look().status == "lost"


def test_a_program_that_becomes_another_is_not_called_killed(scene: Scene) -> None:
    """After exec into a program that knows nothing of us: running while that runs, then lost, with what is known."""
    body = """
        log(1.0)
        print("before", flush=True)
        os.execvp("sh", ["sh", "-c", "touch ready; while [ ! -e 'go on' ]; do sleep 0.1; done; exit 7"])
    """
    process, where = scene.begin("with", body)
    assert scene.status() == "running"
    (where / "go on").touch()
    assert process.wait(timeout=60) == 7
    told = scene.look()
    assert (told.status, told.record.metrics["loss"].points, told.log) == ("lost", 1, "before\n")
    assert "replaced itself by another program" in told.reason
    assert "signal" not in told.reason


@pytest.mark.parametrize("door", INSIDE)
def test_an_exec_that_fails_is_no_end(scene: Scene, door: str) -> None:
    """A program that could not be replaced goes on, and finishes; its arguments may be given by name."""
    ways = ("os.execv('/nonexistent', ['x'])", "os.execve(path='/nonexistent', argv=['x'], env={})")
    tries = "\n".join(f"try:\n    {way}\nexcept OSError:\n    print('still here')" for way in ways)
    code, told = scene.run(door, tries)
    assert (code, told.status, told.log) == (0, "finished", "still here\nstill here\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_asks_to_end_is_on_record(scene: Scene, number: int) -> None:
    """A run that the scheduler or a closed terminal ends says so itself, and the process dies by the signal."""
    process, _ = scene.begin("with", WAITS)
    process.send_signal(number)
    assert process.wait(timeout=60) == -number
    told = scene.look()
    assert (told.status, signal.Signals(number).name in told.reason) == ("killed", True), told.reason


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1])
def test_cg_run_passes_on_what_a_scheduler_says(scene: Scene, number: int) -> None:
    """Each of these reaches the program, also those that would end `cg run` itself, and the reason names it."""
    process, _ = scene.begin("cg run", WAITS)
    process.send_signal(number)
    assert process.wait(timeout=60) == 128 + number
    told = scene.look()
    assert (told.status, told.reason) == (
        "killed",
        f"It was ended by {signal.Signals(number).name} (passed on by cg run).",
    )


def test_a_program_that_saves_before_it_goes_has_its_time(scene: Scene) -> None:
    """In the grace period between SIGTERM and SIGKILL a program may save and leave: finished, and asked to end."""
    body = """
        def leave(number, frame):
            time.sleep(1)
            print("saved", flush=True)
            sys.exit(0)
        signal.signal(signal.SIGTERM, leave)
    """
    process, _ = scene.begin("cg run", body + "    " + WAITS.replace("\n", "\n        "))
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    told = scene.look()
    assert (told.status, told.log) == ("finished", "saved\n")
    assert told.record.execution.details["signals"] == ["SIGTERM passed on by cg run"]


def test_a_program_that_outlives_cg_run_still_runs(scene: Scene) -> None:
    """After kill -9 of `cg run` alone its program is the execution; when that is gone its end is called unknown."""
    body = "Path('pid').write_text(str(os.getpid()))\n" + WAITS
    process, where = scene.begin("cg run", body)
    process.kill()
    process.wait(timeout=60)
    assert scene.status() == "running"
    os.kill(int((where / "pid").read_text()), signal.SIGKILL)
    wait_until(scene, "lost")
    assert "how that ended is not known" in scene.look().reason


def in_terminal(scene: Scene, where: Path) -> tuple[int, int]:
    """`cg run` in a terminal of its own: its process, and our end of the terminal."""
    (where / "ready").unlink(missing_ok=True)
    study = str(scene.session.ground.folder.parent)
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(where)
        os.execv(sys.executable, [*CG_RUN, "--study", study, "--", sys.executable, "train.py"])  # noqa: S606 - the child of a terminal becomes `cg run`
    wait_for(where / "ready")
    return process, terminal


@pytest.mark.parametrize(
    ("key", "reason"),
    [(b"\x03", "SIGINT (from the keyboard)"), (b"\x1c", "SIGQUIT (from the keyboard)"), (b"", "SIGHUP")],
)
def test_a_terminal_ends_a_run(scene: Scene, key: bytes, reason: str) -> None:
    """Ctrl-C, Ctrl-backslash and the closing of the window are told as what they were."""
    where = scene.folder / f"terminal-{key.hex()}"
    where.mkdir()
    (where / "train.py").write_text("import time\nfrom pathlib import Path\n" + WAITS)
    process, terminal = in_terminal(scene, where)
    if key:
        os.write(terminal, key)
    else:
        os.close(terminal)
    os.waitpid(process, 0)
    if key:
        os.close(terminal)
    told = scene.look()
    assert (told.status, reason in told.reason) == ("killed", True), told.reason


def test_a_run_that_is_stopped_and_continued_is_one(scene: Scene) -> None:
    """While the program and `cg run` are stopped, as by Ctrl-Z in a shell, it counts as running; then it finishes."""
    where = scene.folder / "stopped"
    where.mkdir()
    body = "Path('ready').touch()\nwhile not Path('go on').exists():\n    time.sleep(0.05)"
    (where / "train.py").write_text("import time\nfrom pathlib import Path\n" + body)
    process, terminal = in_terminal(scene, where)
    # Without a shell that could continue it, the system takes no notice of the key itself.
    os.killpg(process, signal.SIGSTOP)
    (where / "go on").touch()
    time.sleep(1)
    assert scene.status() == "running"
    os.killpg(process, signal.SIGCONT)
    assert os.waitpid(process, 0)[1] == 0
    os.close(terminal)
    assert scene.look().status == "finished"


@pytest.mark.parametrize("take", ["sys.stdout.close(); sys.stderr.close()", "sys.stdout = sys.stderr = None"])
def test_recording_does_not_need_the_streams(scene: Scene, take: str) -> None:
    """With its streams closed or taken away a program logs what is no number, and nothing is raised."""
    code, told = scene.run("with", f"{take}\nrun.log({{'a': 'x', 'b': 1}})\nrun.log('nonsense')")
    assert (code, told.status, told.record.metrics["b"].points) == (0, "finished", 1)
    code, told = scene.run("track", take)
    assert (code, told.status) == (0, "finished")


def test_binary_output_is_passed_on_as_it_is(scene: Scene) -> None:
    """What is sent on through `cg run` is the program's own output, byte by byte; the log holds it as text."""
    process, _ = scene.start("cg run", "sys.stdout.buffer.write(bytes(range(256)) * 99)", shown=subprocess.PIPE)
    assert process.communicate(timeout=60)[0] == bytes(range(256)) * 99
    assert "\\xff" in scene.look().log


def test_the_end_is_when_the_program_ended(scene: Scene) -> None:
    """A process in the background that holds the output open does not make the execution longer."""
    code, told = scene.run("cg run", "import subprocess\nsubprocess.Popen(['sleep', '9'])")
    one = told.record.execution
    assert (code, told.status, "left_running" in one.details) == (0, "finished", True)
    assert one.ended_at - one.started_at < 3_000_000


def test_a_clock_that_is_set_back_makes_no_negative_time(scene: Scene) -> None:
    """The time that has passed counts then, and it is told."""
    body = "real = time.time_ns\ntime.time_ns = lambda: real() - 7200 * 10**9\nlog(1.0)"
    _, told = scene.run("with", body)
    one = told.record.execution
    assert 0 <= one.ended_at - one.started_at < 60_000_000
    assert one.details["clock"] == "the clock was set back by 7200 s while it ran"


def test_a_run_begins_in_a_folder_that_is_gone(scene: Scene, tmp_path: Path) -> None:
    """A program whose current folder was removed before its run is recorded like any other."""
    code, told = scene.run("with", "log(1.0)", more={"GONE": str(tmp_path / "gone")}, first=LEAVES)
    assert (code, told.status) == (0, "finished"), told.reason


@pytest.mark.parametrize("door", INSIDE)
def test_a_folder_that_is_gone_does_not_matter(scene: Scene, door: str) -> None:
    """A program that removes its own folder goes on and finishes."""
    code, told = scene.run(door, "import shutil\nshutil.rmtree(os.getcwd())\nlog(1.0)")
    assert (code, told.status) == (0, "finished"), told.reason


@pytest.mark.parametrize(("command", "code"), [("/nonexistent", 127), ("./not-executable", 126), ("./folder", 126)])
def test_what_cannot_be_started_says_so(scene: Scene, command: str, code: int) -> None:
    """The exit status is that of a shell, and the execution has failed because it never began."""
    where = scene.folder / f"start-{code}-{len(command)}"
    (where / "folder").mkdir(parents=True)
    (where / "not-executable").write_text("#!/bin/sh\n")
    given = [*CG_RUN, "--study", str(scene.session.ground.folder.parent), "--", command]
    assert subprocess.run(given, cwd=where, check=False, capture_output=True).returncode == code
    told = scene.look()
    assert (told.status, told.reason.startswith(f"It could not be started (exit status {code}): {command}")) == (
        "failed",
        True,
    ), told.reason


def test_a_study_is_looked_after_while_a_run_goes_on(scene: Scene) -> None:
    """A sweep, a backup, a full verification and a migration in the middle change nothing of what the run records."""
    body = "run.save(b'one', name='one.bin')\nPath('ready').touch()\n"
    body += "while not Path('go on').exists():\n    time.sleep(0.05)\nrun.save(b'two', name='two.bin')"
    process, where = scene.begin("with", body)
    study = str(scene.session.ground.folder.parent)
    for words in (["gc"], ["backup", str(where / "backup")], ["verify", "--full"], ["migrate"], ["sync"], ["doctor"]):
        done = subprocess.run([*CG_RUN[:3], *words, "--study", study], check=False, capture_output=True, text=True)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
    (where / "go on").touch()
    assert process.wait(timeout=60) == 0
    told = scene.look()
    assert (told.status, {named.name for _, named in told.record.outputs}) == ("finished", {"one.bin", "two.bin"})


def test_a_disk_without_room_refuses_clearly_or_is_done_without(scene: Scene) -> None:
    """If the study's disk is full at the start the spool lies with the person; if that is full too, it is said."""
    home = str(scene.folder / "state")
    full = "spool.open:1:enospc"
    code, told = scene.run("with", "log(1.0)", more={"CG_FAULT": full, "XDG_STATE_HOME": home})
    assert (code, told.status, told.record.metrics["loss"].points) == (0, "finished", 1)
    process, _ = scene.start(
        "with", "log(1.0)", more={"CG_FAULT": full + "!", "XDG_STATE_HOME": home}, shown=subprocess.PIPE
    )
    said = process.communicate(timeout=60)[1].decode()
    assert (process.returncode, "The run cannot begin" in said) == (1, True)
