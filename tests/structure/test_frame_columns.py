"""What a frame says of its columns: in which Arrow types they come, and what travels with the table."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonground.errors import InvalidInput
from commonground.operations.frames import read_frame
from commonground.operations.session import Session
from commonground.structure.column_types import Holds
from commonground.structure.frame_columns import ARROW_TYPES, FrameColumn, read_field
from commonground.structure.selectors import Selector, adjudicated, median, newest

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
COLUMNS = st.builds(
    FrameColumn,
    holds=st.sampled_from(Holds),
    unit=st.none() | WORDS,
    terms=st.just(()),
    ordered=st.booleans(),
) | st.builds(
    FrameColumn,
    holds=st.just(Holds.TERM),
    unit=st.none() | WORDS,
    terms=st.lists(WORDS, max_size=5).map(tuple),
    ordered=st.booleans(),
)


@pytest.fixture
def eyes(session: Session) -> Session:
    """A released dataset with a column of every type, and features that were read, partly read, and never read."""
    session.write("vocabulary add", name="side", terms=["right", "left", "both"])
    session.write("vocabulary add", name="stage", terms=["none", "mild", "severe"], ordered=True)
    columns = [
        {"name": "born", "holds": "date"},
        {"name": "seen", "holds": "time"},
        {"name": "sent", "holds": "instant"},
        {"name": "usable", "holds": "bool"},
        {"name": "pressure", "holds": "int", "unit": "mmHg"},
        {"name": "side", "holds": "term", "target": "side"},
        {"name": "ratio", "holds": "real"},
        {"name": "note", "holds": "text"},
    ]
    session.write("type add", name="Eye", columns=columns)
    cells = {
        "born": ["1950", "1950-03", None],
        "seen": ["2024-03-05T10:20:30.5", "2024-03-05T10:20:30", None],
        "sent": ["2024-03-05T10:20:30+01:00", None, None],
        "usable": [True, False, None],
        "pressure": [14, None, 21],
        "side": ["left", "right", None],
        "ratio": [0.25, None, 0.5],
        "note": ["a", None, "b"],
    }
    session.write("entity upsert", type="Eye", keys=["a", "b", "c"], columns=cells)
    session.write("feature add", name="stage", type="Eye", holds="term", vocabulary="stage", ordered=True)
    session.write("feature add", name="grade", type="Eye", holds="int", ordered=True)
    session.write("feature add", name="unread", type="Eye", holds="time")
    session.write("feature annotate", feature="stage", type="Eye", keys=["a", "b"], values=["severe", "none"])
    session.write("feature annotate", feature="grade", type="Eye", keys=["a"], values=[3])
    chosen = ["stage", "grade", "unread"]
    session.write("dataset create", name="eyes", type="Eye", keys=["a", "b", "c"], features=chosen)
    session.write("dataset release", dataset="eyes", why="to read")
    return session


def table_of(session: Session, dataset: str) -> pa.Table:
    """A state of the dataset with all its features."""
    chosen = {"stage": newest(), "grade": median(ties="mean"), "unread": newest()}
    with session.reading() as on:
        return read_frame(on, dataset=dataset, features=chosen).table


def test_a_frame_has_the_types_of_its_columns(eyes: Session) -> None:
    """A released and an unreleased state give the same Arrow table: moments are moments, dates keep their precision."""
    table = table_of(eyes, "eyes@1.0.0")
    assert table.schema.equals(table_of(eyes, "eyes@dev").schema, check_metadata=True)
    assert table.equals(table_of(eyes, "eyes@dev"))
    holds = {field.name: read_field(field).holds for field in table.schema}
    assert holds["grade"] is Holds.REAL
    assert {name: table.schema.field(name).type for name in holds} == {
        name: ARROW_TYPES[held] for name, held in holds.items()
    }
    assert table["born"].to_pylist() == ["1950", "1950-03", None]
    assert table["seen"].to_pylist()[0] == dt.datetime(2024, 3, 5, 10, 20, 30, 500_000)  # noqa: DTZ001 - it has no zone
    assert table["sent"].to_pylist()[0] == dt.datetime(2024, 3, 5, 9, 20, 30, tzinfo=dt.UTC)
    assert table["usable"].to_pylist() == [True, False, None]


def test_terms_units_and_order_travel_with_the_table(eyes: Session, tmp_path) -> None:
    """After a selection of rows and columns and a Parquet file the table still says its terms, units and order."""
    table = table_of(eyes, "eyes@1.0.0").select(["rid", "side", "stage", "pressure"]).slice(1)
    pq.write_table(table, tmp_path / "eyes.parquet")
    told = {field.name: read_field(field) for field in pq.read_table(tmp_path / "eyes.parquet").schema}
    assert told["side"] == FrameColumn(Holds.TERM, terms=("right", "left"))
    assert told["stage"] == FrameColumn(Holds.TERM, terms=("none", "severe"), ordered=True)
    assert told["pressure"] == FrameColumn(Holds.INT, unit="mmHg")


def test_a_feature_that_nobody_has_read_is_an_empty_column(eyes: Session) -> None:
    """A feature of the dataset without a single value is a column of its own type, and says how many have none."""
    with eyes.reading() as on:
        frame = read_frame(on, dataset="eyes@1.0.0", features={"unread": newest()})
    assert frame.table["unread"].type == pa.timestamp("us")
    assert frame.table["unread"].null_count == 3
    assert dict(frame.used[0].left_out) == {"it has no value at all": 3}


@given(COLUMNS)
def test_what_a_field_tells_is_read_back(column: FrameColumn) -> None:
    """Whatever a column holds, its Arrow field tells all of it."""
    assert read_field(column.as_field("x", pa.string())) == column


def test_a_field_of_another_table_tells_nothing() -> None:
    """A field without our words, or with words we do not know, is not taken for a column of a frame."""
    assert read_field(pa.field("x", pa.int64())) is None
    assert read_field(pa.field("x", pa.int64(), metadata={"holds": "frogs"})) is None


@pytest.mark.parametrize("rule", [median("mean"), adjudicated(median("mean"))])
def test_terms_have_no_mean(eyes: Session, rule: Selector) -> None:
    """Readers who gave none and severe agree on no term between: asked for their mean, nothing is made up."""
    with eyes.reading() as on, pytest.raises(InvalidInput, match="no term that is their mean"):
        read_frame(on, dataset="eyes@1.0.0", features={"stage": rule})
