"""How blobs go away: only those that the record does not name and that nobody may still be about to record.

See generations.py for the rule. The lock is taken for a few blobs at a time, so those who put do not wait long.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from commonground.errors import InvalidInput
from commonground.store import files
from commonground.store.blob_places import FOLDERS, Places, stat_of
from commonground.store.faults import point
from commonground.store.generations import Generation, mark_time, read_mark
from commonground.store.parallel import Progress
from commonground.store.staging import sweep_staging

_STEP: Final = 256


@dataclass(slots=True)
class Swept:
    """What a sweep removed."""

    digests: list[str] = field(default_factory=list)
    """The blobs that are gone."""
    size: int = 0
    """How many bytes they had."""


def sweep(places: Places, keep: frozenset[str], generation: Generation, report: Progress) -> Swept:
    """Remove every blob that is not in `keep` and whose mark is below the floor of `generation`."""
    if generation.number > places.generations.current():
        raise InvalidInput("This generation has not begun in this store.", todo="Begin one with begin_generation().")
    swept = Swept()
    for folder in FOLDERS:
        point("gc.list")
        unwanted = [digest for digest in places.list(folder) if digest not in keep]
        for start in range(0, len(unwanted), _STEP):
            with places.generations.exclusive() as now:
                for digest in unwanted[start : start + _STEP]:
                    size = _remove(places.of(digest), generation, now)
                    if size is not None:
                        swept.digests.append(digest)
                        swept.size += size
                        report(1, size)
        point("gc.swept")
    sweep_staging(places.root, generation.floor)
    return swept


def _remove(place: str, generation: Generation, now: int) -> int | None:
    """Remove one blob, if it may go, and give its size. Only under the exclusive lock."""
    about = stat_of(place)
    if about is None:
        return None
    mark = read_mark(about, now)
    if mark is None:
        # Restored or copied from elsewhere: it counts as new, from now on.
        with suppress(PermissionError):
            os.utime(place, ns=mark_time(now))
        return None
    if mark >= generation.floor:
        return None
    point("gc.sweep")
    files.unlink(place, missing_ok=True)
    return about.st_size
