"""What a column of text proves about its type, and what it leaves open."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonground.errors import InvalidInput
from commonground.exchange.drafts import SHOWN, FaultList
from commonground.exchange.text_columns import (
    Evidence,
    add_faults,
    column_draft,
    decide,
    stated_types,
    values_of,
)

MISSING = frozenset({"", "NA"})


def judge(cells, stated=None, decimal=None, *, dots_in_doubt=False, is_key=False):
    """Type, values or faults of a column, and its note."""
    seen = Evidence()
    half = len(cells) // 2
    rows = list(range(1, len(cells) + 1))
    for part in (slice(0, half), slice(half, None)):
        seen.observe(rows[part], [row + 1 for row in rows[part]], cells[part], MISSING)
    decision = decide(seen, stated, decimal, dots_in_doubt=dots_in_doubt)
    faults = FaultList()
    add_faults("c", seen, decision, faults)
    note = column_draft("c", seen, decision, is_key=is_key).note
    if len(faults):
        return decision.type, faults.listed(), note
    return decision.type, values_of(cells, decision, MISSING, is_key=is_key), note


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["1", "-2", " 3 ", "", "NA"], "int", [1, -2, 3, None, None]),
        (["0", "1"], "int", [0, 1]),
        (["2020", "2021"], "int", [2020, 2021]),
        (["1", "2.5", "1e-3"], "real", [1.0, 2.5, 0.001]),
        (["3.0", "4.0"], "real", [3.0, 4.0]),
        (["1.234", "2.500"], "real", [1.234, 2.5]),
        (["3,5", "4", "0,125", "1,234"], "real", [3.5, 4.0, 0.125, 1.234]),
        (["1e5", "2.5"], "real", [1e5, 2.5]),
        (["yes", "No", "TRUE"], "bool", [True, False, True]),
        (["007", "12"], "text", ["007", "12"]),
        (["a", " b "], "text", ["a", " b "]),
        (["2024-03-05", "2024-03", "2024"], "date", ["2024-03-05", "2024-03", "2024"]),
        (["31.12.2024", "1.2.2024"], "date", ["2024-12-31", "2024-02-01"]),
        (["12/31/2024", "1/2/2024"], "date", ["2024-12-31", "2024-01-02"]),
        (["5/5/2024"], "date", ["2024-05-05"]),
        (["2024-03-05 10:20", "2024-03-05T10:20:30.5"], "time", ["2024-03-05T10:20:00", "2024-03-05T10:20:30.500000"]),
        (["31.12.2024 10:20", "1.2.2024 10:20"], "time", ["2024-12-31T10:20:00", "2024-02-01T10:20:00"]),
        (["", "NA"], "text", [None, None]),
    ],
)
def test_a_column_is_what_its_cells_prove(cells, kind, values):
    """Each column without doubt gets its type and its values."""
    assert judge(cells)[:2] == (kind, values)


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["1,234", "2,345"], "1,234 can be decimals or thousands"),
        (["3/4/2024", "5/6/2024"], "no date shows whether the day comes first"),
        (["31/12/2024", "12/31/2024", "3/4/2024"], "some dates are day first and others month first"),
        (["1e5", "2"], "numbers or codes"),
        (["3/4/2024 10:00", "5/6/2024 10:00"], "time:dmy"),
    ],
)
def test_what_can_be_read_in_two_ways_asks_for_a_type(cells, words):
    """Thousands or decimals, day or month first, numbers or codes: the column is a fault, not a guess."""
    faults = judge(cells)[1]
    assert any(words in fault.what and fault.column == "c" for fault in faults)


def test_points_are_in_doubt_where_the_file_has_commas():
    """Cells such as 1.234 are decimals by themselves, but a fault when the file gives reason to doubt."""
    assert judge(["1.234"])[0] == "real"
    assert "state the decimal sign" in judge(["1.234"], dots_in_doubt=True)[1][0].what
    assert judge(["1.234", "1.5"], dots_in_doubt=True)[1] == [1.234, 1.5]
    assert judge(["1.234"], decimal=".", dots_in_doubt=True)[1] == [1.234]


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ("abc", "not a whole number"), ("1,234,567", "thousands"), ("NaN", "NaN is not a value"), ("inf", "finite"),
        ("12a", "not a whole number"), ("<5", "not a whole number"), ("2024-03-05", "not a whole number"),
    ],
)  # fmt: skip
def test_a_few_odd_cells_among_numbers_are_faults_by_row(odd, words):
    """Above 90 % numbers, the others are listed with row, line and cell; the column does not turn into text."""
    cells = [str(number) for number in range(2, 21)] + [odd]
    kind, faults, _ = judge(cells)
    assert kind == "int"
    assert [(fault.row, fault.line, fault.sample) for fault in faults] == [(20, 21, odd)]
    assert words in faults[0].what


@pytest.mark.parametrize("odd", ["3,5", "1.234,5", "007"])
def test_a_cell_with_the_other_decimal_sign_is_a_fault(odd):
    """Among decimals with a point, a comma, a mixed form or leading zeros are faults."""
    faults = judge([f"{number}.5" for number in range(15)] + [odd])[1]
    assert [(fault.row, fault.sample) for fault in faults] == [(16, odd)]


def test_a_point_among_decimal_commas_is_a_fault():
    """In a column with decimal commas, "1.234" may be a thousand, so it is listed."""
    faults = judge(["3,5", "4,5", "1.234"])[1]
    assert [(fault.row, fault.sample) for fault in faults] == [(3, "1.234")]


def test_at_ninety_percent_a_mixed_column_is_text_and_says_so():
    """Nine numbers in ten are not above 90 %: text, with a note that tells what was mixed."""
    kind, values, note = judge([*map(str, range(2, 11)), "abc"])
    assert (kind, values[-1]) == ("text", "abc")
    assert note == "90% of the values look like numbers; read as text"


@pytest.mark.parametrize("odd", ["unknown", "2"])
def test_odd_cells_among_truth_and_dates_are_faults_too(odd):
    """The same rule holds for other families than numbers."""
    assert judge(["yes", "no"] * 10 + [odd])[1][0].sample == odd
    assert judge(["2024-03-05"] * 20 + [odd])[1][0].sample == odd


def test_whole_numbers_beyond_64_bits_are_text_and_a_fault():
    """A column with an integer beyond 64 bits is text; each such cell is a fault until the type text is stated."""
    cells = ["1", str(2**63)]
    kind, faults, _ = judge(cells)
    assert (kind, faults[0].row, faults[0].what) == (
        "text",
        2,
        "a whole number beyond 64 bits; if it is a name, state the type text",
    )
    assert judge(cells, "text")[1] == cells


def test_large_whole_numbers_among_decimals_are_faults():
    """An integer that a float cannot hold exactly is not rounded in silence."""
    assert "rounded" in judge(["0.5", str(2**53 + 1)])[1][0].what


def test_a_date_that_does_not_exist_is_a_fault():
    """The 31st of February and a year of two digits are listed."""
    cells = ["2024-03-05"] * 30 + ["2024-02-31", "31.12.24"]
    assert [fault.sample for fault in judge(cells)[1]] == ["2024-02-31", "31.12.24"]


def test_a_time_with_a_zone_is_a_fault():
    """The zone of a time is never dropped in silence."""
    assert "zone" in judge(["2024-03-05T10:20:30Z"])[1][0].what


@pytest.mark.parametrize(
    ("cells", "stated", "decimal", "values"),
    [
        (["007", "12", "3.0"], "int", None, [7, 12, 3]),
        (["1", "0", "yes"], "bool", None, [True, False, True]),
        (["3/4/2024"], "date:mdy", None, ["2024-03-04"]),
        (["3/4/2024", "2024-05"], "date:dmy", None, ["2024-04-03", "2024-05"]),
        (["2024", "2023"], "date", None, ["2024", "2023"]),
        (["3/4/2024 10:00"], "time:dmy", None, ["2024-04-03T10:00:00"]),
        (["1", "2.5"], "text", None, ["1", "2.5"]),
        (["1,234", "5"], "real", ",", [1.234, 5.0]),
        (["1e5"], "real", None, [1e5]),
    ],
)
def test_a_stated_type_decides_alone(cells, stated, decimal, values):
    """What would be in doubt is read as the caller says."""
    assert judge(cells, stated, decimal)[1] == values


@pytest.mark.parametrize(
    ("stated", "cell"),
    [("int", "2.5"), ("int", "abc"), ("real", "abc"), ("bool", "2"), ("date", "abc"), ("time", "2024-03-05"),
     ("date:mdy", "31/12/2024")],
)  # fmt: skip
def test_a_cell_that_does_not_fit_its_stated_type_is_a_fault(stated, cell):
    """However few cells fit, the stated type stands and the rest are listed."""
    assert [fault.sample for fault in judge([cell, "NA"], stated)[1]] == [cell]


def test_faults_of_a_column_are_counted_beyond_those_listed():
    """Of many odd cells the first are listed in order; the number of the others is told."""
    cells = ["2"] * 2000 + ["abc", "inf"] * 60
    faults = judge(cells)[1]
    assert [fault.row for fault in faults[:-1]] == list(range(2001, 2001 + SHOWN))
    assert faults[-1].what == f"and {120 - SHOWN} more, such as: not a whole number"


def test_cells_read_as_missing_are_told():
    """A marker that means no value is counted in the note of its column."""
    assert judge(["x", "NA", "NA", ""])[2] == "2 cells 'NA' read as missing"


def test_keys_lose_the_spaces_around_them():
    """Cells of a key are NFC and without spaces around them, and the note says how many had some."""
    kind, values, note = judge([" a", "cafe\u0301"], is_key=True)
    assert (kind, values) == ("text", ["a", "caf\u00e9"])
    assert note == "1 key has spaces around it and is read without"


def test_stated_types_are_checked_all_at_once():
    """Unknown columns are refused; so are unknown types, all in one error."""
    with pytest.raises(InvalidInput, match="no column"):
        stated_types({"x": "int"}, ["a"])
    with pytest.raises(InvalidInput) as caught:
        stated_types({"a": "integer", "b": "float"}, ["a", "b"])
    assert len(caught.value.faults) == 2
    assert stated_types({" a ": "date:dmy"}, ["a"]) == {"a": "date:dmy"}


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_integers_survive(numbers):
    """A column of any 64-bit integers is read back exactly."""
    assert judge([str(number) for number in numbers])[:2] == ("int", numbers)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1), st.sampled_from(".,"))
def test_reals_survive(numbers, decimal):
    """A column of finite floats is read back exactly with either decimal sign, if the sign is stated."""
    cells = [repr(number).replace(".", decimal) for number in numbers]
    assert judge(cells, "real", decimal)[:2] == ("real", numbers)


@given(st.lists(st.dates(), min_size=1), st.sampled_from(["%d.%m.%Y", "%m/%d/%Y"]))
def test_dates_survive_or_are_in_doubt(days, form):
    """Dates with the day or month first are read back exactly, or the column asks; they are never swapped."""
    cells = [
        f"{day.day:02}.{day.month:02}.{day.year:04}" if form[1] == "d" else f"{day.month}/{day.day}/{day.year:04}"
        for day in days
    ]
    kind, values, _ = judge(cells)
    assert kind == "date"
    if any(day.day > 12 for day in days) or all(day.day == day.month for day in days):
        assert values == [day.isoformat() for day in days]
    else:
        assert values[0].kind == "doubtful-date"
