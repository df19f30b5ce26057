"""The files of a folder with their digests: regular files only, by path, links never followed.

Names that could not be written out again (see store/containment.py) are refused all at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG
from typing import cast

from commonground.errors import InvalidInput
from commonground.store.collection import without_collection
from commonground.store.containment import check_names
from commonground.store.files import absolute
from commonground.store.parallel import WORTH_A_THREAD, in_threads
from commonground.store.staging import hash_file
from commonground.store.stat_cache import StatCache, identity

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
    root = Path(absolute(source))
    if not root.is_dir():
        about = root.stat()
        if not S_ISREG(about.st_mode):
            raise InvalidInput(f"{source} is not a regular file.", todo="Name a file or a folder.")
        return Listing(root, [root.name], [str(root)], [about.st_size], [about])
    skip = str(leave_out.resolve()) if leave_out is not None else ""
    start = f"{root}/" if root.name else str(root)
    with without_collection():
        found, left_out = _walk(start, skip)
        names = sorted(found)
        check_names(names)
        stats = [found[name] for name in names]
        return Listing(
            root,
            names,
            [start + name for name in names],
            [about.st_size for about in stats],
            stats,
            sorted(left_out[:MOST_LEFT_OUT]),
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
    digests = cache.find_many(listing.paths, listing.stats)
    todo = [row for row, digest in enumerate(digests) if digest is None]
    opened = clock_ns()
    large = [row for row in todo if listing.sizes[row] >= WORTH_A_THREAD]
    taken = dict(zip(large, in_threads(hash_file, [listing.paths[row] for row in large]), strict=True))
    taken |= {row: hash_file(listing.paths[row]) for row in todo if row not in taken}
    for row, (digest, size) in taken.items():
        listing.sizes[row] = size
        digests[row] = digest
        after = os.lstat(listing.paths[row])
        if identity(listing.stats[row]) == identity(after) and after.st_size == size:
            cache.record(listing.paths[row], after, digest, opened)
    cache.save()
    return cast("list[str]", digests)


def _walk(start: str, skip: str) -> tuple[dict[str, os.stat_result], list[str]]:
    """The regular files below a folder, by name, and the names of what is neither file nor folder."""
    found: dict[str, os.stat_result] = {}
    left_out: list[str] = []
    folders = [""]
    while folders:
        above = folders.pop()
        # Of an open folder the system looks up one name a file, not the whole path.
        descriptor = os.open(start + above, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    name = above + entry.name
                    if entry.is_file(follow_symlinks=False):
                        found[name] = entry.stat(follow_symlinks=False)
                    elif not entry.is_dir(follow_symlinks=False):
                        left_out.append(name)
                    elif start + name != skip:
                        folders.append(f"{name}/")
        finally:
            os.close(descriptor)
    return found, left_out
