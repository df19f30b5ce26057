"""The processes forked from those of a run, so that one that goes on in the background (a daemon) is known of.

A forked child appends a line to the file `forked` in the folder of the spool: its number, when it started, and the
session of the process that had opened the spool. A daemon is one that runs and has left that session; workers that a
killed parent leaves behind stay in it, and are none.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from commonground.store.processes import ProcessMark, process_alive, process_start

NAME: Final = "forked"
PARTS: Final = 3


def note(folder: Path, session: int) -> None:
    """Say that this process was forked from one of that session. Never raises."""
    line = f"{os.getpid()} {process_start(os.getpid()) or 0} {session}\n".encode()
    with contextlib.suppress(OSError):
        descriptor = os.open(folder / NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)


def list_daemons(folder: Path, first: ProcessMark) -> list[ProcessMark]:
    """The daemons that run on this machine; `first` is the process from which they come."""
    try:
        lines = (folder / NAME).read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        words = line.split(" ")
        if len(words) != PARTS or not all(word.isdigit() for word in words):
            continue
        pid, start, session = (int(word) for word in words)
        mark = ProcessMark(first.host, pid, first.boot_id, start)
        if process_alive(mark.pid, mark.start, mark.boot_id, mark.host) and _session_of(pid) not in {session, None}:
            found.append(mark)
    return found


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None
