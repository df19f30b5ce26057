"""Adding files costs little more than copying and hashing them, and adding them again costs much less.

Processor time is compared, in memory, in one run and best of three: the disk of a shared machine says little, and a
sync is charged for what other programs wrote. The figures by the clock, with the disk, are those of the benchmark.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest

from commonground.store import stat_cache
from commonground.store.blobs import DirectoryBlobs
from commonground.store.stat_cache import StatCache

FILES = 2000
SIZE = 10 * 1024


def cost(action) -> float:
    """Processor seconds that `action` takes."""
    start = time.process_time()
    action()
    return time.process_time() - start


@pytest.fixture
def place(tmp_path):
    """A folder in memory where there is one, else on the disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
        yield Path(folder)


@pytest.fixture
def sources(place, monkeypatch):
    """2,000 files of 10 KiB that have not changed for 50 ms, which is many ticks of this disk."""
    monkeypatch.setattr(stat_cache, "SETTLED_NS", 50_000_000)
    (place / "sources").mkdir()
    paths = [str(place / "sources" / f"{number:05d}") for number in range(FILES)]
    for path in paths:
        with open(path, "wb") as file:  # noqa: PTH123 - as many as these
            file.write(os.urandom(SIZE))
    time.sleep(0.1)
    return paths


def test_adding_costs_at_most_twice_copying_and_hashing(place, sources):
    """Durable adding of 2,000 files costs at most 2 times, adding again at most a quarter of the first time."""

    def copy_and_hash(folder):
        folder.mkdir()
        for path in sources:
            copied = shutil.copyfile(path, folder / os.path.basename(path))  # noqa: PTH119 - as many as these
            with copied.open("rb") as file:
                hashlib.file_digest(file, "sha256").hexdigest()

    plain, first, again = [], [], []
    for number in range(3):
        plain.append(cost(lambda number=number: copy_and_hash(place / f"plain{number}")))
        blobs = DirectoryBlobs(place / f"blobs{number}")
        blobs.put_bytes(b"the folders are made")
        cache = place / f"cache{number}"
        for costs in (first, again):
            costs.append(cost(lambda blobs=blobs, cache=cache: blobs.put_files(sources, cache=StatCache(cache))))
        assert len(StatCache(cache)) == FILES
    assert min(first) <= 2 * min(plain)
    assert min(again) <= min(first) / 4
