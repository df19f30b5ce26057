"""The files of a folder with their digests: regular files only, by path, links never followed.

Names that could not be written out again (see store/containment.py) are refused all at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG

from commonground.errors import InvalidInput
from commonground.store.containment import split_names
from commonground.store.parallel import WORTH_A_THREAD, in_threads
from commonground.store.staging import hash_file
from commonground.store.stat_cache import StatCache

MOST_LEFT_OUT = 1_000


@dataclass(slots=True)
class Listing:
    """Regular files, by name."""

    root: Path
    """The folder, or the one file."""
    names: list[str]
    """The path of each below the folder, with `/`; of one file its name."""
    paths: list[str]
    """Where each lies, absolute."""
    sizes: list[int]
    """Bytes of each when it was listed."""
    stats: list[os.stat_result] = field(default_factory=list)
    """What was known of each when it was listed."""
    left_out: list[str] = field(default_factory=list)
    """Links, sockets and the like."""


def list_folder(source: Path, *, leave_out: Path | None = None) -> Listing:
    """The file `source`, or all files below the folder `source`; the folder `leave_out` is passed over.

    Raises InvalidInput for a file that is not a regular one, UnsafePath for names that could not be written out again.
    """
    root = Path(os.path.abspath(source))  # noqa: PTH100 - links are not resolved
    if not root.is_dir():
        about = root.stat()
        if not S_ISREG(about.st_mode):
            raise InvalidInput(f"{source} is not a regular file.")
        return Listing(root, [root.name], [str(root)], [about.st_size], [about])
    skip = str(leave_out.resolve()) if leave_out is not None else ""
    left_out: list[str] = []
    prefix = len(str(root).rstrip("/")) + 1
    found = sorted((path[prefix:], path, about) for path, about in _walk(str(root), skip, left_out))
    names = [name for name, _, _ in found]
    split_names(names)
    return Listing(
        root,
        names,
        [path for _, path, _ in found],
        [about.st_size for _, _, about in found],
        [about for _, _, about in found],
        sorted(path[prefix:] for path in left_out[:MOST_LEFT_OUT]),
    )


def hash_files(listing: Listing, cache: StatCache, clock_ns: Callable[[], int]) -> list[str]:
    """The SHA-256 of each file; those that the cache knows are not read, and it learns the others and is saved."""
    try:
        return _hash_files(listing, cache, clock_ns)
    except FileNotFoundError as error:
        raise InvalidInput(
            f"{error.filename} went away while the folder was being read.", todo="Do it again when nobody writes there."
        ) from None


def _hash_files(listing: Listing, cache: StatCache, clock_ns: Callable[[], int]) -> list[str]:
    found: dict[int, str] = {}
    todo = []
    for row, (path, about) in enumerate(zip(listing.paths, listing.stats, strict=True)):
        known = cache.find(path, about)
        if known is None:
            todo.append(row)
        else:
            found[row] = known
    opened = clock_ns()
    large = [row for row in todo if listing.sizes[row] >= WORTH_A_THREAD]
    taken = dict(zip(large, in_threads(hash_file, [listing.paths[row] for row in large]), strict=True))
    taken |= {row: hash_file(listing.paths[row]) for row in todo if row not in taken}
    for row, (digest, size) in taken.items():
        listing.sizes[row] = size
        found[row] = digest
        after = os.stat(listing.paths[row], follow_symlinks=False)  # noqa: PTH116 - by the ten thousand
        if _same(listing.stats[row], after) and after.st_size == size:
            cache.record(listing.paths[row], after, digest, opened)
    cache.save()
    return [found[row] for row in range(len(listing.paths))]


def _walk(folder: str, skip: str, left_out: list[str]) -> Iterator[tuple[str, os.stat_result]]:
    folders: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.path != skip:
                    folders.append(entry.path)
            elif entry.is_file(follow_symlinks=False):
                yield entry.path, entry.stat(follow_symlinks=False)
            else:
                left_out.append(entry.path)
    for inner in folders:
        yield from _walk(inner, skip, left_out)


def _same(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_ino, before.st_size, before.st_mtime_ns, before.st_ctime_ns) == (
        after.st_ino,
        after.st_size,
        after.st_mtime_ns,
        after.st_ctime_ns,
    )
