"""Columns that were set aside in a file come back as they were, whole or in part."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonground.errors import InvalidInput, StorageError
from commonground.store.canonical_words import Column, arrayed
from commonground.store.column_file import ColumnFile

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4)
INTS = st.integers(-(2**63), 2**63 - 1)
CELLS = {"int": INTS | st.just(7), "real": st.floats(width=64) | st.sampled_from([0.0, -0.0]), "text": TEXT}
DTYPES = {"int": np.int64, "real": np.float64, "text": object}
ODD_NAN = np.array([0x7FF4000000000001], np.int64).view(np.float64)[0]


@st.composite
def columns(draw):
    """A column of any type with gaps, often the same in all rows."""
    kind = draw(st.sampled_from(sorted(CELLS)))
    cells = draw(
        st.lists(CELLS[kind], max_size=12) | st.builds(lambda cell, rows: [cell] * rows, CELLS[kind], st.integers(0, 5))
    )
    gaps = draw(st.none() | st.lists(st.booleans(), min_size=len(cells), max_size=len(cells)))
    values = np.empty(len(cells), DTYPES[kind])
    values[:] = cells
    if kind == "text" and gaps is not None:
        values[np.array(gaps, np.bool_)] = None
    return Column("c", kind, values, None if gaps is None else np.array(gaps, np.bool_))


def bits(column):
    """The rows as something that is equal only if it is the same: a real number as its bits, a gap as None."""
    values = column.values.view(np.int64) if column.type == "real" else column.values
    gaps = np.zeros(len(values), np.bool_) if column.missing is None else column.missing
    return [None if gap else value for value, gap in zip(values.tolist(), gaps.tolist(), strict=True)]


@given(st.lists(columns(), max_size=4), st.data())
def test_what_was_set_aside_comes_back(given_columns, data):
    """Several columns in one file come back bit by bit the same, whole and any rows of them."""
    with ColumnFile() as file:
        for column, kept in [(column, file.put(column)) for column in given_columns]:
            assert (kept.name, kept.type, kept.rows) == ("c", column.type, len(column.values))
            assert bits(file.get(kept)) == bits(column)
            start = data.draw(st.integers(0, kept.rows))
            stop = data.draw(st.integers(start, kept.rows))
            assert bits(file.get(kept, start, stop)) == bits(column)[start:stop]


@given(columns())
def test_words_and_tails_are_those_of_the_canonical_encoding(column):
    """What a digest is made of is the same from the file as from memory."""
    expected = arrayed(column)
    with ColumnFile() as file:
        kept = file.put(column)
        assert file.valid(kept).tolist() == expected.valid.tolist()
        assert file.words(kept).tolist() == expected.words.tolist()
        assert file.tails(kept) == b"".join(expected.tails)


def test_a_nan_and_a_zero_keep_their_bits():
    """A NaN with bits of its own and zeros of both signs come back as they are, though they are equal to others."""
    values = np.array([ODD_NAN, 0.0, -0.0, np.nan])
    with ColumnFile() as file:
        for some in (values, values[1:3], values[:1]):
            again = file.get(file.put(Column("c", "real", some))).values
            assert np.asarray(again).tobytes() == some.tobytes()


def test_no_name_is_left_in_the_folder(tmp_path):
    """The file has no name while it is in use, and nothing is left of it."""
    with ColumnFile(tmp_path) as file:
        file.put(Column("c", "int", np.arange(1000)))
        assert list(tmp_path.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_an_unfit_text_is_refused():
    """A text that has no canonical bytes is refused when it is given, as a digest would refuse it."""
    with ColumnFile() as file, pytest.raises(InvalidInput, match="do not fit"):
        file.put(Column("c", "text", np.array(["fine", "half \ud800"], dtype=object)))


def test_a_folder_that_is_gone_is_told(tmp_path):
    """A folder that is not there is an error of the disk, in words."""
    with pytest.raises(StorageError, match="not there"):
        ColumnFile(tmp_path / "gone")
