"""The schema's numbered steps: a new study is made at the newest, an older one is brought there by an explicit plan."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from commonground.errors import SchemaTooNew, SchemaTooOld, StorageError
from commonground.store import schema, text_index
from commonground.store.faults import point
from commonground.store.processes import ProcessMark, process_alive, this_process


@dataclass(frozen=True, slots=True)
class Step:
    """One step from the schema before it."""

    number: int
    """The schema's number after the step."""
    what: str
    """What it does, for the plan that is shown first."""
    run: Callable[[sa.Connection], None]
    """The step itself, inside the one transaction of the migration."""


STEPS: tuple[Step, ...] = ()
NEWEST = 1
MAKER = "made by"
"""The fact that stands in a database as long as its study is being made: the process that makes it."""


def create(connection: sa.Connection) -> None:
    """Make all tables in an empty database, and mark it as being made until `complete`.

    A database that a process was making when it was killed is emptied first: nobody has ever opened it. Raises
    StorageError for any other that is not empty.
    """
    if names := sa.inspect(connection).get_table_names():
        _refuse_used(connection, names)
        remains = sa.MetaData()
        remains.reflect(connection)
        remains.drop_all(connection)
    schema.metadata.create_all(connection, checkfirst=False)
    text_index.create(connection)
    write_meta(connection, "schema", str(NEWEST))
    write_meta(connection, MAKER, json.dumps(asdict(this_process()), sort_keys=True))


def complete(connection: sa.Connection) -> None:
    """Say that the study is made: from now on nothing empties its database."""
    connection.execute(sa.delete(schema.meta).where(schema.meta.c.key == MAKER))


def _refuse_used(connection: sa.Connection, names: list[str]) -> None:
    told = read_meta(connection).get(MAKER) if schema.meta.name in names else None
    if told is None:
        raise StorageError(
            "The database is not empty.",
            todo="Name an empty database, or open the study that is there.",
        )
    maker = ProcessMark(**json.loads(told))
    alive = process_alive(maker.pid, maker.start, maker.boot_id, maker.host)
    if alive is not False and maker != this_process():
        raise StorageError(
            f"A study is being made in the database, by process {maker.pid} on {maker.host.partition('/')[0]}.",
            todo="Wait until it is made, or name an empty database. Drop this one if that machine is gone.",
        )


def write_meta(connection: sa.Connection, key: str, value: str) -> None:
    """Set one of the study's own facts."""
    connection.execute(sa.delete(schema.meta).where(schema.meta.c.key == key))
    connection.execute(sa.insert(schema.meta).values(key=key, value=value))


def read_meta(connection: sa.Connection) -> dict[str, str]:
    """The study's own facts: schema, study, name."""
    return {row.key: row.value for row in connection.execute(sa.select(schema.meta))}


def check(connection: sa.Connection) -> None:
    """Raise SchemaTooNew or SchemaTooOld if this release cannot work with the database as it is."""
    number = int(read_meta(connection)["schema"])
    if number > NEWEST:
        raise SchemaTooNew(
            f"The study has schema {number}; this release knows schemas up to {NEWEST}.",
            todo="Install the release that wrote it, or a newer one.",
        )
    if number < NEWEST:
        raise SchemaTooOld(
            f"The study has schema {number}; this release works with schema {NEWEST}.",
            todo="`cg migrate --dry-run` shows the steps; `cg migrate` makes a backup and runs them.",
        )


def plan(connection: sa.Connection) -> list[Step]:
    """The steps that would bring this database to the newest schema."""
    number = int(read_meta(connection)["schema"])
    return [step for step in STEPS if step.number > number]


def run(connection: sa.Connection, steps: list[Step]) -> None:
    """Run the steps, all or none."""
    for step in steps:
        point("migrate.step")
        step.run(connection)
        point("migrate.finish")
        write_meta(connection, "schema", str(step.number))
