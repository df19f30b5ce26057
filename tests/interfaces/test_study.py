"""The study as an object in Python: what its doors take."""

from __future__ import annotations

from pathlib import Path

import pytest

import commonground as cg
from commonground.errors import InvalidInput, NotFound
from commonground.interfaces.client.study import Study
from commonground.operations.session import Session


def test_a_run_can_name_its_parent_and_say_more(session: Session) -> None:
    """The parent is a run, its id or its name; details stand on record; what cannot be either is refused at once."""
    study = Study(session)
    with study.run(name="sweep") as sweep:
        pass
    for parent in (sweep, sweep.rid, sweep.id, "sweep"):
        with study.run(parent=parent, details={"machine": "scanner 2"}) as run:
            pass
        one = study.read("execution get", execution=run.rid).execution
        assert (one.parent, one.details["machine"]) == (sweep.rid, "scanner 2")
    with pytest.raises(NotFound):
        study.run(parent="nobody's")
    with pytest.raises(InvalidInput):
        study.run(details={"model": object()})


def test_a_tracked_function_can_name_its_parent(session: Session) -> None:
    """Each call is a part of a run named by itself, by its id or by its name, as `study.run` takes it."""
    study = Study(session)
    with study.run(name="sweep") as sweep:
        pass
    for parent in (sweep, sweep.rid, "sweep"):
        own = study.track(parent=parent)(lambda run=None: run.rid)()
        assert study.read("execution get", execution=own).execution.parent == sweep.rid


def test_every_public_name_can_be_had() -> None:
    """Each name at the top leads to one thing, and any other name is an error of the usual sort."""
    assert all(getattr(cg, name) is not None for name in cg.__all__)
    with pytest.raises(AttributeError, match="no attribute 'opne'"):
        _ = cg.opne


def test_without_a_folder_the_study_is_the_one_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`cg.open()` goes by CG_STUDY as `cg` does; a folder that is named goes first, and without both the nearest."""
    for name in ("one", "two"):
        cg.init(tmp_path / name, name=name).close()
    monkeypatch.chdir(tmp_path / "one")

    def opened(*folder: str) -> str:
        with cg.open(*folder) as study:
            return str(study.session.ground.facts["name"])

    assert opened() == "one"
    monkeypatch.setenv("CG_STUDY", str(tmp_path / "two"))
    assert opened() == "two"
    assert opened(".") == "one"
    monkeypatch.setenv("CG_STUDY", "")
    assert opened() == "one"
