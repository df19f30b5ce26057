"""Inputs of a run whose study is lost in the middle: what cannot be read is said, and what was used is told later."""

from __future__ import annotations

import pytest

from commonground.errors import NotFound, StorageError
from commonground.interfaces.client.run import Run
from commonground.interfaces.client.study import Study
from commonground.operations.delivery import sync
from commonground.operations.session import Session


@pytest.fixture
def lungs(session: Session) -> Session:
    """A study with a released dataset and a file."""
    study = Study(session)
    study.entities.declare("Nodule", [{"name": "diameter", "holds": "real"}])
    study.entities.upsert("Nodule", ["n1", "n2"], {"diameter": [4.0, 9.5]})
    study.datasets.create("nodules", type="Nodule", keys=["n1", "n2"])
    study.datasets.release("nodules", why="to train from")
    with Run(session, name="before") as run:
        run.save(b"weights", name="model.bin")
    return session


def test_inputs_of_a_study_that_is_away(lungs: Session) -> None:
    """With the study's folder gone an input gives a clear error; the run goes on, and all that it used is on record."""
    place = lungs.ground.folder.parent
    run = Run(lungs, inputs=["nodules"], name="away").start()
    assert run.input("nodules").frame().num_rows == 2
    assert run.input("model.bin").read_bytes() == b"weights"
    place.rename(place.with_name("elsewhere"))
    try:
        for read in (run.input("nodules").frame, run.input("model.bin").read_bytes):
            with pytest.raises(StorageError, match="cannot be read now: the study is out of reach") as caught:
                read()
            assert "kept in its spool" in str(caught.value)
        run.log({"loss": 1.0})
    finally:
        place.with_name("elsewhere").rename(place)
    run.end()
    sync(lungs)
    record = lungs.read("execution get", execution=run.rid)
    assert {named.name.partition("@")[0] for _, named in record.inputs} == {"nodules", "model.bin"}
    assert (record.execution.status, record.metrics["loss"].points) == ("finished", 1)


def test_an_input_that_is_not_there_is_no_lost_study(lungs: Session) -> None:
    """A wrong name stays the error that it is."""
    with Run(lungs) as run, pytest.raises(NotFound):
        run.input("no such thing")
