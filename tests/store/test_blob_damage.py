"""Promise P5: every damaged blob is found, and only those."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest

from commonground.store.blobs import DirectoryBlobs

KINDS = ["flip", "cut", "zero", "swap", "remove", "none"]


@pytest.fixture
def blobs(tmp_path):
    """An empty store, in memory where that can be."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
        yield DirectoryBlobs(Path(folder) / "blobs")


def damage(blobs: DirectoryBlobs, digest: str, how: str, chance: random.Random) -> None:
    """Damage one blob, of at least one byte that is not zero, in one way."""
    place = blobs.path(digest)
    data = bytearray(place.read_bytes())
    where = chance.randrange(len(data))
    if how == "flip":
        data[where] ^= 1 << chance.randrange(8)
    elif how == "cut":
        del data[where:]
    elif how == "zero":
        data = bytearray(len(data))
    elif how == "swap":
        data = bytearray(chance.randbytes(len(data)) + b"!")
    place.unlink()
    if how != "remove":
        place.write_bytes(data)


def find_all(blobs: DirectoryBlobs, count: int, seed: int) -> None:
    """Put `count` blobs, damage most of them, and find just these."""
    chance = random.Random(seed)
    sources = blobs.root.with_name("sources")
    sources.mkdir()
    for number in range(count):
        content = f"{number} ".encode() + chance.randbytes(chance.choice([1, 40, 600, 5000]))
        (sources / str(number)).write_bytes(content)
    digests = [info.digest for info in blobs.put_files(sorted(sources.iterdir()))]
    assert list(blobs.find_damaged()) == []
    expected = set()
    for digest in digests:
        how = chance.choice(KINDS)
        if how != "none":
            damage(blobs, digest, how, chance)
            expected.add(digest)
    found = [each.digest for each in blobs.find_damaged(digests)]
    assert len(found) == len(expected)
    assert set(found) == expected


def test_every_damage_of_a_thousand_is_found(blobs):
    """Of 1,000 blobs with flipped bits, cuts, zeros, other bytes or nothing all are found, and no sound one is."""
    find_all(blobs, 1000, 1)


@pytest.mark.soak
def test_every_damage_of_twelve_thousand_is_found(blobs):
    """The same for 12,000, of which 10,000 are damaged."""
    find_all(blobs, 12_000, 2)
