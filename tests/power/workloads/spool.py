"""Two threads write one spool; each sync that says yes is acknowledged with the number of records before it."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from acknowledge import acknowledge

from commonground.store import spool
from commonground.store.spool import SpoolWriter

MUTANTS = {
    "spool unsynced": lambda: setattr(spool, "_full_sync", lambda _descriptor: None),
    "no folder sync": lambda: setattr(spool, "_sync_folder", lambda _folder: None),
    "": lambda: None,
}


def main(root: Path, mutant: str) -> None:
    """Write about 200 records below `root`, with a sync after every fifth."""
    MUTANTS[mutant]()
    writer = SpoolWriter(root / "run.spool", execution=7)

    def write(start: int) -> None:
        for number in range(start, start + 100):
            assert writer.append("metric", {"number": number, "text": "x" * (number % 97) * 5})
            if number % 5 == 4 and writer.sync():
                acknowledge(records=list(range(start, number + 1)))

    sides = [threading.Thread(target=write, args=[start]) for start in (0, 1000)]
    for side in sides:
        side.start()
    for side in sides:
        side.join()
    if writer.close():
        acknowledge(records=[*range(100), *range(1000, 1100)], ended=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), os.environ.get("CG_POWER_MUTANT", ""))
