"""Datasets of an open study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from commonground.identity import Rid
from commonground.operations.plans import Committed
from commonground.operations.releases import DatasetState, Difference
from commonground.operations.session import Session
from commonground.structure.selectors import Selector


class Datasets:
    """Sets of entities, released as versions."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def create(
        self,
        name: str,
        *,
        type: str | None = None,  # noqa: A002 - the word at every door
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
        type: str | None = None,  # noqa: A002 - the word at every door
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
        type: str,  # noqa: A002 - the word at every door
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

    def files(self, version: str) -> list[dict[str, Any]]:
        """The Parquet files of a released version, in place."""
        found: list[dict[str, Any]] = self._session.read("dataset files", version=version)
        return found

    def split(
        self,
        dataset: str,
        shares: Mapping[str, float],
        *,
        seed: int = 0,
        group: str | None = None,
        stratify: str | None = None,
        selector: Selector | None = None,
        why: str | None = None,
    ) -> Committed:
        """Split a state into datasets `dataset-part`, so that no group (the owning entity by default) is divided."""
        return self._session.write(
            "dataset split",
            why=why,
            dataset=dataset,
            shares=shares,
            seed=seed,
            group=group,
            stratify=stratify,
            selector=selector,
        )

    def subsample(
        self,
        dataset: str,
        name: str,
        *,
        size: int | None = None,
        share: float | None = None,
        seed: int = 0,
        group: str | None = None,
        stratify: str | None = None,
        selector: Selector | None = None,
        why: str | None = None,
    ) -> Committed:
        """Draw a part of a state as a dataset of its own."""
        return self._session.write(
            "dataset subsample",
            why=why,
            dataset=dataset,
            name=name,
            size=size,
            share=share,
            seed=seed,
            group=group,
            stratify=stratify,
            selector=selector,
        )
