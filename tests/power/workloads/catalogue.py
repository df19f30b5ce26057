"""Makes a study and commits files to it: the database and the blob directory have to agree.

A listing of more than one file is drafted row by row, so that changes follow drafts that were not waited for.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

from acknowledge import acknowledge
from mutants import plant

from commonground.operations.studies import create_study
from commonground.store import batches


def main(root: Path, mutant: str) -> None:
    """Add 25 folders of files below `root`."""
    plant(mutant)
    batches.CHUNK_ROWS = 1
    chance = random.Random(3)
    sources = root.with_name(f"{root.name}-sources")
    session = create_study(root / "study", name="Power study", person="Tester")
    acknowledge(study=True)
    for number in range(25):
        folder = sources / f"scan{number}"
        folder.mkdir(parents=True)
        for part in range(chance.randint(1, 3)):
            (folder / f"{part}.dat").write_bytes(chance.randbytes(chance.choice([3, 400, 2000, 6000])))
        session.write("asset add", path=folder)
        acknowledge(asset=f"scan{number}", files=sum(1 for _ in folder.iterdir()))
    session.ground.close()
    acknowledge(closed=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), os.environ.get("CG_POWER_MUTANT", ""))
