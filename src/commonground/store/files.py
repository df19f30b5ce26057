"""The only module that writes files durably.

A file is written under a temporary name in its own folder tree, synced, renamed, and then its folder is synced: only
then is it saved. A batch of files is synced by one syncfs(2) where the file system reports its errors, else file by
file. After a sync has failed the kernel may have dropped the bytes and forgotten the error
(https://wiki.postgresql.org/wiki/Fsync_Errors), so that file or folder is never called saved again in this process.

Every call passes a fault point. An OSError becomes a StorageError that says what happened and what to do.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Final

from commonground.errors import InvalidInput, NotFound
from commonground.store import failed_syncs
from commonground.store.disk_errors import storage_error
from commonground.store.faults import allowance, point
from commonground.store.locations import kind_of_device

if sys.platform != "win32":
    import fcntl

AnyPath = str | os.PathLike[str]
Bytes = bytes | bytearray | memoryview

CHUNK: Final = 1 << 20
FEW: Final = 8
"""Up to so many files are synced one by one, because syncfs also waits for what other programs wrote."""

FICLONE: Final = 0x40049409
TEMPORARY: Final = ".cg-part-"

_REPORTS_ERRORS: Final = frozenset({"ext3", "ext4", "xfs", "btrfs", "f2fs", "tmpfs"})
_SYNCFS_REPORTS_SINCE: Final = (5, 8)
_CANNOT_CLONE: Final = frozenset(
    {errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTTY, errno.EPERM, errno.ETXTBSY, errno.EBADF}
)


# ---------------------------------------------------------------- opening and writing


def create(path: AnyPath, *, mode: int = 0o644) -> int:
    """A descriptor of the new file `path`, to be written; it must not exist. `mode` holds after closing."""
    return _open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode, "making")


def open_append(path: AnyPath, *, mode: int = 0o644) -> int:
    """A descriptor of `path`, made if it is not there, that writes at its end."""
    return _open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, mode, "opening")


def open_lock(path: AnyPath) -> int:
    """A descriptor of `path`, made if it is not there, to be locked: an account that may only read it may lock it."""
    return _open(path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW, 0o666, "opening")


def open_folder(folder: AnyPath) -> int:
    """A descriptor of a folder, for `sync_many` to see every error since it was opened."""
    return _open(folder, os.O_RDONLY | os.O_DIRECTORY, 0, "opening")


def _open(path: AnyPath, flags: int, mode: int, doing: str) -> int:
    try:
        point("files.open")
        return os.open(path, flags | os.O_CLOEXEC, mode)
    except OSError as error:
        raise storage_error(error, doing, path) from error


def open_source(path: AnyPath) -> tuple[int, os.stat_result]:
    """A descriptor to read the regular file `path`, and its stat when it was opened.

    Raises NotFound if it is not there, InvalidInput if it is a folder, a pipe or a device.
    """
    try:
        point("files.open")
        # Opening a pipe would wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {os.fspath(path)}.", todo="Check the name.") from error
    except OSError as error:
        raise storage_error(error, "opening", path) from error
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode):
        os.close(descriptor)
        raise InvalidInput(f"{os.fspath(path)} is not a file.", todo="Name a file, not a folder, pipe or device.")
    return descriptor, about


def write_all(descriptor: int, data: Bytes, path: AnyPath, *, point: str = "files.write") -> None:
    """Write all of `data`, however little each call takes; `point` is the fault point to pass."""
    rest = memoryview(data).cast("B")
    try:
        while rest:
            rest = rest[os.write(descriptor, rest[: allowance(point, len(rest))]) :]
    except OSError as error:
        raise storage_error(error, "writing", path) from error


# ---------------------------------------------------------------- syncing


def sync_file(descriptor: int, path: AnyPath, *, point: str = "files.sync") -> None:
    """Make the bytes of an open file durable.

    Raises StorageError if that fails, and ever after for the same file: its bytes must be written anew elsewhere.
    """
    _sync(descriptor, path, point)


def sync_folder(folder: AnyPath) -> None:
    """Make the names in a folder durable; raises as `sync_file` does."""
    descriptor = open_folder(folder)
    try:
        _sync(descriptor, folder, "files.sync_folder")
    finally:
        os.close(descriptor)


def _sync(descriptor: int, path: AnyPath, name: str) -> None:
    failed_syncs.refuse(os.fstat(descriptor), path)
    try:
        point(name)
        _flush(descriptor)
    except OSError as error:
        # Some network disks keep names without being asked; PostgreSQL takes it so too (fsync_fname_ext in its fd.c).
        if error.errno in {errno.EINVAL, errno.EBADF} and stat.S_ISDIR(os.fstat(descriptor).st_mode):
            return
        failed_syncs.remember(descriptor)
        raise storage_error(error, "syncing", path) from error


def _flush(descriptor: int) -> None:
    if sys.platform == "darwin":
        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        except OSError:
            os.fsync(descriptor)
    else:
        os.fsync(descriptor)


def sync_many(paths: Iterable[AnyPath], *, witness: int | None = None) -> None:
    """Make the bytes of many files, or the names in many folders, durable at once; all on one file system.

    `witness` is a descriptor on that file system from before the first write (`open_folder`): with it no error in
    between is missed. If the sync fails none of `paths` is ever called saved in this process.
    """
    todo, call = list(paths), _syncfs()
    if len(todo) <= FEW or call is None:
        _sync_each(todo)
        return
    descriptor = open_folder(Path(todo[0]).parent) if witness is None else witness
    try:
        failed_syncs.refuse(os.fstat(descriptor), todo[0])
        for path in todo if failed_syncs.any_yet() else ():
            failed_syncs.refuse(Path(path).stat(), path)
        point("files.sync_many")
        _sync_system(call, descriptor)
        reported = _reports_errors(os.fstat(descriptor).st_dev, os.fspath(Path(todo[0]).parent.resolve()))
    except OSError as error:
        failed_syncs.remember(descriptor)
        for path in todo:
            failed_syncs.remember_path(path)
        raise storage_error(error, "syncing", todo[0]) from error
    finally:
        if witness is None:
            os.close(descriptor)
    if not reported:
        # The bytes are on their way already, so this only asks each file for its errors.
        _sync_each(todo)


def sync_all(folder: AnyPath) -> None:
    """Make every byte and name on the file system of a folder durable, removals too."""
    call = _syncfs()
    if call is None:
        os.sync()
        return
    descriptor = open_folder(folder)
    try:
        point("files.sync_all")
        _sync_system(call, descriptor)
    except OSError as error:
        raise storage_error(error, "syncing", folder) from error
    finally:
        os.close(descriptor)


def _sync_system(call: Callable[[int], int], descriptor: int) -> None:
    if call(descriptor) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _sync_each(paths: list[AnyPath]) -> None:
    for path in paths:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise storage_error(error, "syncing", path) from error
        try:
            _sync(descriptor, path, "files.sync")
        finally:
            os.close(descriptor)


@cache
def _syncfs() -> Callable[[int], int] | None:
    return getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None) if sys.platform == "linux" else None


@cache
def _reports_errors(device: int, folder: str) -> bool:
    release = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2] if part.isdecimal())
    return release >= _SYNCFS_REPORTS_SINCE and kind_of_device(device, folder) in _REPORTS_ERRORS


# ---------------------------------------------------------------- names


def list_names(folder: AnyPath) -> list[str]:
    """The names in a folder, in no order; none if there is no such folder. May raise any other OSError."""
    try:
        return os.listdir(folder)  # noqa: PTH208 - by the ten thousand, and only the names are wanted
    except FileNotFoundError:
        return []


def absolute(path: AnyPath) -> str:
    """A path from the root on, plainly spelt; what is a link stays one, and nothing need be there."""
    return os.path.abspath(os.fspath(path))  # noqa: PTH100 - `Path.resolve` follows links, `Path.absolute` leaves `..`


def is_there(path: AnyPath) -> bool:
    """Whether something has this name; False also for a name that nothing can have, such as one that is too long."""
    try:
        Path(path).stat()
    except (OSError, ValueError):
        return False
    return True


def rename(source: AnyPath, target: AnyPath) -> None:
    """Give a file its name, in place of what had it; both in one file system, and durable after `sync_folder`."""
    try:
        point("files.rename")
        os.replace(source, target)  # noqa: PTH105 - by the ten thousand, and Path costs more than the call
    except OSError as error:
        raise storage_error(error, "naming", target) from error


def unlink(path: AnyPath, *, missing_ok: bool = False) -> None:
    """Remove a file; durable after `sync_folder`."""
    try:
        point("files.unlink")
        os.unlink(path)  # noqa: PTH108 - as above
    except FileNotFoundError as error:
        if not missing_ok:
            raise storage_error(error, "removing", path) from error
    except OSError as error:
        raise storage_error(error, "removing", path) from error


def make_folder(path: AnyPath, *, mode: int = 0o777) -> None:
    """Make a folder and the missing ones above it, each name synced; one that is there already is left as it is."""
    folder = Path(path)
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        if folder == folder.parent:
            break
        folder = folder.parent
    for each in reversed(missing):
        try:
            point("files.make_folder")
            each.mkdir(mode, exist_ok=True)
        except OSError as error:
            raise storage_error(error, "making the folder", each) from error
        sync_folder(each.parent)


# ---------------------------------------------------------------- whole files


def write_atomically(path: AnyPath, data: Bytes, *, mode: int = 0o644) -> None:
    """Put `data` at `path`, in place of what is there: after any crash it is the old or the new content, whole.

    When this returns the file is saved. Raises StorageFull or StorageError; the old content is then still there,
    unless the error came while syncing the folder.
    """
    target = Path(path)
    temporary = target.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
    descriptor = create(temporary, mode=mode)
    try:
        try:
            write_all(descriptor, data, target)
            sync_file(descriptor, target)
        finally:
            os.close(descriptor)
        rename(temporary, target)
    except BaseException:
        discard(temporary)
        raise
    sync_folder(target.parent)


def discard(path: AnyPath) -> None:
    """Remove a temporary file as well as can be; what is left after an error is swept later."""
    with contextlib.suppress(OSError):
        os.unlink(path)  # noqa: PTH108 - as above


def copy_in(source: AnyPath, target: AnyPath, *, mode: int = 0o644) -> int:
    """Copy a file to the new file `target`, cheapest way first, and give its size in bytes; it is not synced.

    The ways: a reflink, which shares the bytes on disk; copy_file_range; sendfile; plain reading and writing.
    """
    reading, _ = open_source(source)
    try:
        writing = create(target, mode=mode)
        try:
            copy_open(reading, writing, source, target)
            return os.fstat(writing).st_size
        except BaseException:
            discard(target)
            raise
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def copy_open(reading: int, writing: int, source: AnyPath, target: AnyPath) -> None:
    """Copy all of one open file into another, empty one, cheapest way first."""
    try:
        if clone(reading, writing) or _copy_in_kernel(reading, writing):
            return
    except OSError as error:
        raise storage_error(error, "copying", source) from error
    while data := read_some(reading, source):
        write_all(writing, data, target)


def read_some(descriptor: int, path: AnyPath, size: int = CHUNK) -> bytes:
    """Up to `size` bytes from where the open file stands; empty at its end."""
    try:
        point("files.read")
        return os.read(descriptor, size)
    except OSError as error:
        raise storage_error(error, "reading", path) from error


def clone(reading: int, writing: int) -> bool:
    """Let an empty open file share the bytes of another on disk; False where the file system cannot."""
    if sys.platform != "linux":
        return False
    try:
        point("files.clone")
        fcntl.ioctl(writing, FICLONE, reading)
    except OSError as error:
        if error.errno in _CANNOT_CLONE:
            return False
        raise
    return True


def _copy_in_kernel(reading: int, writing: int) -> bool:
    """Copy by copy_file_range, then by sendfile; True if the end of the file was reached."""
    if sys.platform != "linux":
        return False
    ways: tuple[Callable[[], int], ...] = (
        lambda: os.copy_file_range(reading, writing, 1 << 30),
        lambda: os.sendfile(writing, reading, None, 1 << 30),
    )
    for way in ways:
        copied = 0
        try:
            while taken := way():
                copied += taken
        except OSError as error:
            if error.errno not in _CANNOT_CLONE:
                raise
            continue
        if copied:
            return True
    # Files such as those of /proc say that they are empty, and are not.
    return False
