"""Figures of agreement: published examples, a plain model, and properties."""

import dataclasses
import hashlib
import math
from collections import Counter
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from commonground.errors import InvalidInput
from commonground.structure import agreement
from commonground.structure.agreement import (
    NO_COMMON_UNITS,
    NO_PAIRS,
    ONE_VALUE,
    Readings,
    alpha,
    count_coincidences,
    kappa,
)

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


def model_resamples(units, values, level, resamples, seed):
    """Alpha of each resample, units drawn one by one from SHAKE-256 and given new names; undefined ones left out."""
    counts = Counter(units)
    names = sorted(unit for unit in counts if counts[unit] > 1)
    found = []
    for resample in range(resamples):
        stream = hashlib.shake_256(f"{seed}:{resample}".encode()).digest(8 * len(names))
        new_units, new_values = [], []
        for place in range(len(names)):
            unit = names[int.from_bytes(stream[8 * place : 8 * place + 8], "little") % len(names)]
            mine = [value for one, value in zip(units, values, strict=True) if one == unit]
            new_units += [place] * len(mine)
            new_values += mine
        found.append(model_alpha(new_units, new_values, level))
    return sorted(one for one in found if one is not None)


def quantile(ordered, share):
    """The linearly interpolated quantile of an ordered list."""
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("seed", "confidence"), [(0, 0.95), (7, 0.8)])
def test_the_interval_is_that_of_drawn_units(level, seed, confidence):
    """The ends are quantiles of alpha over units drawn one by one by the specified stream."""
    readings = grid(EXAMPLE_C)
    drawn = model_resamples(*(one.tolist() for one in readings.given()), level, 40, seed)
    figure = alpha(readings, level, resamples=40, seed=seed, confidence=confidence)
    assert figure.resamples == len(drawn) == 40
    assert figure.low == pytest.approx(quantile(drawn, (1 - confidence) / 2), abs=1e-9)
    assert figure.high == pytest.approx(quantile(drawn, (1 + confidence) / 2), abs=1e-9)
    assert figure.value == alpha(readings, level).value


def test_the_interval_rests_on_the_defined_resamples():
    """Resamples in which all values are alike are left out; if more than half are, there is no interval."""
    readings = words("aab", "aab")
    drawn = model_resamples(*(one.tolist() for one in readings.given()), "nominal", 50, 0)
    figure = alpha(readings, "nominal", resamples=50)
    assert 25 <= len(drawn) < 50
    assert (figure.resamples, figure.low, figure.high) == (len(drawn), 1.0, 1.0)
    seldom = words("aaaaab" * 4, "aaaaaa" * 4)
    assert alpha(seldom, "nominal", resamples=9).low is not None
    lonely = words("aaaaaaab", "aaaaaaaa")
    for resamples in range(1, 12):
        drawn = model_resamples(*(one.tolist() for one in lonely.given()), "nominal", resamples, 4)
        figure = alpha(lonely, "nominal", resamples=resamples, seed=4)
        assert figure.resamples == len(drawn)
        assert (figure.low is None) == (figure.high is None) == (not drawn or len(drawn) < resamples / 2)


@pytest.mark.parametrize(
    "options", [{"resamples": -1}, {"confidence": 0}, {"confidence": 1}, {"confidence": NAN}, {"confidence": 1.5}]
)
def test_impossible_intervals_are_refused(options):
    """A negative number of resamples and a confidence outside 0 to 1 are refused."""
    with pytest.raises(InvalidInput, match="the confidence lies between 0 and 1"):
        alpha(grid(EXAMPLE_C), "nominal", **options)


# --- kappa --------------------------------------------------------------------------------------------------------


def reader(values, units=None):
    """One reader's values of units 0, 1, 2 ..."""
    return Readings(np.arange(len(values)) if units is None else np.array(units), np.array(values))


def test_kappa_of_a_table():
    """Two readers who agree on 70 of 100 units where chance gives 50 have a kappa of 0.4."""
    first = [1] * 50 + [0] * 50
    second = [1] * 35 + [0] * 15 + [1] * 15 + [0] * 35
    assert kappa(reader(first), reader(second)).value == pytest.approx(0.4)
    assert kappa(reader(first), reader(second)).units == 100
    assert kappa(reader(first), reader(second)).values == 200


WEIGHT = {
    "none": lambda a, b: a != b,
    "linear": lambda a, b: abs(a - b),
    "quadratic": lambda a, b: (a - b) ** 2,
}


@given(
    st.lists(st.tuples(st.integers(-2, 4), st.integers(-2, 4)), min_size=1, max_size=30),
    st.sampled_from(sorted(WEIGHT)),
)
def test_kappa_weighs_what_is_against_what_chance_would_be(pairs, weights):
    """Kappa is 1 less the mean weight of the pairs over the mean weight of all values of one with all of the other."""
    first, second = ([pair[place] for pair in pairs] for place in (0, 1))
    assume(len({*first, *second}) > 1)
    observed = sum(WEIGHT[weights](a, b) for a, b in pairs) / len(pairs)
    expected = sum(WEIGHT[weights](a, b) for a in first for b in second) / len(pairs) ** 2
    figure = kappa(reader(first), reader(second), weights)
    assert figure.value == pytest.approx(1 - observed / expected, abs=1e-9)
    assert (figure.units, figure.values, figure.reason) == (len(pairs), 2 * len(pairs), "")
    assert kappa(reader(second), reader(first), weights).value == pytest.approx(figure.value, abs=1e-9)


def test_weights_are_distances_and_not_places():
    """A gap in the scale counts: values 1 and 5 are four steps apart even if nobody used those between."""
    first, second = [1, 1, 5, 2], [1, 5, 5, 1]
    linear = kappa(reader(first), reader(second), "linear").value
    # observed (0 + 4 + 0 + 1) / 4; expected over 16 pairs: (0+4+4+0) * 2 + (4+0+0+4) + (1+3+3+1)
    assert linear == pytest.approx(1 - (5 / 4) / (32 / 16))
    squared = kappa(reader(first), reader(second), "quadratic").value
    assert squared == pytest.approx(1 - (17 / 4) / ((32 * 2 + 32 + 20) / 16))
    assert kappa(reader(first), reader(second)).value == pytest.approx(1 - (2 / 4) / ((2 + 2 + 2 + 4) / 16))


def test_kappa_looks_at_common_units_only():
    """Units that one reader lacks or could not grade are left out, in whatever sequence they come."""
    first = Readings(np.array([9, 3, 5, 7]), np.array([1, 2, 9, 1]), np.array([False, False, True, False]))
    second = Readings(np.array([3, 7, 5, 11, 9]), np.array([2, 2, 1, 1, 1]))
    figure = kappa(first, second)
    assert figure == kappa(reader([1, 2, 1]), reader([1, 2, 2]))
    assert (figure.units, figure.values) == (3, 6)


def test_kappa_of_words():
    """Text is compared as it is, also when a reader never used a category of the other."""
    figure = kappa(reader(["a", "b", "c"]), reader(["a", "b", "d"]))
    assert figure.value == pytest.approx(1 - (1 / 3) / (1 - 2 / 9))
    assert kappa(reader([True, False]), reader([True, False])).value == 1.0


@pytest.mark.parametrize("weights", ["none", "linear", "quadratic"])
def test_undefined_kappas_say_why(weights):
    """Without common units, or with one and the same value throughout, there is no kappa."""
    empty = np.array([], np.int64)
    assert kappa(Readings(empty, empty), reader([1]), weights) == agreement.Figure(None, NO_COMMON_UNITS, 0, 0)
    assert kappa(reader([1], [4]), reader([1], [5]), weights).reason == NO_COMMON_UNITS
    assert kappa(reader([3, 3]), reader([3, 3]), weights) == agreement.Figure(None, ONE_VALUE, 2, 4)
    assert kappa(reader([3, 3]), reader([4, 4]), weights).value == 0.0


def test_a_unit_twice_is_refused():
    """A reader who has two values of one unit is refused, on either side, unless one is missing."""
    twice = reader([1, 2], [5, 5])
    for pair in ((twice, reader([1])), (reader([1]), twice)):
        with pytest.raises(InvalidInput, match="has a unit twice"):
            kappa(*pair)
    once = Readings(twice.unit, twice.value, np.array([True, False]))
    assert kappa(once, reader([2, 1], [5, 6])).units == 1


# --- coincidences -------------------------------------------------------------------------------------------------


@given(READINGS, st.sampled_from(LEVELS))
def test_coincidences_are_counted_pair_by_pair(readings, level):
    """The table, its total and both shares are those of counting every pair of values once."""
    units, values = arrays(readings)
    found = count_coincidences(Readings(units, values), level)
    by_unit = {}
    for unit, value in readings:
        by_unit.setdefault(unit, []).append(value)
    pairs = [sorted(pair) for mine in by_unit.values() for pair in combinations(mine, 2)]
    categories = sorted({value for mine in by_unit.values() if len(mine) > 1 for value in mine})
    assert found.categories.tolist() == categories
    counts = Counter(map(tuple, pairs))
    assert found.pairs.tolist() == [[counts[min(a, b), max(a, b)] for b in categories] for a in categories]
    assert found.total == len(pairs)
    if not pairs:
        assert (found.exact, found.within_one) == (None, None)
        return
    assert found.exact == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))
    near = sum(b - a <= 1 for a, b in pairs) / len(pairs)
    assert found.within_one == (None if level == "nominal" else pytest.approx(near))


def test_coincidences_of_words_have_no_steps():
    """Text coincides or not; there is no nearness."""
    found = count_coincidences(words("ab", "ac", "ab"), "nominal")
    assert found.categories.tolist() == ["a", "b", "c"]
    assert found.pairs.tolist() == [[3, 0, 0], [0, 1, 2], [0, 2, 0]]
    assert (found.total, found.exact, found.within_one) == (6, 4 / 6, None)


# --- what is refused ----------------------------------------------------------------------------------------------


def test_the_sentences_are_whole():
    """What is undefined or refused is said in these sentences, each with what to do."""
    assert NO_PAIRS == "No unit has two or more values."
    assert NO_COMMON_UNITS == "No unit was read by both."
    assert ONE_VALUE == "All values are the same, so agreement cannot be told from chance."
    units = np.zeros(2, np.int64)
    calls = {
        "Units, values and marks of missing values are not of one length.": lambda: Readings(units, np.zeros(3)),
        "A reader has a unit twice.": lambda: kappa(Readings(units, units), Readings(units, units)),
        "Distances need numbers, such as positions on a scale.": lambda: alpha(words("ab", "ab"), "ordinal"),
        "Some values are not finite.": lambda: alpha(Readings(units, np.array([NAN, 1])), "nominal"),
        "Values that are no numbers must be text.": lambda: alpha(Readings(units, np.array([None] * 2)), "nominal"),
        "The number of resamples is 0 or more, and the confidence lies between 0 and 1.": lambda: alpha(
            grid(EXAMPLE_C), "nominal", confidence=2
        ),
    }
    todos = []
    for what, call in calls.items():
        with pytest.raises(InvalidInput) as caught:
            call()
        assert caught.value.what == what
        todos.append(caught.value.todo)
    assert todos[1] == "Keep the newest value of each unit."
    assert todos[2] == "Take the values as nominal, or give their positions."


def test_figures_are_values():
    """A figure is equal to one of the same numbers and cannot be changed."""
    figure = alpha(grid(EXAMPLE_C), "nominal", resamples=5)
    assert figure == alpha(grid(EXAMPLE_C), "nominal", resamples=5)
    assert figure.reason == ""
    with pytest.raises(dataclasses.FrozenInstanceError):
        figure.value = 1.0
    assert agreement.Figure(None, "", 0, 0).resamples == 0


def test_tables_of_pairs_are_bounded(monkeypatch):
    """The table of pairs is refused for more values than the limit, and made at the limit."""
    monkeypatch.setattr(agreement, "MOST_CATEGORIES", 3)
    three, four = grid([[1, 2, 3], [1, 2, 3]]), grid([[1, 2, 3, 4], [1, 2, 3, 4]])
    assert count_coincidences(three, "nominal").total == 3
    assert kappa(reader([1, 2]), reader([3, 1])).value is not None
    for refused in (lambda: count_coincidences(four, "nominal"), lambda: kappa(reader([1, 2]), reader([3, 4]))):
        with pytest.raises(InvalidInput, match="4 different values are too many") as caught:
            refused()
        assert caught.value.todo == "Group them to at most 3 values."
    assert agreement.alpha(four, "nominal").value == 1.0


@pytest.mark.parametrize("level", ["ordinal", "interval"])
@pytest.mark.parametrize("values", [["a", "b"], [True, False], np.array([1, 2], object)])
def test_distances_need_numbers(level, values):
    """Text, booleans and objects have no distances."""
    units = np.zeros(2, np.int64)
    for refused in (alpha, count_coincidences):
        with pytest.raises(InvalidInput, match="Distances need numbers"):
            refused(Readings(units, np.array(values)), level)
    with pytest.raises(InvalidInput, match="Distances need numbers"):
        kappa(reader(values), reader(values), "linear")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("value", [NAN, math.inf])
def test_values_that_are_not_finite_are_refused(level, value):
    """A hidden NaN or an infinity is refused instead of counted, unless it is marked as missing."""
    units, values = np.zeros(3, np.int64), np.array([1.0, value, 2.0])
    with pytest.raises(InvalidInput, match="not finite") as caught:
        alpha(Readings(units, values), level)
    assert caught.value.todo == "Mark missing values as missing."
    assert alpha(Readings(units, values, ~np.isfinite(values)), level).values == 2


def test_hidden_nones_are_refused():
    """None among words is refused instead of taken for a category."""
    with pytest.raises(InvalidInput, match="must be text") as caught:
        alpha(Readings(np.zeros(2, np.int64), np.array(["a", None], object)), "nominal")
    assert caught.value.todo == "Mark missing values as missing."


def test_unknown_words_are_refused():
    """A level or a weight that does not exist is refused with those that do."""
    for refused in (alpha, count_coincidences):
        with pytest.raises(InvalidInput, match="'ratio' is not a level of measurement") as caught:
            refused(grid(EXAMPLE_C), "ratio")
        assert caught.value.todo == "Name one of nominal, ordinal, interval."
    with pytest.raises(InvalidInput, match="'cubic' is not a way to weigh") as caught:
        kappa(reader([1]), reader([1]), "cubic")
    assert caught.value.todo == "Name one of none, linear, quadratic."


def test_columns_must_be_of_one_length():
    """Units, values and marks of other lengths are refused."""
    two, three = np.zeros(2, np.int64), np.zeros(3, np.int64)
    for columns in ((two, three), (two, two, np.zeros(3, bool)), (three, two, np.zeros(2, bool))):
        with pytest.raises(InvalidInput, match="not of one length"):
            Readings(*columns)
