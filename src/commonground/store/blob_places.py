"""Where the parts of a directory of blobs lie, and how they are made durable once.

    ab/cdef...      a blob, read-only; folder and name together are its digest in hex
    staging/        blobs on their way in, see staging.py
    generations/    who may be using what, see generations.py
    ready           the folders above are known to be durable

All 256 folders are made at the start, so that saving a blob never has to make a folder durable.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from itertools import chain
from pathlib import Path
from typing import Final

from commonground.errors import InvalidInput
from commonground.store import files
from commonground.store.generations import Generations
from commonground.store.staging import FOLDER as STAGING

FOLDERS: Final = tuple(f"{number:02x}" for number in range(256))
READY: Final = "ready"
MANY: Final = 1_000
WORTH_LISTING: Final = 8
"""To look one blob up costs as much as to list about so many."""

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_DIGESTS: Final = re.compile(r"[0-9a-f]{64}(?: [0-9a-f]{64})*+")
"""Many joined by spaces: a quick way to be done with digests that are all right."""


def checked(digest: str) -> str:
    """The digest itself; raises InvalidInput if it is not 64 characters of lower-case hex."""
    if not _DIGEST.fullmatch(digest):
        raise InvalidInput(
            f"{digest!r} is not a digest: it must be 64 characters of 0-9 and a-f.",
            todo="Give a digest as it was shown, in full.",
        )
    return digest


def stat_of(place: str) -> os.stat_result | None:
    """The stat of a blob; None if it is not there."""
    try:
        return os.lstat(place)  # by the ten thousand, and Path costs more than the call
    except FileNotFoundError:
        return None


class Places:
    """The paths below the root of a directory of blobs."""

    def __init__(self, root: files.AnyPath, wait_s: float) -> None:
        self.root = Path(files.absolute(root))
        self._start = f"{self.root}/"
        self.generations = Generations(self.root / "generations", wait_s=wait_s)
        self._is_ready = False

    def of(self, digest: str) -> str:
        """Where the blob of a digest lies, or would; raises InvalidInput for what is no digest."""
        return f"{self._start}{checked(digest)[:2]}/{digest[2:]}"

    def list(self, folder: str) -> list[str]:
        """The digests of the blobs in one folder, in order."""
        return sorted(
            digest for name in files.list_names(self._start + folder) if _DIGEST.fullmatch(digest := folder + name)
        )

    def find(self, digests: Collection[str]) -> set[str]:
        """Those of the digests whose blobs are there; raises InvalidInput for what is no digest."""
        if len(digests) >= MANY:
            # Digests are spread evenly, so one folder tells how many there are in all.
            everything = len(FOLDERS) * len(files.list_names(self._start + FOLDERS[0]))
            if everything < WORTH_LISTING * len(digests):
                if not _DIGESTS.fullmatch(" ".join(digests)):
                    digests = [checked(digest) for digest in digests]
                listed = (
                    map(folder.__add__, files.list_names(self._start + folder))
                    for folder in {digest[:2] for digest in digests}
                )
                return set(digests).intersection(chain.from_iterable(listed))
        return {digest for digest in digests if stat_of(self.of(digest)) is not None}

    def prepare(self) -> None:
        """Make the root and its folders, durably, where they are missing."""
        if self._is_ready:
            return
        wanted = {*FOLDERS, STAGING}
        there = set(files.list_names(self.root)) if self.root.is_dir() else set()
        if READY not in there or not wanted <= there:
            files.make_folder(self.root)
            for folder in sorted(wanted - there):
                (self.root / folder).mkdir(exist_ok=True)
            self.generations.prepare()
            # Another process may have made them and not come as far as the sync.
            files.sync_folder(self.root)
            files.sync_folder(self.root.parent)
            os.close(files.open_lock(self.root / READY))
        self._is_ready = True
