"""Fixtures of the ground floor's tests: a database on both engines, with no verb and no noun above it."""

from __future__ import annotations

import contextlib
import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from commonground.identity import Actor
from commonground.store import changes, failed_syncs, migrations, tables
from commonground.store.database import Database
from commonground.store.schema import Field
from commonground.store.transaction import Transaction
from commonground.structure import tables as structural
from kept_studies import KeptDatabase, database_on

THING = "t_thing"
FIELDS = [
    Field("count", "int"),
    Field("size", "real"),
    Field("label", "text", indexed=True),
    Field("raw", "bytes"),
]
Writer = Callable[..., contextlib.AbstractContextManager[Transaction]]
assert structural.member is not None, "the batch tables of the structural layer are what the batch tests fill"


@pytest.fixture(autouse=True)
def _all_syncs_succeeded() -> Iterator[None]:
    """What failed in one test is not remembered in the next."""
    yield
    failed_syncs.forget()


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database, on each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'catalogue.sqlite'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


def make_tables(address: str) -> None:
    """Create all tables and one declared table, `t_thing`, in an empty database."""
    opened = Database(address)
    with opened.write() as connection:
        migrations.create(connection)
        migrations.complete(connection)
        tables.declare(connection, THING, FIELDS)
    opened.close()


@pytest.fixture(scope="session")
def kept_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with all tables, made once."""
    path = tmp_path_factory.mktemp("kept") / "catalogue.sqlite"
    make_tables(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def kept_tables(postgres_server: str) -> Iterator[KeptDatabase]:
    """A PostgreSQL database with all tables, made once."""
    with database_on(postgres_server) as address:
        yield KeptDatabase(address, lambda: make_tables(address))


@pytest.fixture(params=["sqlite", "postgresql"])
def filled_address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database with all tables and `t_thing`, on each engine."""
    if request.param == "sqlite":
        shutil.copyfile(request.getfixturevalue("kept_file"), tmp_path / "catalogue.sqlite")
        return f"sqlite:///{tmp_path / 'catalogue.sqlite'}"
    kept: KeptDatabase = request.getfixturevalue("kept_tables")
    return kept.renew()


@pytest.fixture
def database(filled_address: str) -> Iterator[Database]:
    """A database with all tables and one declared table, `t_thing`."""
    opened = Database(filled_address)
    yield opened
    opened.close()


@pytest.fixture
def thing(database: Database) -> sa.Table:
    """The declared table."""
    with database.read() as connection:
        return tables.load_one(connection, THING)


@pytest.fixture
def change(database: Database) -> Writer:
    """A function that opens the next change of `database` and links it to the chain when its block ends."""
    return lambda **words: next_change(database, **words)


_plans = itertools.count(1_000_000)


@contextlib.contextmanager
def next_change(
    database: Database, why: str | None = None, args: dict[str, Any] | None = None
) -> Iterator[Transaction]:
    """The next change, appended to the chain when the block ends."""
    with database.write() as connection:
        tx = changes.begin(connection)
        yield tx
        changes.append(
            tx,
            plan=next(_plans),
            verb="test",
            args=args or {},
            why=why,
            actor=Actor(person=None, name="Tester"),
            recorded_at=1_700_000_000_000_000 + tx.change,
        )
