"""Drafts: faults kept within bounds, names that two people could confuse, files that must stay the same."""

import os

import pytest

from commonground.errors import BrokenFile, Conflict, InvalidInput, NotFound
from commonground.exchange import csv_tables
from commonground.exchange.drafts import (
    SHOWN,
    Fault,
    FaultList,
    check_names,
    clean_name,
    printable,
    source_file,
    steady,
    too_long,
)


def test_a_fault_says_where_and_what():
    """A fault reads as row, line, column, words and the cell."""
    assert str(Fault(3, "age", "not a number", "abc", 4)) == "row 3, line 4, column 'age': not a number ('abc')"
    assert str(Fault(None, None, "the table has no rows")) == "the table has no rows"


def test_faults_of_one_kind_are_bounded_and_all_counted():
    """The first of each kind and column are kept; the rest appear as one line with their number."""
    faults = FaultList()
    for row in range(1, SHOWN + 8):
        faults.add("bad", "wrong", row=row, column="a")
    faults.add("bad", "wrong", row=1, column="b")
    faults.count("bad", "b", 3)
    listed = faults.listed()
    assert len(faults) == SHOWN + 11
    assert [fault.row for fault in listed if fault.column == "a"][:-1] == list(range(1, SHOWN))
    assert [str(fault) for fault in listed if fault.row is None] == [
        "column 'a': and 8 more, such as: wrong",
        "column 'b': and 3 more, such as: wrong",
    ]


@pytest.mark.parametrize(
    ("names", "kinds"),
    [
        (["a", "b"], []),
        (["a", "", "b"], ["no-name"]),
        (["a", "a"], ["duplicate-name"]),
        (["Age", "age"], ["twin-name"]),
        (["caf\u00e9", "cafe\u0301"], ["twin-name"]),
        (["STRASSE", "stra\u00dfe"], ["twin-name"]),
        (["a\nb"], ["bad-name"]),
        (["", "", "x", "X", "x"], ["no-name", "no-name", "twin-name", "duplicate-name"]),
    ],
)
def test_names_that_are_empty_or_twins_are_faults(names, kinds):
    """Empty, unprintable, equal, and case or normalisation twins are found, all of them at once."""
    faults = FaultList()
    check_names(names, faults)
    assert sorted(fault.kind for fault in faults.listed()) == sorted(kinds)


def test_a_name_is_stored_without_spaces_and_composed():
    """Names lose the spaces around them and are NFC."""
    assert clean_name("  cafe\u0301 ") == "caf\u00e9"


def test_samples_show_nothing_that_a_terminal_would_obey():
    """Control characters and lone surrogates appear as escapes, and long texts are cut."""
    assert printable("a\x1b[2J\ud800") == "a\\x1b[2J\\ud800"
    assert printable("x" * 100) == "x" * 60 + "..."


def test_the_largest_cell_is_measured_in_bytes():
    """A cell of exactly 1 MiB fits, one byte more does not, and letters beyond ASCII count by their bytes."""
    assert not too_long("x" * (1 << 20))
    assert too_long("x" * ((1 << 20) + 1))
    assert too_long("é" * ((1 << 19) + 1))


def test_only_an_ordinary_file_with_content_is_a_source(tmp_path):
    """Nothing, a folder, a pipe and an empty file are refused, each for what it is; a pipe is never opened."""
    with pytest.raises(NotFound):
        source_file(tmp_path / "none.csv")
    with pytest.raises(InvalidInput, match="not an ordinary file"):
        source_file(tmp_path)
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(InvalidInput, match="not an ordinary file"):
        source_file(tmp_path / "pipe.csv")
    (tmp_path / "empty.csv").touch()
    with pytest.raises(BrokenFile, match="empty"):
        source_file(tmp_path / "empty.csv")
    with pytest.raises(InvalidInput):
        source_file("a\0b")


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path):
    """Reading ends with an error if the file is not the one at the beginning, or is gone."""
    path = tmp_path / "a.csv"
    path.write_text("a\n1\n")
    with pytest.raises(Conflict, match="while it was being read"), steady(path):
        path.write_text("a\n1\n2\n")
    with pytest.raises(Conflict, match="no longer there"), steady(path):
        path.unlink()


def test_chunks_refuse_a_file_that_is_not_the_one_inspected(tmp_path):
    """A file of the same size with other content is noticed before the first chunk."""
    path = tmp_path / "a.csv"
    path.write_text("a\n1\n")
    draft = csv_tables.inspect(path)
    path.write_text("a\n2\n")
    with pytest.raises(Conflict, match="since it was inspected"):
        next(draft.chunks())


def test_chunks_refuse_a_draft_with_faults_and_list_them_all(tmp_path):
    """The error of a faulty draft holds every fault."""
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1\n2,3,4\n")
    draft = csv_tables.inspect(path)
    with pytest.raises(InvalidInput) as caught:
        draft.chunks()
    assert len(caught.value.faults) == draft.fault_count == 2
    assert "2 faults" in caught.value.what


def test_a_chunk_has_rows(tmp_path):
    """A size below one is refused instead of reading for ever."""
    path = tmp_path / "a.csv"
    path.write_text("a\n1\n")
    with pytest.raises(InvalidInput):
        csv_tables.inspect(path).chunks(0)


def test_a_draft_can_be_read_again_with_other_types(tmp_path):
    """Retyping keeps key and types stated before, and inspects the file anew."""
    path = tmp_path / "a.csv"
    path.write_text("id,code,grade\n1,007,3\n2,008,X\n")
    draft = csv_tables.inspect(path, key="id", types={"code": "int"})
    again = draft.retyped({"grade": "text"}, ["X"])
    assert [column.type for column in again.columns] == ["int", "int", "text"]
    assert (again.key, again.columns[2].missing, again.names) == (("id",), 1, ("id", "code", "grade"))
