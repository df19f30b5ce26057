"""Rows held by columns are what a list of rows is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonground.store.column_rows import ColumnRows


@given(st.lists(st.tuples(st.integers(), st.none() | st.text(max_size=2)), max_size=5), st.slices(5))
def test_rows_of_columns_are_the_rows(told, part):
    """Number, order, single rows and parts are those of the list; to change a row that was given changes nothing."""
    listed = [{"rid": rid, "key": key} for rid, key in told]
    rows = ColumnRows({"rid": [rid for rid, _ in told], "key": [key for _, key in told]})
    assert (len(rows), list(rows), bool(rows)) == (len(listed), listed, bool(listed))
    assert list(rows[part]) == listed[part]
    for row in rows:
        row["rid"] = "other"
    assert [rows[at] for at in range(len(listed))] == listed


def test_columns_of_uneven_length_are_told():
    """A column that is too short is an error and not rows that are missing."""
    with pytest.raises(ValueError, match="shorter"):
        list(ColumnRows({"rid": [1, 2], "key": ["a"]}))
