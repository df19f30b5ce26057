"""Real Jupyter kernels: restarted, interrupted, killed, two at once; one truthful execution of each session."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

from commonground.operations.delivery import sync
from commonground.operations.session import Session
from commonground.operations.studies import create_study
from commonground.structure.tables import asset

pytestmark = [pytest.mark.soak, pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")]
LOAD = "%load_ext commonground"


class Kernel:
    """A kernel of a notebook, as a server of notebooks starts it."""

    def __init__(self, study: Path, notebook: str) -> None:
        self._manager = KernelManager(kernel_name="python3")
        given = {**os.environ, "JPY_SESSION_NAME": notebook, "IPYTHONDIR": str(study / "ipython")}
        self._manager.start_kernel(env=given, cwd=str(study))
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=90)
        assert self.run(LOAD) == "ok"

    @property
    def pid(self) -> int:
        """The kernel's process."""
        return int(self.ask("__import__('os').getpid()"))

    def run(self, source: str, cell: str = "") -> str:
        """Run a cell, by the name that a notebook gives it; how it ended."""
        content = {"code": source, "silent": False, "store_history": True, "user_expressions": {}}
        content |= {"allow_stdin": False, "stop_on_error": False}
        message = self._client.session.msg("execute_request", content, metadata={"cellId": cell} if cell else None)
        self._client.shell_channel.send(message)
        while True:
            reply = self._client.get_shell_msg(timeout=90)
            if reply["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                return str(reply["content"]["status"])

    def ask(self, expression: str) -> str:
        """The value of an expression, which is no cell."""
        told = self._client.execute("", silent=True, user_expressions={"it": expression})
        while True:
            reply = self._client.get_shell_msg(timeout=90)
            if reply["parent_header"].get("msg_id") == told:
                return str(reply["content"]["user_expressions"]["it"]["data"]["text/plain"])

    def begin(self, source: str) -> None:
        """Run a cell and do not wait for its end."""
        self._client.execute(source, stop_on_error=False)

    def interrupt(self) -> None:
        """What the square button does."""
        self._manager.interrupt_kernel()

    def restart(self) -> None:
        """A new process for the same notebook, in good order."""
        self._manager.restart_kernel(now=False)
        self._client.wait_for_ready(timeout=90)
        assert self.run(LOAD) == "ok"

    def close(self, *, now: bool = True) -> None:
        """End the kernel."""
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=now)
        self._manager.cleanup_resources()


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A new study that is a folder."""
    made = create_study(tmp_path, name="Test study")
    yield made
    made.ground.close()


@pytest.fixture
def kernels(session: Session) -> Iterator[Any]:
    """Makes kernels of notebooks in the study, and ends those that are left."""
    made: list[Kernel] = []

    def make(notebook: str = "explore.ipynb") -> Kernel:
        made.append(Kernel(session.ground.folder.parent, notebook))
        return made[-1]

    yield make
    for kernel in made:
        kernel.close()


def records_of(session: Session) -> list[Any]:
    """All executions, the oldest first, after whatever was left has been delivered."""
    sync(session)
    found = session.read("execution find", limit=50)
    return [session.read("execution get", execution=one.execution.rid) for one in reversed(found)]


def cells_of(session: Session, record: Any) -> list[dict[str, Any]]:
    """The cells that are on record for an execution."""
    outputs = {named.rid for _, named in record.outputs}
    with session.ground.view() as view:
        (kept,) = [row for row in view.list_rows(asset, asset.c.kind == "cells") if row.rid in outputs]
    return [json.loads(line) for line in session.ground.blobs.get_bytes(kept.digest).decode().splitlines()]


def wait_for(path: Path) -> None:
    """Wait until a file is there."""
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.05)


def test_cells_of_a_kernel_are_on_record(session: Session, kernels: Any) -> None:
    """Cells out of order, interrupted and failed ones, and a run in one of them; then a shutdown in good order."""
    kernel = kernels()
    here = session.ground.folder.parent
    assert [kernel.run("x = 1", "a"), kernel.run("1 / 0", "b"), kernel.run("x = 2", "a")] == ["ok", "error", "ok"]
    kernel.begin("import pathlib, time\npathlib.Path('busy').touch()\ntime.sleep(60)")
    wait_for(here / "busy")
    kernel.interrupt()
    inside = "import commonground as cg\nwith cg.open().run(name='inside') as run:\n    run.log({'loss': 1.0})"
    assert kernel.run(inside, "c") == "ok"
    assert [str(record.execution.status) for record in records_of(session)] == ["running", "finished"]
    kernel.close(now=False)
    notebook, run = records_of(session)
    assert (notebook.execution.status, notebook.execution.scratch) == ("finished", True)
    assert (run.execution.parent, run.metrics["loss"].points) == (notebook.execution.rid, 1)
    cells = cells_of(session, notebook)
    assert [cell["source"].splitlines()[-1] for cell in cells[:4]] == ["x = 1", "1 / 0", "x = 2", "time.sleep(60)"]
    assert [(cell["error"] or "").partition(":")[0] for cell in cells] == [
        *("", "ZeroDivisionError", "", "KeyboardInterrupt", ""),
    ]
    assert [cell.get("out_of_order") for cell in cells[:3]] == [False, False, True]


def test_a_restart_is_another_execution(session: Session, kernels: Any) -> None:
    """The restart ends the first session in good order; the second names the first."""
    kernel = kernels()
    kernel.run("x = 1")
    kernel.restart()
    kernel.run("x = 2")
    kernel.close(now=False)
    first, second = records_of(session)
    assert [first.execution.status, second.execution.status] == ["finished", "finished"]
    assert second.execution.details["restart_of"] == first.execution.name
    assert [[cell["source"] for cell in cells_of(session, one)] for one in (first, second)] == [["x = 1"], ["x = 2"]]


@pytest.mark.parametrize("end", ["kill", "import os; os._exit(1)"])
def test_the_cell_in_which_a_kernel_dies_is_on_record(session: Session, kernels: Any, end: str) -> None:
    """A kernel that is killed from outside, or leaves at once, is lost, and the cell that ran has no end."""
    kernel = kernels()
    kernel.run("x = 1")
    pid = kernel.pid
    kernel.begin(f"import pathlib, time\npathlib.Path('busy').touch()\n{end if end != 'kill' else 'time.sleep(60)'}")
    wait_for(session.ground.folder.parent / "busy")
    if end == "kill":
        os.kill(pid, signal.SIGKILL)
    time.sleep(1)
    (record,) = records_of(session)
    assert (record.execution.status, "without a last word" in record.execution.reason) == ("lost", True)
    cells = cells_of(session, record)
    assert [(cell["source"].splitlines()[0], cell["ended_at"] is None) for cell in cells] == [
        ("x = 1", False),
        ("import pathlib, time", True),
    ]
    assert cells[-1]["error"] == "the kernel ended while it ran"


def test_two_notebooks_at_once_are_two_executions(session: Session, kernels: Any) -> None:
    """Each has its own cells; the death of one does not touch the other, and loading again begins nothing."""
    one, other = kernels("one.ipynb"), kernels("other.ipynb")
    one.run("a = 1")
    other.run("b = 1")
    assert one.run(LOAD) == "ok"
    os.kill(other.pid, signal.SIGKILL)
    time.sleep(1)
    assert [str(record.execution.status) for record in records_of(session)] == ["running", "lost"]
    one.run("a = 2")
    one.close(now=False)
    first, second = records_of(session)
    assert [first.execution.status, second.execution.status] == ["finished", "lost"]
    assert [cell["source"] for cell in cells_of(session, first)] == ["a = 1", LOAD, "a = 2"]
    assert [cell["source"] for cell in cells_of(session, second)] == ["b = 1"]
