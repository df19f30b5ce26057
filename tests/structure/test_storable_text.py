"""Text that no database holds is written out, and nothing else is touched."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonground.structure.storable_text import storable, storable_text

ANY_TEXT = st.text(st.characters(exclude_categories=()))
DATA = st.recursive(
    st.none() | st.integers() | st.booleans() | ANY_TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner),
    max_leaves=8,
)


@given(ANY_TEXT)
def test_any_text_becomes_one_that_can_be_stored(text: str) -> None:
    """The result has no NUL and no half of a pair, stays as it is the second time, and good text is not touched."""
    told = storable_text(text)
    assert "\0" not in told
    assert told.encode("utf-8").decode() == told == storable_text(told)
    good = "\0" not in text and not any(0xD800 <= ord(letter) <= 0xDFFF for letter in text)
    assert (told == text) == good


def test_what_is_written_out_can_be_read() -> None:
    """A NUL and a byte of a file name that is no text are shown as such."""
    assert storable_text("bad \udcff \0 end") == "bad \\udcff \\x00 end"


@given(DATA)
def test_data_of_any_shape_keeps_its_shape(data: Any) -> None:
    """Lists and mappings stay what they are, all text in them is storable, and other values are the same."""
    told = storable(data)
    assert type(told) is type(data)
    assert storable(told) == told
    if not isinstance(data, (str, list, dict)):
        assert told is data
    if isinstance(data, list):
        assert told == [storable(part) for part in data]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("a\0b", "a\\x00b"),
        ("é\0\udcff", "é\\x00\\udcff"),
        ({"a\0": "\0", "b": 1}, {"a\\x00": "\\x00", "b": 1}),
        ({"a": {"b\udcff": ["\0", None]}}, {"a": {"b\\udcff": ["\\x00", None]}}),
        (("\0", 1.5, True), ["\\x00", 1.5, True]),
        (b"\0", b"\0"),
    ],
)
def test_text_is_written_out_wherever_it_stands(data: Any, told: Any) -> None:
    """Alone, as a key, as a value and deep inside; what is no text stays as it is."""
    assert storable(data) == told
