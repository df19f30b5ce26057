"""Readings out of drafts of every format, in little memory."""

import tracemalloc

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from commonground.errors import Conflict
from commonground.exchange import csv_tables, excel_tables, parquet_tables
from commonground.exchange.annotator_tables import from_wide
from commonground.exchange.readings import COLUMNS

ROWS = [["id", "who", "g"], [1, "A", "3"], [2, "A", "X"], [3, 7, None]]


def test_every_format_gives_the_same_readings(tmp_path):
    """A sheet, a Parquet file and a text table of the same cells are the same readings."""
    book = openpyxl.Workbook()
    for row in ROWS:
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    columns = [list(cells) for cells in zip(*ROWS[1:], strict=True)]
    columns[1] = [str(cell) for cell in columns[1]]
    pq.write_table(pa.table(dict(zip(ROWS[0], columns, strict=True))), tmp_path / "a.parquet")
    (tmp_path / "a.csv").write_text("id,who,g\n1,A,3\n2,A,X\n3,7,\n")
    drafts = [
        excel_tables.inspect(tmp_path / "a.xlsx"),
        parquet_tables.inspect(tmp_path / "a.parquet"),
        csv_tables.inspect(tmp_path / "a.csv"),
    ]
    for draft in drafts:
        found = from_wide(
            draft, entity="id", rater="who", values=["g"], allowed={"g": range(6)}, cannot={"X": "cannot grade"}
        )
        assert found.faults == ()
        assert list(found.chunks()) == [
            dict(
                zip(
                    COLUMNS,
                    [[1, 2], ["A", "A"], ["g", "g"], [3, None], [None, "cannot grade"], [None, None], [None, None]],
                    strict=True,
                )
            )
        ]


def test_typed_columns_that_cannot_be_read_are_faults_of_the_readings(tmp_path):
    """A list for a value, and a date that no calendar has, end as the faults of the draft, not as a crash."""
    table = {
        "id": [1, 2],
        "who": ["A", "B"],
        "g": [[1], [2]],
        "h": [3, 4],
        "day": pa.array([1, 2**30], pa.int32()).cast(pa.date32()),
    }
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    draft = parquet_tables.inspect(tmp_path / "a.parquet", types={"h": "text"})
    assert [fault.kind for fault in draft.faults] == ["column-type", "not-date"]
    draft = parquet_tables.inspect(tmp_path / "a.parquet")
    found = from_wide(draft, entity="id", rater="who", values=["h"], at="day")
    assert [fault.kind for fault in found.faults] == ["column-type", "not-date"]


def test_a_table_that_changed_is_refused(tmp_path):
    """Readings are read from the file that was inspected, or not at all."""
    path = tmp_path / "a.csv"
    path.write_text("id,who,g\n1,A,3\n")
    found = from_wide(csv_tables.inspect(path), entity="id", rater="who", values=["g"])
    path.write_text("id,who,g\n1,A,4\n")
    with pytest.raises(Conflict):
        next(found.chunks())


def test_memory_does_not_grow_with_the_table(tmp_path):
    """Reading 16 times as many readings in chunks takes no more memory."""
    peaks = []
    for rows in (2_500, 40_000):
        path = tmp_path / f"{rows}.csv"
        path.write_text("id,who,g\n" + "".join(f"{number},A,{number % 5}\n" for number in range(rows)))
        found = from_wide(csv_tables.inspect(path), entity="id", rater="who", values=["g"])
        tracemalloc.start()
        assert sum(len(chunk["value"]) for chunk in found.chunks(500)) == rows
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.2
