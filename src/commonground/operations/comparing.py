"""What differs between two things of one kind: two states of a dataset, or two executions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from commonground.errors import InvalidInput
from commonground.identity import Kind
from commonground.operations.execution_reading import Comparison, read_comparison
from commonground.operations.plans import Reading
from commonground.operations.releases import Difference, read_difference
from commonground.operations.resolving import name_of, resolve
from commonground.store.view import Identified, View
from commonground.structure import naming
from commonground.structure.references import pin

STATES = (Kind.DATASET, Kind.VERSION)


@dataclass(frozen=True, slots=True)
class StateComparison:
    """Two states of a dataset: what differs, with names, and what people said of it."""

    difference: Difference
    """What differs."""
    examples: Mapping[str, tuple[str, ...]]
    """For each table the names of a few things that differ."""
    said: tuple[str | None, str | None]
    """What the release of each says is new; None if nobody said, or it is not released."""


def read_diff(on: Reading, *, old: str, new: str) -> StateComparison | Comparison:
    """What the second has, lacks or says otherwise than the first; raises InvalidInput for two kinds of thing."""
    first, second = resolve(on.view, old), resolve(on.view, new)
    if first.kind in STATES and second.kind in STATES:
        return _compare_states(on, _reference(on, old, first), _reference(on, new, second))
    if first.kind is Kind.EXECUTION and second.kind is Kind.EXECUTION:
        return read_comparison(on, executions=[first.rid, second.rid])
    raise InvalidInput(
        f"A {first.kind} and a {second.kind} cannot be compared.",
        todo="Give two states of datasets, such as nodules@1.0.0 and nodules@dev, or two executions.",
    )


def _compare_states(on: Reading, old: str, new: str) -> StateComparison:
    found = read_difference(on, old=old, new=new)
    before, after = pin(on.view, old), pin(on.view, new)
    examples = {one.table: _name_samples(on.view, one.samples) for one in found.tables}
    released = [state.version.description if state.version else None for state in (before, after)]
    return StateComparison(found, examples, (released[0], released[1]))


def _name_samples(view: View, samples: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """What the rows are about: entities by their key, else whatever has a name."""
    rids = [value for one in samples for value in one.values() if isinstance(value, int) and value > 0]
    named = naming.name_things(view, rids)
    found: dict[str, None] = {}
    for one in samples:
        things = [named[value] for value in one.values() if value in named and named[value].name != named[value].kind]
        things.sort(key=lambda thing: thing.kind != Kind.ENTITY)
        if things:
            found[things[0].name.partition(":")[2] or things[0].name] = None
    return tuple(found)


def _reference(on: Reading, text: str, found: Identified) -> str:
    """A state as a reference that pins it; what was given by id is called by its name."""
    if "@" in text:
        return text
    return name_of(on.view, found).name
