"""Figures of agreement: published examples, a plain model, and properties."""

import math
from collections import Counter
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from commonground.errors import InvalidInput
from commonground.structure import agreement
from commonground.structure.agreement import NO_COMMON_UNITS, NO_PAIRS, ONE_VALUE, Readings, alpha, count_coincidences, kappa

NAN = math.nan
LEVELS = ("nominal", "ordinal", "interval")

# Krippendorff 2011, example C: twelve units, four observers, missing data
EXAMPLE_C = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
    [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
]


def grid(rows):
    """Readings of a table of observers by units, NaN where there is none."""
    values = np.array(rows, np.float64)
    units = np.tile(np.arange(values.shape[1]), values.shape[0])
    return Readings(units, values.ravel(), np.isnan(values.ravel()))


def words(*readers):
    """Readings of one word a reader, a letter a unit."""
    units = np.tile(np.arange(len(readers[0])), len(readers))
    return Readings(units, np.array(list("".join(readers)), object))


def pairs_of(units, values):
    """All ordered pairs of values within units, each with the number of values of its unit less one."""
    by_unit = {}
    for unit, value in zip(units, values, strict=True):
        by_unit.setdefault(unit, []).append(value)
    return [(first, second, len(one) - 1) for one in by_unit.values() for first, second in permutations(one, 2)]


def model_alpha(units, values, level):
    """Alpha by the square matrix of coincidences, step by step as in Krippendorff 2011."""
    coincidences = Counter()
    for first, second, others in pairs_of(units, values):
        coincidences[first, second] += 1 / others
    categories = sorted({value for pair in coincidences for value in pair})
    marginal = {one: sum(coincidences[one, other] for other in categories) for one in categories}
    total = sum(marginal.values())

    def squared_difference(first, second):
        if level == "nominal":
            return first != second
        if level == "interval":
            return (first - second) ** 2
        low, high = sorted((first, second))
        between = sum(marginal[one] for one in categories if low <= one <= high)
        return (between - (marginal[low] + marginal[high]) / 2) ** 2

    observed = sum(coincidences[a, b] * squared_difference(a, b) for a in categories for b in categories)
    expected = sum(marginal[a] * marginal[b] * squared_difference(a, b) for a in categories for b in categories)
    return None if not expected else 1 - (total - 1) * observed / expected


READINGS = st.lists(st.tuples(st.integers(-3, 3), st.integers(-2, 2)), max_size=25)


def arrays(readings):
    """Units and values of a list of pairs as integer arrays."""
    columns = np.array(readings, np.int64).reshape(-1, 2)
    return columns[:, 0], columns[:, 1]


# --- alpha --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "expected"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_the_published_example_with_missing_data(level, expected):
    """Krippendorff's example C gives the published figures; the unit with one value takes no part."""
    figure = alpha(grid(EXAMPLE_C), level)
    assert round(figure.value, 3) == expected
    assert (figure.reason, figure.units, figure.values) == ("", 11, 40)
    assert (figure.low, figure.high, figure.resamples) == (None, None, 0)


def test_the_published_examples_of_two_observers():
    """Krippendorff's examples A (binary) and B (nominal) give the published figures."""
    assert round(alpha(words("0100000010", "1110010000"), "nominal").value, 3) == 0.095
    assert round(alpha(words("aabbdcccedda", "babbbcccedd" + "d"), "nominal").value, 3) == 0.692


@given(READINGS, st.sampled_from(LEVELS))
@settings(max_examples=300)
def test_alpha_is_that_of_the_coincidence_matrix(readings, level):
    """For any units and values alpha equals the step-by-step method, and is undefined where that divides by zero."""
    units, values = arrays(readings)
    counts = Counter(units.tolist())
    kept = [(unit, value) for unit, value in readings if counts[unit] > 1]
    expected = model_alpha(*zip(*kept, strict=True), level) if kept else None
    figure = alpha(Readings(units, values), level)
    assert (figure.units, figure.values) == (len({unit for unit, _ in kept}), len(kept))
    if expected is None:
        assert figure.value is None
        assert figure.reason == (ONE_VALUE if kept else NO_PAIRS)
    else:
        assert figure.value == pytest.approx(expected, abs=1e-9)
        assert figure.reason == ""


@given(READINGS, st.sampled_from(LEVELS), st.randoms(use_true_random=False))
def test_alpha_does_not_ask_who_read(readings, level, random):
    """Shuffled readings, other names of the units and missing rows between them change nothing."""
    expected = alpha(Readings(*arrays(readings)), level)
    mixed = readings + [(unit, 77) for unit, _ in readings]
    places = list(range(len(mixed)))
    random.shuffle(places)
    units, values = arrays([mixed[place] for place in places])
    missing = np.array([place >= len(readings) for place in places], bool)
    figure = alpha(Readings(1000 - 7 * units, values, missing), level)
    assert (figure.value is None) == (expected.value is None)
    assert figure.value is None or figure.value == pytest.approx(expected.value, abs=1e-9)
    assert (figure.units, figure.values) == (expected.units, expected.values)


@given(READINGS, st.permutations(range(5)))
def test_nominal_alpha_does_not_look_at_names(readings, names):
    """Renaming the categories, to other numbers or to text, leaves nominal alpha as it is."""
    units, values = arrays(readings)
    expected = alpha(Readings(units, values), "nominal").value
    renamed = np.array(names)[values + 2]
    assert alpha(Readings(units, renamed), "nominal").value == expected
    text = np.array(["abcde"[value] for value in renamed], object)
    assert alpha(Readings(units, text), "nominal").value == expected


@given(READINGS)
def test_ordinal_alpha_looks_at_the_order_only(readings):
    """Stretching the scale leaves ordinal alpha as it is; turning it round leaves all three."""
    units, values = arrays(readings)
    ordinal = alpha(Readings(units, values), "ordinal").value
    assert alpha(Readings(units, values**3 * 10), "ordinal").value == ordinal
    for level in LEVELS:
        turned = alpha(Readings(units, -values), level).value
        assert turned == pytest.approx(alpha(Readings(units, values), level).value, abs=1e-9)


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.integers(2, 5)), min_size=1, max_size=8), st.sampled_from(LEVELS))
def test_perfect_agreement_is_exactly_one(units, level):
    """If all readers of each unit agree and not all units are alike, alpha is 1; if all are alike it is undefined."""
    rows = [(place, value) for place, (value, readers) in enumerate(units) for _ in range(readers)]
    figure = alpha(Readings(np.array([unit for unit, _ in rows]), np.array([value for _, value in rows])), level)
    values = {value for value, _ in units}
    if len(values) == 1:
        assert (figure.value, figure.reason) == (None, ONE_VALUE)
    elif level != "interval" or max(values) - min(values) > 1e-100:
        assert figure.value == 1.0


@pytest.mark.parametrize("level", LEVELS)
def test_one_value_thrice_is_undefined_even_if_it_is_a_tenth(level):
    """A single value that no binary fraction holds is still seen as one value, whatever its rounding."""
    figure = alpha(Readings(np.zeros(3, np.int64), np.full(3, 0.1)), level, resamples=5)
    assert figure == agreement.Figure(None, ONE_VALUE, 1, 3)


def test_large_numbers_lose_nothing():
    """Interval alpha of numbers far from zero equals that of the same numbers near zero."""
    units, values = np.array([0, 0, 1, 1, 2, 2]), np.array([0.0, 1.0, 5.0, 5.0, 9.0, 8.0])
    far = alpha(Readings(units, values + 2.0**40), "interval").value
    assert far == alpha(Readings(units, values), "interval").value


@pytest.mark.parametrize("level", LEVELS)
def test_without_pairs_alpha_is_undefined(level):
    """No readings, or one a unit, give no figure and say why."""
    for units in ([], [1, 2, 3]):
        array = np.array(units, np.int64)
        assert alpha(Readings(array, array), level, resamples=3) == agreement.Figure(None, NO_PAIRS, 0, 0)


# --- the interval of confidence -----------------------------------------------------------------------------------


def test_the_interval_is_the_same_everywhere():
    """The draws come from SHAKE-256 of the seed, so the interval is fixed to the last digit; another seed differs."""
    readings = grid(EXAMPLE_C)
    figure = alpha(readings, "ordinal", resamples=200, seed=7)
    assert (figure.low, figure.high) == alpha(readings, "ordinal", resamples=200, seed=7).__getattribute__("low"), None
