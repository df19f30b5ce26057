"""Patterns of paths."""

import itertools
import re
import time

import pytest

from commonground.errors import InvalidInput, UnsafePath
from commonground.exchange.path_patterns import read_pattern


@pytest.mark.parametrize(
    ("pattern", "path", "found"),
    [
        ("{patient}_{scan}.png", "P1_S2.png", {"patient": "P1", "scan": "S2"}),
        ("{patient}_{scan}.png", "P1_S2_x.png", "twice"),
        ("{patient}_{scan}.png", "P1__S2.png", "twice"),
        ("{patient}_{scan}.png", "P1.png", "no"),
        ("{patient}_{scan}.png", "_S2.png", "no"),
        ("{patient}_{scan}.png", "P1_.png", "no"),
        ("{patient}_{scan}.png", "P1_S2.jpg", "no"),
        ("{patient}_{scan}.png", "a/P1_S2.png", "no"),
        ("{patient}/{scan}_{view}.jpg", "P1/S2_l.jpg", {"patient": "P1", "scan": "S2", "view": "l"}),
        ("{patient}/{patient}_{scan}.png", "P_1/P_1_S2.png", {"patient": "P_1", "scan": "S2"}),
        ("{patient}/{patient}_{scan}.png", "P_1/P_2_S2.png", "no"),
        ("{a}-{a}.png", "x-x.png", {"a": "x"}),
        ("{a}-{a}.png", "x-y.png", "no"),
        ("img/{n}.png", "img/1.png", {"n": "1"}),
        ("img/{n}.png", "IMG/1.png", "no"),
        ("{{x}}{n}.png", "{x}1.png", {"n": "1"}),
        ("a{n}b", "aab", {"n": "a"}),
        ("aa{n}aa", "aaa", "no"),
        ("{n}", "(a+)+$.png", {"n": "(a+)+$.png"}),
        ("{größe}.png", "1.png", {"größe": "1"}),
    ],
)
def test_a_path_fits_once_twice_or_not(pattern, path, found):
    """Fields are found by the fixed text around them; what fits in two ways is said to."""
    assert read_pattern(pattern).match(path) == found


@pytest.mark.parametrize("pattern", ["../{a}.png", "a/../{b}", "/{a}", "\\{a}", "C:/{a}", "~/{a}", "..\\{a}", ".."])
def test_patterns_that_lead_outside_are_unsafe(pattern):
    """Parents, roots, drives and homes."""
    with pytest.raises(UnsafePath):
        read_pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    ["", "a.png", "{a}{b}.png", "{}.png", "{0}.png", "{a.b}", "{a[0]}", "{a!r}", "{a:3}", "{a", "a}", "{a}//{b}",
     "./{a}", "{a}/", "*/{a}", "{a}\\{b}", "{a}\n", "{1a}"],
)  # fmt: skip
def test_what_is_no_pattern_is_refused(pattern):
    """No field, fields that touch, formats, indexes, wildcards, empty folders, control characters."""
    with pytest.raises(InvalidInput):
        read_pattern(pattern)


def test_all_faults_of_a_pattern_come_at_once():
    """A pattern with three faults is told all three."""
    with pytest.raises(InvalidInput) as caught:
        read_pattern("*/{a}{b}//{c:2}")
    assert len(caught.value.faults) == 4


@pytest.mark.parametrize("before", ["", "_", "a"])
@pytest.mark.parametrize("first", ["_", "a", "__"])
@pytest.mark.parametrize("second", ["_", "_a"])
@pytest.mark.parametrize("after", ["", "_", "a_"])
def test_the_answer_is_that_of_all_splits(before, first, second, after):
    """Each name of up to six letters fits once or twice exactly if one or more of all ways to split it do."""
    pattern = read_pattern(f"{before}{{x}}{first}{{y}}{second}{{z}}{after}")
    fields = ["".join(letters) for length in range(1, 5) for letters in itertools.product("a_", repeat=length)]
    fitting = {}
    for x, y, z in itertools.product(fields, repeat=3):
        if len(x) + len(y) + len(z) <= 6:
            fitting.setdefault(f"{before}{x}{first}{y}{second}{z}{after}", []).append({"x": x, "y": y, "z": z})
    for name in ("".join(letters) for length in range(7) for letters in itertools.product("a_", repeat=length)):
        ways = fitting.get(name, [])
        assert pattern.match(name) == (ways[0] if len(ways) == 1 else "twice" if ways else "no")


def test_no_pattern_is_slow():
    """Twelve fields against a name made to mislead take no time, which a regular expression would."""
    pattern = read_pattern("_".join(f"{{f{number}}}" for number in range(12)) + "!")
    start = time.perf_counter()
    for _ in range(1000):
        assert pattern.match("_" * 250) == "no"
        assert pattern.match("_" * 250 + "!") == "twice"
    assert time.perf_counter() - start < 2


def test_fields_are_in_the_order_of_the_pattern():
    """Each field is named once, at its first place."""
    assert read_pattern("{b}/{a}_{b}.png").fields == ("b", "a")
    assert re.fullmatch(r"\{b\}.*", read_pattern("{b}/{a}_{b}.png").text)
