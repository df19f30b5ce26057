"""Erasing an entity: the payload is found nowhere, and everything else still verifies."""

from __future__ import annotations

from pathlib import Path

import pytest

from commonground.errors import InvalidInput, NotFound
from commonground.operations.frames import read_frame
from commonground.operations.session import Session
from commonground.store.verify import verify

MARK = "ZQX-4711-secret"


def fill(session: Session, folder: Path) -> None:
    """Two patients with scans, one of them with a mark in every cell that can hold one."""
    patients = folder / "patients.csv"
    patients.write_text(f"patient,note\n{MARK},{MARK} note\nother,plain\n")
    session.write("import table", path=patients, type="Patient", key="patient")
    session.write(
        "type add",
        name="Scan",
        columns=[{"name": "patient", "holds": "link", "target": "Patient"}, {"name": "remark", "holds": "text"}],
    )
    session.write(
        "entity upsert",
        type="Scan",
        keys=[f"{MARK}-1", "other-1"],
        columns={"patient": [MARK, "other"], "remark": [f"of {MARK}", "fine"]},
    )
    session.write("feature add", name="finding", type="Scan", holds="text")
    session.write("feature annotate", feature="finding", keys=[f"{MARK}-1", "other-1"], values=[f"{MARK}!", "none"])
    session.write("dataset create", name="scans", type="Scan", keys=[f"{MARK}-1", "other-1"], features=["finding"])
    session.write("dataset release", dataset="scans", why=f"as {MARK} asked")


def holding(folder: Path) -> list[str]:
    """The files below a folder in which the mark stands."""
    return [str(path) for path in folder.rglob("*") if path.is_file() and MARK.encode() in path.read_bytes()]


def test_erased_payload_is_found_nowhere_and_the_rest_verifies(session: Session, tmp_path: Path) -> None:
    """After an erasure no file of the study holds the payload, the record verifies, and the version still reads."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    fill(session, inbox)
    study = session.ground.folder
    if session.ground.database.dialect == "sqlite":
        assert holding(study)
    done = session.write("erase", type="Patient", key=MARK, basis="withdrawn consent", why="consent withdrawn")
    assert done.plan.effect["redacts versions"] == ["scans@1.0.0"]
    session.ground.close()
    assert holding(study) == []
    found = verify(session.ground, full=True)
    assert found.intact, found.faults
    assert "intact except" in found.sentence
    with session.reading() as on:
        frame = read_frame(on, dataset="scans@1.0.0")
    assert frame.table["key"].to_pylist() == ["other-1"]


def test_erasure_leaves_others_alone(session: Session, tmp_path: Path) -> None:
    """What belongs to somebody else stays: entities, values and memberships."""
    fill(session, tmp_path)
    session.write("erase", type="Patient", key=MARK, basis="withdrawn consent")
    with session.reading() as on:
        frame = read_frame(on, dataset="scans@dev")
    assert frame.table["patient"].to_pylist() == ["other"]
    assert session.read("dataset status", dataset="scans").rows["Scan.finding"] == 1


def test_erasure_needs_a_basis_and_an_entity(session: Session, tmp_path: Path) -> None:
    """An erasure without a basis, or of nobody, is refused and changes nothing."""
    fill(session, tmp_path)
    with session.reading() as on:
        before = on.view.change
    with pytest.raises(InvalidInput):
        session.write("erase", type="Patient", key=MARK, basis=" ")
    with pytest.raises(NotFound):
        session.write("erase", type="Patient", key="nobody", basis="withdrawn consent")
    with session.reading() as on:
        assert on.view.change == before
