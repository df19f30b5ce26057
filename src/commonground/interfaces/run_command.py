"""`cg run -- python train.py`: runs a program that need know nothing of us, and makes one truthful execution of it.

The program's output is shown as it comes, and a screened copy is kept. It is told in its environment which execution it
is, so that a `study.run(...)` inside it adds to this one instead of beginning another; ranks become its children.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import IO, Any, TextIO, cast

from commonground.errors import CommonGroundError, InvalidInput, count
from commonground.identity import Rid, show_rid
from commonground.interfaces.client import ranks
from commonground.interfaces.client.capture import capture_command
from commonground.interfaces.client.output import gather_output
from commonground.interfaces.client.progress import Progress
from commonground.interfaces.client.run_start import OUT_OF_REACH, Asked, Begun, begin, tell
from commonground.operations import run_spool
from commonground.operations.delivery import deliver_folder, finish
from commonground.operations.gathering import gather
from commonground.operations.lost import list_unfinished
from commonground.operations.output_log import OutputLog
from commonground.operations.session import Session
from commonground.operations.studies import open_study
from commonground.store.processes import (
    ProcessMark,
    current_boot,
    host_name,
    list_with_variable,
    process_alive,
    process_start,
)
from commonground.structure.execution_states import Status
from commonground.structure.screen import screen
from commonground.structure.screen_told import screen_argv

GRACE_S = 2.0
NOT_FOUND, NOT_EXECUTABLE = 127, 126
PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
FROM_KEYBOARD = (signal.SIGINT, signal.SIGQUIT)
MEMORY_KILLS = Path("/proc/vmstat")
CHUNK = 65_536
LONGEST_REASON = 500
SIGNALLED = 128
"""A shell gives so much more than the number of the signal that ended a program."""
_ERROR_LINE = re.compile(r"[A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit|Warning)\b.*")


def supervise(
    study: Path,
    argv: Sequence[str],
    *,
    intent: str | None = None,
    name: str | None = None,
    inputs: Sequence[str] = (),
    params: Mapping[str, Any] | None = None,
    scratch: bool | None = None,
    parent: Rid | None = None,
    person: str | None = None,
    shown: TextIO | None = None,
    ended: Callable[[Session, Rid], object] = lambda _session, _execution: None,
) -> int:
    """Run a program as one execution of the study in this folder; returns the program's exit status.

    What it prints goes to `shown`, or else to the standard output; `ended` is called with its execution at the end.
    A program that was ended by signal n gives 128 + n. Raises the study's errors if the run cannot begin.
    """
    if not argv:
        raise InvalidInput("There is nothing to run.", todo="For example: cg run -- python train.py")
    session = open_study(study, person=person, via="cli")
    try:
        return _supervise(session, list(argv), Asked(
            intent, list(inputs), dict(params or {}), name, scratch, parent or _outer(session), screen_argv(argv)
        ), shown or sys.stdout, ended)  # fmt: skip
    finally:
        session.ground.close()


def _outer(session: Session) -> Rid | None:
    """The execution in which this command itself is run, if there is one: a script that calls `cg run`."""
    return ranks.launched(os.environ, session.ground.facts["study"])


def _supervise(
    session: Session, argv: list[str], asked: Asked, shown: TextIO, ended: Callable[[Session, Rid], object]
) -> int:
    begun = begin(session, asked, capture_command(session.ground.mint, argv))
    log = OutputLog(begun.folder)
    progress = Progress(session, begun.writer, begun.execution, log)
    last, kills = _LastWords(), _count_memory_kills()
    sent: dict[int, str] = {}
    end: tuple[int, dict[str, Any]] | None = None
    try:
        with _started(session, begun, argv) as process, _forwarding(process, sent):
            readers = [
                _show(process.stdout, shown, log, "out", last),
                _show(process.stderr, sys.stderr, log, "err", last),
            ]
            code = process.wait()
            # What it left running may hold its output open, but that is after its end.
            end = begun.end_time(session.ground.clock())
            _join(readers, begun)
    except OSError as error:
        code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
        last.text = f"{argv[0]} cannot be run: {error.strerror}"
        last.started = False
        sys.stderr.write(f"cg run: {last.text}\n")
    progress.stop()
    log.close()
    if not _goes_on(session, begun, code):
        status, reason = _verdict(code, last, sent)
        if code == -signal.SIGKILL and (more := _count_memory_kills() - kills) > 0:
            told = count(more, "process", "processes")
            reason = f"{reason} While it ran the system ended {told} of this machine for lack of memory."
        ended_at, facts = end or begun.end_time(session.ground.clock())
        facts |= {"exit_status": code, **({"signals": _name_all(sent)} if sent else {})}
        _end(session, begun, status, reason, ended_at, facts)
    ended(session, begun.execution)
    return code if code >= 0 else SIGNALLED - code


@contextlib.contextmanager
def _started(session: Session, begun: Begun, argv: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    standing = ranks.find_standing(os.environ)
    environment = {
        **os.environ,
        **ranks.describe_for_children(begun.execution, session.ground.facts["study"], standing),
        "PYTHONUNBUFFERED": os.environ.get("PYTHONUNBUFFERED", "1"),
    }
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, bufsize=0) as process:
        mark = ProcessMark(host_name(), process.pid, current_boot(), process_start(process.pid) or 0)
        begun.writer.append(run_spool.PROGRAM, asdict(mark))
        yield process


def _count_memory_kills() -> int:
    """How many processes the system has ended for lack of memory since it was started; 0 if it does not tell."""
    with contextlib.suppress(OSError, ValueError):
        for line in MEMORY_KILLS.read_text(encoding="ascii").splitlines():
            if line.startswith("oom_kill "):
                return int(line.partition(" ")[2])
    return 0


def _has_keyboard() -> bool:
    """Whether an interrupt may come from a keyboard, which sends it to the program as well."""
    try:
        return os.tcgetpgrp(sys.__stdin__.fileno() if sys.__stdin__ else 0) == os.getpgrp()
    except (OSError, ValueError):
        return False


class _LastWords:
    """The last line on the error stream that looks like an error, or why there was no program to write one."""

    text = ""
    started = True

    def look(self, text: str) -> None:
        for line in text.splitlines():
            if _ERROR_LINE.fullmatch(line.strip()):
                self.text = line.strip()


def _show(
    source: IO[bytes] | None,
    target: TextIO,
    log: OutputLog,
    name: str,
    last: _LastWords,
) -> threading.Thread:
    descriptor = cast("IO[bytes]", source).fileno()

    def work() -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        waiting = ""
        while data := os.read(descriptor, CHUNK):
            text = decoder.decode(data)
            with contextlib.suppress(OSError, ValueError):
                # As it came: what is sent on to a file may be no text at all.
                raw = getattr(target, "buffer", None)
                target.write(text) if raw is None else raw.write(data)
                target.flush()
            log.write(text, name)
            if name == "err":
                lines, _, waiting = (waiting + text).rpartition("\n")
                last.look(lines)
                waiting = waiting[-LONGEST_REASON:]

    def careful() -> None:
        with contextlib.suppress(OSError, ValueError):
            work()

    thread = threading.Thread(target=careful, name=f"commonground-{name}", daemon=True)
    thread.start()
    return thread


def _join(readers: Sequence[threading.Thread], begun: Begun) -> None:
    """Wait for the rest of the output; a process that was left running in the background may hold it open for ever."""
    for reader in readers:
        reader.join(GRACE_S)
    if any(reader.is_alive() for reader in readers):
        begun.writer.append(run_spool.FACT, {"left_running": "a process that it started still has its output open"})


@contextlib.contextmanager
def _forwarding(process: subprocess.Popen[bytes], sent: dict[int, str]) -> Iterator[None]:
    """Pass on what a scheduler or a person says to us; what comes from the keyboard reaches the program by itself."""

    def forward(number: int, frame: FrameType | None) -> None:
        del frame
        typed = number in FROM_KEYBOARD and _has_keyboard()
        sent[number] = "from the keyboard" if typed else "passed on by cg run"
        if not typed:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # What is ignored, as under nohup, is ignored by the program as well.
    heard = [number for number in PASSED_ON if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, forward) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _goes_on(session: Session, begun: Begun, code: int) -> bool:
    """Whether a process that is a part of the execution still works in the background; then that one ends it."""
    left = [pid for pid in list_with_variable(ranks.EXECUTION, show_rid(begun.execution)) if pid != os.getpid()]
    if left:
        told = f"{len(left)} of the processes that it started still ran when it had ended"
        begun.writer.append(run_spool.FACT, {"left_running": told})
    if not any(
        mark.pid != os.getpid() and process_alive(mark.pid, mark.start, mark.boot_id, mark.host)
        for mark in list_unfinished(_gather(begun))
    ):
        return False
    begun.writer.append(run_spool.FACT, {"exit_status": code})
    begun.writer.close()
    tell(f"Execution {show_rid(begun.execution)} goes on in the background.")
    # The last of them may have ended meanwhile.
    deliver_folder(session, begun.execution, begun.folder)
    return True


def _gather(begun: Begun) -> run_spool.Gathered:
    """What the processes have written; nothing if the study is out of reach now."""
    try:
        return gather(begun.folder, begun.execution)
    except (CommonGroundError, OSError):
        return run_spool.Gathered(begun.folder, begun.execution)


def _end(
    session: Session, begun: Begun, status: Status, reason: str | None, ended_at: int, facts: dict[str, Any]
) -> None:
    inner = _gather(begun).closes
    if status is Status.FINISHED and inner and inner[-1]["status"] != Status.FINISHED:
        status, reason = Status(inner[-1]["status"]), inner[-1]["reason"]
    elif status is Status.FAILED and inner and inner[-1]["reason"]:
        reason = f"{inner[-1]['reason']} (exit status {facts['exit_status']})"
    clean = screen(reason[:LONGEST_REASON]).text if reason else None
    kept = gather_output(begun, session.ground.mint, facts)
    verdict = {"status": str(status), "reason": clean, "ended_at": ended_at, **kept}
    try:
        finish(session, begun.folder, begun.writer, verdict=verdict, started=begun.delivered)
    except (CommonGroundError, *OUT_OF_REACH) as error:
        tell(f"Execution {show_rid(begun.execution)} could not be delivered: {error}")


def _name_all(sent: Mapping[int, str]) -> list[str]:
    return [f"{signal.Signals(number).name} {how}" for number, how in sent.items()]


def _verdict(code: int, last: _LastWords, sent: Mapping[int, str]) -> tuple[Status, str | None]:
    if not last.started:
        return Status.FAILED, f"It could not be started (exit status {code}): {last.text}"
    if code == 0:
        return Status.FINISHED, None
    if code < 0:
        name = signal.Signals(-code).name
        how = sent.get(-code, "not sent by cg run")
        return Status.KILLED, f"It was ended by {name} ({how})."
    said = f": {last.text}" if last.text else ""
    # A shell tells of a signal in this way, because it has no other.
    if code - SIGNALLED in set(signal.Signals):
        said += f" (as a shell says of {signal.Signals(code - SIGNALLED).name})"
    return Status.FAILED, f"It left with exit status {code}{said}"
