"""Selecting one value for each entity out of many, by a selector (`selector_rules`).

Values come as columns, one row a value, in any order; the order of the rows changes nothing. First each reader's newer
value of an entity replaces his older one, so that a reader counts once. A reader is the slot if there is one (somebody
anonymous, local to the entity), else the author, else the execution; to count a program apart from the person who ran
it, pass its values with author 0. Newer is the later `at`, then the greater `order`. The rules that look at some values
only (one author, one execution, adjudicated ones) choose them before older values are replaced. An adjudicated value is
no reading: it settles what readers said, and counts neither in a majority nor in a median.

"Cannot grade" is a value that is missing: it replaces the reader's older value, is never counted, and is reported.
Every entity of the input is either selected or dropped for one reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias, cast

from commonground.errors import InvalidInput
from commonground.identity import show_rid
from commonground.late import np, npt
from commonground.structure.selector_rules import (
    Selector,
    adjudicated,
    by_author,
    by_execution,
    majority,
    median,
    newest,
)

__all__ = [
    "Selected",
    "Selector",
    "Values",
    "Why",
    "adjudicated",
    "by_author",
    "by_execution",
    "majority",
    "median",
    "newest",
    "select",
    "standing",
]

IntArray: TypeAlias = "npt.NDArray[np.int64]"
BoolArray: TypeAlias = "npt.NDArray[np.bool_]"
AnyArray: TypeAlias = "npt.NDArray[np.generic]"
Rows: TypeAlias = "npt.NDArray[np.intp]"

MOST_SHOWN = 10


class Why(StrEnum):
    """Why an entity has no selected value."""

    TIED = "its readers are tied"
    NOT_GRADED = "no reader could grade it"
    NOT_BY_PERSON = "it has no value by this person"
    NOT_IDENTIFIABLE = "its readers cannot be identified"
    NOT_BY_EXECUTION = "it has no value made by this execution"
    NOT_ADJUDICATED = "it was not adjudicated"
    NOT_READ = "it has an adjudicated value and no reading"


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """Values of one feature, a row each, all arrays of one length; raises InvalidInput if they do not fit together."""

    entity: IntArray
    """The rid of the entity."""
    value: AnyArray
    """An ordinal position, a category's id, a number, or (as objects) text. NaN and None only where missing."""
    author: IntArray
    """The rid of the reader, 0 if not identified."""
    slot: IntArray
    """The anonymous reader's slot, 0 if there is none."""
    execution: IntArray
    """The rid of the execution that made it, 0 if none."""
    at: IntArray
    """When it was recorded, in UTC microseconds."""
    adjudicated: BoolArray
    """Whether it settles a disagreement."""
    order: IntArray
    """The place among values of one moment, unique: the rank of (batch, ordinal)."""
    missing: BoolArray
    """Whether it is a "cannot grade"."""

    def __post_init__(self) -> None:
        rows = len(self.entity)
        faults = [
            f"{name} has {len(getattr(self, name))} rows, not {rows}"
            for name in self.__slots__
            if len(getattr(self, name)) != rows
        ]
        if not faults:
            if bool(((self.author == 0) & (self.slot == 0) & (self.execution == 0)).any()):
                faults.append("a value has no author, no slot and no execution")
            if not _last(np.sort(self.order)).all():
                faults.append("order does not tell every value from the others")
            if bool(_blank(self.value[~self.missing]).any()):
                faults.append("a value is NaN or None without being marked as missing")
        if faults:
            raise InvalidInput("These values do not fit together.", faults=faults, todo="Correct these values.")

    def take(self, rows: Rows) -> Values:
        """Some of the rows, in the order given."""
        return Values(*(getattr(self, name)[rows] for name in self.__slots__))


@dataclass(frozen=True, slots=True, eq=False)
class Selected:
    """One value for each entity that has one, entities ascending."""

    entity: IntArray
    value: AnyArray
    """Of the type of the input; real if a median may be a mean."""
    used: Rows
    """The input rows that were counted, entity after entity, each in the sequence of `order`."""
    offsets: Rows
    """Rows `used[offsets[i]:offsets[i + 1]]` made value i."""
    dropped: Mapping[Why, IntArray]
    """The entities that were left out, ascending, by reason; reasons that did not occur are absent."""
    not_graded: Rows
    """The input rows that say "cannot grade" and were not replaced by their reader, ascending."""


@dataclass(frozen=True, slots=True)
class _Picked:
    entity: IntArray
    value: AnyArray
    used: Rows
    tied: IntArray = field(default_factory=lambda: np.empty(0, np.int64))


def standing(values: Values, rows: Rows | None = None) -> Rows:
    """The rows that their reader has not replaced by a newer value of the same entity, "cannot grade" included."""
    rows = np.arange(len(values.entity)) if rows is None else rows
    slot, author = values.slot[rows], values.author[rows]
    kind = np.where(slot != 0, 2, author != 0)
    reader = np.where(slot != 0, slot, np.where(author != 0, author, values.execution[rows]))
    entity = values.entity[rows]
    places = _sorted(entity, kind, reader, values.at[rows], values.order[rows])
    return rows[places[_last(entity[places], kind[places], reader[places])]]


def select(values: Values, selector: Selector) -> Selected:
    """Applies a selector.

    Raises InvalidInput for a median of values without an order (text, booleans), for values that cannot be compared,
    and for a tie where ties are an error.
    """
    stood = standing(values, np.flatnonzero(_in_question(values, selector)))
    missing = values.missing[stood]
    graded, not_graded = stood[~missing], np.sort(stood[missing])
    if selector.rule == "majority":
        picked = _most_frequent(values, graded, str(selector.ties))
    elif selector.rule == "median":
        picked = _middle(values, graded, str(selector.ties))
    else:
        picked = _latest(values, graded)
    everyone = np.sort(values.entity)
    everyone = everyone[_last(everyone)]
    left = everyone[~np.isin(everyone, np.concatenate([picked.entity, picked.tied]))]
    ungraded = np.isin(left, values.entity[not_graded])
    dropped, rest = {Why.TIED: picked.tied, Why.NOT_GRADED: left[ungraded]}, left[~ungraded]
    if selector.rule == "by_author":
        hidden = np.isin(rest, values.entity[values.slot != 0])
        dropped |= {Why.NOT_IDENTIFIABLE: rest[hidden], Why.NOT_BY_PERSON: rest[~hidden]}
    elif selector.rule == "by_execution":
        dropped[Why.NOT_BY_EXECUTION] = rest
    elif selector.rule in {"majority", "median"}:
        dropped[Why.NOT_READ] = rest
    elif selector.fallback is None:
        dropped[Why.NOT_ADJUDICATED] = rest
    else:
        rows = np.flatnonzero(np.isin(values.entity, rest))
        others = select(values.take(rows), selector.fallback)
        picked = _Picked(
            np.concatenate([picked.entity, others.entity]),
            np.concatenate([picked.value, others.value]),
            np.concatenate([picked.used, rows[others.used]]),
        )
        for why, entities in others.dropped.items():
            dropped[why] = np.union1d(dropped.get(why, entities), entities)
        not_graded = np.sort(np.concatenate([not_graded, rows[others.not_graded]]))
    return _selected(values, picked, dropped, not_graded)


def _selected(values: Values, picked: _Picked, dropped: Mapping[Why, IntArray], not_graded: Rows) -> Selected:
    turn = np.argsort(picked.entity)
    used = picked.used[_sorted(values.entity[picked.used], values.order[picked.used])]
    ends = np.flatnonzero(_last(values.entity[used])) + 1
    return Selected(
        picked.entity[turn],
        picked.value[turn],
        used,
        np.concatenate([np.zeros(1, np.intp), ends]),
        {why: entities for why, entities in dropped.items() if entities.size},
        not_graded,
    )


def _in_question(values: Values, selector: Selector) -> BoolArray:
    """The rows that the rule looks at."""
    if selector.rule == "by_author":
        return cast("BoolArray", (values.author == selector.person) & (values.slot == 0))
    if selector.rule == "by_execution":
        return cast("BoolArray", values.execution == selector.execution)
    if selector.rule == "adjudicated":
        return values.adjudicated
    if selector.rule in {"majority", "median"}:
        return ~values.adjudicated
    return np.ones(len(values.entity), np.bool_)


def _latest(values: Values, rows: Rows) -> _Picked:
    entity = values.entity[rows]
    places = _sorted(entity, values.at[rows], values.order[rows])
    used = rows[places[_last(entity[places])]]
    return _Picked(values.entity[used], values.value[used], used)


def _most_frequent(values: Values, rows: Rows, ties: str) -> _Picked:
    """Runs of equal values, ranked within their entity by length and then by their newest row; the last one wins."""
    code, entity = _codes(values.value[rows]), values.entity[rows]
    places = _sorted(entity, code, values.at[rows], values.order[rows])
    ends = np.flatnonzero(_last(entity[places], code[places]))
    length, newest_row = np.diff(ends, prepend=-1), rows[places[ends]]
    owner = values.entity[newest_row]
    turn = _sorted(owner, length, values.at[newest_row], values.order[newest_row])
    length, newest_row, owner = length[turn], newest_row[turn], owner[turn]
    top = np.flatnonzero(_last(owner))
    second = np.maximum(top - 1, 0)
    tied = (second < top) & (owner[second] == owner[top]) & (length[second] == length[top])
    if ties == "error" and bool(tied.any()):
        raise _tie_error(owner[top[tied]])
    if ties == "newest":
        tied[:] = False
    won, lost = newest_row[top[~tied]], owner[top[tied]]
    return _Picked(values.entity[won], values.value[won], rows[~np.isin(entity, lost)], lost)


def _middle(values: Values, rows: Rows, ties: str) -> _Picked:
    if values.value.dtype.kind not in "iuf":
        raise InvalidInput(
            "A median needs values with an order: positions on a scale or numbers.",
            todo="Use majority, or give the positions of the terms on their scale.",
        )
    value, entity = cast("npt.NDArray[np.float64]", values.value[rows]), values.entity[rows]
    places = _sorted(entity, value)
    value, owner = value[places], entity[places]
    ends = np.flatnonzero(_last(owner))
    length = np.diff(ends, prepend=-1)
    low, high, owner = value[ends - length // 2], value[ends - (length - 1) // 2], owner[ends]
    kept = low == high if ties == "drop" else np.ones(len(ends), np.bool_)
    found = {"high": high, "mean": low / 2 + high / 2}.get(ties, low)
    return _Picked(owner[kept], found[kept], rows[~np.isin(entity, owner[~kept])], owner[~kept])


def _codes(value: AnyArray) -> AnyArray:
    """Something to sort by that is equal where the values are."""
    if value.dtype.kind != "O":
        return value
    codes: dict[object, int] = {}
    try:
        return np.array([codes.setdefault(one, len(codes)) for one in value.tolist()], np.int64)
    except TypeError as error:
        raise InvalidInput("The values cannot be compared with each other.", todo="Give text or numbers.") from error


def _blank(value: AnyArray) -> BoolArray:
    """Where there is a NaN or a None."""
    if value.dtype.kind == "O":
        return np.array([one is None for one in value.tolist()], np.bool_) | np.not_equal(value, value)
    return np.isnan(value) if value.dtype.kind == "f" else np.zeros(len(value), np.bool_)


def _sorted(*keys: AnyArray) -> Rows:
    """The places of the rows in ascending order, the first key deciding first; rows with equal keys in any order.

    Much quicker than np.lexsort, whose sort has to be stable: each key is merged into one dense rank.
    """
    rank = np.zeros(len(keys[0]), np.int64)
    for key in keys:
        distinct, code = np.unique(key, return_inverse=True)
        rank = np.unique(rank * len(distinct) + code, return_inverse=True)[1]
    return np.argsort(rank)


def _last(*keys: AnyArray) -> BoolArray:
    """Where a run of equal keys ends, in arrays sorted by them."""
    last = np.ones(len(keys[0]), np.bool_)
    last[:-1] = False
    for key in keys:
        last[:-1] |= key[1:] != key[:-1]
    return last


def _tie_error(entities: IntArray) -> InvalidInput:
    faults = [f"entity {show_rid(int(entity))}" for entity in entities[:MOST_SHOWN]]
    more = len(entities) - MOST_SHOWN
    return InvalidInput(
        f"{len(entities)} entities have more than one most frequent value.",
        todo="Choose ties 'drop' or 'newest', or let the tied entities be adjudicated.",
        faults=[*faults, *([f"and {more} more"] if more > 0 else [])],
    )
