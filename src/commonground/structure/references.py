"""What a reference such as `nodules`, `nodules@2.0.0` or `nodules@dev.c18412` points to."""

from __future__ import annotations

from dataclasses import dataclass

from commonground.errors import NotFound
from commonground.store.view import View
from commonground.structure.datasets import Dataset, Version, get_dataset, get_version, list_versions
from commonground.structure.version_numbers import Reference


@dataclass(frozen=True, slots=True)
class Pinned:
    """An exact state of a dataset."""

    dataset: Dataset
    """The dataset."""
    version: Version | None
    """The released version; None for an unreleased state."""
    change: int
    """The change as of which the state is meant."""

    @property
    def released(self) -> bool:
        """Whether it is a released version."""
        return self.version is not None

    def __str__(self) -> str:
        if self.version is not None:
            return f"{self.dataset.name}@{self.version.number}"
        return f"{self.dataset.name}@dev.c{self.change}"


def pin(view: View, text: str) -> Pinned:
    """The exact state that a reference means now: a name alone is the newest release, or else the unreleased state.

    Raises NotFound for a name, version or change that is not there.
    """
    reference = Reference.parse(text)
    dataset = get_dataset(view, reference.name)
    if reference.change is not None and reference.change > view.change:
        raise NotFound(f"There is no change {reference.change} yet; the newest is {view.change}.", todo="`cg log`.")
    if reference.dev:
        return Pinned(dataset, None, reference.change or view.change)
    if reference.version is None and not list_versions(view, dataset.rid):
        return Pinned(dataset, None, view.change)
    version = get_version(view, dataset.rid, reference.version)
    return Pinned(dataset, version, version.change)
