"""Datasets of an open study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

import numpy as np

from commonground.identity import Rid
from commonground.interfaces.client.version_tables import VersionTables, gather_tables
from commonground.operations.plans import Committed
from commonground.operations.releases import DatasetState, Difference
from commonground.operations.session import Session
from commonground.operations.version_files import VersionFiles
from commonground.structure.selectors import Selector


class Drawing(TypedDict, total=False):
    """How entities are drawn into parts; everything may be left out."""

    seed: int
    """The same seed gives the same parts; 0 by default."""
    group: str | None
    """The column whose equal values stay together; the owning entity by default, "none" for none."""
    stratify: str | None
    """The column or feature whose values are spread evenly."""
    selector: Selector | None
    """The rule that turns the values of that feature into one."""
    why: str | None
    """The reason, in your words."""


class Datasets:
    """Sets of entities, released as versions."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def create(
        self,
        name: str,
        *,
        type: str | None = None,
        keys: Sequence[str] | None = None,
        members: Sequence[Rid] | np.ndarray[Any, Any] | None = None,
        features: Sequence[str] = (),
        labels: Mapping[str, Sequence[str]] | None = None,
        description: str | None = None,
        criteria: str | None = None,
        reason: str | None = None,
        why: str | None = None,
    ) -> Committed:
        """Make a dataset, with its first members (by key or by rid) and the features whose values belong to it."""
        return self._session.write(
            "dataset create",
            why=why,
            name=name,
            type=type,
            keys=keys,
            members=members,
            features=features,
            labels=labels,
            description=description,
            criteria=criteria,
            reason=reason,
        )

    def add(
        self,
        dataset: str,
        *,
        type: str | None = None,
        keys: Sequence[str] | None = None,
        members: Sequence[Rid] | np.ndarray[Any, Any] | None = None,
        features: Sequence[str] = (),
        criteria: str | None = None,
        reason: str | None = None,
        why: str | None = None,
    ) -> Committed:
        """Add members or features, or say anew what produces the members."""
        return self._session.write(
            "dataset add",
            why=why,
            dataset=dataset,
            type=type,
            keys=keys,
            members=members,
            features=features,
            criteria=criteria,
            reason=reason,
        )

    def remove(
        self,
        dataset: str,
        *,
        type: str,
        keys: Sequence[str] | None = None,
        members: Sequence[Rid] | np.ndarray[Any, Any] | None = None,
        why: str | None = None,
    ) -> Committed:
        """Take members out of the unreleased state; released versions keep them."""
        return self._session.write("dataset remove", why=why, dataset=dataset, type=type, keys=keys, members=members)

    def nest(self, dataset: str, *, inside: str, why: str | None = None) -> Committed:
        """Put a dataset into another."""
        return self._session.write("dataset nest", why=why, dataset=dataset, inside=inside)

    def unnest(self, dataset: str, *, inside: str, why: str | None = None) -> Committed:
        """Take a nested dataset out of another."""
        return self._session.write("dataset unnest", why=why, dataset=dataset, inside=inside)

    def release(
        self, dataset: str, *, part: str = "major", description: str | None = None, why: str | None = None
    ) -> Committed:
        """Freeze the present state as the next version."""
        return self._session.write("dataset release", why=why, dataset=dataset, part=part, description=description)

    def status(self, dataset: str) -> DatasetState:
        """Whether it has changed since its newest release, and how large it is."""
        state: DatasetState = self._session.read("dataset status", dataset=dataset)
        return state

    def diff(self, old: str, new: str) -> Difference:
        """What the second state has, lacks or says otherwise than the first."""
        found: Difference = self._session.read("dataset diff", old=old, new=new)
        return found

    def files(self, version: str, *, check: bool = False, sensitive: bool = False) -> VersionFiles:
        """The Parquet files of a released version, in place; `left_out` names what was left out; see `tables`."""
        found: VersionFiles = self._session.read("dataset files", version=version, check=check, sensitive=sensitive)
        return found

    def tables(self, version: str, *, check: bool = True, sensitive: bool = False) -> VersionTables:
        """The tables of a released version by name, to be read lazily from their Parquet files.

        The bytes of all files are compared with their digests first, which `check=False` leaves out. Sensitive columns
        lie in tables of their own, such as `Patient (sensitive)`, which are left out unless they are asked for; so are
        tables of a version that was released before the mark. `left_out` says which and why.
        """
        return gather_tables(self.files(version, check=check, sensitive=sensitive))

    def split(self, dataset: str, shares: Mapping[str, float], **how: Unpack[Drawing]) -> Committed:
        """Split a state into datasets `dataset-part`, so that no group is divided; for `how` see `Drawing`."""
        return self._session.write("dataset split", dataset=dataset, shares=shares, **how)

    def subsample(
        self, dataset: str, name: str, *, size: int | None = None, share: float | None = None, **how: Unpack[Drawing]
    ) -> Committed:
        """Draw a part of a state, by size or share, as a dataset of its own; for `how` see `Drawing`."""
        return self._session.write("dataset subsample", dataset=dataset, name=name, size=size, share=share, **how)
