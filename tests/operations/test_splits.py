"""Splitting by columns of all sorts: what is kept together, and what cannot be a label."""

from __future__ import annotations

import pytest

from commonground.operations.frames import read_frame
from commonground.operations.session import Session


def keys_of(session: Session, dataset: str) -> list[str]:
    """The keys of the members."""
    with session.reading() as on:
        return list(read_frame(on, dataset=dataset).table["key"].to_pylist())


@pytest.mark.parametrize(
    ("holds", "cells"),
    [
        ("time", ["2024-03-05T10:20:30", "2024-03-05T10:20:30.5"]),
        ("instant", ["2024-03-05T10:20:30Z", "2024-03-05T11:20:30Z"]),
        ("date", ["2024", "2024-03"]),
        ("bool", [True, False]),
        ("int", [1, 2]),
    ],
)
def test_what_was_seen_at_one_moment_stays_together(session: Session, holds: str, cells: list[object]) -> None:
    """A split grouped by a column of any type puts no group into two parts, moments and dates included."""
    session.write("type add", name="Scan", columns=[{"name": "by", "holds": holds}])
    keys = [f"s{number}" for number in range(8)]
    session.write("entity upsert", type="Scan", keys=keys, columns={"by": [cells[n % 2] for n in range(8)]})
    session.write("dataset create", name="scans", type="Scan", keys=keys)
    session.write("dataset split", dataset="scans", shares={"train": 0.5, "test": 0.5}, group="by", why="to compare")
    parts = [keys_of(session, f"scans-{part}@dev") for part in ("train", "test")]
    assert [len(part) for part in parts] == [4, 4]
    assert all(len({int(key[1:]) % 2 for key in part}) == 1 for part in parts)
