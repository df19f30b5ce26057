"""Selectors as values: what they can say, how they are written down, and how they read to people."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonground.errors import InvalidInput
from commonground.identity import MAX_RID, show_rid
from commonground.structure.selector_rules import (
    Selector,
    adjudicated,
    by_author,
    by_execution,
    majority,
    median,
    newest,
)

RIDS = st.integers(1, MAX_RID)
SIMPLE = st.one_of(
    st.builds(newest),
    st.builds(by_author, RIDS),
    st.builds(by_execution, RIDS),
    st.builds(majority, st.sampled_from(["drop", "error", "newest"])),
    st.builds(median, st.sampled_from(["drop", "low", "high", "mean"])),
)
SELECTORS = SIMPLE | st.builds(adjudicated, st.none() | SIMPLE)


@given(SELECTORS)
def test_a_selector_reads_back(selector):
    """What is written down reads back as the same selector, from the text and from the object it stands for."""
    text = selector.to_json()
    assert Selector.from_json(text) == selector
    assert Selector.from_json(json.loads(text)) == selector
    assert selector.as_dict() == json.loads(text)
    assert Selector.from_json(text).to_json() == text


@given(SELECTORS, SELECTORS)
def test_different_selectors_are_written_differently(first, second):
    """Two selectors have one text exactly if they are equal; equal ones are one key of a dictionary."""
    assert (first.to_json() == second.to_json()) == (first == second)
    assert len({first, second}) == (1 if first == second else 2)


ONCE = "of its readers, each counted once"
WRITTEN = [
    (newest(), '{"rule":"newest"}', "For each entity the newest value."),
    (
        by_author(5),
        '{"person":"0000000000005","rule":"by_author"}',
        "For each entity the newest value by 0000000000005.",
    ),
    (
        by_execution(32),
        '{"execution":"0000000000010","rule":"by_execution"}',
        "For each entity the newest value made by execution 0000000000010.",
    ),
    (
        majority(),
        '{"rule":"majority","ties":"drop"}',
        f"For each entity the most frequent value {ONCE} (an entity with two most frequent values is left out).",
    ),
    (
        majority("error"),
        '{"rule":"majority","ties":"error"}',
        f"For each entity the most frequent value {ONCE} (two most frequent values are an error).",
    ),
    (
        majority("newest"),
        '{"rule":"majority","ties":"newest"}',
        f"For each entity the most frequent value {ONCE} (of several most frequent values the one given last).",
    ),
    (
        median(),
        '{"rule":"median","ties":"drop"}',
        f"For each entity the median {ONCE} (an entity with two different middle values is left out).",
    ),
    (
        median("low"),
        '{"rule":"median","ties":"low"}',
        f"For each entity the median {ONCE} (of two middle values the lower).",
    ),
    (
        median("high"),
        '{"rule":"median","ties":"high"}',
        f"For each entity the median {ONCE} (of two middle values the higher).",
    ),
    (
        median("mean"),
        '{"rule":"median","ties":"mean"}',
        f"For each entity the median {ONCE} (of two middle values their mean).",
    ),
    (
        adjudicated(),
        '{"rule":"adjudicated"}',
        "For each entity the adjudicated value; an entity without one is left out.",
    ),
    (
        adjudicated(newest()),
        '{"fallback":{"rule":"newest"},"rule":"adjudicated"}',
        "For each entity the adjudicated value, else the newest value.",
    ),
]


@pytest.mark.parametrize(("selector", "text", "sentence"), WRITTEN)
def test_selectors_are_written_and_told_like_this(selector, text, sentence):
    """The canonical text and the sentence of each rule stay as they are."""
    assert selector.to_json() == text
    assert selector.describe() == sentence


def test_people_are_named_in_the_sentence():
    """A sentence uses the names it is given, also inside a fallback."""
    names = {7: "the first radiologist", 9: "the second pass"}.__getitem__
    assert by_author(7).describe(names) == "For each entity the newest value by the first radiologist."
    assert adjudicated(by_execution(9)).describe(names) == (
        "For each entity the adjudicated value, else the newest value made by execution the second pass."
    )


def test_ids_may_be_written_by_hand():
    """Small letters and hyphens of a hand-written id are read, and written canonically."""
    rid = 2**62 + 12345
    by_hand = show_rid(rid).lower()
    assert Selector.from_json({"rule": "by_author", "person": f"{by_hand[:4]}-{by_hand[4:]}"}) == by_author(rid)


def test_options_without_a_value_are_as_if_absent():
    """Null for an option means that it is not given."""
    assert Selector.from_json('{"rule": "newest", "ties": null, "fallback": null}') == newest()


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ("{", "it is not JSON"),
        ("[]", "it names no rule"),
        ("{}", "it names no rule"),
        ('{"rule": 3}', "it names no rule"),
        ('"newest"', "it names no rule"),
        ('{"rule": "newest", "quorum": 2, "b": 1}', "'b', 'quorum' means nothing in it"),
        ('{"rule": "adjudicated", "fallback": "newest!"}', "it is not JSON"),
        ('{"rule": "adjudicated", "fallback": 3}', "it names no rule"),
    ],
)
def test_what_is_no_selector_is_refused(given, fault):
    """Broken text, no rule and unknown options are refused by name."""
    with pytest.raises(InvalidInput) as caught:
        Selector.from_json(given)
    assert caught.value.what == f"This is not a selector: {fault}."


def test_a_shortened_id_is_refused():
    """A selector on record names its person in full."""
    with pytest.raises(InvalidInput, match="shortened"):
        Selector.from_json('{"rule": "by_author", "person": "0MH"}')


@pytest.mark.parametrize(
    ("make", "faults"),
    [
        (
            lambda: Selector("first"),
            ["'first' is not a rule; the rules are newest, by_author, by_execution, majority, median, adjudicated"],
        ),
        (lambda: Selector("newest", ties="drop"), ["ties does not belong to newest"]),
        (lambda: Selector("median", person=3, ties="low"), ["person does not belong to median"]),
        (lambda: Selector("by_author"), ["by_author needs the id of the person"]),
        (lambda: Selector("by_author", execution=3), ["execution does not belong to by_author",
                                                      "by_author needs the id of the person"]),
        (lambda: by_author(0), ["by_author needs the id of the person"]),
        (lambda: by_author(True), ["by_author needs the id of the person"]),  # noqa: FBT003
        (lambda: by_author("5"), ["by_author needs the id of the person"]),
        (lambda: by_author(MAX_RID + 1), ["by_author needs the id of the person"]),
        (lambda: by_execution(-1), ["by_execution needs the id of the execution"]),
        (lambda: majority("mean"), ["'mean' is no way to treat ties; majority has drop, error, newest"]),
        (lambda: median("newest"), ["'newest' is no way to treat ties; median has drop, low, high, mean"]),
        (lambda: Selector("median"), ["None is no way to treat ties; median has drop, low, high, mean"]),
        (lambda: adjudicated(adjudicated()), ["adjudicated cannot be its own fallback"]),
        (lambda: Selector("newest", fallback=newest()), ["fallback does not belong to newest"]),
    ],
)  # fmt: skip
def test_impossible_selectors_are_refused(make, faults):
    """An unknown rule, an option of another rule, a missing one and an endless fallback are refused, all at once."""
    with pytest.raises(InvalidInput, match=r"^This is not a selector\.") as caught:
        make()
    assert list(caught.value.faults) == faults


def test_the_ends_of_the_ids_are_ids():
    """The first and the last possible id serve."""
    assert by_author(1).person == 1
    assert by_author(MAX_RID).person == MAX_RID


def test_ties_are_dropped_unless_said_otherwise():
    """Without a word about ties an unclear entity is left out."""
    assert majority() == majority("drop")
    assert median() == median("drop")
