"""How long it takes to be there: importing the package, `cg --help`, `cg show`."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.bench_place import Bench
from bench.measuring import Row, time_commands
from bench.peers import Absent, run_peer


def starting(bench: Bench) -> list[Row]:
    """Wall and CPU of new processes; the bare interpreter is taken off the import, SQLAlchemy off `cg show`."""
    times = bench.pick(8, 20)
    study = bench.study()
    study.datasets.create("nodules")
    place = study.folder
    study.close()
    cg = str(Path(sys.executable).with_name("cg"))
    bare = time_commands([sys.executable, "-c", "pass"], times)
    ours = time_commands([sys.executable, "-c", "import commonground"], times)
    heavy = time_commands([sys.executable, "-c", "import sqlalchemy"], times)
    helped = time_commands([cg, "--help"], times)
    shown = time_commands([cg, "show", "nodules", "--study", str(place)], times)
    rows = []
    for task, taken, off, what, aim in (
        ("import commonground, above the bare interpreter", ours, bare, "import of a bare interpreter", 0.1),
        ("cg --help", helped, None, "", 0.25),
        ("cg show, above importing SQLAlchemy", shown, heavy, "import sqlalchemy", 0.3),
    ):
        less = off.at(0.5) if off else 0.0
        less_cpu = off.at(0.5, cpu=True) if off else 0.0
        rows.append(
            Row(
                task, "s", taken.at(0.5) - less, **taken.figures(), target=f"< {aim} s", limit=aim,
                beside={what: f"{less:.3f} s"} if off else {},
                note=f"CPU {taken.at(0.5, cpu=True) - less_cpu:.3f} s; p50, p99 and max are of the whole process",
            )
        )  # fmt: skip
    try:
        told = run_peer("mlflow", "start", bench.folder / "mlflow", times=3)
        rows[0].beside["import mlflow"] = f"{sorted(told)[1]:.2f} s"
    except Absent as reason:
        rows[0].beside["import mlflow"] = str(reason)
    return rows
