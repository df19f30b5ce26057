"""Planted mistakes: each makes the product, for one process, save in a way that does not outlive a power cut.

They are planted from inside, as a careless edit would make them; the suite has to catch each of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from acknowledge import acknowledge

from commonground.operations.session import Session
from commonground.store import blob_putting, faults, files, spool, sqlite_driver
from commonground.store.database import Database
from commonground.store.staging import Staging

EARLY = "acknowledge before commit"


def _no_file_sync() -> None:
    Staging.sync = lambda _self, _taken: None


def _no_folder_sync() -> None:
    blob_putting.sync_names = lambda _places, _folders, _batch: None


def _spool_unsynced() -> None:
    spool._full_sync = lambda _descriptor: None


def _normal() -> None:
    """New connections wait for the disk at checkpoints only, as is often advised."""
    sqlite_driver.PRAGMAS = (*sqlite_driver.PRAGMAS, "PRAGMA synchronous=NORMAL")


def _pointer_before_rows() -> None:
    """Files are synced after the commit of the rows that point at them; all is durable when the write returns."""
    write, sync, sync_names = Session._stage_and_write, Staging.sync, blob_putting.sync_names

    def late(self: Session, *given: object) -> object:
        _no_file_sync()
        _no_folder_sync()
        try:
            change = write(self, *given)
        finally:
            Staging.sync, blob_putting.sync_names = sync, sync_names
        folder = files.open_folder(self.ground.folder)
        files._syncfs()(folder)
        os.close(folder)
        return change

    Session._stage_and_write = late


def _changes_as_drafts() -> None:
    """What is acknowledged is left to the next change to sync, as drafts are until they are moved out of the log."""
    begin = Database.__init__

    def opened(self: Database, url: str) -> None:
        begin(self, url)
        self._writer = self._drafter

    Database.__init__ = opened


MUTANTS: dict[str, Callable[[], None]] = {
    "": lambda: None,
    EARLY: lambda: None,
    "no file sync": _no_file_sync,
    "no folder sync": _no_folder_sync,
    "spool unsynced": _spool_unsynced,
    "synchronous=NORMAL": _normal,
    "pointer before rows": _pointer_before_rows,
    "changes as drafts": _changes_as_drafts,
}


def plant(name: str) -> None:
    """Plant a mistake; none for an empty name."""
    MUTANTS[name]()


@contextmanager
def promising(mutant: str, **promise: object) -> Iterator[None]:
    """Promise when the block has ended; with the mutant `EARLY` when its rows are written and not yet committed."""

    def answer(name: str) -> None:
        if name == "database.before_commit":
            acknowledge(**promise)

    if mutant == EARLY:
        with faults.recording(answer):
            yield
    else:
        yield
    acknowledge(**promise)
