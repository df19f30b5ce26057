"""No name from outside becomes a path outside the folder."""

from __future__ import annotations

import os
import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commonground.errors import Conflict, UnsafePath
from commonground.store import containment
from commonground.store.containment import Inside, split_name, split_names

PIECES = [
    "..",
    ".",
    "",
    "a",
    "A",
    "b",
    "%2e%2e",
    "%252e",
    "\\",
    "\\..",
    ";",
    "#",
    "?",
    "\0",
    "é",
    "e\u0301",
    "CON",
    "nul.txt",
]
PIECES += ["...", "..;", ". .", "~", "C:", "//", "\u2025", "\uff0e\uff0e", "\n", "a" * 300, "folder", "link"]


@pytest.fixture
def place(tmp_path):
    """A folder with links to a canary outside."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a").write_bytes(b"canary")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "in" / "folder").symlink_to("..")
    return tmp_path


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(PIECES) | st.text(max_size=5), min_size=1, max_size=6),
    st.sampled_from(["/", "//", "\\", ""]),
)
def test_no_spelling_leads_outside(place, pieces, joint):
    """Of 1,000 spellings none reads or writes outside: each is refused or ends below the folder."""
    name = joint.join(pieces)
    try:
        parts = split_name(name)
        with Inside(place / "in") as inside:
            reading = inside.open(parts)
            if reading is not None:
                os.close(reading)
            os.close(inside.create(parts))
            assert (place / "in").resolve() in (place / "in").joinpath(*parts).resolve().parents
            inside.remove(parts)
    except (UnsafePath, Conflict):
        pass
    assert {path.name for path in place.iterdir()} == {"outside", "in"}
    assert [path.name for path in (place / "outside").iterdir()] == ["a"]
    assert (place / "outside" / "a").read_bytes() == b"canary"


def test_plain_names_are_taken_as_they_are():
    """Spaces, percent signs, line breaks and any letters are kept, because only `/` parts a name."""
    for name in ("a/b c/d", "%2e%2e/x", "a\r\nb", "é/ü", "...", "CON", "a;b?c#d"):
        assert "/".join(split_name(name)) == name


def test_all_faults_come_at_once():
    """Three bad names of five are three faults of one error."""
    with pytest.raises(UnsafePath) as caught:
        split_names(["fine", "../a", "b\0", "also/fine", "/c"])
    assert len(caught.value.faults) == 3


@given(st.lists(st.sampled_from(["a", ".", "..", "...", "", " ", "é", "\\", "\n", "x" * 255, "x" * 256]), max_size=4))
def test_the_quick_way_refuses_what_the_rules_refuse(parts):
    """A name of printable ASCII that is taken without looking at the rules breaks none of them."""
    name = "/".join(parts)
    broken = not name or any(
        part in {"", ".", ".."} or "\\" in part or len(part.encode()) > 255 for part in name.split("/")
    )
    assert (containment.fault_of(name) is not None) is broken


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="/\\\0"), min_size=1, max_size=3), max_size=8))
def test_names_that_are_taken_together_differ_on_every_disk(names):
    """A list is taken only if no two names are equal without case and in any Unicode form."""
    folded = [unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold()) for name in names]
    try:
        split_names(names)
    except UnsafePath:
        assert len(set(folded)) < len(folded) or any(containment.fault_of(name) for name in names)
    else:
        assert len(set(folded)) == len(folded)


def test_a_link_put_in_meanwhile_is_not_followed(place):
    """A folder that is swapped for a link between two names is refused at the second."""
    with Inside(place / "in") as inside:
        os.close(inside.create(("x", "one")))
        os.close(inside.create(("other", "one")))
        (place / "in" / "x" / "one").unlink()
        (place / "in" / "x").rmdir()
        (place / "in" / "x").symlink_to(place / "outside")
        with pytest.raises(UnsafePath, match="stands in the way"):
            inside.create(("x", "two"))
    assert [path.name for path in (place / "outside").iterdir()] == ["a"]


def test_a_file_in_place_of_a_folder_is_refused(place):
    """A file where a folder is needed is an error, not a crash, and reading an absent name gives nothing."""
    (place / "in" / "file").write_bytes(b"x")
    with Inside(place / "in") as inside:
        with pytest.raises(UnsafePath):
            inside.create(("file", "a"))
        assert inside.open(("absent", "a")) is None
        with pytest.raises(Conflict):
            inside.create(("file",))


def test_no_descriptor_stays_open(place):
    """Walking many folders, also with errors, keeps nothing open afterwards."""
    before = len(os.listdir("/dev/fd"))  # noqa: PTH208 - names only
    with Inside(place / "in") as inside:
        for number in range(50):
            os.close(inside.create((f"d{number % 7}", f"e{number % 3}", str(number))))
        with pytest.raises(UnsafePath):
            inside.create(("link", "x"))
    assert len(os.listdir("/dev/fd")) == before  # noqa: PTH208 - names only


@settings(max_examples=500, deadline=None)
@given(st.lists(st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map("/".join), max_size=6))
def test_names_are_judged_together_as_each_alone(names):
    """Of many names exactly those are unsafe that are so alone, or that meet another one; the order counts nothing."""
    alone = {name for name in names if containment.fault_of(name)}
    told = faults_of(names)
    assert {name for name in names if any(one.startswith(f"{name!r}: ") for one in told)} >= alone
    assert bool(told) == bool(faults_of(names[::-1]))
    plain = {unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold()) for name in names}
    if not alone and len(plain) < len(names):
        assert told


def faults_of(names):
    """What is wrong with these names."""
    try:
        containment.check_names(names)
    except UnsafePath as error:
        return error.faults
    return ()
