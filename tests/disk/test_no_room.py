"""A disk without room, as the system tells it: every verb gives a clear error and changes nothing, or it succeeds.

The room is nothing at first and grows until the verb succeeds, so that locks, log, spool, blobs, parts and database are
each the first to find none. Three disks: one that `disk.c` plays, which refuses writes at an exact byte; the same that
takes all writes and refuses the sync; and, where this account may mount one, a real file system in memory. Then there
is room again: what was begun is delivered, the same verb succeeds, and all verifies.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from kill_workloads import MARK

from disk import Disk, Told, can_mount

REFUSED = 7
VERBS = {
    "import": ["import", "table", "../inbox/visits.csv", "--as", "Visit", "--key", "visit"],
    "asset add": ["asset", "add", "../inbox/scan", "--name", "scan"],
    "release": ["dataset", "release", "nodules"],
    "run": ["run", "--why", "to see", "--", sys.executable, "-c", "print(1)"],
    "erase": ["erase", "--type", "Patient", "--key", MARK, "--basis", "withdrawn consent"],
    "backup": ["backup", "../copy-2"],
    "restore": ["restore", "../copy", "../to"],
    "init": ["init", "../new"],
}
# A real file system for whom the system lets mount one; the played disk is there for everybody.
DISKS = ["played", "played, at the sync", *(["mounted"] if can_mount() else [])]
FIRST, MOST = 6_000, 1 << 25
SMALL_STEP, LARGE_STEP = 3, 9
"""How the room grows: on the disk that refuses a write at an exact byte in smaller steps."""


@pytest.fixture(scope="module", params=DISKS)
def disk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    """The disk, and `cg` at work on it."""
    mounted, at_sync = request.param == "mounted", request.param.endswith("sync")
    made = Disk(tmp_path_factory.mktemp("disk"), mounted=mounted, at_sync=at_sync)
    yield made
    made.end()


def try_once(disk: Disk, verb: str, room: int) -> bool:
    """One verb with so much room, and all that must hold after it; whether it succeeded."""
    disk.fresh()
    before = disk.look()
    done = disk.cg(*VERBS[verb], room=room)
    after = disk.look()
    told = f"{verb} with room for {room}: {done}"
    if done.status:
        assert_clear(done, told)
        if verb == "erase" and after["change"] > before["change"]:
            assert "is on record" in done.err, told
            assert "Nothing was changed" not in done.err, told
        else:
            assert after["tables"] == before["tables"], told
            assert "Nothing was changed" in done.err, told
    assert all(disk.look(other) is None for other in ("to", "new")) or not done.status, told
    with_room_again(disk, verb, done, told)
    return done.status == 0


def assert_clear(done: Told, told: str) -> None:
    """The error is one of ours, names the disk, and says what to do."""
    assert done.status == REFUSED, told
    assert any(words in done.err for words in ("no room", "is full", "no space left")), told
    assert any(word in done.err for word in ("Free some", "Make room")), told
    assert "Traceback" not in done.err, told


def with_room_again(disk: Disk, verb: str, done: Told, told: str) -> None:
    """What was begun is finished, the verb succeeds, nothing is left over, and all verifies."""
    assert disk.cg("sync").status == 0, told
    if verb == "erase" and disk.cg("log").out.count("erase"):
        assert disk.look()["marked"] == [], told
    elif done.status:
        words = [word.replace("copy-2", "copy-3") for word in VERBS[verb]]
        again = disk.cg(*words)
        assert again.status == 0, f"{told}, then {again}"
    assert disk.cg("gc").status == 0, told
    assert disk.look()["left"] == [], told
    for study in [*{"restore": ["to"], "init": ["new"]}.get(verb, []), "."]:
        found = disk.cg("verify", "--full", "--study", f"../{study}" if study != "." else study)
        assert found.status == 0, f"{told}, then {found}"


@pytest.mark.soak
@pytest.mark.parametrize("verb", VERBS)
def test_a_disk_without_room_stops_a_verb_and_changes_nothing(disk: Disk, verb: str) -> None:
    """However little room there is, a verb gives a clear error and changes nothing, or succeeds; then all goes on.

    An erasure that was recorded and could not be finished says so, and is finished when there is room.
    """
    room = 0
    while not try_once(disk, verb, room) and room < MOST:
        room = room * (LARGE_STEP if disk.mounted or disk.at_sync else SMALL_STEP) or FIRST
    assert room < MOST
