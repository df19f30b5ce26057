"""A pack carries plans and files whole or not at all, and nothing in it can lead anywhere."""

from __future__ import annotations

import hashlib
import json
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commonground.errors import BrokenFile, CommonGroundError, InvalidInput, NotFound
from commonground.store import packs
from commonground.store.blobs import DirectoryBlobs

CONTENT = [b"", b"one", b"two" * 1000, bytes(range(256)) * 8192]
PLANS = [{"plan": 5, "verb": "note add", "args": {"text": "é"}}, {"plan": 6, "verb": "x", "args": {"n": [1, None]}}]


@pytest.fixture
def made(tmp_path):
    """A pack with two plans and four files: the store that it came from, its path, what was written."""
    source = DirectoryBlobs(tmp_path / "from")
    digests = [source.put_bytes(data).digest for data in CONTENT]
    path = tmp_path / "offline.pack"
    pack = packs.write_pack(
        path, study="S", plans=PLANS, blobs=source, digests=[*digests, digests[0]], about={"door": "cli"}
    )
    return source, path, pack


def test_a_pack_comes_out_as_it_went_in(made, tmp_path):
    """Plans, files and what was said of them are equal on the other side; a second reading changes nothing."""
    source, path, pack = made
    target = DirectoryBlobs(tmp_path / "to")
    for _ in range(2):
        assert packs.read_pack(path, target) == pack
        assert list(target.iterate()) == list(source.iterate())
        assert list(target.find_damaged()) == []
    assert (list(pack.plans), pack.study, pack.about) == (PLANS, "S", {"door": "cli"})
    assert sorted(pack.files.values()) == sorted(map(len, CONTENT))


def test_a_cut_or_altered_pack_is_refused_whole(made, tmp_path):
    """Cut anywhere, with any byte changed, or added to, it is refused, and no file of it is taken in."""
    _, path, _ = made
    honest = path.read_bytes()
    target = DirectoryBlobs(tmp_path / "to")
    places = [0, 5, 19, 20, 27, 28, 60, 400, len(honest) // 2, len(honest) - 33, len(honest) - 1]
    wrong = [honest[:place] for place in places] + [honest + b"\0"]
    wrong += [honest[:place] + bytes([honest[place] ^ 1]) + honest[place + 1 :] for place in places]
    for data in wrong:
        path.write_bytes(data)
        with pytest.raises(BrokenFile):
            packs.read_pack(path, target)
    assert list(target.iterate()) == []


def forged(contents, tail=b""):
    """A pack with a right sum over contents that nobody checked."""
    told = json.dumps(contents).encode()
    data = packs.MAGIC + struct.pack("<Q", len(told)) + told + tail
    return data + hashlib.sha256(data).digest()


GOOD = {"study": "S", "plans": [], "files": [], "about": {}}


@pytest.mark.parametrize(
    "contents",
    [
        [],
        {},
        {**GOOD, "more": 1},
        {**GOOD, "study": 1},
        {**GOOD, "plans": {}},
        {**GOOD, "plans": [{"verb": "x"}]},
        {**GOOD, "plans": [{"plan": True}]},
        {**GOOD, "plans": [{"plan": 1 << 63}]},
        {**GOOD, "plans": [{"plan": 1}, {"plan": 1}]},
        {**GOOD, "files": [{"digest": "../../etc/passwd", "size": 0}]},
        {**GOOD, "files": [{"digest": "0" * 64, "size": 0, "path": "/etc/passwd"}]},
        {**GOOD, "files": [{"digest": "0" * 64, "size": -1}]},
        {**GOOD, "files": [{"digest": "0" * 64, "size": 1 << 62}]},
        {**GOOD, "files": [{"digest": "0" * 64, "size": 0}]},
        {**GOOD, "files": [{"digest": hashlib.sha256().hexdigest(), "size": 0}] * 2},
    ],
)
def test_a_forged_pack_is_refused(tmp_path, contents):
    """Paths for digests, wrong sizes, ids that are none and parts too many are refused though the sum is right."""
    path = tmp_path / "forged.pack"
    path.write_bytes(forged(contents))
    with pytest.raises(BrokenFile):
        packs.read_pack(path, DirectoryBlobs(tmp_path / "to"))
    assert sorted(path.name for path in tmp_path.iterdir()) in (["forged.pack"], ["forged.pack", "to"])


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
    """A missing file, a plan without id and NaN leave neither a pack nor a part of one."""
    store = DirectoryBlobs(tmp_path / "from")
    for plans, digests, kind in (
        ([], ["0" * 64], NotFound),
        ([{"verb": "x"}], [], InvalidInput),
        ([{"plan": 1, "x": float("nan")}], [], CommonGroundError),
    ):
        with pytest.raises(kind):
            packs.write_pack(tmp_path / "x.pack", study="S", plans=plans, blobs=store, digests=digests)
    assert [path for path in tmp_path.iterdir() if "pack" in path.name] == []
