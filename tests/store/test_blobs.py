"""What is put into the blob store is durable, found by its digest, and served only if it is right."""

from __future__ import annotations

import hashlib
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commonground.errors import CommonGroundError, Conflict, Corrupt, InvalidInput, NotFound, StorageError, UnsafePath
from commonground.store import blob_places, blob_putting, blob_reading, failed_syncs, faults, files, stat_cache
from commonground.store.blobs import BlobInfo, BlobStore, DirectoryBlobs
from commonground.store.parallel import WORTH_A_THREAD
from commonground.store.stat_cache import StatCache

ABSENT = hashlib.sha256(b"absent").hexdigest()
NO_DIGESTS = [
    "",
    "x" * 64,
    "../" * 21 + "a",
    ABSENT[:-1],
    ABSENT + "0",
    ABSENT.upper(),
    ABSENT + "\n",
    "/" + ABSENT[1:],
]


@pytest.fixture
def blobs(tmp_path) -> DirectoryBlobs:
    """An empty store, ready to be written."""
    made = DirectoryBlobs(tmp_path / "blobs")
    with made.holding():
        return made


def digest_of(data: bytes) -> str:
    """What the store should call these bytes."""
    return hashlib.sha256(data).hexdigest()


def write_files(folder: Path, contents: list[bytes]) -> list[Path]:
    """One file for each content."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number:03d}" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


@pytest.fixture
def settle(monkeypatch):
    """Wait until files have not changed for so long that they may be cached; 50 ms is many ticks of this disk."""
    monkeypatch.setattr(stat_cache, "SETTLED_NS", 50_000_000)

    def wait(paths):
        newest = max(path.stat().st_ctime_ns for path in paths)
        time.sleep(max(0, newest + stat_cache.SETTLED_NS - time.time_ns()) / 1e9 + 0.01)

    return wait


def leftovers(blobs: DirectoryBlobs) -> list[str]:
    """Temporary files that were not removed."""
    return [path.name for path in (blobs.root / "staging").iterdir()]


def whole_blobs(blobs: DirectoryBlobs) -> set[str]:
    """All digests in the store, each checked to have its bytes."""
    found = set(blobs.iterate())
    assert all(digest_of(blobs.path(digest).read_bytes()) == digest for digest in found)
    return found


# ---------------------------------------------------------------- putting


def test_the_directory_keeps_the_protocol(blobs):
    """DirectoryBlobs has every method of BlobStore."""
    store: BlobStore = blobs
    names = [name for name in vars(BlobStore) if not name.startswith("_")]
    assert len(names) >= 15
    assert all(callable(getattr(store, name)) for name in names)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=200), max_size=12))
def test_batches_come_back_in_order(blobs, tmp_path, contents):
    """Any batch, with duplicates and empty files, gives digest and size in order, and every blob reads back."""
    paths = write_files(tmp_path / "in", contents)
    assert blobs.put_files(paths) == [BlobInfo(digest_of(content), len(content)) for content in contents]
    for content in contents:
        assert blobs.get_bytes(digest_of(content)) == content
    assert leftovers(blobs) == []


@pytest.mark.parametrize("size", [0, 1, WORTH_A_THREAD, files.CHUNK - 1, files.CHUNK, files.CHUNK + 1, 3 * files.CHUNK])
def test_sizes_around_every_boundary(blobs, tmp_path, size):
    """A file is stored and read back the same at each size at which the way of reading changes."""
    data = os.urandom(size)
    (tmp_path / "a").write_bytes(data)
    assert blobs.put_file(tmp_path / "a") == BlobInfo(digest_of(data), size)
    assert blobs.get_bytes(digest_of(data)) == data
    assert blobs.open_verified(digest_of(data)).read() == data


def test_a_reflinked_file_is_hashed_as_it_is_stored(blobs, tmp_path, monkeypatch):
    """Where the file system shares bytes, the digest is that of the shared copy, not of the source read before."""

    def clone(reading, writing):
        with os.fdopen(os.dup(reading), "rb") as source:
            source.seek(0)
            os.write(writing, source.read().replace(b"a", b"b"))
        return True

    monkeypatch.setattr(files, "clone", clone)
    (tmp_path / "a").write_bytes(b"a" * (files.CHUNK + 1))
    assert blobs.put_file(tmp_path / "a").digest == digest_of(b"b" * (files.CHUNK + 1))
    assert whole_blobs(blobs) == {digest_of(b"b" * (files.CHUNK + 1))}


def test_blobs_are_read_only_and_lie_by_their_digest(blobs):
    """A blob lies at ab/cdef..., cannot be written, and putting it again adds nothing."""
    info = blobs.put_bytes(b"hello")
    place = blobs.root / info.digest[:2] / info.digest[2:]
    assert blobs.path(info.digest) == place
    assert stat.S_IMODE(place.stat().st_mode) == 0o444
    inode = place.stat().st_ino
    assert blobs.put_bytes(b"hello") == info
    assert place.stat().st_ino == inode
    assert list(blobs.iterate()) == [info.digest]


def test_one_sync_before_the_names_and_one_after(blobs, tmp_path):
    """A batch of 50 files is staged, synced once, named, and its names synced once, in this order."""
    paths = write_files(tmp_path / "in", [os.urandom(20) for _ in range(50)])
    seen: list[str] = []
    with faults.recording(seen.append):
        blobs.put_files(paths)
    acts = [name for name in seen if name in {"blobs.stage", "files.sync_many", "blobs.publish"}]
    assert acts == ["blobs.stage"] * 50 + ["files.sync_many"] + ["blobs.publish"] * 50 + ["files.sync_many"]


def test_a_blob_that_is_there_has_its_name_synced_again(blobs):
    """Whoever puts what another process has just named syncs the name too, before calling it saved."""
    blobs.put_bytes(b"hello")
    seen: list[str] = []
    with faults.recording(seen.append):
        blobs.put_bytes(b"hello")
        blobs.touch([digest_of(b"hello")])
    assert seen.count("files.sync") == 2
    assert "blobs.stage" not in seen


def test_a_known_digest_is_not_read_again(blobs, tmp_path):
    """With digest_known the file is not opened if the blob is there; if it is not, the bytes decide."""
    (tmp_path / "a").write_bytes(b"hello")
    assert blobs.put_file(tmp_path / "a", digest_known=ABSENT).digest == digest_of(b"hello")
    seen: list[str] = []
    with faults.recording(seen.append):
        assert blobs.put_file(tmp_path / "a", digest_known=digest_of(b"hello")) == BlobInfo(digest_of(b"hello"), 5)
    assert "files.read" not in seen


def test_progress_adds_up(blobs, tmp_path):
    """Progress of putting and of checking out adds up to all files and bytes."""
    contents = [os.urandom(size) for size in (0, 10, WORTH_A_THREAD, files.CHUNK * 2)]
    reports: list[tuple[int, int]] = []
    infos = blobs.put_files(write_files(tmp_path / "in", contents), progress=lambda *step: reports.append(step))
    total = (4, sum(map(len, contents)))
    assert tuple(map(sum, zip(*reports, strict=True))) == total
    reports.clear()
    items = [(str(number), info.digest) for number, info in enumerate(infos)]
    assert blobs.check_out(items, tmp_path / "out", progress=lambda *step: reports.append(step)) == 4
    assert tuple(map(sum, zip(*reports, strict=True))) == total


def test_sources_that_are_no_files_are_refused(blobs, tmp_path):
    """An absent file is not found; a folder and a pipe are refused; nothing is left behind."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotFound):
        blobs.put_files([tmp_path / "absent"])
    for source in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(InvalidInput):
            blobs.put_file(source)
    assert leftovers(blobs) == []


@pytest.mark.parametrize("digest", NO_DIGESTS)
def test_what_is_no_digest_never_becomes_a_path(blobs, tmp_path, digest):
    """Every method that takes a digest refuses what is not exactly 64 characters of lower-case hex."""
    (tmp_path / "a").touch()
    calls = [
        lambda: blobs.path(digest),
        lambda: blobs.get_bytes(digest),
        lambda: blobs.open_verified(digest),
        lambda: blobs.get_file(digest, tmp_path / "b"),
        lambda: blobs.check_out([("b", digest)], tmp_path / "out"),
        lambda: blobs.has(digest),
        lambda: blobs.has_many([digest]),
        lambda: blobs.size(digest),
        lambda: blobs.touch([digest]),
        lambda: blobs.put_file(tmp_path / "a", digest_known=digest),
        lambda: list(blobs.find_damaged([digest])),
        lambda: blobs.sweep([digest], blobs.begin_generation()),
        lambda: blobs.erase([digest]),
    ]
    for call in calls:
        with pytest.raises(InvalidInput, match="not a digest"):
            call()


def test_looking_does_not_change_an_absent_store(tmp_path):
    """Reading from a store that does not exist finds nothing and makes nothing."""
    blobs = DirectoryBlobs(tmp_path / "blobs")
    assert not blobs.has(ABSENT)
    assert list(blobs.iterate()) == []
    for call in (blobs.path, blobs.size, blobs.get_bytes, blobs.open_verified):
        with pytest.raises(NotFound):
            call(ABSENT)
    assert not blobs.root.exists()


def test_a_copy_without_its_empty_folders_is_mended(blobs):
    """A store from which a copying program dropped the empty folders takes blobs again."""
    info = blobs.put_bytes(b"hello")
    for folder in blobs.root.iterdir():
        with suppress(OSError):
            folder.rmdir()
    again = DirectoryBlobs(blobs.root)
    assert again.put_bytes(b"other").size == 5
    assert again.get_bytes(info.digest) == b"hello"


# ---------------------------------------------------------------- the cache


def test_unchanged_files_are_not_read_again(blobs, tmp_path, settle):
    """Through the cache a second put reads nothing; a changed, a new and a replaced file are read."""
    paths = write_files(tmp_path / "in", [b"one", b"two", b"three", b"three"])
    settle(paths)
    cache = StatCache(tmp_path / "cache")
    first = blobs.put_files(paths, cache=cache)
    cache = StatCache(tmp_path / "cache")
    seen: list[str] = []
    with faults.recording(seen.append):
        assert blobs.put_files(paths, cache=cache) == first
    assert "files.read" not in seen
    paths[0].write_bytes(b"ONE")
    paths[1].unlink()
    paths[2].rename(paths[1])
    paths[2].write_bytes(b"new")
    expected = [digest_of(content) for content in (b"ONE", b"three", b"new", b"three")]
    assert [info.digest for info in blobs.put_files(paths, cache=cache)] == expected


def test_a_cached_file_whose_blob_is_gone_is_read(blobs, tmp_path, settle):
    """The cache alone does not make a blob: if it was swept or cut short the file is stored again."""
    paths = write_files(tmp_path / "in", [b"one", b"two"])
    settle(paths)
    cache = StatCache(tmp_path / "cache")
    infos = blobs.put_files(paths, cache=cache)
    blobs.path(infos[0].digest).unlink()
    os.truncate(blobs.path(infos[1].digest), 1)
    assert blobs.put_files(paths, cache=cache) == infos
    assert whole_blobs(blobs) == {info.digest for info in infos}


def test_a_file_that_changes_while_it_is_read(blobs, tmp_path, settle):
    """The digest is that of the bytes that were stored, whatever happens to the file, and it is not cached."""
    path = tmp_path / "a"
    path.write_bytes(b"a" * 3 * files.CHUNK)
    settle([path])
    cache = StatCache(tmp_path / "cache")
    reads = iter(range(100))

    def change(name):
        if name == "files.read" and next(reads) == 2:
            path.write_bytes(b"b" * 3 * files.CHUNK)

    with faults.recording(change):
        info = blobs.put_files([path], cache=cache)[0]
    assert info.digest not in {digest_of(b"a" * 3 * files.CHUNK), digest_of(b"b" * 3 * files.CHUNK)}
    assert whole_blobs(blobs) == {info.digest}
    assert len(cache) == 0


# ---------------------------------------------------------------- faults


def fault_plans() -> list[tuple[str, str]]:
    """Errors at each of the calls of a put, once and for ever."""
    return [(action, mark) for action in ("eio", "enospc", "emfile", "erofs", "short") for mark in ("", "!")]


@pytest.mark.parametrize(("action", "mark"), fault_plans())
def test_an_error_at_any_call_leaves_a_clean_store(tmp_path, action, mark):
    """One call after another failing: our error, only whole blobs, no rubbish; and then it works again."""
    contents = [b"small", b"other", b"small", os.urandom(files.CHUNK + 5), *(bytes([n]) for n in range(10))]
    paths = write_files(tmp_path / "in", contents)
    expected = [digest_of(content) for content in contents]
    root = tmp_path / "blobs"
    passed, nth = False, 0
    while not passed:
        nth += 1 if nth < 30 else 4
        DirectoryBlobs(root).put_bytes(b"small")
        with faults.planned(f"*:{nth}:{action}{mark}"):
            try:
                got = [info.digest for info in DirectoryBlobs(root).put_files(paths)]
            except StorageError:
                got = None
        failed_syncs.forget()
        blobs = DirectoryBlobs(root)
        assert leftovers(blobs) == []
        assert whole_blobs(blobs) <= set(expected)
        if got is None:
            assert action != "short"
            assert [info.digest for info in blobs.put_files(paths)] == expected
        else:
            assert got == expected
            passed = action != "short" or nth > 100
        assert whole_blobs(blobs) == set(expected)
        blobs.erase(expected)
    assert nth > 50


@pytest.mark.parametrize("action", ["eio", "emfile", "enospc!"])
def test_an_error_while_the_store_is_made(tmp_path, action):
    """Each call of making a new store failing in turn gives our error, and the next try makes it whole."""
    for nth in range(1, 16):
        root = tmp_path / str(nth)
        with faults.planned(f"*:{nth}:{action}"), pytest.raises(StorageError):
            DirectoryBlobs(root).put_bytes(b"hello")
        failed_syncs.forget()
        assert DirectoryBlobs(root).put_bytes(b"hello").size == 5
        assert whole_blobs(DirectoryBlobs(root)) == {digest_of(b"hello")}


def test_a_kill_at_any_call_leaves_a_clean_store(tmp_path):
    """A kill -9 at every 7th call in turn: only whole blobs; putting again works; a sweep removes the rubbish."""
    contents = [b"small", os.urandom(files.CHUNK + 5), *(bytes([n]) for n in range(12))]
    paths = write_files(tmp_path / "in", contents)
    expected = {digest_of(content) for content in contents}
    blobs = DirectoryBlobs(tmp_path / "blobs")
    code = (
        "import sys; from commonground.store.blobs import DirectoryBlobs\n"
        "DirectoryBlobs(sys.argv[1]).put_files(sys.argv[2:])"
    )
    command = [sys.executable, "-c", code, str(blobs.root), *map(str, paths)]
    killed, nth = True, 1
    while killed:
        plan = {faults.MARK: "1", faults.PLAN: f"*:{nth}:kill"}
        killed = subprocess.run(command, env=os.environ | plan, check=False).returncode == -signal.SIGKILL
        assert whole_blobs(blobs) <= expected
        if not killed:
            assert whole_blobs(blobs) == expected
        nth += 7
    assert nth > 30
    blobs.sweep(expected, blobs.begin_generation())
    assert leftovers(blobs) == []
    assert whole_blobs(blobs) == expected


def test_a_batch_whose_sync_failed_is_not_called_saved_later(blobs, tmp_path):
    """After the names of a batch failed to sync, putting the same again in this process is refused too."""
    paths = write_files(tmp_path / "in", [os.urandom(20) for _ in range(50)])
    with faults.planned("files.sync_many:2:eio"), pytest.raises(StorageError, match="reported an error"):
        blobs.put_files(paths)
    with pytest.raises(StorageError, match="not called saved"):
        blobs.put_files(paths)
    with pytest.raises(StorageError, match="not called saved"):
        blobs.put_file(paths[0])


# ---------------------------------------------------------------- reading


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_wrong_bytes_are_never_served(blobs, tmp_path, data):
    """A flipped bit, a cut, zeros or another blob's bytes raise Corrupt by every way out, and are always found."""
    content = data.draw(st.binary(min_size=1, max_size=5000).filter(any))
    digest = blobs.put_bytes(content).digest
    place = blobs.path(digest)
    how = data.draw(st.sampled_from(["flip", "cut", "zero", "swap", "longer"]))
    wrong = bytearray(content)
    where = data.draw(st.integers(0, len(content) - 1))
    if how == "flip":
        wrong[where] ^= 1 << data.draw(st.integers(0, 7))
    elif how == "cut":
        del wrong[where:]
    elif how == "zero":
        wrong = bytearray(len(content))
    elif how == "swap":
        wrong = bytearray(b"other" + content)
    else:
        wrong += b"\0"
    place.chmod(0o644)
    place.write_bytes(wrong)
    out = tmp_path / "out"
    ways = [
        lambda: blobs.get_bytes(digest),
        lambda: blobs.open_verified(digest),
        *(
            lambda mode=mode: blobs.get_file(digest, tmp_path / "copy", mode)
            for mode in ("reflink", "hardlink", "copy")
        ),
        *(lambda mode=mode: blobs.check_out([("copy", digest)], out, mode=mode) for mode in ("reflink", "hardlink")),
    ]
    for way in ways:
        with pytest.raises(Corrupt):
            way()
    assert not (tmp_path / "copy").exists()
    assert list(out.iterdir()) == []
    assert [damage.digest for damage in blobs.find_damaged()] == [digest]
    place.unlink()
    assert blobs.put_bytes(content).digest == digest
    assert blobs.get_bytes(digest) == content
    blobs.erase([digest])


def test_a_large_blob_is_checked_before_its_first_byte(blobs, monkeypatch):
    """A blob too large for memory is checked in a pass of its own; wrong at its end, it is not served at all."""
    monkeypatch.setattr(blob_reading, "IN_MEMORY", 1000)
    content = os.urandom(5000)
    digest = blobs.put_bytes(content).digest
    with blobs.open_verified(digest) as file:
        assert file.read() == content
    blobs.path(digest).chmod(0o644)
    blobs.path(digest).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(Corrupt):
        blobs.open_verified(digest)


def test_damage_is_named(blobs):
    """Missing, unreadable and wrong blobs are each told, in the order asked for; right ones are not."""
    good, wrong, missing = (blobs.put_bytes(data).digest for data in (b"good", b"wrong", b"missing"))
    blobs.path(wrong).chmod(0o644)
    blobs.path(wrong).write_bytes(b"wring")
    blobs.path(missing).unlink()
    found = [(damage.digest, damage.what) for damage in blobs.find_damaged([missing, good, wrong])]
    assert [digest for digest, _ in found] == [missing, wrong]
    assert "missing" in found[0][1]
    assert "not those" in found[1][1]
    with faults.planned("files.read:1:eio"):
        assert [damage.digest for damage in blobs.find_damaged([good])] == [good]


def test_reading_keeps_no_file_open(blobs, tmp_path, monkeypatch):
    """No way of reading, also a failing one, leaves a descriptor open."""
    monkeypatch.setattr(blob_reading, "IN_MEMORY", 1)
    digest = blobs.put_bytes(b"hello").digest
    before = sum(1 for _ in Path("/dev/fd").iterdir())
    blobs.open_verified(digest).close()
    for number, mode in enumerate(("reflink", "hardlink", "copy")):
        blobs.get_file(digest, tmp_path / f"f{number}", mode)
    blobs.check_out([("a/b/c", digest), ("a/d", digest)], tmp_path / "out")
    with suppress(CommonGroundError):
        blobs.check_out([("a/b", digest)], tmp_path / "out")
    list(blobs.find_damaged())
    assert sum(1 for _ in Path("/dev/fd").iterdir()) == before


# ---------------------------------------------------------------- checking out


@pytest.mark.parametrize("mode", ["reflink", "hardlink", "copy"])
def test_a_tree_is_checked_out(blobs, tmp_path, mode):
    """Names with folders come out with their bytes; a second time changes nothing; hard links are the blobs."""
    contents = {"a": b"1", "b/c": b"2", "b/d/e": os.urandom(WORTH_A_THREAD), "b/d/f": b"1", "é/ü %0a": b""}
    items = [(name, blobs.put_bytes(data).digest) for name, data in contents.items()]
    out = tmp_path / "deep" / "out"
    assert blobs.check_out(items, out, mode=mode) == len(items)
    assert {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()} == contents
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert blobs.check_out(items, out, mode=mode) == len(items)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before
    assert all((out / name).samefile(blobs.path(digest)) == (mode == "hardlink") for name, digest in items)


def test_files_that_the_cache_knows_are_not_read_again(blobs, tmp_path, settle):
    """A check-out into a folder that is there reads what the cache does not know, and a changed file is a Conflict."""
    contents = {"a": b"1", "b/c": os.urandom(WORTH_A_THREAD), "b/d": b"2"}
    items = [(name, blobs.put_bytes(data).digest) for name, data in contents.items()]
    out = tmp_path / "out"
    blobs.check_out(items, out, cache=StatCache(tmp_path / "cache"))
    settle([out / name for name in contents])
    blobs.check_out(items, out, cache=StatCache(tmp_path / "cache"))
    cache = StatCache(tmp_path / "cache")
    assert len(cache) == 3
    seen: list[str] = []
    with faults.recording(seen.append):
        assert blobs.check_out(items, out, cache=cache) == 3
    assert "files.read" not in seen
    (out / "b" / "d").unlink()
    assert blobs.check_out(items, out, cache=cache) == 3
    assert (out / "b" / "d").read_bytes() == b"2"
    about = (out / "a").stat()
    (out / "a").write_bytes(b"3")
    os.utime(out / "a", ns=(about.st_atime_ns, about.st_mtime_ns))
    with pytest.raises(Conflict):
        blobs.check_out(items, out, cache=cache)


@pytest.mark.parametrize("known", [3, blob_places.MANY])
def test_many_blobs_are_found_as_each_alone(blobs, known):
    """Whether the folders are listed or each blob is looked up: those that are there are found, and no others."""
    digests = {blobs.put_bytes(str(number).encode()).digest for number in range(3)}
    absent = {digest_of(f"absent {number}".encode()) for number in range(known)}
    assert blobs.has_many(digests | absent) == digests
    with pytest.raises(InvalidInput):
        blobs.has_many({"../../x", *absent})


def test_a_hard_link_that_cannot_be_is_a_copy(blobs, tmp_path, monkeypatch):
    """On another disk, where no hard link can be made, the file is copied."""
    monkeypatch.setattr(os, "link", lambda *_args, **_words: (_ for _ in ()).throw(OSError(18, "cross-device link")))
    digest = blobs.put_bytes(b"hello").digest
    blobs.check_out([("a", digest)], tmp_path / "out", mode="hardlink")
    assert (tmp_path / "out" / "a").read_bytes() == b"hello"


@pytest.mark.parametrize(
    "names",
    [["../a"], ["/a"], ["a/../../b"], ["a//b"], ["./a"], [""], ["a\0b"], ["a\\b"], ["A", "a"], ["é", "e\u0301"],
     ["a", "a/b"], ["x/a", "X/b"], ["a" * 256], ["\ud800"], ["a", "a"]],
    ids=ascii,
)  # fmt: skip
def test_unsafe_names_are_refused_before_anything_is_written(blobs, tmp_path, names):
    """Names that lead outside or are one file on some disks are refused together, and no folder is made."""
    digest = blobs.put_bytes(b"hello").digest
    with pytest.raises(UnsafePath) as caught:
        blobs.check_out([("fine", digest), *((name, digest) for name in names)], tmp_path / "out")
    assert caught.value.faults
    assert not (tmp_path / "out").exists()


def test_links_inside_the_folder_are_not_followed(blobs, tmp_path):
    """A link to a folder or file outside, put there before, leads nowhere: the outside stays as it was."""
    digest = blobs.put_bytes(b"hello").digest
    outside, out = tmp_path / "outside", tmp_path / "out"
    outside.mkdir()
    (outside / "canary").write_bytes(b"alive")
    out.mkdir()
    (out / "folder").symlink_to(outside)
    (out / "file").symlink_to(outside / "canary")
    (out / "absent").symlink_to(outside / "new")
    for name in ("folder/new", "file", "absent", "folder/canary"):
        for mode in ("copy", "hardlink"):
            with pytest.raises(UnsafePath):
                blobs.check_out([(name, digest)], out, mode=mode)
    assert [path.name for path in outside.iterdir()] == ["canary"]
    assert (outside / "canary").read_bytes() == b"alive"


def test_a_failed_check_out_takes_back_what_it_wrote(blobs, tmp_path):
    """A file of another content in the way is a Conflict and stays; what this call wrote is removed."""
    digests = [blobs.put_bytes(data).digest for data in (b"1", b"2", os.urandom(WORTH_A_THREAD))]
    out = tmp_path / "out"
    out.mkdir()
    (out / "b").write_bytes(b"mine")
    (out / "kept").write_bytes(b"1")
    with pytest.raises(Conflict):
        blobs.check_out([("a", digests[0]), ("b", digests[1]), ("c", digests[2]), ("kept", digests[0])], out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {"b": b"mine", "kept": b"1"}


def test_missing_blobs_are_all_named_before_anything_is_written(blobs, tmp_path):
    """Two missing blobs are two faults of one error, and no folder is made."""
    other = digest_of(b"also absent")
    with pytest.raises(NotFound) as caught:
        blobs.check_out([("a", blobs.put_bytes(b"1").digest), ("b", ABSENT), ("c", other)], tmp_path / "out")
    assert sorted(caught.value.faults) == sorted([ABSENT, other])
    assert not (tmp_path / "out").exists()


def test_get_file_does_not_replace(blobs, tmp_path):
    """A path that is taken is a Conflict and keeps its bytes."""
    digest = blobs.put_bytes(b"hello").digest
    (tmp_path / "a").write_bytes(b"mine")
    with pytest.raises(Conflict):
        blobs.get_file(digest, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"mine"


# ---------------------------------------------------------------- many at once


def test_threads_putting_the_same_files_agree(blobs, tmp_path):
    """Four threads that put the same batch at once all get the same digests, and each blob is stored once."""
    contents = [os.urandom(50) for _ in range(40)]
    paths = write_files(tmp_path / "in", contents)
    results: list[list[BlobInfo]] = []
    threads = [threading.Thread(target=lambda: results.append(blobs.put_files(paths))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(result == results[0] for result in results)
    assert whole_blobs(blobs) == {digest_of(content) for content in contents}
    assert leftovers(blobs) == []


def test_a_blob_of_another_account_is_replaced_by_an_own_copy(blobs, monkeypatch):
    """Where only the owner may set a file's time, putting or touching leaves a whole, marked blob all the same."""
    digest = blobs.put_bytes(b"hello").digest
    blobs.begin_generation()
    inode = blobs.path(digest).stat().st_ino
    real = os.utime

    def utime(path, *args, **words):
        if str(path) == str(blobs.path(digest)) and blobs.path(digest).stat().st_ino == inode:
            raise PermissionError(1, "not the owner")
        real(path, *args, **words)

    monkeypatch.setattr(blob_putting.os, "utime", utime)
    assert blobs.touch([digest]) == set()
    assert blobs.path(digest).stat().st_ino != inode
    inode = blobs.path(digest).stat().st_ino
    generation = blobs.begin_generation()
    assert blobs.put_bytes(b"hello").digest == digest
    assert blobs.sweep([], generation).digests == []
    assert whole_blobs(blobs) == {digest}
