"""Tables too long for memory: their order, their rows and their digest are those of a table held whole."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonground.errors import InvalidInput
from commonground.store.canonical import Column, table_digest
from commonground.store.long_tables import MOST_RUNS, LongTable, Runs, joined, taken

ORDER = ("a", "b")
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3)
KEYS = st.integers(-5, 5) | st.sampled_from([-(2**63), 2**63 - 1])
ROWS = st.dictionaries(
    st.tuples(KEYS, KEYS), st.tuples(st.floats(width=64), st.none() | TEXT, st.none() | st.integers(0, 2)), max_size=80
)


def as_columns(rows):
    """(a, b, real, text or None, int or None) as columns of arrays."""
    cells = list(zip(*rows, strict=True)) or [()] * 5
    text = np.empty(len(rows), object)
    text[:] = cells[3]
    gaps = [np.array([cell is None for cell in cells[at]], np.bool_) for at in (3, 4)]
    return (
        Column("a", "int", np.array(cells[0], np.int64)),
        Column("b", "int", np.array(cells[1], np.int64)),
        Column("size", "real", np.array(cells[2], np.float64)),
        Column("word", "text", text, gaps[0]),
        Column(
            "count", "int", np.array([cell or 0 for cell in cells[4]], np.int64), gaps[1] if gaps[1].any() else None
        ),
    )


def rows_of(columns):
    """The rows of columns, in their order; real numbers as their bits, gaps as None."""
    listed = []
    for column in columns:
        values = column.values.view(np.int64) if column.type == "real" else column.values
        gaps = [False] * len(values) if column.missing is None else column.missing.tolist()
        listed.append([None if gap else value for value, gap in zip(values.tolist(), gaps, strict=True)])
    return list(zip(*listed, strict=True))


@given(ROWS, st.data())
def test_any_rows_in_any_portions_come_out_in_order(rows, data):
    """Rows are added in any order and portions, merged a few at a time, and come out ascending, each once and whole."""
    shuffled = data.draw(st.permutations([(*key, *rest) for key, rest in rows.items()]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(shuffled)), max_size=6)))
    with Runs(ORDER, portion=data.draw(st.sampled_from([1, 8, 40]))) as runs:
        for start, stop in zip([0, *cuts], [*cuts, len(shuffled)], strict=True):
            runs.add(as_columns(shuffled[start:stop]))
        found = [row for columns in runs.merged() for row in rows_of(columns)]
    assert found == rows_of(as_columns(sorted(shuffled, key=lambda row: row[:2])))


@given(ROWS.filter(bool), st.data())
def test_a_long_table_has_the_rows_and_the_digest_of_a_short_one(rows, data):
    """However the rows were given and however many memory may hold, rows and digest are those of the whole table."""
    whole = as_columns(sorted(((*key, *rest) for key, rest in rows.items()), key=lambda row: row[:2]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=6)))
    portion = data.draw(st.sampled_from([8, 16, 48]))
    with LongTable(ORDER, portion=portion) as table:
        for start, stop in zip([0, *cuts], [*cuts, len(rows)], strict=True):
            table.append(taken(whole, slice(start, stop)))
        assert table.rows == len(rows)
        assert (table.columns is None) == (len(rows) > portion)
        if table.columns is not None:
            assert rows_of(table.columns) == rows_of(whole)
        assert table.digest() == table_digest(whole, ORDER)
        portions = list(table.portions())
        assert rows_of(joined(portions)) == rows_of(whole)
        assert all(len(columns[0].values) == portion for columns in portions[:-1])
        assert [[column.name for column in columns] for columns in table.portions({"b", "word"})] == [
            ["b", "word"]
        ] * len(portions)


def test_more_runs_than_are_merged_at_once():
    """Very many portions that all overlap are merged in several rounds, and come out in order."""
    rows = 20 * (MOST_RUNS * 3 + 1)
    numbers = np.random.default_rng(0).permutation(rows)
    with Runs(("a",), portion=256) as runs:
        for start in range(0, rows, 20):
            runs.add((Column("a", "int", numbers[start : start + 20]),))
        found = np.concatenate([columns[0].values for columns in runs.merged()])
    assert found.tolist() == list(range(rows))


def test_rows_that_come_in_order_are_one_run():
    """Portions that follow on each other need no merging: each is read by itself, as much at a time as may be."""
    with Runs(("a",), portion=64) as runs:
        for start in range(0, 100 * MOST_RUNS, 100):
            runs.add((Column("a", "int", np.arange(start, start + 100)),))
        found = [len(columns[0].values) for columns in runs.merged()]
    assert found == [64, 36] * MOST_RUNS


@pytest.mark.parametrize("second", [[7, 8], [8, 7, 9]])
def test_rows_in_another_order_are_refused(second):
    """A row that does not come after the one before is refused, within a portion and between two."""
    with LongTable(("a",), portion=8) as table:
        table.append((Column("a", "int", np.arange(8)),))
        table.append((Column("a", "int", np.array(second)),))
        with pytest.raises(InvalidInput, match="same place"):
            table.digest()


def peak(rows, each=16_384):
    """The most memory that putting rows in order, digesting and reading them took."""
    numbers = np.random.default_rng(0).permutation(rows)
    tracemalloc.start()
    try:
        with Runs(("a",), portion=each) as runs, LongTable(("a",), portion=each) as table:
            for start in range(0, rows, each):
                some = numbers[start : start + each]
                runs.add((Column("a", "int", some), *(Column(name, "real", some / 7) for name in "bcd")))
            for columns in runs.merged():
                table.append(columns)
            table.digest()
            assert sum(len(columns[0].values) for columns in table.portions()) == rows
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_rows():
    """Four times the rows take no more than a quarter more memory."""
    peak(100)
    assert peak(400_000) < 1.25 * peak(100_000)
