"""The stat cache is quick, survives any damage, and never gives the digest of other bytes."""

from __future__ import annotations

import hashlib
import os
import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonground.store import faults
from commonground.store.stat_cache import SETTLED_NS, StatCache

DIGEST = hashlib.sha256(b"x").hexdigest()
LONG_AGO_NS = 1_700_000_000_000_000_000


def stat_of(*, inode=7, size=3, mtime=LONG_AGO_NS, ctime=LONG_AGO_NS) -> os.stat_result:
    """A stat result with the four values that matter."""
    fields = (0o100644, inode, 1, 1, 0, 0, size, 0, mtime // 10**9, ctime // 10**9)
    return os.stat_result(fields, {"st_mtime_ns": mtime, "st_ctime_ns": ctime, "st_atime_ns": 0})


@pytest.fixture
def cache(tmp_path):
    """A cache with one entry, saved."""
    made = StatCache(tmp_path / "cache")
    made.record("/data/a", stat_of(), DIGEST, LONG_AGO_NS + SETTLED_NS)
    made.save()
    return made


def test_an_unchanged_file_is_known_after_loading(cache):
    """The digest comes back from a cache loaded from disk for the same stat."""
    assert StatCache(cache.path).find("/data/a", stat_of()) == DIGEST


@pytest.mark.parametrize(
    "changed", [{"inode": 8}, {"size": 4}, {"mtime": LONG_AGO_NS + 1}, {"ctime": LONG_AGO_NS + 1}], ids=str
)
def test_any_change_of_the_stat_is_a_miss(cache, changed):
    """Another inode, size, mtime or ctime, by a nanosecond, makes the entry useless."""
    assert cache.find("/data/a", stat_of(**changed)) is None
    assert cache.find("/data/b", stat_of()) is None


@pytest.mark.parametrize("field", ["mtime", "ctime"])
@pytest.mark.parametrize("age_ns", [-1, 0, 1, SETTLED_NS - 1, SETTLED_NS, SETTLED_NS + 1])
def test_a_file_changed_too_recently_is_not_believed(tmp_path, field, age_ns):
    """An entry is taken only if both times lie two seconds or more before the file was opened."""
    cache = StatCache(tmp_path / "cache")
    about = stat_of(**{field: LONG_AGO_NS})
    older = stat_of(**{"mtime": LONG_AGO_NS - 10**12, "ctime": LONG_AGO_NS - 10**12, field: LONG_AGO_NS})
    taken = cache.record("/data/a", older, DIGEST, LONG_AGO_NS + age_ns)
    assert taken == (age_ns >= SETTLED_NS)
    assert (cache.find("/data/a", older) is not None) == taken
    assert cache.find("/data/a", about) is None


def test_a_moment_in_the_future_is_not_believed(tmp_path):
    """If the clock was set back while the file was read, nothing is remembered."""
    assert not StatCache(tmp_path / "cache").record("/a", stat_of(), DIGEST, time.time_ns() + 10**12)


def test_a_rewrite_within_one_tick_is_never_served(tmp_path):
    """Same size, same times put back, just after hashing: the racy file is not in the cache."""
    path = tmp_path / "a"
    path.write_bytes(b"one")
    cache = StatCache(tmp_path / "cache")
    opened_ns = time.time_ns()
    about = path.stat()
    cache.record(str(path), about, hashlib.sha256(b"one").hexdigest(), opened_ns)
    path.write_bytes(b"two")
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert cache.find(str(path), path.stat()) is None


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damage_is_ignored_and_never_wrong(tmp_path_factory, data):
    """After a flip, cut, or overwritten stretch each lookup gives the right digest or nothing, and saving repairs."""
    path = tmp_path_factory.mktemp("cache") / "cache"
    cache = StatCache(path)
    right = {}
    for number in range(6):
        right[f"/data/{number}"] = hashlib.sha256(str(number).encode()).hexdigest()
        cache.record(f"/data/{number}", stat_of(inode=number), right[f"/data/{number}"], LONG_AGO_NS + SETTLED_NS)
        if number % 2:
            cache.save()
    raw = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(raw) - 1))
    how = data.draw(st.sampled_from(["flip", "cut", "zero", "repeat", "swap"]))
    if how == "flip":
        raw[place] ^= 1 << data.draw(st.integers(0, 7))
    elif how == "cut":
        del raw[place:]
    elif how == "zero":
        raw[place : place + 64] = bytes(64)
    elif how == "repeat":
        raw += raw[place:]
    else:
        raw = raw[place:] + raw[:place]
    path.write_bytes(raw)
    damaged = StatCache(path)
    for number, (name, digest) in enumerate(right.items()):
        assert damaged.find(name, stat_of(inode=number)) in {digest, None}
    damaged.record("/data/new", stat_of(), DIGEST, LONG_AGO_NS + SETTLED_NS)
    damaged.save()
    assert StatCache(path).find("/data/new", stat_of()) == DIGEST


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 3), st.booleans()), max_size=30))
def test_it_is_a_dictionary_whatever_the_order_of_saves(tmp_path_factory, steps):
    """Any sequence of records, saves and loads gives what a dictionary of the last records would."""
    path = tmp_path_factory.mktemp("cache") / "cache"
    cache, model = StatCache(path), {}
    for name, size, saves in steps:
        digest = hashlib.sha256(f"{name}{size}".encode()).hexdigest()
        cache.record(name, stat_of(size=size), digest, LONG_AGO_NS + SETTLED_NS)
        model[name] = (size, digest)
        if saves:
            cache.save()
            cache = StatCache(path)
    for name, (size, digest) in model.items():
        assert cache.find(name, stat_of(size=size)) == digest
    assert len(cache) == len(model)


def test_a_cache_rewritten_often_does_not_grow(tmp_path):
    """Changing the same files again and again makes the file be written anew, not longer for ever."""
    cache = StatCache(tmp_path / "cache")
    for round_number in range(200):
        for number in range(100):
            cache.record(str(number), stat_of(size=round_number), DIGEST, LONG_AGO_NS + SETTLED_NS)
        cache.save()
    assert (tmp_path / "cache").stat().st_size < 2000 * 80
    assert len(StatCache(cache.path)) == 100


@pytest.mark.parametrize("action", ["eio", "enospc", "emfile", "erofs"])
def test_a_disk_that_fails_costs_only_the_cache(tmp_path, monkeypatch, action):
    """An error while saving or loading raises nothing, and the next save puts things right."""
    monkeypatch.setenv(faults.MARK, "1")
    cache = StatCache(tmp_path / "cache")
    cache.record("/a", stat_of(), DIGEST, LONG_AGO_NS + SETTLED_NS)
    for point in ("stat_cache.save", "files.open", "files.write"):
        with faults.planned(f"{point}:1:{action}"):
            cache.save()
    cache.save()
    with faults.planned(f"stat_cache.load:1:{action}"):
        assert len(StatCache(cache.path)) == 0
    assert StatCache(cache.path).find("/a", stat_of()) == DIGEST


def test_foreign_and_odd_files_are_ignored(tmp_path):
    """An empty file, a text, a huge count and a folder in its place are all just an empty cache."""
    huge = struct.pack("<8sIQI", b"CGSC\x01\0\0\0", 2**32 - 1, 2**63, 0)
    for content in (b"", b"hello", huge, huge * 3):
        (tmp_path / "cache").write_bytes(content)
        assert len(StatCache(tmp_path / "cache")) == 0
    assert len(StatCache(tmp_path)) == 0


def test_a_hundred_thousand_entries_are_kept(tmp_path):
    """100,000 entries are all there when the cache is read again."""
    cache = StatCache(tmp_path / "cache")
    for number in range(100_000):
        cache.record(f"/data/scans/{number:08d}.dcm", stat_of(inode=number), DIGEST, LONG_AGO_NS + SETTLED_NS)
    cache.save()
    assert len(StatCache(tmp_path / "cache")) == 100_000
