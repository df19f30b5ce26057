"""How blobs get in: stage all, one sync for the bytes, give the names, one sync for the names.

A blob that seems to be there already is only marked as wanted. If a sweep takes it away before that, it is staged
after all. Looking, marking and naming happen under the shared lock of the generations, so no sweep comes in between.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Final

from commonground.store.blob_places import Places, stat_of
from commonground.store.faults import point
from commonground.store.generations import mark_time
from commonground.store.parallel import Progress, in_threads, silent
from commonground.store.staging import Seems, Staging, Taken, staging

_STEP: Final = 256

Source = Callable[[Staging, Seems], Taken]
"""Stages one thing."""


def put(
    places: Places, hold: int, sources: Sequence[Source], report: Progress, *, large: frozenset[int] = frozenset()
) -> list[Taken]:
    """Save what the sources give, durably, and say what it was, in order; those in `large` are read in threads."""
    results: dict[int, Taken] = {}
    todo = list(range(len(sources)))
    with staging(places.root, hold) as batch:

        def take_first(index: int) -> tuple[int, Taken]:
            return index, sources[index](batch, lambda digest, size: _is_there(places, digest, size))

        def take_again(index: int) -> tuple[int, Taken]:
            return index, sources[index](batch, lambda _digest, _size: False)

        take = take_first
        while todo:
            taken = dict(_take_all(take, todo, large, report))
            point("blobs.staged")
            batch.sync(taken.values())
            point("blobs.synced")
            todo = _name_all(places, batch, taken)
            results |= taken
            take, report = take_again, silent
        point("blobs.published")
        sync_names(places, {each.digest[:2] for each in results.values()}, batch)
    return [results[index] for index in range(len(sources))]


def _take_all(
    take: Callable[[int], tuple[int, Taken]], todo: list[int], large: frozenset[int], report: Progress
) -> Iterator[tuple[int, Taken]]:
    in_pool = [index for index in todo if index in large]
    rest = (index for index in todo if index not in large)
    for index, taken in chain(in_threads(take, in_pool) if in_pool else (), map(take, rest)):
        report(1, taken.size)
        yield index, taken


def _name_all(places: Places, batch: Staging, taken: dict[int, Taken]) -> list[int]:
    """Give each blob its name or mark the one that is there; gives those that vanished before that."""
    vanished = []
    indices = list(taken)
    for start in range(0, len(indices), _STEP):
        with places.generations.shared() as now:
            vanished += [
                index for index in indices[start : start + _STEP] if not _name(places, batch, taken[index], now)
            ]
    return vanished


def _name(places: Places, batch: Staging, each: Taken, now: int) -> bool:
    place = places.of(each.digest)
    about = stat_of(place)
    if about is not None and about.st_size == each.size and mark_again(place, about, now):
        if each.staged is not None:
            batch.discard(each.staged)
        return True
    if each.staged is None:
        return False
    os.utime(each.staged, ns=mark_time(now))
    point("blobs.publish")
    batch.give_name(each.staged, place)
    return True


def _is_there(places: Places, digest: str, size: int) -> bool:
    about = stat_of(places.of(digest))
    return about is not None and about.st_size == size


def mark_again(place: str, about: os.stat_result, now: int) -> bool:
    """Mark a blob with the generation `now`; False if it is gone or belongs to another account."""
    if about.st_mtime_ns == mark_time(now)[1]:
        return True
    point("blobs.touch")
    try:
        os.utime(place, ns=mark_time(now))
    except (FileNotFoundError, PermissionError):
        return False
    return True


def touch(places: Places, hold: int, digests: Sequence[str]) -> dict[str, int]:
    """Mark blobs as wanted, with durable names, and give the sizes of those that are there."""
    sizes: dict[str, int] = {}
    with staging(places.root, hold) as batch:
        for start in range(0, len(digests), _STEP):
            with places.generations.shared() as now:
                for digest in digests[start : start + _STEP]:
                    place = places.of(digest)
                    about = stat_of(place)
                    if about is not None:
                        sizes[digest] = about.st_size
                        if not mark_again(place, about, now):
                            _replace_by_own(place, now, batch)
        point("blobs.published")
        sync_names(places, {digest[:2] for digest in sizes}, batch)
    return sizes


def _replace_by_own(place: str, now: int, batch: Staging) -> None:
    """Put a copy of our own in place of a blob of another account, whose time only that account may set."""
    staged = batch.copy(place)
    os.utime(staged, ns=mark_time(now))
    point("blobs.publish")
    batch.give_name(staged, place)


def sync_names(places: Places, folders: set[str], batch: Staging) -> None:
    """Make the names in some of the folders durable."""
    batch.sync_names([f"{places.root}/{folder}" for folder in sorted(folders)])
