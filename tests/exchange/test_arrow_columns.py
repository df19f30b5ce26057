"""Arrow columns as columns of a draft."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from commonground.exchange.arrow_columns import arrow_column

DAY = dt.date(2024, 3, 5)
MOMENT = dt.datetime(2024, 3, 5, 10, 20, 30, 500)  # noqa: DTZ001 - a local time


@pytest.mark.parametrize(
    ("array", "kind", "values"),
    [
        (pa.array([True, None]), "bool", [True, None]),
        (pa.array([1, None], pa.int8()), "int", [1, None]),
        (pa.array([1, None], pa.uint64()), "int", [1, None]),
        (pa.array([0.5, float("nan"), None], pa.float32()), "real", [0.5, None, None]),
        (pa.array([np.float16(1.5)], pa.float16()), "real", [1.5]),
        (pa.array([Decimal(7), None], pa.decimal128(5, 0)), "int", [7, None]),
        (pa.array([Decimal("1.25"), None]), "real", [1.25, None]),
        (pa.array(["a", None]), "text", ["a", None]),
        (pa.array(["a"], pa.large_string()), "text", ["a"]),
        (pa.array(["a"], pa.string_view()), "text", ["a"]),
        (pa.array([DAY, None]), "date", ["2024-03-05", None]),
        (pa.array([DAY], pa.date64()), "date", ["2024-03-05"]),
        (pa.array([MOMENT, None], pa.timestamp("us")), "time", ["2024-03-05T10:20:30.000500", None]),
        (pa.array([MOMENT], pa.timestamp("ns")), "time", ["2024-03-05T10:20:30.000500"]),
        (pa.array([1], pa.timestamp("s")), "time", ["1970-01-01T00:00:01"]),
        (pa.array([dt.time(1, 2)], pa.time32("s")), "text", ["01:02:00"]),
        (pa.nulls(2), "text", [None, None]),
    ],
)
def test_each_type_has_its_counterpart(array, kind, values):
    """Values and missing cells of each Arrow type that is taken, none of them bad."""
    column = arrow_column(array.type)
    assert column is not None
    assert (column.type, column.values(array)) == (kind, values)
    assert column.bad is None or not column.bad(array).any()


@pytest.mark.parametrize(
    "kind",
    [
        pa.binary(), pa.list_(pa.int8()), pa.struct([("a", pa.int8())]), pa.map_(pa.string(), pa.int8()),
        pa.duration("s"), pa.timestamp("us", "UTC"), pa.dictionary(pa.int8(), pa.binary()),
    ],
)  # fmt: skip
def test_types_without_counterpart_are_refused(kind):
    """Nested, binary, durations and times with a zone."""
    assert arrow_column(kind) is None


@pytest.mark.parametrize(
    ("array", "bad"),
    [
        (pa.array([2**63 - 1, 2**63, None], pa.uint64()), [False, True, False]),
        (pa.array([1.0, float("inf"), float("-inf"), float("nan"), None]), [False, True, True, False, False]),
        (pa.array(["a", "a\0", "é" * ((1 << 19) + 1), None]), [False, True, True, False]),
        (pa.array([-719162, -719163, 2932896, 2932897, None], pa.int32()).cast(pa.date32()),
         [False, True, False, True, False]),
        (pa.array([1000, 1, None], pa.timestamp("ns")), [False, True, False]),
        (pa.array([0, 2**60, -(2**60)], pa.timestamp("s")), [False, True, True]),
        (pa.array([1, 2], pa.timestamp("us")), [False, False]),
    ],
)  # fmt: skip
def test_cells_that_are_no_value_are_marked(array, bad):
    """Beyond 64 bits, infinite, unfit text, outside the calendar, finer than microseconds."""
    column = arrow_column(array.type)
    assert column is not None
    assert column.bad is not None
    assert column.bad(array).tolist() == bad
