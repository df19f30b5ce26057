"""Bulk rows come back whole: of large batches, where what is the same in all rows is not fetched, as of small ones."""

from __future__ import annotations

import numpy as np
import pytest
import sqlalchemy as sa

from commonground.store import batches, changes
from commonground.store.bulk_reading import LARGE, read_bulk
from commonground.store.view import View
from commonground.structure.tables import value_int, value_real, value_text

NAMES = ("entity", "value", "rater", "at", "reason", "adjudicated")


def write(change, table, batch, columns):
    """Publish a batch about subject 900."""
    with change() as tx:
        batches.publish(tx, batches.write(tx, table, batch, columns), 900, batch + 1 if batch % 2 else None)


def check(database, table):
    """Read the batches about subject 900 in two ways, and compare every cell."""
    with database.read() as connection:
        view = View(connection, changes.head(connection)[0], current=True)
        found = read_bulk(view, table, [900], NAMES)
        slow = view.live_batches(table, 900).order_by(table.c.batch, table.c.ordinal)
        expected = [tuple(row) for row in connection.execute(slow)]
    cells = [
        [None if gone else cell for cell, gone in zip(found.columns[name].tolist(), found.missing[name], strict=True)]
        for name in NAMES
    ]
    origin = [one or None for one in found.origin.tolist()]
    keys = (found.batch.tolist(), found.ordinal.tolist())
    about = (found.subject.tolist(), origin, found.told.tolist())
    rows = list(zip(*keys, *cells, *about, strict=True))
    assert rows == expected
    return rows


def filled(table, rows):
    """Columns of which the last are the same in all rows, or are not there at all."""
    value = {
        value_int: np.arange(rows) % 7,
        value_real: np.arange(rows) / 8,
        value_text: [f"v{row % 5}" for row in range(rows)],
    }[table]
    return {"entity": np.arange(rows) // 3, "value": value, "rater": np.full(rows, 55), "reason": ["é"] * rows}


@pytest.mark.parametrize("table", [value_int, value_real, value_text])
@pytest.mark.parametrize("rows", [LARGE - 1, LARGE])
def test_batches_of_all_sizes_come_back_whole(database, change, table, rows):
    """A batch just under and just at the size of a large one, between small ones, reads as a plain query does."""
    write(change, table, 70, filled(table, 3))
    write(change, table, 71, filled(table, rows))
    write(change, table, 72, filled(table, 0))
    write(change, table, 73, {name: cells[:2] for name, cells in filled(table, rows).items()})
    assert len(check(database, table)) == rows + 5


@pytest.mark.parametrize("other", [None, 4, 0])
def test_a_column_that_differs_in_one_row_is_not_taken_for_the_same(database, change, other):
    """One row in the middle has another rater, or none: the first and the last row having the same proves nothing."""
    rater = [5] * LARGE
    rater[LARGE // 2] = other
    at = [None] * LARGE
    at[LARGE // 2] = 8
    write(change, value_int, 71, {**filled(value_int, LARGE), "rater": rater, "at": at})
    rows = check(database, value_int)
    assert (rows[LARGE // 2][4], rows[LARGE // 2][5]) == (other, 8)


def test_rows_that_are_all_the_same_and_rows_of_nothing_are_counted(database, change):
    """A large batch in which no column differs, one column even null throughout, has each of its rows."""
    same = {"entity": np.full(LARGE, 7), "value": [None] * LARGE, "reason": ["not seen"] * LARGE}
    write(change, value_int, 71, same)
    rows = check(database, value_int)
    assert len(rows) == LARGE
    assert set(rows[0][2:8]) == {7, None, "not seen"}


def test_retired_and_erased_rows_of_a_large_batch_are_not_there(database, change):
    """The rows around those that were taken away keep their ordinals; a batch may be erased to the last row."""
    write(change, value_int, 71, filled(value_int, LARGE))
    write(change, value_int, 72, filled(value_int, LARGE))
    with change() as tx:
        batches.retire(tx, [801, 802], [(71, 0), (71, 17)])
    assert len(check(database, value_int)) == 2 * LARGE - 2
    with change() as tx:
        batches.erase(tx, value_int, [(71, 1), (71, 18), (71, LARGE - 1), *((72, place) for place in range(LARGE))])
    rows = check(database, value_int)
    assert len(rows) == LARGE - 5
    assert [row[1] for row in rows[:3]] == [2, 3, 4]


def test_a_batch_without_its_header_is_not_read(database, change):
    """Staged rows are in no reading, however many they are."""
    batches.stage(database, value_int, 70, filled(value_int, LARGE))
    write(change, value_int, 71, filled(value_int, 4))
    with database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(value_int)).scalar_one() == LARGE + 4
    assert len(check(database, value_int)) == 4
