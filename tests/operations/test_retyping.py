"""Another type for a column, and what depends on a declared thing: nothing is guessed, nothing old changes."""

from __future__ import annotations

import pytest

import commonground as cg
from commonground.errors import InvalidInput
from commonground.operations.frames import read_frame
from commonground.operations.session import Session
from commonground.structure.selectors import newest

RULE = "all, any grade"


def declare(session: Session) -> None:
    """Patients whose age is text, some of it no number, in a dataset with one release."""
    session.write("vocabulary add", name="side", terms=["left", {"name": "right", "synonyms": ["dexter"]}])
    columns = [{"name": "age", "holds": "text"}, {"name": "eye", "holds": "text"}, {"name": "seen", "holds": "date"}]
    session.write("type add", name="Patient", columns=columns)
    session.write(
        "entity upsert",
        type="Patient",
        keys=["p1", "p2", "p3", "p4", "p5"],
        columns={
            "age": ["61", "47.5", "unknown", "unknown", None],
            "eye": ["Left", "dexter", None, "both", None],
            "seen": ["2024", "2024-03-05", None, None, None],
        },
    )
    session.write("dataset create", name="patients", type="Patient", keys=["p1", "p2", "p3"], criteria="age above 40")
    session.write("dataset release", dataset="patients")


def column(session: Session, dataset: str, name: str) -> list[object]:
    """One column of a state."""
    with session.reading() as on:
        cells: list[object] = read_frame(on, dataset=dataset).table[name].to_pylist()
    return cells


def test_all_that_does_not_convert_is_listed_with_every_key(session: Session) -> None:
    """The refusal names each value once with all keys that have it, and nothing changes."""
    declare(session)
    with pytest.raises(InvalidInput) as caught:
        session.plan("retype", what="Patient.age", to="int")
    assert caught.value.faults == (
        "'47.5' (p2): '47.5' is not a whole number",
        "'unknown' (p3, p4): 'unknown' is not a whole number",
    )
    assert caught.value.what.startswith("3 values")
    assert column(session, "patients@dev", "age") == ["61", "47.5", "unknown"]


def test_a_retyped_column_is_a_new_one_and_old_states_stay(session: Session) -> None:
    """The live state has numbers; the release and the time before have the text; the order of columns stays."""
    declare(session)
    with session.reading() as on:
        before = on.view.change
    session.write("retype", what="Patient.age", to="real", maps={"unknown": None})
    assert column(session, "patients@dev", "age") == [61.0, 47.5, None]
    assert column(session, "patients@1.0.0", "age") == ["61", "47.5", "unknown"]
    assert column(session, f"patients@dev.c{before}", "age") == ["61", "47.5", "unknown"]
    (now,) = session.read("type list")
    assert [(one.name, str(one.holds)) for one in now.columns] == [("age", "real"), ("eye", "text"), ("seen", "date")]
    (then,) = session.read("type list", at=before)
    assert [str(one.holds) for one in then.columns] == ["text", "text", "date"]
    assert session.read("dataset status", dataset="patients").dirty
    session.write("entity upsert", type="Patient", keys=["p3"], columns={"age": [30.25]})
    session.write("dataset release", dataset="patients")
    assert column(session, "patients@2.0.0", "age") == [61.0, 47.5, 30.25]
    assert column(session, "patients@1.0.0", "age") == ["61", "47.5", "unknown"]
    assert not session.read("verify").faults


def test_what_does_not_convert_may_be_mapped_or_left_empty(session: Session) -> None:
    """A mapping is read in place of a value, the rest is dropped only if that is said, and both are on record.

    What was said for a value that nobody has is not.
    """
    declare(session)
    with pytest.raises(InvalidInput) as caught:
        session.plan("retype", what="Patient.age", to="int", maps={"47.5": "48"})
    assert len(caught.value.faults) == 1
    done = session.write("retype", what="Patient.age", to="int", maps={"47.5": "48", "48.0": "48"}, drop_bad=True)
    assert column(session, "patients@dev", "age") == [61, 48, None]
    assert done.change is not None
    assert done.plan.args["maps"] == {"47.5": "48"}
    assert done.plan.effect["left empty"] == ["'unknown' (p3, p4): 'unknown' is not a whole number"]


def test_text_becomes_terms_by_name_and_synonym_and_terms_become_text(session: Session) -> None:
    """Words are looked up as an import looks them up, and a term is spelt by its name."""
    declare(session)
    with pytest.raises(InvalidInput, match="cannot become term"):
        session.plan("retype", what="Patient.eye", to="term", target="side")
    session.write("retype", what="Patient.eye", to="term", target="side", maps={"both": ""})
    assert column(session, "patients@dev", "eye") == ["left", "right", None]
    session.write("retype", what="Patient.eye", to="text")
    assert column(session, "patients@dev", "eye") == ["left", "right", None]
    assert column(session, "patients@1.0.0", "eye") == ["Left", "dexter", None]


def test_text_becomes_links_by_key(session: Session) -> None:
    """A column of keys becomes a link, through which a frame reaches what it leads to."""
    declare(session)
    session.write("type add", name="Scan", columns=[{"name": "of", "holds": "text"}])
    session.write("entity upsert", type="Scan", keys=["s1", "s2"], columns={"of": ["p1", "p9"]})
    session.write("dataset create", name="scans", type="Scan", keys=["s1", "s2"])
    session.write("retype", what="Scan.of", to="link", target="Patient", drop_bad=True)
    assert column(session, "scans@dev", "of.age") == ["61", None]


def test_nothing_is_guessed(session: Session) -> None:
    """A day is no moment, a file is no value, and the type that a column has is no new one."""
    declare(session)
    with pytest.raises(InvalidInput) as caught:
        session.plan("retype", what="Patient.seen", to="time")
    assert "a date has no time of day" in caught.value.faults[0]
    with pytest.raises(InvalidInput, match="already"):
        session.plan("retype", what="Patient.seen", to="date")
    with pytest.raises(InvalidInput, match="retype"):
        session.plan("retype", what="Patient.seen", to="asset")
    session.write("retype", what="Patient.seen", to="text")
    assert column(session, "patients@dev", "seen") == ["2024", "2024-03-05", None]


def test_a_retyped_column_is_known_by_all_names(session: Session) -> None:
    """A release is read by a name given after the conversion, and the present by one given before it."""
    declare(session)
    session.write("rename", what="Patient.age", to="years")
    session.write("retype", what="Patient.age", to="real", drop_bad=True)
    session.write("rename", what="Patient.years", to="age at scan")
    with session.reading() as on:
        old = read_frame(on, dataset="patients@1.0.0", columns=["age at scan"]).table
        assert old.column_names == ["rid", "age"]
        assert read_frame(on, dataset="patients@dev", columns=["age"]).table.column_names == ["rid", "age at scan"]


def test_a_retyping_is_undone(session: Session) -> None:
    """The inverse brings the old column back with all that stood in it."""
    declare(session)
    done = session.write("retype", what="Patient.age", to="real", drop_bad=True)
    assert done.change is not None
    session.write("revert", change=done.change.id)
    assert column(session, "patients@dev", "age") == ["61", "47.5", "unknown"]
    assert not session.read("dataset status", dataset="patients").dirty


def test_values_of_a_sensitive_column_are_not_in_the_refusal(session: Session) -> None:
    """Whoever reads the list of what does not convert learns the keys, not the values."""
    columns = [{"name": "number", "holds": "text", "sensitive": True}]
    session.write("type add", name="Person", columns=columns)
    session.write("entity upsert", type="Person", keys=["a", "b"], columns={"number": ["12", "MRN-778"]})
    with pytest.raises(InvalidInput) as caught:
        session.plan("retype", what="Person.number", to="int")
    assert caught.value.faults == ("b: its value is kept back (sensitive)",)
    assert "778" not in str(caught.value)


def lines(session: Session, what: str) -> set[str]:
    """What depends on a thing."""
    return {str(one) for one in session.read("impact", what=what).touches}


def test_impact_names_whatever_depends_on_it(session: Session) -> None:
    """Links, features, datasets, rules in words, versions, selectors and executions, each with what it has to do."""
    declare(session)
    session.write("type add", name="Scan", columns=[{"name": "patient", "holds": "link", "target": "Patient"}])
    session.write("type extend", type="Scan", columns=[{"name": "side", "holds": "term", "target": "side"}])
    session.write("entity upsert", type="Scan", keys=["s1"], columns={"patient": ["p1"], "side": ["left"]})
    session.write("feature add", name="grade", type="Scan", holds="int")
    session.write("feature annotate", feature="grade", keys=["s1"], values=[3])
    session.write(
        "dataset create", name="scans", type="Scan", keys=["s1"], features=["grade"], criteria="all, any grade"
    )
    session.write("dataset release", dataset="scans")
    assert lines(session, "Patient") == {
        "type Patient: 5 entities",
        "column Scan.patient: holds a link of it",
        "dataset patients: 3 members",
        "version patients@1.0.0: holds 3 of them",
        "version scans@1.0.0: holds 1 of them",
    }
    assert lines(session, "Patient.age") == {
        "column Patient.age: 4 values",
        "dataset patients: 3 members",
        "criteria patients: age above 40",
        "version patients@1.0.0: holds it as age",
        "version scans@1.0.0: holds it as age",
    }
    assert lines(session, "grade") == {
        "feature Scan.grade: 1 value of 1 entity",
        "dataset scans: names it",
        "criteria scans: all, any grade",
        "version scans@1.0.0: holds 1 value",
    }
    assert lines(session, "vocabulary:side") == {
        "column Scan.side: holds a term of it",
        "version scans@1.0.0: holds words of it",
    }
    assert lines(session, "side.left") == {"column Scan.side: 1 cell says it", "version scans@1.0.0: holds it"}
    assert lines(session, "side.right") == set()
    assert lines(session, "dataset:patients") == {"version patients@1.0.0: is a release of it"}
    plan = session.plan("rename", what="grade", to="malignancy")
    assert set(plan.effect["touches"]) == lines(session, "grade")
    plan = session.plan("retype", what="Patient.age", to="int", drop_bad=True)
    assert set(plan.effect["touches"]) == lines(session, "Patient.age")


def test_impact_names_the_runs_that_read_it_and_by_which_rule(session: Session) -> None:
    """An execution that chose the values of a feature is named with its selector, and with what it used."""
    study = cg.open(session.ground.folder.parent)
    declare(session)
    session.write("feature add", name="grade", type="Patient", holds="int")
    session.write("feature annotate", feature="grade", keys=["p1"], values=[3])
    session.write("dataset add", dataset="patients", features=["grade"])
    session.write("dataset release", dataset="patients")
    with study.run(name="train", inputs=["patients@2.0.0"], scratch=True) as run:
        run.input("patients").frame(features={"grade": newest()})
    told = lines(session, "grade")
    assert "selector train: For each entity the newest value." in told
    assert "execution train: used what holds it" in told
    assert "execution train: used what holds it" in lines(session, "Patient.age")
    study.close()
