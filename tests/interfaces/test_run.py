"""A run inside this process: what it records, what it refuses, and what it survives."""

from __future__ import annotations

import math
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from commonground.errors import Conflict, InvalidInput, NotFound
from commonground.interfaces.client.run import Run, current_run
from commonground.interfaces.client.tracking import track
from commonground.operations.delivery import sync
from commonground.operations.execution_reading import ExecutionRecord
from commonground.operations.session import Session
from commonground.operations.studies import open_study
from commonground.structure import tables
from commonground.structure.execution_states import Status
from commonground.structure.selectors import median, newest


def record_of(session: Session, run: Run) -> ExecutionRecord:
    """The execution of a run, with all that belongs to it."""
    found: ExecutionRecord = session.read("execution get", execution=run.rid)
    return found


def outputs_of(session: Session, record: ExecutionRecord) -> dict[str, bytes]:
    """The outputs of an execution: name to bytes."""
    blobs = session.ground.blobs
    digests = {row.rid: row.digest for row in _assets(session)}
    return {named.name: blobs.get_bytes(digests[named.rid]) for _, named in record.outputs}


def _assets(session: Session) -> Any:
    with session.ground.view() as view:
        return view.list_rows(tables.asset)


@pytest.fixture
def lungs(session: Session) -> Session:
    """A study with four nodules, five readings and a dataset without a release."""
    session.write("type add", name="Nodule", columns=[{"name": "size", "holds": "real"}])
    session.write("entity upsert", type="Nodule", keys=["a", "b", "c", "d"], columns={"size": [1.0, 2.0, 3.0, 4.0]})
    session.write("feature add", name="malignancy", type="Nodule", holds="int")
    session.write(
        "feature annotate", feature="malignancy", type="Nodule", keys=["a", "b", "c", "d"], values=[1, 2, 3, 4]
    )
    session.write("dataset create", name="nodules", type="Nodule", keys=["a", "b", "c", "d"], features=["malignancy"])
    return session


def test_a_run_records_what_happened(session: Session, tmp_path: Path) -> None:
    """Intent, parameters, metrics, files and output are on record when the block is left, and the spool is gone."""
    model = tmp_path / "model.bin"
    model.write_bytes(b"weights")
    with Run(session, intent="Does it learn?", params={"trees": 300, "deep": {"rate": 0.1}}, name="first") as run:
        for step in range(3):
            run.log({"auc": 0.5 + step / 10, "loss": math.nan if step == 2 else 1.0}, step=step)
        run.log_params({"seed": 4})
        run.save(model, kind="model")
        run.save(b"{}", name="report.json")
        sys.stdout.write("epoch 1\n")
        model.write_bytes(b"other")
    record = record_of(session, run)
    one = record.execution
    assert (one.status, one.name, one.reason, record.intent) == (Status.FINISHED, "first", None, "Does it learn?")
    assert record.params == {"trees": 300, "deep.rate": 0.1, "seed": 4}
    assert one.seed == '{"seed": 4}'
    assert record.metrics["auc"].value == pytest.approx(0.7)
    assert math.isnan(record.metrics["loss"].value)
    assert record.metrics["loss"].points == 3
    assert outputs_of(session, record) == {"model.bin": b"weights", "report.json": b"{}", "output.log": b"epoch 1\n"}
    assert one.ended_at is not None
    assert one.started_at <= one.ended_at
    assert one.environment is not None
    assert session.ground.blobs.has(one.environment)
    assert not [path for path in session.ground.spool_folder.iterdir() if path.is_dir() and len(path.name) == 13]


def test_a_run_is_two_changes(session: Session) -> None:
    """However much is in it, a run adds a start and an end to the chain."""
    with session.ground.view() as view:
        before = view.change
    with Run(session, params={"a": 1}) as run:
        for _ in range(20):
            run.log({"x": 1.0})
        run.save(b"1", name="one")
        run.save(b"2", name="two")
    with session.ground.view() as view:
        assert view.change == before + 2


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (ValueError("bad rate"), Status.FAILED, "ValueError: bad rate"),
        (KeyboardInterrupt(), Status.KILLED, "keyboard"),
        (SystemExit(3), Status.FAILED, "exit status 3"),
        (SystemExit(0), Status.FINISHED, ""),
        (MemoryError(), Status.FAILED, "MemoryError"),
    ],
)
def test_the_end_is_told_as_it_was(session: Session, error: BaseException, status: Status, reason: str) -> None:
    """Whatever leaves the block is passed on, and decides the state and its reason."""
    run = Run(session)
    with pytest.raises(type(error)), run:
        raise error
    record = record_of(session, run)
    assert record.execution.status is status
    assert reason in (record.execution.reason or "")


def test_a_traceback_is_kept_without_secrets(session: Session) -> None:
    """The traceback of a failure is in the log; a password in the message or in the output is nowhere."""
    secret = "hunter2hunter2"  # noqa: S105 - planted
    run = Run(session)
    with pytest.raises(ValueError, match="password"), run:  # noqa: PT012 - what is printed before counts
        sys.stdout.write(f"password={secret}\n")
        raise ValueError(f"cannot log in with password={secret}")
    record = record_of(session, run)
    log = outputs_of(session, record)["output.log"].decode()
    assert "Traceback" in log
    assert "test_run.py" in log
    assert secret not in log
    assert secret not in (record.execution.reason or "")


def test_a_failed_start_stays_on_record(session: Session) -> None:
    """An input that is not there, or an object as a parameter, is an error, and the try is on record as failed."""
    with pytest.raises(NotFound):
        Run(session, inputs=["nothing@1.0.0"], name="no data", intent="try").start()
    with pytest.raises(InvalidInput):
        Run(session, params={"model": object()}, name="no plain value").start()
    found = session.read("execution find", filter="status = failed")
    assert sorted(one.execution.name for one in found) == ["no data", "no plain value"]
    assert all("could not start" in (one.execution.reason or "") for one in found)
    assert sync(session) == []


def test_an_unreleased_input_is_pinned_by_its_change(lungs: Session) -> None:
    """A dataset without a release is used as of a change, marked unreleased, and reads the same later."""
    with Run(lungs, inputs=["nodules"]) as run:
        one = run.input("nodules")
        before = one.frame(features={"malignancy": median(ties="low")})
    lungs.write("feature annotate", feature="malignancy", type="Nodule", keys=["a"], values=[5])
    ((edge, named),) = record_of(lungs, run).inputs
    assert one.unreleased
    assert one.reference == edge.details["reference"]
    assert (edge.details["unreleased"], edge.details["dataset"], named.kind) == (True, "nodules", "dataset")
    with Run(lungs, inputs=[one.reference]) as again:
        after = again.input("nodules").frame(features={"malignancy": median(ties="low")})
    assert after.equals(before)


def test_a_release_is_pinned_with_selector_and_rows(lungs: Session) -> None:
    """A name means the newest release; the rule and the very values that were counted are on record."""
    lungs.write("dataset release", dataset="nodules")
    with Run(lungs) as run:
        table = run.input("nodules").frame(features={"malignancy": median(ties="drop")}, columns=["size"])
    ((edge, named),) = record_of(lungs, run).inputs
    assert table.num_rows == 4
    assert (named.kind, edge.details["reference"], edge.details["asked"]) == ("version", "nodules@1.0.0", "nodules")
    (frame,) = edge.details["frames"]
    assert frame["features"][0]["selector"] == {"rule": "median", "ties": "drop"}
    assert frame["rows"] == frame["features"][0]["values"] == 4
    assert all(lungs.ground.blobs.has(digest) for digest in edge.details["blobs"])


def test_samples_are_on_record_as_the_rows_that_they_are(lungs: Session) -> None:
    """Samples for a DataLoader are a read like any other: what was left out is not among the rows on record."""
    lungs.write("feature add", name="late", type="Nodule", holds="int")
    lungs.write("feature annotate", feature="late", type="Nodule", keys=["b", "d"], values=[1, 0])
    lungs.write("dataset add", dataset="nodules", features=["late"])
    lungs.write("dataset release", dataset="nodules")
    with Run(lungs) as run:
        one = run.input("nodules")
        samples = one.samples(columns=["key", "size"], features={"late": newest()}, missing="drop")
        table = one.frame(columns=["key"], features={"late": newest()}, missing="drop")
        with pytest.raises(InvalidInput, match="cannot become samples"):
            one.samples(features={"late": newest()})
    assert [(sample["key"], sample["late"]) for sample in samples] == [("b", 1), ("d", 0)]
    assert samples.rids.tolist() == table["rid"].to_pylist()
    ((edge, _),) = record_of(lungs, run).inputs
    drawn, read = edge.details["frames"]
    assert (drawn["rows"], drawn["rows_digest"]) == (2, read["rows_digest"])


def test_computed_values_have_the_execution_as_origin(lungs: Session) -> None:
    """Predictions become values of a feature that is declared if it is new, and lead back to the run."""
    lungs.write("dataset release", dataset="nodules")
    with Run(lungs, inputs=["nodules"]) as run:
        table = run.input("nodules").frame()
        predicted = {rid: 0.25 * place for place, rid in enumerate(table["rid"].to_pylist())}
        run.annotate("Nodule", "predicted", predicted)
    record = record_of(lungs, run)
    ((edge, _),) = record.outputs
    assert (edge.details["feature"], edge.details["values"]) == ("predicted", 4)
    assert record.outputs[0][1].name == "Nodule.predicted"
    lungs.write("dataset create", name="scored", type="Nodule", keys=["a", "b"], features=["predicted"])
    lungs.write("dataset release", dataset="scored")
    with lungs.reading() as on:
        version = on.view.list_rows(tables.version)[-1].rid
    things = {one.rid for one in lungs.read("lineage", rid=version).things}
    assert run.rid in things
    assert {one.name for one in lungs.read("lineage", rid=version).things} >= {"nodules@1.0.0"}
    (found,) = lungs.read("dependents", rater="Tester").executions
    assert found.rid == run.rid


def test_a_run_within_a_run_is_its_child(session: Session) -> None:
    """Nested runs and the points of a sweep are children, and the outer one is the current run again afterwards."""
    with Run(session, name="sweep") as sweep:
        with Run(session, name="nested") as nested:
            assert current_run() is nested
        assert current_run() is sweep
        for rate in (0.1, 0.2):
            with sweep.child(params={"rate": rate}) as point:
                point.log({"auc": rate})
    assert current_run() is None
    record = record_of(session, sweep)
    assert len(record.children) == 3
    assert record.children[0].rid == nested.rid


def test_a_tracked_function_is_a_run(session: Session) -> None:
    """Arguments, defaults included, are the parameters; what is no plain value is told by its type."""

    @track(lambda **words: Run(session, **words), intent="why")
    def fit(_table: object, trees: int, rate: float = 0.1, *, run: Run | None = None, **more: Any) -> float:
        assert run is not None
        run.log({"auc": 0.9})
        return trees * rate + more["extra"]

    assert fit(object(), 10, extra=1) == pytest.approx(2.0)
    (found,) = session.read("execution find")
    assert found.params == {"trees": 10, "rate": 0.1, "extra": 1}
    assert found.execution.details["arguments_not_kept"] == {"_table": "builtins.object"}
    assert found.execution.name.startswith("fit-")
    assert found.metrics["auc"].value == 0.9


def test_logging_never_raises_and_says_so(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    """A value that is no number, and a metric after the end, are told and not kept; the work goes on."""
    with Run(session) as run:
        run.log({"auc": "high"})
        run.log({"auc": 0.5})
    run.log({"auc": 1.0})
    assert record_of(session, run).metrics["auc"].points == 1
    assert capsys.readouterr().err.count("commonground:") == 2


def test_a_lost_catalogue_costs_nothing(session: Session, tmp_path: Path) -> None:
    """If the study is moved away in the middle, the run goes on; delivered later, nothing is missing."""
    study, moved = tmp_path / "study", tmp_path / "moved"
    with Run(session, params={"a": 1}) as run:
        run.log({"auc": 0.5}, step=0)
        run.save(b"before", name="before.bin")
        study.rename(moved)
        run.log({"auc": 0.7}, step=1)
    moved.rename(study)
    (first,) = sync(session)
    assert (first.status, first.outcome, first.points) == ("finished", "delivered", 2)
    assert sync(session) == []
    record = record_of(session, run)
    assert record.metrics["auc"].points == 2
    assert outputs_of(session, record)["before.bin"] == b"before"


def test_a_start_without_a_catalogue_is_delivered_later(
    session: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the catalogue out of reach from the beginning to the end, the whole execution comes with `cg sync`, once."""

    def unreachable(*_: Any, **__: Any) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(session, "commit", unreachable)
        with Run(session, intent="offline", params={"a": 1}) as run:
            run.log({"auc": 0.5}, step=0)
            run.save(b"weights", name="model.bin", kind="model")
    assert "cg sync" in capsys.readouterr().err
    assert session.read("execution find") == []
    folder = run.folder
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    (done,) = sync(session)
    assert done.outcome == "delivered"
    copy.rename(folder)
    with session.ground.view() as view:
        before = view.change
    (again,) = sync(session)
    assert again.outcome == "delivered"
    with session.ground.view() as view:
        assert view.change == before
    record = record_of(session, run)
    assert (record.intent, record.execution.status) == ("offline", Status.FINISHED)
    assert outputs_of(session, record) == {"model.bin": b"weights"}


def test_a_spool_in_the_home_folder_is_found(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that could not write into the study keeps its spool with the person; any later `cg sync` delivers it."""

    def unreachable(*_: Any, **__: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    study, moved = tmp_path / "study", tmp_path / "moved"
    study.rename(moved)
    with monkeypatch.context() as patch:
        patch.setattr(session, "commit", unreachable)
        with Run(session, intent="offline") as run:
            run.log({"auc": 0.5})
    assert run.folder.is_relative_to(tmp_path / "state")
    shutil.rmtree(study, ignore_errors=True)
    moved.rename(study)
    later = open_study(study)
    assert [one.outcome for one in sync(later)] == ["delivered"]
    record = record_of(later, run)
    later.ground.close()
    assert (record.intent, record.metrics["auc"].points) == ("offline", 1)
    assert not run.folder.exists()


def test_a_fork_does_not_log_twice(session: Session) -> None:
    """What a forked child logs is kept once, under the same execution, and its end is not the end of the run."""
    with Run(session) as run:
        run.log({"parent": 1.0}, step=0)
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                run.log({"child": 2.0}, step=0)
                run.end()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        run.log({"parent": 3.0}, step=1)
    record = record_of(session, run)
    assert {key: one.points for key, one in record.metrics.items()} == {"parent": 2, "child": 1}
    assert record.execution.status is Status.FINISHED


def test_a_run_is_used_once(session: Session) -> None:
    """A run that has begun cannot begin again, and one that has not begun has no id."""
    run = Run(session)
    with pytest.raises(Conflict):
        _ = run.rid
    with run:
        pass
    with pytest.raises(Conflict):
        run.start()


def test_a_saved_file_is_not_named_after_a_patient(session: Session) -> None:
    """The name that is kept has its ending, and the run says that something was taken out of it."""
    with Run(session) as run:
        run.save(b"1", name="MRN_1234567.png")
    record = record_of(session, run)
    name = "MRN [removed: medical record number].png"
    assert outputs_of(session, record) == {name: b"1"}
    assert record.execution.details["withheld"] == {f"name of {name}": "medical record number"}
    assert _assets(session)[0].media_type == "image/png"


def test_a_folder_or_a_missing_file_cannot_be_saved(session: Session, tmp_path: Path) -> None:
    """A wrong path is an error at once; it is not found out at the end."""
    with Run(session) as run:
        with pytest.raises(NotFound):
            run.save(tmp_path / "nothing.bin")
        with pytest.raises(InvalidInput):
            run.save(tmp_path)
        with pytest.raises(InvalidInput):
            run.save(b"no name")


def test_a_scratch_run_is_kept_without_running_again(session: Session) -> None:
    """Promotion takes the mark away and changes nothing else; a second one is an error."""
    with Run(session, scratch=True) as run:
        run.log({"auc": 0.5})
    assert record_of(session, run).execution.scratch
    session.write("execution promote", execution=run.rid, name="the good one")
    one = record_of(session, run).execution
    assert (one.scratch, one.name, one.status) == (False, "the good one", Status.FINISHED)
    with pytest.raises(InvalidInput):
        session.write("execution promote", execution=run.rid)


def test_an_output_that_cannot_be_put_together_costs_nothing_else(session: Session) -> None:
    """If log and cells cannot be written at the end nothing is raised, and the record says what it does not have."""
    with Run(session, name="holes") as run:
        sys.stdout.write("said\n")
        run.log({"loss": 1.0})
        (run.folder / "cell.now").write_text("{}")
        for name in ("output.log", "cells.jsonl"):
            (run.folder / name).mkdir()
    record = session.read("execution get", execution=run.rid)
    assert (record.execution.status, record.metrics["loss"].points) == (Status.FINISHED, 1)
    assert [hole.partition(" could")[0] for hole in record.execution.details["holes"]] == ["the log", "the cells"]


def test_signals_are_given_back(session: Session) -> None:
    """The handler of SIGTERM is ours only while a run is active."""
    before = signal.getsignal(signal.SIGTERM)
    with Run(session):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
