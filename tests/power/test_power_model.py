"""The images of the model are states that a power cut may leave, and all of them can come."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from power_log import Log, Operation, Start
from power_model import Disk, images, replay

NOTHING = Start({}, ())
OLD = Start({"a": (1, b"old")}, ())


def op(kind: str, path: str = "", *, inode: int = 0, number: int = 0, data: bytes = b"", target: str = "") -> Operation:
    """One operation."""
    return Operation(kind, inode, number, data, path, target)


def outcomes(start: Start, *operations: Operation, count: int = 400) -> set[tuple[tuple[str, bytes], ...]]:
    """All states that come up when the power goes after the last operation."""
    disk = Disk(Log(start, operations))
    for operation in operations:
        disk.do(operation)
    return {tuple(sorted(disk.image(random.Random(seed))[0].items())) for seed in range(count)}


def test_a_synced_file_with_a_synced_name_is_certain():
    """Made, written, synced, and its folder synced: there is one outcome."""
    steps = [op("C", "a", inode=1), op("W", inode=1, data=b"new"), op("S", inode=1), op("D")]
    assert outcomes(NOTHING, *steps) == {(("a", b"new"),)}


def test_without_the_folder_the_name_may_be_missing():
    """A synced file whose folder is not synced is there whole or not at all."""
    steps = [op("C", "a", inode=1), op("W", inode=1, data=b"new"), op("S", inode=1)]
    assert outcomes(NOTHING, *steps) == {(), (("a", b"new"),)}


def test_without_the_sync_a_name_may_lead_to_nothing():
    """The classic mistake, rename without sync, may leave the new name with no bytes, zeros or all."""
    steps = [op("C", "t", inode=2), op("W", inode=2, data=b"new"), op("R", "t", target="a"), op("D")]
    assert outcomes(OLD, *steps) == {(("a", b""),), (("a", bytes(3)),), (("a", b"new"),)}


def test_a_rename_is_old_or_new_and_never_neither():
    """Before the sync a file has its old or its new name; between two folders it may have both; never none."""
    steps = [op("C", "t", inode=2), op("W", inode=2, data=b"new"), op("S", inode=2), op("D"), op("R", "t", target="a")]
    found = outcomes(OLD, *steps)
    assert found == {(("a", b"old"), ("t", b"new")), (("a", b"new"),)}
    moved = [op("K", "x"), op("K", "y"), op("C", "x/f", inode=5), op("Y"), op("R", "x/f", target="y/f")]
    assert outcomes(NOTHING, *moved) == {(("x/f", b""),), (("y/f", b""),), (("x/f", b""), ("y/f", b""))}


def test_the_sync_of_either_folder_makes_a_rename_safe():
    """After the folder of the old name is synced the new name is there too; after that of the new, the old may stay."""
    steps = [op("K", "x"), op("K", "y"), op("C", "x/f", inode=5), op("Y"), op("R", "x/f", target="y/f")]
    assert outcomes(NOTHING, *steps, op("D", "x")) == {(("y/f", b""),)}
    assert outcomes(NOTHING, *steps, op("D", "y")) == {(("y/f", b""),), (("x/f", b""), ("y/f", b""))}


def test_the_sync_of_a_folder_makes_every_name_in_it_safe():
    """After renames within a folder, what was made in it later is on the disk as well when it is synced."""
    steps = [op("K", "a"), op("Y"), op("R", "a", target="b"), op("K", "c"), op("R", "c", target="d")]
    later = [op("C", "e", inode=5), op("D")]
    assert outcomes(NOTHING, *steps, *later) == {(("e", b""),)}


def test_a_write_is_torn_at_sectors():
    """An unsynced write of two sectors can come as either of them alone, never as half of one."""
    steps = [op("C", "a", inode=1), op("D"), op("W", inode=1, data=b"x" * 1024)]
    contents = {dict(found)["a"] for found in outcomes(NOTHING, *steps)}
    assert contents == {b"", b"x" * 512, bytes(512) + b"x" * 512, bytes(1024), b"x" * 1024}


def test_a_folder_that_is_not_named_takes_its_files_with_it():
    """A synced file in a synced folder is lost if the folder's own name was never synced."""
    steps = [op("K", "f"), op("C", "f/a", inode=1), op("S", inode=1), op("D", "f")]
    assert outcomes(NOTHING, *steps) == {(), (("f/a", b""),)}
    assert outcomes(NOTHING, *steps, op("D")) == {(("f/a", b""),)}


def test_one_sync_of_all_settles_everything():
    """After syncfs nothing is open, however deep."""
    steps = [op("K", "f"), op("C", "f/a", inode=1), op("W", inode=1, data=b"x"), op("L", "b", inode=1), op("Y")]
    assert outcomes(NOTHING, *steps) == {(("b", b"x"), ("f/a", b"x"))}


@pytest.mark.parametrize("later", ["unlink", "truncate"])
def test_removals_are_not_certain_before_their_sync(later):
    """A removed or emptied file may be back, as it was, after the power cut."""
    step = op("U", "a") if later == "unlink" else op("T", inode=1)
    found = outcomes(OLD, step)
    assert (("a", b"old"),) in found
    assert len(found) == 2
    assert len(outcomes(OLD, step, op("Y"))) == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2000), st.binary(min_size=1, max_size=1500)), max_size=6), st.integers())
def test_each_byte_is_old_or_new(writes, seed):
    """Whatever is kept of unsynced writes, each byte of an image was there before, or written there, or is zero."""
    steps = [op("W", inode=1, number=number, data=data) for number, data in writes]
    disk = Disk(Log(Start({"a": (1, b"old" * 300)}, ()), tuple(steps)))
    for step in steps:
        disk.do(step)
    content = disk.image(random.Random(seed))[0]["a"]
    for place, byte in enumerate(content):
        before = (b"old" * 300)[place] if place < 900 else 0
        written = {data[place - number] for number, data in writes if number <= place < number + len(data)}
        assert byte in {before, *written}


def test_the_same_seed_gives_the_same_images_and_promises_grow():
    """Images are repeatable, in order, and tell just what was acknowledged before their moment."""
    steps = []
    for number in range(30):
        steps += [op("C", str(number), inode=number), op("S", inode=number), op("A", data=b'{"n": %d}' % number)]
    log = Log(NOTHING, tuple(steps))
    first, again = (list(images(log, 200, 7)) for _ in range(2))
    assert first == again
    assert first != list(images(log, 200, 8))
    for image in first:
        assert [promise["n"] for promise in image.acknowledged] == list(range(image.position // 3))
    assert [image.position for image in first] == sorted(image.position for image in first)


def test_a_verdict_names_image_and_position():
    """Failures are counted by image, with all that was wrong."""
    log = Log(NOTHING, (op("C", "a", inode=1), op("A", data=b"{}")))
    verdict = replay(log, lambda image: [] if "a" in image.files else ["no a", "really"], count=50, seed=1)
    assert verdict.checked == 50
    assert 0 < verdict.broken < 50
    assert len(verdict.failures) == 2 * verdict.broken
