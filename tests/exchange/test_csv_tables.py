"""Delimited text into drafts."""

import csv
import io
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonground.errors import BrokenFile, InvalidInput
from commonground.exchange.csv_tables import inspect
from commonground.exchange.drafts import SHOWN
from draft_values import read


@pytest.fixture
def write(tmp_path):
    """Writes text or bytes to a file and returns its path."""

    def write(content, encoding="utf-8"):
        path = tmp_path / "table.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return write


def faults(draft):
    """Kind, row, line and column of each fault."""
    return [(fault.kind, fault.row, fault.line, fault.column) for fault in draft.faults]


def test_a_table_is_read_with_its_types(write):
    """Types, examples, missing cells, rows and digest of a plain file."""
    path = write("id,name,size,seen,ok\n1,Ann,3.5,2024-03-05,yes\n2,,4,2024-03,no\n")
    draft = inspect(path, key="id")
    assert [(column.name, column.type, column.missing) for column in draft.columns] == [
        ("id", "int", 0), ("name", "text", 1), ("size", "real", 0), ("seen", "date", 0), ("ok", "bool", 0),
    ]  # fmt: skip
    assert draft.columns[2].examples == ("3.5", "4")
    assert (draft.rows, draft.faults, draft.fault_count, draft.encoding, draft.delimiter) == (2, (), 0, "utf-8", ",")
    assert len(draft.digest) == 64
    assert read(draft) == {
        "id": [1, 2], "name": ["Ann", None], "size": [3.5, 4.0], "seen": ["2024-03-05", "2024-03"], "ok": [True, False],
    }  # fmt: skip


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(write, delimiter):
    """Each delimiter is found although the cells hold the others."""
    others = "".join({",", ";", "\t", "|"} - {delimiter})
    rows = [["a", "b", "c"], ["1", f"x{others}y", "z"], ["2", others[:2], others]]
    path = write("\n".join(delimiter.join(row) for row in rows))
    draft = inspect(path)
    assert draft.delimiter == delimiter
    assert read(draft)["b"] == [f"x{others}y", others[:2]]


def test_a_delimiter_that_can_be_two_is_a_fault(write):
    """A file that is even under two delimiters asks which; stating one settles it."""
    path = write("a,b;c,d\n1,2;3,4\n")
    assert [fault.kind for fault in inspect(path).faults] == ["doubtful-delimiter"]
    assert inspect(path, delimiter=";", decimal=",").check().names == ("a,b", "c,d")


def test_the_line_that_names_the_separator_is_taken(write):
    """Excel's first line "sep=|" is no header."""
    draft = inspect(write("sep=|\r\na|b\r\n1|x\r\n"))
    assert (draft.delimiter, read(draft)) == ("|", {"a": [1], "b": ["x"]})
    assert [fault.line for fault in inspect(write("sep=|\r\na|b\r\n1|x|y\r\n")).faults] == [3]


@pytest.mark.parametrize("delimiter", ["", ",,", '"', "\n", " "])
def test_a_delimiter_is_one_plain_character(write, delimiter):
    """Nothing else can be stated."""
    with pytest.raises(InvalidInput):
        inspect(write("a\n1\n"), delimiter=delimiter)


def test_one_column_needs_no_delimiter(write):
    """A list of values is a table; a comma in it is a ragged row, not a decimal."""
    assert read(inspect(write("a\nx y\nz\n"))) == {"a": ["x y", "z"]}
    assert inspect(write("a\n1,5\n")).faults[0].kind == "ragged-row"


def test_decimal_commas_are_found_by_column(write):
    """A column with decimal commas is real; a column of doubtful points in the same file asks."""
    draft = inspect(write("a;b\n3,5;x\n4,25;y\n"))
    assert (draft.decimal, draft.columns[0].note, read(draft)["a"]) == (",", "decimal comma", [3.5, 4.25])
    doubtful = inspect(write("a;b\n3,5;1.234\n4,25;2.345\n"))
    assert faults(doubtful) == [("doubtful-number", None, None, "b")]
    assert read(inspect(write("a;b\n3,5;1.234\n4,25;2.345\n"), types={"b": "text"}))["b"] == ["1.234", "2.345"]


def test_a_decimal_comma_anywhere_puts_points_in_doubt(write):
    """Also with commas between the cells: one column with quoted decimal commas, another with 1.234 only."""
    assert faults(inspect(write('a,b\n"3,5",1.234\n"0,5",2.345\n'))) == [("doubtful-number", None, None, "b")]


def test_points_in_a_file_with_semicolons_ask_unless_one_is_certain(write):
    """Semicolons suggest a decimal comma, so 1.234 alone is in doubt; 0.5 anywhere settles it."""
    assert faults(inspect(write("a;b\n1.234;x\n"))) == [("doubtful-number", None, None, "a")]
    assert read(inspect(write("a;b\n1.234;0.5\n")))["a"] == [1.234]
    assert read(inspect(write("a;b\n1.234;x\n"), decimal="."))["a"] == [1.234]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "cp1252", "latin-1"])
def test_encodings_are_told_and_read(write, encoding):
    """Accents survive every encoding, the first name has no mark, and the notes tell what was assumed."""
    draft = inspect(write("name,stadt\nJürgen,Köln\n", encoding))
    assert read(draft) == {"name": ["Jürgen"], "stadt": ["Köln"]}
    assert any("encoding" in note or "read as" in note for note in draft.notes)


def test_a_stated_encoding_is_used(write):
    """An encoding that cannot be guessed can be stated."""
    assert read(inspect(write("a\nДЖЩ\n", "koi8-r"), encoding="koi8-r")) == {"a": ["ДЖЩ"]}


def test_a_stated_encoding_that_cannot_be_is_a_broken_file(write):
    """UTF-16 with an odd byte, and bytes that the stated encoding lacks, end in a fault or an error, never a guess."""
    with pytest.raises(BrokenFile, match="utf-16"):
        inspect(write("a\n1\n".encode("utf-16") + b"x"))
    assert faults(inspect(write(b"a\ncaf\xe9\n"), encoding="utf-8")) == [("bad-bytes", 1, 2, "a")]


def test_quotes_hold_delimiters_breaks_and_quotes(write):
    """RFC 4180 cells come back as they are, and lines are counted over breaks within cells."""
    path = write('a,b\r\n"x,\r\ny","he said ""no"""\r\n1,2\r\n3\r\n')
    assert faults(inspect(path)) == [("ragged-row", 3, 5, None)]
    path = write('a,b\r\n"x,\r\ny","he said ""no"""\r\nz,2\r\n')
    assert read(inspect(path, types={"b": "text"})) == {"a": ["x,\r\ny", "z"], "b": ['he said "no"', "2"]}


def test_a_quote_that_never_closes_costs_its_own_line_only(write):
    """The row of the quote is the fault; the rows after it are read and judged on their own."""
    draft = inspect(write('a,b\n1,x\n2,"y\n3,z\n4,w\n5\n'))
    assert faults(draft) == [("broken-quotes", 2, 3, None), ("ragged-row", 5, 6, None)]
    assert "never closes" in draft.faults[0].what
    assert draft.rows == 3


def test_quotes_that_do_not_pair_are_found_at_the_first(write):
    """A stray opening quote whose partner opens another cell is reported where it opens."""
    draft = inspect(write('a,b\n1,"x\n2,"y"\n3,"p" q\n4,z\n'))
    assert faults(draft) == [("broken-quotes", 1, 2, None), ("broken-quotes", 3, 4, None)]
    assert draft.rows == 2


def test_a_header_with_broken_quotes_is_a_broken_file(write):
    """Without names there is nothing to inspect."""
    with pytest.raises(BrokenFile) as caught:
        inspect(write('a,"b" c\n1,2\n'))
    assert len(caught.value.faults) == 1


@pytest.mark.parametrize("content", ["\n\n", "\ufeff", "sep=;\n"])
def test_a_file_without_a_header_is_a_broken_file(write, content):
    """Blank lines, a lone mark, a lone separator line."""
    with pytest.raises(BrokenFile):
        inspect(write(content))


def test_ragged_rows_are_all_listed(write):
    """Rows with fewer or more cells than the header are faults with their numbers; the others are judged."""
    draft = inspect(write("a,b\n1,2\n3\n4,5,6\n7,8\n"))
    assert faults(draft) == [("ragged-row", 2, 3, None), ("ragged-row", 3, 4, None)]
    assert draft.faults[1].what == "3 cells where the header has 2"


def test_blank_lines_and_empty_rows_at_the_end_are_left_out_and_told(write):
    """They are no rows; an empty row between others is one."""
    draft = inspect(write("a,b\n1,2\n\n,\n3,4\n,\n,,,\n\n"))
    assert read(draft) == {"a": [1, None, 3], "b": [2, None, 4]}
    assert "2 blank lines left out" in draft.notes
    assert "2 empty rows at the end left out" in draft.notes


def test_chunks_hold_at_most_the_size_asked_for(write):
    """Also where empty rows are held back until a row follows."""
    path = write("a,b\n" + "1,2\n" + ",\n" * 7 + "3,4\n")
    sizes = [len(chunk["a"]) for chunk in inspect(path).chunks(2)]
    assert sizes == [2, 2, 2, 2, 1]


def test_a_header_without_rows_is_a_fault(write):
    """Also when only blank lines follow."""
    assert faults(inspect(write("a,b\n"))) == [("no-rows", None, None, None)]
    assert faults(inspect(write("a,b\n\n\n"))) == [("no-rows", None, None, None)]


def test_names_are_checked_and_cleaned(write):
    """Empty, equal and twin names are faults together; spaces around a name are dropped."""
    draft = inspect(write("a,,a,A, b \n1,2,3,4,5\n"))
    assert sorted(fault.kind for fault in draft.faults) == ["duplicate-name", "no-name", "twin-name"]
    assert draft.names[-1] == "b"


def test_nul_surrogates_and_huge_cells_are_faults_of_their_cell(write):
    """Each is listed with row and column; a cell of exactly 1 MiB is taken."""
    most = "x" * (1 << 20)
    path = write(b"a,b\nx\0y,1\n" + b"\xed\xa0\x80,2\n" + most.encode() + b"z,3\n" + most.encode() + b",4\n")
    draft = inspect(path)
    assert faults(draft) == [("nul", 1, 2, "a"), ("bad-bytes", 2, 3, "a"), ("long-cell", 3, 4, "a")]
    assert len(draft.faults[2].sample) < 100
    assert draft.rows == 1


def test_a_lone_surrogate_in_utf_16_is_a_fault(write):
    """Half a character is found in the encoding that can hold it."""
    path = write("a\n".encode("utf-16") + "x\ud800y\n".encode("utf-16-le", "surrogatepass"))
    assert faults(inspect(path)) == [("surrogate", 1, 2, "a")]


def test_a_cell_of_ten_megabytes_is_a_fault_not_a_crash(write):
    """It is listed, and the rows after it are read."""
    draft = inspect(write("a,b\n" + "x" * 10_000_000 + ",1\n2,y\n"))
    assert faults(draft) == [("long-cell", 1, 2, "a")]
    quoted = inspect(write('a,b\n"' + "x\n" * 5_000_000 + '",1\n2,y\n'))
    assert [fault.kind for fault in quoted.faults] == ["long-cell"]


def test_a_line_without_end_stops_the_reading(write):
    """A line longer than any row is reported, and what follows is not guessed at."""
    draft = inspect(write("a,b\n1,2\n" + "x" * ((1 << 24) + 10) + "\n1,2\n"))
    assert faults(draft) == [("unreadable", None, 3, None)]


def test_a_file_of_broken_quotes_lists_each_line_once(write):
    """Lines that are read again after a broken quote are judged once, whatever quotes they hold themselves."""
    draft = inspect(write("a,b\n" + '1,"x\n' * 20_000))
    assert draft.fault_count == 20_000
    assert [fault.row for fault in draft.faults[:SHOWN]] == list(range(1, SHOWN + 1))


def test_keys_that_repeat_or_lack_are_all_listed(write):
    """Each repeated key names the row it repeats; a missing part names its column; all before any value is read."""
    draft = inspect(write("id,t,v\nA,1,x\nB,1,x\nA,1,x\n,1,x\nA,2,x\n A ,1,x\n"), key=["id", "t"])
    assert faults(draft) == [
        ("duplicate-key", 3, 4, "id, t"), ("missing-key", 4, 5, "id"), ("duplicate-key", 6, 7, "id, t"),
    ]  # fmt: skip
    assert draft.faults[0].what == "the key is already in row 1"


def test_keys_are_compared_as_values(write):
    """Dates written in two ways, and composed and decomposed letters, are one key."""
    assert faults(inspect(write("d\n2024-03-05\n2024/3/5\n"), key="d")) == [("duplicate-key", 2, 3, "d")]
    assert faults(inspect(write("d\ncaf\u00e9\ncafe\u0301\n"), key="d")) == [("duplicate-key", 2, 3, "d")]
    assert inspect(write("d\n007\n7\n"), key="d").faults == ()


def test_a_decimal_number_is_no_key(write):
    """A key of reals is refused until it is said to be text."""
    path = write("v\n1.5\n2.5\n")
    assert faults(inspect(path, key="v")) == [("bad-key", None, None, "v")]
    assert inspect(path, key="v", types={"v": "text"}).faults == ()


def test_all_faults_come_at_once(write):
    """Names, rows, cells and keys are judged in one inspection."""
    rows = "".join(f"{number},{number}\n" for number in range(2, 30))
    draft = inspect(write(f"id,v,v\n{rows}".replace(",v,v", ",v") + "2,x\n5\n,6\n"), key="id")
    assert {fault.kind for fault in draft.faults} == {"ragged-row", "not-int", "missing-key", "duplicate-key"}


def test_many_faults_are_bounded_and_counted(write):
    """A file with thousands of bad rows gives a short list with the number of the rest."""
    draft = inspect(write("a,b\n" + "1\n" * 5000))
    assert len(draft.faults) == SHOWN + 1
    assert draft.fault_count == 5000
    assert draft.faults[-1].what == f"and {5000 - SHOWN:,} more, such as: 1 cell where the header has 2"


def test_faults_are_listed_as_a_file_is_read(write):
    """The faults of one row stand together, in the order of the columns, and the rows follow one another."""
    rows = "1,x,2\n2,y,z\n3,4,5\n4,5,w\n"
    draft = inspect(write(f"id,a,b\n{rows}"), types={"a": "int", "b": "real"})
    assert [(fault.row, fault.column) for fault in draft.faults] == [(1, "a"), (2, "a"), (2, "b"), (4, "b")]
    assert [fault.what for fault in draft.faults[1:3]] == ["not a whole number", "not a number"]


def test_a_rare_fault_is_not_hidden_by_a_frequent_one(write):
    """However long the list is, the first fault of each column is named."""
    draft = inspect(write("a,b\n" + "x,1\n" * 5000 + "1,y\n"), types={"a": "int", "b": "int"})
    assert [fault.row for fault in draft.faults if fault.column == "b"] == [5001]
    assert draft.faults[-1].what == "and 4,950 more, such as: not a whole number"


@pytest.mark.parametrize(
    "asked", [{"key": "x"}, {"types": {"x": "int"}}, {"types": {"a": "x"}}, {"decimal": ";"}, {"missing": "NA"}]
)
def test_a_wrong_question_is_refused(write, asked):
    """Unknown columns, types and signs are errors of the caller."""
    with pytest.raises(InvalidInput):
        inspect(write("a\n1\n"), **asked)


def test_missing_values_are_the_ones_stated(write):
    """The caller's list replaces the usual one; spaces around a cell do not count."""
    path = write("a,b\n-9,NA\n 1,x\n -9 ,\n")
    draft = inspect(path, missing=["-9"])
    assert read(draft) == {"a": [None, 1, None], "b": ["NA", "x", ""]}
    assert draft.columns[0].note == "2 cells '-9' read as missing"


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


@given(
    rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=8),
    dialect=st.tuples(
        st.sampled_from(",;\t|"),
        st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC, csv.QUOTE_MINIMAL]),
        st.sampled_from(["\r\n", "\n", "\r"]),
    ),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    size=st.integers(1, 9),
)
def test_what_a_csv_writer_wrote_is_read_back(tmp_path_factory, rows, dialect, encoding, size):
    """Any text in any dialect comes back as it was, in chunks of any size."""
    delimiter, quoting, ends = dialect
    if ends != "\r\n":
        quoting = csv.QUOTE_ALL
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=ends)
    writer.writerow(["n", "first", "second"])
    writer.writerows([number, *row] for number, row in enumerate(rows))
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(out.getvalue().encode(encoding))
    text = {"first": "text", "second": "text"}
    draft = inspect(path, key="n", types=text, missing=[], encoding=encoding, delimiter=delimiter)
    assert list(zip(*read(draft, size).values(), strict=True)) == [(number, *row) for number, row in enumerate(rows)]


@given(
    rows=st.lists(
        st.tuples(
            st.none() | st.integers(-(2**63), 2**63 - 1),
            st.none() | st.floats(allow_nan=False, allow_infinity=False),
            st.none() | st.booleans(),
            st.none() | st.dates().map(str),
            st.none() | st.datetimes().map(lambda moment: moment.isoformat()),
        ),
        min_size=1,
        max_size=8,
    ),
    decimal=st.sampled_from(",."),
)
def test_typed_values_are_read_back(tmp_path_factory, rows, decimal):
    """Numbers, truth, dates and times come back exactly with their types stated."""
    kinds = {"i": "int", "r": "real", "b": "bool", "d": "date", "t": "time"}
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";")
    writer.writerow(["n", *kinds])
    for number, (whole, real, truth, day, moment) in enumerate(rows):
        shown = None if real is None else repr(real).replace(".", decimal)
        writer.writerow([number, whole, shown, truth, day, moment])
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_text(out.getvalue(), newline="")
    values = read(inspect(path, types=kinds, decimal=decimal, delimiter=";"))
    values.pop("n")
    assert list(zip(*values.values(), strict=True)) == rows


@given(st.text('a1,;"\n\r\t.-|', max_size=40))
def test_no_text_breaks_the_inspection(tmp_path_factory, content):
    """Whatever follows a header, the file is a draft with or without faults, and one without can be read."""
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(b"h,k\n" + content.encode())
    draft = inspect(path)
    if not draft.faults:
        assert all(len(cells) == draft.rows for cells in read(draft).values())


def test_memory_does_not_grow_with_the_file(tmp_path):
    """Reading 16 times as many rows in chunks takes no more memory."""
    peaks = []
    for rows in (5_000, 80_000):
        path = tmp_path / f"{rows}.csv"
        with path.open("w") as file:
            file.write("id,value,day,words\n")
            file.writelines(f"{n},{n / 7:.4f},2024-01-{n % 28 + 1:02},text of row {n}\n" for n in range(rows))
        draft = inspect(path, key="id")
        tracemalloc.start()
        total = sum(len(chunk["id"]) for chunk in draft.chunks(1_000))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert total == rows
    assert peaks[1] < peaks[0] * 1.2


def test_inspecting_holds_no_rows(tmp_path):
    """Without a key, inspecting five times as many rows takes at most the memory of one page more."""
    peaks = []
    for rows in (20_000, 100_000):
        path = tmp_path / f"{rows}.csv"
        with path.open("w") as file:
            file.write("id,v\n")
            file.writelines(f"{n},{n % 97}\n" for n in range(rows))
        tracemalloc.start()
        inspect(path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.5
