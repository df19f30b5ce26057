"""Values of one type as values of another: what converts, what is reported, and what is read in its place."""

from __future__ import annotations

from typing import Any

import pytest

from commonground.structure.column_types import Holds
from commonground.structure.conversions import Converted, convert, spell

NAMES = {7: "benign", 8: "malignant"}


@pytest.mark.parametrize(
    ("holds", "value", "names", "told"),
    [
        (Holds.INT, 3, None, "3"),
        (Holds.REAL, 3.0, None, "3"),
        (Holds.REAL, 0.1, None, "0.1"),
        (Holds.BOOL, 1, None, "yes"),
        (Holds.BOOL, 0, None, "no"),
        (Holds.TEXT, "a", None, "a"),
        (Holds.INSTANT, 0, None, "1970-01-01T00:00:00Z"),
        (Holds.TERM, 7, NAMES, "benign"),
        (Holds.LINK, 8, NAMES, "malignant"),
        (Holds.TERM, 9, NAMES, ""),
        (Holds.TERM, 7, None, ""),
        (Holds.TERM, None, NAMES, ""),
    ],
)
def test_a_value_is_spelt_as_people_read_it(holds: Holds, value: Any, names: dict[int, str] | None, told: str) -> None:
    """Numbers without a needless fraction, yes and no, moments in UTC, terms and links by their names."""
    assert spell(holds, value, names) == told


@pytest.mark.parametrize(
    ("old", "new", "value", "stored"),
    [
        (Holds.TEXT, Holds.INT, "3", 3),
        (Holds.INT, Holds.REAL, 3, 3.0),
        (Holds.REAL, Holds.INT, 10.0, 10),
        (Holds.REAL, Holds.INT, 1e16, 10**16),
        (Holds.BOOL, Holds.INT, 1, 1),
        (Holds.BOOL, Holds.REAL, 0, 0.0),
        (Holds.INT, Holds.BOOL, 1, 1),
        (Holds.BOOL, Holds.TEXT, 1, "yes"),
        (Holds.TEXT, Holds.BOOL, "no", 0),
        (Holds.INT, Holds.TEXT, 3, "3"),
        (Holds.REAL, Holds.TEXT, 3.0, "3"),
        (Holds.INT, Holds.DATE, 2024, "2024"),
        (Holds.TERM, Holds.TEXT, 7, "benign"),
        (Holds.INSTANT, Holds.TEXT, 0, "1970-01-01T00:00:00Z"),
    ],
)
def test_what_is_read_is_read_anew(old: Holds, new: Holds, value: Any, stored: Any) -> None:
    """A value of one type becomes what its text says in the other; numbers become numbers without a text between."""
    assert convert([value], old, new, names=NAMES) == Converted([stored], {}, {})


@pytest.mark.parametrize(
    ("old", "new", "value", "text", "why"),
    [
        (Holds.DATE, Holds.TIME, "2024-03-05", "2024-03-05", "a date has no time of day"),
        (Holds.DATE, Holds.INSTANT, "2024-03-05", "2024-03-05", "a date has no time of day and no zone"),
        (Holds.TIME, Holds.INSTANT, "2024-03-05T10:20:30", "2024-03-05T10:20:30", "it does not say its time zone"),
        (Holds.REAL, Holds.INT, 0.5, "0.5", "0.5 is not a whole number"),
        (Holds.INT, Holds.BOOL, 2, "2", "2 is not true or false"),
        (Holds.TEXT, Holds.INT, "many", "many", "'many' is not a whole number"),
        (Holds.TEXT, Holds.TERM, "other", "other", "it is no word of the vocabulary"),
        (Holds.TEXT, Holds.LINK, "other", "other", "it is the key of nothing here"),
    ],
)
def test_what_does_not_convert_is_reported_and_not_guessed(
    old: Holds, new: Holds, value: Any, text: str, why: str
) -> None:
    """A date gains no time of day, a moment no zone, a word no term; each is told with its reason and every row."""
    found = convert([None, value, value], old, new, words={"benign": 7})
    assert found == Converted([None, None, None], {text: (why, [1, 2])}, {})


def test_words_become_terms_by_their_key() -> None:
    """A word is looked up in the form in which words are the same; without a vocabulary there is none to find."""
    found = convert(["Benign", "MALIGNANT"], Holds.TEXT, Holds.TERM, words={"benign": 7, "malignant": 8}, key=str.lower)
    assert found == Converted([7, 8], {}, {})
    assert convert(["benign"], Holds.TEXT, Holds.TERM).bad == {"benign": ("it is no word of the vocabulary", [0])}


def test_values_that_are_not_there_stay_so_and_stop_nothing() -> None:
    """A value after one that is not there, and one after one that does not convert, are converted."""
    found = convert([None, "1", "x", None, "2"], Holds.TEXT, Holds.INT)
    assert found.values == [None, 1, None, None, 2]
    assert found.bad == {"x": ("'x' is not a whole number", [2])}


def test_what_is_said_to_be_read_in_its_place_is_read() -> None:
    """Another text, or nothing; what was said for values that are not there is not on record as used."""
    said = {"many": "100", "?": None, "-": "", "never": "5"}
    found = convert(["many", "?", "-", "3"], Holds.TEXT, Holds.INT, instead=said)
    assert found == Converted([100, None, None, 3], {}, {"many": "100", "?": None, "-": ""})
    wrong = convert(["many"], Holds.TEXT, Holds.INT, instead={"many": "lots"})
    assert wrong.bad == {"many": ("'lots' is not a whole number", [0])}


def test_a_person_may_say_what_is_refused_by_itself() -> None:
    """A date with a time of day that somebody states for it converts, and a number is read as what was said for it."""
    said = {"2024-03-05": "2024-03-05T10:00:00"}
    assert convert(["2024-03-05"], Holds.DATE, Holds.TIME, instead=said).values == ["2024-03-05T10:00:00"]
    assert convert([0.5, 2.0], Holds.REAL, Holds.INT, instead={"0.5": "1"}).values == [1, 2]
    assert convert(["x"], Holds.TEXT, Holds.TERM, words={"benign": 7}, instead={"x": "benign"}).values == [7]
