"""Bulk rows are staged unseen, appear whole with their header, and can be retired and erased one by one."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commonground.errors import Conflict, InvalidInput
from commonground.store import batches, changes, schema
from commonground.store.view import View
from commonground.structure.tables import value_int, value_real, value_text


def count(database, table):
    """How many rows a table has."""
    with database.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def live(database, table, subject=None):
    """The bulk rows that are there now."""
    with database.read() as connection:
        number, _ = changes.head(connection)
        return connection.execute(
            View(connection, number, current=True).live_batches(table, subject).order_by(table.c.batch, table.c.ordinal)
        ).all()


def test_staged_rows_are_invisible_until_their_header(database, change):
    """Staged rows are in no read and no change; the header makes all of them visible at once."""
    rows = batches.CHUNK_ROWS + 5
    told = []
    staged = batches.stage(
        database, value_int, 70, {"entity": np.arange(rows), "value": list(range(rows))}, progress=told.append
    )
    assert told == [batches.CHUNK_ROWS, 5]
    assert (count(database, value_int), live(database, value_int)) == (rows, [])
    assert count(database, schema.staging) == 1
    with change() as tx:
        batches.publish(tx, staged, 900, None)
    found = live(database, value_int, 900)
    assert [(row.ordinal, row.entity, row.value) for row in found] == [(n, n, n) for n in range(rows)]
    assert count(database, schema.staging) == 0


def test_the_same_rows_have_the_same_digest_rule_staged_or_written(database, change):
    """The header's digest is SHA-256 over the row digests that the rows and salts read back give."""
    columns = {"entity": [1, 2, 3], "value": [0.5, -0.0, None], "reason": [None, "é", None]}
    with change() as tx:
        written = batches.write(tx, value_real, 71, columns)
        batches.publish(tx, written, 900, None)
    staged = batches.stage(database, value_real, 72, columns)
    for told in (written, staged):
        with database.read() as connection:
            rows = connection.execute(
                sa.select(value_real).where(value_real.c.batch == told.batch).order_by(value_real.c.ordinal)
            ).mappings()
            salts = connection.execute(
                sa.select(schema.batch_chunk.c.salts).where(schema.batch_chunk.c.batch == told.batch)
            ).scalar_one()
            digests = batches.row_digests(bytes(salts), told.columns, rows.all())
        assert hashlib.sha256(batches.ROWS + b"".join(digests)).digest() == told.digest
    assert written.digest != staged.digest


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        (value_real, {"entity": [1], "value": [float("nan")]}),
        (value_real, {"entity": [1, 2], "value": np.array([1.0, np.nan])}),
        (value_text, {"entity": [1], "value": ["a\0b"]}),
        (value_text, {"entity": [1], "value": ["\udfff"]}),
        (value_int, {"entity": [1], "value": [1 << 63]}),
        (value_int, {"entity": np.array([1], dtype=np.uint64), "value": np.array([1 << 63], dtype=np.uint64)}),
        (value_int, {"entity": [1], "value": [1.0]}),
        (value_int, {"entity": [1], "value": [True]}),
        (value_int, {"entity": ["1"], "value": [1]}),
        (value_int, {"entity": [1], "colour": ["red"]}),
        (value_int, {"entity": [1, 2], "value": [1]}),
    ],
)
def test_bad_bulk_values_are_refused_and_leave_no_row(database, table, columns):
    """NaN, NUL, half surrogates, too large numbers, wrong types, unknown and uneven columns stage nothing."""
    with pytest.raises(InvalidInput):
        batches.stage(database, table, 73, columns)
    assert [count(database, t) for t in (table, schema.batch_chunk, schema.staging)] == [0, 0, 0]


def test_a_fault_in_a_late_chunk_removes_the_early_ones(database):
    """When the third chunk holds a bad value, the two chunks staged before it are taken away again."""
    rows = batches.CHUNK_ROWS * 2 + 1
    values = [1.0] * (rows - 1) + [float("nan")]
    with pytest.raises(InvalidInput):
        batches.stage(database, value_real, 74, {"entity": list(range(rows)), "value": values})
    assert [count(database, t) for t in (value_real, schema.batch_chunk, schema.staging)] == [0, 0, 0]


def test_an_interrupted_staging_can_begin_again(database, change):
    """Staging the same batch again replaces what an earlier attempt left; a published batch is never replaced."""
    batches.stage(database, value_int, 75, {"entity": [1, 2, 3], "value": [1, 2, 3]})
    staged = batches.stage(database, value_int, 75, {"entity": [4], "value": [5]})
    with change() as tx:
        batches.publish(tx, staged, 900, None)
    assert [(row.entity, row.value) for row in live(database, value_int)] == [(4, 5)]
    with pytest.raises(Conflict):
        batches.stage(database, value_int, 75, {"entity": [6], "value": [6]})
    with pytest.raises(Conflict):
        batches.discard(database, value_int, 75)
    assert len(live(database, value_int)) == 1


def test_a_batch_that_was_staged_anew_is_not_published_for_the_first(database, change):
    """Two processes commit one plan: the rows of the second are never given the header of the first."""
    first = batches.stage(database, value_int, 78, {"entity": [1, 2], "value": [1, 2]})
    second = batches.stage(database, value_int, 78, {"entity": [1, 2], "value": [1, 2]})
    with pytest.raises(Conflict), change() as tx:
        batches.publish(tx, first, 900, None)
    assert live(database, value_int) == []
    with change() as tx:
        batches.publish(tx, second, 900, None)
    assert len(live(database, value_int)) == 2


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), gaps=st.sets(st.sampled_from(["value", "rater", "at", "adjudicated"])))
def test_many_numbers_come_back_as_they_were_given(database, change, data, gaps):
    """Enough rows for each engine's bulk path, numbers from end to end, nulls in any of the columns."""
    rows = 60
    ints = st.integers(-(1 << 63), (1 << 63) - 1)
    reals = st.floats(allow_nan=False)
    columns = {"entity": data.draw(st.lists(ints, min_size=rows, max_size=rows))}
    for name in ("value", "rater", "at", "adjudicated"):
        kind = reals if name == "value" else ints
        cell = st.one_of(st.none(), kind) if name in gaps else kind
        columns[name] = data.draw(st.lists(cell, min_size=rows, max_size=rows))
    with change() as tx:
        batch = 20_000 + tx.change
        batches.publish(tx, batches.write(tx, value_real, batch, columns), batch, None)
    found = live(database, value_real, batch)
    assert {name: [row._mapping[name] for row in found] for name in columns} == columns
    assert {row.reason for row in found} == {None}


def test_a_batch_of_nothing_is_a_batch(database, change):
    """Zero rows can be staged and published."""
    staged = batches.stage(database, value_int, 76, {"entity": [], "value": []})
    with change() as tx:
        batches.publish(tx, staged, 900, None)
    assert (staged.rows, live(database, value_int)) == (0, [])


def test_an_erased_bulk_row_goes_with_its_salt(database, change):
    """Erasing a bulk row removes it and zeroes its salt; the other rows' salts and the header's digest stay."""
    with change() as tx:
        batches.publish(tx, batches.write(tx, value_text, 77, {"entity": [1, 2, 3], "value": ["a", "b", "c"]}), 9, None)
    chunk = sa.select(schema.batch_chunk.c.salts)
    with database.read() as connection:
        before = bytes(connection.execute(chunk).scalar_one())
        (row,) = connection.execute(sa.select(value_text).where(value_text.c.ordinal == 1)).mappings()
        header = connection.execute(sa.select(schema.batch_header)).one()
        (digest,) = batches.row_digests(before[16:32], header.columns, [row])
    with change() as tx:
        assert batches.erase(tx, value_text, [(77, 1), (77, 1), (77, 99), (5, 0)]) == 1
    with database.read() as connection:
        after = bytes(connection.execute(chunk).scalar_one())
        shell = connection.execute(sa.select(schema.erased)).one()
        assert connection.execute(sa.select(schema.batch_header)).one() == header
    assert after == before[:16] + bytes(16) + before[32:]
    assert (shell.name, shell.rid, shell.ordinal, bytes(shell.digest), shell.by) == ("value_text", 77, 1, digest, 2)
    assert [r.value for r in live(database, value_text)] == ["a", "c"]


finite = st.floats(allow_nan=False)
texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=20)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(values=st.lists(st.tuples(st.one_of(st.none(), finite), st.one_of(st.none(), texts)), min_size=1, max_size=120))
def test_any_value_that_is_taken_comes_back(database, change, values):
    """Whatever finite or infinite number and whatever text is staged comes back equal, on both write paths."""
    with change() as tx:
        batch = 10_000 + tx.change
        columns = {
            "entity": list(range(len(values))),
            "value": [value for value, _ in values],
            "reason": [reason for _, reason in values],
        }
        batches.publish(tx, batches.write(tx, value_real, batch, columns), batch, None)
    assert [(row.value, row.reason) for row in live(database, value_real, batch)] == values
