"""Names as they are stored and as twins are told apart: pure rules."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonground.errors import InvalidInput
from commonground.structure.names import LONGEST, clean_name, name_key, slug


@pytest.mark.parametrize(
    ("given", "stored"), [("Nodule", "Nodule"), ("  lung nodule\t", "lung nodule"), ("Gro\u0308ße", "Größe")]
)
def test_a_name_is_stored_composed_and_without_spaces_around_it(given: str, stored: str) -> None:
    """Spaces around a name go, those within stay; a letter and its accent become one letter."""
    assert clean_name(given) == stored


@pytest.mark.parametrize(
    ("given", "what", "todo"),
    [
        ("", "A feature cannot be empty.", "Give one."),
        (" \t", "A feature cannot be empty.", "Give one."),
        ("x" * 201, "A feature can have 200 characters; this has 201.", "Shorten it."),
        ("a@b", "A feature cannot contain @: 'a@b'.", "Leave that out, or write it otherwise."),
        ("a\0b\u200bc", "A feature cannot contain U+0000, U+200B: 'a\\x00b\\u200bc'.", "Leave that out"),
    ],
)
def test_what_cannot_be_a_name_is_refused_with_the_reason(given: str, what: str, todo: str) -> None:
    """Nothing, too much, a control or invisible character, the sign that parts a name from its version."""
    with pytest.raises(InvalidInput) as told:
        clean_name(given, "feature")
    assert told.value.what == what
    assert told.value.todo.startswith(todo)


def test_the_longest_name_is_taken() -> None:
    """200 characters are a name, and a thing that is not called otherwise is called a name."""
    assert clean_name("x" * LONGEST) == "x" * LONGEST
    with pytest.raises(InvalidInput, match=r"^A name cannot be empty\.\n"):
        clean_name("")


@pytest.mark.parametrize(
    ("one", "other"),
    [("Nodule", "nodule"), ("Größe", "GRÖSSE"), ("\ufb01bre", "fibre"), ("m\u00b2", "m2"), ("\u212bngstr", "ångstr")],
)
def test_names_that_people_take_for_one_another_are_twins(one: str, other: str) -> None:
    """Case, ligatures, raised digits and letters that look the same tell no two names apart."""
    assert name_key(one) == name_key(other)
    assert name_key(one) != name_key(f"{other}s")


@given(st.text(max_size=20))
def test_a_key_is_its_own_key(name: str) -> None:
    """The key of a name does not change when it is taken again, nor with the way in which its letters are composed."""
    assert name_key(name_key(name)) == name_key(name) == name_key(unicodedata.normalize("NFD", name))


@pytest.mark.parametrize(
    ("name", "longest", "told"),
    [
        ("Lung nodule (2024)", 30, "lung_nodule_2024"),
        ("Größe", 30, "groe"),
        ("Café", 30, "cafe"),
        ("肺", 30, "x"),
        ("", 30, "x"),
        ("one two three", 7, "one_two"),
        ("one two three", 8, "one_two"),
        ("x" * 40, 30, "x" * 30),
    ],
)
def test_a_slug_resembles_the_name(name: str, longest: int, told: str) -> None:
    """Accents go, what is no letter or digit becomes one underscore, and none stands at an end."""
    assert slug(name, longest) == told
    assert len(slug("x" * 40)) == 30


@given(st.text(max_size=40))
def test_a_slug_is_safe_in_a_database(name: str) -> None:
    """Whatever the name, the slug is of small letters, digits and underscores."""
    assert re.fullmatch(r"[a-z0-9][a-z0-9_]{0,29}", slug(name))
