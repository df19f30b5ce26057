"""What a run consumes, pinned: "current" becomes an exact version, an unreleased state becomes a change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from commonground.errors import InvalidInput, NotFound
from commonground.identity import Kind, Rid, rid_range, show_rid
from commonground.store.view import View, find_prefix
from commonground.structure import references, tables


@dataclass(frozen=True, slots=True)
class Pin:
    """An input that will mean the same for ever."""

    asked: str
    """The words that were given."""
    reference: str
    """What they came to mean: nodules@2.0.0, nodules@dev.c18412, or the name of an asset."""
    kind: str
    """version, dataset (its unreleased state) or asset."""
    rid: Rid
    """The version; the dataset, if unreleased; the asset."""
    name: str
    """The dataset's or the asset's name, by which the run asks for it."""
    change: int
    """The change as of which it is read."""
    digest: str | None
    """Digest of a released version, or of an asset; None for an unreleased state."""
    unreleased: bool
    """Whether nothing but the change log holds it."""

    def details(self) -> dict[str, Any]:
        """What the edge from the input to the execution says of it."""
        told: dict[str, Any] = {"reference": self.reference, "change": self.change}
        if self.kind != Kind.ASSET:
            told |= {"dataset": self.name, "unreleased": self.unreleased}
        if self.kind == Kind.VERSION:
            told["version"] = self.reference.partition("@")[2]
        if self.asked != self.reference:
            told["asked"] = self.asked
        if self.digest:
            told["digest"] = self.digest
        return told


def resolve_input(view: View, text: str) -> Pin:
    """The exact input that a text means: a dataset, with or without its version, or an asset by name or id.

    Without a version it is the newest release; if nothing was released, the state now, pinned by its change.
    Raises NotFound, Ambiguous, or InvalidInput for a reference that cannot be read.
    """
    try:
        pinned = references.pin(view, text)
    except NotFound as error:
        asset = _find_asset(view, text)
        if asset is None:
            raise NotFound(error.what, todo=error.todo, faults=error.faults) from error
        return asset
    name, version = pinned.dataset.name, pinned.version
    if version is None:
        return Pin(text, str(pinned), Kind.DATASET, pinned.dataset.rid, name, pinned.change, None, unreleased=True)
    return Pin(text, str(pinned), Kind.VERSION, version.rid, name, pinned.change, version.digest, unreleased=False)


def _find_asset(view: View, text: str) -> Pin | None:
    rows = view.list_rows(tables.asset, tables.asset.c.name == text)
    if not rows:
        try:
            rid_range(text)
            found = find_prefix(view.connection, text)
        except (NotFound, InvalidInput):
            return None
        rows = view.list_rows(tables.asset, tables.asset.c.rid == found.rid) if found.kind is Kind.ASSET else []
    if not rows:
        return None
    # Assets may share a name; the newest is meant, and the pin says which one that was.
    row = rows[-1]
    return Pin(
        text,
        f"{row.name} {show_rid(row.rid)}",
        Kind.ASSET,
        row.rid,
        row.name,
        view.change,
        row.digest,
        unreleased=False,
    )
