"""Many values, a few hundred at a time."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from commonground.store.portions import MOST, portions


@given(st.integers(0, 3 * MOST + 1))
@example(MOST)
def test_portions_hold_all_values_in_order(number: int) -> None:
    """Every value comes once, in order; all portions but the last are full, and none is empty or more than full."""
    values = list(range(number))
    found = list(portions(values))
    assert [value for portion in found for value in portion] == values
    assert all(len(portion) == MOST for portion in found[:-1])
    assert all(0 < len(portion) <= MOST for portion in found)


def test_a_portion_is_no_more_than_a_statement_may_name() -> None:
    """What comes one by one, as from a generator, is cut too."""
    assert [len(portion) for portion in portions(iter(range(2 * MOST + 1)))] == [MOST, MOST, 1]
