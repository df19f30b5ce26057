"""The database under a study: an SQLite file or a PostgreSQL database, opened for reading or for writing.

Readers get one snapshot for all their statements. Writers queue: an advisory lock on PostgreSQL; on SQLite
`write_queue` before BEGIN IMMEDIATE, which is fairer among processes than SQLite's own waiting.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection

from commonground.errors import Busy, CommonGroundError, Conflict, Corrupt, InvalidInput, StorageError, StorageFull
from commonground.store import sqlite_driver, sqlite_frozen
from commonground.store.compiled_sql import POSTGRES, SQLITE, share
from commonground.store.disk_errors import find_cause, in_words
from commonground.store.faults import point
from commonground.store.locations import refuse_unsafe
from commonground.store.write_queue import turn

WRITE_LOCK = 7_262_101
LOCK_TIMEOUT_S = 60.0
ASK_AFTER_S = 1.0
"""A connection to a server that has rested for so long may be cut, and is tried before it is used."""
_FULL_DISK = frozenset({errno.ENOSPC, errno.EDQUOT})
_BROKEN_DISK = frozenset({errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE})
_opened_by: dict[Path, int] = {}
"""The process that opened each SQLite file: a copy of it made by a fork must not, as the locks are not copied."""


class _Unexplained(StorageError):
    """An engine gave up, and its message does not say why."""


class Database:
    """One database, with an engine for readers and one for writers."""

    def __init__(self, url: str | sa.URL) -> None:
        self.url = sa.make_url(url)
        self._process = os.getpid()
        self._file: tuple[int, int] | None = None
        """Device and inode of the SQLite file, once it has been seen."""
        self.dialect = self.url.get_backend_name()
        if self.dialect == "sqlite":
            self._path: Path | None = Path(str(self.url.database)).resolve()
            refuse_unsafe(self._path.parent)
            self._refuse_fork(_opened_by.setdefault(self._path, os.getpid()))
            module = sqlite_driver.load_driver()
            self._reader = _sqlite_engine(self._path, module, "BEGIN")
            self._frozen = sqlite_frozen.frozen_engine(self._path, module)
            self._writer = _sqlite_engine(self._path, module, "BEGIN IMMEDIATE")
            # An engine of its own, so that no connection that was opened for drafts ever commits a change.
            self._drafter = _sqlite_engine(
                self._path, module, "BEGIN IMMEDIATE", ("PRAGMA synchronous=NORMAL", "PRAGMA wal_autocheckpoint=0")
            )
        else:
            self._path = None
            target = self.url.set(drivername=POSTGRES)
            self._reader = _postgres_engine(target, "REPEATABLE READ")
            self._writer = self._drafter = _postgres_engine(target, "READ COMMITTED")

    @property
    def path(self) -> Path | None:
        """The SQLite file; None on PostgreSQL."""
        return self._path

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection on which all statements see one snapshot."""
        self._refuse_fork(self._process)
        self._refuse_vanished()
        with contextlib.ExitStack() as held:
            held.enter_context(self._clear_errors(self._reader))
            engine = self._reader
            if self._path is not None and sqlite_frozen.is_needed(self._path):
                held.enter_context(sqlite_frozen.unchanging(self._path))
                engine = self._frozen
            connection = held.enter_context(engine.connect())
            with connection.begin() as transaction:
                point("database.read")
                yield connection
                transaction.rollback()

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A connection that holds the study's write lock; leaving it commits, an exception rolls back.

        Raises Busy if another process holds the lock for longer than a minute, Conflict if a row that must be the only
        one of its kind is there already, StorageFull or StorageError if the disk or the server fails.
        """
        self._refuse_fork(self._process)
        self._refuse_vanished()
        with self._clear_errors(self._writer), self._queue(), self._writer.connect() as connection:
            point("database.begin")
            with _rolling_back(), connection.begin():
                if self.dialect == "postgresql":
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})")
                point("changes.lock")
                yield connection
                point("database.before_commit")
            point("database.after_commit")

    @contextlib.contextmanager
    def draft(self) -> Iterator[sa.Connection]:
        """A connection for new rows that nothing refers to yet; leaving it commits without waiting for the disk.

        A crash may take drafts away, the newest first, until the next change is saved: its sync covers all before it.
        On PostgreSQL drafts are written beside changes, on SQLite in turn with them. There a draft is moved out of the
        write-ahead log when the lock has been given back. Raises as `write` does.
        """
        self._refuse_fork(self._process)
        self._refuse_vanished()
        with self._clear_errors(self._drafter), self._drafter.connect() as connection:
            with self._queue():
                point("database.begin")
                with connection.begin():
                    if self.dialect == "postgresql":
                        connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
                    yield connection
                    point("database.before_commit")
                point("database.after_commit")
            if self._path is not None:
                # Beside whoever writes now. Left to the next commit, it would be a small change that waits for it.
                point("database.fold")
                driver: Any = connection.connection.driver_connection
                driver.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def _refuse_vanished(self) -> None:
        """Refuse to go on with a file that is not there any more: it would be read as it was, and partly made again."""
        if self._path is None:
            return
        try:
            now = self._path.stat()
        except FileNotFoundError:
            if self._file is None:
                # It is about to be made.
                return
        else:
            self._file = self._file or (now.st_dev, now.st_ino)
            if self._file == (now.st_dev, now.st_ino):
                return
        raise StorageError(
            f"The study's database {self._path} is not there any more: it was deleted, moved or replaced.",
            todo="Open the study where it is now, or bring it back from a backup.",
        )

    def _refuse_fork(self, process: int) -> None:
        if process != os.getpid():
            raise StorageError(
                "This process is a fork of one that has the study open, and the database's locks are not copied.",
                todo='Open the study in a process started anew: multiprocessing.get_context("spawn").',
            )

    @contextlib.contextmanager
    def _queue(self) -> Iterator[None]:
        if self._path is None:
            yield
            return
        with contextlib.ExitStack() as held:
            with in_words("queueing to write in", self._path.parent):
                held.enter_context(turn(self._path, LOCK_TIMEOUT_S))
            yield

    @contextlib.contextmanager
    def _clear_errors(self, engine: sa.Engine) -> Iterator[None]:
        try:
            with _clear_errors(engine):
                yield
        except _Unexplained as error:
            cause = None
            if self._path is not None:
                reads = engine is self._reader and not sqlite_frozen.may_write(self._path)
                cause = sqlite_frozen.left_log(self._path) if reads else find_cause(self._path)
            raise cause or StorageError(error.what, todo=error.todo) from error

    def scrub(self) -> bool:
        """Rebuild the database file, so that nothing of deleted rows is left in free space or in the log.

        False if others read for so long that the log could not be emptied.
        """
        with self._clear_errors(self._writer), self._queue():
            point("database.scrub")
            engine = self._writer.execution_options(isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                if self._path is None:
                    # Statistics hold samples of what was in the columns.
                    connection.exec_driver_sql("ANALYZE")
                    connection.exec_driver_sql("VACUUM FULL")
                    return True
                driver: Any = connection.connection.driver_connection
                driver.execute("VACUUM")
                point("database.checkpoint")
                (busy, *_) = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                _sync_log(self._path.with_name(f"{self._path.name}-wal"))
                return not busy

    def close(self) -> None:
        """Close all connections."""
        for engine in (self._reader, self._writer, self._drafter):
            engine.dispose()
        if self._path is not None and _opened_by.get(self._path) == os.getpid():
            del _opened_by[self._path]


def _sync_log(path: Path) -> None:
    """Make it durable that the log is empty, which SQLite leaves to chance: after a power cut it would be back."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sqlite_engine(path: Path, module: ModuleType, begin: str, more: Sequence[str] = ()) -> sa.Engine:
    engine = sa.create_engine(
        # As a part of its own: in an address a ? or a % of a folder's name would mean something.
        sa.URL.create(SQLITE, database=str(path)),
        module=module,
        poolclass=sa.pool.QueuePool,
        pool_size=4,
        max_overflow=60,
        connect_args={"check_same_thread": False, "isolation_level": None},
    )

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: DBAPIConnection, _record: object) -> None:
        point("database.open")
        sqlite_driver.configure(connection)
        for pragma in more:
            connection.execute(pragma)

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    return share(engine)


def _postgres_engine(url: sa.URL, isolation: str) -> sa.Engine:
    # Compiling to machine code costs more than the recursive walks it would speed up.
    engine = sa.create_engine(
        url,
        isolation_level=isolation,
        pool_size=4,
        max_overflow=60,
        connect_args={"options": f"-c jit=off -c timezone=UTC -c lock_timeout={LOCK_TIMEOUT_S * 1000:.0f}"},
    )
    _forget_cut_connections(engine)
    return share(engine)


def _forget_cut_connections(engine: sa.Engine) -> None:
    """Connect anew if the server was started anew since a connection was used: a training of hours outlives it."""

    @sa.event.listens_for(engine, "checkin")
    def _rest(_connection: DBAPIConnection | None, record: sa.pool.ConnectionPoolEntry) -> None:
        record.info["used"] = time.monotonic()

    @sa.event.listens_for(engine, "checkout")
    def _look(connection: DBAPIConnection, record: sa.pool.ConnectionPoolEntry, _proxy: object) -> None:
        # To ask the server each time would cost more than many a read.
        if time.monotonic() - record.info.get("used", math.inf) < ASK_AFTER_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise sa.exc.InvalidatePoolError from error


@contextlib.contextmanager
def _clear_errors(engine: sa.Engine) -> Iterator[None]:
    # Bulk rows are read and written past SQLAlchemy, so that errors of the driver itself come here too.
    driver: Any = engine.dialect.loaded_dbapi
    try:
        yield
    except sa.exc.IntegrityError as error:
        raise _broken_rule(str(error.orig).strip().splitlines()[0]) from error
    except (sa.exc.ProgrammingError, sa.exc.DataError, sa.exc.NotSupportedError):
        raise
    except sa.exc.DatabaseError as error:
        raise _failure(str(error.orig).strip()) from error
    except driver.IntegrityError as error:
        raise _broken_rule(str(error).strip().splitlines()[0]) from error
    except (driver.ProgrammingError, driver.DataError, driver.NotSupportedError):
        raise
    except driver.DatabaseError as error:
        raise _failure(str(error).strip()) from error
    except OSError as error:
        if error.errno in _FULL_DISK:
            raise _failure("No space left") from error
        if error.errno in _BROKEN_DISK:
            raise _failure(str(error)) from error
        raise


@contextlib.contextmanager
def _rolling_back() -> Iterator[None]:
    """Pass a fault point after a transaction was given up."""
    try:
        yield
    except BaseException:
        point("database.rollback")
        raise


def _broken_rule(text: str) -> CommonGroundError:
    if "unique" in text.lower():
        named = re.search(r"failed: (\w+)\.|\"ux_(\w+?)_(?:live|rid_since)\"", text)
        which = f": a {(named[1] or named[2]).replace('_', ' ')}" if named else ""
        return Conflict(
            f"Something that may be there only once is there already, or was given twice{which}.",
            todo="Look at the present state, then plan again or choose another name.",
        )
    return InvalidInput(f"A row breaks a rule of its table ({text}).", todo="Correct what it says of this row.")


def _failure(text: str) -> StorageError:
    """The clear error for the message of a database or a disk."""
    first = text.splitlines()[0] if text else "no reason given"
    if "database or disk is full" in text or "No space left" in text:
        return StorageFull("The disk is full: the change was not saved.", todo="Make room, then repeat the command.")
    if any(word in text for word in ("locked", "busy", "lock timeout")):
        return Busy("Another process kept the study locked.", todo="Try again when it has finished.")
    if any(word in text for word in ("malformed", "not a database", "could not read block", "invalid page")):
        return Corrupt(
            f"The database file is damaged: {first}.",
            todo="Stop writing to it; `cg restore` brings back the newest backup, `cg verify` tells what is missing.",
        )
    return _Unexplained(f"The study's storage refused: {first}", todo="`cg doctor` checks its folder and database.")


def _first_line(error: sa.exc.DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0]
