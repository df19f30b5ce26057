"""120 commits to a small database, opened as the product opens it; each is acknowledged."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

from acknowledge import acknowledge

from commonground.store import files, sqlite_driver

EARLY = "acknowledge before commit"
MUTANTS = {
    EARLY: "SELECT 1",
    "synchronous=NORMAL": "PRAGMA synchronous=NORMAL",
    "synchronous=OFF": "PRAGMA synchronous=OFF",
    "journal_mode=DELETE": "PRAGMA journal_mode=DELETE",
    "": "SELECT 1",
}


def main(root: Path, mutant: str) -> None:
    """Write rows of 10 to 3,000 bytes below `root`, with a checkpoint now and then."""
    chance = random.Random(2)
    path = root / "study.sqlite"
    connection = sqlite_driver.load_driver().connect(str(path))
    sqlite_driver.configure(connection)
    connection.execute(MUTANTS[mutant])
    connection.execute("PRAGMA wal_autocheckpoint=40")
    connection.execute("CREATE TABLE entry (id INTEGER PRIMARY KEY, text BLOB NOT NULL) STRICT")
    files.sync_folder(root)
    acknowledge(table=True)
    for number in range(120):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO entry VALUES (?, ?)", (number, chance.randbytes(chance.randint(10, 3000))))
        if number % 7 == 3:
            connection.execute("UPDATE entry SET text = CAST(text || text AS BLOB) WHERE id = ?", (number - 2,))
        if mutant == EARLY:
            acknowledge(row=number)
        connection.execute("COMMIT")
        acknowledge(row=number)
    connection.close()
    acknowledge(closed=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), os.environ.get("CG_POWER_MUTANT", ""))
