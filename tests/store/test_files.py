"""A file is saved whole or not at all, a failed sync is never called saved, and errors say what to do."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonground.errors import InvalidInput, NotFound, StorageError, StorageFull
from commonground.store import disk_errors, failed_syncs, faults, files

OLD = b"old content"
NEW = b"new content, longer than before" * 4000
PASSED_BY_A_WRITE = ["files.open", "files.write", "files.sync", "files.rename", "files.open", "files.sync_folder"]


def passes_of(action) -> list[str]:
    """The fault points that a call passes, in order."""
    seen: list[str] = []
    with faults.recording(seen.append):
        action()
    return seen


def open_descriptors() -> int:
    """How many files this process has open."""
    return sum(1 for _ in Path("/dev/fd").iterdir())


def test_write_atomically_syncs_the_file_before_and_the_folder_after_its_name(tmp_path):
    """The order is: write, sync the bytes, name, sync the folder."""
    assert passes_of(lambda: files.write_atomically(tmp_path / "a", NEW)) == PASSED_BY_A_WRITE
    assert (tmp_path / "a").read_bytes() == NEW


@pytest.mark.parametrize("action", ["eio", "enospc", "emfile", "erofs", "short"])
@pytest.mark.parametrize("nth", range(1, len(PASSED_BY_A_WRITE) + 1))
@pytest.mark.parametrize("for_ever", ["", "!"])
def test_an_error_at_any_call_leaves_old_or_new_and_no_rubbish(tmp_path, action, nth, for_ever):
    """Each call failing in turn, once or for ever, gives our error, a whole old or new file and no temporary file."""
    target = tmp_path / "a"
    target.write_bytes(OLD)
    expected = {"enospc": pytest.raises(StorageFull), "short": contextlib.nullcontext()}
    with faults.planned(f"*:{nth}:{action}{for_ever}"), expected.get(action, pytest.raises(StorageError)) as caught:
        files.write_atomically(target, NEW)
    assert action == "short" or caught.value.todo
    after_the_name = nth > PASSED_BY_A_WRITE.index("files.rename") + 1
    assert target.read_bytes() == (NEW if after_the_name or action == "short" else OLD)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("nth", range(1, len(PASSED_BY_A_WRITE) + 1))
def test_a_kill_at_any_call_leaves_old_or_new(tmp_path, nth):
    """A kill -9 at each call in turn leaves the whole old or the whole new file."""
    (tmp_path / "a").write_bytes(OLD)
    code = f"from commonground.store import files; files.write_atomically({str(tmp_path / 'a')!r}, {NEW[:99]!r})"
    plan = {faults.MARK: "1", faults.PLAN: f"*:{nth}:kill"}
    child = subprocess.run([sys.executable, "-c", code], env=os.environ | plan, check=False)
    assert child.returncode == -signal.SIGKILL
    after_the_name = nth > PASSED_BY_A_WRITE.index("files.rename") + 1
    assert (tmp_path / "a").read_bytes() == (NEW[:99] if after_the_name else OLD)


@settings(deadline=None)
@given(data=st.binary(max_size=5000), nth=st.integers(1, 6))
def test_short_writes_lose_nothing(data, nth):
    """However short the writes become, all bytes are written in their order."""
    with tempfile.TemporaryDirectory() as folder, faults.planned(f"files.write:{nth}:short!"):
        descriptor = files.create(Path(folder) / "a")
        files.write_all(descriptor, data, "a")
        files.write_all(descriptor, data, "a")
        os.close(descriptor)
        assert (Path(folder) / "a").read_bytes() == data * 2


def test_a_file_whose_sync_failed_is_never_called_saved(tmp_path):
    """After one failed sync a second one of the same file, which the kernel would pass, raises; a new file is fine."""
    descriptor = files.create(tmp_path / "a")
    files.write_all(descriptor, NEW, "a")
    with faults.planned("files.sync:1:eio"), pytest.raises(StorageError, match="reported an error"):
        files.sync_file(descriptor, "a")
    os.fsync(descriptor)
    with pytest.raises(StorageError, match="not called saved"):
        files.sync_file(descriptor, "a")
    with pytest.raises(StorageError, match="not called saved"):
        files.sync_many([tmp_path / "a"])
    os.close(descriptor)
    files.write_atomically(tmp_path / "a", NEW)


def test_a_number_used_again_is_not_mistaken_for_the_failed_file(tmp_path):
    """Files made after a failed one was removed are trusted: the failed one keeps its inode number."""
    descriptor = files.create(tmp_path / "a")
    with faults.planned("files.sync:1:eio"), pytest.raises(StorageError):
        files.sync_file(descriptor, "a")
    os.close(descriptor)
    files.unlink(tmp_path / "a")
    for number in range(100):
        files.write_atomically(tmp_path / str(number), b"x")


def test_a_folder_whose_sync_failed_is_refused_afterwards(tmp_path):
    """A name in a folder that once failed to sync is not called saved either."""
    with faults.planned("files.sync_folder:1:eio"), pytest.raises(StorageError):
        files.write_atomically(tmp_path / "a", NEW)
    with pytest.raises(StorageError, match="not called saved"):
        files.write_atomically(tmp_path / "b", NEW)
    failed_syncs.forget()
    files.write_atomically(tmp_path / "b", NEW)


def test_a_file_system_that_syncs_no_folders_is_taken_as_one_that_need_not(tmp_path):
    """As network disks do, /proc refuses to sync a folder; that is no failure, while a failed sync of one is."""
    descriptor = files.open_folder("/proc/self")
    with pytest.raises(OSError, match="Invalid argument"):
        os.fsync(descriptor)
    os.close(descriptor)
    files.sync_folder("/proc/self")
    with faults.planned("files.sync_folder:1:eio"), pytest.raises(StorageError):
        files.sync_folder(tmp_path)


@pytest.mark.parametrize("count", [1, files.FEW, files.FEW + 1, 50])
def test_a_batch_is_synced_at_once_or_one_by_one(tmp_path, count):
    """A few files are synced each, many by one call, and a failure of either is our error."""
    paths = [tmp_path / str(number) for number in range(count)]
    for path in paths:
        path.write_bytes(NEW)
    seen = passes_of(lambda: files.sync_many(paths))
    if sys.platform == "linux" and count > files.FEW:
        assert seen.count("files.sync_many") == 1
    else:
        assert seen == ["files.sync"] * count
    plan = "files.sync_many:1:eio,files.sync:1:eio"
    with faults.planned(plan), pytest.raises(StorageError, match="reported an error"):
        files.sync_many(paths)
    with pytest.raises(StorageError, match="not called saved"):
        files.sync_many(paths[:1])


def test_a_batch_with_one_failed_file_is_refused(tmp_path):
    """One file that failed before is enough to refuse the batch."""
    paths = [tmp_path / str(number) for number in range(files.FEW + 5)]
    for path in paths:
        path.touch()
    with faults.planned("files.sync:1:eio"), pytest.raises(StorageError):
        files.sync_many(paths[-1:])
    with pytest.raises(StorageError, match="not called saved"):
        files.sync_many(paths)


def test_an_untrusted_file_system_is_asked_file_by_file(tmp_path, monkeypatch):
    """Where the one call does not report errors each file is synced as well."""
    monkeypatch.setattr(files, "_reports_errors", lambda _device, _folder: False)
    paths = [tmp_path / str(number) for number in range(files.FEW + 1)]
    for path in paths:
        path.touch()
    assert passes_of(lambda: files.sync_many(paths)).count("files.sync") == len(paths)


def test_no_descriptor_stays_open(tmp_path):
    """Writing, copying and syncing, also when they fail, leave no file open."""
    before = open_descriptors()
    paths = [tmp_path / str(number) for number in range(20)]
    for path in paths:
        files.write_atomically(path, b"x")
    files.sync_many(paths)
    files.copy_in(paths[0], tmp_path / "copy")
    for plan in ("files.write:1:eio", "files.rename:1:eio", "files.open:1:emfile"):
        with faults.planned(plan), pytest.raises(StorageError):
            files.write_atomically(tmp_path / "never", b"x")
    with pytest.raises(InvalidInput):
        files.open_source(tmp_path)
    assert open_descriptors() == before


@pytest.mark.parametrize("size", [0, 1, files.CHUNK - 1, files.CHUNK * 2 + 3])
@pytest.mark.parametrize("kernel", [True, False])
def test_a_copy_has_the_same_bytes_whichever_way(tmp_path, monkeypatch, size, kernel):
    """Reflink, kernel copy and plain copy all give equal bytes, size and the mode asked for."""
    if not kernel:
        monkeypatch.setattr(files, "clone", lambda _source, _target: False)
        monkeypatch.setattr(files, "_copy_in_kernel", lambda _source, _target: False)
    data = os.urandom(size)
    (tmp_path / "a").write_bytes(data)
    assert files.copy_in(tmp_path / "a", tmp_path / "b", mode=0o444) == size
    assert (tmp_path / "b").read_bytes() == data
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o444


def test_a_file_that_claims_to_be_empty_is_copied(tmp_path):
    """A file of the kernel, whose size is shown as 0, is copied with its bytes."""
    source = Path("/proc/version" if sys.platform == "linux" else "/etc/hosts")
    files.copy_in(source, tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == source.read_bytes()


def test_a_copy_does_not_replace(tmp_path):
    """Copying onto a file that is there is an error, and the file keeps its bytes."""
    (tmp_path / "a").write_bytes(NEW)
    (tmp_path / "b").write_bytes(OLD)
    with pytest.raises(StorageError, match="already"):
        files.copy_in(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == OLD


def test_a_failed_copy_leaves_nothing(tmp_path, monkeypatch):
    """A disk error during a plain copy removes the half-made target."""
    monkeypatch.setattr(files, "_copy_in_kernel", lambda _source, _target: False)
    (tmp_path / "a").write_bytes(NEW)
    with faults.planned("files.write:1:enospc"), pytest.raises(StorageFull):
        files.copy_in(tmp_path / "a", tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("make", ["folder", "pipe", "nothing"])
def test_only_regular_files_are_sources(tmp_path, make):
    """A folder or a pipe is refused without waiting, an absent file is not found."""
    source = tmp_path / "source"
    if make == "folder":
        source.mkdir()
    elif make == "pipe":
        os.mkfifo(source)
    with pytest.raises(NotFound if make == "nothing" else InvalidInput):
        files.open_source(source)


def test_folders_are_made_and_each_name_synced(tmp_path):
    """Three missing folders are made with three syncs of the folders above; a second time nothing is done."""
    deep = tmp_path / "a" / "b" / "c"
    seen = passes_of(lambda: files.make_folder(deep))
    assert deep.is_dir()
    assert seen.count("files.sync_folder") == seen.count("files.make_folder") == 3
    assert passes_of(lambda: files.make_folder(deep)) == []


def test_a_linked_folder_can_be_synced(tmp_path):
    """A study reached through a symbolic link is written like any other."""
    (tmp_path / "real").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    files.write_atomically(tmp_path / "linked" / "a", NEW)
    assert (tmp_path / "real" / "a").read_bytes() == NEW


def test_unlink(tmp_path):
    """Removing what is not there is an error unless allowed."""
    (tmp_path / "a").write_bytes(OLD)
    files.unlink(tmp_path / "a")
    files.unlink(tmp_path / "a", missing_ok=True)
    with pytest.raises(StorageError):
        files.unlink(tmp_path / "a")


@pytest.mark.parametrize("code", sorted(errno.errorcode))
def test_every_error_number_gives_a_sentence_and_a_way_on(code):
    """No OSError, known or unknown, comes out without what happened, where, and what to do."""
    error = disk_errors.storage_error(OSError(code, os.strerror(code)), "writing", "/disk/a")
    assert error.what.endswith("while writing /disk/a.")
    assert error.todo
    assert isinstance(error, StorageFull) == (code in {errno.ENOSPC, errno.EDQUOT})


def test_what_has_a_name_is_there_and_what_no_name_can_mean_is_not(tmp_path: Path) -> None:
    """A file and a folder are there; a dangling link, a name that is too long or has NUL is not, and is no error."""
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    assert files.is_there(tmp_path)
    assert files.is_there(tmp_path / "file")
    for name in ("other", "dangling", "x" * 300, "file/inside", "a\0b"):
        assert not files.is_there(tmp_path / name)


def test_an_absolute_path_keeps_its_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dots are taken out of the text; a link is not followed, and what is not there has a path too."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    monkeypatch.chdir(tmp_path)
    assert files.absolute("folder/../link/./x") == f"{tmp_path}/link/x"


def test_the_names_in_a_folder(tmp_path: Path) -> None:
    """A folder that is not there has none; what is no folder is an error."""
    (tmp_path / "a").touch()
    (tmp_path / "b").mkdir()
    assert sorted(files.list_names(tmp_path)) == ["a", "b"]
    assert files.list_names(tmp_path / "c") == []
    with pytest.raises(NotADirectoryError):
        files.list_names(tmp_path / "a")
