"""Tracked runs: what is synced while they run, and their end with outputs, after which the spool goes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from acknowledge import acknowledge
from mutants import plant

from commonground.identity import show_rid
from commonground.interfaces.client.run import Run
from commonground.operations.studies import create_study


def main(root: Path, mutant: str) -> None:
    """Five runs below `root`."""
    plant(mutant)
    session = create_study(root / "study", name="Power study", person="Tester")
    acknowledge(study=True)
    for number in range(5):
        with Run(session, intent="why", params={"number": number}, name=f"run{number}") as run:
            for step in range(4):
                run.log({"auc": step / 10}, step=step)
                if run._begun.writer.sync():
                    acknowledge(run=show_rid(run.rid), points=step + 1)
            run.save(b"weights" * (number + 1) * 100, name="model.bin", kind="model")
        acknowledge(run=show_rid(run.rid), points=4, ended=True)
    session.ground.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), os.environ.get("CG_POWER_MUTANT", ""))
