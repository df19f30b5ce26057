"""Taking something away while others write: nobody is left naming what is gone, and nothing erased stays behind."""

from __future__ import annotations

from typing import Any

import pytest

from commonground.errors import Conflict, InvalidInput
from commonground.operations.frames import read_frame
from commonground.operations.session import Session
from commonground.store.verify import verify
from commonground.structure.stored_files import list_file_uses

MARK = "content-of-p1"
Act = tuple[str, dict[str, Any]]

ERASE: Act = ("erase", {"type": "Patient", "key": "p1", "basis": "withdrawn consent"})
MERGE: Act = ("entity merge", {"type": "Patient", "duplicate": "p1", "into": "p2"})
WITHDRAW: Act = (
    "entity withdraw",
    {"type": "Patient", "keys": ["p1"], "reason": "registered by mistake", "linked": True},
)
LINK: Act = ("entity upsert", {"type": "Nodule", "keys": ["n3"], "columns": {"patient": ["p1"], "note": [MARK]}})
EDIT: Act = ("entity upsert", {"type": "Nodule", "keys": ["n1"], "columns": {"note": ["edited meanwhile"]}})
READ: Act = ("feature annotate", {"feature": "grade", "keys": ["n1"], "values": [7]})
GATHER: Act = ("dataset create", {"name": "others", "type": "Nodule", "keys": ["n1", "n2"]})
RELEASE: Act = ("dataset release", {"dataset": "nodules"})


@pytest.fixture
def study(session: Session) -> Session:
    """Two patients with a nodule each, read and gathered."""
    session.write("type add", name="Patient", columns=[{"name": "note", "holds": "text"}])
    session.write(
        "type add",
        name="Nodule",
        columns=[{"name": "patient", "holds": "link", "target": "Patient"}, {"name": "note", "holds": "text"}],
    )
    session.write("entity upsert", type="Patient", keys=["p1", "p2"], columns={"note": [MARK, "other"]})
    session.write("entity upsert", type="Nodule", keys=["n1", "n2"], columns={"patient": ["p1", "p2"]})
    session.write("feature add", name="grade", type="Nodule", holds="int")
    session.write("feature annotate", feature="grade", keys=["n1", "n2"], values=[1, 2])
    session.write("dataset create", name="nodules", type="Nodule", keys=["n1", "n2"], features=["grade"])
    return session


def sound(session: Session) -> bool:
    """Whether the record verifies, its files included."""
    return verify(session.ground, full=True, files=list_file_uses).intact


@pytest.mark.parametrize("taking", [ERASE, MERGE, WITHDRAW], ids=["erase", "merge", "withdraw"])
@pytest.mark.parametrize("other", [LINK, READ, GATHER, RELEASE], ids=["link", "annotate", "dataset", "release"])
def test_what_was_planned_before_something_went_is_refused(study: Session, taking: Act, other: Act) -> None:
    """A plan made before an erasure or a merge and committed after it is a conflict: it may name what is gone."""
    late = study.plan(other[0], **other[1])
    study.write(taking[0], **taking[1])
    with pytest.raises(Conflict, match="taken away"):
        study.commit(late)
    assert sound(study)


@pytest.mark.parametrize("other", [LINK, READ, GATHER, RELEASE], ids=["link", "annotate", "dataset", "release"])
def test_an_erasure_finds_what_came_in_while_it_was_planned(study: Session, other: Act) -> None:
    """An erasure whose reach has grown since it was planned is a conflict; planned anew it destroys that too."""
    erasing = study.plan(ERASE[0], **ERASE[1])
    study.write(other[0], **other[1])
    with pytest.raises(Conflict):
        study.commit(erasing)
    study.write(ERASE[0], **ERASE[1])
    with study.reading() as on:
        assert read_frame(on, dataset="nodules@dev").table["key"].to_pylist() == ["n2"]
        if other is RELEASE:
            assert read_frame(on, dataset="nodules@1.0.0").table["key"].to_pylist() == ["n2"]
    assert sound(study)


def test_an_erasure_does_not_wait_for_what_is_about_others(study: Session) -> None:
    """What is written about somebody else between plan and commit does not stop an erasure."""
    erasing = study.plan(ERASE[0], **ERASE[1])
    study.write("feature annotate", feature="grade", keys=["n2"], values=[3])
    study.write("person add", name="Somebody")
    study.commit(erasing)
    assert sound(study)


def test_a_merge_overwrites_nothing_that_was_written_meanwhile(study: Session) -> None:
    """A nodule edited between plan and commit of a merge keeps the edit: the merge is a conflict."""
    merging = study.plan(MERGE[0], **MERGE[1])
    study.write(EDIT[0], **EDIT[1])
    with pytest.raises(Conflict, match="links to the duplicate changed"):
        study.commit(merging)
    study.write(MERGE[0], **MERGE[1])
    facts = {fact.label: fact.value for fact in study.read("show", what="Nodule:n1").facts}
    assert facts == {"patient": "Patient:p2", "note": "edited meanwhile"}


def test_a_withdrawal_leaves_no_link_that_came_meanwhile(study: Session) -> None:
    """A nodule of a patient who is being withdrawn makes the withdrawal a conflict."""
    withdrawing = study.plan(WITHDRAW[0], **WITHDRAW[1])
    study.write(LINK[0], **LINK[1])
    with pytest.raises(Conflict):
        study.commit(withdrawing)


def test_an_undoing_is_refused_when_what_goes_was_used_meanwhile(study: Session) -> None:
    """A nodule that became a member between plan and commit of its undoing stays."""
    made = study.write("entity upsert", type="Nodule", keys=["n9"], columns={})
    assert made.change is not None
    undoing = study.plan("revert", change=made.change.id)
    study.write("dataset add", dataset="nodules", type="Nodule", keys=["n9"])
    with pytest.raises(Conflict, match="in use"):
        study.commit(undoing)


def test_what_was_taken_back_can_still_be_erased(study: Session) -> None:
    """A wrong upload that was undone first is erased all the same, out of the rows of the past."""
    added = study.write("entity upsert", type="Patient", keys=["p9"], columns={"note": ["content-of-p9"]})
    assert added.change is not None
    study.write("revert", change=added.change.id)
    study.write("erase", type="Patient", key="p9", basis="wrong upload")
    place = next(kind.place for kind in study.read("type list") if kind.name == "Patient")
    with study.ground.database.read() as connection:
        rows = connection.exec_driver_sql(f'SELECT * FROM "{place}"').all()
    assert len(rows) == 2
    assert "content-of-p9" not in str(rows)
    assert sound(study)


def test_a_merged_duplicate_is_erased_with_the_entity_that_it_is_now(study: Session) -> None:
    """To erase a key that was merged away destroys the entity that stayed, and the duplicate's rows of the past."""
    study.write(MERGE[0], **MERGE[1])
    study.write(ERASE[0], **ERASE[1])
    assert study.read("dataset status", dataset="nodules").rows["members"] == 0
    with study.reading() as on, pytest.raises(InvalidInput, match="no members"):
        read_frame(on, dataset="nodules@dev")
    assert sound(study)


def test_a_short_key_does_not_take_the_words_of_others(study: Session) -> None:
    """Erasing patient 7 leaves alone the changes in whose numbers, dates and digests a 7 stands."""
    study.write("entity upsert", type="Patient", keys=["7"], columns={"note": ["x"]})
    kept = study.write("person add", name="Nora", why="counted 17 scans on 2024-7-1, 0.7 of all")
    gone = study.write("person add", name="Olaf", why="because patient 7 asked for it")
    assert kept.change is not None
    assert gone.change is not None
    study.write("erase", type="Patient", key="7", basis="withdrawn consent")
    told = {entry.change: entry.why for entry in study.read("log").entries}
    assert told[kept.change.id] == "counted 17 scans on 2024-7-1, 0.7 of all"
    assert told[gone.change.id] is None
    assert sum(words is None for words in erased_words(study)) == 1


def erased_words(session: Session) -> list[str | None]:
    """What each change says, as it is kept."""
    with session.ground.database.read() as connection:
        return [row[0] for row in connection.exec_driver_sql("SELECT words FROM change ORDER BY id").all()]


def test_parts_of_a_failed_release_go_with_the_erasure(study: Session) -> None:
    """A release that lost a race leaves no file with the erased rows in it."""
    failing = study.plan("dataset release", dataset="nodules")
    study.write("dataset remove", dataset="nodules", type="Nodule", keys=["n2"])
    before = set(study.ground.blobs.iterate())
    with pytest.raises(Conflict):
        study.commit(failing)
    assert set(study.ground.blobs.iterate()) - before
    study.write(ERASE[0], **ERASE[1])
    assert set(study.ground.blobs.iterate()) == before
