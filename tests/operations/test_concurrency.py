"""Several people and programs at once: nobody's work is lost, and nobody sees half of another's."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from commonground.errors import Conflict
from commonground.operations.plans import Plan
from commonground.operations.session import Session
from commonground.operations.studies import create_study
from commonground.store import changes
from commonground.store.verify import verify
from commonground.structure import datasets, entities
from commonground.structure.features import get_feature, read_values

WRITER = """
import sys, time
from pathlib import Path
from commonground.operations.studies import open_study
session = open_study(Path(sys.argv[1]), person="Tester")
name, seconds = sys.argv[2], float(sys.argv[3])
until = time.monotonic() + seconds
number = 0
while time.monotonic() < until:
    done = session.write("feature annotate", feature="grade", keys=["a"], values=[number % 5 + 1], why=name)
    print(done.change.id, flush=True)
    number += 1
"""

IMPORTER = """
import sys
from pathlib import Path
import numpy as np
from commonground.operations.studies import open_study
from commonground.structure import entities
session = open_study(Path(sys.argv[1]), person="Tester")
with session.reading() as on:
    rids = np.array(entities.list_entities(on.view, entities.get_type(on.view, "Item"))["rid"])
draw = np.random.default_rng(0)
values = draw.integers(1, 6, 1_000_000)
plan = session.plan("feature annotate", feature="grade", entities_=draw.choice(rids, 1_000_000), values=values)
print("planned", flush=True)
print(session.commit(plan).change.id, flush=True)
"""


def declare(session: Session, keys: list[str]) -> None:
    """One type, one feature, some entities."""
    session.write("type add", name="Item", columns=[{"name": "size", "holds": "real"}])
    session.write("entity upsert", type="Item", keys=keys, columns={"size": [1.0] * len(keys)})
    session.write("feature add", name="grade", type="Item", holds="int", ordered=True)
    session.write("dataset create", name="items", type="Item", keys=keys, features=["grade"])


def test_of_two_releases_of_one_dataset_one_wins(session: Session) -> None:
    """Two people who release the same state get one version and one clear conflict."""
    declare(session, ["a", "b"])
    first = session.plan("dataset release", dataset="items")
    second = session.plan("dataset release", dataset="items", description="mine")
    session.commit(first)
    with pytest.raises(Conflict, match="dataset release"):
        session.commit(second)
    with session.reading() as on:
        assert len(datasets.list_every_version(on.view)) == 1


def test_of_two_releases_at_the_same_moment_one_wins(session: Session) -> None:
    """Two threads that commit their releases together: each time one version and one conflict, on both engines."""
    declare(session, ["a", "b"])
    for round_ in range(1, 6):
        session.write("feature annotate", feature="grade", keys=["a"], values=[round_])
        plans = [session.plan("dataset release", dataset="items", description=name) for name in ("one", "two")]
        together = threading.Barrier(len(plans))
        ends: list[str] = []

        def release(plan: Plan, together: threading.Barrier = together, ends: list[str] = ends) -> None:
            together.wait()
            try:
                session.commit(plan)
                ends.append("won")
            except Exception as problem:  # noqa: BLE001 - whatever it is, the test must see it
                ends.append(f"{type(problem).__name__}: {'dataset release' in str(problem)}")

        threads = [threading.Thread(target=release, args=(plan,)) for plan in plans]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(ends) == ["Conflict: True", "won"]
        with session.reading() as on:
            assert len(datasets.list_every_version(on.view)) == round_


def test_the_same_plan_twice_is_one_change(session: Session) -> None:
    """A plan that is committed again returns the first change and does nothing."""
    declare(session, ["a"])
    plan = session.plan("feature annotate", feature="grade", keys=["a"], values=[3])
    once, again = session.commit(plan), session.commit(plan)
    assert once.change == again.change
    assert again.again
    with session.reading() as on:
        assert len(read_values(on.view, get_feature(on.view, "grade"))) == 1


def test_reads_as_of_a_change_stay_the_same_while_others_write(session: Session) -> None:
    """What a change held is the same before and after any later writing, on both engines."""
    declare(session, ["a", "b", "c"])
    stop = threading.Event()
    problems: list[Exception] = []

    def write() -> None:
        try:
            while not stop.is_set():
                session.write("feature annotate", feature="grade", keys=["a"], values=[2])
                session.write("entity upsert", type="Item", keys=["b"], columns={"size": [time.time()]})
        except Exception as problem:  # noqa: BLE001 - whatever it is, the test must see it
            problems.append(problem)

    writers = [threading.Thread(target=write) for _ in range(2)]
    seen: dict[int, object] = {}
    for writer in writers:
        writer.start()
    try:
        for _ in range(15):
            with session.reading() as on:
                newest = on.view.change
                seen[newest] = picture(session, newest)
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert not problems
    for change, told in seen.items():
        assert picture(session, change) == told


def picture(session: Session, change: int) -> object:
    """Everything that is there as of a change."""
    with session.reading(change) as on:
        values = read_values(on.view, get_feature(on.view, "grade"))
        kind = entities.get_type(on.view, "Item")
        return entities.list_entities(on.view, kind), values.entity.tolist(), values.value.tolist()


def run_writers(folder: Path, writers: int, seconds: float) -> list[list[int]]:
    """Start that many processes that write for a while; what each was told was saved."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder), f"writer {number}", str(seconds)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ,
        )
        for number in range(writers)
    ]
    told = []
    for process in processes:
        out, _ = process.communicate(timeout=seconds + 120)
        assert process.returncode == 0
        told.append([int(line) for line in out.split()])
    return told


def check_writers(session: Session, told: list[list[int]]) -> None:
    """Every acknowledged change is there under its writer's name, numbers rise without gaps, and the chain verifies."""
    with session.ground.database.read() as connection:
        log = changes.list_changes(connection, limit=10_000_000)
    found = {f"writer {number}": [] for number in range(len(told))}
    for change in reversed(log):
        if change.why in found:
            found[change.why].append(change.id)
    assert [found[f"writer {number}"] for number in range(len(told))] == told
    assert [change.id for change in reversed(log)] == list(range(1, len(log) + 1))
    assert verify(session.ground, full=True).intact


def test_eight_processes_lose_nothing(tmp_path: Path) -> None:
    """What eight processes were told is saved is there, in order, and the chain verifies."""
    session = create_study(tmp_path / "study", name="busy", person="Tester")
    declare(session, ["a"])
    told = run_writers(tmp_path / "study", 8, 3.0)
    assert all(told)
    check_writers(session, told)
    session.ground.close()


@pytest.mark.soak
def test_eight_processes_for_a_minute(tmp_path: Path) -> None:
    """The same for a minute."""
    session = create_study(tmp_path / "study", name="busy", person="Tester")
    declare(session, ["a"])
    check_writers(session, run_writers(tmp_path / "study", 8, 60.0))
    session.ground.close()


@pytest.mark.soak
def test_a_small_write_beside_a_million_values(session: Session) -> None:
    """Beside the import of a million values others go on writing: the lock is never held for the whole of it."""
    keys = [f"k{number}" for number in range(20_000)]
    declare(session, keys)
    before = session.write("feature annotate", feature="grade", keys=["k1"], values=[1]).change
    importing = subprocess.Popen(
        [sys.executable, "-c", IMPORTER, str(session.ground.folder)], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    assert importing.stdout is not None
    assert importing.stdout.readline() == "planned\n"
    waits, number = [], 0
    while importing.poll() is None:
        began, number = time.monotonic(), number % 5 + 1
        session.write("feature annotate", feature="grade", keys=["k1"], values=[number])
        waits.append(time.monotonic() - began)
        time.sleep(0.02)
    imported = int(importing.stdout.read())
    importing.stdout.close()
    assert importing.returncode == 0
    assert len(waits) > 10
    assert max(waits) < sum(waits) / 2
    with session.reading() as on:
        assert imported > before.id
        assert len(read_values(on.view, get_feature(on.view, "grade"))) == 1_000_000 + len(waits) + 1
