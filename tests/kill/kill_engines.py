"""Where the study of a workload lies: wholly in a folder, or with its catalogue in a database of a PostgreSQL server.

A folder that is prepared for a server has the address of its database in the file `ADDRESS`. It is copied with its
database, and the copy has its own. What is killed is the client, the server stays: a client's transaction is over when
the server has noticed that the client is gone, moments later, and nobody looks before.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import psycopg

from commonground.store.ground import FOLDER, SETTINGS

ADDRESS = "server"
"""The file in a workload's folder that names its database."""
PATIENCE_S = 30.0
CLIENTS = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"


def address_of(root: Path) -> str | None:
    """The address of the database of a workload's study; None if that is a file in the folder."""
    path = root / ADDRESS
    return path.read_text() if path.exists() else None


class OnFiles:
    """Studies that are a folder each."""

    name = "sqlite"

    def begin(self, root: Path) -> None:
        """Make the folder for a workload, with nothing prepared."""
        root.mkdir()

    def copy(self, base: Path, root: Path) -> None:
        """Copy what was prepared."""
        shutil.copytree(base, root)

    def settle(self, root: Path) -> None:
        """Wait until a process that has ended does nothing any more."""

    def remove(self, root: Path) -> None:
        """Remove a copy."""
        shutil.rmtree(root)

    def end(self) -> None:
        """Leave nothing behind."""


class OnServer(OnFiles):
    """Studies with a database each on one server."""

    name = "postgresql"

    def __init__(self, server: str) -> None:
        self._server = server
        self._connection = psycopg.connect(server, autocommit=True)
        self._made: set[str] = set()

    def begin(self, root: Path) -> None:
        """Make the folder for a workload and an empty database."""
        root.mkdir()
        (root / ADDRESS).write_text(self._create(""))

    def copy(self, base: Path, root: Path) -> None:
        """Copy what was prepared, the database with it; the copy names its own."""
        self.settle(base)
        shutil.copytree(base, root)
        before = (base / ADDRESS).read_text()
        after = self._create(f'TEMPLATE "{self._name(base)}"')
        for path in (root / ADDRESS, root / "study" / FOLDER / SETTINGS):
            path.write_text(path.read_text().replace(before, after))

    def settle(self, root: Path) -> None:
        """Wait until nobody is connected to a workload's database: what a killed client began is then given up."""
        end = time.monotonic() + PATIENCE_S
        while self._connection.execute(CLIENTS, [self._name(root)]).fetchone() != (0,):
            assert time.monotonic() < end, "a client that was killed is still connected"
            time.sleep(0.002)

    def remove(self, root: Path) -> None:
        """Remove a copy and its database."""
        self._drop(self._name(root))
        shutil.rmtree(root)

    def end(self) -> None:
        """Drop every database that is left."""
        for name in sorted(self._made):
            self._drop(name)
        self._connection.close()

    def _create(self, how: str) -> str:
        name = f"cg_kill_{os.urandom(6).hex()}"
        self._connection.execute(f'CREATE DATABASE "{name}" {how}')
        self._made.add(name)
        head, _, query = self._server.partition("?")
        return f"{head.rsplit('/', 1)[0]}/{name}" + (f"?{query}" if query else "")

    def _drop(self, name: str) -> None:
        self._connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        self._made.remove(name)

    def _name(self, root: Path) -> str:
        return (root / ADDRESS).read_text().partition("?")[0].rpartition("/")[2]


def stands_in_database(address: str, text: str) -> list[str]:
    """The files of a database in which a text stands, as the server reads them when all is on its disk."""
    found = (
        "SELECT each FROM pg_database, LATERAL pg_ls_dir('base/' || oid) AS each WHERE datname = current_database()"
        " AND position(%s::bytea IN pg_read_binary_file('base/' || oid || '/' || each, 0, 1 << 28, true)) > 0"
    )
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        return [str(row[0]) for row in connection.execute(found, [text.encode()])]
