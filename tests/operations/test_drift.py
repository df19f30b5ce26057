"""Whether a dataset has changed is what measuring all of it anew says, in every history that is tried."""

from __future__ import annotations

import contextlib
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from commonground.errors import CommonGroundError
from commonground.operations.plans import Reading
from commonground.operations.session import Session
from commonground.store.ground import Ground
from commonground.structure import datasets
from commonground.structure.drift import is_drifted
from commonground.structure.scopes import measure_scope
from commonground.structure.versions import Manifest, load_manifest, measure_manifest, unseal
from kept_studies import KeptStudy

MANY = int(os.environ.get("CG_DRIFT_HISTORIES", "10000"))
SEED = int(os.environ.get("CG_DRIFT_SEED", "2"))
NEWEST = 0.8
"""How often it is the newest release that a dataset is compared with, and not just any."""
TRUNK = 8
"""How many times a study goes on, and is released, before it begins anew."""
DEEPEST = 2
"""How many steps after a release are tried."""
CHILDREN = 6
PATIENTS = ["p0", "p1", "p2"]
NODULES = ["n0", "n1", "n2", "n3"]
MORE = [*NODULES, "n4", "n5"]
DATASETS = ["few", "all", "new"]
FEATURES = ["grade", "kind", "other"]
Step = tuple[str, dict[str, Any]]


class OneTransaction:
    """A study's database while one transaction is open in which everything happens and which is never committed."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """What has been written so far."""
        yield self._connection

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """The same, and an error takes back what was written since."""
        with self._connection.begin_nested():
            yield self._connection


class Histories:
    """Random histories of one study: it goes on, all that changed is released, and from there many ways are tried."""

    def __init__(self, session: Session, seed: int) -> None:
        self.session = session
        self.random = random.Random(seed)
        self.seen: set[tuple[str, ...]] = set()
        self.told: Counter[tuple[bool, str]] = Counter()
        self.verbs: Counter[str] = Counter()
        self._manifests: dict[str, Manifest] = {}

    def run(self, wanted: int) -> None:
        """Try that many different histories; afterwards the study is as it was."""
        while len(self.seen) < wanted:
            path: tuple[str, ...] = ()
            with self.going_back():
                for _ in range(TRUNK):
                    path = self.go_on(path)
                    self.grow(wanted, path, ())

    def go_on(self, path: tuple[str, ...]) -> tuple[str, ...]:
        """Three more steps, and a release of every dataset that they changed."""
        there = len(path)
        while len(path) < there + 3:
            path += self.take(*self.draw())
        for name in DATASETS:
            path += self.take("dataset release", {"dataset": name})
        return path

    def grow(self, wanted: int, path: tuple[str, ...], since: tuple[str, ...]) -> None:
        """Try histories that begin with `path` and go on with `since`."""
        for _ in range(CHILDREN):
            if len(self.seen) >= wanted:
                return
            verb, args = self.draw()
            with self.going_back():
                longer = (*since, f"{verb} {args}")
                if (*path, *longer) not in self.seen and self.take(verb, args):
                    self.seen.add((*path, *longer))
                    self.check(longer)
                    if len(longer) < DEEPEST:
                        self.grow(wanted, path, longer)

    @contextlib.contextmanager
    def going_back(self) -> Iterator[None]:
        """Whatever is done inside the block is taken back."""
        with self.session.reading() as on, contextlib.closing(on.view.connection.begin_nested()) as savepoint:
            yield
            savepoint.rollback()

    def take(self, verb: str, args: dict[str, Any]) -> tuple[str, ...]:
        """Take a step and tell it; nothing if the study refuses or has nothing to do."""
        try:
            done = self.session.write(verb, **args)
        except CommonGroundError:
            return ()
        if done.change is None:
            return ()
        self.verbs[verb] += 1
        return (f"{verb} {args}",)

    def draw(self) -> Step:
        """A step, drawn at random."""
        return self.random.choice(STEPS)(self.random, self.session)

    def check(self, since: tuple[str, ...]) -> None:
        """For one of the datasets, `is_drifted` since a release is what measuring all of it anew says."""
        with self.session.reading() as on:
            releases = [datasets.list_versions(on.view, one.rid) for one in datasets.list_datasets(on.view)]
            released = self.random.choice([versions for versions in releases if versions])
            version = released[0] if self.random.random() < NEWEST else self.random.choice(released)
            recorded = self.load(on, version.manifest)
            said = unseal(on.view.connection, recorded).digest
            changed = measure_manifest(on.view, measure_scope(on.view, version.dataset)).digest != said
            assert is_drifted(on.view, version, recorded) is changed, since
            steps = "none" if all(one.startswith(HARMLESS) for one in since) else str(len(since))
            self.told[changed, steps] += 1

    def load(self, on: Reading, blob: str) -> Manifest:
        """A manifest, read once."""
        if blob not in self._manifests:
            self._manifests[blob] = load_manifest(on.view, on.ground.blobs, blob)
        return self._manifests[blob]


def some(drawn: random.Random, names: list[str]) -> list[str]:
    """One or two of the names."""
    return sorted(drawn.sample(names, drawn.choice([1, 1, 2])))


def step(verb: str, **args: Callable[[random.Random], Any]) -> Callable[[random.Random, Session], Step]:
    """A step whose arguments are drawn."""
    return lambda drawn, _session: (verb, {name: choose(drawn) for name, choose in args.items()})


def always(value: object) -> Callable[[random.Random], Any]:
    """An argument that is always the same."""
    return lambda _drawn: value


def one_of(*values: object) -> Callable[[random.Random], Any]:
    """An argument that is one of these."""
    return lambda drawn: drawn.choice(values)


def columns_of(name: str, *values: object) -> Callable[[random.Random, Session], Step]:
    """One entity gets a value in a column."""
    type_name, keys = ("Patient", PATIENTS) if name == "age" else ("Nodule", MORE)
    return lambda drawn, _session: (
        "entity upsert",
        {"type": type_name, "keys": [drawn.choice(keys)], "columns": {name: [drawn.choice(values)]}},
    )


def undo(_drawn: random.Random, session: Session) -> Step:
    """The newest change is undone."""
    with session.reading() as on:
        return "revert", {"change": on.view.change}


def label(drawn: random.Random, _session: Session) -> Step:
    """A reader says something of a nodule."""
    feature = drawn.choice(FEATURES)
    value: Any = drawn.choice(["round", "flat"]) if feature == "kind" else drawn.randint(1, 3)
    return "feature annotate", {
        "feature": feature,
        "keys": [drawn.choice(MORE)],
        "values": [value],
        "slots": [drawn.choice(["reader 1", "reader 2"])],
    }


def merge(drawn: random.Random, _session: Session) -> Step:
    """A nodule turns out to be another one."""
    old, into = drawn.sample(MORE, 2)
    return "entity merge", {"type": "Nodule", "duplicate": old, "into": into}


def nested(verb: str) -> Callable[[random.Random, Session], Step]:
    """A dataset goes into another, or comes out."""
    return lambda drawn, _session: (verb, dict(zip(("dataset", "inside"), drawn.sample(DATASETS, 2), strict=True)))


def keys_of(drawn: random.Random) -> list[str]:
    """Some nodules."""
    return some(drawn, MORE)


STEPS: list[Callable[[random.Random, Session], Step]] = [
    columns_of("size", 1.0, 2.0, None),
    columns_of("patient", *PATIENTS, None),
    columns_of("age", 40, 41, None),
    step("entity upsert", type=always("Scanner"), keys=lambda d: some(d, ["s0", "s1"]), columns=always({})),
    step("entity upsert", type=always("Scanner"), keys=lambda d: some(d, ["s0", "s1"]), columns=always({})),
    label,
    label,
    step("dataset add", dataset=one_of(*DATASETS), type=always("Nodule"), keys=keys_of),
    step("dataset remove", dataset=one_of(*DATASETS), type=always("Nodule"), keys=keys_of),
    step("dataset add", dataset=one_of(*DATASETS), features=lambda d: [d.choice(FEATURES)]),
    step("dataset add", dataset=one_of(*DATASETS), criteria=one_of("size > 1", "size > 2"), reason=one_of("a", "b")),
    nested("dataset nest"),
    nested("dataset unnest"),
    step("dataset create", name=always("new"), type=always("Nodule"), keys=keys_of),
    step("dataset release", dataset=one_of(*DATASETS)),
    step("type extend", type=one_of("Nodule", "Patient"), columns=always([{"name": "note", "holds": "text"}])),
    merge,
    step("entity withdraw", type=always("Nodule"), keys=lambda d: [d.choice(MORE)], reason=always("twice")),
    step("rename", what=one_of("round", "round", "Nodule", "grade"), to=one_of("sphere", "ball")),
    step("term add", vocabulary=always("kinds"), terms=always(["oval"])),
    step("person add", name=one_of("Ada", "Ben")),
    step("person add", name=one_of("Ada", "Ben")),
    step("vocabulary add", name=always("more"), terms=always(["x"])),
    step("execution start", name=always("by hand"), inputs=always(["all"])),
    undo,
    undo,
]
HARMLESS = ("person add", "vocabulary add", "execution start", "entity upsert {'type': 'Scanner'")
VERBS = {
    "dataset add", "dataset create", "dataset nest", "dataset release", "dataset remove", "dataset unnest",
    "entity merge", "entity upsert", "entity withdraw", "execution start", "feature annotate", "person add",
    "rename", "revert", "term add", "type extend", "vocabulary add",
}  # fmt: skip


def begin(session: Session) -> None:
    """A study with three types, three features, and a dataset nested in another, both released."""
    session.write("vocabulary add", name="kinds", terms=["round", "flat"])
    session.write("type add", name="Scanner", columns=[])
    session.write("type add", name="Patient", columns=[{"name": "age", "holds": "int"}])
    session.write(
        "type add",
        name="Nodule",
        columns=[{"name": "patient", "holds": "link", "target": "Patient"}, {"name": "size", "holds": "real"}],
    )
    for name in ("grade", "other"):
        session.write("feature add", name=name, type="Nodule", holds="int")
    session.write("feature add", name="kind", type="Nodule", holds="term", vocabulary="kinds")
    session.write("entity upsert", type="Patient", keys=PATIENTS, columns={"age": [40] * 3})
    owners = {"patient": ["p0", "p0", "p1", None], "size": [1.0] * 4}
    session.write("entity upsert", type="Nodule", keys=NODULES, columns=owners)
    for feature, value in (("grade", 1), ("kind", "round"), ("other", 1)):
        session.write("feature annotate", feature=feature, keys=["n0"], values=[value], slots=["reader 1"])
    session.write("dataset create", name="few", type="Nodule", keys=NODULES[:2], features=["kind"])
    session.write("dataset create", name="all", type="Nodule", keys=NODULES[2:3], features=["grade"])
    session.write("dataset nest", dataset="few", inside="all")
    for name in ("few", "all"):
        session.write("dataset release", dataset=name)


def try_histories(session: Session, seed: int, wanted: int) -> int:
    """That many different histories of a study are right, in which often something had changed and often nothing."""
    begin(session)
    with session.ground.database.write() as connection:
        place = Ground(session.ground.folder, OneTransaction(connection), session.ground.blobs, session.ground.facts)
        found = Histories(Session(place, session.actor, session.role), seed)
        found.run(wanted)
        connection.rollback()
    assert set(found.verbs) == VERBS or wanted < len(VERBS) * 100
    often = {one: found.told[one] for one in [(False, "none"), (False, "1"), (True, "1"), (False, "2"), (True, "2")]}
    assert min(often.values()) > wanted // 50, often
    return len(found.seen)


def test_changed_is_what_measuring_all_says(session: Session) -> None:
    """In 100 different histories on each engine `dirty?` equals full recomputation."""
    assert try_histories(session, SEED, 100) == 100


@pytest.mark.soak
@pytest.mark.parametrize("quarter", range(4))
def test_changed_is_what_measuring_all_says_ten_thousand_times(
    kept_file_study: KeptStudy, tmp_path: Path, quarter: int
) -> None:
    """The same in 10,000 different histories, a quarter of them each, on the engine that takes less time to ask."""
    session = kept_file_study.renew(tmp_path / "study")
    session.write("person add", name=f"Quarter {quarter}")
    assert try_histories(session, SEED + quarter, MANY // 4) == MANY // 4
    session.ground.close()
