"""Version numbers and the words that refer to a version."""

import dataclasses
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonground.errors import InvalidInput
from commonground.structure.version_numbers import FIRST, MAX_CHANGE, MAX_PART, Reference, VersionNumber

PARTS = st.integers(0, MAX_PART)
NUMBERS = st.builds(VersionNumber, PARTS, PARTS, PARTS)
NAMES = (
    st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="@"), min_size=1)
    .map(str.strip)
    .filter(bool)
)
REFERENCES = st.one_of(
    st.builds(Reference, NAMES),
    st.builds(Reference, NAMES, NUMBERS),
    st.builds(Reference, NAMES, dev=st.just(value=True), change=st.none() | st.integers(1, MAX_CHANGE)),
)


@given(NUMBERS)
def test_a_number_reads_back(number):
    """What a version number prints is what reads back as the same number."""
    assert VersionNumber.parse(str(number)) == number


@given(NUMBERS, NUMBERS)
def test_numbers_are_ordered_as_numbers(first, second):
    """Versions compare part by part as numbers, so 1.10.0 comes after 1.9.0."""
    assert (first < second) == ((first.major, first.minor, first.patch) < (second.major, second.minor, second.patch))
    assert VersionNumber(1, 9, 0) < VersionNumber(1, 10, 0) < VersionNumber(2, 0, 0)


NOT_NUMBERS = (
    *("", "2", "2.0", "2.0.0.0", "2..0", "2x0x0", "2,0,0", "2.0.x", "2.0.0-rc1", "v2.0.0", "-1.0.0"),
    *("02.0.0", "2.00.0", "2.0.01", "2.0.0 ", " 2.0.0", "2.0.0\n", "\u0662.0.0"),
    *("1000000000.0.0", "0.1000000000.0", "0.0.1000000000"),
)


@pytest.mark.parametrize("text", NOT_NUMBERS)
def test_only_three_plain_numbers_are_read(text):
    """Leading zeros, signs, spaces, a v, other digits, too few, too many or too large parts are refused."""
    with pytest.raises(InvalidInput) as caught:
        VersionNumber.parse(text)
    assert caught.value.what == f"{text!r} is not a version number."
    assert caught.value.todo == "Write three plain numbers, such as 2.0.0."


@pytest.mark.parametrize("at", range(3))
@pytest.mark.parametrize("part", [-1, MAX_PART + 1])
def test_parts_stay_in_their_range(at, part):
    """Each part lies between 0 and 999999999, also when a number is made and not read."""
    parts = [5, 5, 5]
    parts[at] = part
    with pytest.raises(InvalidInput) as caught:
        VersionNumber(*parts)
    shown = ".".join(map(str, parts))
    assert caught.value.what == f"{shown} is not a version number: each part lies between 0 and 999999999."
    parts[at] = 0 if part < 0 else MAX_PART
    assert str(VersionNumber(*parts)) == ".".join(map(str, parts))


def test_the_largest_numbers_are_read():
    """Nine digits are read, and no more exist."""
    assert VersionNumber.parse("999999999.999999999.999999999") == VersionNumber(MAX_PART, MAX_PART, MAX_PART)
    assert MAX_PART == 999999999
    assert MAX_CHANGE == 2**63 - 1


def test_numbers_and_references_do_not_change():
    """A version number and a reference are values: nobody can change one that others hold."""
    reference = Reference("nodules")
    with pytest.raises(dataclasses.FrozenInstanceError):
        FIRST.major = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        reference.name = "scans"


def test_the_first_release_is_one():
    """The first release is 1.0.0."""
    assert str(FIRST) == "1.0.0"


def test_the_next_number_starts_the_smaller_parts_again():
    """A larger part that grows sets the smaller ones to 0 and leaves the larger ones."""
    number = VersionNumber(2, 3, 4)
    assert str(number.next("major")) == "3.0.0"
    assert str(number.next("minor")) == "2.4.0"
    assert str(number.next("patch")) == "2.3.5"


@given(st.builds(VersionNumber, *[st.integers(0, MAX_PART - 1)] * 3), st.sampled_from(["major", "minor", "patch"]))
def test_the_next_number_is_greater(number, part):
    """Whatever part grows, the next number comes later."""
    assert number.next(part) > number


def test_the_last_number_has_no_next():
    """A part at its end is refused, not carried over."""
    with pytest.raises(InvalidInput, match="1000000000"):
        VersionNumber(1, 0, MAX_PART).next("patch")


def test_only_the_three_parts_grow():
    """Another word is refused, and the three are named."""
    with pytest.raises(InvalidInput, match="'build' is not a part") as caught:
        VersionNumber(1, 0, 0).next("build")
    assert caught.value.todo == "Name one of major, minor, patch."


@pytest.mark.parametrize(
    ("text", "reference", "exact"),
    [
        ("nodules", Reference("nodules"), False),
        ("nodules@2.0.0", Reference("nodules", VersionNumber(2, 0, 0)), True),
        ("nodules@dev", Reference("nodules", dev=True), False),
        ("nodules@dev.c18412", Reference("nodules", dev=True, change=18412), True),
        ("nodules@dev.c1", Reference("nodules", dev=True, change=1), True),
        (f"x@dev.c{MAX_CHANGE}", Reference("x", dev=True, change=MAX_CHANGE), True),
        ("CT scans: left / right (2024), v1.2", Reference("CT scans: left / right (2024), v1.2"), False),
        ("dev", Reference("dev"), False),
        ("2.0.0@2.0.0", Reference("2.0.0", VersionNumber(2, 0, 0)), True),
    ],
)
def test_references_mean_what_they_say(text, reference, exact):
    """The four ways of referring are read, and only a release or a change is exact."""
    assert Reference.parse(text) == reference
    assert str(reference) == text
    assert reference.exact is exact


@given(REFERENCES)
def test_a_reference_reads_back(reference):
    """What a reference prints is what reads back as the same reference, whatever its name."""
    assert Reference.parse(str(reference)) == reference


@given(NAMES)
def test_names_are_composed(name):
    """A name in either Unicode form refers to the same thing."""
    assert Reference.parse(unicodedata.normalize("NFD", name)) == Reference.parse(unicodedata.normalize("NFC", name))
    assert Reference("e\u0301").name == "\u00e9"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("nodules@", "names no version: nothing follows the @."),
        ("nodules@2.0", "names no version: '2.0' is not three plain numbers."),
        ("nodules@v2.0.0", "names no version: a version number has no v before it."),
        ("nodules@V2.0.0", "names no version: a version number has no v before it."),
        ("nodules@latest", "names no version: for the current release leave the @ and what follows away."),
        ("nodules@current", "names no version: for the current release leave the @ and what follows away."),
        ("nodules@Dev", "names no version: dev is written in small letters."),
        ("nodules@devel", "names no version: 'devel' is not three plain numbers."),
        ("nodules@X", "names no version: 'X' is not three plain numbers."),
        ("a@b@1.0.0", "has more than one @, and a name cannot hold one."),
        ("nodules@dev.", "names no change: after dev. comes c and its number."),
        ("nodules@dev.18412", "names no change: after dev. comes c and its number."),
        ("nodules@dev.c", "names no change: after dev. comes c and its number."),
        ("nodules@dev.c0", "names no change: after dev. comes c and its number."),
        ("nodules@dev.c012", "names no change: after dev. comes c and its number."),
        ("nodules@dev.c12 ", "names no change: after dev. comes c and its number."),
        ("nodules@dev.c12345678901234567890", "names no change: after dev. comes c and its number."),
    ],
)
def test_a_wrong_reference_says_what_is_wrong(text, what):
    """Each common slip has its own sentence, and the right ways are shown."""
    with pytest.raises(InvalidInput) as caught:
        Reference.parse(text)
    assert caught.value.what == f"{text!r} {what}"
    assert caught.value.todo == (
        "Write a release as 2.0.0, the unreleased state as dev, or a state of it as dev.c18412."
    )


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "the name is empty"),
        (" nodules", "the name begins or ends with a space"),
        ("nodules\u3000", "the name begins or ends with a space"),
        ("no\tdules", "a name cannot hold control characters"),
        ("no\0dules", "a name cannot hold control characters"),
        ("no\x9fdules", "a name cannot hold control characters"),
        ("no\ud800dules", "a name cannot hold control characters"),
        ("no@dules", "a name cannot hold @"),
    ],
)
def test_impossible_names_are_refused(name, fault):
    """Empty names, outer spaces, control characters, half letters and @ are refused."""
    with pytest.raises(InvalidInput) as caught:
        Reference(name)
    assert caught.value.what == f"{name!r} cannot be referred to like this."
    assert caught.value.faults == (fault,)
    assert "dev.c18412" in caught.value.todo


@pytest.mark.parametrize("text", ["@2.0.0", "@dev", "@dev.c5", "", " "])
def test_a_reference_needs_a_name(text):
    """A version of nothing is refused."""
    with pytest.raises(InvalidInput, match="cannot be referred to"):
        Reference.parse(text)


def test_impossible_references_say_all_that_is_wrong():
    """A release and the unreleased state at once, and a change without it, are refused together."""
    with pytest.raises(InvalidInput) as caught:
        Reference("a\n", VersionNumber(1, 0, 0), dev=True, change=0)
    assert caught.value.faults == (
        "the name begins or ends with a space",
        "a name cannot hold control characters",
        "a release and the unreleased state cannot be meant at once",
        f"a change lies between 1 and {MAX_CHANGE}, not at 0",
    )
    with pytest.raises(InvalidInput) as caught:
        Reference("a", change=MAX_CHANGE + 1)
    assert caught.value.faults == (
        "a change is named only for the unreleased state",
        f"a change lies between 1 and {MAX_CHANGE}, not at {MAX_CHANGE + 1}",
    )
    with pytest.raises(InvalidInput):
        Reference.parse("x@dev.c9223372036854775808")
