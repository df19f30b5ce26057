"""What a repeated run shows: pure rules that compare what two runs came to and say what may be claimed.

Each outcome is of one run, on record, and one or more re-runs of the same code, data and parameters:

    identical               every metric, value and output is the same
    same within tolerance   figures differ by no more than the tolerance; files may differ in their bytes, told as fact
    varies by itself        the re-runs differ from one another: a difference from the record shows nothing
    different               the re-runs agree with one another and not with the record
    failed to run           a re-run did not come to its end, or did not do what was asked
    not reproducible        something that is needed is not there, so nothing was run

A cause is claimed only for `different`, if exactly one axis differs and all axes are on record. `different` needs two
re-runs at least.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final

from commonground.structure.screen import is_withheld

TOLERANCE: Final = 1e-9
ENOUGH: Final = 2
MOST_NAMED: Final = 20
AXES: Final = ("code", "data", "parameters", "seed", "packages", "interpreter", "platform", "variables")

Scalar = None | bool | int | float | str
Conditions = Mapping[str, Mapping[str, str] | None]
"""Axis to what it consists of, item by item; None if it is not on record."""


class Outcome(StrEnum):
    """What a reproduction came to."""

    IDENTICAL = "identical"
    WITHIN = "same within tolerance"
    VARIES = "varies by itself"
    DIFFERENT = "different"
    FAILED = "failed to run"
    NOT_POSSIBLE = "not reproducible"


class Level(StrEnum):
    """In what the re-runs ran."""

    SAME = "same environment"
    REBUILT = "rebuilt from pins"
    NOT_REBUILT = "not rebuildable"


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run came to."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    """The last value of each metric."""
    values: Mapping[str, Mapping[int, Scalar]] = field(default_factory=dict)
    """Computed values by feature and entity."""
    outputs: Mapping[str, str] = field(default_factory=dict)
    """The digest of each saved file, by the name under which the run knew it."""


@dataclass(frozen=True, slots=True)
class Departure:
    """One thing in which two runs came to something else."""

    kind: str
    """metric, values or output."""
    name: str
    """The metric, the feature or the file."""
    old: str | None
    """What the record says; None if there is no such thing."""
    new: str | None
    """What the re-run came to; the same."""
    relative: float | None
    """The largest relative difference; None where there is none to speak of."""
    within: bool
    """Whether it counts as the same."""


@dataclass(frozen=True, slots=True)
class AxisDifference:
    """One axis on which the conditions of two runs differ."""

    axis: str
    """One of `AXES`."""
    items: tuple[tuple[str, str | None, str | None], ...]
    """What differs: its name, what it was, what it is; of many, the first."""
    count: int
    """How many items differ."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How far apart the re-runs lie by themselves."""

    name: str
    """The metric."""
    lowest: float
    """The least value of the re-runs."""
    highest: float
    """The greatest."""
    recorded: float | None
    """What is on record."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a reproduction shows."""

    outcome: Outcome
    """In one word or two."""
    level: Level | None
    """In what it ran; None if nothing ran."""
    missing: tuple[str, ...] = ()
    """What is not there: for the level `not rebuildable`, or the outcome `not reproducible`."""
    axes: tuple[AxisDifference, ...] = ()
    """The axes on which record and re-run differ."""
    unknown: tuple[str, ...] = ()
    """The axes that are not on record on one side."""
    departures: tuple[Departure, ...] = ()
    """What came out otherwise; of many, the first."""
    spread: tuple[Spread, ...] = ()
    """What varies by itself."""
    cause: str | None = None
    """The one axis that explains a difference; None if none may be claimed."""
    reason: str | None = None
    """Why it failed to run."""
    runs: int = 0
    """How many re-runs it rests on."""
    tolerance: float = TOLERANCE
    """The relative difference up to which figures count as the same."""
    facts: tuple[str, ...] = ()
    """What else is to be known, as sentences."""

    def as_plain(self) -> dict[str, Any]:
        """The verdict as plain data, without numbers that JSON does not know."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)), parse_constant=str)
        return plain

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Verdict:
        """The verdict that `as_plain` gave."""
        axes = (
            AxisDifference(one["axis"], tuple((name, old, new) for name, old, new in one["items"]), one["count"])
            for one in plain["axes"]
        )
        departures = (Departure(**{**one, "relative": _number(one["relative"])}) for one in plain["departures"])
        spread = (
            Spread(one["name"], float(one["lowest"]), float(one["highest"]), _number(one["recorded"]))
            for one in plain["spread"]
        )
        return cls(
            **{
                **plain,
                "outcome": Outcome(plain["outcome"]),
                "level": Level(plain["level"]) if plain["level"] else None,
                "missing": tuple(plain["missing"]),
                "axes": tuple(axes),
                "unknown": tuple(plain["unknown"]),
                "departures": tuple(departures),
                "spread": tuple(spread),
                "facts": tuple(plain["facts"]),
            }
        )


def compare_conditions(old: Conditions, new: Conditions) -> tuple[tuple[AxisDifference, ...], tuple[str, ...]]:
    """The axes on which two runs differ, and those that cannot be compared because something is not on record."""
    differing, unknown = [], []
    for axis in AXES:
        before, after = old.get(axis), new.get(axis)
        if before is None or after is None:
            unknown.append(axis)
            continue
        every = before.keys() | after.keys()
        withheld = {name for name in every if is_withheld(before.get(name)) or is_withheld(after.get(name))}
        if withheld:
            unknown.append(axis)
        names = sorted(name for name in every - withheld if before.get(name) != after.get(name))
        if names:
            items = tuple((name, before.get(name), after.get(name)) for name in names[:MOST_NAMED])
            differing.append(AxisDifference(axis, items, len(names)))
    return tuple(differing), tuple(unknown)


def compare_figures(old: Figures, new: Figures, tolerance: float = TOLERANCE) -> tuple[Departure, ...]:
    """In what a re-run came to something else; what is exactly the same is left out."""
    found = [
        _compare_numbers("metric", name, old.metrics.get(name), new.metrics.get(name), tolerance)
        for name in sorted(old.metrics.keys() | new.metrics.keys())
    ]
    found += [
        _compare_values(name, old.values.get(name), new.values.get(name), tolerance)
        for name in sorted(old.values.keys() | new.values.keys())
    ]
    # Files hold times and orders of no meaning; if there are figures, these decide.
    judged = bool((old.metrics or old.values) and (new.metrics or new.values))
    for name in sorted(old.outputs.keys() | new.outputs.keys()):
        before, after = old.outputs.get(name), new.outputs.get(name)
        if before != after:
            within = judged and before is not None and after is not None
            found.append(Departure("output", name, before, after, None, within))
    return tuple(one for one in found if one is not None)


def needs_another(recorded: Figures, reruns: Sequence[Figures], tolerance: float = TOLERANCE) -> bool:
    """Whether one more re-run is needed before anything can be said."""
    if not reruns:
        return True
    apart = any(not one.within for run in reruns for one in compare_figures(recorded, run, tolerance))
    return apart and len(reruns) < ENOUGH


def judge(
    recorded: Figures,
    reruns: Sequence[Figures],
    axes: tuple[AxisDifference, ...],
    unknown: tuple[str, ...],
    *,
    level: Level,
    missing: tuple[str, ...] = (),
    tolerance: float = TOLERANCE,
    facts: tuple[str, ...] = (),
) -> Verdict:
    """The verdict on re-runs that came to their end.

    Raises ValueError if there are too few of them to say anything: see `needs_another`.
    """
    if needs_another(recorded, reruns, tolerance):
        raise ValueError("There are too few re-runs for a verdict.")
    found = [compare_figures(recorded, run, tolerance) for run in reruns]
    own = [one for run in reruns[1:] for one in compare_figures(reruns[0], run, tolerance) if not one.within]
    departures = max(found, key=lambda some: (sum(not one.within for one in some), len(some)))
    told = list(facts)
    cause = None
    if not (recorded.metrics or recorded.values or recorded.outputs):
        told.append("The recorded run left no metric, value or file: only that it runs could be compared.")
    if own:
        outcome = Outcome.VARIES
        departures = tuple(own)
    elif not any(found):
        outcome = Outcome.IDENTICAL
    elif all(one.within for some in found for one in some):
        outcome = Outcome.WITHIN
    else:
        outcome = Outcome.DIFFERENT
        cause, said = _find_cause(axes, unknown)
        told.append(said)
    bytes_only = [one.name for one in departures if one.kind == "output" and one.within]
    if bytes_only:
        told.append(f"Files with other bytes: {_listed(bytes_only)}.")
    return Verdict(
        outcome=outcome,
        level=level,
        missing=missing,
        axes=axes,
        unknown=unknown,
        departures=departures[:MOST_NAMED],
        spread=_spread(recorded, reruns, tolerance) if outcome is Outcome.VARIES else (),
        cause=cause,
        runs=len(reruns),
        tolerance=tolerance,
        facts=tuple(told),
    )


def _find_cause(axes: Sequence[AxisDifference], unknown: Sequence[str]) -> tuple[str | None, str]:
    """The axis that explains a difference, if one may be claimed, and a sentence about it."""
    names = [one.axis for one in axes]
    if unknown:
        return None, f"No cause is claimed: of {_listed(unknown)} there is no record to compare."
    if not names:
        return None, "No cause is claimed: nothing that is on record differs, so it lies in something that is not."
    if len(names) > 1:
        return None, f"No cause is claimed: {_listed(names)} differ together. Change one at a time."
    return names[0], f"Only the {names[0]} differ{'' if names[0].endswith('s') else 's'}: that is the cause."


def _compare_numbers(kind: str, name: str, old: float | None, new: float | None, tolerance: float) -> Departure | None:
    if old is None or new is None:
        return None if old is new else Departure(kind, name, _shown(old), _shown(new), None, within=False)
    relative = relative_difference(old, new)
    if relative == 0:
        return None
    shown = relative if math.isfinite(relative) else None
    return Departure(kind, name, repr(old), repr(new), shown, relative <= tolerance)


def relative_difference(old: float, new: float) -> float:
    """|old - new| / max(|old|, |new|); 0 for two NaN or two equal infinities, infinite if only one is finite."""
    if old == new or (math.isnan(old) and math.isnan(new)):
        return 0.0
    if not (math.isfinite(old) and math.isfinite(new)):
        return math.inf
    return abs(old - new) / max(abs(old), abs(new))


def _compare_values(
    name: str, old: Mapping[int, Scalar] | None, new: Mapping[int, Scalar] | None, tolerance: float
) -> Departure | None:
    if old is None or new is None:
        return Departure("values", name, _counted(old), _counted(new), None, within=False)
    differing, apart, largest = 0, old.keys() != new.keys(), 0.0
    for entity in old.keys() & new.keys():
        before, after = old[entity], new[entity]
        if _is_figure(before) and _is_figure(after):
            relative = relative_difference(float(before or 0), float(after or 0))
        else:
            relative = 0.0 if before == after else math.inf
        differing += relative > 0
        largest = max(largest, relative)
        apart = apart or relative > tolerance
    if not differing and not apart:
        return None
    shown = largest if math.isfinite(largest) else None
    return Departure("values", name, _counted(old), f"{_counted(new)}, {differing} differ", shown, not apart)


def _is_figure(value: Scalar) -> bool:
    return isinstance(value, (int, float))


def _spread(recorded: Figures, reruns: Sequence[Figures], tolerance: float) -> tuple[Spread, ...]:
    found = []
    for name in sorted(set[str]().union(*(run.metrics for run in reruns))):
        numbers = [run.metrics[name] for run in reruns if name in run.metrics]
        finite = [number for number in numbers if math.isfinite(number)]
        if finite and relative_difference(min(finite), max(finite)) > tolerance:
            found.append(Spread(name, min(finite), max(finite), recorded.metrics.get(name)))
    return tuple(found)


def _counted(values: Mapping[int, Scalar] | None) -> str | None:
    return None if values is None else f"{len(values)} values"


def _shown(value: float | None) -> str | None:
    return None if value is None else repr(value)


def _number(value: float | str | None) -> float | None:
    return None if value is None else float(value)


def _listed(names: Sequence[str]) -> str:
    shown = [*names[:MOST_NAMED], f"{len(names) - MOST_NAMED} more"] if len(names) > MOST_NAMED else list(names)
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
