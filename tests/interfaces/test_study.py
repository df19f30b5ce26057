"""The study as an object in Python: what its doors take."""

from __future__ import annotations

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
