"""Progress of a run that takes long: now and then its spool is synced and what is new in it is shown in the catalogue.

A thread of its own does it, so that the training never waits. Whatever fails here is tried again later; nothing
depends on it, because the end of the run delivers everything once more and points are kept once.
"""

from __future__ import annotations

import os
import threading

from commonground.errors import CommonGroundError
from commonground.identity import Rid
from commonground.operations.delivery import show_progress
from commonground.operations.run_spool import RunWriter
from commonground.operations.session import Session

EVERY_S = 10.0


class Progress:
    """Shows the progress of one run until it is stopped."""

    def __init__(self, session: Session, writer: RunWriter, execution: Rid, every_s: float = EVERY_S) -> None:
        self._session = session
        self._writer = writer
        self._execution = execution
        self._every_s = every_s
        self._process = os.getpid()
        self._stopped = threading.Event()
        self._place = (0, -1)
        self._thread = threading.Thread(target=self._work, name="commonground-progress", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop, and wait until a delivery that is under way has ended."""
        if self._process != os.getpid():
            return
        self._stopped.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stopped.wait(self._every_s):
            self._writer.sync()
            try:
                self._place = show_progress(self._session, self._writer.path, self._execution, self._place)
            except (CommonGroundError, OSError):
                continue
