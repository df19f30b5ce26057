"""Content-addressed files: what is put in is found again by the SHA-256 of its bytes, and only if it still has it.

Layout of a directory of blobs:

    ab/cdef...      a blob, read-only; folder and name together are its digest in hex
    staging/        blobs on their way in, see staging.py
    generations/    who may be using what, see generations.py
    damaged/        blobs with wrong bytes that were set aside
    ready           the folders above are known to be durable

A batch is saved in this order: write all under temporary names, one sync, give all their names, one sync. So a name
never stands before its bytes, and a blob is saved when the call returns. Whoever then records the digest keeps
`holding()` over both acts; a digest that comes from the record, to be recorded again, is renewed with `touch()`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from commonground.errors import InvalidInput
from commonground.store import blob_reading, blob_sweeping, files
from commonground.store.blob_reading import POOLED, Damage, Mode, Progress, missing_blob
from commonground.store.blob_sweeping import Swept
from commonground.store.disk_errors import storage_error
from commonground.store.faults import point
from commonground.store.generations import WAIT_S, Generation, Generations, mark_time, read_mark
from commonground.store.parallel import in_threads
from commonground.store.staging import FOLDER as STAGING
from commonground.store.staging import Staging, Taken, staging
from commonground.store.stat_cache import StatCache

FOLDERS: Final = tuple(f"{number:02x}" for number in range(256))
READY: Final = "ready"
DAMAGED: Final = "damaged"

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_STEP: Final = 256

Source = Callable[[Staging], Taken]


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """A blob that is saved."""

    digest: str
    """SHA-256 of its bytes, 64 characters of lower-case hex."""
    size: int
    """How many bytes it has."""


def _no_report(_files: int, _bytes: int) -> None:
    return


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

    def set_aside(self, digest: str) -> None:
        """Move a damaged blob out of the way, so that its right bytes can be put again."""

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
        self.root = Path(root)
        self._root = os.path.abspath(root)
        self._generations = Generations(self.root / "generations", wait_s=wait_s)
        self._ready = False

    # ------------------------------------------------------------ putting

    def put_bytes(self, data: files.Bytes) -> BlobInfo:
        """Save bytes as a blob; it is durable when this returns."""
        return self._put([lambda batch: batch.take_bytes(data, self._seems)])[0]

    def put_file(self, path: files.AnyPath, *, digest_known: str | None = None) -> BlobInfo:
        """Save a file as a blob; it is durable when this returns.

        `digest_known` is what the caller knows the digest to be: if that blob is there the file is not read at all;
        if not, the digest given back is that of the bytes that were read.
        """
        if digest_known is not None and not self.touch([digest_known]):
            return BlobInfo(digest_known, self.size(digest_known))
        return self._put([lambda batch: batch.take_file(path, self._seems)])[0]

    def put_files(
        self, paths: Iterable[files.AnyPath], *, cache: StatCache | None = None, progress: Progress | None = None
    ) -> list[BlobInfo]:
        """Save many files as blobs with one sync for all bytes and one for all names; durable when this returns.

        Files that `cache` knows to be unchanged are not read, if their blobs are there; what is new goes into `cache`,
        which is saved. `progress` is called from this thread. Raises NotFound, InvalidInput (not a regular file) or
        StorageError; blobs that were already put are then left for the next collection.
        """
        listed = [os.path.abspath(path) for path in paths]
        report = progress or _no_report
        with self.holding() as hold:
            known = self._find_known(listed, cache, report) if cache is not None else {}
            todo = [path for path in dict.fromkeys(listed) if path not in known]
            taken = self._put_all(todo, hold, report)
        if cache is not None:
            for path, each in zip(todo, taken, strict=True):
                if each.about is not None:
                    cache.record(path, each.about, each.digest, each.opened_ns)
            cache.save()
        known.update((path, BlobInfo(each.digest, each.size)) for path, each in zip(todo, taken, strict=True))
        return [known[path] for path in listed]

    def touch(self, digests: Iterable[str]) -> set[str]:
        """Mark blobs as wanted in the present generation, durably named, and give those that are not there."""
        wanted = [_checked(digest) for digest in dict.fromkeys(digests)]
        missing: set[str] = set()
        with self.holding() as hold, _disk("renewing blobs in", self.root), staging(self.root, hold) as batch:
            for start in range(0, len(wanted), _STEP):
                with self._generations.shared() as now:
                    for digest in wanted[start : start + _STEP]:
                        place = self._place(digest)
                        if not (_mark_again(place, None, now) or _replace_own(place, now, batch)):
                            missing.add(digest)
            folders = {digest[:2] for digest in wanted if digest not in missing}
            self._sync_names(folders, batch.witness)
        return missing

    # ------------------------------------------------------------ reading

    def path(self, digest: str) -> Path:
        """Where a blob lies, to be read in place; raises NotFound. Its bytes are not checked."""
        self.size(digest)
        return Path(self._place(digest))

    def get_bytes(self, digest: str) -> bytes:
        """All bytes of a blob; raises NotFound, or Corrupt if they are wrong."""
        with _disk("reading", self.root):
            return blob_reading.read_verified(digest, self._place(_checked(digest)))

    def open_verified(self, digest: str) -> BinaryIO:
        """A blob as a file to read; raises NotFound, or Corrupt if its bytes are wrong, before any is given."""
        with _disk("reading", self.root):
            return blob_reading.open_verified(digest, self._place(_checked(digest)))

    def get_file(self, digest: str, target: Path, mode: Mode = "reflink") -> None:
        """Write a blob to the path `target`; raises Conflict if it is taken, NotFound, or Corrupt. It is not synced.

        `reflink` shares the bytes on disk where that can be, `hardlink` gives the blob itself (read-only; whoever
        makes it writable and writes destroys the blob), `copy` always copies.
        """
        with _disk("writing", target):
            blob_reading.get_file(digest, self._place(_checked(digest)), Path(target), mode)

    def check_out(
        self,
        items: Iterable[tuple[str, str]],
        folder: Path,
        *,
        mode: Mode = "reflink",
        progress: Progress | None = None,
    ) -> int:
        """Write many blobs, each (name, digest), below `folder`, which is made, and give how many. Nothing is synced.

        Names are checked all at once, before anything is written (UnsafePath); missing blobs too (NotFound). A file
        that is there already is left if it has the right bytes, else it is a Conflict. A link inside `folder` is not
        followed (UnsafePath). After an error what was written is removed again.
        """
        listed = [(name, _checked(digest)) for name, digest in items]
        with _disk("writing below", folder):
            return blob_reading.check_out(listed, Path(folder), self._place, mode, progress or _no_report)

    def has(self, digest: str) -> bool:
        """Whether the blob is there."""
        return bool(self.has_many([digest]))

    def has_many(self, digests: Iterable[str]) -> set[str]:
        """Those of the digests whose blobs are there."""
        return {digest for digest in digests if _stat(self._place(_checked(digest))) is not None}

    def size(self, digest: str) -> int:
        """How many bytes a blob has; raises NotFound."""
        about = _stat(self._place(_checked(digest)))
        if about is None:
            raise missing_blob(digest)
        return about.st_size

    def iterate(self) -> Iterator[str]:
        """The digests of all blobs, in order; files whose names are no digest are passed over."""
        for folder in FOLDERS:
            yield from self._list(folder)

    def find_damaged(
        self, digests: Iterable[str] | None = None, *, progress: Progress | None = None
    ) -> Iterator[Damage]:
        """Hash the blobs given, or all, and yield those that are missing, unreadable or wrong."""
        wanted = self.iterate() if digests is None else (_checked(digest) for digest in digests)
        return blob_reading.find_damaged(wanted, self._place, progress or _no_report)

    def set_aside(self, digest: str) -> None:
        """Move a blob with wrong bytes to `damaged/`, so that the right bytes can be put again.

        Raises InvalidInput if its bytes are right, NotFound if there is none.
        """
        place = self._place(_checked(digest))
        damage = next(self.find_damaged([digest]), None)
        if damage is None:
            raise InvalidInput(f"The blob {digest} is not damaged, so it stays.")
        files.make_folder(self.root / DAMAGED)
        with self._generations.exclusive():
            self.size(digest)
            files.rename(place, self.root / DAMAGED / digest)
        files.sync_folder(self.root / DAMAGED)

    # ------------------------------------------------------------ collecting

    @contextmanager
    def holding(self) -> Iterator[int]:
        """Keep what is put or touched inside the block safe from every sweep begun before the block ends.

        It costs two file locks; the block may be long, and a process that ends lets go.
        """
        with _disk("opening", self.root):
            self._prepare()
        with self._generations.holding() as hold:
            yield hold

    def begin_generation(self) -> Generation:
        """Begin a collection; what is wanted must be read from the record after this call."""
        with _disk("marking", self.root):
            self._prepare()
            return self._generations.begin()

    def sweep(self, keep: Iterable[str], generation: Generation, *, progress: Progress | None = None) -> Swept:
        """Remove the blobs that are not in `keep` and were put by nobody who may still be about to record them.

        `keep` is every digest that the record names, as read after `generation` began. Raises InvalidInput, before
        anything is removed, if one of them is no digest; Busy if the lock is not to be had, what is removed stays so.
        """
        wanted = frozenset(_checked(digest) for digest in keep)
        with _disk("sweeping", self.root):
            self._prepare()
            return blob_sweeping.sweep(
                self.root, self._generations, wanted, generation, self._list, progress or _no_report
            )

    def erase(self, digests: Iterable[str]) -> int:
        """Destroy blobs at once and durably, for an erasure that the law asks for; give how many were there."""
        wanted = sorted({_checked(digest) for digest in digests})
        with _disk("erasing from", self.root), self._generations.exclusive():
            there = [digest for digest in wanted if _stat(self._place(digest)) is not None]
            for digest in there:
                files.unlink(self._place(digest))
            files.sync_many([self.root / folder for folder in sorted({digest[:2] for digest in there})])
        return len(there)

    # ------------------------------------------------------------ inside
