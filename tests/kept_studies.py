"""Databases and studies that the product makes once and that are as new for every test.

To make one takes some hundred statements, and thousands of tests want one. On SQLite a test gets a copy of what was
made. On PostgreSQL one database serves all tests of a process: before each of them the tables that a test made are
dropped, all rows go, and the rows that a new one has come back from the schema `kept`. A database whose tables a test
has altered is made anew.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg

from commonground.operations.session import Session
from commonground.operations.studies import create_study, open_study

NAME = "Test study"
LARGE = 1 << 18
"""From this size on, in bytes, to cut a table off is cheaper than to delete its rows."""

_RELATIONS = (
    "SELECT relname, relkind, relnatts, relchecks FROM pg_class"
    " WHERE relnamespace = 'public'::regnamespace ORDER BY relname"
)
_USED = (
    "SELECT relname, pg_relation_size(oid) FROM pg_class"
    " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND pg_relation_size(oid) > 0"
)
_OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
_COLUMNS = (
    "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute"
    " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''"
)


@contextlib.contextmanager
def database_on(server: str) -> Iterator[str]:
    """The address of a new, empty database on a server, for as long as the block lasts."""
    name = f"cg_{os.urandom(6).hex()}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    head, _, query = server.partition("?")
    yield f"{head.rsplit('/', 1)[0]}/{name}" + (f"?{query}" if query else "")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def empty(connection: psycopg.Connection) -> None:
    """Leave nothing in a database, not even tables."""
    connection.execute(_OTHERS)
    if connection.execute(_RELATIONS).fetchone() is not None:
        connection.execute("DROP SCHEMA public CASCADE; DROP SCHEMA IF EXISTS kept CASCADE; CREATE SCHEMA public")


class KeptDatabase:
    """A PostgreSQL database with what `make` makes in an empty one."""

    def __init__(self, address: str, make: Callable[[], None]) -> None:
        self.address = address
        self._make = make
        self._make_anew()

    def renew(self) -> str:
        """Bring the database to what it was when it was made; its address."""
        with psycopg.connect(self.address, autocommit=True) as connection:
            connection.execute(_OTHERS)
            tables = {name for name, kind, *_ in self._relations if kind == "r"}
            there = connection.execute(_RELATIONS).fetchall()
            more = sorted({name for name, kind, *_ in there if kind == "r"} - tables)
            if more:
                connection.execute("; ".join(f'DROP TABLE "{name}" CASCADE' for name in more))
                there = connection.execute(_RELATIONS).fetchall()
            altered = there != self._relations
            if not altered:
                used = connection.execute(_USED).fetchall()
                emptying = [f'TRUNCATE "{name}"' if size > LARGE else f'DELETE FROM "{name}"' for name, size in used]
                connection.execute("; ".join([*emptying, *self._restoring]))
        if altered:
            self._make_anew()
        return self.address

    def _make_anew(self) -> None:
        with psycopg.connect(self.address, autocommit=True) as connection:
            empty(connection)
            self._make()
            self._relations = connection.execute(_RELATIONS).fetchall()
            self._restoring = []
            connection.execute("CREATE SCHEMA kept")
            for name, _ in connection.execute(_USED).fetchall():
                columns = connection.execute(_COLUMNS, [f'"{name}"']).fetchone()[0]
                connection.execute(f'CREATE TABLE kept."{name}" AS SELECT {columns} FROM "{name}"')
                self._restoring.append(f'INSERT INTO "{name}" ({columns}) SELECT {columns} FROM kept."{name}"')


class KeptStudy:
    """A new study in a folder, and its database if that is not a file in the folder."""

    def __init__(self, folder: Path, address: str | None = None) -> None:
        self.folder = folder
        self._address = address
        self._database = KeptDatabase(address, self._create) if address else None
        if self._database is None:
            self._create()

    def renew(self, folder: Path) -> Session:
        """A session of the owner in the study as it was when it was made, in another folder."""
        if self._database is not None:
            self._database.renew()
        _copy(self.folder, folder)
        return open_study(folder)

    def _create(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        create_study(self.folder, name=NAME, url=self._address).ground.close()


def _copy(folder: Path, to: Path) -> None:
    """Copy a folder without what is known of its files, which takes twice as long."""
    to.mkdir(exist_ok=True)
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                _copy(Path(entry.path), to / entry.name)
            else:
                shutil.copyfile(entry.path, to / entry.name)
