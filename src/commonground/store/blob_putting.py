"""How blobs get in: stage all, one sync for the bytes, give the names, one sync for the names.

A blob that seems to be there already is only marked as wanted. If a sweep takes it away before that, it is staged
after all. Looking, marking and naming happen under the shared lock of the generations, so no sweep comes in between.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from commonground.store import files
from commonground.store.blob_places import Places, stat_of
from commonground.store.faults import point
from commonground.store.generations import mark_time, read_mark
from commonground.store.parallel import in_threads
from commonground.store.staging import BLOB_MODE, Seems, Staging, Taken, staging

POOLED = 256 << 10
"""Bytes from which a file is worth a thread."""

_STEP = 256
"""How many blobs are marked or named under one lock."""

Source = Callable[[Staging, Seems], Taken]
"""Stages one thing."""
Report = Callable[[int, int], None]


def put(places: Places, hold: int, sources: Sequence[Source], report: Report, *, threads: bool = False) -> list[Taken]:
    """Save what the sources give, durably, and say what it was, in order."""
    results: dict[int, Taken] = {}
    todo = list(range(len(sources)))
    folders: set[str] = set()
    with staging(places.root, hold) as batch:
        while todo:
            def take(index: int) -> Taken:
                return sources[index](batch, lambda digest, size: _seems(places, digest, size))
            taken = in_threads(take, todo) if threads else map(take, todo)
            ...
