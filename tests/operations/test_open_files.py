"""A process that may open no more files: a clear error, nothing half visible, and all works again afterwards.

The system itself refuses here: the limit is what is open already and a little more, one more each time, so that every
file that a verb opens is once the first that cannot be opened.
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from commonground.errors import StorageError
from commonground.operations.session import Session
from commonground.operations.studies import create_study
from commonground.store.verify import verify

MOST = 40
HELD = 200


@contextlib.contextmanager
def few_files_more(spare: int) -> Iterator[None]:
    """Let the system refuse to open more than so many files besides those that are open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The limit is of numbers, not of files: numbers between that are free are taken first.
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(HELD)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(held) + 1, hard))
    try:
        for number in held[-spare:]:
            os.close(number)
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for number in held[:-spare]:
            os.close(number)


@pytest.fixture
def study(tmp_path: Path) -> Session:
    """A study with an import and a dataset, whose modules have all been loaded by doing once what is done later."""
    session = create_study(tmp_path / "study", name="files", person="Tester")
    (tmp_path / "table.csv").write_text("visit,day\nv1,1\nv2,2\n")
    session.write("import table", path=tmp_path / "table.csv", type="Visit", key="visit")
    session.write("dataset create", name="visits", type="Visit", keys=["v1"])
    session.write("dataset release", dataset="visits")
    return session


def newest(session: Session) -> int:
    """The newest change."""
    with session.reading() as on:
        return on.view.change


@pytest.mark.parametrize("verb", ["import table", "dataset release"])
def test_too_many_open_files_change_nothing(study: Session, tmp_path: Path, verb: str) -> None:
    """However few files may be opened, the verb raises a storage error and changes nothing, or it succeeds entirely."""
    table = tmp_path / "more.csv"
    table.write_text("visit,day\nv1,5\nv3,3\n")
    given = {"path": table, "type": "Visit", "key": "visit"} if verb == "import table" else {"dataset": "visits"}
    study.write("dataset add", dataset="visits", type="Visit", keys=["v2"])
    before, refused = newest(study), 0
    for spare in range(1, MOST):
        with few_files_more(spare):
            try:
                study.write(verb, **given)
            except StorageError as error:
                refused += 1
                said = str(error)
        if newest(study) > before:
            break
        assert said
    assert refused
    assert newest(study) == before + 1
    assert verify(study.ground).intact
