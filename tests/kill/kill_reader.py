"""Reads a study again and again while others are killed at writing to it, until its standard input ends.

Every second time it opens the study anew. It tells what was wrong, how often it read, and the state at each change
that it saw. A change must always show the same, when it is the newest and as of it ever after, and never go back.
"""

from __future__ import annotations

import json
import select
import sys
import traceback
from hashlib import sha256
from pathlib import Path
from typing import Any

from kill_state import state_on

from commonground.operations.session import Session
from commonground.operations.studies import open_study
from commonground.store.view import View
from commonground.structure import tables


class Reader:
    """What was seen so far."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.reads = 0
        self.newest = 0
        self.states: dict[int, dict[str, list[object]]] = {}
        self.marks: dict[int, str] = {}

    def look(self, session: Session) -> None:
        """Read the newest change, and one of those before it as of then."""
        with session.reading() as on:
            change = on.view.change
            raw: Any = on.view.connection.connection.driver_connection
            self.check(change, mark(on.view), "now")
            state = state_on(session.ground.database.dialect, raw)
        if change < self.newest:
            self.faults.append(f"change {change} came after {self.newest}")
        if state.change != change or self.states.setdefault(change, state.counts) != state.counts:
            self.faults.append(f"change {change} is {state}, and was {self.states.get(change)}")
        self.newest = max(self.newest, change)
        old = sorted(self.marks)[self.reads % len(self.marks)]
        with session.reading(at=old) as on:
            self.check(old, mark(on.view), "as of then")
        self.reads += 1

    def check(self, change: int, found: str, how: str) -> None:
        """What a change shows is what it showed before."""
        if self.marks.setdefault(change, found) != found:
            self.faults.append(f"change {change} shows something else {how}")


def mark(view: View) -> str:
    """A digest of the values, the versions and the batches that are visible."""
    values = view.live_batches(tables.value_int).order_by(tables.value_int.c.batch, tables.value_int.c.ordinal)
    seen = [[list(map(str, row)) for row in view.rows(values)]]
    seen += [[row.rid for row in view.list_rows(table)] for table in (tables.version, tables.dataset)]
    return sha256(json.dumps(seen).encode()).hexdigest()


def main(folder: Path) -> None:
    """Read until nobody wants it any more."""
    reader = Reader()
    session = open_study(folder, person="Tester")
    try:
        while not select.select([sys.stdin], [], [], 0)[0]:
            reader.look(session)
            if reader.reads == 1:
                sys.stdout.write("reading\n")
                sys.stdout.flush()
            other = open_study(folder, person="Tester")
            try:
                reader.look(other)
            finally:
                other.ground.close()
    except BaseException:  # noqa: BLE001 - whatever it is, the test tells it
        reader.faults.append(traceback.format_exc())
    finally:
        session.ground.close()
    sys.stdout.write(json.dumps({"faults": reader.faults, "reads": reader.reads, "states": reader.states}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
