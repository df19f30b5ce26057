"""Folders for work in between, which lie beside what they become and go when it is done.

A workspace is `.cg-work-...` in a folder of the caller's choice, locked by flock(2) as long as it is used. What a
killed program left has no lock, so `sweep` can tell it from what is in use, and removes it. On a disk without locks, as
a network disk may be, nothing is swept.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from commonground.store import files
from commonground.store.disk_errors import storage_error

PREFIX = ".cg-work-"
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF})
"""What a disk says that has no locks for folders."""


@contextmanager
def workspace(folder: Path) -> Iterator[Path]:
    """A new folder inside `folder`, which is made if it is not there; removed with all that is in it at the end."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder, fcntl.LOCK_SH):
            # Nobody sweeps here until the new folder has its own lock.
            place = Path(tempfile.mkdtemp(prefix=PREFIX, dir=folder))
            held = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            _lock(held, fcntl.LOCK_SH)
    except OSError as error:
        raise storage_error(error, "making a folder in", folder) from error
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        os.close(held)


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """A workspace in `folder` for what shall come into it; a folder that was not there goes again if nothing does."""
    new = not folder.exists()
    try:
        files.make_folder(folder)
        # What a killed program left may be as large as what is made now.
        sweep(folder)
        with workspace(folder) as place:
            yield place
    finally:
        if new:
            with suppress(OSError):
                folder.rmdir()


def sweep(folder: Path) -> int:
    """Remove the workspaces in `folder` that nobody uses any more, and give how many there were; never waits."""
    gone = 0
    with suppress(OSError), _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
        for path in [path for path in folder.iterdir() if path.name.startswith(PREFIX)]:
            with suppress(OSError), _locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB):
                shutil.rmtree(path)
                gone += 1
    return gone


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, how: int) -> None:
    try:
        fcntl.flock(descriptor, how)
    except OSError as error:
        # Who may not sweep is not locked out either: only a sweep asks for the exclusive lock.
        if how != fcntl.LOCK_SH or error.errno not in _NO_LOCKS:
            raise
