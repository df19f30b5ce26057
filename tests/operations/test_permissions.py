"""What a role may and what an agent may not: imports that declare something, and judgements that are a person's own."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from commonground.errors import InvalidInput, NotAllowed
from commonground.operations.plans import Role
from commonground.operations.session import Session

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63606060000000040001f61738"
    "550000000049454e44ae426082"
)


def acting(session: Session, role: Role, **actor: Any) -> Session:
    """The same study in the hands of somebody with another role, or of an agent."""
    return Session(session.ground, dataclasses.replace(session.actor, **actor), role)


def write(folder: Path, name: str, *lines: str) -> Path:
    """A table file."""
    path = folder / name
    path.write_text("\n".join([*lines, ""]))
    return path


def imports(folder: Path) -> list[tuple[str, dict[str, Any], str]]:
    """Imports that declare a type, a column, a feature, a column of pictures; and what the refusal must name."""
    (folder / "scans").mkdir()
    (folder / "scans" / "n1.png").write_bytes(PIXEL)
    readings = {"type": "Nodule", "entity": "nodule", "rater": "reader"}
    return [
        (
            "import table",
            {"path": write(folder, "p.csv", "id,age", "p1,61"), "type": "Patient", "key": "id"},
            "Patient",
        ),
        ("import table", {"path": write(folder, "n.csv", "id,size", "n1,4"), "type": "Nodule", "key": "id"}, "size"),
        (
            "import readings",
            {"path": write(folder, "r.csv", "nodule,reader,grade", "n1,Tester,3"), **readings},
            "grade",
        ),
        ("import pictures", {"path": folder / "scans", "match": "{nodule}.png", "type": "Nodule"}, "picture"),
    ]


@pytest.mark.parametrize("place", range(4))
def test_an_import_that_declares_needs_the_role_for_that(session: Session, tmp_path: Path, place: int) -> None:
    """A contributor is refused, told what would be declared and whom to ask, and nothing changed; a curator is not.

    Once it is declared, the contributor brings in more of it.
    """
    session.write("type add", name="Nodule")
    session.write("entity upsert", type="Nodule", keys=["n1"], columns={})
    verb, told, word = imports(tmp_path)[place]
    contributor, curator = acting(session, Role.CONTRIBUTOR), acting(session, Role.CURATOR)
    with session.ground.view() as view:
        before = view.change
    with pytest.raises(NotAllowed, match="needs the role curator; yours is contributor") as refused:
        contributor.write(verb, **told)
    assert word in str(refused.value)
    assert "Ask a curator" in str(refused.value)
    with pytest.raises(NotAllowed):
        contributor.commit(curator.plan(verb, **told))
    with session.ground.view() as view:
        assert view.change == before
    assert curator.write(verb, **told).change is not None
    if verb == "import pictures":
        (tmp_path / "scans" / "n1.png").write_bytes(PIXEL + b"x")
    else:
        told["path"].write_text(told["path"].read_text().replace("61", "62").replace(",4", ",5").replace(",3", ",4"))
    assert contributor.write(verb, **told).change is not None


@pytest.mark.parametrize("marked", [{"agent": "CG_AGENT"}, {"on_behalf": 7}])
def test_an_agent_settles_nothing(session: Session, marked: dict[str, Any]) -> None:
    """An agent may prepare an adjudication, for whomever, and not commit it; the person may commit the very plan."""
    session.write("person add", name="Bea")
    session.write("type add", name="Nodule")
    session.write("entity upsert", type="Nodule", keys=["n1"], columns={})
    session.write("feature add", name="grade", type="Nodule", holds="int")
    for rater, value in (("Tester", 1), ("Bea", 2)):
        session.write("feature annotate", feature="grade", keys=["n1"], values=[value], rater=rater)
    agent = acting(session, Role.OWNER, **marked)
    for by in (None, "Bea"):
        plan = agent.plan("feature adjudicate", feature="grade", keys=["n1"], values=[2], by=by)
        with pytest.raises(NotAllowed, match="a person's own judgement"):
            agent.commit(plan)
    assert session.read("feature disagreements", feature="grade")[0].settled is None
    session.commit(plan)
    assert session.read("feature disagreements", feature="grade")[0].settled == "2"


@pytest.mark.parametrize("marked", [{"agent": "CG_AGENT"}, {"on_behalf": 7}])
def test_an_agent_reads_in_nobodys_name(session: Session, tmp_path: Path, marked: dict[str, Any]) -> None:
    """An agent commits no reading in a person's name, its own person's included; the person may commit the very plan.

    It may bring in a file of readings, whose origin is the file and whose change is marked; write what an anonymous
    reader said; and write what a run computed.
    """
    session.write("person add", name="Bea")
    session.write("type add", name="Nodule")
    session.write("entity upsert", type="Nodule", keys=["n1"], columns={})
    session.write("feature add", name="grade", type="Nodule", holds="int")
    agent = acting(session, Role.OWNER, **marked)
    told: dict[str, Any] = {"feature": "grade", "keys": ["n1"], "values": [3]}
    for rater, name in ((None, session.actor.name), ("Bea", "Bea")):
        plan = agent.plan("feature annotate", **told, rater=rater)
        with pytest.raises(NotAllowed, match=f"a reading in the name of {name}.*a person's own judgement") as refused:
            agent.commit(plan)
        assert "import readings" in refused.value.todo
    assert not session.read("show", what="Nodule:n1").values.raters
    session.commit(plan)
    assert session.read("show", what="Nodule:n1").values.raters == ("Bea",)
    path = write(tmp_path, "r.csv", "nodule,reader,grade", "n1,Bea,4")
    brought = agent.write("import readings", path=path, type="Nodule", entity="nodule", rater="reader")
    assert brought.change is not None
    assert (brought.change.agent, brought.change.on_behalf) == (marked.get("agent"), marked.get("on_behalf"))
    assert agent.write("feature annotate", **told, slots=["a model of mine"]).change is not None
    assert agent.write("feature annotate", **told, origin=session.ground.mint.one()).change is not None


def test_pictures_of_merged_duplicates_lead_on(session: Session, tmp_path: Path) -> None:
    """A picture named by the key of a merged duplicate belongs to what that is now, and this is said.

    Two pictures that lead to one entity are refused.
    """
    session.write("type add", name="Nodule", columns=[{"name": "picture", "holds": "asset"}])
    session.write("entity upsert", type="Nodule", keys=["n1", "n2"], columns={})
    session.write("entity merge", type="Nodule", duplicate="n2", into="n1")
    (tmp_path / "n2.png").write_bytes(PIXEL)
    told = {"path": tmp_path, "match": "{nodule}.png", "type": "Nodule"}
    done = session.write("import pictures", **told)
    assert done.plan.effect["notes"] == ["n2 was merged into n1: what is said of it counts for n1."]
    shown = session.read("show", what="Nodule:n1")
    assert any(fact.label == "picture" and fact.value is not None for fact in shown.facts)
    assert session.write("import pictures", **told).change is None
    (tmp_path / "n1.png").write_bytes(PIXEL + b"x")
    with pytest.raises(InvalidInput, match="more than one picture") as refused:
        session.write("import pictures", **told)
    assert "n1.png (n1) and n2.png (n2)" in str(refused.value)
