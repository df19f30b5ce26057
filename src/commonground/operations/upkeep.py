"""Keeping a study sound: verify it, keep a checkpoint, back it up, remove what nothing names any more."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from commonground.errors import InvalidInput
from commonground.operations.collecting import Collected, collect, measure_collection
from commonground.operations.plans import Reading
from commonground.store import backup as copies
from commonground.store import files
from commonground.store.backup import Backup
from commonground.store.ground import Ground
from commonground.store.verify import Verification, checkpoint, verify
from commonground.structure.stored_files import list_file_uses

BACKUPS = "backups.json"
Progress = Callable[[str, int], None]


def _silent(_what: str, _more: int) -> None:
    return


def read_verify(
    on: Reading,
    *,
    full: bool = False,
    sample: float | None = None,
    checkpoint: str | None = None,
    progress: Progress = _silent,
) -> Verification:
    """Recompute the record and look for its files; `checkpoint` is a file with a checkpoint kept elsewhere."""
    kept = None
    if checkpoint is not None:
        try:
            kept = Path(checkpoint).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(
                f"The checkpoint {checkpoint} cannot be read: {error}.", todo="Check the path."
            ) from error
    return verify(on.ground, full=full, sample=sample, checkpoint=kept, files=list_file_uses, progress=progress)


def read_checkpoint(on: Reading) -> str:
    """The head of the chain as a few lines to keep elsewhere."""
    return checkpoint(on.ground)


def read_backup(on: Reading, *, folder: str, check: bool = True, progress: Progress = _silent) -> Backup:
    """Copy the study to a new folder and verify the copy."""
    target = Path(folder).absolute()
    if target.is_relative_to(on.ground.folder.absolute()):
        raise InvalidInput("A backup inside the study's own folder is lost with it.", todo="Name a folder elsewhere.")
    return copies.backup(
        on.ground,
        target,
        files_used=list_file_uses,
        check=check,
        progress=progress,
        # One that is known and not there is not listed; one that is there and not known would be.
        remember=lambda: remember_backup(on.ground, target),
    )


def read_backups(on: Reading) -> list[Backup]:
    """The backups that were made here and are still where they were put, the newest first."""
    return list_backups(on.ground)


def read_gc(on: Reading, *, dry_run: bool = False) -> Collected:
    """Remove files that no row of any time names, and rows of unfinished batches whose process has ended."""
    return measure_collection(on.ground) if dry_run else collect(on.ground)


def remember_backup(ground: Ground, folder: Path) -> None:
    """Keep in mind where a backup was put."""
    known = [text for text in _remembered(ground) if text != str(folder)]
    files.write_atomically(ground.folder / BACKUPS, json.dumps([*known, str(folder)], indent=1).encode())


def list_backups(ground: Ground) -> list[Backup]:
    """The backups that were made here and are still where they were put, the newest first."""
    found = []
    for text in _remembered(ground):
        with contextlib.suppress(Exception):  # a disk that is not there, a folder that was emptied
            found.append(copies.get_backup(Path(text)))
    return sorted(found, key=lambda made: -made.made_at)


def _remembered(ground: Ground) -> list[str]:
    try:
        told: Any = json.loads((ground.folder / BACKUPS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [text for text in told if isinstance(text, str)] if isinstance(told, list) else []


def age_days(at: int, now: int | None = None) -> float:
    """How many days ago a moment in UTC microseconds was."""
    return ((now or time.time_ns() // 1000) - at) / 86_400_000_000
