"""Entities that are no longer valid, and keys of merged duplicates: nothing old changes, and nobody makes a twin."""

from __future__ import annotations

from pathlib import Path

import pytest

from commonground.errors import Conflict, InvalidInput, NotFound
from commonground.operations.frames import read_frame
from commonground.operations.session import Session
from commonground.structure import datasets
from commonground.structure.selectors import newest


def declare(session: Session) -> None:
    """Three patients, a scan of each, graded, in a dataset with one release."""
    session.write("type add", name="Patient", columns=[{"name": "age", "holds": "int"}])
    session.write("type add", name="Scan", columns=[{"name": "patient", "holds": "link", "target": "Patient"}])
    session.write("entity upsert", type="Patient", keys=["p1", "p2", "p3"], columns={"age": [61, 47, 70]})
    links = {"patient": ["p1", "p2", "p3"]}
    session.write("entity upsert", type="Scan", keys=["s1", "s2", "s3"], columns=links)
    session.write("feature add", name="grade", type="Scan", holds="int", ordered=True)
    for slot, values in {"a": [1, 5, 2], "b": [1, 1, 2]}.items():
        session.write("feature annotate", feature="grade", keys=["s1", "s2", "s3"], values=values, slots=[slot] * 3)
    session.write("dataset create", name="scans", type="Scan", keys=["s1", "s2", "s3"], features=["grade"])
    session.write("dataset release", dataset="scans")


def table(session: Session, dataset: str) -> dict[str, object]:
    """The newest grade of each scan of a state, by key."""
    with session.reading() as on:
        found = read_frame(on, dataset=dataset, features={"grade": newest()}).table
    return dict(zip(found["key"].to_pylist(), found["grade"].to_pylist(), strict=True))


def test_a_withdrawn_entity_leaves_live_datasets_and_stays_in_versions(session: Session) -> None:
    """Live frame, agreement and next release are without it; the release has it; the status says which and why."""
    declare(session)
    before = session.read("feature agreement", feature="grade", resamples=0).alpha.units
    session.write("entity withdraw", type="Scan", keys=["s2"], reason="the wrong eye")
    assert table(session, "scans@dev") == {"s1": 1, "s3": 2}
    assert table(session, "scans@1.0.0") == {"s1": 1, "s2": 1, "s3": 2}
    state = session.read("dataset status", dataset="scans")
    assert state.dirty
    assert state.withdrawn == (f"Scan:s2, by change {_newest(session)}: the wrong eye",)
    assert session.read("feature agreement", feature="grade", resamples=0).alpha.units == before - 1
    session.write("dataset release", dataset="scans")
    assert set(table(session, "scans@2.0.0")) == {"s1", "s3"}
    shown = session.read("show", what="Scan:s2")
    assert (shown.facts[0].label, shown.facts[0].why) == ("withdrawn", "the wrong eye")
    assert ("patient", "Patient:p2") in {(fact.label, fact.value) for fact in shown.facts}


def _newest(session: Session) -> int:
    with session.reading() as on:
        return on.view.change


def test_the_reason_of_a_withdrawal_is_in_the_log_and_among_the_reasons(session: Session) -> None:
    """The change has the reason as its own; `why` tells it beside the change that brought the entity in."""
    declare(session)
    done = session.write("entity withdraw", type="Scan", keys=["s2"], reason="the wrong eye")
    assert done.change is not None
    newest = session.read("log", limit=1).entries[0]
    assert (newest.change, newest.why) == (done.change.id, "the wrong eye")
    here, gone = session.read("why", what="Scan:s2").points
    assert (gone.question, gone.answer, gone.change) == ("Why it was withdrawn", "the wrong eye", done.change.id)
    assert here.answer is None
    assert str(gone).startswith("“the wrong eye” (c")
    assert str(session.read("why", what="Scan:s2")).splitlines()[:2] == [
        "Why Scan:s2: 1 of 2 answered on record",
        "Why it is here: not recorded",
    ]


def test_an_entity_that_came_with_many_has_the_reason_of_its_coming(session: Session) -> None:
    """A bulk writing is about its type; still each entity is here for the reason that was given for all."""
    declare(session)
    columns = {"patient": ["p1"] * 200}
    keys = [f"more{number}" for number in range(200)]
    done = session.write("entity upsert", type="Scan", keys=keys, columns=columns, why="the second delivery")
    assert done.change is not None
    (point,) = session.read("why", what="Scan:more7").points
    assert (point.answer, point.change) == ("the second delivery", done.change.id)


def test_a_withdrawal_is_undone(session: Session) -> None:
    """The inverse brings the entity back with its values and memberships, as if nothing had been."""
    declare(session)
    done = session.write("entity withdraw", type="Scan", keys=["s2"], reason="the wrong eye")
    assert done.change is not None
    session.write("revert", change=done.change.id)
    assert table(session, "scans@dev") == {"s1": 1, "s2": 1, "s3": 2}
    state = session.read("dataset status", dataset="scans")
    assert (state.dirty, state.withdrawn) == (False, ())


def test_what_still_leads_to_it_must_go_too(session: Session) -> None:
    """A patient with a scan is refused, and goes with the scan if that is said; a reason is needed."""
    declare(session)
    with pytest.raises(Conflict, match="1 Scan"):
        session.write("entity withdraw", type="Patient", keys=["p1"], reason="no consent form")
    with pytest.raises(InvalidInput, match="reason"):
        session.write("entity withdraw", type="Patient", keys=["p1"], reason=" ", linked=True)
    done = session.write("entity withdraw", type="Patient", keys=["p1"], reason="no consent form", linked=True)
    assert done.plan.effect["entities"] == {"Patient": 1, "Scan": 1}
    assert done.plan.effect["members of live datasets"] == {"scans": 1}
    assert set(table(session, "scans@dev")) == {"s2", "s3"}


def test_an_import_does_not_bring_it_back(session: Session, tmp_path: Path) -> None:
    """The row of a withdrawn key is set aside with a note, the others come in; naming it is refused with the reason."""
    declare(session)
    session.write("entity withdraw", type="Scan", keys=["s2"], reason="the wrong eye")
    path = tmp_path / "scans.csv"
    path.write_text("scan,patient\ns1,p1\ns2,p2\ns4,p2\n")
    done = session.write("import table", path=path, type="Scan", key="scan")
    assert (done.plan.effect["new"], done.plan.effect["changed"], done.plan.effect["unchanged"]) == (1, 0, 1)
    assert "s2 was withdrawn" in done.plan.effect["notes"][0]
    with pytest.raises(NotFound) as caught:
        session.write("entity withdraw", type="Scan", keys=["s2", "s9"], reason="again")
    assert caught.value.faults[0].endswith("the wrong eye")
    with pytest.raises(NotFound):
        session.write("feature annotate", feature="grade", keys=["s2"], values=[1])


def test_a_withdrawn_entity_can_still_be_erased(session: Session) -> None:
    """Withdrawn consent after a withdrawal destroys it and the reason, in versions too, and the record stays sound."""
    declare(session)
    session.write("entity withdraw", type="Scan", keys=["s2"], reason="MRN-778 is not hers")
    session.write("erase", type="Scan", key="s2", basis="withdrawn consent")
    assert set(table(session, "scans@1.0.0")) == {"s1", "s3"}
    assert not session.read("verify", full=True).faults
    with pytest.raises(NotFound):
        session.read("show", what="Scan:s2")


def merged(session: Session) -> None:
    """Patient p3 turns out to be p2."""
    declare(session)
    session.write("entity merge", type="Patient", duplicate="p3", into="p2")


def test_the_key_of_a_merged_duplicate_leads_on(session: Session, tmp_path: Path) -> None:
    """Show, upsert, links, imports and readings by the old key mean the entity that stays, and never make a twin."""
    merged(session)
    session.write("entity merge", type="Scan", duplicate="s3", into="s2")
    shown = session.read("show", what="Patient:p3")
    assert shown.name == "Patient:p2"
    assert ("merged into it", "p3") in {(fact.label, fact.value) for fact in shown.facts}
    done = session.write("entity upsert", type="Patient", keys=["p3", "p4"], columns={"age": [48, 20]})
    assert (done.plan.effect["new"], done.plan.effect["changed"]) == (1, 1)
    assert done.plan.effect["notes"] == ["p3 was merged into p2: its row counts for p2."]
    assert session.read("show", what="Patient:p2").facts[0].value == "48"
    session.write("entity upsert", type="Scan", keys=["s5"], columns={"patient": ["p3"]})
    assert session.read("show", what="Scan:s5").facts[0].value == "Patient:p2"
    path = tmp_path / "readings.csv"
    path.write_text("scan,reader,grade\ns3,c,4\n")
    done = session.write(
        "import readings", path=path, type="Scan", entity="scan", rater="reader", values=["grade"], slots=True
    )
    assert done.plan.effect["notes"] == ["s3 was merged into s2: what is said of it counts for s2."]
    done = session.write("feature annotate", feature="grade", keys=["s3"], values=[3], slots=["d"])
    assert done.plan.effect["notes"] == ["s3 was merged into s2: what is said of it counts for s2."]
    assert table(session, "scans@dev") == {"s1": 1, "s2": 3}
    session.write("dataset create", name="both", type="Scan", keys=["s2", "s3"])
    assert session.read("dataset status", dataset="both").rows["members"] == 1
    with session.reading() as on:
        assert on.view.change == _newest(session)
    assert [one.count for one in session.read("status").types] == [3, 3]


def test_of_an_entity_and_its_duplicate_the_row_under_its_own_key_stands(session: Session, tmp_path: Path) -> None:
    """The same uncorrected file changes nothing a second time; two duplicates that differ are refused."""
    merged(session)
    path = tmp_path / "patients.csv"
    path.write_text("patient,age\np1,61\np2,47\np3,70\n")
    done = session.write("import table", path=path, type="Patient", key="patient")
    assert done.change is None
    assert done.plan.effect["notes"] == ["p3 was merged into p2, whose own row stands."]
    session.write("entity merge", type="Patient", duplicate="p1", into="p2")
    with pytest.raises(InvalidInput) as caught:
        session.write("entity upsert", type="Patient", keys=["p1", "p3"], columns={"age": [1, 2]})
    assert caught.value.faults == ("p1 and p3 are both p2 now, and their rows differ",)
    done = session.write("entity upsert", type="Patient", keys=["p1", "p3"], columns={"age": [1, 1]})
    assert done.plan.effect["changed"] == 1
    with pytest.raises(InvalidInput, match="already"):
        session.write("entity merge", type="Patient", duplicate="p3", into="p2")


def test_a_merge_that_is_undone_gives_the_key_back(session: Session) -> None:
    """After the inverse the duplicate is an entity of its own again, under its key."""
    merged(session)
    session.write("revert", change=_newest(session))
    assert session.read("show", what="Patient:p3").name == "Patient:p3"
    session.write("entity upsert", type="Patient", keys=["p3"], columns={"age": [71]})
    assert session.read("show", what="Patient:p2").facts[0].value == "47"


def test_the_key_of_a_duplicate_of_a_withdrawn_entity_stays_taken(session: Session) -> None:
    """What was merged into an entity goes with it, and no import makes a new one of its key."""
    declare(session)
    session.write("entity merge", type="Scan", duplicate="s3", into="s2")
    session.write("entity withdraw", type="Scan", keys=["s3"], reason="the wrong eye")
    done = session.write("entity upsert", type="Scan", keys=["s2", "s3"], columns={"patient": ["p1", "p1"]})
    assert (done.plan.effect["new"], done.plan.effect["changed"]) == (0, 0)
    assert [note.partition(" by")[0] for note in done.plan.effect["notes"]] == ["s2 was withdrawn", "s3 was withdrawn"]
    assert session.read("show", what="Scan:s3").facts[0].why == "the wrong eye"


def test_members_are_counted_as_they_are_read(session: Session) -> None:
    """What is withdrawn, merged, taken out, nested or in two datasets counts as it does for reading the members."""
    merged(session)
    session.write("dataset create", name="all", type="Patient", keys=["p1", "p2", "p3"])
    session.write("dataset create", name="more", type="Scan", keys=["s1", "s2", "s3"])
    session.write("dataset nest", dataset="scans", inside="all")
    session.write("dataset nest", dataset="more", inside="all")
    session.write("dataset remove", dataset="more", type="Scan", keys=["s2"])
    session.write("entity withdraw", type="Scan", keys=["s3"], reason="the wrong eye")
    for name, expected in {"scans": [2], "more": [1], "all": [2, 2]}.items():
        with session.reading() as on:
            inside = datasets.list_inside(on.view, datasets.get_dataset(on.view, name).rid)
            read = datasets.read_members(on.view, inside)
            counted = datasets.count_members(on.view, inside)
        assert sorted(counted.values()) == expected
        assert counted == {kind: len(set(read.of_type(kind).tolist())) for kind in set(read.type.tolist())}
