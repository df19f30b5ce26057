"""Content-addressed files: what is put in is found again by the SHA-256 of its bytes, and only if it still has it.

A batch is saved in this order: write all under temporary names, one sync, give all their names, one sync. So a name
never stands before its bytes, and a blob is saved when the call returns. Whoever then records the digest keeps
`holding()` over both acts; a digest that comes from the record, to be recorded again, is renewed with `touch()`.

Garbage is collected so: `generation = blobs.begin_generation()`, then read from the record what it names, then
`blobs.sweep(keep, generation)`. The layout of the directory is in blob_places.py, the rule of the sweep in
generations.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from commonground.store import blob_putting, blob_reading, blob_sweeping, files
from commonground.store.blob_places import FOLDERS, Places, checked, stat_of
from commonground.store.blob_reading import Damage, Mode, missing_blob
from commonground.store.blob_sweeping import Swept
from commonground.store.disk_errors import in_words
from commonground.store.generations import WAIT_S, Generation
from commonground.store.parallel import WORTH_A_THREAD, Progress, silent
from commonground.store.staging import Seems, Staging, Taken
from commonground.store.stat_cache import StatCache


class BlobInfo(NamedTuple):
    """A blob that is saved."""

    digest: str
    """SHA-256 of its bytes, 64 characters of lower-case hex."""
    size: int
    """How many bytes it has."""


class BlobStore(Protocol):
    """Where blobs are kept; a directory today, an object store later."""

    def put_bytes(self, data: files.Bytes) -> BlobInfo:
        """Save bytes as a blob."""

    def put_file(self, path: files.AnyPath, *, digest_known: str | None = None) -> BlobInfo:
        """Save a file as a blob; if a blob of `digest_known` is there the file is not read."""

    def put_files(
        self, paths: Iterable[files.AnyPath], *, cache: StatCache | None = None, progress: Progress | None = None
    ) -> list[BlobInfo]:
        """Save many files as blobs, durable together, and give their digests in order."""

    def touch(self, digests: Iterable[str]) -> set[str]:
        """Keep blobs safe from a collection that begins later, and give those that are not there."""

    def path(self, digest: str) -> Path:
        """A path to read a blob in place, unchecked; the file must not be written."""

    def get_bytes(self, digest: str) -> bytes:
        """All bytes of a blob, checked."""

    def open_verified(self, digest: str) -> BinaryIO:
        """A blob as a file to read, checked before the first byte is given."""

    def get_file(self, digest: str, target: Path, mode: Mode = "reflink") -> None:
        """Write a blob, checked, to a path that must be free."""

    def check_out(
        self,
        items: Iterable[tuple[str, str]],
        folder: Path,
        *,
        mode: Mode = "reflink",
        cache: StatCache | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Write many blobs, each (name, digest), checked, below a folder and never outside it; give how many."""

    def has(self, digest: str) -> bool:
        """Whether the blob is there."""

    def has_many(self, digests: Iterable[str]) -> set[str]:
        """Those of the digests whose blobs are there."""

    def size(self, digest: str) -> int:
        """How many bytes a blob has."""

    def iterate(self) -> Iterator[str]:
        """The digests of all blobs, in order."""

    def find_damaged(
        self, digests: Iterable[str] | None = None, *, progress: Progress | None = None
    ) -> Iterator[Damage]:
        """Read the blobs given, or all, and yield those that are missing, unreadable or wrong."""

    def holding(self) -> AbstractContextManager[int]:
        """Keep what is put or touched inside the block safe from every collection that begins before its end."""

    def begin_generation(self) -> Generation:
        """Begin a collection; read what is wanted from the record after this call."""

    def sweep(self, keep: Iterable[str], generation: Generation, *, progress: Progress | None = None) -> Swept:
        """Remove the blobs that are not in `keep` and were not put or touched since `generation` began."""

    def erase(self, digests: Iterable[str]) -> int:
        """Destroy blobs at once, whoever may refer to them, and give how many were there."""


class DirectoryBlobs:
    """Blobs in a local directory; any number of processes and threads may use it at once."""

    def __init__(self, root: files.AnyPath, *, wait_s: float = WAIT_S) -> None:
        self._places = Places(root, wait_s)
        self.root = self._places.root

    def put_bytes(self, data: files.Bytes) -> BlobInfo:
        """Save bytes as a blob; it is durable when this returns."""
        with self.holding() as hold, in_words("saving in", self.root):
            taken = blob_putting.put(self._places, hold, [partial(_take_bytes, data)], silent)
        return BlobInfo(taken[0].digest, taken[0].size)

    def put_file(self, path: files.AnyPath, *, digest_known: str | None = None) -> BlobInfo:
        """Save a file as a blob; it is durable when this returns.

        `digest_known` is what the caller knows the digest to be: if that blob is there the file is not read at all;
        if not, the digest given back is that of the bytes that were read.
        """
        if digest_known is not None:
            size = self._touch([digest_known]).get(digest_known)
            if size is not None:
                return BlobInfo(digest_known, size)
        return self.put_files([path])[0]

    def put_files(
        self, paths: Iterable[files.AnyPath], *, cache: StatCache | None = None, progress: Progress | None = None
    ) -> list[BlobInfo]:
        """Save many files as blobs with one sync for all bytes and one for all names; durable when this returns.

        Files that `cache` knows to be unchanged are not read, if their blobs are there; what is new goes into `cache`,
        which is saved. `progress` is called from this thread. Raises NotFound, InvalidInput (not a regular file) or
        StorageError; blobs that were put before that are left for the next collection.
        """
        listed = [_absolute(os.fspath(path)) for path in paths]
        report = progress or silent
        with self.holding() as hold, in_words("saving in", self.root):
            claims, large = _look_at(listed, cache)
            found = self._find_unchanged(claims, report)
            todo = [path for path in dict.fromkeys(listed) if path not in found]
            in_threads = frozenset(index for index, path in enumerate(todo) if path in large)
            taken = blob_putting.put(
                self._places, hold, [partial(_take_file, path) for path in todo], report, large=in_threads
            )
            found.update((path, BlobInfo(each.digest, each.size)) for path, each in zip(todo, taken, strict=True))
        if cache is not None:
            for path, each in zip(todo, taken, strict=True):
                if each.about is not None:
                    cache.record(path, each.about, each.digest, each.opened_ns)
            cache.save()
        return [found[path] for path in listed]

    def touch(self, digests: Iterable[str]) -> set[str]:
        """Keep blobs safe from a collection that begins while the caller is holding, and give those not there."""
        wanted = list(dict.fromkeys(digests))
        return set(wanted) - self._touch(wanted).keys()

    def path(self, digest: str) -> Path:
        """Where a blob lies, to be read in place; raises NotFound. Its bytes are not checked."""
        self.size(digest)
        return Path(self._places.of(digest))

    def get_bytes(self, digest: str) -> bytes:
        """All bytes of a blob; raises NotFound, or Corrupt if they are wrong."""
        with in_words("reading", self.root):
            return blob_reading.read_verified(digest, self._places.of(digest))

    def open_verified(self, digest: str) -> BinaryIO:
        """A blob as a file to read; raises NotFound, or Corrupt if its bytes are wrong, before any is given."""
        with in_words("reading", self.root):
            return blob_reading.open_verified(digest, self._places.of(digest))

    def get_file(self, digest: str, target: files.AnyPath, mode: Mode = "reflink") -> None:
        """Write a blob to the path `target`; raises Conflict if it is taken, NotFound, or Corrupt. It is not synced.

        `reflink` shares the bytes on disk where that can be, `hardlink` gives the blob itself (read-only; whoever
        makes it writable and writes destroys the blob), `copy` always copies.
        """
        with in_words("writing", target):
            blob_reading.get_file(digest, self._places.of(digest), Path(target), mode)

    def check_out(
        self,
        items: Iterable[tuple[str, str]],
        folder: files.AnyPath,
        *,
        mode: Mode = "reflink",
        cache: StatCache | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Write many blobs, each (name, digest), below `folder`, which is made, and give how many. Nothing is synced.

        Names are checked all at once, before anything is written (UnsafePath); missing blobs too (NotFound). A file
        that is there already is left if it has the right bytes, else it is a Conflict; one that `cache` knows to be
        unchanged is not read. A link inside `folder` is not followed (UnsafePath). After an error what was written is
        removed again.
        """
        with in_words("writing below", folder):
            return blob_reading.check_out(items, Path(folder), self._places.of, mode, progress or silent, cache)

    def has(self, digest: str) -> bool:
        """Whether the blob is there."""
        return bool(self.has_many([digest]))

    def has_many(self, digests: Iterable[str]) -> set[str]:
        """Those of the digests whose blobs are there."""
        with in_words("looking into", self.root):
            return self._places.find(set(digests))

    def size(self, digest: str) -> int:
        """How many bytes a blob has; raises NotFound."""
        with in_words("looking into", self.root):
            about = stat_of(self._places.of(digest))
        if about is None:
            raise missing_blob(digest)
        return about.st_size

    def iterate(self) -> Iterator[str]:
        """The digests of all blobs, in order; files whose names are no digest are passed over."""
        with in_words("looking into", self.root):
            for folder in FOLDERS:
                yield from self._places.list(folder)

    def find_damaged(
        self, digests: Iterable[str] | None = None, *, progress: Progress | None = None
    ) -> Iterator[Damage]:
        """Hash the blobs given, or all, and yield those that are missing, unreadable or wrong."""
        wanted = self.iterate() if digests is None else map(checked, digests)
        return blob_reading.find_damaged(wanted, self._places.of, progress or silent)

    @contextmanager
    def holding(self) -> Iterator[int]:
        """Keep what is put or touched inside the block safe from every sweep begun before the block ends.

        It costs two file locks; the block may be long, and a process that ends lets go.
        """
        with in_words("opening", self.root):
            self._places.prepare()
        with self._places.generations.holding() as hold:
            yield hold

    def begin_generation(self) -> Generation:
        """Begin a collection; what is wanted must be read from the record after this call."""
        with in_words("marking", self.root):
            self._places.prepare()
            return self._places.generations.begin()

    def sweep(self, keep: Iterable[str], generation: Generation, *, progress: Progress | None = None) -> Swept:
        """Remove the blobs that are not in `keep` and were put by nobody who may still be about to record them.

        `keep` is every digest that the record names, as read after `generation` began. Raises InvalidInput, before
        anything is removed, if one of them is no digest; Busy if the lock is not to be had, what is removed stays so.
        """
        wanted = frozenset(map(checked, keep))
        with in_words("sweeping", self.root):
            self._places.prepare()
            return blob_sweeping.sweep(self._places, wanted, generation, progress or silent)

    def erase(self, digests: Iterable[str]) -> int:
        """Destroy blobs at once and durably, for an erasure that the law asks for; give how many were there."""
        with in_words("erasing from", self.root), self._places.generations.exclusive():
            there = sorted(digest for digest in set(digests) if stat_of(self._places.of(digest)) is not None)
            for digest in there:
                files.unlink(self._places.of(digest))
            files.sync_many([self.root / folder for folder in sorted({digest[:2] for digest in there})])
        return len(there)

    def _touch(self, digests: list[str]) -> dict[str, int]:
        with self.holding() as hold, in_words("renewing blobs in", self.root):
            return blob_putting.touch(self._places, hold, digests)

    def _find_unchanged(self, claims: dict[str, BlobInfo], report: Progress) -> dict[str, BlobInfo]:
        """Of what the cache claims, the files whose blobs are there."""
        sizes = self._touch(list({digest for digest, _ in claims.values()})) if claims else {}
        found = {path: claim for path, claim in claims.items() if sizes.get(claim[0]) == claim[1]}
        report(len(found), sum(claim[1] for claim in found.values()))
        return found


def _absolute(path: str | bytes) -> str:
    text = os.fsdecode(path)
    # Most are absolute and plain already, and there may be very many.
    return text if text[:1] == "/" and "/." not in text and "//" not in text else files.absolute(text)


def _look_at(paths: list[str], cache: StatCache | None) -> tuple[dict[str, BlobInfo], set[str]]:
    """What the cache claims of files that have not changed, and the files that are large."""
    claims: dict[str, BlobInfo] = {}
    large: set[str] = set()
    for path in paths:
        try:
            about = os.stat(path)  # noqa: PTH116 - by the ten thousand
        except OSError:
            # Opening it will say what is wrong.
            continue
        digest = cache.find(path, about) if cache is not None else None
        if digest is not None:
            claims[path] = BlobInfo(digest, about.st_size)
        elif about.st_size >= WORTH_A_THREAD:
            large.add(path)
    return claims, large


def _take_bytes(data: files.Bytes, batch: Staging, seems: Seems) -> Taken:
    return batch.take_bytes(data, seems)


def _take_file(path: str, batch: Staging, seems: Seems) -> Taken:
    return batch.take_file(path, seems)
