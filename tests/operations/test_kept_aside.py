"""A run is delivered whatever became of what its values are of; they are written, kept in a file, or were erased."""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from commonground.errors import Conflict, NotFound
from commonground.interfaces.client.run import Run
from commonground.operations import carrying, run_spool
from commonground.operations.delivery import sync
from commonground.operations.session import Session
from commonground.store import faults
from commonground.store.verify import verify
from commonground.structure import entities, features, tables

AWAY = "database.begin:1:eio!,database.read:1:eio!"
"""The catalogue can neither be read nor changed."""
MARK = f"ZQX-{os.getpid()}-secret"
"""It does not stand in the code that is recorded with a run."""


@pytest.fixture
def lungs(session: Session) -> Session:
    """A study with three nodules, one of which has a telling key, and two features."""
    session.write("type add", name="Nodule", columns=[{"name": "size", "holds": "real"}])
    session.write("entity upsert", type="Nodule", keys=["n1", "n2", MARK], columns={"size": [1.0, 2.0, 3.0]})
    session.write("feature add", name="grade", type="Nodule", holds="int")
    session.write("vocabulary add", name="Shape", terms=[{"name": "round"}, {"name": "oval"}])
    session.write("feature add", name="shape", type="Nodule", holds="term", vocabulary="Shape")
    return session


def run_away(session: Session, **values: dict[Any, Any]) -> Run:
    """A run whose values wait in its spool, with all else."""
    with faults.planned(AWAY), Run(session, name="away") as run:
        run.log({"auc": 0.5})
        for feature, told in values.items():
            run.annotate("Nodule", feature, told)
    return run


def deliver(session: Session) -> None:
    """Deliver what waits: one run, as it ended, and nothing is left."""
    assert [(one.status, one.outcome) for one in sync(session)] == [("finished", "delivered")]
    assert sync(session) == []
    assert list(session.ground.spool_folder.iterdir()) == []
    assert verify(session.ground, full=True).intact


def look(session: Session, run: Run) -> Any:
    """The execution, with all that belongs to it."""
    return session.read("execution get", execution=run.rid)


def read_refused(session: Session, run: Run) -> list[dict[str, Any]]:
    """The rows of all files in which its values were kept."""
    rids = [named.rid for edge, named in look(session, run).outputs if "refused" in edge.details]
    with session.ground.view() as view:
        digests = [row.digest for row in view.list_rows(tables.asset, tables.asset.c.rid.in_(rids))]
    files = [pq.read_table(io.BytesIO(session.ground.blobs.get_bytes(digest))) for digest in digests]
    return [row for file in files for row in file.to_pylist()]


def list_values(session: Session, feature: str) -> list[Any]:
    """The values of a feature that is there, in the order of their entities."""
    with session.reading() as on:
        return list(features.read_values(on.view, features.get_feature(on.view, feature)).value)


def rid_of(session: Session, key: str) -> int:
    """The id of a nodule."""
    with session.reading() as on:
        kind = entities.get_type(on.view, "Nodule")
        return entities.find_keys(on.view, kind, [key])[key]


def test_a_feature_that_is_retired_holds_no_run_back(lungs: Session) -> None:
    """The run is on record; its values are in a file of it, the reason beside them; the other feature has its own."""
    run = run_away(lungs, grade={"n1": 3, "n2": 4}, sure={"n1": True})
    lungs.write("retire", what="grade", why="Nobody grades any more")
    deliver(lungs)
    record = look(lungs, run)
    assert (record.execution.status, record.metrics["auc"].points) == ("finished", 1)
    (told,) = record.execution.details["refused_values"]
    assert (told["feature"], told["values"], told["file"]) == ("Nodule.grade", 2, "refused Nodule.grade.parquet")
    assert "was retired" in told["why"]
    rows = read_refused(lungs, run)
    assert [(row["entity"], row["key"], json.loads(row["value"])) for row in rows] == [
        (rid_of(lungs, "n1"), None, 3),
        (rid_of(lungs, "n2"), None, 4),
    ]
    assert list_values(lungs, "sure") == [True]
    assert "erased_values" not in record.execution.details


def test_a_word_or_an_entity_that_is_gone_holds_no_run_back(lungs: Session) -> None:
    """A term that was taken back, a key that nobody has and a value of another kind: each is named, none is lost."""
    added = lungs.write("term add", vocabulary="Shape", terms=[{"name": "spiky"}])
    run = run_away(lungs, shape={"n1": "spiky"}, grade={"n1": 2.5}, fresh={"nobody": 1})
    assert added.change is not None
    lungs.write("revert", change=added.change.id)
    deliver(lungs)
    told = look(lungs, run).execution.details["refused_values"]
    assert {one["feature"] for one in told} == {"Nodule.shape", "Nodule.grade", "Nodule.fresh"}
    rows = {row["value"]: (row["entity"], row["key"]) for row in read_refused(lungs, run)}
    n1 = rid_of(lungs, "n1")
    assert rows == {'"spiky"': (n1, None), "2.5": (n1, None), "1": (None, "nobody")}
    with pytest.raises(NotFound):
        list_values(lungs, "fresh")


def test_values_that_were_written_before_are_not_refused(lungs: Session) -> None:
    """If the delivery was cut off behind the values and their feature is retired then, they are on record, once."""
    run = run_away(lungs, grade={"n1": 3})
    with faults.planned("run.finish:1:eio!"):
        (cut,) = sync(lungs)
    assert cut.status is None
    assert list_values(lungs, "grade") == [3]
    lungs.write("retire", what="grade")
    deliver(lungs)
    record = look(lungs, run)
    assert "refused_values" not in record.execution.details
    assert [edge.role for edge, _ in record.outputs if "batch" in edge.details] == ["grade"]


def test_somebody_who_is_faster_is_no_refusal(lungs: Session) -> None:
    """A change that comes between plan and commit of the values is waited out, and they are written."""
    run = run_away(lungs, grade={"n1": 3})
    passes = []

    def meddle(name: str) -> None:
        if name == "changes.recheck":
            passes.append(name)
            if len(passes) == 2:
                raise Conflict("Somebody was faster.")

    with faults.recording(meddle):
        deliver(lungs)
    assert len(passes) == 4
    assert "refused_values" not in look(lungs, run).execution.details
    assert list_values(lungs, "grade") == [3]


def test_what_was_erased_meanwhile_is_kept_nowhere(
    lungs: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By key or by id, for a feature that takes it or not: others' values stay, the erased one's are only counted."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    gone, other = rid_of(lungs, MARK), rid_of(lungs, "n2")
    run = run_away(lungs, grade={MARK: 4711, "n1": 3}, sure={gone: 4711, other: 1}, shape={MARK: "odd", "n1": "odd"})
    spools = run_spool.away_folder(lungs.ground.facts["study"])
    spools.mkdir(parents=True)
    shutil.move(run.folder, spools / run.folder.name)
    lungs.write("erase", type="Nodule", key=MARK, basis="withdrawn consent")
    path = tmp_path / "runs.cgpack"
    carrying.pack_runs(tmp_path, path, by="Tester")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    assert [one.outcome for one in carrying.take_in(lungs, path).runs] == ["delivered"]
    record = look(lungs, run)
    assert record.execution.details["erased_values"] == 3
    assert (list_values(lungs, "grade"), list_values(lungs, "sure")) == ([3], [1])
    assert [row["value"] for row in read_refused(lungs, run)] == ['"odd"']
    lungs.read("gc")
    for file in lungs.ground.folder.rglob("*"):
        assert not file.is_file() or MARK.encode() not in file.read_bytes(), file
    assert verify(lungs.ground, full=True).intact
    assert [one.outcome for one in carrying.take_in(lungs, path).runs] == ["was delivered before"]


def test_an_erasure_reaches_what_was_refused(lungs: Session) -> None:
    """The rows of an entity that is erased later go from the file; the others stay."""
    run = run_away(lungs, grade={MARK: 4711, "n1": 3})
    lungs.write("retire", what="grade")
    deliver(lungs)
    assert [json.loads(row["value"]) for row in read_refused(lungs, run)] == [4711, 3]
    lungs.write("erase", type="Nodule", key=MARK, basis="withdrawn consent")
    assert [json.loads(row["value"]) for row in read_refused(lungs, run)] == [3]
    assert verify(lungs.ground, full=True).intact
