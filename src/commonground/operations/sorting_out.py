"""Which given entities are new, changed, as they were, merged away or withdrawn: what an upsert compares by key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from commonground.errors import InvalidInput
from commonground.identity import Rid
from commonground.operations.plans import Reading
from commonground.store.column_rows import ColumnRows
from commonground.structure import entities
from commonground.structure.entities import EntityType
from commonground.structure.names import clean_name
from commonground.structure.withdrawals import list_withdrawn_keys

SHOWN = 10


@dataclass(frozen=True, slots=True)
class SortedOut:
    """What an upsert would do."""

    new: ColumnRows
    """Whole rows to add."""
    changed: list[dict[str, Any]]
    """Whole new states."""
    unchanged: int
    """How many are as given already."""
    absent: list[str]
    """Keys that are there and were not given; they stay."""
    known: dict[str, Rid]
    """The rid of each given key that leads to one that is there, left out those that were set aside."""
    notes: list[str] = field(default_factory=list)
    """What was set aside, or counts for another entity, and why."""


def sort_out(on: Reading, kind: EntityType | None, keys: list[str], stored: dict[str, list[Any]]) -> SortedOut:
    """Compare given entities with those that are there; `kind` is None for a type that is still to be declared."""
    clean = [_clean_key(key, row) for row, key in enumerate(keys, start=1)]
    _refuse_doubles(clean)
    listed: dict[str, list[Any]] = entities.list_entities(on.view, kind) if kind else {"rid": [], "key": []}
    there = {key: position for position, key in enumerate(listed["key"]) if key is not None}
    places = list(stored)
    leads, aside, notes = _lead_on(on, kind, clean, there, stored)
    changed = []
    unchanged = 0
    known: dict[str, Rid] = {}
    for row, key in enumerate(clean) if leads else ():
        position = leads.get(key)
        if position is None or row in aside:
            continue
        known[key] = listed["rid"][position]
        if all(listed[place][position] == stored[place][row] for place in places):
            unchanged += 1
        else:
            before = {name: values[position] for name, values in listed.items()}
            changed.append({**before, **{place: stored[place][row] for place in places}})
    new = _new_rows(on, clean, stored, leads, aside)
    given = {*clean, *(listed["key"][position] for position in leads.values())} if there else set()
    return SortedOut(new, changed, unchanged, [key for key in there if key not in given], known, notes)


def _refuse_doubles(keys: Sequence[str]) -> None:
    if len(set(keys)) == len(keys):
        return
    doubles = sorted(key for key, times in Counter(keys).items() if times > 1)
    faults = [f"{key!r} comes more than once" for key in doubles[:SHOWN]]
    raise InvalidInput("Keys must be unique.", faults=faults, todo="Keep one row for each entity.")


def _new_rows(
    on: Reading, keys: list[str], stored: Mapping[str, list[Any]], leads: Collection[str], aside: Collection[int]
) -> ColumnRows:
    """The rows whose keys lead nowhere and that were not set aside, with new rids."""
    columns: dict[str, Sequence[Any]] = {"key": keys, **stored}
    if leads or aside:
        fresh = [row for row, key in enumerate(keys) if key not in leads and row not in aside]
        columns = {name: [cells[row] for row in fresh] for name, cells in columns.items()}
    rows = len(columns["key"])
    columns = {"rid": on.mint(rows) if rows else range(0), **columns}
    return ColumnRows(columns)


def _lead_on(
    on: Reading,
    kind: EntityType | None,
    keys: Sequence[str],
    there: Mapping[str, int],
    stored: Mapping[str, Sequence[Any]],
) -> tuple[dict[str, int], set[int], list[str]]:
    """Where each known key leads, by its own or its duplicate's; the rows set aside; and what is to be said of both.

    Of an entity and its merged duplicates the row under its own key stands. Raises InvalidInput if several duplicates
    say different things and it has no row of its own.
    """
    leads = {key: there[key] for key in keys if key in there}
    if kind is None or len(leads) == len(keys):
        return leads, set(), []
    merged = entities.list_merged_keys(on.view, kind)
    gone = list_withdrawn_keys(on.view, kind)
    aside: set[int] = set()
    notes: list[str] = []
    faults: list[str] = []
    standing: dict[int, int] = {}
    for row, key in enumerate(keys):
        if key in there:
            continue
        if key in merged:
            now = merged[key][1]
            leads[key] = there[now]
            first = standing.setdefault(there[now], row)
            if now in keys:
                aside.add(row)
                notes.append(f"{key} was merged into {now}, whose own row stands.")
            elif first == row:
                notes.append(f"{key} was merged into {now}: its row counts for {now}.")
            elif all(values[first] == values[row] for values in stored.values()):
                aside.add(row)
            else:
                faults.append(f"{keys[first]} and {key} are both {now} now, and their rows differ")
        elif key in gone:
            aside.add(row)
            notes.append(f"{key} was withdrawn by change {gone[key].change} and stays so: {gone[key].reason}")
    if faults:
        raise InvalidInput(
            "Rows of one entity say different things.", faults=faults, todo="Keep one of them, under the key of today."
        )
    return leads, aside, notes


def _clean_key(key: str, row: int) -> str:
    if not isinstance(key, str) or not key.strip():
        raise InvalidInput(f"Row {row} has no key.", todo="Every entity needs its natural key, as text.")
    return clean_name(key, "key")


def unfit_rows(read: Callable[[Sequence[Any]], object], values: Sequence[Any], before: int = 0) -> Iterator[int]:
    """The rows, from 1, whose values `read` refuses, found by halves: what it takes as a whole it reads once."""
    try:
        read(values)
    except InvalidInput:
        if len(values) <= 1:
            yield before + 1
            return
        half = len(values) // 2
        yield from unfit_rows(read, values[:half], before)
        yield from unfit_rows(read, values[half:], before + half)
