"""The language that finds executions is read as it is written, and nothing in it is ever evaluated."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonground.errors import InvalidInput
from commonground.structure.execution_filters import Condition, Order, read_filter, read_order


def test_conditions_are_read() -> None:
    """Fields, operators and values come out as they stand, with numbers as numbers and words as texts."""
    assert read_filter("metrics.auc > 0.9 and params.trees = 300 and status = finished") == (
        Condition("metrics", "auc", ">", 0.9),
        Condition("params", "trees", "=", 300),
        Condition("status", "", "=", "finished"),
    )


def test_keys_may_be_quoted_or_have_slashes() -> None:
    """Metrics such as `val/auc` and names with spaces can be asked for."""
    assert read_filter("metrics.val/auc>=0.5 and lowest.'area under curve' < 1 and params.flag=true") == (
        Condition("metrics", "val/auc", ">=", 0.5),
        Condition("lowest", "area under curve", "<", 1),
        Condition("params", "flag", "=", value=True),
    )


def test_words_in_quotes_are_texts() -> None:
    """A number in quotes is a text, and a quote may be escaped."""
    assert read_filter(r"params.tag = '300' and name ~ \"it\"".replace('\\"', '"')) == (
        Condition("params", "tag", "=", "300"),
        Condition("name", "", "~", "it"),
    )


def test_started_is_an_instant() -> None:
    """A date without a zone is UTC."""
    (condition,) = read_filter("started >= 2026-01-01")
    assert condition.value == 1_767_225_600_000_000


@pytest.mark.parametrize(
    "text",
    [
        "metrics.auc >",
        "metrics.auc 0.9",
        "metrics. > 1",
        "auc > 1",
        "metrics.auc > high",
        f"metrics.auc < {'9' * 400}",
        "status < finished",
        "params.x > none",
        "scratch = maybe",
        "started > yesterday",
        "metrics.a > 1 or metrics.b > 1",
        "metrics.a > 1 metrics.b > 1",
        "metrics.a > 1 and",
        "params.x = __import__('os').system('id')",
        "params.x = 'open",
        "name = 'a\0b'",
    ],
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    """Anything else is an error that says how a filter is written."""
    with pytest.raises(InvalidInput):
        read_filter(text)


@given(st.text(max_size=60))
def test_no_text_does_anything_but_parse_or_fail(text: str) -> None:
    """Whatever the text, it is read or refused with our own error."""
    with contextlib.suppress(InvalidInput):
        read_filter(text)


def test_orders_are_read() -> None:
    """Both ways of saying "greatest first" are the same, and what cannot be ordered by is refused."""
    assert read_order("-metrics.auc") == read_order("metrics.auc desc") == Order("metrics", "auc", descending=True)
    assert read_order("started") == Order("started", "", descending=False)
    with pytest.raises(InvalidInput):
        read_order("status")


EXAMPLE = "For example: metrics.auc > 0.9 and params.trees = 300 and status = finished"
FIELDS = (
    "metrics.NAME, lowest.NAME, highest.NAME, params.NAME, status, name, person, workflow, parent, scratch, started"
)


@pytest.mark.parametrize(
    ("text", "what", "todo"),
    [
        ("name = a or name = b", "Conditions are joined by `and`; `or` and `not` are not part of it.", EXAMPLE),
        ("name = a NOT name = b", "Conditions are joined by `and`; `or` and `not` are not part of it.", EXAMPLE),
        ("name = a name = b", "Conditions are joined by `and`; not 'name'.", EXAMPLE),
        ("name", "The condition on name has no operator or no value.", EXAMPLE),
        ("metrics.auc >", "The condition on metrics has no operator or no value.", EXAMPLE),
        ("name is a", "'is' is not one of = != < <= > >= ~.", EXAMPLE),
        ("name = a and", f"There is no field 'nothing'; there are {FIELDS}.", EXAMPLE),
        ("auc > 1", f"There is no field 'auc'; there are {FIELDS}.", EXAMPLE),
        ("metrics > 1", f"There is no field 'metrics'; there are {FIELDS}.", EXAMPLE),
        ("metrics. > 1", "metrics. needs a name behind its dot.", EXAMPLE),
        ("params.", "params. needs a name behind its dot.", EXAMPLE),
        ("name = 'open and more than twenty", 'The filter cannot be read from "\'open and more than " on.', EXAMPLE),
        ("name = 'a\0b'", "A filter cannot hold NUL.", "Leave it out."),
        ("params.'a\0b' = 1", "A filter cannot hold NUL.", "Leave it out."),
        ("scratch = maybe", "scratch is true or false.", "For example: scratch = false"),
        ("status < finished", "status is compared by =, != or ~.", EXAMPLE),
        ("parent >= 7", "parent is compared by =, != or ~.", EXAMPLE),
        ("params.x > none", "None is neither less nor greater than anything.", EXAMPLE),
        ("params.x <= true", "True is neither less nor greater than anything.", EXAMPLE),
        ("metrics.auc > high", "A metric is compared with a number, not with 'high'.", EXAMPLE),
        ("lowest.auc > none", "A metric is compared with a number, not with None.", EXAMPLE),
        ("highest.auc > true", "A metric is compared with a number, not with True.", EXAMPLE),
        (
            f"metrics.auc < {'9' * 400}",
            "A metric is compared with a number, and no metric is as large.",
            EXAMPLE,
        ),
        ("started > yesterday", "'yesterday' is not a date or time.", "For example: started > 2026-03-01"),
        (
            " and ".join(["scratch = true"] * 31),
            "A filter can have 30 conditions; this has 31.",
            "Leave conditions out, or ask in two steps.",
        ),
    ],
)
def test_what_cannot_be_read_is_told_in_words(text: str, what: str, todo: str) -> None:
    """Each fault says what it is about and how it would be right."""
    with pytest.raises(InvalidInput) as told:
        read_filter(text)
    assert (told.value.what, told.value.todo) == (what, todo)


@pytest.mark.parametrize(
    ("text", "what", "todo"),
    [
        ("", "An order cannot be empty.", "For example: -metrics.auc"),
        ("status", "Executions cannot be ordered by 'status'.", "Order by started, a metric or a parameter."),
        ("started now", "Executions cannot be ordered by 'started now'.", "Order by started, a metric or a parameter."),
        ("desc", f"There is no field 'desc'; there are {FIELDS}.", EXAMPLE),
        ("-", f"There is no field '-'; there are {FIELDS}.", EXAMPLE),
    ],
)
def test_what_is_no_order_is_told_in_words(text: str, what: str, todo: str) -> None:
    """An order is of one field that has an order."""
    with pytest.raises(InvalidInput) as told:
        read_order(text)
    assert (told.value.what, told.value.todo) == (what, todo)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("name == a", Condition("name", "", "=", "a")),
        ("name ~ 300", Condition("name", "", "~", "300")),
        ("params.x ~ true", Condition("params", "x", "~", "True")),
        ("params.x != none", Condition("params", "x", "!=", None)),
        ("params.x = FALSE", Condition("params", "x", "=", value=False)),
        ("params.x = -1", Condition("params", "x", "=", -1)),
        ("params.x < 1e-3", Condition("params", "x", "<", 0.001)),
        ("params.x < .5", Condition("params", "x", "<", 0.5)),
        ("params.x = -INF", Condition("params", "x", "=", float("-inf"))),
        ("params.x = 1.2.3", Condition("params", "x", "=", "1.2.3")),
        ("params.a.b = 1", Condition("params", "a.b", "=", 1)),
        ("status != 3", Condition("status", "", "!=", "3")),
        ("scratch = true", Condition("scratch", "", "=", value=True)),
        ("highest.auc >= 1", Condition("highest", "auc", ">=", 1.0)),
        ("started < 1970-01-01T01:00:01+01:00", Condition("started", "", "<", 1_000_000)),
        (r"params.'it\'s' = 'a\\b'", Condition("params", "it's", "=", r"a\b")),
    ],
)
def test_one_condition_is_read(text: str, condition: Condition) -> None:
    """The forms of operators, numbers, words, quotes and moments."""
    (found,) = read_filter(text)
    assert (found, type(found.value)) == (condition, type(condition.value))


def test_none_or_as_many_as_may_be() -> None:
    """An empty text states nothing; thirty conditions are read, whichever way `and` is written."""
    assert read_filter("  ") == ()
    assert len(read_filter(" AND ".join(["scratch = true"] * 30))) == 30


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("metrics.auc", Order("metrics", "auc", descending=False)),
        ("metrics.auc asc", Order("metrics", "auc", descending=False)),
        ("params.x DESC", Order("params", "x", descending=True)),
        ("-started", Order("started", "", descending=True)),
        ("lowest.'a b' desc", Order("lowest", "a b", descending=True)),
    ],
)
def test_one_order_is_read(text: str, order: Order) -> None:
    """Least first unless it is said otherwise, for every field that has an order."""
    assert read_order(text) == order
