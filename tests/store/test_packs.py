"""A pack carries folders of files whole or not at all, and nothing in it can lead anywhere."""

from __future__ import annotations

import hashlib
import json
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commonground.errors import BrokenFile, CommonGroundError, InvalidInput
from commonground.identity import show_rid
from commonground.store import packs

CONTENT = {"run-1.spool": b"words\n", "out-a": b"two" * 1000, "rows-b": bytes(range(256)) * 8192, "empty": b""}


def fill(folder, content=CONTENT):
    """A folder with these files."""
    folder.mkdir(parents=True)
    for name, data in content.items():
        (folder / name).write_bytes(data)
    return folder


def read(folder):
    """What lies in a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def made(tmp_path):
    """A pack with two folders, in the second of which a file is left out: its path, what was written."""
    folders = {5: fill(tmp_path / "first"), 6: fill(tmp_path / "second", {"a": b"1", "room": b"2"})}
    path = tmp_path / "made" / "runs.cgpack"
    path.parent.mkdir()
    pack = packs.write_pack(path, study="S", folders=folders, about={"host": "node1"}, leave_out=frozenset({"room"}))
    return path, pack


def test_a_pack_comes_out_as_it_went_in(made, tmp_path):
    """Folders, files and what was said of them are equal on the other side; only its owner may read a pack."""
    path, pack = made
    assert packs.look_into(path) == pack
    (tmp_path / "to").mkdir()
    assert packs.unpack(path, tmp_path / "to") == pack
    assert read(tmp_path / "to" / show_rid(5)) == CONTENT
    assert read(tmp_path / "to" / show_rid(6)) == {"a": b"1"}
    assert (pack.study, pack.about, [one.rid for one in pack.folders]) == ("S", {"host": "node1"}, [5, 6])
    assert path.stat().st_mode & 0o077 == 0
    assert list(path.parent.iterdir()) == [path]


def test_a_cut_or_altered_pack_is_refused_whole(made, tmp_path):
    """Cut anywhere, with any byte changed, or added to, it is refused, and no file of it is written."""
    path, _ = made
    honest = path.read_bytes()
    target = tmp_path / "to"
    target.mkdir()
    places = [0, 5, 19, 20, 27, 28, 60, 400, len(honest) // 2, len(honest) - 33, len(honest) - 1]
    wrong = [honest[:place] for place in places] + [honest + b"\0"]
    wrong += [honest[:place] + bytes([honest[place] ^ 1]) + honest[place + 1 :] for place in places]
    for data in wrong:
        path.write_bytes(data)
        with pytest.raises(BrokenFile):
            packs.unpack(path, target)
    assert list(target.iterdir()) == []


def forged(contents, tail=b""):
    """A pack with a right sum over contents that nobody checked."""
    told = json.dumps(contents).encode()
    data = packs.MAGIC + struct.pack("<Q", len(told)) + told + tail
    return data + hashlib.sha256(data).digest()


GOOD = {"study": "S", "folders": [], "about": {}}
NOTHING = {"name": "a", "digest": hashlib.sha256().hexdigest(), "size": 0}


def of_files(*entries):
    """Contents of one folder with these files."""
    return {**GOOD, "folders": [{"rid": 5, "files": list(entries)}]}


def test_the_forger_can_make_a_sound_pack(tmp_path):
    """What the next test forges is refused for what it says: with sound contents the same pack is taken."""
    path = tmp_path / "forged.pack"
    path.write_bytes(forged(of_files(NOTHING)))
    assert packs.unpack(path, tmp_path).folders[0].files == (packs.PackedFile(**NOTHING),)


@pytest.mark.parametrize(
    "contents",
    [
        [],
        {},
        {**GOOD, "more": 1},
        {**GOOD, "study": 1},
        {**GOOD, "about": {"a": 1}},
        {**GOOD, "about": {"a": "x" * 300}},
        {**GOOD, "folders": {}},
        {**GOOD, "folders": [{"rid": 1}]},
        {**GOOD, "folders": [{"rid": True, "files": []}]},
        {**GOOD, "folders": [{"rid": "../x", "files": []}]},
        {**GOOD, "folders": [{"rid": 1 << 63, "files": []}]},
        {**GOOD, "folders": [{"rid": 1, "files": []}] * 2},
        {**GOOD, "folders": [{"rid": 1, "files": {}}]},
        of_files({**NOTHING, "name": "../a"}),
        of_files({**NOTHING, "name": "/etc/passwd"}),
        of_files({**NOTHING, "name": ".."}),
        of_files({**NOTHING, "name": ".hidden"}),
        of_files({**NOTHING, "name": "a\n"}),
        of_files({**NOTHING, "name": "x" * 300}),
        of_files({**NOTHING, "path": "/etc/passwd"}),
        of_files({**NOTHING, "digest": "../../etc/passwd"}),
        of_files({**NOTHING, "digest": "0" * 64}),
        of_files({**NOTHING, "size": -1}),
        of_files({**NOTHING, "size": 1 << 62}),
        of_files({**NOTHING, "size": True}),
        of_files(NOTHING, NOTHING),
        of_files(NOTHING, {**NOTHING, "name": "A"}),
    ],
)
def test_a_forged_pack_is_refused(tmp_path, contents):
    """Paths for names and digests, wrong sizes, ids that are none and files that come twice: refused, sum or no sum."""
    path = tmp_path / "forged.pack"
    path.write_bytes(forged(contents))
    with pytest.raises(BrokenFile):
        packs.unpack(path, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["forged.pack"]


def test_a_pack_that_claims_too_much_costs_nothing(tmp_path):
    """A length of contents of 2**60 and a file above the limit are refused before anything of that size is read."""
    path = tmp_path / "large.pack"
    path.write_bytes(packs.MAGIC + struct.pack("<Q", 1 << 60) + b"{}")
    with pytest.raises(BrokenFile, match="longer than it can be"):
        packs.look_into(path)
    path.write_bytes(forged(GOOD))
    with pytest.raises(BrokenFile, match="at most 10"):
        packs.look_into(path, largest=10)
    path.write_bytes(packs.MAGIC + struct.pack("<Q", 200_000) + b"[" * 200_000 + bytes(32))
    with pytest.raises(BrokenFile):
        packs.look_into(path)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.binary(max_size=300), sound=st.booleans())
def test_any_bytes_are_refused_in_words(tmp_path, data, sound):
    """Random bytes, with or without the right beginning, raise BrokenFile and nothing else."""
    path = tmp_path / "random.pack"
    path.write_bytes((packs.MAGIC if sound else b"") + data)
    with pytest.raises(BrokenFile):
        packs.look_into(path)


def test_what_cannot_be_packed_leaves_no_file(tmp_path):
    """A taken name, a file with another name than it may have and words that are too long leave no pack behind."""
    good, odd = fill(tmp_path / "good"), fill(tmp_path / "odd", {"a b": b""})
    (tmp_path / "taken").write_bytes(b"mine")
    for name, folders, about, kind in (
        ("taken", {5: good}, {}, InvalidInput),
        ("x.pack", {5: odd}, {}, InvalidInput),
        ("x.pack", {5: good}, {"host": "x" * 300}, InvalidInput),
        ("x.pack", {5: tmp_path / "missing"}, {}, CommonGroundError),
    ):
        with pytest.raises(kind):
            packs.write_pack(tmp_path / name, study="S", folders=folders, about=about)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good", "odd", "taken"]
    assert (tmp_path / "taken").read_bytes() == b"mine"
