"""Files on their way into a blob store: read once, hashed and copied in that one pass, under a temporary name.

A staged file is `staging/<generation>-<random>-<number>` below the root of the store. The generation is that of the
hold under which it was made, so a sweep can tell what a dead process left.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Final

from commonground.store import files
from commonground.store.faults import point
from commonground.store.stat_cache import identity

FOLDER: Final = "staging"
BLOB_MODE: Final = 0o444

Seems = Callable[[str, int], bool]
"""Whether the store seems to have a blob of this digest and size."""


@dataclass(slots=True)
class Taken:
    """One source that was read."""

    digest: str
    """SHA-256 of its bytes, in hex."""
    size: int
    """How many bytes it has."""
    staged: str | None
    """The temporary file with its bytes; None if the store seemed to have them."""
    about: os.stat_result | None = None
    """Its stat, if that was the same before and after reading."""
    opened_ns: int = 0
    """When it was opened, by the wall clock."""


class Staging:
    """The temporary files of one batch."""

    def __init__(self, root: Path, hold: int, witness: int) -> None:
        self._prefix = f"{root}/{FOLDER}/{hold}-{secrets.token_hex(8)}-"
        self._numbers = count()
        self._witness = witness
        self.made: set[str] = set()

    def sync(self, taken: Iterable[Taken]) -> None:
        """Make the bytes of all staged files durable."""
        files.sync_many([each.staged for each in taken if each.staged is not None], witness=self._witness)

    def sync_names(self, folders: list[str]) -> None:
        """Make the names in some folders durable."""
        files.sync_many(folders, witness=self._witness)

    def give_name(self, path: str, place: str) -> None:
        """Rename a staged file to its place in the store."""
        files.rename(path, place)
        self.made.discard(path)

    def copy(self, place: str) -> str:
        """Stage a durable copy of a blob, and give its path."""
        staged = self._name()
        files.copy_in(place, staged, mode=BLOB_MODE)
        files.sync_many([staged], witness=self._witness)
        return staged

    def discard(self, path: str) -> None:
        """Remove a staged file that is not needed."""
        files.discard(path)
        self.made.discard(path)

    def take_bytes(self, data: files.Bytes, seems: Seems) -> Taken:
        """Stage bytes, unless the store seems to have them."""
        digest, size = hashlib.sha256(data).hexdigest(), memoryview(data).nbytes
        if seems(digest, size):
            return Taken(digest, size, None)
        staged = self._name()
        point("blobs.stage")
        writing = files.create(staged, mode=BLOB_MODE)
        try:
            files.write_all(writing, data, staged)
        finally:
            os.close(writing)
        return Taken(digest, size, staged)

    def take_file(self, path: files.AnyPath, seems: Seems) -> Taken:
        """Stage the file at `path`; a small one only if the store does not seem to have it.

        A file that changes meanwhile is staged as it was read, and `about` is then None.
        """
        opened_ns = time.time_ns()
        reading, before = files.open_source(path)
        try:
            first = files.read_some(reading, path, min(files.CHUNK, before.st_size + 1))
            second = files.read_some(reading, path) if first and len(first) != before.st_size else b""
            taken = self._take_large(reading, path, [first, second]) if second else self.take_bytes(first, seems)
            after = os.fstat(reading)
        finally:
            os.close(reading)
        if identity(before) == identity(after) and after.st_size == taken.size:
            taken.about = after
            taken.opened_ns = opened_ns
        return taken

    def _take_large(self, reading: int, path: files.AnyPath, begun: list[bytes]) -> Taken:
        staged = self._name()
        point("blobs.stage")
        writing = files.create(staged, mode=BLOB_MODE)
        try:
            if files.clone(reading, writing):
                # What was cloned is hashed, not the source, which may be changing.
                digest, size = hash_file(staged)
                return Taken(digest, size, staged)
            hasher = hashlib.sha256()
            size = 0
            for piece in chain(begun, iter(lambda: files.read_some(reading, path), b"")):
                hasher.update(piece)
                files.write_all(writing, piece, staged)
                size += len(piece)
        finally:
            os.close(writing)
        return Taken(hasher.hexdigest(), size, staged)

    def _name(self) -> str:
        name = f"{self._prefix}{next(self._numbers)}"
        self.made.add(name)
        return name


@contextmanager
def staging(root: Path, hold: int) -> Iterator[Staging]:
    """A place for the temporary files of one batch; what is left of them at the end is removed."""
    witness = files.open_folder(root)
    batch = Staging(root, hold, witness)
    try:
        yield batch
    finally:
        os.close(witness)
        for path in batch.made:
            files.discard(path)


def sweep_staging(root: Path, floor: int) -> None:
    """Remove what processes that have ended left, those that held a generation below `floor`."""
    for entry in os.scandir(root / FOLDER):
        generation = entry.name.partition("-")[0]
        if generation.isdecimal() and int(generation) < floor:
            files.unlink(entry.path, missing_ok=True)


def hash_file(path: files.AnyPath) -> tuple[str, int]:
    """SHA-256 in hex and size in bytes of the file at `path`."""
    reading, about = files.open_source(path)
    try:
        return hash_open(reading, path, about.st_size)
    finally:
        os.close(reading)


def read_pieces(reading: int, path: files.AnyPath, expected: int) -> Iterator[bytes]:
    """All that is left to read in an open file, piece by piece.

    `expected` is the number of bytes that its stat told: a small file that gives just so many is not asked for more.
    """
    piece = files.read_some(reading, path, min(files.CHUNK, expected + 1))
    if piece:
        yield piece
    while piece and len(piece) != expected:
        piece = files.read_some(reading, path)
        if piece:
            yield piece


def hash_open(reading: int, path: files.AnyPath, expected: int) -> tuple[str, int]:
    """SHA-256 in hex and size in bytes of what is left to read in an open file; `expected` as in `read_pieces`."""
    hasher = hashlib.sha256()
    size = 0
    for piece in read_pieces(reading, path, expected):
        hasher.update(piece)
        size += len(piece)
    return hasher.hexdigest(), size
