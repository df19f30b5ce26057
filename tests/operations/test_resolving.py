"""What words mean: ids, beginnings of ids, names, name@version, Type:key, changes; twins and unknown words refused."""

from __future__ import annotations

import pytest

from commonground.errors import Ambiguous, InvalidInput, NotFound
from commonground.identity import Kind, show_rid
from commonground.operations.resolving import name_of, resolve, shorten_all
from commonground.operations.session import Session


@pytest.fixture
def filled(session: Session) -> Session:
    """A study with a type, two entities, a feature and a vocabulary of one name, and a released dataset."""
    session.write("type add", name="Nodule", columns=[{"name": "diameter", "holds": "real"}])
    session.write("entity upsert", type="Nodule", keys=["n1", "n2"], columns={"diameter": [4.5, 7.0]})
    session.write("vocabulary add", name="grade", terms=["low", "high"])
    session.write("feature add", name="grade", type="Nodule", holds="term", vocabulary="grade")
    session.write("dataset create", name="nodules", type="Nodule", keys=["n1"], description="To train on")
    session.write("dataset release", dataset="nodules", why="The board asked for it")
    return session


def test_each_way_of_naming_finds_the_same_thing(filled: Session) -> None:
    """A version by name@version, by whole id, by its shortest id in any case; each names it alike."""
    with filled.reading() as on:
        version = resolve(on.view, "nodules@1.0.0")
        assert version.kind is Kind.VERSION
        short = shorten_all(on.view, [version.rid])[version.rid]
        for word in (show_rid(version.rid), short, short.lower(), f" {short} "):
            assert resolve(on.view, word).rid == version.rid
        assert name_of(on.view, version).name == "nodules@1.0.0"


def test_names_of_all_kinds(filled: Session) -> None:
    """Types, terms, features of a type, datasets, people, entities and changes are found by name."""
    with filled.reading() as on:
        words = {
            "Nodule": Kind.TYPE,
            "nodule": Kind.TYPE,
            "low": Kind.TERM,
            "Nodule.grade": Kind.FEATURE,
            "nodules": Kind.DATASET,
            "nodules@dev": Kind.DATASET,
            "Tester": Kind.PERSON,
            "Nodule:n2": Kind.ENTITY,
            "c1": Kind.CHANGE,
        }
        assert {word: resolve(on.view, word).kind for word in words} == words
        assert name_of(on.view, resolve(on.view, "nodule:n2")).name == "Nodule:n2"


def test_twins_are_refused_with_both_and_kind_tells_them_apart(filled: Session) -> None:
    """A name of a feature and a vocabulary is ambiguous, and says how to write each."""
    with filled.reading() as on:
        with pytest.raises(Ambiguous) as caught:
            resolve(on.view, "grade")
        assert len(caught.value.faults) == 2
        assert "feature:grade or vocabulary:grade" in caught.value.todo
        assert resolve(on.view, "feature:grade").kind is Kind.FEATURE


def test_unknown_words_give_the_nearest_names(filled: Session) -> None:
    """A misspelt name names what was meant; nothing at all, an absent entity and a future change are refused."""
    with filled.reading() as on:
        with pytest.raises(NotFound) as caught:
            resolve(on.view, "nodulse")
        assert "nodules" in caught.value.todo
        for word in ("Nodule:n9", "c999", "nodules@7.0.0", "zzzzzzzzzzz"):
            with pytest.raises(NotFound):
                resolve(on.view, word)
        with pytest.raises(InvalidInput):
            resolve(on.view, "  ")


def test_names_are_resolved_as_of_the_view(filled: Session) -> None:
    """What came later is not there in an earlier view."""
    with filled.reading(2) as on, pytest.raises(NotFound):
        resolve(on.view, "nodules")
