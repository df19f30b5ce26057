"""The queue of writers before an SQLite file: who came first writes first, and who has just written goes last.

The write lock is one flock. A lock that each waiting process asks for again and again goes to whoever asks at the
right moment, which is most often the one that has just given it back. So there are places to wait, each a lock file
of its own: a writer takes the outermost place, moves inwards one place at a time, gives up a place only when it has
the next, and from the innermost takes the write lock. Nobody overtakes anybody who has a place; if there are more
writers than places, chance decides among those outside.

Only the write lock keeps writers apart; the places are a courtesy, and it ends: who has waited for `PATIENCE_S`
leaves them and asks for the write lock itself, so that a stopped process in a place holds nobody up for good. All
locks go with their process, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from commonground.errors import Busy

PLACES = 7
"""With the one who writes, eight writers stand in strict order."""
PATIENCE_S = 3.0
_FIRST_PAUSE_S = 0.0002
_PAUSE_S = 0.002


@contextmanager
def turn(database: Path, timeout: float) -> Iterator[None]:
    """Wait for the write lock of a database file and hold it; raises Busy after `timeout` seconds of waiting."""
    began = time.monotonic()
    held: int | None = None
    try:
        for place in _places(database):
            if (taken := _take(place, began + min(PATIENCE_S, timeout))) is None:
                break
            held = _leave(held, taken)
        taken = _take(str(database.with_suffix(".lock")), began + timeout)
        if taken is None:
            raise Busy(
                f"Another process has been writing to this study for {timeout:.0f} s.",
                todo="Try again when it has finished; `cg doctor` shows who holds the study.",
            )
        held = _leave(held, taken)
        yield
    finally:
        _leave(held, None)


def count_waiting(database: Path) -> int:
    """How many writers stand in a place of the queue at this moment; whoever is outside of it is not counted."""
    return sum(_is_held(place) for place in sorted(database.with_suffix(".queue").glob("*")))


def _is_held(place: Path) -> bool:
    descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _places(database: Path) -> list[str]:
    """The lock files of the places, the outermost first."""
    folder = database.with_suffix(".queue")
    if not folder.is_dir():
        folder.mkdir(exist_ok=True)
    return [f"{folder}/{place}" for place in range(PLACES, 0, -1)]


def _leave(held: int | None, taken: int | None) -> int | None:
    if held is not None:
        # Closing is not enough: a process that was forked meanwhile has the descriptor too, and with it the lock.
        fcntl.flock(held, fcntl.LOCK_UN)
        os.close(held)
    return taken


def _take(path: str, deadline: float) -> int | None:
    """A descriptor that holds the lock of a file; None if it was not to be had in time."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    pause = _FIRST_PAUSE_S
    try:
        while not _locked(descriptor):
            if time.monotonic() > deadline:
                os.close(descriptor)
                return None
            time.sleep(pause)
            pause = min(pause * 1.5, _PAUSE_S)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
