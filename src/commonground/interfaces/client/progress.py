"""Progress of runs that take long: now and then a spool is synced and what is new in it is shown in the catalogue.

One thread of the process does it for all its runs, so that no training waits. Whatever fails here is tried again later;
nothing depends on it, because the end of a run delivers everything once more and points are kept once.
"""

from __future__ import annotations

import os
import threading

from commonground.errors import CommonGroundError
from commonground.identity import Rid
from commonground.operations.delivery import show_progress
from commonground.operations.output_log import OutputLog
from commonground.operations.run_spool import RunWriter
from commonground.operations.session import Session

EVERY_S = 10.0


class Progress:
    """Shows the progress of one run until it is stopped."""

    def __init__(self, session: Session, writer: RunWriter, execution: Rid, log: OutputLog | None = None) -> None:
        self._log = log
        self._session = session
        self._writer = writer
        self._execution = execution
        self._place = (0, -1)
        self._busy = threading.Lock()
        self._stopped = False
        _watch(self)

    def show(self) -> None:
        """Sync the spool and show what is new; never raises."""
        with self._busy:
            if self._stopped:
                return
            if self._log is not None:
                self._log.flush()
            self._writer.sync()
            try:
                self._place = show_progress(self._session, self._writer.path, self._execution, self._place)
            except (CommonGroundError, OSError):
                return

    def stop(self) -> None:
        """Stop, and wait until a delivery that is under way has ended."""
        _watched.discard(self)
        with self._busy:
            self._stopped = True


_watched: set[Progress] = set()
_threads: list[threading.Thread] = []
"""The one that shows all progress of this process, once there is any."""


def _watch(progress: Progress) -> None:
    _watched.add(progress)
    if not _threads:
        _threads.append(threading.Thread(target=_work, name="commonground-progress", daemon=True))
        _threads[0].start()


def _work() -> None:
    pause = threading.Event()
    while not pause.wait(EVERY_S):
        for progress in list(_watched):
            progress.show()


def _forget_in_child() -> None:
    # No thread comes along.
    _threads.clear()
    _watched.clear()


os.register_at_fork(after_in_child=_forget_in_child)
