"""Runs a workload and logs, in order, all it does to the files of one folder and what it acknowledges.

The workload is a script that runs as a child with `shim.c` loaded before the C library, so Python, SQLite and
everything else in it (and its own children) are caught at the same place. It tells what it has promised with
`acknowledge.acknowledge(...)`: what was acknowledged must be found in every image of a later power cut.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shims import build_shim

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "src"
CHANGES = "CWTRLUK"
SYNCS = "SDY"
MEANING = {
    "C": "make a file",
    "W": "write",
    "T": "set the size",
    "S": "sync a file",
    "D": "sync a folder",
    "Y": "sync all",
    "R": "rename",
    "L": "link",
    "U": "remove",
    "K": "make a folder",
    "A": "acknowledge",
    "X": "something that is not modelled",
}
_RECORD = struct.Struct("<cQqI")


@dataclass(frozen=True, slots=True)
class Operation:
    """One call that took effect."""

    kind: str
    """A letter of `MEANING`."""
    inode: int
    """The file it was done to; 0 for names."""
    number: int
    """Offset of a write, or the new size."""
    data: bytes
    """What was written or acknowledged."""
    path: str
    """The name made, removed or synced, below the root; of a rename, the old one."""
    target: str
    """The new name of a rename, below the root."""


@dataclass(frozen=True, slots=True)
class Start:
    """What lay in the folder, durably, before the workload began."""

    files: Mapping[str, tuple[int, bytes]]
    """Inode and bytes of each file by its name below the root."""
    folders: tuple[str, ...]
    """The names of the folders below the root."""


@dataclass(frozen=True, slots=True)
class Log:
    """All that a workload did, in order."""

    start: Start
    """What was there before."""
    operations: tuple[Operation, ...]
    """The calls that took effect."""

    def without(self, unwanted: Callable[[Operation], bool]) -> Log:
        """The log of the same workload had it left out some calls, such as a sync: a mutant."""
        return replace(self, operations=tuple(each for each in self.operations if not unwanted(each)))

    @property
    def acknowledged(self) -> list[dict[str, Any]]:
        """All that was acknowledged."""
        return [json.loads(each.data) for each in self.operations if each.kind == "A"]

    def count(self) -> Counter[str]:
        """How often each kind of call was made."""
        return Counter(each.kind for each in self.operations)


class NotModelled(Exception):
    """The workload did something of which the model knows nothing."""


def record(script: Path, root: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Log:
    """Run `script ROOT ARGUMENTS...` and give the log of what it did below `root`; it must end well.

    What is in `root` before counts as durable. Raises NotModelled if it maps a file to write it, makes a symbolic
    link, or moves a file into or out of the root.
    """
    root = root.resolve()
    aside = Path(tempfile.mkdtemp(prefix="cg-power-"))
    try:
        (aside / "acks").touch()
        start = read_start(root)
        caught = {
            "LD_PRELOAD": str(build_shim(HERE / "shim.c")),
            "CG_POWER_ROOT": str(root),
            "CG_POWER_LOG": str(aside / "log"),
            "CG_POWER_CONTROL": str(aside / "control"),
            "CG_POWER_ACKS": str(aside / "acks"),
            "PYTHONPATH": os.pathsep.join([str(HERE), str(SOURCES)]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        done = subprocess.run(
            [sys.executable, str(script), str(root), *arguments],
            env=os.environ | caught | dict(environment or {}),
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        if done.returncode != 0:
            raise RuntimeError(f"The workload {script.name} failed ({done.returncode}):\n{done.stdout}\n{done.stderr}")
        operations = tuple(read_log((aside / "log").read_bytes(), str(root)))
    finally:
        shutil.rmtree(aside)
    strange = [f"{each.path} {each.target}" for each in operations if each.kind == "X"]
    if strange:
        raise NotModelled("; ".join(strange))
    return Log(start, operations)


def read_start(root: Path) -> Start:
    """What lies below `root` now."""
    found = sorted(root.rglob("*"))
    return Start(
        {str(path.relative_to(root)): (path.stat().st_ino, path.read_bytes()) for path in found if path.is_file()},
        tuple(str(path.relative_to(root)) for path in found if path.is_dir()),
    )


def read_log(raw: bytes, root: str) -> Iterator[Operation]:
    """The operations of the shim's log, paths made relative to `root`."""
    place = 0
    while place < len(raw):
        kind, inode, number, size = _RECORD.unpack_from(raw, place)
        place += _RECORD.size
        first = raw[place : place + size]
        place += size
        (size,) = struct.unpack_from("<I", raw, place)
        place += 4
        second = raw[place : place + size]
        place += size
        letter = kind.decode()
        is_path = letter not in "WA"
        yield Operation(
            letter,
            inode,
            number,
            b"" if is_path else first,
            _below(os.fsdecode(first), root) if is_path else "",
            _below(os.fsdecode(second), root),
        )


def _below(path: str, root: str) -> str:
    return path[len(root) :].lstrip("/") if path == root or path.startswith(f"{root}/") else path
