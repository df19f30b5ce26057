"""What a repeated run shows: the rules that compare figures and conditions and that claim a cause."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonground.structure.screen import mark
from commonground.structure.verdicts import (
    AXES,
    MOST_NAMED,
    AxisDifference,
    Conditions,
    Departure,
    Figures,
    Level,
    Outcome,
    Scalar,
    Verdict,
    compare_conditions,
    compare_figures,
    judge,
    needs_another,
    relative_difference,
)

NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
FIGURES = st.builds(
    Figures,
    metrics=st.dictionaries(st.sampled_from(["auc", "loss"]), NUMBERS, max_size=2),
    values=st.dictionaries(
        st.just("Nodule.score"), st.dictionaries(st.integers(1, 3), st.none() | st.booleans() | NUMBERS, max_size=3)
    ),
    outputs=st.dictionaries(st.sampled_from(["model", "table"]), st.sampled_from("ab"), max_size=2),
)


def differ(*axes: str) -> tuple[AxisDifference, ...]:
    """Differences on these axes."""
    return tuple(AxisDifference(axis, (("it", "a", "b"),), 1) for axis in axes)


def verdict_on(recorded: Figures, *reruns: Figures, axes: tuple[AxisDifference, ...] = ()) -> Verdict:
    """The verdict in the same environment."""
    return judge(recorded, reruns, axes, (), level=Level.SAME)


def metrics(**values: float) -> Figures:
    """Figures that are metrics only."""
    return Figures(metrics=values)


@given(FIGURES)
def test_a_run_that_comes_out_the_same_is_identical(figures: Figures) -> None:
    """Any figures, NaN and infinity among them, are identical to themselves after one re-run."""
    assert compare_figures(figures, figures) == ()
    assert not needs_another(figures, [figures])
    assert verdict_on(figures, figures).outcome is Outcome.IDENTICAL


@given(FIGURES, FIGURES)
def test_comparing_is_the_same_both_ways(one: Figures, other: Figures) -> None:
    """Whether two runs agree does not hang on which of them is on record."""
    there, back = compare_figures(one, other), compare_figures(other, one)
    assert [(d.kind, d.name, d.relative, d.within) for d in there] == [
        (d.kind, d.name, d.relative, d.within) for d in back
    ]


@given(FIGURES, FIGURES, st.sets(st.sampled_from(AXES)))
def test_a_cause_is_claimed_only_for_a_difference_on_one_axis(one: Figures, other: Figures, axes: set[str]) -> None:
    """There is a cause if and only if re-runs that agree differ from the record and exactly one axis differs."""
    found = verdict_on(one, other, other, axes=differ(*sorted(axes)))
    apart = any(not departure.within for departure in compare_figures(one, other))
    assert (found.outcome is Outcome.DIFFERENT) == apart
    assert found.cause == (next(iter(axes)) if apart and len(axes) == 1 else None)


@given(FIGURES, FIGURES, FIGURES)
def test_a_verdict_survives_as_plain_data(one: Figures, other: Figures, third: Figures) -> None:
    """A verdict written as JSON without NaN and read again is the same verdict, also one that tells of NaN."""
    found = verdict_on(one, other, third, axes=differ("code", "data"))
    text = json.dumps(found.as_plain(), allow_nan=False)
    # By its representation, because NaN is equal to nothing.
    assert repr(Verdict.from_plain(json.loads(text))) == repr(found)


def test_different_needs_two_re_runs() -> None:
    """One re-run that differs says nothing yet; two that agree with one another do."""
    assert needs_another(metrics(auc=0.9), [])
    assert needs_another(metrics(auc=0.9), [metrics(auc=0.8)])
    assert not needs_another(metrics(auc=0.9), [metrics(auc=0.8)] * 2)
    with pytest.raises(ValueError, match="too few"):
        verdict_on(metrics(auc=0.9), metrics(auc=0.8))
    assert verdict_on(metrics(auc=0.9), metrics(auc=0.8), metrics(auc=0.8)).outcome is Outcome.DIFFERENT


def test_re_runs_that_differ_from_one_another_vary_by_themselves() -> None:
    """Chance is not called a difference, no cause is claimed, and the spread is told beside what is on record."""
    found = verdict_on(metrics(auc=0.85, n=3), metrics(auc=0.8, n=3), metrics(auc=0.9, n=3), axes=differ("seed"))
    assert (found.outcome, found.cause) == (Outcome.VARIES, None)
    (spread,) = found.spread
    assert (spread.name, spread.lowest, spread.highest, spread.recorded) == ("auc", 0.8, 0.9, 0.85)


@pytest.mark.parametrize(
    ("old", "new", "outcome"),
    [
        (1.0, 1.0 + 5e-10, Outcome.WITHIN),
        (1.0, 1.0 + 5e-9, Outcome.DIFFERENT),
        (0.0, -0.0, Outcome.IDENTICAL),
        (0.0, 1e-300, Outcome.DIFFERENT),
        (math.nan, math.nan, Outcome.IDENTICAL),
        (math.nan, 1.0, Outcome.DIFFERENT),
        (math.inf, math.inf, Outcome.IDENTICAL),
        (math.inf, -math.inf, Outcome.DIFFERENT),
    ],
)
def test_the_tolerance_is_relative(old: float, new: float, outcome: Outcome) -> None:
    """Rounding is the same within tolerance; what is not a number or not finite is only the same as itself."""
    run = metrics(auc=new)
    assert verdict_on(metrics(auc=old), run, run).outcome is outcome


def test_the_difference_is_relative_to_the_larger() -> None:
    """|3 - 4| / 4 and |-3 - 4| / 4."""
    assert relative_difference(3, 4) == relative_difference(4, 3) == 0.25
    assert relative_difference(-3, 4) == 1.75


def test_missing_and_new_metrics_are_differences() -> None:
    """A metric that only one of the runs has is a difference, in both directions."""
    for old, new in ((metrics(auc=1.0), metrics()), (metrics(), metrics(auc=1.0))):
        (departure,) = compare_figures(old, new)
        assert (departure.kind, departure.name, departure.within) == ("metric", "auc", False)


def test_values_are_compared_by_entity() -> None:
    """One changed value, one that is not there and one that became nothing are differences; rounding is not."""
    recorded = Figures(values={"Nodule.score": {1: 0.5, 2: 0.25, 3: None}})
    same = Figures(values={"Nodule.score": {3: None, 2: 0.25 + 1e-12, 1: 0.5}})
    assert verdict_on(recorded, same).outcome is Outcome.WITHIN
    others: tuple[dict[int, Scalar], ...] = (
        {1: 0.5, 2: 0.3, 3: None},
        {1: 0.5, 2: 0.25},
        {1: 0.5, 2: None, 3: None},
        {1: "a", 2: 0.25, 3: None},
    )
    for values in others:
        run = Figures(values={"Nodule.score": values})
        assert verdict_on(recorded, run, run).outcome is Outcome.DIFFERENT
    (departure,) = compare_figures(recorded, Figures(values={"Nodule.score": {1: 0.5, 2: 0.5, 3: None}}))
    assert (departure.old, departure.new, departure.relative) == ("3 values", "3 values, 1 differ", 0.5)
    assert verdict_on(recorded, Figures(), Figures()).outcome is Outcome.DIFFERENT


def test_files_with_other_bytes_are_told_and_judged_only_without_figures() -> None:
    """A model whose bytes differ while the metrics agree is a fact; where there is nothing else, a difference."""
    one, other = Figures({"auc": 0.9}, {}, {"model": "a"}), Figures({"auc": 0.9}, {}, {"model": "b"})
    found = verdict_on(one, other)
    assert found.outcome is Outcome.WITHIN
    assert "Files with other bytes: model." in found.facts
    alone, changed = Figures(outputs={"model": "a"}), Figures(outputs={"model": "b"})
    assert verdict_on(alone, changed, changed).outcome is Outcome.DIFFERENT
    gone = Figures({"auc": 0.9}, {}, {})
    assert verdict_on(one, gone, gone).outcome is Outcome.DIFFERENT


def test_axes_are_named_with_what_differs() -> None:
    """Items that differ, came or went are listed by name with both texts; of many, the rest is counted."""
    same: Conditions = {axis: {} for axis in AXES}
    old = {**same, "packages": {"a": "1", "b": "1", "c": "1"}, "seed": {"seed": "1"}}
    new = {**same, "packages": {"a": "1", "b": "2", "d": "1"}, "seed": {"seed": "1"}}
    (packages,), unknown = compare_conditions(old, new)
    assert packages == AxisDifference("packages", (("b", "1", "2"), ("c", "1", None), ("d", None, "1")), 3)
    assert unknown == ()
    many = {**same, "packages": {f"p{number:02}": "1" for number in range(MOST_NAMED + 5)}}
    ((found,), _) = compare_conditions(same, many)
    assert (len(found.items), found.count) == (MOST_NAMED, MOST_NAMED + 5)


def test_no_cause_is_claimed_where_an_axis_is_not_on_record() -> None:
    """What is not on record on either side could be the cause as well, so none is claimed, and it is named."""
    same: Conditions = {axis: {} for axis in AXES}
    old, new = {**same, "packages": None}, {**same, "code": {"files": "b"}}
    axes, unknown = compare_conditions(old, new)
    assert ([one.axis for one in axes], unknown) == (["code"], ("packages",))
    runs = [metrics(auc=0.1)] * 2
    found = judge(metrics(auc=0.9), runs, axes, unknown, level=Level.NOT_REBUILT)
    assert (found.outcome, found.cause, found.unknown) == (Outcome.DIFFERENT, None, ("packages",))
    assert any("of packages there is no record" in fact for fact in found.facts)


def test_the_reason_for_claiming_nothing_is_told() -> None:
    """Two axes: change one at a time. None: it lies in something that is not on record."""
    one, run = metrics(auc=0.9), metrics(auc=0.1)
    assert any(
        "code and data differ together" in fact for fact in verdict_on(one, run, run, axes=differ("code", "data")).facts
    )
    assert any("something that is not" in fact for fact in verdict_on(one, run, run).facts)
    assert "Only the seed differs: that is the cause." in verdict_on(one, run, run, axes=differ("seed")).facts
    assert "Only the packages differ: that is the cause." in verdict_on(one, run, run, axes=differ("packages")).facts


def test_a_run_without_results_says_so() -> None:
    """That a run without metric, value and file is identical means only that it runs."""
    assert any("only that it runs" in fact for fact in verdict_on(Figures(), Figures()).facts)
    assert verdict_on(metrics(auc=1.0), metrics(auc=1.0)).facts == ()


def test_a_tolerance_of_ones_own_holds_in_every_comparison() -> None:
    """With 5 %, .90 and .92 agree: one re-run is enough, two that differ by less do not vary, and it is on record."""
    recorded, near, nearer = metrics(auc=0.90), metrics(auc=0.92), metrics(auc=0.93)
    assert not needs_another(recorded, [near], 0.05)
    for reruns in ([near], [near, nearer]):
        verdict = judge(recorded, reruns, (), (), level=Level.REBUILT, tolerance=0.05)
        assert (verdict.outcome, verdict.tolerance, verdict.level) == (Outcome.WITHIN, 0.05, Level.REBUILT)


def test_the_re_run_that_departs_most_is_the_one_shown() -> None:
    """Of two re-runs that agree with one another, the one beyond the tolerance is told, whichever came first."""
    recorded, beyond, inside = metrics(auc=1.0), metrics(auc=1.12), metrics(auc=1.09)
    for reruns in ([beyond, inside], [inside, beyond]):
        verdict = judge(recorded, reruns, (), (), level=Level.SAME, tolerance=0.1)
        assert verdict.outcome is Outcome.DIFFERENT
        assert [one.new for one in verdict.departures] == ["1.12"]


@pytest.mark.parametrize(
    "figures", [metrics(auc=0.9), Figures(values={"Nodule.score": {1: 0.5}}), Figures(outputs={"model": "a"})]
)
def test_any_result_is_a_result(figures: Figures) -> None:
    """A run that left only a metric, only values or only a file is not told to have left nothing."""
    assert verdict_on(figures, figures).facts == ()


def test_only_files_are_told_to_have_other_bytes() -> None:
    """A metric that is off by less than the tolerance is no file with other bytes."""
    assert verdict_on(metrics(auc=0.9), metrics(auc=0.9 * (1 + 1e-12))).facts == ()


def test_a_departure_says_what_was_and_what_is() -> None:
    """Kind, name, both figures and how far apart: for metrics and values that differ, came, went or are no number."""
    scores = Figures(values={"score": {1: 0.5, 2: 1.0}})
    away = Figures(values={"score": {1: 0.5, 2: math.inf}})
    for old, new, told in (
        (metrics(auc=1.0), metrics(auc=0.5), Departure("metric", "auc", "1.0", "0.5", 0.5, within=False)),
        (metrics(auc=1.0), metrics(auc=math.inf), Departure("metric", "auc", "1.0", "inf", None, within=False)),
        (metrics(auc=1.0), Figures(), Departure("metric", "auc", "1.0", None, None, within=False)),
        (Figures(), metrics(auc=1.0), Departure("metric", "auc", None, "1.0", None, within=False)),
        (scores, Figures(), Departure("values", "score", "2 values", None, None, within=False)),
        (Figures(), scores, Departure("values", "score", None, "2 values", None, within=False)),
        (scores, away, Departure("values", "score", "2 values", "2 values, 1 differ", None, within=False)),
    ):
        assert compare_figures(old, new) == (told,)


def test_exactly_the_tolerance_is_within() -> None:
    """A difference of half is within a tolerance of half, for metrics and for values."""
    for old, new in (
        (metrics(auc=1.0), metrics(auc=0.5)),
        (Figures(values={"score": {1: 1.0}}), Figures(values={"score": {1: 0.5}})),
    ):
        assert [one.within for one in compare_figures(old, new, 0.5)] == [True]
        assert [one.within for one in compare_figures(old, new, 0.49)] == [False]


def test_a_spread_round_a_recorded_nan_survives_as_plain_data() -> None:
    """Re-runs that vary where the record says NaN: both figures and the NaN are there after writing and reading."""
    found = verdict_on(metrics(auc=math.nan), metrics(auc=0.0), metrics(auc=1.0))
    (spread,) = Verdict.from_plain(json.loads(json.dumps(found.as_plain(), allow_nan=False))).spread
    assert (spread.lowest, spread.highest) == (0.0, 1.0)
    assert spread.recorded is not None
    assert math.isnan(spread.recorded)


def test_a_verdict_without_a_run_survives_as_plain_data() -> None:
    """Where nothing ran there is no level, and there is none after writing and reading."""
    found = Verdict(Outcome.NOT_POSSIBLE, None, missing=("data",), reason="The data are gone.")
    assert Verdict.from_plain(found.as_plain()) == found


def test_every_axis_is_looked_at_beside_those_not_on_record() -> None:
    """The first and the last axis are not on record; what differs between them is still told."""
    same: Conditions = {axis: {} for axis in AXES}
    old, new = {**same, "code": None, "data": {"it": "a"}}, {**same, "data": {"it": "b"}, "variables": None}
    axes, unknown = compare_conditions(old, new)
    assert (axes, unknown) == ((AxisDifference("data", (("it", "a", "b"),), 1),), ("code", "variables"))


@pytest.mark.parametrize(("old", "new"), [(mark("secret"), "b"), ("a", mark("secret")), (mark("secret"),) * 2])
def test_what_was_withheld_is_not_compared(old: str, new: str) -> None:
    """A value that either side withheld is no difference and leaves its axis unknown; its neighbours are compared."""
    same: Conditions = {axis: {} for axis in AXES}
    before = {**same, "variables": {"TOKEN": old, "PLACE": "x"}}
    after = {**same, "variables": {"TOKEN": new, "PLACE": "y"}}
    axes, unknown = compare_conditions(before, after)
    assert (axes, unknown) == ((AxisDifference("variables", (("PLACE", "x", "y"),), 1),), ("variables",))


def test_a_spread_of_exactly_the_tolerance_is_not_told() -> None:
    """Of two metrics that vary, the one whose re-runs lie no further apart than the tolerance does not vary."""
    reruns = [metrics(auc=1.0, loss=1.0), metrics(auc=0.5, loss=0.25)]
    found = judge(metrics(auc=1.0, loss=1.0), reruns, (), (), level=Level.SAME, tolerance=0.5)
    assert (found.outcome, [one.name for one in found.spread]) == (Outcome.VARIES, ["loss"])
