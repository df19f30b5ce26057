"""One execution per job: where this process stands among ranks and array tasks, and how they find one another.

The rank 0 of a job is the execution; other ranks are its children. They agree on its rid by a small file in the
study's spool folder, made by whoever comes first. The tasks of an array are children of one execution that stands for
the whole array. Under `cg run` the launcher's execution is the one that rank 0 takes over.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from commonground.identity import Mint, Rid, read_rid, show_rid
from commonground.store.processes import host_name, process_start
from commonground.structure.environment import rank

EXECUTION: Final = "CG_EXECUTION"
STUDY: Final = "CG_EXECUTION_STUDY"
TAKEN: Final = "taken"
JOBS: Final = "jobs"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a process stands in its job."""

    rank: int = 0
    """Its number, from 0."""
    size: int = 1
    """How many there are."""
    task: str | None = None
    """The number of its array task, if the job is an array."""
    job: str = ""
    """What all processes of the job, and no others, have in common; empty if it stands alone."""

    @property
    def alone(self) -> bool:
        """Whether there is no other."""
        return self.size <= 1 and self.task is None

    def facts(self) -> dict[str, object]:
        """What is told of it among the execution's details."""
        told: dict[str, object] = {}
        if self.size > 1:
            told |= {"rank": self.rank, "world_size": self.size}
        if self.task is not None:
            told["array_task"] = self.task
        return told


def find_standing(environment: Mapping[str, str]) -> Standing:
    """Where this process stands, by what launchers say in the environment."""
    found = rank(environment)
    if found is None:
        return Standing()
    if found.launcher.endswith("array"):
        return Standing(0, 1, str(found.rank), f"{found.launcher} {found.job or _parent()}")
    if found.world is None or found.world <= 1:
        return Standing()
    # Without a name that is new with each job, the launcher's process is what the ranks have in common.
    named = found.job if found.job and found.job != "none" else _parent()
    return Standing(found.rank, found.world, None, f"{found.launcher} {named}")


def _parent() -> str:
    parent = os.getppid()
    return f"{host_name()} {parent} {process_start(parent)}"


def agree_on(spools: Path, key: str, mint: Mint) -> tuple[Rid, bool]:
    """The rid that all who come with this key agree on, and whether this process was the first.

    Raises OSError if the folder cannot be written.
    """
    folder = spools / JOBS
    folder.mkdir(exist_ok=True)
    target = folder / hashlib.sha256(key.encode()).hexdigest()[:32]
    with contextlib.suppress(FileNotFoundError):
        return read_rid(target.read_text()), False
    rid = mint.one()
    temporary = folder / f".{secrets.token_hex(8)}"
    temporary.write_text(show_rid(rid))
    try:
        # A link, unlike a rename, is refused if somebody was quicker.
        os.link(temporary, target)
    except FileExistsError:
        return read_rid(target.read_text()), False
    finally:
        temporary.unlink()
    return rid, True


def launched(environment: Mapping[str, str], study: str) -> Rid | None:
    """The execution of the launcher that started this process, if it is of this study."""
    text = environment.get(EXECUTION)
    if not text or environment.get(STUDY) != study:
        return None
    return read_rid(text)


def take_over(folder: Path, standing: Standing) -> bool:
    """Whether this process becomes the launcher's execution itself: one process can, and of ranks only the first."""
    if standing.rank != 0 or standing.task is not None:
        return False
    try:
        os.close(os.open(folder / TAKEN, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError:
        return False
    return True
