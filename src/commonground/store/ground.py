"""A study's place: its folder, its database and its blobs, opened together.

.commonground/
  study.toml        name, and the database's address if it is not the file beside it
  catalogue.sqlite  the database (and its -wal, -shm, .lock, .queue)
  blobs/            files by digest
  spool/            what running executions have written and the catalogue has not yet
  cache/            free to delete
"""

from __future__ import annotations

import contextlib
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import sqlalchemy as sa

from commonground.errors import InvalidInput, NotFound, StorageError
from commonground.identity import Mint
from commonground.store import changes, files, migrations, workspaces
from commonground.store.blobs import BlobStore, DirectoryBlobs
from commonground.store.database import Database
from commonground.store.locations import refuse_unsafe
from commonground.store.transaction import Transaction
from commonground.store.view import View

FOLDER = ".commonground"
SETTINGS = "study.toml"
CATALOGUE = "catalogue.sqlite"


class Ground:
    """An open study's storage."""

    def __init__(self, folder: Path, database: Database, blobs: BlobStore, facts: dict[str, str]) -> None:
        self.folder = folder
        self.database = database
        self.blobs = blobs
        self.facts = facts
        self.mint = Mint()
        self.clock: Callable[[], int] = lambda: time.time_ns() // 1000

    @property
    def spool_folder(self) -> Path:
        """Where running executions write."""
        return self.folder / "spool"

    @property
    def cache_folder(self) -> Path:
        """What may be deleted at any time."""
        return self.folder / "cache"

    @contextlib.contextmanager
    def view(self, at: int | None = None) -> Iterator[View]:
        """The study now, or as of a change; raises NotFound for a change that is not there yet."""
        with self.database.read() as connection:
            newest, _ = changes.head(connection)
            if at is not None and not 0 <= at <= newest:
                raise NotFound(f"There is no change {at}; the newest is {newest}.", todo="`cg log` lists the changes.")
            yield View(connection, newest if at is None else at, at is None or at == newest)

    @contextlib.contextmanager
    def change(self) -> Iterator[Transaction]:
        """The next change, open for writing; only a commit of a plan uses this."""
        with self.database.write() as connection:
            yield changes.begin(connection)

    def close(self) -> None:
        """Close the database."""
        self.database.close()


def create(
    folder: Path, *, name: str, study: str, url: str | None = None, begin: Callable[[Ground], None] = lambda _: None
) -> Ground:
    """Make a new study's place in `folder`: whole, with the changes that `begin` makes in it, or not at all.

    Raises InvalidInput if one is there already. A PostgreSQL database in which this was interrupted is emptied by the
    next attempt, unless it was in the moment between the two last steps: then it is refused as not empty.
    """
    refuse_taken(folder)
    if url is None:
        refuse_unsafe(folder)
    with workspaces.filling(folder) as beside:
        made = make_parts(beside, name, study, url)
        try:
            begin(made)
            complete(made)
        finally:
            made.close()
        move_in(beside, folder)
    return open_folder(folder)


def complete(made: Ground) -> None:
    """Say in the database that the study is made: the last step before it is moved in."""
    with made.database.write() as connection:
        migrations.complete(connection)


def refuse_taken(folder: Path) -> None:
    """Raise InvalidInput if there is a study in `folder`, or something that bears its name."""
    place = folder / FOLDER
    if (place / SETTINGS).exists():
        raise InvalidInput(f"There is a study in {folder} already.", todo=f"Open it: cg.open({str(folder)!r}).")
    if place.exists() and any(place.iterdir()):
        raise InvalidInput(
            f"{place} is there, and is no whole study: it has no {SETTINGS}.",
            todo="Move it away, or bring the study back from a backup in another folder.",
        )


def move_in(beside: Path, folder: Path) -> None:
    """Give a study that was made in the folder `beside` its place in `folder`, durably; it must be closed."""
    files.rename(beside / FOLDER, folder / FOLDER)
    files.sync_folder(folder)


def make_parts(folder: Path, name: str, study: str, url: str | None = None) -> Ground:
    """Make the parts of a study in `folder`, open and without any change; see `complete` and `move_in`."""
    place = folder / FOLDER
    for part in ("blobs", "spool", "cache"):
        files.make_folder(place / part)
    ground = _open_parts(place, url)
    try:
        with ground.database.write() as connection:
            migrations.create(connection)
            migrations.write_meta(connection, "name", name)
            migrations.write_meta(connection, "study", study)
            ground.facts = migrations.read_meta(connection)
        lines = [f"name = {_toml(name)}"] + ([f"database = {_toml(url)}"] if url else [])
        files.write_atomically(place / SETTINGS, ("\n".join(lines) + "\n").encode())
    except BaseException:
        ground.close()
        raise
    return ground


def find_place(folder: Path) -> Path | None:
    """The place of the study in `folder` or in the nearest folder above it, which nobody has opened yet."""
    places = (candidate / FOLDER for candidate in (folder, *folder.resolve().parents))
    return next((place for place in places if (place / SETTINGS).exists()), None)


def open_folder(folder: Path, *, check: bool = True) -> Ground:
    """Open the study in `folder` or in the nearest folder above it.

    Raises NotFound if there is none, SchemaTooNew or SchemaTooOld if this release cannot work with it.
    """
    place = find_place(folder)
    if place is None:
        raise NotFound(
            f"There is no study in {folder} or above it.",
            todo="`cg init` makes one here; `cg demo` makes an example.",
        )
    try:
        settings = tomllib.loads((place / SETTINGS).read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise StorageError(f"{place / SETTINGS} cannot be read: {error}.", todo="Restore it from a backup.") from error
    if "database" not in settings and not (place / CATALOGUE).exists():
        raise StorageError(
            f"The study's database {place / CATALOGUE} is missing.",
            todo="Put it back, or bring the study back from a backup in another folder.",
        )
    ground = _open_parts(place, settings.get("database"))
    try:
        with ground.database.read() as connection:
            if check:
                migrations.check(connection)
            ground.facts = migrations.read_meta(connection)
    except BaseException:
        ground.close()
        raise
    return ground


def _open_parts(place: Path, url: str | None) -> Ground:
    database = Database(url or sa.URL.create("sqlite", database=str(place / CATALOGUE)))
    return Ground(place, database, DirectoryBlobs(place / "blobs"), {})


def _toml(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    if any(character < " " for character in text):
        raise InvalidInput(f"{text!r} has control characters in it.", todo="Leave them out.")
    return f'"{escaped}"'
