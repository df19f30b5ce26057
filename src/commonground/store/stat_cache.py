"""Digests of files that have not changed since they were last read, so that they are not read again.

Working class: the file may be deleted at any time, and one that is damaged is ignored. An entry is believed only while
inode, size, mtime and ctime of the path are what they were, and only if both times lay `SETTLED_NS` or more before the
file was opened to be read: a file changed twice within one tick of its clock looks unchanged (git's "racily clean"
rule, https://git-scm.com/docs/racy-git). What it cannot see: a program that goes on writing through a memory map
without touching the file's times.

Format: segments, each `CGSC` + version u8 + 3 zero bytes + entries u32 + bytes of paths u64 + CRC-32 u32 of these
two numbers and of the rest, all little endian; then 64 bytes an entry (inode, size, mtime ns, ctime ns as 64-bit
integers, SHA-256), then the paths, each ended by NUL. A later segment wins. Saving appends one segment; when half of
the entries are stale, or a segment is broken, it writes the file anew.
"""

from __future__ import annotations

import os
import struct
import time
import zlib
from collections.abc import Iterator, Sequence
from itertools import starmap
from pathlib import Path
from typing import Final, cast

from commonground.errors import StorageError
from commonground.store import files
from commonground.store.faults import point

SETTLED_NS: Final = 2_000_000_000
"""Two seconds, the coarsest clock of a file system in use (FAT)."""

_MAGIC: Final = b"CGSC\x01\0\0\0"
_HEAD: Final = struct.Struct("<8sIQI")
_NUMBERS: Final = struct.Struct("<IQ")
_ENTRY: Final = struct.Struct("<QQqq32s")
_FEW: Final = 1000

_Entry = tuple[int, int, int, int, bytes]
"""Inode, size, mtime in ns, ctime in ns, SHA-256."""


class StatCache:
    """What is known of files by path; one process writes at a time, and a lost race only loses entries."""

    def __init__(self, path: files.AnyPath) -> None:
        self.path = os.fspath(path)
        self._known: dict[str, _Entry] = {}
        self._new: dict[str, _Entry] = {}
        self._stored = 0
        self._broken = False
        self._load()

    def __len__(self) -> int:
        return len(self._known)

    def find(self, path: str, about: os.stat_result) -> str | None:
        """The SHA-256 of the file at the absolute `path`, if `about`, its present stat, is what it was; else None."""
        entry = self._known.get(path)
        if entry is None or entry[:4] != identity(about):
            return None
        return entry[4].hex()

    def find_many(self, paths: Sequence[str], stats: Sequence[os.stat_result]) -> list[str | None]:
        """`find` for many files at once."""
        return [
            None
            if entry is None or entry[:4] != (about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
            else entry[4].hex()
            for entry, about in zip(map(self._known.get, paths), stats, strict=True)
        ]

    def record(self, path: str, about: os.stat_result, digest: str, opened_ns: int) -> bool:
        """Remember the digest of the file at the absolute `path`; False if it changed too recently to be believed.

        `about` is the stat that was the same before and after reading; `opened_ns` the time (`time.time_ns`) at which
        the file was opened.
        """
        if max(about.st_mtime_ns, about.st_ctime_ns) > opened_ns - SETTLED_NS or opened_ns > time.time_ns():
            return False
        entry = (*identity(about), bytes.fromhex(digest))
        if self._known.get(path) != entry:
            self._known[path] = self._new[path] = entry
        return True

    def save(self) -> None:
        """Write what is new; an error of the disk is not raised, because a cache may be lost."""
        if not self._new and not self._broken:
            return
        try:
            point("stat_cache.save")
            if self._broken or self._stored + len(self._new) > 2 * len(self._known) + _FEW:
                files.write_atomically(self.path, _segment(self._known))
                self._stored = len(self._known)
            else:
                self._append(_segment(self._new))
                self._stored += len(self._new)
        except (OSError, StorageError):
            # What was half written is found by its checksum.
            self._broken = True
            return
        self._new = {}
        self._broken = False

    def _append(self, segment: bytes) -> None:
        descriptor = files.open_append(self.path)
        try:
            files.write_all(descriptor, segment, self.path)
        finally:
            os.close(descriptor)

    def _load(self) -> None:
        try:
            point("stat_cache.load")
            with Path(self.path).open("rb") as file:
                data = file.read()
        except FileNotFoundError:
            return
        except OSError:
            self._broken = True
            return
        start = 0
        while start < len(data):
            end = self._take_segment(data, start)
            if end is None:
                self._broken = True
                return
            start = end

    def _take_segment(self, data: bytes, start: int) -> int | None:
        """Take in the segment at `start` and give where it ends; None if it is broken."""
        if len(data) - start < _HEAD.size:
            return None
        head: tuple[bytes, int, int, int] = _HEAD.unpack_from(data, start)
        magic, count, size, checksum = head
        entries = start + _HEAD.size
        paths = entries + count * _ENTRY.size
        end = paths + size
        if magic != _MAGIC or end > len(data):
            return None
        body = memoryview(data)[entries:end]
        if zlib.crc32(body, zlib.crc32(_NUMBERS.pack(count, size))) != checksum:
            return None
        keys = os.fsdecode(data[paths:end]).split("\0")
        if len(keys) != count + 1:
            return None
        keys.pop()
        values = cast("Iterator[_Entry]", _ENTRY.iter_unpack(body[: count * _ENTRY.size]))
        self._known.update(zip(keys, values, strict=True))
        self._stored += count
        return end


def identity(about: os.stat_result) -> tuple[int, int, int, int]:
    """What changes whenever a file is written or replaced: inode, size, mtime and ctime in ns."""
    return about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns


def _segment(entries: dict[str, _Entry]) -> bytes:
    body = b"".join(starmap(_ENTRY.pack, entries.values())) + os.fsencode("".join(f"{path}\0" for path in entries))
    size = len(body) - len(entries) * _ENTRY.size
    checksum = zlib.crc32(body, zlib.crc32(_NUMBERS.pack(len(entries), size)))
    return _HEAD.pack(_MAGIC, len(entries), size, checksum) + body
