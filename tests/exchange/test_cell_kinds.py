"""What one cell looks like, and the value it stands for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonground.exchange.cell_kinds import kind_of, to_bool, to_int, to_moment, to_real, to_real_comma

KINDS = {
    "bit": ["0", "1"],
    "year": ["2024", "1999"],
    "int": ["3", "-3", "+3", "-0", "-1", "10000", "9007199254740992"],
    "wide": ["9007199254740993", "9223372036854775807", "-9223372036854775808"],
    "huge": ["9223372036854775808", "-9223372036854775809", "9" * 80],
    "ident": ["007", "00", "-007", "+4915112345678"],
    "long-ident": ["0" * 19, "+" + "4" * 30],
    "real": ["3.5", "-0.25", ".5", "5.", "0.123", "1234.567", "1.5e3", "1.2345"],
    "whole": ["3.0", "12.00", "0.000", "-3.0"],
    "dot3": ["1.234", "-12.500", "123.000"],
    "power": ["1e-5", "2E+10", "-1e5"],
    "exp": ["1e5", "12E3"],
    "comma": ["3,5", "-0,25", ",5", "0,123", "1234,567", "1,5e3"],
    "comma3": ["1,234", "-12,500"],
    "grouped": [
        "1,234,567", "1,234.5", "1.234,5", "1.234.567", "1 234,5", "1'234.5",
        "1\u00a0234", "1\u202f234\u202f567",
    ],
    "nan": ["NaN", "nan", "-nan"],
    "infinite": ["inf", "-Infinity", "∞", "1e999", "-1,5e999"],
    "bool": ["yes", "No", "TRUE", "false"],
    "date": ["2024-03-05", "2024-3-5", "2024/03/05", "2024.03.05"],
    "month": ["2024-03"],
    "dmy": ["31.12.2024", "31/12/2024", "31-12-2024"],
    "mdy": ["12/31/2024", "12.31.2024"],
    "same": ["05.05.2024"],
    "order": ["03/04/2024", "3.4.2024"],
    "bad-date": ["31.02.2024", "2024-02-30", "2024-13-01", "0000-01-01", "2024-03-05 25:00", "3/4/2024 13:00 PM"],
    "short-date": ["31.12.24", "1/2/34"],
    "time": ["2024-03-05T10:20:30", "2024-03-05 10:20", "2024-03-05 10:20:30.123456", "2024-03-05 10:20:30.1234560"],
    "time-dmy": ["31.12.2024 10:20"],
    "time-mdy": ["12/31/2024 1:05 PM"],
    "time-same": ["5/5/2024 10:20"],
    "time-order": ["3/4/2024 10:20"],
    "zoned": ["2024-03-05T10:20:30Z", "2024-03-05T10:20:30+01:00", "2024-03-05 10:20 UTC"],
    "fine": ["2024-03-05T10:20:30.123456789"],
    "text": [
        "", "a", "1_000", "0x10", "1e", "12a", "<5", "5%", "--5", "1,2,3", "1,", ".", ",", "-", "01.5", "007e5", "१२",
        "10:20", "2024-13", "192.168.1.1", "P007", "NaN%", "1.5.2", "2024-3",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "cell"), [(kind, cell) for kind, cells in KINDS.items() for cell in cells])
def test_each_cell_has_its_kind(kind, cell):
    """Every form of cell is told from every other."""
    assert kind_of(cell) == kind


@given(st.text(max_size=30) | st.text("0123456789+-.,eE/: T", max_size=30))
def test_every_cell_has_a_kind_and_its_reading_never_fails(cell):
    """No text breaks the judgement, and a cell judged to be a number, truth or time can be read as one."""
    kind = kind_of(cell)
    readers = {
        "int": (to_int, int), "whole": (to_int, int), "ident": (to_int, int), "real": (to_real, float),
        "dot3": (to_real, float), "exp": (to_real, float), "power": (to_real, float), "comma": (to_real_comma, float),
        "comma3": (to_real_comma, float), "bool": (to_bool, bool), "date": (to_moment, str), "time": (to_moment, str),
        "order": (to_moment, str), "dmy": (to_moment, str), "time-dmy": (to_moment, str), "same": (to_moment, str),
    }  # fmt: skip
    if kind in readers:
        read, expected = readers[kind]
        assert isinstance(read(cell), expected)


@given(st.integers(-(2**63), 2**63 - 1))
def test_whole_numbers_are_read_as_they_were_written(number):
    """Every 64-bit integer survives."""
    assert kind_of(str(number)) in {"bit", "year", "int", "wide"}
    assert to_int(str(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_read_as_they_were_written(number):
    """Every finite float survives in its shortest form, with a point or a comma."""
    assert to_real(repr(number)) == number
    assert to_real_comma(repr(number).replace(".", ",")) == number


@given(st.datetimes())
def test_times_are_read_as_they_were_written(moment):
    """Every local time survives, with "T" or a space."""
    assert kind_of(moment.isoformat()) == "time"
    assert to_moment(moment.isoformat(" ")) == moment.isoformat()


@pytest.mark.parametrize(
    ("cell", "order", "value"),
    [
        ("3/4/2024", "dmy", "2024-04-03"),
        ("3/4/2024", "mdy", "2024-03-04"),
        ("2024-3-4", "mdy", "2024-03-04"),
        ("2024-03", "dmy", "2024-03"),
        ("2024", "dmy", "2024"),
        ("12/31/2024 12:05 AM", "mdy", "2024-12-31T00:05:00"),
        ("12/31/2024 12:05 PM", "mdy", "2024-12-31T12:05:00"),
        ("31.12.2024 9:05", "dmy", "2024-12-31T09:05:00"),
        ("2024-03-05 10:20:30.5", "dmy", "2024-03-05T10:20:30.500000"),
    ],
)
def test_dates_become_iso_text(cell, order, value):
    """Order, half of the day and short forms end as ISO text; a year or month keeps its precision."""
    assert to_moment(cell, order) == value


@pytest.mark.parametrize(("cell", "value"), [("Yes", True), ("no", False), ("TRUE", True), ("0", False), ("1", True)])
def test_truth_is_read_in_any_case(cell, value):
    """Yes, true, 1 and no, false, 0."""
    assert to_bool(cell) is value
