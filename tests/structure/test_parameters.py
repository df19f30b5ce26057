"""Parameters keep their kind and are never dropped; objects are refused."""

from __future__ import annotations

import enum
import math
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonground.errors import InvalidInput
from commonground.structure.parameters import as_rows, find_seeds, flatten, read_form, store_form

PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=1200),
)


@given(PLAIN)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    """What is stored of a parameter reads back with the same value and the same type, however large or long."""
    back = read_form(store_form("key", value))
    assert back == value
    assert type(back) is type(value)


def test_nan_comes_back() -> None:
    """NaN has no number in a database, and still comes back as NaN."""
    stored = store_form("rate", math.nan)
    assert stored.num is None
    assert math.isnan(read_form(stored))  # type: ignore[arg-type]


def test_nested_names_are_joined_by_dots() -> None:
    """A configuration of mappings in mappings becomes keys that can be looked up one by one."""
    assert flatten({"optimiser": {"name": "adam", "betas": [0.9, 0.999]}, "empty": {}}) == {
        "optimiser.name": "adam",
        "optimiser.betas": [0.9, 0.999],
        "empty": {},
    }


def test_values_that_stand_for_others_become_these() -> None:
    """Numpy scalars and arrays, enumerations and paths are kept as what they stand for."""

    class Mode(enum.Enum):
        FAST = "fast"

    given = {"a": np.float32(0.5), "b": np.arange(3), "c": Mode.FAST, "d": PurePosixPath("data/x"), "e": np.bool_(1)}
    assert flatten(given) == {"a": 0.5, "b": [0, 1, 2], "c": "fast", "d": "data/x", "e": True}


def test_objects_are_refused_all_at_once() -> None:
    """Every parameter that is no plain value is named in one error, and none of them is turned into its repr."""
    with pytest.raises(InvalidInput) as caught:
        flatten({"good": 1, "model": object(), "deep": {"callback": print}, "x" * 300: 1, "nul": "a\0b"})
    assert len(caught.value.faults) == 4
    assert any(fault.startswith("deep.callback: a builtins") for fault in caught.value.faults)


def test_a_circle_is_refused() -> None:
    """A list that holds itself is an error and no endless loop."""
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(InvalidInput):
        flatten({"circle": circle})


def test_one_key_from_two_places_is_refused() -> None:
    """A dotted key and a nested one that would be the same are not silently merged."""
    with pytest.raises(InvalidInput):
        flatten({"a": {"b": 1}, "a.b": 2})


def test_seeds_are_recognised_by_their_last_name() -> None:
    """Parameters called seed or random_state are seeds wherever they stand; others are not."""
    assert find_seeds({"split.seed": 4, "random_state": 7, "seedling": 1}) == {"split.seed": 4, "random_state": 7}


def test_a_long_text_is_whole_and_its_beginning_is_looked_up_by() -> None:
    """A text too long for an index stands whole beside its beginning."""
    row = as_rows({"prompt": "x" * 5000})[0]
    assert len(row[3]) == 500
    assert len(row[4]) == 5000
