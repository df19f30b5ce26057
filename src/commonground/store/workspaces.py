"""Folders for work in between, which lie beside what they become and go when it is done.

A workspace is `.cg-work-...` in a folder of the caller's choice, locked by flock(2) as long as it is used. What a
killed program left has no lock, so `sweep` can tell it from what is in use, and removes it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from commonground.store.disk_errors import storage_error

PREFIX = ".cg-work-"


@contextmanager
def workspace(folder: Path) -> Iterator[Path]:
    """A new folder inside `folder`, which is made if it is not there; removed with all that is in it at the end."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder, fcntl.LOCK_SH):
            # Nobody sweeps here until the new folder has its own lock.
            place = Path(tempfile.mkdtemp(prefix=PREFIX, dir=folder))
            held = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(held, fcntl.LOCK_SH)
    except OSError as error:
        raise storage_error(error, "making a folder in", folder) from error
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        os.close(held)


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
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)
