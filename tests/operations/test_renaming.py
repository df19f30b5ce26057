"""Renaming: a label changes, ids and places stay, and whoever uses the old name is understood."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commonground.errors import Ambiguous, CommonGroundError, Conflict, NotFound
from commonground.operations.frames import read_frame
from commonground.operations.session import Session
from commonground.structure import entities, features
from commonground.structure.selectors import newest


def declare(session: Session) -> None:
    """Patients with a vocabulary, nodules with a feature, and a dataset with one release."""
    session.write("vocabulary add", name="side", terms=["left", {"name": "right", "synonyms": ["dexter"]}])
    session.write(
        "type add",
        name="Patient",
        columns=[{"name": "age", "holds": "int"}, {"name": "eye", "holds": "term", "target": "side"}],
    )
    session.write("type add", name="Nodule", columns=[{"name": "patient", "holds": "link", "target": "Patient"}])
    session.write("entity upsert", type="Patient", keys=["p1", "p2"], columns={"age": [61, 47], "eye": ["left", None]})
    session.write("entity upsert", type="Nodule", keys=["n1", "n2"], columns={"patient": ["p1", "p2"]})
    session.write("feature add", name="grade", type="Nodule", holds="int")
    session.write("feature annotate", feature="grade", keys=["n1"], values=[4])
    session.write("dataset create", name="nodules", type="Nodule", keys=["n1", "n2"], features=["grade"])
    session.write("dataset release", dataset="nodules")


def frame(session: Session, dataset: str, **asked: object) -> dict[str, list[object]]:
    """A state of a dataset, column by column, without rids."""
    with session.reading() as on:
        table = read_frame(on, dataset=dataset, **asked).table  # type: ignore[arg-type]
    return {name: table[name].to_pylist() for name in table.column_names if name != "rid"}


def test_a_renamed_column_keeps_its_place_and_the_release_its_label(session: Session) -> None:
    """The live frame has the new name, the released version the old one, with the same cells and nothing dirty."""
    declare(session)
    with session.reading() as on:
        before = entities.get_type(on.view, "Patient").get_column("age")
    session.write("rename", what="Patient.age", to="age at scan")
    with session.reading() as on:
        after = entities.get_type(on.view, "Patient").get_column("age")
        assert (after.rid, after.place, after.name) == (before.rid, before.place, "age at scan")
    assert frame(session, "nodules@dev")["patient.age at scan"] == [61, 47]
    assert frame(session, "nodules@1.0.0")["patient.age"] == [61, 47]
    assert not session.read("dataset status", dataset="nodules").dirty


def test_a_release_is_read_by_names_of_any_time(session: Session) -> None:
    """Grain, columns and features of an old version may be asked for as they are called now, or were in between."""
    declare(session)
    for what, to in [
        ("Patient.age", "years"),
        ("Patient.years", "age at scan"),
        ("Nodule.patient", "owner"),
        ("Nodule", "Lesion"),
        ("Lesion", "Finding"),
        ("grade", "malignancy"),
    ]:
        session.write("rename", what=what, to=to)
    for column in ("patient.age", "owner.age at scan", "owner.years"):
        told = frame(session, "nodules@1.0.0", columns=[column], grain="Finding")
        assert told == {"patient.age": [61, 47]}
    assert frame(session, "nodules@1.0.0", features={"grade": newest()}, grain="Nodule")["grade"] == [4, None]
    assert frame(session, "nodules", features={"malignancy": newest()}, grain="Lesion")["malignancy"] == [4, None]
    assert frame(session, "nodules@dev", columns=["patient.age"]) == {"owner.age at scan": [61, 47]}


def test_every_declared_thing_is_found_by_its_old_name(session: Session) -> None:
    """Types, features, vocabularies, terms and datasets, at every verb, in `show` and in the search."""
    declare(session)
    for what, to in {
        "Nodule": "Lesion",
        "Lesion.grade": "malignancy",
        "side": "laterality",
        "laterality.left": "sinister",
        "dataset:nodules": "lesions",
    }.items():
        session.write("rename", what=what, to=to)
    session.write("entity upsert", type="Patient", keys=["p3"], columns={"eye": ["left"]})
    session.write("feature annotate", feature="Nodule.grade", keys=["n2"], values=[2])
    assert session.read("show", what="Nodule:n1").name == "Lesion:n1"
    assert session.read("show", what="grade").name == "Lesion.malignancy"
    assert session.read("show", what="Nodule.grade").name == "Lesion.malignancy"
    shown = session.read("show", what="nodules")
    assert shown.name == "lesions"
    assert ("called before", "nodules") in {(fact.label, fact.value) for fact in shown.facts}
    assert [term.name for term in session.read("term list", vocabulary="side")] == ["sinister", "right"]
    assert "laterality" in {one.name for one in session.read("find", words=["side"]).found}
    assert "sinister" in {one.name for one in session.read("find", words=["left"]).found}
    assert session.read("dataset status", dataset="nodules@dev".partition("@")[0]).name == "lesions"
    assert frame(session, "nodules@1.0.0", features={"grade": newest()})["grade"] == [4, None]
    live = frame(session, "lesions@dev", features={"malignancy": newest()})
    assert (live["malignancy"], live["patient.eye"]) == ([4, 2], ["sinister", None])
    assert frame(session, "nodules@1.0.0")["patient.eye"] == ["left", None]


def test_as_of_an_earlier_change_a_thing_has_the_name_of_that_time(session: Session) -> None:
    """A read as of the change before a rename shows the old name, and does not know the new one."""
    declare(session)
    with session.reading() as on:
        before = on.view.change
    session.write("rename", what="Patient", to="Person")
    assert [kind.name for kind in session.read("type list", at=before)] == ["Patient", "Nodule"]
    with session.reading(before) as on, pytest.raises(NotFound):
        entities.get_type(on.view, "Person")


def test_an_old_file_goes_into_the_renamed_column(session: Session, tmp_path: Path) -> None:
    """An import whose heading and type are the old names changes the renamed column, and declares nothing."""
    declare(session)
    session.write("rename", what="Patient.age", to="age at scan")
    session.write("rename", what="Patient", to="Person")
    path = tmp_path / "patients.csv"
    path.write_text("key,age\np1,62\np9,30\n")
    done = session.write("import table", path=path, type="Patient", key="key")
    assert (done.plan.effect["new"], done.plan.effect["changed"]) == (1, 1)
    assert "adds columns" not in done.plan.effect
    assert [column.name for column in session.read("type list")[0].columns] == ["age at scan", "eye"]
    both = tmp_path / "both.csv"
    both.write_text("key,age,age at scan\np1,62,63\n")
    with pytest.raises(CommonGroundError, match="do not fit"):
        session.write("import table", path=both, type="Person", key="key")


def test_a_name_that_is_taken_or_was_anothers_is_refused(session: Session) -> None:
    """Neither a living name nor a former one is given to another thing, unless it is said that it may be."""
    declare(session)
    with pytest.raises(Conflict, match="already"):
        session.write("rename", what="Patient", to="nodule")
    with pytest.raises(CommonGroundError, match="cannot be called"):
        session.write("rename", what="Patient.age", to="key")
    session.write("rename", what="Patient.age", to="years")
    with pytest.raises(Conflict, match="was the name of"):
        session.write("rename", what="Patient.eye", to="age")
    with pytest.raises(CommonGroundError, match="cannot be declared"):
        session.write("type extend", type="Patient", columns=[{"name": "age", "holds": "int"}])
    session.write("rename", what="dataset:nodules", to="lesions")
    with pytest.raises(Conflict, match="was the name of"):
        session.write("dataset create", name="nodules")
    session.write("rename", what="Patient.eye", to="age", reuse=True)
    with session.reading() as on:
        assert entities.get_type(on.view, "Patient").get_column("age").holds == "term"
    with pytest.raises(CommonGroundError, match="word for another term"):
        session.write("rename", what="side.left", to="dexter")


def test_what_could_be_a_column_or_a_feature_must_be_said(session: Session) -> None:
    """`Nodule.size` is refused where both have that name, and understood with its kind before it."""
    declare(session)
    session.write("type extend", type="Nodule", columns=[{"name": "grade", "holds": "int"}])
    with pytest.raises(Ambiguous, match="2 things"):
        session.write("rename", what="Nodule.grade", to="x")
    session.write("rename", what="feature:Nodule.grade", to="malignancy")
    with session.reading() as on:
        assert features.get_feature(on.view, "malignancy").name == "malignancy"
        assert entities.get_type(on.view, "Nodule").get_column("grade").name == "grade"


def test_a_rename_is_undone_and_renaming_to_the_same_is_nothing(session: Session) -> None:
    """The inverse brings the old name back; the name of the time between still leads to the thing."""
    declare(session)
    done = session.write("rename", what="Nodule", to="Lesion")
    assert session.write("rename", what="Lesion", to="Lesion").change is None
    assert done.change is not None
    session.write("revert", change=done.change.id)
    with session.reading() as on:
        assert entities.get_type(on.view, "Lesion").name == "Nodule"


def test_a_split_of_an_old_release_finds_the_owner_by_its_name_of_then(session: Session) -> None:
    """The group of a split of a version is the owner by the labels of the version, though they have changed since."""
    declare(session)
    session.write("rename", what="Nodule.patient", to="owner")
    plan = session.plan("dataset split", dataset="nodules@1.0.0", shares={"train": 0.5, "test": 0.5}, seed=1)
    assert plan.args


@given(names=st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=6))
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_name_it_ever_had_leads_to_it(session: Session, names: list[str]) -> None:
    """However often a column is renamed, back and forth, each of its names gives the same place."""
    known = {kind.name for kind in session.read("type list")}
    name = f"Type{len(known)}"
    session.write("type add", name=name, columns=[{"name": "first", "holds": "int"}])
    current = "first"
    for wanted in names:
        session.write("rename", what=f"{name}.{current}", to=wanted)
        current = wanted
    with session.reading() as on:
        kind = entities.get_type(on.view, name)
    assert {kind.get_column(one).place for one in ("first", *names)} == {kind.columns[0].place}
    assert kind.columns[0].name == names[-1]
