"""Values in a line, as people read them."""

from __future__ import annotations

import pytest

from commonground.operations.value_texts import format_cell, format_seed
from commonground.structure.column_types import Holds


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.1 + 0.2, "0.3"),
        (0.99519488758368, "0.995195"),
        (23.748, "23.748"),
        (1234567.8, "1234567.8"),
        (-98765432.123456, "-98765432"),
        (0.00012345678912, "0.000123457"),
        (2.0, "2"),
        (1 / 3 * 1e-9, "3.33333e-10"),
    ],
)
def test_a_real_number_is_shown_with_as_many_digits_as_people_measure(value: float, shown: str) -> None:
    """What was entered stays as it is, what was computed is rounded, and no whole digit is lost."""
    assert format_cell(Holds.REAL, value) == shown


@pytest.mark.parametrize(
    ("seed", "shown"),
    [
        (None, None),
        ("7", "7"),
        ('{"seed": 0}', "0"),
        ('{"data_seed": 3}', "data_seed 3"),
        ('{"data_seed": 3, "seed": 7}', "data_seed 3, seed 7"),
    ],
)
def test_a_seed_is_named_where_its_name_says_something(seed: str | None, shown: str | None) -> None:
    """Under the head "seed" the word is not said again."""
    assert format_seed(seed) == shown
