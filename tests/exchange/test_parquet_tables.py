"""Parquet files into drafts."""

import datetime as dt

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonground.errors import BrokenFile, Conflict, InvalidInput
from commonground.exchange.drafts import SHOWN
from commonground.exchange.parquet_tables import inspect
from draft_values import read


@pytest.fixture
def write(tmp_path):
    """Writes a table to a file and returns its path."""

    def write(table, **options):
        path = tmp_path / "table.parquet"
        pq.write_table(pa.table(table), path, **options)
        return path

    return write


def faults(draft):
    """Kind, row and column of each fault."""
    return [(fault.kind, fault.row, fault.column) for fault in draft.faults]


def test_a_table_keeps_the_types_of_the_file(write):
    """Text that looks like a number stays text; NaN is missing, and said; dictionaries are their values."""
    path = write(
        {
            "id": [1, 2, 3],
            "code": ["1", "2", None],
            "size": [0.5, float("nan"), None],
            "sort": pa.array(["a", "b", "a"]).dictionary_encode(),
            "day": [dt.date(2024, 3, 5)] * 3,
        }
    )
    draft = inspect(path, key="id")
    assert [(column.name, column.type, column.missing) for column in draft.columns] == [
        ("id", "int", 0), ("code", "text", 1), ("size", "real", 2), ("sort", "text", 0), ("day", "date", 0),
    ]  # fmt: skip
    assert draft.columns[2].note == "1 cells (NaN) read as missing"
    assert draft.columns[3].examples == ("a", "b")
    assert (draft.rows, draft.faults, draft.encoding, draft.delimiter) == (3, (), None, None)
    assert read(draft, 2) == {
        "id": [1, 2, 3], "code": ["1", "2", None], "size": [0.5, None, None], "sort": ["a", "b", "a"],
        "day": ["2024-03-05"] * 3,
    }  # fmt: skip


def test_a_stated_type_is_judged_like_text(write):
    """Text becomes what is stated, numbers become names, and what does not fit is a fault with its row."""
    path = write({"a": ["1", "2", None], "b": [1.0, 2.0, 3.5], "c": [7, 8, 9]})
    draft = inspect(path, types={"a": "int", "b": "text", "c": "text"})
    assert read(draft) == {"a": [1, 2, None], "b": ["1", "2", "3.5"], "c": ["7", "8", "9"]}
    assert faults(inspect(path, types={"b": "int"})) == [("not-int", 3, "b")]


def test_a_time_with_a_zone_can_be_stated_text(write):
    """It is a fault by itself, and readable once it is said to be text."""
    path = write({"t": pa.array([0], pa.timestamp("s", "UTC"))})
    assert faults(inspect(path)) == [("column-type", None, "t")]
    assert read(inspect(path, types={"t": "text"})) == {"t": ["1970-01-01 00:00:00.000Z"]}


def test_all_faults_come_at_once(write):
    """Column types, cells, names and keys are judged in one inspection, cells with their rows."""
    path = write(
        {
            "id": [1, 2, 1],
            "f": [1.0, float("inf"), 2.0],
            "l": [[1], [2], [3]],
            "F": ["a", "b\0", "c"],
            "t": pa.array([1, 1000, 2], pa.timestamp("ns")),
        }
    )
    assert sorted(faults(inspect(path, key="id")), key=str) == [
        ("column-type", None, "l"), ("duplicate-key", 3, "id"), ("not-real", 2, "f"), ("not-text", 2, "F"),
        ("not-time", 1, "t"), ("not-time", 3, "t"), ("twin-name", None, None),
    ]  # fmt: skip


@pytest.mark.parametrize("types", [{}, {"day": "text"}, {"day": "date"}])
def test_a_day_that_no_calendar_has_is_a_fault_whatever_is_stated(write, types):
    """It is listed with its row, and never turned into a value."""
    path = write({"day": pa.array([1, 2**30], pa.int32()).cast(pa.date32())})
    assert [fault.row for fault in inspect(path, types=types).faults] == [2]


def test_equal_names_are_a_fault(tmp_path):
    """A file may hold two columns of one name; a draft may not."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), path)
    assert "duplicate-name" in [fault.kind for fault in inspect(path).faults]


def test_bytes_that_are_no_text_are_a_fault(tmp_path):
    """A text column with bytes that are not UTF-8 is found before any value is read."""
    path = tmp_path / "a.parquet"
    array = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")])
    pq.write_table(pa.table({"a": array}), path)
    assert faults(inspect(path)) == [("bad-bytes", None, "a")]


def test_a_table_without_rows_is_a_fault(write):
    """Columns alone are no table."""
    assert faults(inspect(write({"a": pa.array([], pa.int64())}))) == [("no-rows", None, None)]


def test_the_unnamed_index_of_pandas_is_left_out(write):
    """It is no column that anybody named, and the notes say that it was there."""
    draft = inspect(write({"a": [1], "__index_level_0__": [5]}))
    assert (draft.names, read(draft)) == (("a",), {"a": [1]})
    assert "__index_level_0__" in draft.notes[0]


def test_missing_texts_are_only_those_stated(write):
    """Null is missing; a text is missing only if the caller says so."""
    path = write({"a": ["NA", "", "x", None]})
    assert read(inspect(path)) == {"a": ["NA", "", "x", None]}
    draft = inspect(path, missing=["NA"])
    assert (read(draft), draft.columns[0].missing) == ({"a": [None, "", "x", None]}, 2)


def test_keys_are_normalised_and_compared(write):
    """Composed and decomposed letters and spaces around a key do not make two keys."""
    assert faults(inspect(write({"k": ["caf\u00e9", " cafe\u0301"]}), key="k")) == [("duplicate-key", 2, "k")]
    assert faults(inspect(write({"k": [0.5, 1.5]}), key="k")) == [("bad-key", None, "k")]


def test_faults_are_bounded_and_counted(write):
    """Thousands of bad cells give a short list and their number."""
    draft = inspect(write({"a": [float("inf")] * 5000}))
    assert (len(draft.faults), draft.fault_count) == (SHOWN + 1, 5000)


@pytest.mark.parametrize("content", [b"PAR1", b"a,b\n1,2\n", b"PAR1" + bytes(100) + b"PAR1"])
def test_what_is_no_parquet_is_a_broken_file(tmp_path, content):
    """Anything else, and a file cut short, is refused."""
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    with pytest.raises(BrokenFile):
        inspect(path)


def test_a_damaged_page_is_a_broken_file(write):
    """A flipped byte in the data is found by its checksum or by decoding, not served as a value."""
    path = write({"a": [f"text number {number}" for number in range(1000)]}, compression="zstd")
    content = bytearray(path.read_bytes())
    content[40:60] = bytes(20)
    path.write_bytes(content)
    with pytest.raises(BrokenFile):
        inspect(path)


def test_a_wrong_question_is_refused(write):
    """Unknown columns and types are errors of the caller."""
    path = write({"a": [1]})
    with pytest.raises(InvalidInput):
        inspect(path, key="x")
    with pytest.raises(InvalidInput):
        inspect(path, types={"a": "x"})


def test_another_file_is_refused(write):
    """Chunks refuse a file that is not the one inspected."""
    draft = inspect(write({"a": [1]}))
    write({"a": [2]})
    with pytest.raises(Conflict):
        next(draft.chunks())


def test_memory_is_that_of_a_row_group(tmp_path):
    """Reading 16 times as many rows in the same row groups takes no more memory."""
    peaks = []
    for rows in (20_000, 320_000):
        path = tmp_path / f"{rows}.parquet"
        table = pa.table({"id": range(rows), "words": [f"text of row {number}" for number in range(rows)]})
        pq.write_table(table, path, row_group_size=10_000)
        del table
        draft = inspect(path)
        before = pa.total_allocated_bytes()
        peaks.append(max(pa.total_allocated_bytes() - before for _ in draft.chunks(5_000)))
    assert peaks[1] < peaks[0] * 1.5


COLUMNS = {
    "i": st.none() | st.integers(-(2**63), 2**63 - 1),
    "r": st.none() | st.floats(allow_nan=False, allow_infinity=False),
    "b": st.none() | st.booleans(),
    "x": st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
    "d": st.none() | st.dates(),
    "t": st.none() | st.datetimes(),
}
ARROW = {
    "i": pa.int64(), "r": pa.float64(), "b": pa.bool_(), "x": pa.string(), "d": pa.date32(), "t": pa.timestamp("us"),
}  # fmt: skip


@given(st.lists(st.fixed_dictionaries(COLUMNS), min_size=1, max_size=8), st.integers(1, 9))
def test_values_are_read_back(tmp_path_factory, rows, size):
    """Any values of any type come back as they were, in chunks of any size."""
    path = tmp_path_factory.mktemp("parquet") / "a.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(list(ARROW.items()))), path)
    expected = {
        name: [cell.isoformat() if isinstance(cell, dt.date) else cell for cell in (row[name] for row in rows)]
        for name in COLUMNS
    }
    assert read(inspect(path), size) == expected
