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
from collections.abc import Iterable, Sequence
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

_PART: Final = r"(?!\.\.?(?:/|$))[ -.0-\[\]-~]{1,255}+"
_PLAIN: Final = re.compile(rf"{_PART}(?:/{_PART})*+", re.ASCII)
"""Names of printable ASCII that no rule refuses, one or many joined by `/`: a quick way to be done with most names."""

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
    """The parts of each name, in order; raises UnsafePath as `check_names` does."""
    names = list(names)
    check_names(names)
    return [tuple(name.split("/")) for name in names]


def check_names(names: Sequence[str]) -> None:
    """Raise UnsafePath if these names cannot all be made into paths inside one folder.

    All faults come at once: names that lead outside, that are one file on some disks, or of which one is a folder of
    the other.
    """
    plain = max(map(len, names), default=0) <= LONGEST_NAME and _PLAIN.fullmatch("/".join(names))
    faults = [] if plain else [f"{name!r}: {why}" for name in names if (why := fault_of(name))]
    if not faults:
        faults = _collisions(names)
    if faults:
        raise UnsafePath("Some names cannot be made into paths.", todo="Rename them, then do it again.", faults=faults)


def _collisions(names: Sequence[str]) -> list[str]:
    keys = _folded(names)
    first = dict(zip(reversed(keys), reversed(range(len(keys))), strict=True))
    faults = [
        f"{names[row]!r}: it is the same file as {names[first[key]]!r} on some disks"
        for row, key in enumerate(keys)
        if first[key] != row
    ]
    above = dict.fromkeys(name.rpartition("/")[0] for name in names)
    for folder in list(above):
        above |= dict.fromkeys(folder[: slash.start()] for slash in re.finditer("/", folder))
    above.pop("", None)
    folders: dict[str, str] = {}
    for folder, key in zip(above, _folded(list(above)), strict=True):
        if folders.setdefault(key, folder) != folder:
            faults.append(f"{folder!r}: it is the same folder as {folders[key]!r} on some disks")
    return faults + [
        f"{names[first[key]]!r}: it is a file and also the folder of others" for key in folders if key in first
    ]


def _folded(names: Sequence[str]) -> list[str]:
    """What each name, free of NUL, is on a disk that tells neither case nor Unicode forms apart."""
    joined = "\0".join(names)
    if joined.isascii():
        folded = joined.lower()
    else:
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFD", joined).casefold())
    return folded.split("\0") if names else []


class Inside:
    """A folder in which files are made and read by name, with no way out of it.

    The folders on the way to the last name are kept open, so names that come sorted cost one call each.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._parts: Parts = ()
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

    def stat(self, parts: Parts) -> os.stat_result | None:
        """What is known of what has that name, a link not followed; None if nothing has; errors as in `open`."""
        try:
            return os.stat(parts[-1], dir_fd=self._enter(parts[:-1], make=False), follow_symlinks=False)
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
        if parts == self._parts:
            return self._open[-1]
        same = 0
        while same < min(len(parts), len(self._parts)) and parts[same] == self._parts[same]:
            same += 1
        self._leave(same)
        for part in parts[same:]:
            self._open.append(self._open_folder(part, parts, make=make))
            self._parts += (part,)
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
            self._parts = self._parts[:-1]
            os.close(self._open.pop())
