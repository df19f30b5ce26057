"""Values given in any order lie by entity in their batch, each with what was said of it; unknown ids are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commonground.errors import InvalidInput, NotFound
from commonground.operations.session import Session
from commonground.structure import entities, features


def prepare(session: Session) -> np.ndarray:
    """Six items with a feature; the rids of the items."""
    session.write("type add", name="Item")
    session.write("entity upsert", type="Item", keys=[f"i{number}" for number in range(6)], columns={})
    session.write("feature add", name="grade", type="Item", holds="int")
    with session.reading() as on:
        return entities.list_rids(on.view, entities.get_type(on.view, "Item"))


@pytest.mark.parametrize("given", [[5, 0, 5, 2, 0, 5], [0, 1, 2, 3, 4, 5], [3, 3, 1, 1, 1, 0]])
def test_values_lie_by_entity_in_the_order_of_their_giving(session: Session, given: list[int]) -> None:
    """The rows of a batch ascend by entity; those of one entity keep their order, their value, reason and time."""
    rids = prepare(session)[given]
    values: list[int | None] = [10, 11, 12, None, 14, 15]
    reasons = [None, "b", None, "cut off", None, "f"]
    times = [5, None, 3, None, 1, 9]
    session.write("feature annotate", feature="grade", entities_=rids, values=values, reasons=reasons, at=times)
    with session.reading() as on:
        there = features.read_values(on.view, features.get_feature(on.view, "grade"))
    said = [None if gone else value for value, gone in zip(there.value.tolist(), there.missing, strict=True)]
    rows = list(zip(there.entity.tolist(), said, there.reason.tolist(), there.at.tolist(), strict=True))
    told = zip(rids.tolist(), values, reasons, [time or 0 for time in times], strict=True)
    assert rows == sorted(told, key=lambda row: row[0])
    assert there.ordinal.tolist() == list(range(6))


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=st.lists(st.tuples(st.integers(-3, 3), st.one_of(st.none(), st.text(max_size=2))), max_size=20))
def test_putting_in_order_keeps_every_row_together(told: list[tuple[int, str | None]]) -> None:
    """Lists and arrays of one table are moved alike, and the sort is stable."""
    entity = np.array([row[0] for row in told], dtype=np.int64)
    columns = {"entity": entity, "place": np.arange(len(told)), "reason": [row[1] for row in told]}
    moved = features.in_entity_order(columns)
    rows = list(zip(moved["entity"].tolist(), moved["place"].tolist(), moved["reason"], strict=True))
    expected = [(one, place, reason) for place, (one, reason) in enumerate(told)]
    assert rows == sorted(expected, key=lambda row: row[0])


def test_ids_that_are_no_such_entity_are_refused(session: Session) -> None:
    """Few ids and many are looked up in different ways; either way one that is not there refuses all."""
    rids = prepare(session)
    for many in (1, 1_000):
        wrong = np.concatenate([np.tile(rids, many), [rids[-1] + 1_000_000]])
        with pytest.raises(NotFound):
            session.write(
                "feature annotate", feature="grade", entities_=wrong, values=np.zeros(len(wrong), dtype=np.int64)
            )
    with session.reading() as on:
        assert len(features.read_values(on.view, features.get_feature(on.view, "grade"))) == 0


def test_a_table_with_a_column_for_each_reader_comes_in(session: Session, tmp_path: Path) -> None:
    """Each cell is a reading by the reader whose name its column bears; a second delivery changes nothing."""
    prepare(session)
    path = tmp_path / "wide.csv"
    path.write_text("item,grade_r1,grade_r2,note\ni0,1,2,x\ni1,3,,y\n")
    told = {"path": path, "type": "Item", "entity": "item", "match": "{feature}_{rater}", "slots": True}
    assert session.write("import readings", **told).plan.effect["readings"] == 3
    with session.reading() as on:
        there = features.read_values(on.view, features.get_feature(on.view, "grade"))
    assert sorted(there.value.tolist()) == [1, 2, 3]
    assert len(set(there.rater.tolist())) == 3
    assert session.write("import readings", **told).change is None
    for unclear in ({**told, "rater": "note"}, {name: one for name, one in told.items() if name != "match"}):
        with pytest.raises(InvalidInput, match="who read is not clear"):
            session.plan("import readings", **unclear)


def test_all_readers_that_nobody_knows_are_named_at_once(session: Session, tmp_path: Path) -> None:
    """Each of them, with what adds somebody; and a readers' table with known ones is taken."""
    prepare(session)
    session.write("person add", name="Ada")
    path = tmp_path / "read.csv"
    path.write_text("item,who,grade\ni0,Ada,1\ni0,Ben,2\ni1,Cem,3\n")
    told = {"path": path, "type": "Item", "entity": "item", "rater": "who", "values": ["grade"]}
    with pytest.raises(NotFound, match="2 readers are nobody") as caught:
        session.plan("import readings", **told)
    assert [fault.rpartition(" ")[2] for fault in caught.value.faults] == ["'Ben'", "'Cem'"]
    assert "cg person add" in (caught.value.todo or "")
