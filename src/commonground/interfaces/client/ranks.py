"""One execution per job: where this process stands among ranks, array tasks and workers, and how they find one another.

The rank 0 of a job is the execution; other ranks are its children. They agree on its rid by a small file in the
study's spool folder, made by whoever comes first. The tasks of an array are children of one execution that stands for
the whole array. Under `cg run` the launcher's execution is the one that rank 0 takes over.

A run says in the environment which execution it is, so that the processes that it starts become its children, and a
program that replaces itself (exec) finds its execution again. While two runs that are not part of one another are
active in one process nothing is said, because it could be wrong.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from commonground.identity import Rid, read_rid, show_rid
from commonground.store.processes import host_name, process_start
from commonground.structure.environment import rank

EXECUTION: Final = "CG_EXECUTION"
STUDY: Final = "CG_EXECUTION_STUDY"
STANDING: Final = "CG_EXECUTION_STANDING"
TAKEN: Final = "taken"
JOBS: Final = "jobs"
STALE_S: Final = 600.0
"""The ranks of one start come within so long of one another; a name that is older belongs to an earlier start."""


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
    tasks: int | None = None
    """How many tasks the array has, if the launcher says."""

    @property
    def text(self) -> str:
        """Which of the processes of its job it is; empty if it stands alone."""
        return "" if self.alone else f"{self.rank} {self.task or ''}".strip()

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
        return Standing(0, 1, str(found.rank), f"{found.launcher} {found.job or _parent()}", found.world)
    if found.world is None or found.world <= 1:
        return Standing()
    # Without a name that is new with each job, the launcher's process is what the ranks have in common.
    named = found.job if found.job and found.job != "none" else _parent()
    return Standing(found.rank, found.world, None, f"{found.launcher} {named} {found.attempt}")


def _parent() -> str:
    parent = os.getppid()
    return f"{host_name()} {parent} {process_start(parent)}"


def agree_on(spools: Path, standing: Standing, make: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """What all processes of a job agree on: what the first of them made.

    Raises OSError if the folder cannot be written, ValueError if what is there cannot be read.
    """
    folder = spools / JOBS
    folder.mkdir(exist_ok=True)
    target = folder / hashlib.sha256(standing.job.encode()).hexdigest()[:32]
    if standing.task is None:
        _forget_stale(target)
    with contextlib.suppress(FileNotFoundError):
        return dict(json.loads(target.read_text(encoding="utf-8")))
    temporary = folder / f".{secrets.token_hex(8)}"
    temporary.write_text(json.dumps(make()), encoding="utf-8")
    try:
        # A link, unlike a rename, is refused if somebody was quicker.
        with contextlib.suppress(FileExistsError):
            os.link(temporary, target)
    finally:
        temporary.unlink()
    return dict(json.loads(target.read_text(encoding="utf-8")))


def _forget_stale(target: Path) -> None:
    """Let go of what an earlier start of the same name agreed on."""
    with contextlib.suppress(FileNotFoundError):
        if time.time() - target.stat().st_mtime > STALE_S:
            target.unlink()


def launched(environment: Mapping[str, str], study: str) -> Rid | None:
    """The execution of the process that started this one, if it is of this study; not one that this process said."""
    text = environment.get(EXECUTION)
    if not text or environment.get(STUDY) != study or _said == (os.getpid(), text):
        return None
    return read_rid(text)


def describe_for_children(execution: Rid, study: str, standing: Standing) -> dict[str, str]:
    """The variables that tell a process which execution it is a part of."""
    return {EXECUTION: show_rid(execution), STUDY: study, STANDING: standing.text}


def take_over(folder: Path, standing: Standing, environment: Mapping[str, str]) -> bool:
    """Whether this process becomes the launcher's execution itself: one process can, and of ranks only the first.

    A launcher that is itself a rank or a task stands for no other: then it is the one in the same place.
    """
    if standing.text != environment.get(STANDING, "") and (standing.rank != 0 or standing.task is not None):
        return False
    return take(folder)


def take(folder: Path) -> bool:
    """Take an execution for this process; False if one has it already."""
    try:
        os.close(os.open(folder / TAKEN, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError:
        return False
    return True


_said: tuple[int, str] | None = None
_active: set[Rid] = set()


def announce(execution: Rid, study: str, standing: Standing, folder: Path) -> None:
    """Say to the processes that will be started which execution they are a part of."""
    global _said  # noqa: PLW0603 - there is one environment
    _active.add(execution)
    if len(_active) > 1:
        _take_back()
    elif EXECUTION not in os.environ:
        take(folder)
        os.environ.update(describe_for_children(execution, study, standing))
        _said = (os.getpid(), show_rid(execution))
    elif os.environ[EXECUTION] == show_rid(execution):
        # The program replaced itself; what it had said then is its own.
        _said = (os.getpid(), show_rid(execution))


def withdraw(execution: Rid) -> None:
    """Say no more that an execution is there."""
    _active.discard(execution)
    if _said == (os.getpid(), show_rid(execution)):
        _take_back()


def _take_back() -> None:
    global _said  # noqa: PLW0603 - there is one environment
    if _said is not None and _said[0] == os.getpid():
        for name in (EXECUTION, STUDY, STANDING):
            os.environ.pop(name, None)
        _said = None


os.register_at_fork(after_in_child=_active.clear)
