"""Retiring columns and features: out of use now, there in versions, and back again with all they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from commonground.errors import Conflict, InvalidInput, NotAllowed, NotFound
from commonground.identity import read_rid
from commonground.operations.frames import read_frame
from commonground.operations.plans import Role
from commonground.operations.session import Session
from commonground.store.verify import verify
from commonground.structure.selectors import newest


@pytest.fixture
def study(session: Session) -> Session:
    """Two nodules with a column and a feature, released as 1.0.0."""
    columns = [{"name": "size", "holds": "real"}, {"name": "shape", "holds": "text"}]
    session.write("type add", name="Nodule", columns=columns)
    told = {"size": [4.0, 9.5], "shape": ["round", "oval"]}
    session.write("entity upsert", type="Nodule", keys=["n1", "n2"], columns=told)
    session.write("feature add", name="grade", type="Nodule", holds="int", description="How bad it looks")
    session.write("feature annotate", feature="grade", keys=["n1", "n2"], values=[1, 2])
    session.write("dataset create", name="nodules", type="Nodule", keys=["n1", "n2"], features=["grade"])
    session.write("dataset release", dataset="nodules")
    return session


def frame(session: Session, dataset: str, **features: object) -> dict[str, list[object]]:
    """A frame as columns, without rids."""
    with session.reading() as on:
        found = read_frame(on, dataset=dataset, features=features or None)  # type: ignore[arg-type]  # selectors, as used
    return {name: cells for name, cells in found.table.to_pydict().items() if name != "rid"}


def test_a_retired_column_is_hidden_and_versions_have_it(study: Session, tmp_path: Path) -> None:
    """It is in no frame of now and takes no value, by any door; the version shows it, and back it has all it said."""
    plan = study.plan("retire", what="Nodule.shape")
    assert plan.effect["retires"] == "Nodule.shape"
    assert "version nodules@1.0.0: holds it as shape" in plan.effect["touches"]
    study.commit(plan)
    assert frame(study, "nodules@dev") == {"key": ["n1", "n2"], "size": [4.0, 9.5]}
    assert frame(study, "nodules@1.0.0")["shape"] == ["round", "oval"]
    with pytest.raises(InvalidInput, match="no column 'shape'"):
        study.write("entity upsert", type="Nodule", keys=["n1"], columns={"shape": ["flat"]})
    (tmp_path / "more.csv").write_text("id,shape\nn1,flat\n")
    for verb, told in (
        ("import table", {"path": tmp_path / "more.csv", "type": "Nodule", "key": "id"}),
        ("type extend", {"type": "Nodule", "columns": [{"name": "Shape", "holds": "int"}]}),
    ):
        with pytest.raises(InvalidInput, match="cannot be declared") as refused:
            study.write(verb, **told)
        assert "was retired by change" in str(refused.value)
    with pytest.raises(Conflict, match="was retired"):
        study.write("rename", what="Nodule.size", to="shape")
    study.write("entity upsert", type="Nodule", keys=["n2", "n3"], columns={"size": [2.0, 1.0]})
    study.write("retire", what="Nodule.shape", back=True)
    study.write("dataset add", dataset="nodules", type="Nodule", keys=["n3"])
    assert frame(study, "nodules@dev")["shape"] == ["round", "oval", None]
    assert frame(study, "nodules@dev")["size"] == [4.0, 2.0, 1.0]
    assert verify(study.ground, full=True).intact


def test_a_retired_feature_leaves_its_datasets_and_versions_have_its_values(study: Session) -> None:
    """It takes no value and nothing takes its name; the version still says what it said; back, all is there."""
    feature = study.read("show", what="grade").rid
    done = study.write("retire", what="grade", why="Nobody grades any more")
    assert study.read("lineage", rid=read_rid(feature)).start.name == "Nodule.grade"
    assert done.plan.effect["leaves the datasets"] == ["nodules"]
    with pytest.raises(Conflict, match="was retired"):
        study.write("feature annotate", feature="grade", keys=["n1"], values=[3])
    with pytest.raises(Conflict, match="was retired"):
        study.write("feature add", name="Grade", type="Nodule", holds="int")
    with pytest.raises(Conflict, match="was retired"):
        frame(study, "nodules@dev", grade=newest())
    assert frame(study, "nodules@1.0.0", grade=newest())["grade"] == [1, 2]
    assert study.read("find", words=["grade"]).found == ()
    assert any("Nodule.grade" in entry.about for entry in study.read("log").entries)
    study.write("dataset release", dataset="nodules")
    study.write("retire", what="Nodule.grade", back=True)
    assert frame(study, "nodules@dev", grade=newest())["grade"] == [1, 2]
    study.write("feature annotate", feature="grade", keys=["n1"], values=[3])
    assert frame(study, "nodules@dev", grade=newest())["grade"] == [3, 2]
    assert [one.name for one in study.read("find", words=["grade"]).found] == ["Nodule.grade"]
    assert verify(study.ground, full=True).intact


def test_a_retirement_is_undone_like_any_change(study: Session) -> None:
    """`revert` brings the feature back, into its datasets too."""
    done = study.write("retire", what="grade")
    assert done.change is not None
    study.write("revert", change=done.change.id)
    assert frame(study, "nodules@dev", grade=newest())["grade"] == [1, 2]
    assert not study.read("dataset status", dataset="nodules").dirty
    assert [one.name for one in study.read("find", words=["grade"]).found] == ["Nodule.grade"]


@pytest.mark.parametrize("what", ["Nodule.grade", "Nodule.shape"])
@pytest.mark.parametrize("by", ["retire", "revert"])
def test_what_came_back_goes_only_by_being_retired(study: Session, what: str, by: str) -> None:
    """A revert of that would leave it neither there nor retired; the error names the command that retires it."""
    gone = study.write("retire", what=what)
    assert gone.change is not None
    if by == "retire":
        came = study.write("retire", what=what, back=True)
    else:
        came = study.write("revert", change=gone.change.id)
    assert came.change is not None
    with pytest.raises(Conflict) as caught:
        study.plan("revert", change=came.change.id)
    assert caught.value.todo == f"`cg retire {what}` retires it."
    again = study.write("retire", what=what)
    assert again.change is not None
    with pytest.raises(Conflict) as caught:
        study.plan("revert", change=came.change.id)
    assert caught.value.todo == f"It was retired again, by change {again.change.id}."


@pytest.mark.parametrize(("what", "to"), [("Nodule.grade", "score"), ("Nodule.shape", "form")])
def test_what_was_renamed_comes_back_by_its_former_name(study: Session, what: str, to: str) -> None:
    """What was retired is found by every name that it had; the name that it had last goes before a former one."""
    study.write("rename", what=what, to=to)
    study.write("retire", what=f"Nodule.{to}")
    assert study.plan("retire", what=what, back=True).effect["brings back"] == f"Nodule.{to}"
    study.write("rename", what="Nodule.size", to=what.partition(".")[2], reuse=True)
    study.write("retire", what=what)
    assert study.plan("retire", what=what, back=True).effect["brings back"] == what


@pytest.mark.parametrize("back", [True, False])
def test_a_retired_column_says_what_it_said_however_it_comes_back(study: Session, back: bool) -> None:
    """Brought back or its retirement undone, also if entities got new states and another column was retired."""
    done = study.write("retire", what="Nodule.shape")
    study.write("entity upsert", type="Nodule", keys=["n2"], columns={"size": [2.0]})
    other = study.write("retire", what="Nodule.size")
    study.write("type extend", type="Nodule", columns=[{"name": "side", "holds": "text"}])
    study.write("entity upsert", type="Nodule", keys=["n2"], columns={"side": ["left"]})
    for what, change in (("Nodule.size", other.change), ("Nodule.shape", done.change)):
        assert change is not None
        if back:
            study.write("retire", what=what, back=True)
        else:
            study.write("revert", change=change.id)
    found = frame(study, "nodules@dev")
    assert (found["shape"], found["size"], found["side"]) == (["round", "oval"], [4.0, 2.0], [None, "left"])
    assert verify(study.ground, full=True).intact


def test_a_new_type_that_is_undone_leaves_what_did_not_convert(study: Session) -> None:
    """A value that was left empty is there again, although its entity got a new state in between."""
    done = study.write("retype", what="Nodule.shape", to="int", drop_bad=True)
    assert done.change is not None
    study.write("entity upsert", type="Nodule", keys=["n2"], columns={"size": [2.0]})
    study.write("revert", change=done.change.id)
    assert frame(study, "nodules@dev")["shape"] == ["round", "oval"]


def test_what_was_planned_before_is_refused(study: Session) -> None:
    """Values that were planned before the retirement, and a retirement planned before a dataset named the feature."""
    before = study.plan("feature annotate", feature="grade", keys=["n1"], values=[3])
    late = study.plan("retire", what="grade")
    study.write("dataset create", name="others", type="Nodule", keys=["n1"], features=["grade"])
    with pytest.raises(Conflict):
        study.commit(late)
    study.write("retire", what="grade")
    with pytest.raises(Conflict):
        study.commit(before)


@pytest.mark.parametrize("what", ["Nodule.shape", "column:Nodule.shape", "Nodule.grade", "grade"])
def test_whoever_asks_for_what_is_retired_is_told_so(study: Session, what: str) -> None:
    """Renaming, retiring once more and what depends on it say that it was retired, not that it is unknown."""
    study.write("retire", what="Nodule.shape")
    study.write("retire", what="Nodule.grade")
    for verb, more in (("rename", {"to": "other"}), ("retire", {})):
        with pytest.raises(Conflict, match="was retired by change"):
            study.plan(verb, what=what, **more)
    with pytest.raises(Conflict, match="was retired by change"):
        study.read("impact", what=what)
    with pytest.raises(NotFound):
        study.read("impact", what="Nodule.colour")


def test_what_cannot_be_retired(study: Session) -> None:
    """A type, a link, what was never there or is retired already; and a contributor retires nothing."""
    study.write("type add", name="Scan", columns=[{"name": "nodule", "holds": "link", "target": "Nodule"}])
    with pytest.raises(InvalidInput, match="columns and features"):
        study.plan("retire", what="Nodule")
    with pytest.raises(InvalidInput, match="is a link"):
        study.plan("retire", what="Scan.nodule")
    with pytest.raises(NotFound, match="was retired"):
        study.plan("retire", what="grade", back=True)
    study.write("retire", what="Nodule.size")
    with pytest.raises(NotFound) as told:
        study.plan("retire", what="Nodule.colour", back=True)
    assert "Retired are: Nodule.size." in str(told.value)
    with pytest.raises(NotAllowed):
        Session(study.ground, study.actor, Role.CONTRIBUTOR).write("retire", what="grade")


def test_an_erasure_follows_links_and_files_that_were_retired(session: Session, tmp_path: Path) -> None:
    """A link that became text still tells what belongs to a patient, and a picture of a retired column goes too."""
    session.write("type add", name="Patient", columns=[{"name": "photo", "holds": "asset"}])
    session.write("entity upsert", type="Patient", keys=["p1", "p2"], columns={})
    (tmp_path / "p1.png").write_bytes(
        bytes.fromhex(
            "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63606060000000040001f6"
            "1738550000000049454e44ae426082"
        )
    )
    told = {"path": tmp_path, "match": "{patient}.png", "type": "Patient", "column": "photo"}
    session.write("import pictures", **told)
    session.write("type add", name="Scan", columns=[{"name": "patient", "holds": "link", "target": "Patient"}])
    session.write("entity upsert", type="Scan", keys=["s1", "s2"], columns={"patient": ["p1", "p2"]})
    session.write("retype", what="Scan.patient", to="text")
    session.write("entity upsert", type="Scan", keys=["s1", "s2"], columns={"patient": ["one", "two"]})
    session.write("retire", what="Patient.photo")
    done = session.write("erase", type="Patient", key="p1", basis="withdrawn consent")
    assert done.plan.effect["destroys"] == {"Patient": 1, "Scan": 1}
    assert done.plan.effect["files"] == ["p1.png"]
    assert verify(session.ground, full=True).intact
