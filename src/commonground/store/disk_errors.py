"""What an OSError of a disk means, and what to do about it, in sentences."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from commonground.errors import StorageError, StorageFull

ENOUGH: Final = 128 << 10
"""How many bytes are tried: more than the file beside SQLite's log takes at a time."""
_SENTENCES: Final = {
    errno.ENOSPC: ("There is no room left on the disk", "Free some space, then do it again."),
    errno.EDQUOT: ("Your share of the disk is used up", "Free some space or ask for more, then do it again."),
    errno.EIO: ("The disk reported an error", "Check the disk, run `cg verify`, then do it again."),
    errno.EROFS: ("The disk can only be read at present", "Mount it for writing, then do it again."),
    errno.EMFILE: ("Too many files are open in this program", "Raise the limit (`ulimit -n`), then do it again."),
    errno.ENFILE: ("Too many files are open on this machine", "Close other programs, then do it again."),
    errno.EACCES: ("This account may not do that", "Check owner and permissions of the folder."),
    errno.EPERM: ("This account may not do that", "Check owner and permissions of the folder."),
    errno.ENOENT: ("The file or its folder is not there", "Check that the disk is mounted and the folder in place."),
    errno.EFBIG: ("The file is larger than this disk can hold", "Use another disk."),
    errno.ENAMETOOLONG: ("The name is too long for this disk", "Use a shorter name."),
    errno.EEXIST: ("There is a file of that name already", "Choose another name."),
}


def storage_error(error: OSError, doing: str, path: str | os.PathLike[str]) -> StorageError:
    """The error of the house for an OSError that came while `doing` something with `path`."""
    code = error.errno or 0
    happened, todo = _SENTENCES.get(code, (error.strerror or "The disk refused", "Check the disk, then do it again."))
    what = f"{happened} while {doing} {os.fspath(path)}."
    full = code in {errno.ENOSPC, errno.EDQUOT}
    return StorageFull(what, todo=todo) if full else StorageError(what, todo=todo)


def find_cause(file: Path) -> StorageError | None:
    """Why a library that tells nothing more could not work with a file: tries the same; None if nothing is found.

    SQLite says `unable to open database file` and `disk I/O error` whatever the reason is.
    """
    doing = "writing to"
    try:
        if not file.parent.is_dir():
            return StorageError(
                f"The folder {file.parent} is not there any more.",
                todo="Check that the disk is mounted and nobody moved or deleted the folder; restore it from a backup.",
            )
        # Not by opening it: to close it again would let go of all locks that SQLite holds on it in this process.
        if file.exists() and not os.access(file, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        doing = "writing in"
        _try_to_write(file.parent)
    except OSError as error:
        return storage_error(error, doing, file if doing == "writing to" else file.parent)
    return None


def _try_to_write(folder: Path) -> None:
    """Write, for as long as this takes, as much as an index of SQLite's log needs."""
    path = folder / f".cg-try-{secrets.token_hex(8)}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        path.unlink()
        rest = ENOUGH
        while rest:
            rest -= os.write(descriptor, bytes(rest))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def in_words(doing: str, path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an OSError inside the block into the error of the house for `doing` something with `path`."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, doing, path) from error
