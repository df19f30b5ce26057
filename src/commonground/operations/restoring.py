"""Bringing a study back from a backup, and to a newer schema; both are commands, because no study is open yet."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

from commonground.errors import BrokenFile
from commonground.identity import Actor, Rid, read_rid
from commonground.operations.completing import DENY_LIST
from commonground.operations.plans import Role
from commonground.operations.session import Session
from commonground.store import backup as copies
from commonground.store import ground, migrations
from commonground.store.backup import Restored
from commonground.store.ground import Ground
from commonground.structure import entities
from commonground.structure.stored_files import list_file_uses

KEPT_ELSEWHERE = "Take it from where it is kept."
Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class BroughtBack:
    """A study restored from a backup."""

    restored: Restored
    """What was restored, and what its verification found."""
    erased_again: int
    """How many entities were erased again, because they had been erased after the backup."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """A study brought to the newest schema."""

    done: bool
    """Whether the steps were run."""
    before: int
    """The schema that it had."""
    after: int
    """The schema that it has now, or would have."""
    steps: tuple[str, ...]
    """What the steps do."""
    backup: Path | None
    """Where the backup made before lies."""


def _silent(_what: str, _more: int) -> None:
    return


def restore_study(
    source: Path, folder: Path, *, url: str | None = None, erased: Path | None = None, progress: Progress = _silent
) -> BroughtBack:
    """Restore a backup into a folder without a study, and erase again what was erased since.

    `erased` is today's list of erasures, which lies beside the study (`.commonground/erased.jsonl`); without it the
    list in the backup is used.
    """
    listed = _read_erased(erased) if erased is not None else None
    again = 0

    def erase_again(made: Ground) -> None:
        nonlocal again
        entries = _read_erased(made.folder / DENY_LIST) if listed is None else listed
        session = Session(made, Actor(name="restore", via="restore"), Role.OWNER)
        again = sum(_erase_again(session, entry) for entry in entries)

    restored = copies.restore(source, folder, url=url, files_used=list_file_uses, progress=progress, finish=erase_again)
    return BroughtBack(restored, again)


def _erase_again(session: Session, entry: dict[str, Any]) -> int:
    count = 0
    for place, texts in entry["entities"].items():
        for text in texts:
            found = _there(session, place, read_rid(text))
            if found is not None:
                kind, key = found
                session.write(
                    "erase", type=kind, key=key, basis=entry["basis"], why="Erased after the backup was made."
                )
                count += 1
    return count


def _there(session: Session, place: str, rid: Rid) -> tuple[str, str] | None:
    """The type and the key of an entity of which anything is held, living or taken back."""
    with session.reading() as on:
        kind = next((kind for kind in entities.list_types(on.view) if kind.place == place), None)
        key = entities.find_last_key(on.view, kind, entities.resolve_alias(on.view, rid)) if kind else None
        return (kind.name, key) if kind and key else None


def _read_erased(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        good = all(isinstance(entry["basis"], str) and isinstance(entry["entities"], dict) for entry in entries)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BrokenFile(f"The list of erasures {path} cannot be read: {error}.", todo=KEPT_ELSEWHERE) from error
    if not good:
        raise BrokenFile(f"The list of erasures {path} is damaged.", todo=KEPT_ELSEWHERE)
    return entries


def migrate_study(folder: Path, *, dry_run: bool = False, progress: Progress = _silent) -> Migrated:
    """Bring a study to the newest schema: a backup first, then all steps or none."""
    opened = ground.open_folder(folder, check=False)
    try:
        with opened.database.read() as connection:
            before = int(migrations.read_meta(connection)["schema"])
            steps = migrations.plan(connection)
            if before >= migrations.NEWEST:
                migrations.check(connection)
        told = tuple(step.what for step in steps)
        if dry_run or not steps:
            return Migrated(done=False, before=before, after=migrations.NEWEST, steps=told, backup=None)
        place = _new_folder(opened.folder.parent / f"backup-schema-{before}-{time.strftime('%Y%m%d-%H%M%S')}")
        made = copies.backup(opened, place, check=False, progress=progress)
        with opened.database.write() as connection:
            migrations.run(connection, migrations.plan(connection))
        return Migrated(done=True, before=before, after=migrations.NEWEST, steps=told, backup=made.folder)
    finally:
        opened.close()


def _new_folder(wanted: Path) -> Path:
    """The path, or the first like it that nothing has: an attempt of the same second may have been cut off."""
    names = chain([wanted], (wanted.with_name(f"{wanted.name}-{number}") for number in count(2)))
    return next(path for path in names if not path.exists())
