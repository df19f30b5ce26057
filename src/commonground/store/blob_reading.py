"""Reading blobs so that wrong bytes are never served as right: every way out hashes what it gives.

Bytes are hashed before any of them is handed over: in memory for a small blob, in a first pass over the same open file
for a large one. A copy is hashed while it is made (a reflink: after, on the copy) and removed if it is wrong.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Literal

from commonground.errors import CommonGroundError, Conflict, Corrupt, NotFound
from commonground.store import files
from commonground.store.blob_places import stat_of
from commonground.store.containment import Inside, Parts, split_names
from commonground.store.faults import point
from commonground.store.parallel import WORTH_A_THREAD, Progress, in_threads
from commonground.store.staging import hash_open, read_pieces
from commonground.store.stat_cache import StatCache, identity

IN_MEMORY: Final = 64 << 20
"""Bytes up to which a blob is checked in memory and served from there."""
_CANNOT_LINK: Final = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS})

Mode = Literal["reflink", "hardlink", "copy"]
Place = Callable[[str], str]
"""Where the blob of a digest lies, or would."""
_Item = tuple[Parts, str]
"""What is to be checked out: under what name, and its digest."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A blob that cannot be served."""

    digest: str
    """The digest it should have."""
    what: str
    """What is wrong with it, in words."""


def missing_blob(digest: str) -> NotFound:
    """The error for a blob that is not there."""
    return NotFound(f"There is no blob {digest}.", todo="Run `cg verify`; fetch it again or restore a backup.")


def wrong_blob(digest: str, place: str) -> Corrupt:
    """The error for a blob whose bytes are not what was put in."""
    return Corrupt(
        f"The bytes of {place} are not those that were put in: they no longer have the SHA-256 {digest}.",
        kept="They were not served. Nothing was changed.",
        todo="Check the disk, run `cg verify`, then restore the file from a backup or add it again.",
    )


def open_blob(digest: str, place: str) -> tuple[int, int]:
    """A descriptor to read a blob that is not checked yet, and how many bytes it has."""
    point("blobs.read")
    try:
        reading, about = files.open_source(place)
    except NotFound:
        raise missing_blob(digest) from None
    return reading, about.st_size


def read_verified(digest: str, place: str) -> bytes:
    """All bytes of a blob; raises Corrupt if they are wrong."""
    reading, _ = open_blob(digest, place)
    try:
        pieces = list(iter(lambda: files.read_some(reading, place, files.CHUNK * 8), b""))
    finally:
        os.close(reading)
    data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    if hashlib.sha256(data).hexdigest() != digest:
        raise wrong_blob(digest, place)
    return data


def open_verified(digest: str, place: str) -> BinaryIO:
    """A blob as a file to read, checked as a whole before the first byte is handed over."""
    reading, size = open_blob(digest, place)
    try:
        if size > IN_MEMORY:
            found, _ = hash_open(reading, place, size)
            if found != digest:
                raise wrong_blob(digest, place)
            os.lseek(reading, 0, os.SEEK_SET)
            return os.fdopen(os.dup(reading), "rb")
    finally:
        os.close(reading)
    return io.BytesIO(read_verified(digest, place))


def copy_verified(digest: str, place: str, writing: int, target: files.AnyPath, *, share: bool) -> bool:
    """Copy a blob into an empty open file (read and write); raises Corrupt if it is wrong.

    With `share` the copy shares its bytes on disk with the blob where the file system can (a reflink); gives whether.
    """
    reading, size = open_blob(digest, place)
    try:
        shared = share and files.clone(reading, writing)
        if shared:
            found, _ = hash_open(writing, target, size)
        else:
            hasher = hashlib.sha256()
            for piece in read_pieces(reading, place, size):
                hasher.update(piece)
                files.write_all(writing, piece, target)
            found = hasher.hexdigest()
    finally:
        os.close(reading)
    if found != digest:
        raise wrong_blob(digest, place)
    return shared


def get_file(digest: str, place: str, target: Path, mode: Mode) -> None:
    """Write one blob to the path `target`, which must be free."""
    with Inside(target.parent) as inside:
        _Writer(mode).write(inside, (target.name,), digest, place)


def check_out(
    items: Iterable[tuple[str, str]],
    folder: Path,
    place: Place,
    mode: Mode,
    report: Progress,
    cache: StatCache | None = None,
) -> int:
    """Write many blobs, each (name, digest), below `folder`, and give how many; see `BlobStore.check_out`."""
    listed = list(items)
    names = split_names(name for name, _ in listed)
    wanted = sorted(zip(names, (digest for _, digest in listed), strict=True))
    todo = _not_there(wanted, folder, report, cache) if folder.is_dir() else wanted
    found = _find_blobs({digest for _, digest in todo}, place)
    files.make_folder(folder)
    writer = _Writer(mode)
    written: list[Parts] = []

    def write_large(item: _Item) -> int:
        parts, digest = item
        with Inside(folder) as inside:
            writer.write(inside, parts, digest, found[digest][0])
        written.append(parts)
        return found[digest][1]

    try:
        for size in in_threads(write_large, [item for item in todo if found[item[1]][1] >= WORTH_A_THREAD]):
            report(1, size)
        with Inside(folder) as inside:
            for parts, digest in todo:
                lies, size = found[digest]
                if size < WORTH_A_THREAD:
                    writer.write(inside, parts, digest, lies)
                    written.append(parts)
                    report(1, size)
    except BaseException:
        _take_back(folder, written)
        raise
    return len(wanted)


def _not_there(wanted: Sequence[_Item], folder: Path, report: Progress, cache: StatCache | None) -> list[_Item]:
    """Those that are still to be written; raises Conflict if there is something else of that name.

    What `cache` knows to be unchanged is not read, and it learns the others.
    """
    start = f"{files.absolute(folder)}/"
    todo, large = [], []

    def look(item: _Item, inside: Inside) -> bool:
        parts, digest = item
        return _is_there(inside, parts, digest, cache, start + "/".join(parts))

    def look_at_large(item: _Item) -> bool:
        with Inside(folder) as inside:
            return look(item, inside)

    with Inside(folder) as inside:
        for item in wanted:
            about = inside.stat(item[0])
            if about is None:
                todo.append(item)
            elif cache is not None and cache.find(start + "/".join(item[0]), about) == item[1]:
                report(1, about.st_size)
            elif about.st_size >= WORTH_A_THREAD:
                large.append((item, about.st_size))
            elif look(item, inside):
                report(1, about.st_size)
            else:
                todo.append(item)
    for (item, size), there in zip(large, in_threads(look_at_large, [item for item, _ in large]), strict=True):
        if there:
            report(1, size)
        else:
            todo.append(item)
    if cache is not None:
        cache.save()
    return todo


def _take_back(folder: Path, written: list[Parts]) -> None:
    with Inside(folder) as inside:
        for parts in sorted(written):
            with suppress(OSError, CommonGroundError):
                inside.remove(parts)


def _find_blobs(digests: set[str], place: Place) -> dict[str, tuple[str, int]]:
    """Where each blob lies and how many bytes it has; raises NotFound for all that are missing."""
    found = {}
    missing = []
    for digest in sorted(digests):
        lies = place(digest)
        about = stat_of(lies)
        if about is None:
            missing.append(digest)
        else:
            found[digest] = lies, about.st_size
    if missing:
        raise NotFound(
            f"{len(missing)} of {len(digests)} blobs are not here.",
            todo="Run `cg verify`; fetch them again or restore a backup.",
            faults=missing,
        )
    return found


def _is_there(inside: Inside, parts: Parts, digest: str, cache: StatCache | None, path: str) -> bool:
    """Whether the right file is there already; raises Conflict if something else is."""
    opened_ns = time.time_ns()
    reading = inside.open(parts)
    if reading is None:
        return False
    try:
        name = "/".join(parts)
        before = os.fstat(reading)
        if stat.S_ISREG(before.st_mode) and hash_open(reading, name, before.st_size)[0] == digest:
            if cache is not None and identity(before) == identity(os.fstat(reading)):
                cache.record(path, before, digest, opened_ns)
            return True
    finally:
        os.close(reading)
    raise Conflict(f"There is already another {name} in {inside.folder}.", todo="Move it away, then do it again.")


class _Writer:
    """Writes blobs out in the way that is asked for; where the disk could not share one it is asked for no other."""

    def __init__(self, mode: Mode) -> None:
        self._link = mode == "hardlink"
        self._share = mode != "copy"

    def write(self, inside: Inside, parts: Parts, digest: str, place: str) -> None:
        """Write one blob; nothing is left of it after an error."""
        point("blobs.check_out")
        if self._link and _link_out(inside, parts, digest, place):
            return
        target = f"{inside.folder}/{'/'.join(parts)}"
        writing = inside.create(parts)
        try:
            if not copy_verified(digest, place, writing, target, share=self._share):
                self._share = False
        except BaseException:
            inside.remove(parts)
            raise
        finally:
            os.close(writing)


def _link_out(inside: Inside, parts: Parts, digest: str, place: str) -> bool:
    reading, size = open_blob(digest, place)
    try:
        if hash_open(reading, place, size)[0] != digest:
            raise wrong_blob(digest, place)
    finally:
        os.close(reading)
    try:
        inside.link(place, parts)
    except OSError as error:
        if error.errno in _CANNOT_LINK:
            return False
        raise
    return True


def find_damaged(digests: Iterable[str], place: Place, report: Progress) -> Iterator[Damage]:
    """Read all bytes of the blobs given and yield those that are missing, unreadable or wrong, in their order."""

    def look(digest: str) -> tuple[int, Damage | None]:
        try:
            lies = place(digest)
            reading, expected = open_blob(digest, lies)
            try:
                found, size = hash_open(reading, lies, expected)
            finally:
                os.close(reading)
        except NotFound:
            return 0, Damage(digest, "it is missing")
        except (CommonGroundError, OSError) as error:
            return 0, Damage(digest, f"it cannot be read: {error}")
        return size, None if found == digest else Damage(digest, f"its {size} bytes are not those that were put in")

    for size, damage in in_threads(look, digests):
        report(1, size)
        if damage is not None:
            yield damage
