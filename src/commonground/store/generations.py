"""Marks that tell garbage collection which blobs may still be on their way into the record.

Time is counted in generations, numbers that only a collection raises; no clock is asked. Each blob carries the
generation in which it was last put or referred to again, its *mark*, as its modification time: two seconds a
generation from the year 2000 on, which every file system can hold. A time that is no mark of ours, or one of the
future (a restored copy, a counter that a power cut set back), counts as new and is marked anew by the next sweep.

A *hold* is a lease on the generation in which it was taken: a shared flock(2) on the file `generations/N`, so it ends
with its process and a sleeping process keeps it. Whoever puts blobs and then records them keeps a hold over both.
`begin` notes the oldest hold there is: every blob whose mark is lower was put by somebody who has finished, so whether
it is wanted can be read in the record. That makes the rule of the sweep safe:

    remove a blob if it is not in the record as read after `begin`, and its mark is below the floor that `begin` noted

The short steps that must not mix (look and mark, look and remove, raise the generation) are kept apart by a lock on
`generations/lock`: shared for those who put, exclusive for the sweep, each for a few milliseconds.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from commonground.errors import Busy
from commonground.store import files
from commonground.store.disk_errors import storage_error
from commonground.store.faults import point

MARK_ZERO_S: Final = 946_684_800
MARK_STEP_S: Final = 2
WAIT_S: Final = 60.0
_PAUSES_S: Final = (0.0005, 0.002, 0.01, 0.05)
_TAKEN: Final = frozenset({errno.EWOULDBLOCK, errno.EACCES})


@dataclass(frozen=True, slots=True)
class Generation:
    """What a collection begins with."""

    number: int
    """The generation that began with it."""
    floor: int
    """Blobs marked below this were put by holders that have all finished."""


def mark_time(generation: int) -> tuple[int, int]:
    """Access and modification time, in ns, that mark a blob with `generation`."""
    moment = (MARK_ZERO_S + generation * MARK_STEP_S) * 1_000_000_000
    return moment, moment


def read_mark(about: os.stat_result, current: int) -> int | None:
    """The generation that marks a blob; None if it has no mark of a generation up to `current`."""
    mark, rest = divmod(about.st_mtime_ns // 1_000_000_000 - MARK_ZERO_S, MARK_STEP_S)
    return mark if rest == 0 and 0 < mark <= current else None


class Generations:
    """The counter, the lock and the leases in one folder; any number of processes and threads share them."""

    def __init__(self, folder: Path, *, wait_s: float = WAIT_S) -> None:
        self.folder = folder
        self.wait_s = wait_s

    def prepare(self) -> None:
        """Make the folder and the first generation, durably, if they are not there."""
        if not self._numbers():
            files.make_folder(self.folder)
            for name in ("lock", "1"):
                os.close(files.open_lock(self.folder / name))
            files.sync_folder(self.folder)

    def current(self) -> int:
        """The present generation, from 1."""
        return max(self._numbers(), default=1)

    @contextmanager
    def shared(self) -> Iterator[int]:
        """Keep sweeps out inside the block, a short one, and give the present generation."""
        with self._locked(self.folder / "lock", fcntl.LOCK_SH):
            yield self.current()

    @contextmanager
    def exclusive(self) -> Iterator[int]:
        """Keep everybody else out inside the block, a short one, and give the present generation."""
        with self._locked(self.folder / "lock", fcntl.LOCK_EX):
            yield self.current()

    @contextmanager
    def holding(self) -> Iterator[int]:
        """Keep what is put or touched inside the block safe from every sweep that begins before the block ends."""
        self.prepare()
        with self.shared() as number:
            descriptor = files.open_lock(self.folder / str(number))
            try:
                point("blobs.hold")
                # The lock on top keeps the sweep from testing this file, so there is nobody to wait for.
                fcntl.flock(descriptor, fcntl.LOCK_SH)
            except OSError as error:
                os.close(descriptor)
                raise storage_error(error, "holding", self.folder) from error
        try:
            yield number
        finally:
            os.close(descriptor)

    def begin(self) -> Generation:
        """Begin a new generation; the record must be read after this, and what it names be kept by the sweep."""
        self.prepare()
        with self.exclusive() as before:
            point("gc.mark")
            number = before + 1
            os.close(files.create(self.folder / str(number)))
            files.sync_folder(self.folder)
            held = [old for old in sorted(self._numbers()) if old < number and not self._end(old)]
            return Generation(number, min(held, default=number))

    def _end(self, number: int) -> bool:
        """Remove the file of an old generation that nobody holds; False if somebody does. Only under `exclusive`."""
        descriptor = files.open_lock(self.folder / str(number))
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            files.unlink(self.folder / str(number))
        except OSError as error:
            if error.errno in _TAKEN:
                return False
            raise storage_error(error, "locking", self.folder) from error
        finally:
            os.close(descriptor)
        return True

    def _numbers(self) -> set[int]:
        try:
            return {int(name) for name in files.list_names(self.folder) if name.isdecimal()}
        except OSError as error:
            raise storage_error(error, "reading", self.folder) from error

    @contextmanager
    def _locked(self, path: Path, how: int) -> Iterator[None]:
        descriptor = files.open_lock(path)
        try:
            self._wait_for(descriptor, how)
            yield
        finally:
            os.close(descriptor)

    def _wait_for(self, descriptor: int, how: int) -> None:
        patience = time.monotonic() + self.wait_s
        pauses = iter(_PAUSES_S)
        pause = _PAUSES_S[-1]
        while True:
            try:
                fcntl.flock(descriptor, how | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in _TAKEN:
                    raise storage_error(error, "locking", self.folder) from error
            else:
                return
            if time.monotonic() >= patience:
                raise Busy(
                    f"Another process has kept the files of {self.folder.parent} locked for {self.wait_s:g} s.",
                    todo="End it, or do this again later.",
                )
            time.sleep(next(pauses, pause))
