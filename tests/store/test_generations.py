"""Garbage collection never removes what is wanted or on its way, whatever runs beside it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from commonground.errors import Busy, InvalidInput
from commonground.store import faults
from commonground.store.blobs import DirectoryBlobs
from commonground.store.generations import Generations, mark_time

PAYLOADS = [b"a", b"b", b"c", b"d"]
DIGESTS = {hashlib.sha256(payload).hexdigest(): payload for payload in PAYLOADS}


@pytest.fixture
def blobs(tmp_path) -> DirectoryBlobs:
    """A store that does not wait for a lock."""
    return DirectoryBlobs(tmp_path / "blobs", wait_s=0)


def start_holder(root: Path) -> subprocess.Popen[str]:
    """A process that puts b'held' under a hold, says so, and waits."""
    code = (
        "import sys; from commonground.store.blobs import DirectoryBlobs\n"
        "with DirectoryBlobs(sys.argv[1]).holding():\n"
        "    print(DirectoryBlobs(sys.argv[1]).put_bytes(b'held').digest, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_only_what_nobody_wants_goes(blobs):
    """Of three blobs the two that are kept stay, the third goes, with its size counted."""
    kept = [blobs.put_bytes(data).digest for data in (b"one", b"two")]
    gone = blobs.put_bytes(b"three").digest
    swept = blobs.sweep(kept, blobs.begin_generation())
    assert (swept.digests, swept.size) == ([gone], 5)
    assert set(blobs.iterate()) == set(kept)


def test_what_is_put_or_touched_after_the_beginning_stays(blobs):
    """New, put again and touched blobs survive the sweep that began before, and not the next one."""
    old = [blobs.put_bytes(data).digest for data in (b"again", b"touched", b"gone")]
    generation = blobs.begin_generation()
    blobs.put_bytes(b"again")
    assert blobs.touch([old[1]]) == set()
    new = blobs.put_bytes(b"new").digest
    assert blobs.sweep([], generation).digests == [old[2]]
    assert set(blobs.iterate()) == {old[0], old[1], new}
    assert set(blobs.sweep([], blobs.begin_generation()).digests) == {old[0], old[1], new}


def test_touch_tells_what_is_missing(blobs):
    """Touching an absent blob reports it and makes nothing."""
    here = blobs.put_bytes(b"here").digest
    absent = hashlib.sha256(b"absent").hexdigest()
    assert blobs.touch([absent, here]) == {absent}
    assert list(blobs.iterate()) == [here]


def test_a_hold_from_before_the_beginning_protects_after_its_end(blobs):
    """Put; a collection begins and reads the record; the digest is recorded and the hold ends; the sweep keeps it."""
    record: set[str] = set()
    with blobs.holding():
        digest = blobs.put_bytes(b"late").digest
        generation = blobs.begin_generation()
        keep = set(record)
        record.add(digest)
    assert blobs.sweep(keep, generation).digests == []
    assert blobs.get_bytes(digest) == b"late"


def test_a_stopped_process_keeps_its_hold_and_a_dead_one_does_not(blobs):
    """SIGSTOP, as of a laptop that sleeps, protects what was put through two collections; SIGKILL ends it."""
    with start_holder(blobs.root) as holder:
        assert holder.stdout is not None
        digest = holder.stdout.readline().strip()
        os.kill(holder.pid, signal.SIGSTOP)
        for _ in range(2):
            assert blobs.sweep([], blobs.begin_generation()).digests == []
        holder.kill()
    assert blobs.sweep([], blobs.begin_generation()).digests == [digest]


def test_old_generations_leave_no_files(blobs):
    """A hundred collections leave one file of a generation, and numbers that only rise."""
    numbers = [blobs.begin_generation().number for _ in range(100)]
    assert numbers == sorted(set(numbers))
    assert sorted(path.name for path in (blobs.root / "generations").iterdir()) == sorted(["lock", str(numbers[-1])])


@pytest.mark.parametrize("moment_s", [0, 1, 1_700_000_000, 946_684_801, mark_time(50)[0] / 1e9], ids=str)
def test_a_restored_blob_counts_as_new(blobs, moment_s):
    """A time that is no mark, or one of a later generation, is marked anew: kept once, collected the next time."""
    digest = blobs.put_bytes(b"restored").digest
    os.utime(blobs.path(digest), (moment_s, moment_s))
    assert blobs.sweep([], blobs.begin_generation()).digests == []
    assert blobs.sweep([], blobs.begin_generation()).digests == [digest]


def test_what_dead_processes_left_is_removed(blobs):
    """Temporary files of an ended hold go with the next sweep, those of a living one stay."""
    with blobs.holding() as old:
        (blobs.root / "staging" / f"{old}-dead-0").touch()
    blobs.begin_generation()
    with blobs.holding() as hold:
        (blobs.root / "staging" / f"{hold}-living-0").touch()
        blobs.sweep([], blobs.begin_generation())
        assert [path.name for path in (blobs.root / "staging").iterdir()] == [f"{hold}-living-0"]
    blobs.sweep([], blobs.begin_generation())
    assert list((blobs.root / "staging").iterdir()) == []


def test_a_wrong_digest_among_those_to_keep_removes_nothing(blobs):
    """Before anything is removed the whole list is checked."""
    digest = blobs.put_bytes(b"x").digest
    with pytest.raises(InvalidInput):
        blobs.sweep([digest.upper()], blobs.begin_generation())
    with pytest.raises(InvalidInput, match="not begun"):
        blobs.sweep([], type(blobs.begin_generation())(99, 99))
    assert blobs.has(digest)


def test_a_lock_that_is_not_to_be_had_is_busy(blobs):
    """While a sweep works on a folder a put waits, then says Busy; nothing is lost."""
    generations = Generations(blobs.root / "generations", wait_s=0.05)
    digest = blobs.put_bytes(b"x").digest
    with generations.exclusive():
        with pytest.raises(Busy):
            blobs.put_bytes(b"y")
        with pytest.raises(Busy):
            blobs.begin_generation()
    generation = blobs.begin_generation()
    with generations.shared(), pytest.raises(Busy):
        blobs.sweep([], generation)
    assert blobs.has(digest)


def test_erasing_removes_at_once(blobs):
    """An erasure destroys also what is held and wanted."""
    with blobs.holding():
        digest = blobs.put_bytes(b"x").digest
        assert blobs.erase([digest, hashlib.sha256(b"absent").hexdigest()]) == 1
    assert not blobs.has(digest)


class World:
    """A record and those who work on it; every fault point may let somebody else act in between."""

    def __init__(self, blobs: DirectoryBlobs, seed: int) -> None:
        self.blobs = blobs
        self.random = random.Random(seed)
        self.record: set[str] = set()
        self.depth = 0
        self.acts = 0

    def pause(self, point: str = "") -> None:
        """Perhaps let somebody else act here; a sweep passes two points for each of its 256 folders."""
        chance = 0.002 if point in {"gc.list", "gc.swept"} else 0.08
        if self.depth < 3 and self.random.random() < chance:
            self.act()

    def act(self) -> None:
        """One random act of a random process."""
        self.depth += 1
        self.acts += 1
        try:
            self.random.choice([self.commit, self.commit, self.refer, self.forget, self.collect])()
        except Busy:
            pass
        finally:
            self.depth -= 1

    def commit(self) -> None:
        """Put a payload, then record its digest, as one transaction does."""
        with self.blobs.holding():
            digest = self.blobs.put_bytes(self.random.choice(PAYLOADS)).digest
            self.pause()
            self.record.add(digest)

    def refer(self) -> None:
        """Record a digest again that was known from before, if its blob is still there."""
        digest = self.random.choice(list(DIGESTS))
        with self.blobs.holding():
            if not self.blobs.touch([digest]):
                self.pause()
                self.record.add(digest)

    def forget(self) -> None:
        """Take a digest out of the record."""
        self.record.discard(self.random.choice(list(DIGESTS)))

    def collect(self) -> None:
        """A whole collection."""
        generation = self.blobs.begin_generation()
        self.pause()
        keep = set(self.record)
        self.pause()
        self.blobs.sweep(keep, generation)

    def check(self) -> None:
        """Everything recorded is there and right; nobody acts meanwhile."""
        self.depth = 3
        for digest in self.record:
            assert self.blobs.get_bytes(digest) == DIGESTS[digest]
        self.depth = 0


def run_interleavings(blobs: DirectoryBlobs, count: int, seed: int) -> World:
    """`count` acts at the top, each with others nested into its steps, the record checked after each."""
    world = World(blobs, seed)
    with faults.recording(world.pause):
        for _ in range(count):
            world.act()
            world.check()
    return world


@pytest.mark.parametrize("seed", range(4))
def test_no_interleaving_loses_a_blob(blobs, seed):
    """In 300 interleavings a seed of puts, references, removals and collections nothing recorded is ever missing."""
    world = run_interleavings(blobs, 300, seed)
    assert world.acts > 600
    blobs.sweep(world.record, blobs.begin_generation())
    blobs.sweep(world.record, blobs.begin_generation())
    assert set(blobs.iterate()) == world.record


@pytest.mark.soak
def test_ten_thousand_interleavings(blobs):
    """Promise P8: 10,000 interleavings, 0 missing blobs."""
    run_interleavings(blobs, 10_000, 99)


WORKER = """
import json, os, random, sys, time
from pathlib import Path
from commonground.store.blobs import DirectoryBlobs
root, record, seed, until = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
blobs, chance, mine, acts = DirectoryBlobs(root), random.Random(seed), set(), 0
def save():
    record.with_suffix(".new").write_text(json.dumps(sorted(mine)))
    record.with_suffix(".new").rename(record)
while time.time() < until:
    acts += 1
    if chance.random() < 0.3 and mine:
        mine.discard(chance.choice(sorted(mine)))
        save()
    else:
        with blobs.holding():
            payload = chance.choice("abcdefgh").encode()
            digest = blobs.put_bytes(payload).digest
            time.sleep(chance.random() * 0.002)
            mine.add(digest)
            save()
    for digest in mine:
        blobs.get_bytes(digest)
print(acts)
"""
COLLECTOR = """
import json, sys, time
from pathlib import Path
from commonground.store.blobs import DirectoryBlobs
root, folder, until = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
blobs, removed, rounds = DirectoryBlobs(root), 0, 0
while time.time() < until:
    generation = blobs.begin_generation()
    keep = {digest for path in folder.glob("*.json") for digest in json.loads(path.read_text())}
    removed += len(blobs.sweep(keep, generation).digests)
    rounds += 1
print(removed)
"""


def test_real_processes_side_by_side(tmp_path):
    """Three processes put and forget while a fourth collects for two seconds: no read ever fails, garbage goes."""
    root, folder = tmp_path / "blobs", tmp_path / "record"
    folder.mkdir()
    until = str(time.time() + 2.5)
    commands = [[WORKER, root, folder / f"{seed}.json", seed, until] for seed in range(3)]
    commands.append([COLLECTOR, root, folder, until])
    children = [
        subprocess.Popen(
            [sys.executable, "-c", *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for command in commands
    ]
    results = [child.communicate(timeout=60) for child in children]
    assert [child.returncode for child in children] == [0] * 4, [error for _, error in results]
    *acts, removed = [int(out) for out, _ in results]
    assert min(acts) > 5
    assert removed > 0
    blobs = DirectoryBlobs(root)
    for path in folder.glob("*.json"):
        for digest in json.loads(path.read_text()):
            assert hashlib.sha256(blobs.get_bytes(digest)).hexdigest() == digest
