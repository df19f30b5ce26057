"""What has failed to sync in this process, and is never called saved again until the place is verified anew.

A file or folder is known by device and inode. It is kept open, so that the number cannot come back as another file.
"""

from __future__ import annotations

import contextlib
import os
from typing import Final

from commonground.errors import StorageError

_KEPT_OPEN: Final = 512

_failed: dict[tuple[int, int], int] = {}


def any_yet() -> bool:
    """Whether anything has failed."""
    return bool(_failed)


def refuse(about: os.stat_result, path: str | os.PathLike[str]) -> None:
    """Raise StorageError if the file of this stat has failed before."""
    if (about.st_dev, about.st_ino) in _failed:
        raise StorageError(
            f"{os.fspath(path)} could not be made safe earlier, so it is not called saved now.",
            todo="Check the disk, close this program, run `cg verify`, then do it again.",
        )


def remember(descriptor: int) -> None:
    """From now on the open file or folder counts as failed."""
    about = os.fstat(descriptor)
    known = (about.st_dev, about.st_ino)
    if known not in _failed:
        _failed[known] = -1
        if len(_failed) <= _KEPT_OPEN:
            with contextlib.suppress(OSError):
                _failed[known] = os.dup(descriptor)


def remember_path(path: str | os.PathLike[str]) -> None:
    """From now on the file or folder at `path`, if it is there, counts as failed."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            remember(descriptor)
        finally:
            os.close(descriptor)


def forget() -> None:
    """Trust again what failed: only after the place has been opened and verified anew."""
    for descriptor in _failed.values():
        if descriptor >= 0:
            os.close(descriptor)
    _failed.clear()
