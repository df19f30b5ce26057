"""The files that only one of two series has: found wherever they stand, and without those that were retired."""

from __future__ import annotations

import random

import pytest

from commonground.identity import Rid
from commonground.operations.session import Session
from commonground.store import batches, changes
from commonground.structure.assets import MOVED, find_differences, list_files, map_digests
from commonground.structure.tables import asset_file


class Series:
    """Listings of files, written as batches without their assets."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._batches: dict[Rid, Rid] = {}

    def add(self, listing: dict[str, str]) -> Rid:
        """A series of files by path with their digests, in the order of the paths."""
        ground = self._session.ground
        series, batch, plan = ground.mint.many(3)
        paths = sorted(listing)
        columns = {"path": paths, "digest": [listing[path] for path in paths], "size": [1] * len(paths)}
        with ground.change() as tx:
            batches.publish(tx, batches.write(tx, asset_file, batch, columns), series, None)
            self._append(tx, plan)
        self._batches[series] = batch
        return series

    def retire(self, series: Rid, row: int) -> None:
        """Take one row out of a series."""
        ground = self._session.ground
        rid, plan = ground.mint.many(2)
        with ground.change() as tx:
            batches.retire(tx, [rid], [(self._batches[series], row)])
            self._append(tx, plan)

    def differences(self, one: Rid, other: Rid) -> tuple[set[str], set[str]]:
        """The paths that only the one has, bytes and all, and those that only the other has."""
        with self._session.reading() as on:
            found = find_differences(on.view, one, other)
        assert len(found) == len(set(found))
        return {path for rid, path in found if rid == one}, {path for rid, path in found if rid == other}

    def _append(self, tx, plan):
        actor, ground = self._session.actor, self._session.ground
        changes.append(tx, plan=plan, verb="asset add", args={}, why=None, actor=actor, recorded_at=ground.clock())


@pytest.fixture
def series(session: Session) -> Series:
    """An open study to write listings into."""
    return Series(session)


def alone(one: dict[str, str], other: dict[str, str]) -> tuple[set[str], set[str]]:
    """What `differences` must say."""
    return {path for path, _ in one.items() - other.items()}, {path for path, _ in other.items() - one.items()}


def test_the_differences_are_those_of_the_two_sets(series):
    """Of listings of any lengths, with paths and digests that come again, each file that only one has is named."""
    draw = random.Random(7)
    listings = [{f"{draw.randrange(9)}": f"{draw.randrange(3)}" for _ in range(draw.randrange(1, 9))} for _ in range(9)]
    rids = [series.add(listing) for listing in listings]
    for one, first in zip(rids, listings, strict=True):
        for other, second in zip(rids, listings, strict=True):
            if one != other:
                assert series.differences(one, other) == alone(first, second)


def test_files_that_all_stand_elsewhere_are_the_same_files(series):
    """With a file more at the front and one less at the end every row has another place, and two files differ."""
    first = {f"{number:05}": f"{number}" for number in range(MOVED + 50)}
    second = {"!": "new", **first}
    del second[f"{MOVED + 49:05}"]
    one, other = series.add(first), series.add(second)
    assert series.differences(one, other) == ({f"{MOVED + 49:05}"}, {"!"})


@pytest.mark.parametrize("row", [0, 1, 2])
def test_a_retired_file_is_in_neither(session, series, row):
    """A row that was taken out is no file of its series, at whichever place it stood."""
    first = {"a": "1", "b": "2", "c": "3"}
    one, other = series.add(first), series.add({"a": "1", "c": "3"})
    series.retire(one, row)
    kept = {path: digest for number, (path, digest) in enumerate(first.items()) if number != row}
    assert series.differences(one, other) == alone(kept, {"a": "1", "c": "3"})
    with session.reading() as on:
        assert [path for path, _, _ in list_files(on.view, one)] == list(kept)
        assert map_digests(on.view, one) == kept
