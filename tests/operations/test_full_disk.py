"""A disk on which there is no room: a clear error, nothing half visible, and all works again afterwards.

The system itself refuses the writes here: no file may grow beyond a limit, which starts at one byte and is raised
fourfold until the verb succeeds, so that blobs, parts, the database and its log are each the first to find no room.
"""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from commonground.errors import StorageError
from commonground.operations.session import Session
from commonground.store.verify import verify

KEYS = [f"v{number}" for number in range(300)]


@contextlib.contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """Let the system refuse every write of this process that makes a file longer than `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def import_table(session: Session, folder: Path) -> object:
    """A table that brings a type, entities and values."""
    return session.write("import table", path=folder / "table.csv", type="Fresh", key="visit")


def annotate(session: Session, _: Path) -> object:
    """More values than go into one row."""
    return session.write("feature annotate", feature="grade", keys=KEYS, values=[1] * len(KEYS))


def release(session: Session, _: Path) -> object:
    """A version with its parts."""
    return session.write("dataset release", dataset="visits")


def back_up(session: Session, folder: Path) -> object:
    """A copy elsewhere."""
    number = sum(1 for path in folder.iterdir() if path.name.startswith("backup"))
    return session.read("backup", folder=str(folder / f"backup-{number}"))


def newest(session: Session) -> int:
    """The newest change; a file that no change names may stay until it is collected."""
    with session.reading() as on:
        return on.view.change


@pytest.mark.parametrize("act", [import_table, annotate, release, back_up])
def test_a_full_disk_stops_a_verb_and_changes_nothing(
    session: Session, tmp_path: Path, act: Callable[[Session, Path], object]
) -> None:
    """However little room there is, the verb raises a storage error and changes nothing, or it succeeds entirely."""
    folder = tmp_path / "work"
    folder.mkdir()
    draw = np.random.default_rng(0)
    rows = "".join(f"{key},{draw.random()}\n" for key in KEYS)
    (folder / "table.csv").write_text("visit,size\n" + rows)
    session.write("type add", name="Visit", columns=[{"name": "size", "holds": "real"}])
    session.write("entity upsert", type="Visit", keys=KEYS, columns={"size": [1.0] * len(KEYS)})
    session.write("feature add", name="grade", type="Visit", holds="int", ordered=True)
    session.write("feature annotate", feature="grade", keys=KEYS, values=[2] * len(KEYS))
    session.write("dataset create", name="visits", type="Visit", keys=KEYS, features=["grade"])
    before, size = newest(session), 1
    told: list[StorageError] = []
    while True:
        try:
            with no_file_beyond(size):
                act(session, folder)
            break
        except StorageError as error:
            told.append(error)
        assert newest(session) == before
        assert session.read("backups") == []
        size *= 4
    # A server keeps its database on its own disk, and values alone leave no file in the study's folder.
    assert all(one.todo for one in told)
    assert told or (act is annotate and session.ground.database.path is None)
    assert verify(session.ground, full=True).intact
    session.write("feature annotate", feature="grade", keys=KEYS, values=[3] * len(KEYS))
    assert len(session.read("backups")) == (act is back_up)
