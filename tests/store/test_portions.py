"""Many values, a few hundred at a time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from commonground.store.portions import MOST, portions


@given(st.lists(st.integers()), st.integers(min_value=1, max_value=7))
def test_portions_hold_all_values_in_order(values: list[int], most: int) -> None:
    """Every value comes once, in order; all portions but the last are full, and none is empty."""
    found = list(portions(values, most))
    assert [value for portion in found for value in portion] == values
    assert all(len(portion) == most for portion in found[:-1])
    assert all(found)


def test_a_portion_is_no_more_than_a_statement_may_name() -> None:
    """What comes one by one, as from a generator, is cut too."""
    assert [len(portion) for portion in portions(iter(range(2 * MOST + 1)))] == [MOST, MOST, 1]
