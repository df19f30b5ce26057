"""Releases a dataset again and again: Parquet parts, a manifest, and the rows that point at them; then a backup."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from acknowledge import acknowledge
from mutants import plant, promising

from commonground.operations.studies import create_study

KEYS = [f"k{number}" for number in range(6)]


def main(root: Path, mutant: str) -> None:
    """Six releases below `root`, each after new values, and a copy of it all."""
    plant(mutant)
    session = create_study(root / "study", name="Power study", person="Tester")
    session.write("type add", name="Item", columns=[{"name": "size", "holds": "real"}])
    session.write("entity upsert", type="Item", keys=KEYS, columns={"size": [1.0] * len(KEYS)})
    session.write("feature add", name="grade", type="Item", holds="int")
    session.write("dataset create", name="items", type="Item", keys=KEYS, features=["grade"])
    acknowledge(study=True)
    for number in range(6):
        with promising(mutant, values=number + 1):
            session.write("feature annotate", feature="grade", keys=KEYS, values=[number] * len(KEYS))
        with promising(mutant, version=f"{number + 1}.0.0", values=number + 1):
            session.write("dataset release", dataset="items")
    session.read("backup", folder=str(root / "copy"), check=False)
    acknowledge(backup=True, values=6)
    session.ground.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), os.environ.get("CG_POWER_MUTANT", ""))
