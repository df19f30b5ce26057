"""Exports of annotators into readings: the three layouts."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonground.errors import InvalidInput
from commonground.exchange import csv_tables
from commonground.exchange.annotator_tables import from_long, from_rater_columns, from_wide


@pytest.fixture
def draft(tmp_path):
    """Writes a text table to a file and inspects it."""

    def draft(content, **options):
        path = tmp_path / "table.csv"
        path.write_text(content)
        return csv_tables.inspect(path, **options)

    return draft


def rows(readings, *columns, size=50_000):
    """The named columns of all readings, row by row, sorted."""
    found = []
    for chunk in readings.chunks(size):
        found += zip(*(chunk[column] for column in columns), strict=True)
    return sorted(found, key=str)


def faults(readings):
    """Kind, row and line of each fault."""
    return [(fault.kind, fault.row, fault.line) for fault in readings.faults]


WIDE = "nodule,reader,malignancy,shape,remark,day\n1,A,3,round,clear,2024-03-05\n1,B,X,,,2024-03-06\n2,A,5,oval,,\n"
GRADES = {"malignancy": range(1, 6), "shape": ["round", "oval"]}
CANNOT = {"X": "cannot grade"}


def test_a_wide_table_gives_a_reading_for_each_cell_with_a_value(draft):
    """Values have the type of what is allowed; an empty cell is none; a marker is a reading with a reason."""
    found = from_wide(
        draft(WIDE), entity="nodule", rater="reader", values=["malignancy", "shape"], comment="remark", at="day",
        allowed=GRADES, cannot=CANNOT,
    )  # fmt: skip
    assert (found.faults, found.rows, found.raters, found.entity) == ((), 5, ("A", "B"), "nodule")
    assert [(column.name, column.type, column.missing) for column in found.features] == [
        ("malignancy", "int", 1), ("shape", "text", 0),
    ]  # fmt: skip
    assert found.features[0].note == "1 times 'cannot grade'"
    assert rows(found, "entity", "rater", "feature", "value", "reason", "comment", "at") == [
        (1, "A", "malignancy", 3, None, "clear", "2024-03-05"),
        (1, "A", "shape", "round", None, "clear", "2024-03-05"),
        (1, "B", "malignancy", None, "cannot grade", None, "2024-03-06"),
        (2, "A", "malignancy", 5, None, None, None),
        (2, "A", "shape", "oval", None, None, None),
    ]


def test_columns_for_each_rater_are_split_by_their_names(draft):
    """The name of a column gives feature and rater; columns that do not fit are told."""
    table = draft("nodule,malignancy_r1,malignancy_r2,shape_r1,site\n1,3,4,round,X\n2,,5,oval,Y\n")
    found = from_rater_columns(table, entity="nodule")
    assert found.faults == ()
    assert rows(found, "entity", "rater", "feature", "value") == [
        (1, "r1", "malignancy", 3), (1, "r1", "shape", "round"), (1, "r2", "malignancy", 4),
        (2, "r1", "shape", "oval"), (2, "r2", "malignancy", 5),
    ]  # fmt: skip
    assert "columns not read: site" in found.notes


@pytest.mark.parametrize(
    ("pattern", "name"),
    [("{feature}_{rater}", "g_r"), ("{rater}.{feature}", "r.g"), ("[{feature}] by {rater}!", "[g] by r!")],
)
def test_the_pattern_names_feature_and_rater_in_any_order(draft, pattern, name):
    """Text may stand before, between and after."""
    found = from_rater_columns(draft(f"id,{name}\n1,3\n"), entity="id", pattern=pattern)
    assert rows(found, "rater", "feature") == [("r", "g")]


def test_a_name_that_splits_in_two_ways_needs_the_features(draft):
    """It is settled by the raters of other columns, or by naming the features; else all such are refused at once."""
    table = draft("id,internal_structure_r1,margin_r1\n1,2,3\n")
    assert rows(from_rater_columns(table, entity="id"), "feature", "rater") == [
        ("internal_structure", "r1"), ("margin", "r1"),
    ]  # fmt: skip
    table = draft("id,a_b_c,d_e_f\n1,2,3\n")
    with pytest.raises(InvalidInput) as caught:
        from_rater_columns(table, entity="id")
    assert len(caught.value.faults) == 2
    found = from_rater_columns(table, entity="id", features=["a_b", "d"])
    assert rows(found, "feature", "rater") == [("a_b", "c"), ("d", "e_f")]


@pytest.mark.parametrize("pattern", ["{feature}{rater}", "{feature}", "{feature}_{reader}", "{a}_{b}_{c}", "{", ""])
def test_other_patterns_are_refused(draft, pattern):
    """A pattern holds feature and rater, with text between them."""
    with pytest.raises(InvalidInput):
        from_rater_columns(draft("id,a_b\n1,2\n"), entity="id", pattern=pattern)


def test_a_pattern_that_no_column_fits_is_refused(draft):
    """Instead of an empty import."""
    with pytest.raises(InvalidInput, match="No column fits"):
        from_rater_columns(draft("id,x\n1,2\n"), entity="id")


def test_a_long_table_types_each_feature_by_itself(draft):
    """Features with numbers, words and dates in one column each get their type."""
    table = draft("id,who,what,said\n1,A,grade,3\n1,A,shape,round\n1,A,seen,2024-03-05\n2,1,grade,4\n")
    found = from_long(table, entity="id", rater="who", feature="what", value="said")
    assert [(column.name, column.type) for column in found.features] == [
        ("grade", "int"), ("shape", "text"), ("seen", "date"),
    ]  # fmt: skip
    assert rows(found, "entity", "rater", "feature", "value") == [
        (1, "A", "grade", 3), (1, "A", "seen", "2024-03-05"), (1, "A", "shape", "round"), (2, "1", "grade", 4),
    ]  # fmt: skip


def test_raters_are_labels_also_when_they_are_numbers(draft):
    """Reader 1 is a name, with or without a leading zero."""
    found = from_wide(draft("id,who,g\n1,1,3\n2,02,4\n3, 2 ,4\n"), entity="id", rater="who", values=["g"])
    assert found.raters == ("1", "02", "2")
    found = from_wide(draft("id,who,g\n1,1,3\n2,2,4\n"), entity="id", rater="who", values=["g"])
    assert rows(found, "rater") == [("1",), ("2",)]


def test_all_faults_come_at_once(draft):
    """Bad rows, values that are not allowed, missing raters and repeats are told together, with their rows."""
    table = draft("id,who,g\n1,A,3\n1,A,4\n2,,3\n3,A,9\n4\n5,B,X\n,B,2\n")
    found = from_wide(table, entity="id", rater="who", values=["g"], allowed={"g": range(1, 6)}, cannot=CANNOT)
    assert sorted(faults(found), key=str) == [
        ("duplicate-key", 2, 3), ("missing-key", 3, 4), ("missing-key", 7, 8), ("not-allowed", 4, 5),
        ("ragged-row", 5, 6),
    ]  # fmt: skip
    assert found.fault_count == 5
    with pytest.raises(InvalidInput) as caught:
        found.chunks()
    assert len(caught.value.faults) == 5


def test_a_rater_who_speaks_twice_is_a_fault_in_each_layout(draft):
    """The same entity, rater and feature twice, also when one of the two is a marker."""
    wide = from_wide(draft("id,who,g\n1,A,3\n1,A,X\n"), entity="id", rater="who", values=["g"], cannot=CANNOT)
    long = from_long(draft("id,who,f,v\n1,A,g,3\n1,A,g,3\n"), entity="id", rater="who", feature="f", value="v")
    columns = from_rater_columns(draft("id,g_A\n1,3\n1,4\n"), entity="id")
    for found in (wide, long, columns):
        assert faults(found) == [("duplicate-key", 2, 3)]
        assert found.faults[0].what == "what this rater says of this feature is already in row 1"


def test_raters_and_features_that_differ_in_case_are_faults(draft):
    """Two spellings of one reader or one feature would become two."""
    table = draft("id,who,f,v\n1,Anna,g,3\n2,anna,G,3\n")
    found = from_long(table, entity="id", rater="who", feature="f", value="v")
    assert [(fault.kind, fault.column) for fault in found.faults] == [("twin-name", "feature"), ("twin-name", "rater")]


def test_a_marker_does_not_make_grades_text(draft):
    """Grades with a few markers are numbers; the markers stated as missing in the draft become reasons again."""
    table = draft("id,who,g\n1,A,3\n2,A,NA\n3,A,X\n")
    found = from_wide(table, entity="id", rater="who", values=["g"], cannot={**CANNOT, "NA": "not asked"})
    assert rows(found, "value", "reason") == [(3, None), (None, "cannot grade"), (None, "not asked")]
    assert found.features[0].type == "int"


def test_values_that_do_not_fit_their_feature_are_faults(draft):
    """Without a list of what is allowed, the rule of columns holds for each feature."""
    content = "id,who,g\n" + "".join(f"{number},A,{number % 5}\n" for number in range(30)) + "99,A,abc\n"
    found = from_wide(draft(content), entity="id", rater="who", values=["g"])
    assert [(fault.kind, fault.row, fault.sample) for fault in found.faults] == [("not-int", 31, "abc")]


def test_grades_that_a_program_wrote_as_decimals_are_whole(draft):
    """A grade of 3.0 is the allowed grade 3."""
    found = from_wide(
        draft("id,who,g\n1,A,3.0\n2,A,\n"), entity="id", rater="who", values=["g"], allowed={"g": [1, 2, 3]}
    )
    assert rows(found, "value") == [(3,)]


def test_the_time_of_a_reading_is_a_date_or_time(draft):
    """A column of other things is a fault."""
    table = draft("id,who,g,at\n1,A,3,soon\n")
    assert faults(from_wide(table, entity="id", rater="who", values=["g"], at="at")) == [("bad-time", None, None)]


def test_comments_without_a_value_are_told(draft):
    """A remark beside no value is no reading; its number is in the notes."""
    found = from_wide(
        draft("id,who,g,h,c\n1,A,3,,x\n2,A,,,y\n"), entity="id", rater="who", values=["g", "h"], comment="c"
    )
    assert "1 comments of rows without a value left out" in found.notes


def test_a_table_without_readings_is_a_fault(draft):
    """Empty cells alone are no readings."""
    assert faults(from_wide(draft("id,who,g\n1,A,\n"), entity="id", rater="who", values=["g"])) == [
        ("no-rows", None, None)
    ]


def test_wrong_questions_are_refused(draft):
    """Unknown columns, no columns, and a column of features with a thousand of them."""
    table = draft("id,who,f,v\n" + "".join(f"1,A,f{number},3\n" for number in range(1200)))
    with pytest.raises(InvalidInput) as caught:
        from_wide(table, entity="x", rater="y", values=["v"])
    assert len(caught.value.faults) == 2
    with pytest.raises(InvalidInput):
        from_wide(table, entity="id", rater="who", values=[])
    with pytest.raises(InvalidInput, match="1,000 features"):
        from_long(table, entity="id", rater="who", feature="f", value="v")


def test_chunks_are_bounded(draft):
    """Readings come in chunks of at most the size asked for."""
    content = "id,who,g,h\n" + "".join(f"{number},A,1,2\n" for number in range(25))
    found = from_wide(draft(content), entity="id", rater="who", values=["g", "h"])
    assert [len(chunk["value"]) for chunk in found.chunks(10)] == [10, 10, 10, 10, 10]
    with pytest.raises(InvalidInput):
        found.chunks(0)


READINGS = st.dictionaries(
    st.tuples(st.integers(0, 9), st.sampled_from(["r1", "r2", "r3"]), st.sampled_from(["g", "h"])),
    st.integers(1, 5) | st.none(),
    min_size=1,
)


@given(READINGS, st.integers(1, 7))
def test_the_three_layouts_say_the_same(tmp_path_factory, readings, size):
    """The same readings written long, wide and by rater come back the same, "cannot grade" included."""
    place = tmp_path_factory.mktemp("readings")
    cell = {key: "X" if value is None else value for key, value in readings.items()}
    entities = sorted({key[0] for key in readings})
    people, features = ["r1", "r2", "r3"], ["g", "h"]

    def inspect(name, header, lines):
        out = io.StringIO()
        csv.writer(out).writerows([header, *lines])
        (place / name).write_text(out.getvalue(), newline="")
        return csv_tables.inspect(place / name)

    options = {"allowed": {"g": range(1, 6), "h": range(1, 6)}, "cannot": CANNOT}
    long = inspect("long", ["id", "who", "f", "v"], [[*key, value] for key, value in cell.items()])
    wide = inspect(
        "wide", ["id", "who", *features],
        [[e, p, *(cell.get((e, p, f), "") for f in features)] for e in entities for p in people],
    )  # fmt: skip
    columns = inspect(
        "columns", ["id", *(f"{f}_{p}" for f in features for p in people)],
        [[e, *(cell.get((e, p, f), "") for f in features for p in people)] for e in entities],
    )  # fmt: skip
    expected = sorted(
        ((*key, value, "cannot grade" if value is None else None) for key, value in readings.items()), key=str
    )
    for found in (
        from_long(long, entity="id", rater="who", feature="f", value="v", **options),
        from_wide(wide, entity="id", rater="who", values=features, **options),
        from_rater_columns(columns, entity="id", **options),
    ):
        assert found.rows == len(readings)
        assert rows(found, "entity", "rater", "feature", "value", "reason", size=size) == expected
