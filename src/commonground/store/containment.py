"""Names from outside that become paths inside one folder, and never outside it.

A name is split at `/` and each part is checked before any path is made of it; the parts are then opened one by one
below the open folder, links not followed, so that a link put there meanwhile leads nowhere (as openat2(2) does with
RESOLVE_NO_SYMLINKS). Names that differ only in case or in Unicode form are refused together, because they are one
file on macOS.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from commonground.errors import Conflict, UnsafePath
from commonground.store.disk_errors import storage_error

LONGEST_PART: Final = 255
"""Bytes of UTF-8 that one part may have (NAME_MAX)."""
LONGEST_NAME: Final = 4000
"""Bytes of UTF-8 that a whole name may have, a little less than PATH_MAX."""

Parts = tuple[str, ...]

_PART: Final = r"(?!\.\.?(?:/|$))[ -.0-\[\]-~]{1,255}"
_PLAIN: Final = re.compile(rf"{_PART}(?:/{_PART})*", re.ASCII)
"""Names of printable ASCII that no rule refuses: most names, and a quick way to be done with them."""

_LINK_IN_THE_WAY: Final = frozenset({errno.ELOOP, errno.EMLINK, errno.ENOTDIR})


def fault_of(name: str) -> str | None:
    """Why `name` cannot become a path inside a folder; None if it can."""
    if _PLAIN.fullmatch(name) and len(name) <= LONGEST_NAME:
        return None
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    parts = name.split("/")
    rules = (
        (not name, "it is empty"),
        (name.startswith("/"), "it is an absolute path"),
        ("\0" in name, "it holds a NUL"),
        ("\\" in name, "it holds a backslash"),
        (".." in parts, "it leads upwards with '..'"),
        ("" in parts or "." in parts, "it has an empty part or a '.'"),
        (any(len(part.encode()) > LONGEST_PART for part in parts), f"a part is longer than {LONGEST_PART} bytes"),
        (size > LONGEST_NAME, f"it is longer than {LONGEST_NAME} bytes"),
    )
    return next((why for broken, why in rules if broken), None)


def split_name(name: str) -> Parts:
    """The parts of a relative name; raises UnsafePath if it could lead outside."""
    return split_names([name])[0]


def split_names(names: Iterable[str]) -> list[Parts]:
    """The parts of each name, in order.

    Raises UnsafePath with all faults at once: names that lead outside, that are one file on some disks, or of which
    one is a folder of the other.
    """
    names = list(names)
    faults = [f"{name!r}: {why}" for name in names if (why := fault_of(name))]
    if not faults:
        faults = _collisions(names)
    if faults:
        raise UnsafePath("Some names cannot be made into paths.", todo="Rename them, then do it again.", faults=faults)
    return [tuple(name.split("/")) for name in names]


def _collisions(names: list[str]) -> list[str]:
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    looked_at: set[str] = set()
    faults = []
    for name in names:
        key = _folded(name)
        if key in files:
            faults.append(f"{name!r}: it is the same file as {files[key]!r} on some disks")
        files.setdefault(key, name)
        parent = name.rpartition("/")[0]
        if parent in looked_at:
            continue
        looked_at.add(parent)
        parts = name.split("/")
        for depth in range(len(parts) - 1, 0, -1):
            folder = "/".join(parts[:depth])
            known = folders.setdefault(_folded(folder), folder)
            if known != folder:
                faults.append(f"{name!r}: its folder is the same as {known!r} on some disks")
    return faults + [
        f"{name!r}: it is a file and also the folder of others" for key, name in files.items() if key in folders
    ]


def _folded(name: str) -> str:
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


class Inside:
    """A folder in which files are made and read by name, with no way out of it.

    The folders on the way to the last name are kept open, so names that come sorted cost one call each.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._parts: list[str] = []
        self._open = [os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(0)
        os.close(self._open.pop())

    def create(self, parts: Parts, *, mode: int = 0o644) -> int:
        """A descriptor of the new file, to be written and read; missing folders are made.

        Raises Conflict if there is something of that name, UnsafePath if a link or a file stands in the way.
        """
        try:
            return self._at(parts, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode, make=True)
        except FileExistsError as error:
            raise Conflict(f"There is already a {'/'.join(parts)} in {self.folder}.", todo="Move it away.") from error

    def link(self, source: str | os.PathLike[str], parts: Parts) -> None:
        """Give the file `source` a second name here; errors as in `create`, and OSError if the disk cannot."""
        folder = self._enter(parts[:-1], make=True)
        try:
            os.link(source, parts[-1], dst_dir_fd=folder, follow_symlinks=False)
        except FileExistsError as error:
            raise Conflict(f"There is already a {'/'.join(parts)} in {self.folder}.", todo="Move it away.") from error

    def open(self, parts: Parts) -> int | None:
        """A descriptor to read what has that name; None if nothing has; UnsafePath if a link stands in the way."""
        try:
            return self._at(parts, os.O_RDONLY | os.O_NONBLOCK, 0, make=False)
        except FileNotFoundError:
            return None

    def remove(self, parts: Parts) -> None:
        """Remove the file of that name."""
        os.unlink(parts[-1], dir_fd=self._enter(parts[:-1], make=False))

    def _at(self, parts: Parts, flags: int, mode: int, *, make: bool) -> int:
        folder = self._enter(parts[:-1], make=make)
        try:
            return os.open(parts[-1], flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=folder)
        except (FileExistsError, FileNotFoundError):
            raise
        except OSError as error:
            raise self._refusal(error, parts) from error

    def _enter(self, parts: Parts, *, make: bool) -> int:
        same = 0
        while same < min(len(parts), len(self._parts)) and parts[same] == self._parts[same]:
            same += 1
        self._leave(same)
        for part in parts[same:]:
            self._open.append(self._open_folder(part, parts, make=make))
            self._parts.append(part)
        return self._open[-1]

    def _open_folder(self, part: str, parts: Parts, *, make: bool) -> int:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, dir_fd=self._open[-1])
            return os.open(part, flags, dir_fd=self._open[-1])
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._refusal(error, parts) from error

    def _refusal(self, error: OSError, parts: Parts) -> Exception:
        name = "/".join(parts)
        if error.errno in _LINK_IN_THE_WAY:
            return UnsafePath(f"A link or a file stands in the way of {name} in {self.folder}.", todo="Remove it.")
        return storage_error(error, "opening", self.folder / name)

    def _leave(self, depth: int) -> None:
        while len(self._parts) > depth:
            self._parts.pop()
            os.close(self._open.pop())
