"""A study that can only be read: what reads still reads, what writes gives a clear error and changes nothing.

Four reasons: the disk is mounted read-only (played by `disk.c`, and real where this account may mount), the folder's
permissions, and those of the database's file alone. Permissions hold for the tests too, whoever runs them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from disk import Disk, can_mount

REFUSED = 7
READS = [
    ["status"],
    ["log"],
    ["dataset", "list"],
    ["type", "list"],
    ["show", "nodules"],
    ["find", "nodules"],
    ["verify", "--full"],
    ["doctor"],
]
WRITES = [
    ["import", "table", "../inbox/visits.csv", "--as", "Visit", "--key", "visit"],
    ["asset", "add", "../inbox/scan", "--name", "scan"],
    ["dataset", "release", "nodules"],
]
WAYS: dict[str, dict[str, Any]] = {
    "a read-only disk": {"only_read": True},
    "a folder of somebody else": {"protect": "study"},
    "a database file of somebody else": {"protect": "study/.commonground/catalogue.sqlite"},
}


@pytest.fixture(scope="module", params=["played", *(["mounted"] if can_mount() else [])])
def disk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    """The disk, and `cg` at work on it."""
    made = Disk(tmp_path_factory.mktemp("disk"), mounted=request.param == "mounted")
    yield made
    made.end()


@pytest.mark.soak
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("person", ["Tester", "Newcomer"])
def test_a_study_that_can_only_be_read_is_read(disk: Disk, way: str, person: str) -> None:
    """Whoever asks and whatever the reason, everything that only reads answers as ever, and makes no file."""
    disk.fresh()
    before = disk.look()
    for words in READS:
        who = [] if words == ["doctor"] else ["--person", person]
        done = disk.cg(*words, *who, **WAYS[way])
        assert done.status == 0, f"{words}: {done}"
    assert disk.look()["tables"] == before["tables"]
    assert disk.look()["left"] == []


@pytest.mark.soak
@pytest.mark.parametrize("way", WAYS)
def test_a_study_that_can_only_be_read_is_not_written(disk: Disk, way: str) -> None:
    """What writes says that nothing can be written here, changes nothing, and succeeds when it can be written again."""
    disk.fresh()
    before = disk.look()
    for words in WRITES:
        done = disk.cg(*words, **WAYS[way])
        assert done.status == REFUSED, f"{words}: {done}"
        assert any(why in done.err for why in ("can only be read", "may not do that")), f"{words}: {done}"
        assert "Nothing was changed" in done.err, f"{words}: {done}"
    assert disk.look() == before
    assert all(disk.cg(*words).status == 0 for words in WRITES)


@pytest.mark.soak
@pytest.mark.parametrize("way", WAYS)
def test_a_run_in_a_study_that_can_only_be_read_is_kept_elsewhere(disk: Disk, way: str) -> None:
    """A training is not kept from running: what it says waits in the person's own folder, and is delivered later."""
    disk.fresh()
    before = disk.look()
    done = disk.cg("run", "--why", "to see", "--", "true", **WAYS[way])
    assert done.status == 0, done
    assert "`cg sync` delivers what is kept" in done.err
    assert disk.look()["tables"] == before["tables"]
    assert disk.cg("sync").status == 0
    assert "finished" in disk.cg("execution", "find", "--json").out


@pytest.mark.soak
def test_a_left_log_that_nobody_may_fold_in_is_named(disk: Disk) -> None:
    """If a program was cut off and the study became read-only since, reading says so, and who can help."""
    disk.fresh()
    disk.leave_a_log()
    done = disk.cg("status", only_read=True)
    assert done.status == REFUSED, done
    assert "has a log that a program left" in done.err
    assert disk.cg("status").status == 0
    assert disk.cg("status", only_read=True).status == 0
