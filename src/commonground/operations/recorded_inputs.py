"""An input as an execution used it: what a run inside a reproduction may use. Loads nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from commonground.identity import Kind, show_rid
from commonground.operations.inputs import Pin
from commonground.structure.lineage import Edge


@dataclass(frozen=True, slots=True)
class RecordedInput:
    """An input as an execution used it."""

    name: str
    """The dataset's name, or the asset's: the name by which the run asked for it."""
    asked: str
    """The words that were given."""
    reference: str
    """What pins it: nodules@2.0.0, nodules@dev.c18412, the id of an asset."""
    kind: str
    """version, dataset (its unreleased state) or asset."""
    digest: str | None
    """What it consisted of; None for an unreleased state."""
    replaces: str | None = None
    """The reference that is on record, if another was asked for in its place."""


def describe_input(edge: Edge) -> RecordedInput:
    """An input as the edge to its execution tells of it."""
    told = edge.details
    reference = str(told.get("reference") or show_rid(edge.src))
    kind = Kind.ASSET if "dataset" not in told else Kind.DATASET if told.get("unreleased") else Kind.VERSION
    return RecordedInput(
        name=str(told.get("dataset") or edge.role or ""),
        asked=str(told.get("asked") or reference),
        # Assets may share a name, so only the id says which.
        reference=show_rid(edge.src) if kind is Kind.ASSET else reference,
        kind=kind,
        digest=told.get("digest"),
    )


def recorded_pin(pinned: Pin) -> RecordedInput:
    """A pin in the form of a recorded input."""
    reference = show_rid(pinned.rid) if pinned.kind == Kind.ASSET else pinned.reference
    return RecordedInput(pinned.name, pinned.asked, reference, str(pinned.kind), pinned.digest)


def as_plain(item: RecordedInput) -> dict[str, Any]:
    """A recorded input as plain data."""
    return {
        "name": item.name,
        "asked": item.asked,
        "reference": item.reference,
        "kind": str(item.kind),
        "digest": item.digest,
        "replaces": item.replaces,
    }
