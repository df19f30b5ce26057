"""What can be seen of a study, in figures that are the same in every run of a workload: rids are drawn by chance."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from commonground.store import schema, sqlite_driver
from commonground.store.ground import CATALOGUE, FOLDER, SETTINGS


@dataclass(frozen=True)
class State:
    """A study as everybody sees it."""

    change: int
    """The newest change."""
    counts: dict[str, list[object]]
    """Of each temporal table all rows and those that have ended, of each batch table the visible rows, the verbs."""


def read_state(folder: Path) -> State | None:
    """The state of the study in a folder; None if there is none."""
    place = folder / FOLDER
    if not (place / SETTINGS).exists():
        return None
    with closing(sqlite_driver.load_driver().connect(str(place / CATALOGUE))) as connection:
        verbs = [row[0] for row in connection.execute("SELECT verb FROM change ORDER BY id")]
        counts: dict[str, list[object]] = {"verbs": verbs}
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            # The end of the name of a declared table is drawn by chance.
            name = table.rpartition("_")[0] if table.startswith("e_") else table
            columns = {row[1] for row in connection.execute(f"PRAGMA table_info('{table}')")}
            if {"rid", "since", "until"} <= columns:
                counts[name] = list(connection.execute(f"SELECT count(*), count(until) FROM '{table}'").fetchone())
            elif {"batch", "ordinal"} <= columns:
                seen = f"SELECT count(*) FROM '{table}' WHERE batch IN (SELECT rid FROM {schema.batch_header.name})"
                counts[name] = list(connection.execute(seen).fetchone())
        return State(len(verbs), counts)
