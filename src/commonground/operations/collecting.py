"""Collection: files that no row of any time names, rows of unfinished batches and workspaces that were left, go."""

from __future__ import annotations

import json
from dataclasses import dataclass

import sqlalchemy as sa

from commonground.identity import Rid
from commonground.store import batches, schema, workspaces
from commonground.store.ground import Ground
from commonground.store.processes import ProcessMark, process_alive
from commonground.structure.stored_files import find_named

UNKNOWN_AFTER_S = 7 * 24 * 3600
"""Rows staged by a process that cannot be looked at are taken for left behind after this time."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection removed, or would remove."""

    done: bool
    """Whether it was removed."""
    files: int
    """Files that no row of any time names."""
    bytes: int
    """How many bytes they have."""
    batches: int
    """Unfinished batches whose process has ended."""
    named: int
    """Files that something names."""


@dataclass(frozen=True, slots=True)
class Orphan:
    """Rows that were staged and never published."""

    batch: Rid
    """Their batch."""
    table: str
    """Their table."""
    at: int
    """When staging began, UTC microseconds."""
    alive: bool | None
    """Whether the process that staged them still runs; None if it ran where this one cannot look."""

    def is_left(self, now: int) -> bool:
        """Whether nobody will publish them."""
        return self.alive is False or (self.alive is None and now - self.at > UNKNOWN_AFTER_S * 1_000_000)


def collect(ground: Ground) -> Collected:
    """Remove what nothing names and nobody is about to name, beside whoever is at work."""
    blobs = ground.blobs
    generation = blobs.begin_generation()
    with ground.database.read() as connection:
        named = find_named(connection, blobs)
    left = _list_left(ground)
    for orphan in left:
        batches.discard(ground.database, schema.metadata.tables[orphan.table], orphan.batch)
    swept = blobs.sweep(named, generation)
    for folder in (ground.cache_folder, ground.folder.parent):
        workspaces.sweep(folder)
    return Collected(done=True, files=len(swept.digests), bytes=swept.size, batches=len(left), named=len(named))


def measure_collection(ground: Ground) -> Collected:
    """What a collection would remove, as far as it can be seen without beginning one."""
    blobs = ground.blobs
    with ground.database.read() as connection:
        named = find_named(connection, blobs)
    unwanted = [digest for digest in blobs.iterate() if digest not in named]
    size = sum(blobs.size(digest) for digest in unwanted)
    left = len(_list_left(ground))
    return Collected(done=False, files=len(unwanted), bytes=size, batches=left, named=len(named))


def list_orphans(ground: Ground) -> list[Orphan]:
    """Batches that are staged and not published, with what is known of their process."""
    with ground.database.read() as connection:
        rows = connection.execute(sa.select(schema.staging).order_by(schema.staging.c.batch)).all()
    return [Orphan(row.batch, row.name, row.at, _is_alive(row.process)) for row in rows]


def _list_left(ground: Ground) -> list[Orphan]:
    return [orphan for orphan in list_orphans(ground) if orphan.is_left(ground.clock())]


def _is_alive(text: str) -> bool | None:
    try:
        mark = ProcessMark(**json.loads(text))
    except (TypeError, ValueError):
        return None
    return process_alive(mark.pid, mark.start, mark.boot_id, mark.host)
