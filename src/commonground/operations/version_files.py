"""The list of a version's files with what was left out of it; it loads nothing, so that every door can name it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


class VersionFiles(list[dict[str, Any]]):
    """The files of a version, and what was left out of them."""

    left_out: Mapping[str, str]
    """Each table that was left out, and why."""

    def __init__(self, files: Iterable[dict[str, Any]], left_out: Mapping[str, str]) -> None:
        super().__init__(files)
        self.left_out = left_out
