"""Undoing a change: its inverse is a change of its own, and nothing is left that leads to nothing."""

from __future__ import annotations

import pytest

from commonground.errors import Conflict, Frozen, NotFound
from commonground.operations.frames import read_frame
from commonground.operations.session import Session
from commonground.store import changes


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


@pytest.mark.parametrize(("offset", "what"), [(3, "type add"), (2, "entity upsert"), (1, "feature add")])
def test_what_is_in_use_is_not_undone(session: Session, offset: int, what: str) -> None:
    """A type with entities, entities that are members, a feature that a dataset names: each is refused."""
    declare(session)
    number = newest(session) - offset
    with session.ground.database.read() as connection:
        assert changes.get_change(connection, number).verb == what
    with pytest.raises(Conflict, match="in use"):
        session.write("revert", change=number)


def test_a_release_and_an_unknown_change_are_refused(session: Session) -> None:
    """A release never changes, and what is not there cannot be undone."""
    declare(session)
    session.write("dataset release", dataset="items")
    with pytest.raises(Frozen):
        session.write("revert", change=newest(session))
    with pytest.raises(NotFound):
        session.write("revert", change=newest(session) + 1)
