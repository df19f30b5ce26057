"""Many values, a few hundred at a time: no more than one statement may name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

MOST = 500
"""SQLite takes 32,766 values in a statement; beyond some hundred no statement becomes quicker by more of them."""


def portions(values: Iterable[T]) -> Iterator[list[T]]:
    """The values in their order, at most MOST at a time; nothing if there is none."""
    rest = iter(values)
    while portion := list(islice(rest, MOST)):
        yield portion
