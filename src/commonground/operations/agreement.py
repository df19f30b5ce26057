"""How far readers agree on a feature, over all entities or over a state of a dataset."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from commonground.errors import InvalidInput
from commonground.operations.features import resolve_feature
from commonground.operations.plans import Reading
from commonground.structure import agreement, datasets, people, vocabularies
from commonground.structure.agreement import Coincidences, Figure, Level, Readings, Weights
from commonground.structure.column_types import Holds
from commonground.structure.features import Feature, FeatureValues, read_values
from commonground.structure.references import pin
from commonground.structure.selectors import standing

APART = 2
"""Grades so many steps of the scale apart are a disagreement that somebody should look at."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement between the readers of one feature."""

    feature: str
    """The feature."""
    level: Level
    """How values differ: nominal, ordinal or interval."""
    alpha: Figure
    """Krippendorff's alpha."""
    pairs: Coincidences
    """Which values meet which."""
    labels: tuple[str, ...]
    """What the categories are called."""
    apart: int
    """Entities on which two readers are two steps apart or more; 0 if values have no steps."""
    readings: int
    """Readings that count: each reader's newest of each entity."""
    not_graded: int
    """Readings that say that it cannot be graded."""


def read_agreement(
    on: Reading, *, feature: str, dataset: str | None = None, resamples: int = 200, seed: int = 0
) -> Agreement:
    """Krippendorff's alpha with its interval, and the pairs of values; computed values do not count."""
    one, kind = resolve_feature(on, feature)
    values, level = _readings(on, one, dataset)
    told = Readings(values.entity, values.value, values.missing)
    pairs = agreement.count_coincidences(told, level)
    return Agreement(
        feature=f"{kind.name}.{one.name}",
        level=level,
        alpha=agreement.alpha(told, level, resamples=resamples, seed=seed),
        pairs=pairs,
        labels=_labels(on, one, pairs),
        apart=0 if level == "nominal" else _apart(values),
        readings=len(values),
        not_graded=int(values.missing.sum()),
    )


def read_kappa(
    on: Reading, *, feature: str, first: str, second: str, weights: Weights = "none", dataset: str | None = None
) -> Figure:
    """Cohen's kappa of two people over the entities that both read; refused for readers known only within a scan."""
    one, _ = resolve_feature(on, feature)
    pair = [people.get_person(on.view, name) for name in (first, second)]
    if pair[0].rid == pair[1].rid:
        raise InvalidInput(f"{pair[0].name} cannot be compared with themself.", todo="Name two readers.")
    values, _ = _readings(on, one, dataset)
    told = []
    for person in pair:
        rows = np.flatnonzero(values.rater == person.rid)
        if not len(rows):
            raise InvalidInput(
                f"{person.name} gave no value of {one.name}.",
                todo="Readers who are known only within a scan or case have no identity to compare; alpha needs none.",
            )
        mine = values.take(rows)
        told.append(Readings(mine.entity, mine.value, mine.missing))
    return agreement.kappa(told[0], told[1], weights)


def _readings(on: Reading, one: Feature, dataset: str | None) -> tuple[FeatureValues, Level]:
    """Each reader's newest value of each entity; terms of an ordered vocabulary as their position."""
    wanted = None
    if dataset is not None:
        pinned = pin(on.view, dataset)
        with on.ground.view(pinned.change) as view:
            members = datasets.read_members(view, datasets.list_inside(view, pinned.dataset.rid))
            values = read_values(view, one)
        wanted = np.isin(values.entity, members.entity)
    else:
        values = read_values(on.view, one)
        wanted = np.ones(len(values), dtype=np.bool_)
    values = values.take(np.flatnonzero(wanted & (values.rater != 0) & ~values.adjudicated))
    slots = np.array(people.list_slot_rids(on.view, np.unique(values.rater).tolist()), dtype=np.int64)
    values = values.take(np.sort(standing(values.for_selecting(slots))))
    level: Level = "ordinal" if one.ordered else "interval" if one.holds is Holds.REAL else "nominal"
    if one.holds is Holds.TERM and one.ordered:
        values = values.with_positions(_positions(on, one))
    return values, level


def _positions(on: Reading, one: Feature) -> dict[int, int]:
    return {term.rid: term.position for term in vocabularies.list_terms(on.view, one.vocabulary or 0)}


def _labels(on: Reading, one: Feature, pairs: Coincidences) -> tuple[str, ...]:
    if one.holds is not Holds.TERM:
        return tuple(str(category) for category in pairs.categories.tolist())
    terms = vocabularies.list_terms(on.view, one.vocabulary or 0)
    names = {term.position if one.ordered else term.rid: term.name for term in terms}
    return tuple(names.get(int(category), str(category)) for category in pairs.categories.tolist())


def _apart(values: FeatureValues) -> int:
    graded = values.take(np.flatnonzero(~values.missing))
    units, code = np.unique(graded.entity, return_inverse=True)
    lowest = np.full(len(units), np.inf)
    highest = np.full(len(units), -np.inf)
    np.minimum.at(lowest, code, graded.value)
    np.maximum.at(highest, code, graded.value)
    return int((highest - lowest >= APART).sum())
