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
    leads: dict[str, str] = field(default_factory=dict)
    """The keys of merged nodules, and the key of what each was merged into."""
    withdrawn: dict[str, tuple[Row, int]] = field(default_factory=dict)
    """Withdrawn nodules as they were last, with what their key stood for."""
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

    def resolve(self, key: str) -> str:
        """The key of what a nodule is now, living or withdrawn; itself if it was not merged."""
        while key in self.leads and key not in self.nodules and key not in self.withdrawn:
            key = self.leads[key]
        return key

    def upsert(self, keys: list[str], patient: str | None, size: float | None) -> None:
        """Nodules come or change; withdrawn ones stay so, and of one and its duplicates the own row stands."""
        for key in keys:
            now = self.resolve(key)
            if now in self.withdrawn or (now != key and now in keys):
                continue
            if now not in self.nodules:
                self.come(now)
            row = self.nodules.setdefault(now, dict.fromkeys(self.columns))
            row.update(patient=patient, size=size)

    def withdraw(self, key: str) -> None:
        """A nodule is no longer valid: it is in no dataset, and nothing said of it counts."""
        self.withdrawn[key] = (self.nodules.pop(key), self.ids.pop(key))
        self.values = [value for value in self.values if value[0] != key]
        for dataset in self.datasets.values():
            dataset.members.discard(key)

    def merge(self, old: str, into: str) -> None:
        """What was said of the duplicate counts for the other from now on, and its key leads there."""
        del self.nodules[old]
        self.leads[old] = into
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
        lost = {key for key, (row, _) in self.withdrawn.items() if row["patient"] == patient}
        gone |= {self.withdrawn.pop(key)[1] for key in lost}
        while more := {old for old, now in self.merged.items() if now in gone} - gone:
            gone |= more
        del self.patients[patient]
        for key in keys:
            del self.nodules[key]
        for key in (*keys, patient):
            del self.ids[key]
        there = self.nodules.keys() | self.withdrawn.keys()
        self.leads = {key: into for key, into in self.leads.items() if self.resolve(into) in there}
        self.values = [value for value in self.values if value[0] not in keys]
        for dataset in self.datasets.values():
            dataset.members -= keys
            dataset.versions = {number: one.without(gone) for number, one in dataset.versions.items()}
