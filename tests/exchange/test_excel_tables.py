"""Worksheets into drafts."""

import datetime as dt
import re
import sys
import zipfile

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonground.errors import BrokenFile, InvalidInput, MissingExtra
from commonground.exchange.excel_tables import inspect
from draft_values import read


@pytest.fixture
def write(tmp_path):
    """Writes rows, and what `change` does to the sheet, to a workbook and returns its path."""

    def write(rows, change=None):
        book = openpyxl.Workbook()
        for row in rows:
            book.active.append(row)
        if change is not None:
            change(book.active)
        path = tmp_path / "table.xlsx"
        book.save(path)
        return path

    return write


def alter(path, pattern, text):
    """Replaces what a pattern finds in the file of the first sheet."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    parts[sheet], times = re.subn(pattern, text, parts[sheet])
    assert times
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def faults(draft):
    """Kind, row, row of the sheet and column of each fault."""
    return [(fault.kind, fault.row, fault.line, fault.column) for fault in draft.faults]


def test_a_sheet_is_read_with_its_types(write):
    """Numbers, truth, text, dates and times come back with their types, empty cells as missing."""
    moment = dt.datetime(2024, 3, 5, 10, 20, 30)  # noqa: DTZ001 - a local time
    path = write(
        [
            ["id", "size", "ok", "name", "day", "at"],
            [1, 0.5, True, "Ann", dt.date(2024, 3, 5), moment],
            [2, 3, False, None, dt.date(2024, 3, 6), moment],
        ]
    )
    draft = inspect(path, key="id")
    assert [column.type for column in draft.columns] == ["int", "real", "bool", "text", "date", "time"]
    assert (draft.rows, draft.faults, draft.columns[3].missing) == (2, (), 1)
    assert read(draft, 1) == {
        "id": [1, 2], "size": [0.5, 3.0], "ok": [True, False], "name": ["Ann", None],
        "day": ["2024-03-05", "2024-03-06"], "at": ["2024-03-05T10:20:30"] * 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("DD.MM.YYYY", "2024-03-05"), ("[$-407]dddd, d. mmmm yyyy", "2024-03-05"), ("yyyy-mm-dd", "2024-03-05"),
        ('d "hours" mmm', "2024-03-05"), ("dd.mm.yyyy hh:mm", "2024-03-05T00:00:00"),
    ],
)  # fmt: skip
def test_midnight_is_a_time_only_if_its_format_shows_one(write, form, value):
    """The same number is a date or a time by the format of its cell, whatever words the format holds."""

    def change(sheet):
        sheet["A2"].number_format = form

    assert read(inspect(write([["d"], [dt.datetime(2024, 3, 5)]], change))) == {"d": [value]}  # noqa: DTZ001


def test_a_date_with_a_time_of_day_keeps_it(write):
    """A format that hides the time of day does not lose it."""

    def change(sheet):
        sheet["A2"].number_format = "dd.mm.yyyy"

    assert read(inspect(write([["d"], [dt.datetime(2024, 3, 5, 9, 0)]], change))) == {"d": ["2024-03-05T09:00:00"]}  # noqa: DTZ001


def test_numbers_stored_as_text_are_judged_like_cells_of_csv(write):
    """Digits as text are numbers, leading zeros are names, and words among numbers are faults with their row."""
    rows = [["n", "code"], *([str(number), f"{number:03}"] for number in range(2, 25))]
    draft = inspect(write(rows))
    assert [column.type for column in draft.columns] == ["int", "text"]
    assert read(draft)["code"][0] == "002"
    assert faults(inspect(write([*rows, ["abc", "025"]]))) == [("not-int", 24, 25, "n")]


def test_decimal_commas_in_text_need_the_sign_stated(write):
    """Cells of text such as "3,5" are faults among numbers until the decimal sign is stated; numbers stay numbers."""
    rows = [["v"], [1.5], ["3,5"], [1.234]]
    assert [fault.sample for fault in inspect(write(rows)).faults] == ["3,5"]
    assert read(inspect(write(rows), decimal=",")) == {"v": [1.5, 3.5, 1.234]}


def test_formulas_without_values_merged_and_error_cells_are_faults(write):
    """All three are found in one inspection, with row, row of the sheet and column."""

    def change(sheet):
        sheet["B3"] = "=A2+1"
        sheet["A4"] = "#N/A"
        sheet.merge_cells("B4:B5")

    draft = inspect(write([["a", "b"], [1, 2], [3, None], [None, 4], [5, None]], change))
    assert sorted(faults(draft)) == [("error-cell", 3, 4, "a"), ("merged-cells", 3, 4, None), ("no-value", 2, 3, "b")]
    assert next(fault for fault in draft.faults if fault.kind == "merged-cells").sample == "B4:B5"


def test_an_error_cell_can_be_stated_missing(write):
    """#N/A means no value only when the caller says so."""

    def change(sheet):
        sheet["A3"] = "#N/A"

    path = write([["a"], [1], [2]], change)
    assert read(inspect(path, missing=["", "#N/A"])) == {"a": [1, None]}


def test_formulas_are_read_as_the_values_stored_with_them(write):
    """The stored value of a formula is the value of the cell."""
    path = write([["a"], ["=1+1"]])
    alter(path, rb"<v ?/>|<v></v>", b"<v>2</v>")
    assert read(inspect(path)) == {"a": [2]}


def test_the_size_that_a_sheet_states_is_not_trusted(write):
    """A sheet that claims to be one cell is read to its end."""
    path = write([["a", "b"], [1, 2], [3, 4]])
    alter(path, rb'<dimension ref="[^"]*"', b'<dimension ref="A1:A1"')
    assert read(inspect(path)) == {"a": [1, 3], "b": [2, 4]}


def test_a_sheet_can_be_named(tmp_path):
    """The first sheet is read unless another is named; the notes tell which are not read."""
    book = openpyxl.Workbook()
    book.active.append(["a"])
    book.active.append([1])
    other = book.create_sheet("other")
    other.append(["b"])
    other.append(["x"])
    path = tmp_path / "a.xlsx"
    book.save(path)
    assert inspect(path).notes == ("sheet 'Sheet', the first; not read: 'other'",)
    assert read(inspect(path, sheet="other")) == {"b": ["x"]}
    assert read(inspect(path, sheet="other").retyped({"b": "text"})) == {"b": ["x"]}
    with pytest.raises(InvalidInput, match="no sheet 'none'"):
        inspect(path, sheet="none")


def test_rows_are_as_wide_as_the_header(write):
    """Short rows are filled, empty cells beyond the header are nothing, others are faults; empty rows at the end go."""

    def change(sheet):
        sheet["F3"].number_format = "0.00"
        sheet["B9"].number_format = "0.00"

    draft = inspect(write([["a", "b"], [1], [2, 3]], change))
    assert (draft.faults, read(draft)) == ((), {"a": [1, 2], "b": [None, 3]})
    assert faults(inspect(write([["a"], [1, None, 2]]))) == [("ragged-row", 1, 2, None)]


def test_names_are_checked(write):
    """Empty, equal and twin names are faults; a header of numbers is a header."""
    draft = inspect(write([["a", None, "A", 2024, "a"], [1, 2, 3, 4, 5]]))
    assert sorted(fault.kind for fault in draft.faults) == ["duplicate-name", "no-name", "twin-name"]
    assert draft.names[3] == "2024"


def test_a_header_alone_is_a_fault_and_nothing_is_a_broken_file(write):
    """No rows, and no header."""
    assert faults(inspect(write([["a"]]))) == [("no-rows", None, None, None)]
    with pytest.raises(BrokenFile, match="first row"):
        inspect(write([]))
    with pytest.raises(BrokenFile, match="first row"):
        inspect(write([[None], ["a"], [1]]))


def test_hidden_rows_are_read_and_told(write):
    """A filter in the workbook does not choose what is imported."""

    def change(sheet):
        sheet.row_dimensions[2].hidden = True

    draft = inspect(write([["a"], [1], [2]], change))
    assert (read(draft), draft.notes) == ({"a": [1, 2]}, ("1 hidden rows are read like the others",))


def test_keys_are_checked(write):
    """Repeated and missing keys are faults with their rows."""
    draft = inspect(write([["k", "v"], ["a", 1], ["a ", 2], [None, 3]]), key="k")
    assert faults(draft) == [("duplicate-key", 2, 3, "k"), ("missing-key", 3, 4, "k")]


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"PK\x03\x04nothing", b"\xd0\xcf\x11\xe0" + bytes(600)])
def test_what_is_no_workbook_is_a_broken_file(tmp_path, content):
    """Text, a broken archive, and an old or protected workbook are refused."""
    path = tmp_path / "a.xlsx"
    path.write_bytes(content)
    with pytest.raises(BrokenFile):
        inspect(path)


def test_an_archive_that_is_no_workbook_is_a_broken_file(tmp_path):
    """A zip archive with other content is refused."""
    path = tmp_path / "a.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(BrokenFile):
        inspect(path)


def test_a_workbook_that_unpacks_to_too_much_is_refused(tmp_path, write):
    """Texts of more than half a gigabyte in a small file are not unpacked."""
    path = write([["a"], ["x"]])
    bomb = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            if not name.endswith("sharedStrings.xml"):
                new.writestr(name, old.read(name))
        with new.open("xl/sharedStrings.xml", "w", force_zip64=True) as strings:
            for _ in range(513):
                strings.write(bytes(1 << 20))
    assert bomb.stat().st_size < 1 << 20
    with pytest.raises(BrokenFile, match="more than any workbook needs"):
        inspect(bomb)


def test_without_the_extra_the_error_names_the_cure(write, monkeypatch):
    """A missing openpyxl is told with what to install."""
    path = write([["a"], [1]])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(MissingExtra) as caught:
        inspect(path)
    assert "commonground[excel]" in caught.value.todo


def test_a_date_outside_the_calendar_is_an_error_cell(write):
    """A serial number that is no date is a fault, without a warning."""

    def change(sheet):
        sheet["A2"].number_format = "yyyy-mm-dd"

    assert faults(inspect(write([["d"], [1e9]], change))) == [("error-cell", 1, 2, "d")]


TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=6
)


@settings(max_examples=20)
@given(
    st.lists(
        st.tuples(
            st.integers(-(2**50), 2**50),
            st.none() | st.floats(allow_nan=False, allow_infinity=False).map(lambda number: float(f"{number:.12g}")),
            st.none() | st.booleans(),
            st.none() | TEXT.map(lambda text: f"x{text}x"),
            st.none() | st.dates(dt.date(1901, 1, 1)),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_what_a_workbook_holds_is_read_back(tmp_path_factory, rows):
    """Numbers of up to 12 digits, truth, text and dates come back as they were, with their types stated."""
    book = openpyxl.Workbook()
    book.active.append(["i", "r", "b", "x", "d"])
    for row in rows:
        book.active.append(row)
    path = tmp_path_factory.mktemp("excel") / "a.xlsx"
    book.save(path)
    values = read(inspect(path, types={"i": "int", "r": "real", "b": "bool", "x": "text", "d": "date"}))
    expected = [(*row[:4], row[4] and row[4].isoformat()) for row in rows]
    assert list(zip(*values.values(), strict=True)) == expected
