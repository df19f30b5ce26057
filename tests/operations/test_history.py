"""A study does what dictionaries would do, in any order of steps, on both engines, and no release ever changes."""

from __future__ import annotations

import copy
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from study_model import DatasetModel, Snapshot, StudyModel

from commonground.errors import Conflict, InvalidInput
from commonground.operations.releases import load_state
from commonground.operations.restoring import restore_study
from commonground.operations.studies import create_study, open_study
from commonground.store.verify import verify
from commonground.structure import datasets, entities
from commonground.structure.references import pin
from commonground.structure.scopes import measure_scope
from commonground.structure.versions import load_manifest, measure_manifest
from measured import measure_files

PATIENTS = [f"p{n}" for n in range(4)]
NODULES = [f"n{n}" for n in range(8)]
DATASETS = ["all", "few", "some"]
COLUMNS = ["texture", "margin"]
LASTING = {"dataset release", "erase"}


class Study(RuleBasedStateMachine):
    """Random steps on a real study, and on a second one on the other engine, with the same plans."""

    server = ""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="cg-history-"))
        self.sessions = [create_study(self.folder / "a", name="a", person="Tester")]
        self.database = ""
        self.model = StudyModel()
        self.before: list[tuple[str, StudyModel]] = []
        self.erased = False
        self.copies = 0
        self.copied = 0

    @initialize()
    def declare(self) -> None:
        """The types, the feature, and one patient."""
        self.write("type add", name="Patient", columns=[{"name": "age", "holds": "int"}])
        self.write(
            "type add",
            name="Nodule",
            columns=[
                {"name": "patient", "holds": "link", "target": "Patient"},
                {"name": "size", "holds": "real"},
            ],
        )
        self.write("feature add", name="grade", type="Nodule", holds="int", lowest=1, highest=5, ordered=True)
        self.before.clear()

    def newest(self) -> int:
        """The number of the newest change."""
        with self.sessions[0].reading() as on:
            newest: int = on.view.change
        return newest

    def write(self, verb: str, **args: Any) -> None:
        """Plan once, commit on every engine, and remember how it was before."""
        first = self.sessions[0]
        plan = first.plan(verb, **args)
        for session in self.sessions:
            session.commit(plan)
        if not plan.nothing:
            self.before.append((verb, copy.deepcopy(self.model)))

    @rule(keys=st.sets(st.sampled_from(PATIENTS), min_size=1), age=st.integers(0, 120) | st.none())
    def upsert_patients(self, keys: set[str], age: int | None) -> None:
        """Patients come, or change."""
        listed = sorted(keys)
        self.write("entity upsert", type="Patient", keys=listed, columns={"age": [age] * len(listed)})
        for key in listed:
            if key not in self.model.patients:
                self.model.come(key)
            self.model.patients[key] = {"age": age}

    @precondition(lambda self: self.model.patients)
    @rule(data=st.data(), size=st.floats(0, 50, allow_nan=False) | st.none())
    def upsert_nodules(self, data: st.DataObject, size: float | None) -> None:
        """Nodules come, or change, or move to another patient."""
        keys = sorted(data.draw(st.sets(st.sampled_from(NODULES), min_size=1, max_size=4)))
        patient = data.draw(st.sampled_from(sorted(self.model.patients)) | st.none())
        self.write(
            "entity upsert",
            type="Nodule",
            keys=keys,
            columns={"patient": [patient] * len(keys), "size": [size] * len(keys)},
        )
        self.model.upsert(keys, patient, size)

    @precondition(lambda self: self.model.nodules)
    @rule(data=st.data(), value=st.integers(1, 5) | st.none(), slot=st.sampled_from(["reader 1", "reader 2"]))
    def label(self, data: st.DataObject, value: int | None, slot: str) -> None:
        """A reader says something of a nodule, perhaps not for the first time."""
        key = data.draw(st.sampled_from(sorted(self.model.nodules)))
        self.write(
            "feature annotate", feature="grade", keys=[key], values=[value], slots=[slot], reasons=["cannot grade"]
        )
        self.model.values.append((key, value, slot))

    @precondition(lambda self: len(self.model.datasets) < len(DATASETS))
    @rule(graded=st.booleans())
    def create_dataset(self, graded: bool) -> None:
        """A dataset of all nodules there are."""
        name = next(name for name in DATASETS if name not in self.model.datasets)
        members = sorted(self.model.nodules)
        self.write("dataset create", name=name, type="Nodule", keys=members, features=["grade"] if graded else [])
        self.model.datasets[name] = DatasetModel(members=set(members), graded=graded)

    @precondition(lambda self: self.model.datasets and self.model.nodules)
    @rule(data=st.data())
    def add_members(self, data: st.DataObject) -> None:
        """Members come, some of which are there already."""
        name = data.draw(st.sampled_from(sorted(self.model.datasets)))
        keys = sorted(data.draw(st.sets(st.sampled_from(sorted(self.model.nodules)), min_size=1)))
        self.write("dataset add", dataset=name, type="Nodule", keys=keys)
        self.model.datasets[name].members.update(keys)

    @precondition(lambda self: any(dataset.members for dataset in self.model.datasets.values()))
    @rule(data=st.data())
    def remove_members(self, data: st.DataObject) -> None:
        """Members go."""
        name = data.draw(st.sampled_from(sorted(n for n, d in self.model.datasets.items() if d.members)))
        keys = sorted(data.draw(st.sets(st.sampled_from(sorted(self.model.datasets[name].members)), min_size=1)))
        self.write("dataset remove", dataset=name, type="Nodule", keys=keys)
        self.model.datasets[name].members.difference_update(keys)

    @precondition(lambda self: len(self.model.datasets) > 1)
    @rule(data=st.data())
    def nest(self, data: st.DataObject) -> None:
        """A dataset goes into another, unless that would close a circle."""
        child, parent = data.draw(st.permutations(sorted(self.model.datasets)).map(lambda names: names[:2]))
        if child in self.model.datasets[parent].children or parent in self.model.inside(child):
            with pytest.raises(Conflict):
                self.sessions[0].plan("dataset nest", dataset=child, inside=parent)
            return
        self.write("dataset nest", dataset=child, inside=parent)
        self.model.datasets[parent].children.add(child)

    @precondition(lambda self: any(dataset.children for dataset in self.model.datasets.values()))
    @rule(data=st.data())
    def unnest(self, data: st.DataObject) -> None:
        """A nested dataset comes out again."""
        parent = data.draw(st.sampled_from(sorted(n for n, d in self.model.datasets.items() if d.children)))
        child = data.draw(st.sampled_from(sorted(self.model.datasets[parent].children)))
        self.write("dataset unnest", dataset=child, inside=parent)
        self.model.datasets[parent].children.remove(child)

    @precondition(lambda self: len(self.model.columns) < len(COLUMNS))
    @rule(data=st.data())
    def evolve(self, data: st.DataObject) -> None:
        """The type gains a column, and one nodule a value in it."""
        name = next(column for column in COLUMNS if column not in self.model.columns)
        self.write("type extend", type="Nodule", columns=[{"name": name, "holds": "text"}])
        self.model.columns.add(name)
        for row in self.model.nodules.values():
            row[name] = None
        if self.model.nodules:
            key = data.draw(st.sampled_from(sorted(self.model.nodules)))
            self.write("entity upsert", type="Nodule", keys=[key], columns={name: ["rough"]})
            self.model.nodules[key][name] = "rough"

    @precondition(lambda self: len(self.model.nodules) > 1)
    @rule(data=st.data())
    def merge(self, data: st.DataObject) -> None:
        """A nodule turns out to be another one."""
        old, into = data.draw(st.permutations(sorted(self.model.nodules)).map(lambda keys: keys[:2]))
        self.write("entity merge", type="Nodule", duplicate=old, into=into)
        self.model.merge(old, into)

    @precondition(lambda self: self.model.nodules)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        """A nodule is no longer valid."""
        key = data.draw(st.sampled_from(sorted(self.model.nodules)))
        self.write("entity withdraw", type="Nodule", keys=[key], reason="not a nodule")
        self.model.withdraw(key)

    @precondition(lambda self: self.model.datasets)
    @rule(data=st.data(), part=st.sampled_from(["major", "minor", "patch"]))
    def release(self, data: st.DataObject, part: str) -> None:
        """A dataset is released; refused if it is empty or nothing has changed."""
        name = data.draw(st.sampled_from(sorted(self.model.datasets)))
        snapshot = self.model.snapshot(name)
        newest = list(self.model.datasets[name].versions.values())[-1:]
        if not snapshot.members:
            with pytest.raises(InvalidInput, match="no members"):
                self.sessions[0].plan("dataset release", dataset=name)
            return
        if newest and not self.sessions[0].read("dataset status", dataset=name).dirty:
            return
        self.write("dataset release", dataset=name, part=part)
        with self.sessions[0].reading() as on:
            number = str(datasets.list_versions(on.view, datasets.get_dataset(on.view, name).rid)[0].number)
        self.model.datasets[name].versions[number] = snapshot

    @precondition(lambda self: self.before and self.before[-1][0] not in LASTING)
    @rule()
    def revert(self) -> None:
        """The newest change is undone, and everything is as it was before it."""
        _, earlier = self.before[-1]
        self.write("revert", change=self.newest())
        self.model = earlier
        self.before.clear()

    @precondition(lambda self: self.model.patients)
    @rule(data=st.data())
    def erase(self, data: st.DataObject) -> None:
        """A patient withdraws consent: they go from every time, and nobody else does."""
        patient = data.draw(st.sampled_from(sorted(self.model.patients)))
        self.write("erase", type="Patient", key=patient, basis="consent withdrawn")
        self.model.erase(patient)
        self.erased = True
        self.before.clear()

    @rule()
    def collect(self) -> None:
        """Files that nothing names go, and nothing else."""
        for session in self.sessions:
            session.read("gc")

    @precondition(lambda self: self.newest() > self.copied)
    @rule()
    def back_up_and_restore(self) -> None:
        """A backup takes the place of the study, which goes on from there; what was copied is not copied again."""
        self.copies += 1
        self.copied = self.newest()
        copy_of = self.folder / f"copy {self.copies}"
        session = self.sessions[0]
        session.read("backup", folder=str(copy_of))
        session.ground.close()
        place = self.folder / f"restored {self.copies}"
        restore_study(copy_of, place)
        self.sessions[0] = open_study(place, person="Tester")

    @invariant()
    def every_version_is_as_it_was_released(self) -> None:
        """Frozen parts, the living rows as of the release, and the model agree for every version, on every engine."""
        for session in self.sessions:
            with session.reading() as on:
                for name, dataset in self.model.datasets.items():
                    rid = datasets.get_dataset(on.view, name).rid
                    for version in datasets.list_versions(on.view, rid):
                        expected = dataset.versions[str(version.number)]
                        assert read_snapshot(on, f"{name}@{version.number}") == expected
                        if self.erased:
                            continue
                        with session.ground.view(version.change) as then:
                            assert measure_manifest(then, measure_scope(then, rid)).digest == content_of(on, version)

    @invariant()
    def the_present_is_as_modelled(self) -> None:
        """The unreleased state of every dataset is what the model says, and so is whether it has changed."""
        with self.sessions[0].reading() as on:
            for name, dataset in self.model.datasets.items():
                now = self.model.snapshot(name)
                there = read_snapshot(on, f"{name}@dev")
                assert there == now
                rid = datasets.get_dataset(on.view, name).rid
                versions = datasets.list_versions(on.view, rid)
                if versions:
                    # What an erasure took out was in the version, and is not there now.
                    less = any(
                        part.erased for part in load_manifest(on.view, on.ground.blobs, versions[0].manifest).parts
                    )
                    same = measure_manifest(on.view, measure_scope(on.view, rid)).digest == content_of(on, versions[0])
                    changed = less or not same
                    assert self.sessions[0].read("dataset status", dataset=name).dirty == changed
                    if dataset.versions[str(versions[0].number)] != now:
                        assert changed

    def teardown(self) -> None:
        """Close and remove the studies."""
        for session in self.sessions:
            assert verify(session.ground, full=True).intact
            session.ground.close()
        shutil.rmtree(self.folder)


def content_of(on: Any, version: datasets.Version) -> str:
    """The digest of what a version's files say now, without nonces: equal wherever the content is equal."""
    return measure_files(on.ground.blobs, load_manifest(on.view, on.ground.blobs, version.manifest)).digest


def read_snapshot(on: Any, reference: str) -> Snapshot:
    """What a state holds, read from its tables and told by keys."""
    state = load_state(on, pin(on.view, reference))
    kinds = {kind.name: kind for kind in entities.list_types(on.view)}

    def rows(name: str) -> dict[int, dict[str, Any]]:
        entry = state.manifest.get_table(f"entities/{kinds[name].place}")
        labels = {column["name"]: column.get("label", column["name"]) for column in entry["columns"]}
        table = state.get_table(entry["name"])
        return {row["rid"]: {labels[place]: value for place, value in row.items()} for row in table.to_pylist()}

    nodules, patients = rows("Nodule"), rows("Patient")
    names = {dataset.rid: dataset.name for dataset in datasets.list_datasets(on.view)}
    keys = {rid: row["key"] for rid, row in nodules.items()}
    owners = {rid: row["key"] for rid, row in patients.items()}
    raters = {row["rid"]: row["label"] for row in state.get_table("raters").to_pylist()}
    values: Counter[tuple[str, int | None, str]] = Counter()
    for table in state.manifest.table_names:
        if table.startswith("values/"):
            for row in state.get_table(table).to_pylist():
                values[keys[row["entity"]], row["value"], raters[row["rater"]]] += 1
    plain = {"rid", "key"}
    return Snapshot(
        frozenset((names[row["dataset"]], keys[row["entity"]]) for row in state.get_table("members").to_pylist()),
        {
            row["key"]: {
                label: owners.get(value) if label == "patient" else value
                for label, value in row.items()
                if label not in plain
            }
            for row in nodules.values()
        },
        {row["key"]: {label: v for label, v in row.items() if label not in plain} for row in patients.values()},
        values,
        frozenset(label for row in nodules.values() for label in row) - plain - {"patient", "size"},
    )


class StudyOnBoth(Study):
    """The same, with a second study on PostgreSQL that commits the same plans."""

    def __init__(self) -> None:
        super().__init__()
        self.database = f"cg_{self.folder.name[-8:].lower()}"
        head, _, query = self.server.partition("?")
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{self.database}"')
        url = f"{head.rsplit('/', 1)[0]}/{self.database}" + (f"?{query}" if query else "")
        self.sessions.append(create_study(self.folder / "b", name="b", person="Tester", url=url))

    @invariant()
    def contents_are_equal_on_both_engines(self) -> None:
        """Every version has the same content digest on SQLite and on PostgreSQL; under nonces of their own."""
        told, sealed = [], []
        for session in self.sessions:
            with session.reading() as on:
                versions = datasets.list_every_version(on.view)
                told.append([(v.dataset, str(v.number), content_of(on, v)) for v in versions])
                sealed.append({v.digest for v in versions})
        assert told[0] == told[1]
        assert sealed[0].isdisjoint(sealed[1])

    def teardown(self) -> None:
        """Also drop the database."""
        super().teardown()
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{self.database}" WITH (FORCE)')


QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


def test_any_history_agrees_with_the_model() -> None:
    """Any order of steps leaves every version frozen, as-of reads equal to it, and the present as modelled."""
    run_state_machine_as_test(
        Study, settings=settings(max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=QUIET)
    )


def test_any_history_has_equal_digests_on_both_engines(postgres_server: str) -> None:
    """The same plans give versions of the same content on SQLite and PostgreSQL."""
    StudyOnBoth.server = postgres_server
    run_state_machine_as_test(
        StudyOnBoth,
        settings=settings(max_examples=4, stateful_step_count=20, deadline=None, suppress_health_check=QUIET),
    )


@pytest.mark.soak
def test_long_histories_agree_with_the_model(postgres_server: str) -> None:
    """As above, longer; CG_LONG_HISTORIES says how many."""
    StudyOnBoth.server = postgres_server
    run_state_machine_as_test(
        StudyOnBoth,
        settings=settings(
            max_examples=int(os.environ.get("CG_LONG_HISTORIES", "12")),
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=QUIET,
        ),
    )
