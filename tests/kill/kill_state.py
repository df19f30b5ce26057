"""What can be seen of a study, in figures that are the same in every run of a workload: rids are drawn by chance."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from commonground.store import schema, sqlite_driver
from commonground.store.ground import CATALOGUE, FOLDER, SETTINGS

COLUMNS = {
    "sqlite": "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'",
    "postgresql": (
        "SELECT relname, attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND attnum > 0"
        " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND NOT attisdropped"
    ),
}


@dataclass(frozen=True)
class State:
    """A study as everybody sees it."""

    change: int
    """The newest change."""
    counts: dict[str, list[object]]
    """Of each temporal table all rows and those that have ended, of each batch table the visible rows, the verbs."""


@contextmanager
def connect(place: Path) -> Iterator[tuple[str, Any]]:
    """The engine of the study at `place` and a connection past the product, on which all is read at one moment."""
    address = tomllib.loads((place / SETTINGS).read_text()).get("database")
    if address is None:
        with closing(sqlite_driver.load_driver().connect(str(place / CATALOGUE))) as connection:
            connection.execute("BEGIN")
            yield "sqlite", connection
    else:
        with psycopg.connect(address) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            yield "postgresql", connection


def read_state(folder: Path) -> State | None:
    """The state of the study in a folder; None if there is none."""
    place = folder / FOLDER
    if not (place / SETTINGS).exists():
        return None
    with connect(place) as (engine, connection):
        return state_on(engine, connection)


def state_on(engine: str, connection: Any) -> State:
    """The state that a connection sees."""
    verbs = [row[0] for row in connection.execute("SELECT verb FROM change ORDER BY id")]
    columns: dict[str, set[str]] = {}
    for table, column in connection.execute(COLUMNS[engine]).fetchall():
        columns.setdefault(table, set()).add(column)
    asked = []
    for table, names in sorted(columns.items()):
        # The end of the name of a declared table is drawn by chance.
        name = table.rpartition("_")[0] if table.startswith("e_") else table
        if {"rid", "since", "until"} <= names:
            asked.append(f"SELECT '{name}', count(*), count(until) FROM \"{table}\"")
        elif {"batch", "ordinal"} <= names:
            seen = f"batch IN (SELECT rid FROM {schema.batch_header.name})"
            asked.append(f"SELECT '{name}', count(*), -1 FROM \"{table}\" WHERE {seen}")
    counts: dict[str, list[object]] = {"verbs": verbs}
    for name, rows, ended in connection.execute(" UNION ALL ".join(asked)):
        counts[name] = [rows] if ended < 0 else [rows, ended]
    return State(len(verbs), counts)
