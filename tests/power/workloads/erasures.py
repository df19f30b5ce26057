"""Erases somebody from a study with files, values and a released dataset, and brings the backup from before it back."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from acknowledge import acknowledge
from mutants import plant

from commonground.operations import restoring
from commonground.operations.completing import DENY_LIST
from commonground.operations.studies import create_study
from commonground.store.ground import FOLDER

MARKS = [f"ZQX-{number}-secret" for number in range(2)]


def main(root: Path, mutant: str) -> None:
    """Two erasures below `root`, and a restored copy in which they are made again."""
    sources = root.with_name(f"{root.name}-sources")
    sources.mkdir()
    plant(mutant)
    session = create_study(root / "study", name="Power study", person="Tester")
    for mark in MARKS:
        table = sources / f"{mark[:5]}.csv"
        table.write_text(f"patient,note\n{mark},{mark} note\n")
        session.write("import table", path=table, type="Patient", key="patient")
    keys = [*MARKS, "other"]
    session.write("entity upsert", type="Patient", keys=["other"], columns={"note": ["plain"]})
    session.write("feature add", name="finding", type="Patient", holds="text")
    session.write("feature annotate", feature="finding", keys=keys, values=[f"{key}!" for key in keys])
    session.write("dataset create", name="all", type="Patient", keys=keys, features=["finding"])
    session.write("dataset release", dataset="all")
    session.read("backup", folder=str(sources / "copy"), check=False)
    acknowledge(study=True)
    for mark in MARKS:
        session.write("erase", type="Patient", key=mark, basis="withdrawn consent")
        acknowledge(erased=mark)
    session.ground.close()
    restoring.restore_study(sources / "copy", root / "to", erased=root / "study" / FOLDER / DENY_LIST)
    acknowledge(restored=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), os.environ.get("CG_POWER_MUTANT", ""))
