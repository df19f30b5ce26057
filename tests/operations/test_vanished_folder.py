"""A study's folder that somebody deletes while a program has it open: a clear error, and nothing is made again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from commonground.errors import StorageError
from commonground.operations.session import Session
from commonground.operations.studies import create_study, open_study
from commonground.store.ground import CATALOGUE, FOLDER


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """A session in a study that has its connections open."""
    made = create_study(tmp_path / "study", name="Vanishing", person="Tester")
    made.write("type add", name="Nodule")
    made.read("status")
    (tmp_path / "scan.bin").write_bytes(b"scan")
    return made


def add_a_file(session: Session, folder: Path) -> object:
    """Bytes go into the store before the database is asked."""
    return session.write("asset add", path=folder / "scan.bin", name="scan")


ACTS: list[Callable[[Session, Path], object]] = [
    lambda session, _: session.read("status"),
    lambda session, _: session.write("type add", name="Patient"),
    add_a_file,
    lambda session, folder: session.read("backup", folder=str(folder / "copy")),
    lambda session, _: session.read("gc"),
]


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("gone", ["", FOLDER])
def test_what_has_vanished_is_not_made_again(
    session: Session, tmp_path: Path, act: Callable[[Session, Path], object], gone: str
) -> None:
    """Reading and writing both say that the study is not there any more, and leave nothing where it was."""
    shutil.rmtree(tmp_path / "study" / gone)
    try:
        with pytest.raises(StorageError, match="not there any more"):
            act(session, tmp_path)
    finally:
        session.ground.close()
    assert not (tmp_path / "study" / FOLDER).exists()
    assert not (tmp_path / "copy").exists()


def test_another_study_in_the_same_place_is_not_taken_for_it(session: Session, tmp_path: Path) -> None:
    """If another study has taken the place meanwhile, nothing is read from it and nothing written into it."""
    shutil.rmtree(tmp_path / "study")
    create_study(tmp_path / "study", name="Another", person="Tester").ground.close()
    for act in ACTS[:3]:
        with pytest.raises(StorageError, match="not there any more"):
            act(session, tmp_path)
    session.ground.close()
    opened = open_study(tmp_path / "study", person="Tester")
    assert opened.read("verify", full=True).change == 1
    opened.ground.close()


def test_a_study_without_its_database_is_not_given_an_empty_one(session: Session, tmp_path: Path) -> None:
    """If the database's file alone is gone, opening the study says so and makes no empty file."""
    session.ground.close()
    (tmp_path / "study" / FOLDER / CATALOGUE).unlink()
    with pytest.raises(StorageError, match="is missing"):
        open_study(tmp_path / "study", person="Tester")
    assert not (tmp_path / "study" / FOLDER / CATALOGUE).exists()
