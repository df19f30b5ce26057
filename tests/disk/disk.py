"""A disk that one can fill, or make read-only, and `cg` at work on it."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shims import build_shim

HERE = Path(__file__).parent
OWN_NAMESPACE = ["unshare", "-rm"]


@functools.cache
def can_mount() -> bool:
    """Whether this account may mount a file system in a namespace of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*OWN_NAMESPACE, "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


@dataclass(frozen=True)
class Told:
    """What a command line said."""

    status: int
    out: str
    err: str


class Disk:
    """A work folder on a disk of its own: one that `disk.c` plays, or a real file system in memory.

    With `at_sync` the played disk takes every write and finds no room at the next sync.
    """

    def __init__(self, root: Path, *, mounted: bool = False, at_sync: bool = False) -> None:
        self.root = root
        self.mounted, self.at_sync = mounted, at_sync
        tests = HERE.parent
        paths = os.pathsep.join(map(str, (HERE, tests / "kill", tests)))
        given = {
            "CG_DISK_ROOT": str(root),
            "XDG_STATE_HOME": str(root / "state"),
            "PYTHONPATH": paths,
            "PYTHONDONTWRITEBYTECODE": "1",
            "NO_COLOR": "1",
        }
        given |= {"CG_DISK": "tmpfs"} if mounted else {"LD_PRELOAD": str(build_shim(HERE / "disk.c"))}
        self._server = subprocess.Popen(
            [*(OWN_NAMESPACE if mounted else []), sys.executable, str(HERE / "disk_server.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **given, "CG_PERSON": "Tester"},
        )
        self._order("prepare")

    def fresh(self) -> None:
        """Bring the work folder back to the beginning."""
        self._order("fresh")

    def cg(self, *words: str, room: int = -1, only_read: bool = False, protect: str = "") -> Told:
        """Run a command line with so much room left, on a disk that can only be read, or with a path protected."""
        asked = {"room": room, "at_sync": self.at_sync, "only_read": only_read, "protect": protect}
        return Told(**self._order("cg", words=words, **asked))

    def leave_a_log(self) -> None:
        """Cut a program off in the study, so that its log is left, and take the index of the log away."""
        self._order("cut")

    def look(self, study: str = "study") -> Any:
        """What is visible of a study; None if there is none."""
        return self._order("look", study=study)

    def end(self) -> None:
        """End the process."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait(timeout=60)
        self._server.stdout.close()

    def _order(self, what: str, **more: Any) -> Any:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps({"do": what, **more}) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())
