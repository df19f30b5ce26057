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
    ids: dict[str, int] = field(default_factory=dict, compare=False)
    """Which nodule or patient each key stood for then: a key may be used again."""

    def without(self, gone: set[int]) -> Snapshot:
        """The same after an erasure."""
        keys = {key for key, one in self.ids.items() if one in gone}
        nodules = {key: row for key, row in self.nodules.items() if key not in keys}
        return Snapshot(
            frozenset(pair for pair in self.members if pair[1] not in keys),
            {
                key: {**row, "patient": None if row["patient"] in keys else row["patient"]}
                for key, row in nodules.items()
            },
            {key: row for key, row in self.patients.items() if key not in keys},
            Counter({value: times for value, times in self.values.items() if value[0] not in keys}),
            self.columns if nodules else frozenset(),
            {key: one for key, one in self.ids.items() if key not in keys},
        )


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
    ids: dict[str, int] = field(default_factory=dict)
    merged: dict[int, int] = field(default_factory=dict)
    newest_id: int = 0

    def come(self, key: str) -> None:
        """A nodule or patient that was not there comes."""
        self.newest_id += 1
        self.ids[key] = self.newest_id

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
            dict(self.ids),
        )

    def merge(self, old: str, into: str) -> None:
        """What was said of the duplicate counts for the other from now on."""
        del self.nodules[old]
        self.merged[self.ids.pop(old)] = self.ids[into]
        self.values = [(into if key == old else key, value, rater) for key, value, rater in self.values]
        for dataset in self.datasets.values():
            if old in dataset.members:
                dataset.members.remove(old)
                dataset.members.add(into)

    def erase(self, patient: str) -> None:
        """The patient goes, with the nodules that are theirs and whatever these were merged from, from every time."""
        keys = {key for key, row in self.nodules.items() if row["patient"] == patient}
        gone = {self.ids[key] for key in (*keys, patient)}
        while more := {old for old, now in self.merged.items() if now in gone} - gone:
            gone |= more
        del self.patients[patient]
        for key in keys:
            del self.nodules[key]
        for key in (*keys, patient):
            del self.ids[key]
        self.values = [value for value in self.values if value[0] not in keys]
        for dataset in self.datasets.values():
            dataset.members -= keys
            dataset.versions = {number: one.without(gone) for number, one in dataset.versions.items()}
