"""Undoing a change: its inverse is a change of its own, and nothing is left that leads to nothing."""

from __future__ import annotations

from typing import Any

import pytest

from commonground.errors import Conflict, Frozen, InvalidInput, NotFound
from commonground.operations.frames import read_frame
from commonground.operations.session import Session
from commonground.store import changes
from commonground.structure.selectors import newest as newest_value


def declare(session: Session) -> None:
    """A type with two entities, a feature, and a dataset."""
    session.write("type add", name="Item", columns=[{"name": "size", "holds": "real"}])
    session.write("entity upsert", type="Item", keys=["a", "b"], columns={"size": [1.0, 2.0]})
    session.write("feature add", name="grade", type="Item", holds="int", ordered=True)
    session.write("dataset create", name="items", type="Item", keys=["a", "b"], features=["grade"])


def newest(session: Session) -> int:
    """The number of the newest change."""
    with session.reading() as on:
        return on.view.change


def sizes(session: Session) -> dict[str, float]:
    """What the dataset's unreleased state says."""
    with session.reading() as on:
        table = read_frame(on, dataset="items@dev").table
    return dict(zip(table["key"].to_pylist(), table["size"].to_pylist(), strict=True))


def test_an_upsert_is_undone_and_both_changes_stay_on_record(session: Session) -> None:
    """What was changed is as before, and the log has the change and its undoing."""
    declare(session)
    session.write("entity upsert", type="Item", keys=["a"], columns={"size": [9.0]})
    wrong = newest(session)
    session.write("revert", change=wrong, why="typed in the wrong row")
    assert sizes(session) == {"a": 1.0, "b": 2.0}
    with session.ground.database.read() as connection:
        assert [change.verb for change in changes.list_changes(connection, limit=2)] == ["revert", "entity upsert"]


def test_an_undoing_can_be_undone(session: Session) -> None:
    """Undoing twice brings the change back."""
    declare(session)
    session.write("dataset remove", dataset="items", type="Item", keys=["a"])
    session.write("revert", change=newest(session))
    assert set(sizes(session)) == {"a", "b"}
    session.write("revert", change=newest(session))
    assert set(sizes(session)) == {"b"}


def test_what_later_changes_built_on_is_not_undone(session: Session) -> None:
    """A change whose rows were changed again is refused, and nothing happens."""
    declare(session)
    session.write("entity upsert", type="Item", keys=["a"], columns={"size": [9.0]})
    first = newest(session)
    session.write("entity upsert", type="Item", keys=["a"], columns={"size": [8.0]})
    with pytest.raises(Conflict, match="later changes built on it"):
        session.write("revert", change=first)
    assert sizes(session)["a"] == 8.0


def test_changes_are_undone_one_after_another_newest_first(session: Session) -> None:
    """What a change that was undone itself had built on can be undone; redone, it stands in the way again."""
    declare(session)
    numbers = []
    for size in (2.0, 3.0):
        session.write("entity upsert", type="Item", keys=["a"], columns={"size": [size]})
        numbers.append(newest(session))
    first, second = numbers
    session.write("revert", change=second)
    session.write("revert", change=newest(session))
    assert sizes(session)["a"] == 3.0
    with pytest.raises(Conflict, match="later changes built on it"):
        session.write("revert", change=first)
    session.write("revert", change=newest(session))
    assert sizes(session)["a"] == 2.0
    session.write("revert", change=first)
    assert sizes(session)["a"] == 1.0


def test_a_value_that_was_typed_again_is_a_new_one(session: Session) -> None:
    """A change is not undone because somebody came to the same value later by a change of their own."""
    declare(session)
    session.write("entity upsert", type="Item", keys=["a"], columns={"size": [2.0]})
    first = newest(session)
    for size in (3.0, 2.0):
        session.write("entity upsert", type="Item", keys=["a"], columns={"size": [size]})
    with pytest.raises(Conflict, match="later changes built on it"):
        session.write("revert", change=first)


def test_readings_are_undone_with_the_reader_who_came_with_them(session: Session) -> None:
    """A reading that brought its reader along is undone whole; a later reading by that reader stands in the way."""
    declare(session)
    session.write("feature annotate", feature="grade", keys=["a"], values=[3], slots=["reader 1"])
    first = newest(session)
    session.write("feature annotate", feature="grade", keys=["a"], values=[2], slots=["reader 1"])
    with pytest.raises(Conflict, match="in use"):
        session.write("revert", change=first)
    session.write("revert", change=newest(session))
    session.write("revert", change=first)
    with session.reading() as on:
        frame = read_frame(on, dataset="items@dev", features={"grade": newest_value()}).table
    assert frame["grade"].null_count == 2


@pytest.mark.parametrize(("offset", "what"), [(3, "type add"), (2, "entity upsert"), (1, "feature add")])
def test_what_is_in_use_is_not_undone(session: Session, offset: int, what: str) -> None:
    """A type with entities, entities that are members, a feature that a dataset names: each is refused."""
    declare(session)
    number = newest(session) - offset
    with session.ground.database.read() as connection:
        assert changes.get_change(connection, number).verb == what
    with pytest.raises(Conflict, match="in use"):
        session.write("revert", change=number)


def test_a_merge_is_undone_although_the_duplicate_has_values_and_memberships(session: Session) -> None:
    """The duplicate lives again, with what was said of it and where it lay."""
    declare(session)
    session.write("feature annotate", feature="grade", keys=["a"], values=[3])
    session.write("entity merge", type="Item", duplicate="a", into="b")
    session.write("revert", change=newest(session))
    assert sizes(session) == {"a": 1.0, "b": 2.0}


USES: dict[str, tuple[tuple[str, dict[str, Any]], tuple[str, dict[str, Any]]]] = {
    "a term in a column": (
        ("term add", {"vocabulary": "Side", "terms": ["middle"]}),
        ("entity upsert", {"type": "Item", "keys": ["a"], "columns": {"side": ["middle"]}}),
    ),
    "a term as a value": (
        ("term add", {"vocabulary": "Side", "terms": ["middle"]}),
        ("feature annotate", {"feature": "where", "keys": ["a"], "values": ["middle"]}),
    ),
    "a person who read": (
        ("person add", {"name": "Reader"}),
        ("feature annotate", {"feature": "grade", "keys": ["a"], "values": [1], "rater": "Reader"}),
    ),
    "a column with something in it": (
        ("type extend", {"type": "Item", "columns": [{"name": "note", "holds": "text"}]}),
        ("entity upsert", {"type": "Item", "keys": ["a"], "columns": {"note": ["x"]}}),
    ),
    "the entity of a merge": (
        ("entity upsert", {"type": "Item", "keys": ["c"], "columns": {}}),
        ("entity merge", {"type": "Item", "duplicate": "a", "into": "c"}),
    ),
    "a dataset that ran": (
        ("dataset create", {"name": "other", "type": "Item", "keys": ["a"]}),
        ("execution start", {"name": "trial", "inputs": ["other@dev"]}),
    ),
    "many entities that are linked to": (
        ("entity upsert", {"type": "Item", "keys": [f"m{n}" for n in range(600)], "columns": {}}),
        ("entity upsert", {"type": "Part", "keys": ["part"], "columns": {"item": ["m7"]}}),
    ),
}


@pytest.mark.parametrize("case", USES)
def test_whatever_is_named_by_something_is_not_undone(session: Session, case: str) -> None:
    """Terms, people, columns, merges, inputs, links from anywhere: what they name cannot be taken back."""
    declare(session)
    session.write("vocabulary add", name="Side", terms=["left"])
    session.write("type extend", type="Item", columns=[{"name": "side", "holds": "term", "target": "Side"}])
    session.write("feature add", name="where", type="Item", holds="term", vocabulary="Side")
    session.write("type add", name="Part", columns=[{"name": "item", "holds": "link", "target": "Item"}])
    (verb, args), (using, more) = USES[case]
    made = session.write(verb, **args)
    assert made.change is not None
    session.write(using, **more)
    with pytest.raises(Conflict, match="in use"):
        session.write("revert", change=made.change.id)


def test_nobody_takes_back_their_own_coming(session: Session) -> None:
    """The owner of a new study stays in it: a study that nobody owns could never be looked after again."""
    with pytest.raises(InvalidInput, match="own coming"):
        session.write("revert", change=1)


def test_a_release_and_an_unknown_change_are_refused(session: Session) -> None:
    """A release never changes, and what is not there cannot be undone."""
    declare(session)
    session.write("dataset release", dataset="items")
    with pytest.raises(Frozen):
        session.write("revert", change=newest(session))
    with pytest.raises(NotFound):
        session.write("revert", change=newest(session) + 1)
