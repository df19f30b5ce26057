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
