"""What differs between two things of one kind: two states of a dataset, or two executions."""

from __future__ import annotations

from commonground.errors import InvalidInput
from commonground.identity import Kind
from commonground.operations.execution_reading import Comparison, read_comparison
from commonground.operations.plans import Reading
from commonground.operations.releases import Difference, read_difference
from commonground.operations.resolving import name_of, resolve
from commonground.store.view import Identified

STATES = (Kind.DATASET, Kind.VERSION)


def read_diff(on: Reading, *, old: str, new: str) -> Difference | Comparison:
    """What the second has, lacks or says otherwise than the first; raises InvalidInput for two kinds of thing."""
    first, second = resolve(on.view, old), resolve(on.view, new)
    if first.kind in STATES and second.kind in STATES:
        return read_difference(on, old=_reference(on, old, first), new=_reference(on, new, second))
    if first.kind is Kind.EXECUTION and second.kind is Kind.EXECUTION:
        return read_comparison(on, executions=[first.rid, second.rid])
    raise InvalidInput(
        f"A {first.kind} and a {second.kind} cannot be compared.",
        todo="Give two states of datasets, such as nodules@1.0.0 and nodules@dev, or two executions.",
    )


def _reference(on: Reading, text: str, found: Identified) -> str:
    """A state as a reference that pins it; what was given by id is called by its name."""
    if "@" in text:
        return text
    return name_of(on.view, found).name
