"""Makes the study that is kept for its schema: tests/store/data/schema-N.zip, and what reading it must give.

    python scripts/make_kept_study.py

tests/operations/test_kept_schemas.py opens, migrates, verifies and reads every study that is kept there. As long as no
release has the newest schema, a change of its tables means: run this again. From its release on the file stays as it
is, and a change of the tables is a new schema with a migration step and a kept study of its own.
"""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from commonground.operations.frames import read_frame
from commonground.operations.session import Session
from commonground.operations.studies import AGENT_MARKS, create_study
from commonground.store.migrations import NEWEST

PLACE = Path(__file__).parents[1] / "tests" / "store" / "data"
OWNER = "Elin Hawthorn"
DATASETS = ("nodules", "everything")


def fill(session: Session, folder: Path) -> None:
    """Everything that a study can hold, a little of each."""
    write = session.write
    write("person add", name="Noor Tamarind", role="curator", discipline="radiology", why="She reads the scans.")
    write("vocabulary add", name="texture", terms=["solid", "part-solid", "ground glass"], ordered=True)
    write("type add", name="Patient", columns=[{"name": "born", "holds": "date"}, {"name": "age", "holds": "int"}])
    columns = [
        {"name": "patient", "holds": "link", "target": "Patient"},
        {"name": "size", "holds": "real", "unit": "mm"},
        {"name": "seen", "holds": "time"},
        {"name": "note", "holds": "text"},
        {"name": "calcified", "holds": "bool"},
    ]
    write("type add", name="Nodule", columns=columns)
    born = ["1950", "1961-03", "1972-03-05"]
    write("entity upsert", type="Patient", keys=["p1", "p2", "p3"], columns={"born": born, "age": [73, 62, 51]})
    cells = {
        "patient": ["p1", "p1", "p2", "p3", "p2"],
        "size": [4.5, 12.25, None, 7.0, 7.5],
        "seen": ["2024-03-05T10:20:30", None, None, "2024-03-06T08:00:00.5", None],
        "note": ["é", "", None, "spiculated", "twice"],
        "calcified": [True, False, None, False, False],
    }
    write("entity upsert", type="Nodule", keys=["n1", "n2", "n3", "n4", "n5"], columns=cells, why="First delivery.")
    write("feature add", name="malignancy", type="Nodule", holds="int", lowest=1, highest=5, ordered=True)
    write("feature add", name="texture", type="Nodule", holds="term", vocabulary="texture")
    told: dict[str, Any] = {"keys": ["n1", "n2", "n3", "n1"], "values": [4, 5, None, 3]}
    readers = ["reader 1", "reader 1", "reader 1", "reader 2"]
    reasons = [None, None, "not visible", None]
    write("feature annotate", feature="malignancy", **told, slots=readers, reasons=reasons)
    write("feature annotate", feature="texture", keys=["n1", "n2"], values=["solid", "part-solid"])
    write("dataset create", name="nodules", type="Nodule", keys=["n1", "n2", "n3"], features=["malignancy", "texture"])
    write("dataset create", name="everything", type="Nodule", keys=["n4"], criteria="size > 5", reason="Large ones.")
    write("dataset nest", dataset="nodules", inside="everything")
    for name in DATASETS:
        write("dataset release", dataset=name, why="The first.")
    write("type extend", type="Nodule", columns=[{"name": "lobe", "holds": "text"}])
    write("entity upsert", type="Nodule", keys=["n2"], columns={"size": [13.0], "lobe": ["upper left"]})
    write("entity merge", type="Nodule", duplicate="n5", into="n4")
    write("dataset remove", dataset="nodules", type="Nodule", keys=["n1"])
    with session.reading() as on:
        newest = on.view.change
    write("revert", change=newest)
    write("dataset release", dataset="nodules", part="minor")
    table = folder / "table.csv"
    table.write_text("a,b\n1,2\n")
    write("asset add", path=str(table), name="table.csv")
    # Begun by hand: a run of a program would record this machine.
    write("execution start", name="first", inputs=["nodules@1.1.0", "table.csv"], params={"trees": 3, "seed": 4})
    write("execution finish", execution="first", metrics={"auc": 0.75})
    write("erase", type="Patient", key="p3", basis="consent withdrawn")


def tell(session: Session) -> dict[str, Any]:
    """What reading the study gives, as plain data."""
    states = [f"{name}@1.0.0" for name in DATASETS] + ["nodules@1.1.0", *(f"{name}@dev" for name in DATASETS)]
    with session.reading() as on:
        newest = on.view.change
        frames = {state: read_frame(on, dataset=state).table.to_pylist() for state in states}
    then = {number: [one.name for one in session.read("dataset list", at=number)] for number in range(newest + 1)}
    found = session.read("execution get", execution="first")
    told = {
        "change": newest,
        "verify": session.read("verify", full=True).sentence,
        "people": [one.name for one in session.read("person list")],
        "frames": frames,
        "dirty": {name: session.read("dataset status", dataset=name).dirty for name in DATASETS},
        "datasets then": {str(number): names for number, names in then.items()},
        "log": [one.verb for one in session.read("log", limit=100).entries],
        "run": {
            "params": dict(found.params),
            "auc": found.metrics["auc"].value,
            "inputs": sorted(named.name for _, named in found.inputs),
        },
    }
    plain: dict[str, Any] = json.loads(json.dumps(told, default=str))
    return plain


def main() -> None:
    """Make the newest schema's study and write it down."""
    os.environ["CG_PERSON"] = OWNER
    for mark in AGENT_MARKS:
        os.environ.pop(mark, None)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "study"
        session = create_study(place, name="Kept", person=OWNER)
        fill(session, Path(folder))
        told = tell(session)
        session.ground.close()
        PLACE.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(PLACE / f"schema-{NEWEST}.zip", "w", zipfile.ZIP_DEFLATED) as packed:
            for path in sorted(place.rglob("*")):
                if path.is_file() and "cache" not in path.parts and path.suffix != ".lock":
                    packed.write(path, path.relative_to(place))
    (PLACE / f"schema-{NEWEST}.json").write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
