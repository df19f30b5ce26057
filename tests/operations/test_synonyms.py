"""Other words for terms: synonyms by discipline, and false friends, which are never taken in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from commonground.errors import Conflict, InvalidInput, NotFound
from commonground.identity import Actor
from commonground.operations.plans import Role
from commonground.operations.session import Session
from commonground.structure import people


@pytest.fixture
def study(session: Session) -> Session:
    """A study with a vocabulary, a column and a feature of it, a radiologist and a pathologist."""
    terms = ["ground-glass", {"name": "part-solid", "synonyms": ["mixed"]}, "heterogeneous"]
    session.write("vocabulary add", name="texture", terms=terms)
    session.write("vocabulary add", name="model", terms=["ensemble"])
    session.write("type add", name="Nodule", columns=[{"name": "texture", "holds": "term", "target": "texture"}])
    session.write("entity upsert", type="Nodule", keys=["n1", "n2"], columns={})
    session.write("feature add", name="look", type="Nodule", holds="term", vocabulary="texture")
    session.write("person add", name="Ines", discipline="Radiology")
    session.write("person add", name="Tom", discipline="pathology")
    return session


def as_person(session: Session, name: str) -> Session:
    """The same study with somebody else at work."""
    with session.reading() as on:
        rid = people.get_person(on.view, name).rid
    return Session(session.ground, Actor(person=rid, name=name), Role.OWNER)


def mark(session: Session) -> None:
    """`mixed` means part-solid to radiologists and heterogeneous to pathologists."""
    means = {"radiology": "texture.part-solid", "pathology": "texture.heterogeneous"}
    session.write("term false-friend", word="Mixed", means=means)


def texture(session: Session, key: str) -> object:
    """What stands in the column."""
    return session.read("show", what=f"Nodule:{key}").facts[0].value


def test_a_synonym_of_a_discipline_leads_to_its_term_and_is_found(study: Session) -> None:
    """Whoever writes it gets the term, `show` and the search know it, and adding it again is nothing."""
    done = study.write("term synonym", what="texture.ground-glass", words=["GGO", "Mattglas"], discipline="radiology")
    study.write("entity upsert", type="Nodule", keys=["n1"], columns={"texture": ["ggo"]})
    assert texture(study, "n1") == "ground-glass"
    assert study.read("show", what="GGO").name == "ground-glass"
    facts = {(fact.label, fact.value) for fact in study.read("show", what="ground-glass").facts}
    assert ("synonym", "GGO (radiology)") in facts
    assert "ground-glass" in {one.name for one in study.read("find", words=["mattglas"]).found}
    assert study.write("term synonym", what="texture.ground-glass", words=["GGO"]).change is None
    assert done.change is not None
    study.write("revert", change=done.change.id + 1)
    study.write("revert", change=done.change.id)
    assert study.read("find", words=["mattglas"]).found == ()


def test_a_word_of_another_term_is_no_synonym(study: Session) -> None:
    """A word that leads elsewhere in the vocabulary, by name, synonym or as a false friend, is refused."""
    for word in ("mixed", "heterogeneous"):
        with pytest.raises(Conflict, match="something else"):
            study.write("term synonym", what="texture.ground-glass", words=[word])
    mark(study)
    with pytest.raises(Conflict, match="something else"):
        study.write("term synonym", what="texture.part-solid", words=["mixed"])
    with pytest.raises(InvalidInput, match="not a term"):
        study.write("term synonym", what="Nodule", words=["x"])


def test_a_false_friend_means_what_it_means_to_whoever_writes_it(study: Session) -> None:
    """A radiologist and a pathologist write one word and get two terms, both warned; nobody else may write it."""
    mark(study)
    done = as_person(study, "Ines").write("entity upsert", type="Nodule", keys=["n1"], columns={"texture": ["mixed"]})
    assert done.plan.effect["notes"] == [
        "'mixed' was taken for part-solid; it is a false friend: part-solid in radiology, heterogeneous in pathology."
    ]
    done = as_person(study, "Tom").write("feature annotate", feature="look", keys=["n2"], values=["mixed"])
    assert "was taken for heterogeneous" in done.plan.effect["notes"][0]
    as_person(study, "Tom").write("entity upsert", type="Nodule", keys=["n2"], columns={"texture": ["mixed"]})
    assert (texture(study, "n1"), texture(study, "n2")) == ("part-solid", "heterogeneous")
    with pytest.raises(InvalidInput) as caught:
        study.write("entity upsert", type="Nodule", keys=["n1"], columns={"texture": ["mixed"]})
    assert "is a false friend: part-solid in radiology, heterogeneous in pathology" in caught.value.faults[1]
    with pytest.raises(InvalidInput, match="not terms") as caught:
        study.write("feature annotate", feature="look", keys=["n1"], values=["mixed"])
    assert "is a false friend" in caught.value.faults[0]


def test_an_import_warns_too(study: Session, tmp_path: Path) -> None:
    """A file with a false friend is taken with the warning among its notes, for a table and for readings."""
    mark(study)
    table = tmp_path / "nodules.csv"
    table.write_text("nodule,texture\nn1,mixed\n")
    done = as_person(study, "Ines").write("import table", path=table, type="Nodule", key="nodule")
    assert "false friend" in done.plan.effect["notes"][0]
    readings = tmp_path / "readings.csv"
    readings.write_text("nodule,reader,look\nn1,Ines,mixed\n")
    told = {"type": "Nodule", "entity": "nodule", "rater": "reader", "values": ["look"]}
    done = as_person(study, "Ines").write("import readings", path=readings, **told)
    assert "was taken for part-solid" in done.plan.effect["notes"][0]


def test_over_two_vocabularies_the_only_term_in_question_is_taken_with_the_warning(study: Session) -> None:
    """Where one meaning lies in another vocabulary there is nothing to choose, and still something to say."""
    means = {"radiology": "texture.heterogeneous", "machine learning": "model.ensemble"}
    study.write("term false-friend", word="mixture", means=means)
    done = study.write("entity upsert", type="Nodule", keys=["n1"], columns={"texture": ["mixture"]})
    assert texture(study, "n1") == "heterogeneous"
    assert "ensemble in machine learning" in done.plan.effect["notes"][0]


def test_what_a_word_means_is_told_by_discipline(study: Session) -> None:
    """Every sense with whose it is and a warning if they differ; none for a plain word; an unknown one is refused."""
    mark(study)
    found = study.read("term find", word="mixed")
    assert [(one.term, one.how, one.discipline) for one in found.senses] == [
        ("texture.part-solid", "false friend", "radiology"),
        ("texture.heterogeneous", "false friend", "pathology"),
    ]
    assert found.warning is not None
    assert study.read("term find", word="ensemble").warning is None
    with pytest.raises(NotFound):
        study.read("term find", word="zebra")


def test_one_meaning_is_no_false_friend(study: Session) -> None:
    """Two disciplines with one term is a synonym, and is refused; marking is undone by its inverse."""
    with pytest.raises(InvalidInput, match="synonym"):
        study.write("term false-friend", word="x", means={"a": "texture.part-solid", "b": "texture.part-solid"})
    mark(study)
    with study.reading() as on:
        number = on.view.change
    study.write("revert", change=number)
    study.write("entity upsert", type="Nodule", keys=["n1"], columns={"texture": ["mixed"]})
    assert texture(study, "n1") == "part-solid"
