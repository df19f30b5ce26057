"""Frames for Polars and pandas: types, dates of reduced precision, and what is said when a package is missing."""

from __future__ import annotations

import datetime as dt
import sys

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonground.errors import InvalidInput, MissingExtra
from commonground.exchange.data_frames import to_pandas, to_polars
from commonground.structure.column_types import Holds
from commonground.structure.frame_columns import ARROW_TYPES, FrameColumn, make_table

NOON = dt.datetime(2024, 3, 5, 12, tzinfo=dt.UTC)


def table_of(**columns) -> pa.Table:
    """A frame of named columns, each what it holds and its cells."""
    return make_table(
        [(name, told, pa.array(cells, ARROW_TYPES[told.holds])) for name, (told, cells) in columns.items()]
    )


@pytest.fixture
def table() -> pa.Table:
    """A frame with a column of every sort and a gap in each."""
    stage = FrameColumn(Holds.TERM, terms=("none", "mild", "severe"), ordered=True)
    return table_of(
        rid=(FrameColumn(Holds.INT), [2**62, 2**62 + 1]),
        born=(FrameColumn(Holds.DATE), ["1950-03", None]),
        seen=(FrameColumn(Holds.TIME), [NOON.replace(tzinfo=None), None]),
        sent=(FrameColumn(Holds.INSTANT), [NOON, None]),
        usable=(FrameColumn(Holds.BOOL), [True, None]),
        pressure=(FrameColumn(Holds.INT, unit="mmHg"), [14, None]),
        ratio=(FrameColumn(Holds.REAL), [0.5, None]),
        note=(FrameColumn(Holds.TEXT), ["a", None]),
        stage=(stage, ["severe", None]),
        eye=(FrameColumn(Holds.TERM), [None, None]),
    )


def test_polars_gets_the_types(table: pa.Table) -> None:
    """Whole numbers stay whole beside gaps, terms are an Enum in the vocabulary's order, moments keep their zone."""
    frame = to_polars(table)
    assert dict(frame.schema) == {
        "rid": pl.Int64,
        "born": pl.Date,
        "born.precision": pl.Enum(["year", "month", "day"]),
        "seen": pl.Datetime("us"),
        "sent": pl.Datetime("us", "UTC"),
        "usable": pl.Boolean,
        "pressure": pl.Int64,
        "ratio": pl.Float64,
        "note": pl.String,
        "stage": pl.Enum(["none", "mild", "severe"]),
        "eye": pl.Enum([]),
    }
    assert frame.row(0)[:3] == (2**62, dt.date(1950, 3, 1), "month")
    assert frame.row(1)[1:] == (None,) * 10


def test_pandas_gets_the_types(table: pa.Table) -> None:
    """Whole numbers stay whole beside gaps, terms are categories with their order, moments keep their zone."""
    frame = to_pandas(table)
    assert {name: str(kind) for name, kind in frame.dtypes.items() if name != "note"} == {
        "rid": "Int64",
        "born": "datetime64[ms]",
        "born.precision": "category",
        "seen": "datetime64[us]",
        "sent": "datetime64[us, UTC]",
        "usable": "boolean",
        "pressure": "Int64",
        "ratio": "float64",
        "stage": "category",
        "eye": "category",
    }
    assert isinstance(frame["note"].dtype, pd.StringDtype)
    assert frame["rid"].tolist() == [2**62, 2**62 + 1]
    assert frame["stage"].cat.ordered
    assert list(frame["stage"].cat.categories) == ["none", "mild", "severe"]
    assert frame["born"][0] == pd.Timestamp("1950-03-01")
    assert frame.iloc[1].drop("rid").isna().all()


@given(st.lists(st.none() | st.dates().flatmap(lambda day: st.sampled_from([4, 7, 10]).map(lambda n: str(day)[:n]))))
def test_a_date_and_its_precision_say_what_was_stated(dates: list[str | None]) -> None:
    """The first day of a period and its precision together are the date as it was stated, at any precision."""
    frame = to_polars(table_of(born=(FrameColumn(Holds.DATE), dates)))
    digits = {"year": 4, "month": 7, "day": 10, None: 0}
    stated = [str(day)[: digits[precision]] or None for day, precision in frame.rows()]
    assert stated == dates
    assert to_polars(table_of(born=(FrameColumn(Holds.DATE), dates)), dates="text")["born"].to_list() == dates


def test_a_table_of_no_frame_goes_as_it_is() -> None:
    """A table whose columns do not say what they hold keeps its Arrow types, and its text is not taken for dates."""
    table = pa.table({"born": ["1950"], "n": pa.array([None], pa.int64())})
    assert dict(to_polars(table).schema) == {"born": pl.String, "n": pl.Int64}
    assert str(to_pandas(table).dtypes["n"]) == "Int64"


def test_a_precision_never_hides_a_column() -> None:
    """If a column is called like the precision of a date, the date is left as text or the call is refused."""
    taken = table_of(born=(FrameColumn(Holds.DATE), ["1950"]), **{"born.precision": (FrameColumn(Holds.INT), [3])})
    with pytest.raises(InvalidInput, match="already"):
        to_polars(taken)
    assert to_polars(taken, dates="text").row(0) == ("1950", 3)
    with pytest.raises(InvalidInput, match="cannot be"):
        to_pandas(taken, dates="month")


@pytest.mark.parametrize(("name", "convert"), [("polars", to_polars), ("pandas", to_pandas)])
def test_without_the_package_the_extra_is_named(name, convert, table, monkeypatch) -> None:
    """Where Polars or pandas is not installed the error says which extra brings it."""
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra, match=name) as told:
        convert(table)
    assert told.value.todo == f"Install commonground[{name}]."
