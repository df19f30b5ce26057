"""Figures of agreement between readers: Krippendorff's alpha, Cohen's kappa, and which values meet which.

Alpha asks only how the values within a unit spread, not who gave them, so it serves anonymous readers and missing
readings. Kappa compares two identified readers; whoever calls it refuses it for slots. Both are 1 - D_o / D_e, observed
over expected disagreement; where D_e is zero they are undefined, and the figure says why instead of guessing.

Krippendorff, K. (2011): Computing Krippendorff's Alpha-Reliability. Cohen, J. (1960): Educational and Psychological
Measurement 20, 37-46. Cohen, J. (1968): Psychological Bulletin 70, 213-220.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from commonground.errors import InvalidInput

IntArray = npt.NDArray[np.int64]
RealArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
AnyArray = npt.NDArray[np.generic]
Level = Literal["nominal", "ordinal", "interval"]
Weights = Literal["none", "linear", "quadratic"]

MOST_CATEGORIES = 1_000
NO_PAIRS = "No unit has two or more values."
NO_COMMON_UNITS = "No unit was read by both."
ONE_VALUE = "All values are the same, so agreement cannot be told from chance."


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """Values given to units, a row each; raises InvalidInput if the arrays do not fit together."""

    unit: IntArray
    """What was read. Each reader's value of a unit stands here once."""
    value: AnyArray
    """A position on a scale, a number, or a category: an id, text or a boolean."""
    missing: BoolArray | None = None
    """True where a reader could not grade; the row is left out."""

    def __post_init__(self) -> None:
        if len({len(column) for column in (self.unit, self.value, self.missing) if column is not None}) > 1:
            raise InvalidInput(
                "Units, values and marks of missing values are not of one length.",
                todo="Give one of each for every reading.",
            )

    def given(self) -> tuple[IntArray, AnyArray]:
        """Unit and value of the rows that are not missing."""
        if self.missing is None:
            return self.unit, self.value
        return self.unit[~self.missing], self.value[~self.missing]


@dataclass(frozen=True, slots=True)
class Figure:
    """A coefficient, or the reason why there is none."""

    value: float | None
    """1 is perfect agreement, 0 is what chance gives; None if undefined."""
    reason: str
    """Why it is undefined; empty if it is not."""
    units: int
    """Units that took part: those with two values or more, or read by both."""
    values: int
    """Values that took part."""
    low: float | None = None
    """Lower end of the interval of confidence; None if not asked for or undefined."""
    high: float | None = None
    """Upper end."""
    resamples: int = 0
    """Resamples in which the figure was defined; the interval comes from these."""


@dataclass(frozen=True, slots=True, eq=False)
class Coincidences:
    """Which values meet which within a unit, every pair of its values counted once."""

    categories: AnyArray
    """The values that occur, ascending."""
    pairs: IntArray
    """Square and symmetric: cell (i, j) is the number of pairs of category i with category j."""
    total: int
    """All pairs."""
    exact: float | None
    """Share of pairs of equal values; None without pairs."""
    within_one: float | None
    """Share of pairs at most one step of the scale apart; None without pairs or for nominal values."""


def alpha(readings: Readings, level: Level, *, resamples: int = 0, seed: int = 0, confidence: float = 0.95) -> Figure:
    """Krippendorff's alpha, with a percentile bootstrap over units if `resamples` is above 0.

    Units with one value cannot be paired and are left out. The difference of two values, squared, is 1 (nominal), their
    distance (interval), or their distance in ranks: all values from one to the other, these two counted half (ordinal).
    Resample r draws units, in ascending order of their ids, by SHAKE-256 of "SEED:r": eight bytes a draw, lowest first,
    modulo the number of units; so the interval is the same on every machine. It is None if the figure was undefined in
    more than half of the resamples. Raises InvalidInput for ordinal or interval values that are not
    finite numbers.
    """
    if resamples < 0 or not 0 < confidence < 1:
        raise InvalidInput(
            "The number of resamples is 0 or more, and the confidence lies between 0 and 1.",
            todo="Give numbers in these bounds.",
        )
    table = _pairable(readings, level)
    units, values = len(table.size), len(table.unit)
    if not units:
        return Figure(None, NO_PAIRS, 0, 0)
    value = _alpha(table, level, np.ones(units, np.int64))
    if value is None:
        return Figure(None, ONE_VALUE, units, values)
    drawn = [_alpha(table, level, _draw(units, seed, resample)) for resample in range(resamples)]
    defined = [one for one in drawn if one is not None]
    if not defined or 2 * len(defined) < resamples:
        return Figure(value, "", units, values, resamples=len(defined))
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Figure(value, "", units, values, float(low), float(high), len(defined))


def kappa(first: Readings, second: Readings, weights: Weights = "none") -> Figure:
    """Cohen's kappa of two readers over the units that both read.

    A disagreement weighs 1, or the distance of the two values (linear), or its square. Raises InvalidInput if a reader
    has a unit twice, for weighted values that are not finite numbers, and for more than 1000 different values.
    """
    if weights not in get_args(Weights):
        raise InvalidInput(f"{weights!r} is not a way to weigh.", todo=f"Name one of {_or(get_args(Weights))}.")
    (units, values), (other_units, other_values) = first.given(), second.given()
    for given in (units, other_units):
        if len(np.unique(given)) < len(given):
            raise InvalidInput("A reader has a unit twice.", todo="Keep the newest value of each unit.")
    common, here, there = np.intersect1d(units, other_units, assume_unique=True, return_indices=True)
    if not len(common):
        return Figure(None, NO_COMMON_UNITS, 0, 0)
    both = np.concatenate([values[here], other_values[there]])
    categories, code = _categories(both, numbers=weights != "none")
    _refuse_many(categories)
    steps = _steps(categories, weights)
    mine, others = code[: len(common)], code[len(common) :]
    observed = float(steps[mine, others].mean())
    share, other_share = (np.bincount(one, minlength=len(categories)) / len(common) for one in (mine, others))
    expected = float((share[:, None] * steps * other_share[None, :]).sum())
    if not expected:
        return Figure(None, ONE_VALUE, len(common), len(both))
    return Figure(1 - observed / expected, "", len(common), len(both))


def count_coincidences(readings: Readings, level: Level) -> Coincidences:
    """Counts the pairs of values within units; a unit with n values has n (n - 1) / 2 pairs.

    Raises InvalidInput for ordinal or interval values that are not finite numbers, and for more than 1000 different
    values.
    """
    table = _pairable(readings, level)
    width = len(table.categories)
    _refuse_many(table.categories)
    ordered = np.zeros((width, width), np.int64)
    # each value with every value of its unit: at the distance of 1, 2, ... rows, for units are runs of rows
    for distance in range(1, int(table.size.max(initial=1))):
        same = np.flatnonzero(table.unit[distance:] == table.unit[:-distance])
        cells = table.code[same] * width + table.code[same + distance]
        ordered += np.bincount(cells, minlength=width * width).reshape(width, width)
    pairs = ordered + ordered.T
    pairs[np.diag_indices(width)] //= 2
    total = int(ordered.sum())
    if not total:
        return Coincidences(table.categories, pairs, 0, None, None)
    near = None
    if level != "nominal":
        near = float(ordered[_steps(table.categories, "linear") <= 1].sum() / total)
    return Coincidences(table.categories, pairs, total, float(np.trace(ordered) / total), near)


@dataclass(frozen=True, slots=True, eq=False)
class _Pairable:
    """The values of units with two values or more, the rows of a unit together."""

    unit: IntArray  # of each value: 0, 1, 2 ... in ascending order
    code: IntArray  # of each value: its place among the categories
    categories: AnyArray
    size: IntArray  # of each unit: its number of values
    first: IntArray  # of each unit: its first row


def _pairable(readings: Readings, level: Level) -> _Pairable:
    if level not in get_args(Level):
        raise InvalidInput(f"{level!r} is not a level of measurement.", todo=f"Name one of {_or(get_args(Level))}.")
    unit, value = readings.given()
    _, place, count = np.unique(unit, return_inverse=True, return_counts=True)
    rows = np.argsort(place, kind="stable")
    rows = rows[count[place[rows]] > 1]
    categories, code = _categories(value[rows], numbers=level != "nominal")
    size = count[count > 1]
    first = np.cumsum(size) - size
    return _Pairable(np.repeat(np.arange(len(size)), size), code, categories, size, first)


def _alpha(table: _Pairable, level: Level, weight: IntArray) -> float | None:
    """Alpha with each unit counted `weight` times, without the square matrix of coincidences.

    With scores x (the values; for ordinal the mean ranks), the squared differences of all ordered pairs of a unit of m
    values sum to 2 (m sum(x^2) - sum(x)^2); for nominal to m^2 - sum(n_k^2).
    """
    of_category = np.bincount(table.code, weight[table.unit], len(table.categories))
    total = of_category.sum()
    if level == "nominal":
        cells, times = np.unique(table.unit * len(table.categories) + table.code, return_counts=True)
        spread = table.size**2 - np.bincount(cells // len(table.categories), times**2, len(table.size))
        expected = total**2 - (of_category**2).sum()
    else:
        ranked = level == "ordinal"
        score = np.cumsum(of_category) - of_category / 2 if ranked else table.categories.astype(np.float64)
        score -= score[np.flatnonzero(of_category)[0]]  # so that one category alone scores exactly 0
        value = score[table.code]
        apart = value - np.repeat(value[table.first], table.size)  # exactly 0 if all of a unit agree
        plain, squared = (np.bincount(table.unit, one, len(table.size)) for one in (apart, apart**2))
        spread = 2 * (table.size * squared - plain**2)
        centre = (of_category * score).sum() / total
        expected = 2 * total * (of_category * (score - centre) ** 2).sum()
    if not expected:
        return None
    observed = (weight * spread / (table.size - 1)).sum()
    return float(1 - (total - 1) * observed / expected)


def _draw(units: int, seed: int, resample: int) -> IntArray:
    """How often each unit is drawn when as many units are drawn with replacement."""
    stream = hashlib.shake_256(f"{seed}:{resample}".encode()).digest(8 * units)
    return np.bincount(np.frombuffer(stream, "<u8") % np.uint64(units), minlength=units)


def _categories(value: AnyArray, *, numbers: bool) -> tuple[AnyArray, IntArray]:
    """The different values, ascending, and the place of each value among them."""
    if numbers and value.dtype.kind not in "iuf":
        raise InvalidInput(
            "Distances need numbers, such as positions on a scale.",
            todo="Take the values as nominal, or give their positions.",
        )
    if value.dtype.kind == "f" and not np.isfinite(cast("RealArray", value)).all():
        raise InvalidInput("Some values are not finite.", todo="Mark missing values as missing.")
    if value.dtype.kind == "O" and not all(isinstance(one, str) for one in value.tolist()):
        raise InvalidInput("Values that are no numbers must be text.", todo="Mark missing values as missing.")
    categories, code = np.unique(value, return_inverse=True)
    return categories, code


def _steps(categories: AnyArray, weights: Weights) -> RealArray:
    """How far each category is from each."""
    if weights == "none":
        return 1.0 - np.eye(len(categories))
    place = categories.astype(np.float64)
    apart = np.abs(place[:, None] - place[None, :])
    return apart if weights == "linear" else apart**2


def _refuse_many(categories: AnyArray) -> None:
    if len(categories) > MOST_CATEGORIES:
        raise InvalidInput(
            f"{len(categories)} different values are too many for a table of pairs.",
            todo=f"Group them to at most {MOST_CATEGORIES} values.",
        )


def _or(words: tuple[str, ...]) -> str:
    return ", ".join(words)
