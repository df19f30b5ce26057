"""Sensitive columns: out of frames, pages, messages, the search and the log, unless somebody who may asks for them."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

import commonground as cg
from commonground.errors import CommonGroundError, InvalidInput, NotAllowed
from commonground.interfaces.cli import presenting
from commonground.operations.frames import read_frame
from commonground.operations.plans import Role
from commonground.operations.session import Session
from commonground.store import schema, text_index

BIRTHDAY = "1961-03-05"


@pytest.fixture
def study(session: Session) -> Session:
    """Patients with a sensitive birthday, scans of them, and a dataset with one release."""
    columns = [
        {"name": "birthday", "holds": "date", "sensitive": True},
        {"name": "age", "holds": "int"},
        {"name": "number", "holds": "text"},
    ]
    session.write("type add", name="Patient", columns=columns)
    session.write("type add", name="Scan", columns=[{"name": "patient", "holds": "link", "target": "Patient"}])
    told = {"birthday": [BIRTHDAY, None], "age": [61, 47], "number": ["MRN-778", "MRN-779"]}
    session.write("entity upsert", type="Patient", keys=["p1", "p2"], columns=told)
    session.write("entity upsert", type="Scan", keys=["s1", "s2"], columns={"patient": ["p1", "p2"]})
    session.write("dataset create", name="scans", type="Scan", keys=["s1", "s2"])
    session.write("dataset release", dataset="scans")
    return session


def as_role(session: Session, role: Role) -> Session:
    """The same person with another role."""
    return Session(session.ground, session.actor, role)


def frame(session: Session, dataset: str = "scans@dev", **asked: object) -> pa.Table:
    """A state of a dataset."""
    with session.reading() as on:
        return read_frame(on, dataset=dataset, **asked).table  # type: ignore[arg-type]


def test_a_frame_leaves_it_out_and_says_so(study: Session) -> None:
    """Of a live state and of a release; the table's metadata names what was kept back."""
    for state in ("scans@dev", "scans@1.0.0"):
        table = frame(study, state)
        assert "patient.birthday" not in table.column_names
        assert json.loads(table.schema.metadata[b"commonground.kept_back"]) == ["patient.birthday"]
    assert BIRTHDAY not in str(frame(study).to_pydict())


def test_it_is_there_for_somebody_who_may_and_asks(study: Session) -> None:
    """By name or all at once, noted in the table; a contributor may not, and is told who may."""
    for asked in ({"columns": ["patient.birthday"]}, {"sensitive": True}):
        table = frame(study, **asked)
        assert table["patient.birthday"].to_pylist() == [BIRTHDAY, None]
        assert json.loads(table.schema.metadata[b"commonground.sensitive"]) == ["patient.birthday"]
        with pytest.raises(NotAllowed, match="curator"):
            frame(as_role(study, Role.CONTRIBUTOR), **asked)
    assert "patient.birthday" not in frame(as_role(study, Role.CONTRIBUTOR)).column_names


def test_show_keeps_it_back_unless_asked(study: Session) -> None:
    """The page of the entity names the column and not what stands there."""
    told = {fact.label: fact.value for fact in study.read("show", what="Patient:p1").facts}
    assert told["birthday"] == "kept back (sensitive)"
    assert BIRTHDAY not in str(study.read("show", what="Patient:p1"))
    told = {fact.label: fact.value for fact in study.read("show", what="Patient:p1", sensitive=True).facts}
    assert told["birthday"] == BIRTHDAY
    with pytest.raises(NotAllowed):
        as_role(study, Role.READER).read("show", what="Patient:p1", sensitive=True)


def test_a_mark_made_later_holds_for_versions_released_before(study: Session) -> None:
    """Marking closes the old release too, and what the column was converted from; clearing opens it."""
    assert frame(study, "scans@1.0.0")["patient.age"].to_pylist() == [61, 47]
    study.write("retype", what="Patient.age", to="text")
    done = study.write("type sensitive", columns=["Patient.age", "Patient.number"])
    for state in ("scans@dev", "scans@1.0.0"):
        assert set(frame(study, state).column_names) == {"rid", "key", "patient"}
    assert study.write("type sensitive", columns=["Patient.age"]).change is None
    study.write("type sensitive", columns=["Patient.number"], clear=True)
    assert "patient.number" in frame(study, "scans@1.0.0").column_names
    assert done.plan.effect["touches"]


def test_all_below_a_sensitive_link_is_kept_back(study: Session) -> None:
    """Whoever may not know whose scan it is does not learn it from the age."""
    study.write("type sensitive", columns=["Scan.patient"])
    assert frame(study).column_names == ["rid", "key"]


def test_no_message_says_what_stands_there(study: Session, tmp_path: Path) -> None:
    """Faults of an upsert and of an import say the row and not the value."""
    told = {"birthday": ["the 5th of March"], "age": ["old"]}
    with pytest.raises(InvalidInput) as caught:
        study.write("entity upsert", type="Patient", keys=["p3"], columns=told)
    assert "March" not in str(caught.value)
    assert "birthday, row 1: the value does not fit, and is kept back (sensitive)" in caught.value.faults
    many = {"birthday": ["1961-03-05" if row % 30 else "in March" for row in range(600)]}
    with pytest.raises(InvalidInput) as of_many:
        study.write("entity upsert", type="Patient", keys=[f"q{row}" for row in range(600)], columns=many)
    (fault,) = of_many.value.faults
    assert fault.startswith("birthday, row 1, row 31, row 61, ")
    assert "row 271, and others: the value does not fit" in fault
    assert "March" not in str(of_many.value)
    path = tmp_path / "patients.csv"
    path.write_text("key,birthday,age\np1,1961-03-05,61\np2,5 March 61,47\n")
    with pytest.raises(CommonGroundError) as caught_too:
        study.write("import table", path=path, type="Patient", key="key")
    assert "March" not in str(caught_too.value)
    assert "row 2" in str(caught_too.value)


def test_a_column_under_two_names_is_refused_though_it_is_sensitive(study: Session) -> None:
    """Given under its name of now and of before, neither is silently left out."""
    study.write("rename", what="Patient.birthday", to="born")
    with pytest.raises(InvalidInput) as caught:
        study.write("entity upsert", type="Patient", keys=["p3"], columns={"born": ["1960"], "birthday": ["1961"]})
    assert caught.value.faults == ("birthday was the name of born, which is given as well",)


def test_an_import_marks_new_columns(study: Session, tmp_path: Path) -> None:
    """A column named as sensitive is declared so, before anybody can look at it."""
    path = tmp_path / "people.csv"
    path.write_text("key,mail\na,a@example.org\n")
    study.write("import table", path=path, type="Person", key="key", sensitive=["mail"])
    assert study.read("show", what="Person:a").facts[0].value == "kept back (sensitive)"


def test_it_is_in_no_search_and_in_no_change(study: Session) -> None:
    """The text index and the words of the log never have what stands in a sensitive column."""
    study.write("entity upsert", type="Patient", keys=["p2"], columns={"birthday": ["1977-07-07"]})
    study.write("retype", what="Patient.birthday", to="text", maps={BIRTHDAY: "1961"})
    with study.ground.database.read() as connection:
        said = [f"{title} {body}" for _, _, title, body in text_index.dump(connection)]
        words = [str(row.words) for row in connection.execute(sa.select(schema.change.c.words))]
    for secret in (BIRTHDAY, "1977-07-07"):
        assert not any(secret in text for text in [*said, *words])


def test_a_run_says_what_was_kept_back_from_it(study: Session) -> None:
    """The record of an input names the sensitive columns that were left out, or that were read."""
    client = cg.open(study.ground.folder.parent)
    with client.run(name="train", inputs=["scans@1.0.0"], scratch=True) as run:
        run.input("scans").frame()
        run.input("scans").frame(columns=["patient.birthday"])
    with study.ground.database.read() as connection:
        details = connection.execute(sa.text("SELECT details FROM edge WHERE until IS NULL AND relation = 'used'"))
        frames = json.loads(details.scalars().one())["frames"]
    assert frames[0]["kept_back"] == ["patient.birthday"]
    assert frames[1]["sensitive"] == ["patient.birthday"]
    client.close()


def stored(session: Session, version: str, **asked: object) -> dict[str, list[str]]:
    """The columns of each table of a version, as its files have them."""
    files = session.read("dataset files", version=version, **asked)
    return {one["table"]: [one["columns"][name] for name in pq.read_schema(one["path"]).names] for one in files}


def test_a_version_keeps_it_in_files_of_its_own(study: Session) -> None:
    """The files that are listed have none of it; with the others, which may be asked for, the version is whole."""
    assert stored(study, "scans@1.0.0")["Patient"] == ["rid", "key", "age", "number"]
    assert "Patient (sensitive)" not in stored(study, "scans@1.0.0")
    assert stored(study, "scans@1.0.0", sensitive=True)["Patient (sensitive)"] == ["rid", "birthday"]
    with pytest.raises(NotAllowed, match=r"Patient \(sensitive\)"):
        as_role(study, Role.READER).read("dataset files", version="scans@1.0.0", sensitive=True)
    study.write("type sensitive", columns=["Patient.age"])
    assert "Patient" not in stored(study, "scans@1.0.0")
    study.write("dataset release", dataset="scans")
    assert stored(study, "scans@2.0.0")["Patient"] == ["rid", "key", "number"]
    assert frame(study, "scans@2.0.0", columns=["patient.age"])["patient.age"].to_pylist() == [61, 47]


def test_what_is_left_out_of_the_files_is_said(study: Session) -> None:
    """A table of a version from before the mark is left out whole: the list says so and why, and so does asking for it.

    A curator gets it all the same; after a new release only the sensitive columns are apart.
    """
    study.write("type sensitive", columns=["Patient.age"])
    client = cg.open(study.ground.folder.parent)
    tables = client.datasets.tables("scans@1.0.0")
    assert tables.left_out["Patient (sensitive)"] == "birthday: sensitive"
    assert tables.left_out["Patient"].startswith("age: marked as sensitive after this release")
    assert "Patient" not in tables
    with pytest.raises(NotAllowed, match="are left out whole") as told:
        tables["Patient"]
    assert "sensitive=True" in str(told.value)
    with pytest.raises(KeyError):
        tables["Nobody"]
    whole = client.datasets.tables("scans@1.0.0", sensitive=True)
    assert (whole["Patient"].rows, dict(whole.left_out)) == (2, {})
    page = presenting.present("dataset files", client.datasets.files("scans@1.0.0"), {"version": "scans@1.0.0"})
    assert any("Left out: Patient (age: marked" in cell.text for cell in page.below)
    study.write("dataset release", dataset="scans")
    assert dict(client.datasets.files("scans@2.0.0").left_out) == {"Patient (sensitive)": "birthday, age: sensitive"}
    client.close()


def test_an_erasure_reaches_the_files_of_their_own(study: Session) -> None:
    """After it neither file of the version has the patient, rows still fit together, and the record is sound."""
    study.write("erase", type="Patient", key="p1", basis="withdrawn consent")
    table = frame(study, "scans@1.0.0", sensitive=True)
    assert table["patient"].to_pylist() == ["p2"]
    assert table["patient.birthday"].to_pylist() == [None]
    for one in study.read("dataset files", version="scans@1.0.0", sensitive=True):
        assert BIRTHDAY not in str(pq.read_table(one["path"]).to_pydict())
    assert not study.read("verify", full=True).faults
