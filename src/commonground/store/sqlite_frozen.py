"""Reading an SQLite file where nobody may write: on a read-only disk, or in the folder of somebody else.

SQLite reads a file with a write-ahead log only where it may make the files beside it. If the log is folded in, which
it is after every program that ended by itself, the file alone holds everything and is opened as one that does not
change (https://sqlite.org/uri.html, `immutable`). SQLite then takes no locks, so a writer elsewhere would go unseen:
file and log are looked at before and after each reading.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection

from commonground.errors import Busy, StorageError
from commonground.store import sqlite_driver
from commonground.store.compiled_sql import SQLITE, share
from commonground.store.faults import point

LOG = "-wal"


def may_write(path: Path) -> bool:
    """Whether this account may write in the folder of a database file; true also if there is no such folder."""
    return os.access(path.parent, os.W_OK) or not path.parent.exists()


def frozen_engine(path: Path, module: ModuleType) -> sa.Engine:
    """An engine that opens the file anew for each reading, because nothing tells it that what it kept is old."""

    def open_file() -> DBAPIConnection:
        point("database.open")
        address = f"file:{quote(str(path))}?mode=ro&immutable=1"
        connection: DBAPIConnection = module.connect(address, uri=True, check_same_thread=False, isolation_level=None)
        for pragma in sqlite_driver.PRAGMAS:
            connection.execute(pragma)
        return connection

    engine = sa.create_engine(f"{SQLITE}://", module=module, poolclass=sa.pool.NullPool, creator=open_file)

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return share(engine)


def is_needed(path: Path) -> bool:
    """Whether the file can be read in this way only."""
    return not may_write(path) and _is_folded_in(path)


def _is_folded_in(path: Path) -> bool:
    """Whether the file alone holds everything."""
    try:
        return path.with_name(path.name + LOG).stat().st_size == 0
    except FileNotFoundError:
        return True


@contextlib.contextmanager
def unchanging(path: Path) -> Iterator[None]:
    """Raises Busy if the file or its log changes inside the block; what was read there may then be wrong."""
    before = _state(path)
    try:
        yield
    except BaseException as error:
        if _state(path) != before:
            raise _busy() from error
        raise
    if _state(path) != before:
        raise _busy()


def left_log(path: Path) -> StorageError:
    """The error for a log that nobody here may fold in."""
    return StorageError(
        f"{path} has a log that a program left when it was cut off, and this account may not write beside it.",
        todo="Let somebody who may write there run `cg status` once, or copy the folder and open the copy.",
    )


def _state(path: Path) -> tuple[int, int, int, bool] | None:
    try:
        about = path.stat()
    except FileNotFoundError:
        return None
    return about.st_ino, about.st_size, about.st_mtime_ns, _is_folded_in(path)


def _busy() -> Busy:
    return Busy("Somebody else wrote to the study while it was read.", todo="Do it again.")
