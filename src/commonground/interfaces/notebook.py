"""`%load_ext commonground`: records a notebook's cells, as they were run, as one scratch execution a kernel session.

Kept of a cell: its source, screened, its number, when it ran, whether it raised, and whether it ran again or out of
order. Its output is not kept. A cell that runs lies in a file of its own, so that the one in which a kernel was killed
is on record too, without an end. A kernel that is restarted is another execution, which names the one before it.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from commonground.interfaces.client.run import Run, set_default_run
from commonground.interfaces.client.run_start import tell
from commonground.operations.output_log import CELL_NOW, CELLS
from commonground.operations.session import Session
from commonground.operations.studies import open_study
from commonground.structure.screen import screen

LONGEST_CELL = 256 << 10
LONGEST_ERROR = 500
FIRST_CELLS = 2
"""The cell that loads this is the first or the second."""
CUT_OFF = "the kernel ended while it ran"


class Shell(Protocol):
    """What is used of IPython's shell."""

    events: Any
    execution_count: int


class Recorder:
    """Records the cells of one kernel session."""

    def __init__(self, session: Session, shell: Shell, *, notebook: str | None = None) -> None:
        self._session = session
        self._shell = shell
        self._first: dict[str, int] = {}
        self._furthest = -1
        self._cell: dict[str, Any] = {}
        name = Path(notebook).stem if notebook else "notebook"
        details: dict[str, Any] = {"notebook": notebook, "kernel": os.getpid()}
        before = _last_session(session, notebook)
        if before is not None:
            details["restart_of"] = before
        if shell.execution_count > FIRST_CELLS and id(shell) not in _known:
            details["cells_before"] = f"{shell.execution_count - 1} cells ran before recording began"
        self.run = Run(session, scratch=True, entry=name, details=details, keep_output=False)

    def start(self) -> None:
        """Begin to record."""
        self.run.start()
        set_default_run(self.run)
        self._shell.events.register("pre_run_cell", self._before_cell)
        self._shell.events.register("post_run_cell", self._after_cell)
        atexit.register(self.stop)

    def stop(self) -> None:
        """End the execution: the kernel is going, or the extension is unloaded."""
        for event, work in (("pre_run_cell", self._before_cell), ("post_run_cell", self._after_cell)):
            with contextlib.suppress(ValueError):
                self._shell.events.unregister(event, work)
        set_default_run(None)
        atexit.unregister(self.stop)
        if self._cell:
            # The cell that asks for the end goes on without being watched.
            self._keep_cell(None)
        self.run.end()

    def _before_cell(self, info: object) -> None:
        source = str(getattr(info, "raw_cell", "") or "")
        self._cell = {
            "number": self._shell.execution_count,
            "source": screen(source[:LONGEST_CELL]).text,
            "cut": len(source) > LONGEST_CELL,
            "started_at": time.time_ns() // 1000,
            **self._place(str(getattr(info, "cell_id", None) or "")),
        }
        self._write(CELL_NOW, {**self._cell, "ended_at": None, "error": CUT_OFF}, "w")

    def _place(self, cell: str) -> dict[str, Any]:
        """Whether the cell ran before, and whether cells that stood behind it when first run came in between."""
        if not cell:
            return {}
        again = cell in self._first
        place = self._first.setdefault(cell, len(self._first))
        out_of_order = again and place < self._furthest
        self._furthest = max(self._furthest, place)
        return {"cell": cell, "again": again, "out_of_order": out_of_order}

    def _after_cell(self, result: object) -> None:
        if not self._cell:
            return
        error = getattr(result, "error_before_exec", None) or getattr(result, "error_in_exec", None)
        told = f"{type(error).__name__}: {error}"[:LONGEST_ERROR] if error is not None else None
        self._keep_cell(screen(told).text if told else None)

    def _keep_cell(self, error: str | None) -> None:
        record = {**self._cell, "ended_at": time.time_ns() // 1000, "error": error}
        self._cell = {}
        self._write(CELLS, record, "a")
        with contextlib.suppress(OSError):
            (self.run.folder / CELL_NOW).unlink()

    def _write(self, name: str, record: Mapping[str, Any], mode: str) -> None:
        try:
            with (self.run.folder / name).open(mode, encoding="utf-8", errors="backslashreplace") as file:
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
        except OSError as problem:
            tell(f"A cell could not be kept: {problem.strerror}.")


_recorders: dict[int, Recorder] = {}
_known: set[int] = set()
"""The shells whose cells were recorded before: what ran in them is on record."""


def load(shell: Shell, folder: str | os.PathLike[str] | None = None) -> None:
    """Begin to record in the study named by CG_STUDY, or in the nearest one around the current folder."""
    if id(shell) in _recorders:
        return
    session = open_study(Path(folder or os.environ.get("CG_STUDY") or "."), via="notebook")
    recorder = Recorder(session, shell, notebook=os.environ.get("JPY_SESSION_NAME"))
    recorder.start()
    _recorders[id(shell)] = recorder
    _known.add(id(shell))


def unload(shell: Shell) -> None:
    """Stop recording."""
    recorder = _recorders.pop(id(shell), None)
    if recorder is not None:
        recorder.stop()


def _last_session(session: Session, notebook: str | None) -> str | None:
    """The execution of the kernel session before this one, of the same notebook."""
    if notebook is None:
        return None
    found = session.read("execution find", filter=f'name ~ "{Path(notebook).stem.replace(chr(34), "")}"', limit=20)
    same = [one.execution for one in found if one.execution.details.get("notebook") == notebook]
    return f"{same[0].name}" if same else None
