"""Programs in processes of their own, started through each of the three doors, and what is on record of them after."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any, NamedTuple

from commonground.operations.delivery import sync
from commonground.operations.session import Session
from commonground.operations.studies import create_study
from commonground.structure import tables

DOORS = {
    "with": """
        import commonground as cg
        study = cg.open(os.environ["STUDY"])
        run = study.run(name="truth")
        log = lambda value: run.log({"loss": value})
        def train():
            with run:
                work()
    """,
    "track": """
        import commonground as cg
        study = cg.open(os.environ["STUDY"])
        log = lambda value: cg.current_run().log({"loss": value})
        @study.track(name="truth")
        def train():
            work()
    """,
    "cg run": """
        log = lambda value: None
        def train():
            work()
    """,
}
CG_RUN = (sys.executable, "-c", "from commonground.interfaces.cli import main; main()", "run", "--name", "truth")
INSIDE = ("with", "track")


class Told(NamedTuple):
    """What is on record of one program."""

    status: str
    reason: str
    record: Any
    log: str


class Scene:
    """A study, and a folder in which programs are run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.session: Session = create_study(folder / "study", name="Test study")
        self.known: set[int] = set()

    def start(
        self,
        door: str,
        body: str,
        *,
        more: dict[str, str] | None = None,
        first: str = "",
        shown: int = subprocess.DEVNULL,
    ) -> tuple[subprocess.Popen[bytes], Path]:
        """Start a program through a door, with more variables, and lines before all others; process and folder."""
        where = self.folder / f"{len(list(self.folder.iterdir()))}"
        where.mkdir()
        text = "import multiprocessing, os, signal, sys, time\nfrom pathlib import Path\n" + first
        text += textwrap.dedent(DOORS[door]) + "def work():\n" + textwrap.indent(textwrap.dedent(body), "    ")
        text += "\nif __name__ == '__main__':\n    train()\n"
        (where / "train.py").write_text(text)
        command = [sys.executable, "train.py"]
        if door == "cg run":
            command = [*CG_RUN, "--study", str(self.session.ground.folder.parent), "--", *command]
        given = {**os.environ, "STUDY": str(self.session.ground.folder.parent), **(more or {})}
        streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": shown, "stderr": shown}
        return subprocess.Popen(command, cwd=where, env=given, **streams), where

    def begin(self, door: str, body: str, **more: Any) -> tuple[subprocess.Popen[bytes], Path]:
        """Start a program and wait until it has made the file `ready`."""
        process, where = self.start(door, body, **more)
        wait_for(where / "ready")
        return process, where

    def run(self, door: str, body: str, **more: Any) -> tuple[int, Told]:
        """Run a program to its end; its exit status, and the one execution that it made."""
        process, _ = self.start(door, body, **more)
        code = process.wait(timeout=100)
        return code, self.look()

    def look(self) -> Told:
        """The one execution that is new, after whatever was left has been delivered."""
        sync(self.session)
        found = self.session.read("execution find", limit=100)
        new = [one.execution.rid for one in found if one.execution.rid not in self.known]
        self.known.update(new)
        assert len(new) == 1, [one.execution for one in found if one.execution.rid in new]
        record = self.session.read("execution get", execution=new[0])
        with self.session.ground.view() as view:
            logs = {row.rid: row.digest for row in view.list_rows(tables.asset, tables.asset.c.kind == "log")}
        digests = [logs[named.rid] for _, named in record.outputs if named.rid in logs]
        text = self.session.ground.blobs.get_bytes(digests[0]).decode() if digests else ""
        return Told(str(record.execution.status), record.execution.reason or "", record, text)

    def status(self) -> str:
        """How the newest execution stands, after a `cg sync` by somebody else."""
        sync(self.session)
        return str(self.session.read("execution find", limit=1)[0].execution.status)


def wait_for(path: Path) -> None:
    """Wait until a file is there."""
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.05)
