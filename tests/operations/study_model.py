"""A study as plain dictionaries: what the real one must agree with after every step."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class Snapshot:
    """What a version holds, by keys."""

    members: frozenset[tuple[str, str]]
    nodules: dict[str, Row]
    patients: dict[str, Row]
    values: Counter[tuple[str, int | None, str]]
    columns: frozenset[str]


@dataclass
class DatasetModel:
    """One dataset."""

    members: set[str] = field(default_factory=set)
    children: set[str] = field(default_factory=set)
    graded: bool = False
    versions: dict[str, Snapshot] = field(default_factory=dict)


@dataclass
class StudyModel:
    """The whole study."""

    patients: dict[str, Row] = field(default_factory=dict)
    nodules: dict[str, Row] = field(default_factory=dict)
    values: list[tuple[str, int | None, str]] = field(default_factory=list)
    datasets: dict[str, DatasetModel] = field(default_factory=dict)
    columns: set[str] = field(default_factory=set)

    def inside(self, name: str) -> list[str]:
        """The dataset and all that is nested in it."""
        found: list[str] = []
        waiting = [name]
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.append(one)
                waiting.extend(sorted(self.datasets[one].children))
        return found

    def snapshot(self, name: str) -> Snapshot:
        """What a release of the dataset would hold now."""
        inside = self.inside(name)
        members = frozenset((one, key) for one in inside for key in self.datasets[one].members)
        reached = {key for _, key in members}
        nodules = {key: dict(self.nodules[key]) for key in reached}
        owners = {row["patient"] for row in nodules.values() if row["patient"] is not None}
        graded = any(self.datasets[one].graded for one in inside)
        return Snapshot(
            members,
            nodules,
            {key: dict(self.patients[key]) for key in owners},
            Counter(value for value in self.values if graded and value[0] in reached),
            frozenset(self.columns) if nodules else frozenset(),
        )

    def merge(self, old: str, into: str) -> None:
        """What was said of the duplicate counts for the other from now on."""
        del self.nodules[old]
        self.values = [(into if key == old else key, value, rater) for key, value, rater in self.values]
        for dataset in self.datasets.values():
            if old in dataset.members:
                dataset.members.remove(old)
                dataset.members.add(into)
