"""Tables of text cells: pages, cells made of values, cells that no table takes."""

from datetime import date, datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonground.exchange.cell_kinds import to_real
from commonground.exchange.text_tables import PAGE_TEXT, bad_cell, cell_of, paged


def test_pages_hold_at_most_so_many_rows_and_so_much_text():
    """A page ends at its number of rows, or at its number of characters, whichever comes first."""
    rows = [(number, number, ["x"], 1) for number in range(1, 8)]
    assert [page.rows for page in paged(rows, 3)] == [[1, 2, 3], [4, 5, 6], [7]]
    large = [(number, number, ["x"], PAGE_TEXT // 2 + 1) for number in range(1, 6)]
    assert [page.rows for page in paged(large, 100)] == [[1, 2], [3, 4], [5]]
    assert list(paged([], 3)) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""), (True, "true"), (False, "false"), (3, "3"), (3.0, "3"), (-0.5, "-0.5"), (1e300, "1e+300"),
        ("x", "x"), (date(2024, 3, 5), "2024-03-05"), (datetime(2024, 3, 5, 10, 20), "2024-03-05T10:20:00"),  # noqa: DTZ001
        (time(10, 20), "10:20:00"),
    ],
)  # fmt: skip
def test_a_value_becomes_the_text_that_means_it(value, text):
    """Nothing, truth, numbers, dates and times as a text table would write them."""
    assert cell_of(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_survives_as_text(number):
    """The text of a float is the float again, with either decimal sign."""
    assert to_real(cell_of(number)) == number
    assert to_real(cell_of(number, ",").replace(",", ".")) == number


@pytest.mark.parametrize(
    ("text", "kind"),
    [("a\0b", "nul"), ("\ud800", "surrogate"), ("caf\udce9", "bad-bytes"), ("x" * ((1 << 20) + 1), "long-cell")],
)
def test_cells_that_no_table_takes(text, kind):
    """NUL, half characters, wrong bytes and huge cells, each by its name."""
    problem = bad_cell(text)
    assert problem is not None
    assert problem[0] == kind


def test_other_cells_are_taken():
    """Breaks, tabs, accents and emoji are text."""
    assert bad_cell("a\n\tb é 😀") is None
