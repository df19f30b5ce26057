"""What a reader may answer, and what the answer stands for."""

import pytest

from commonground.errors import InvalidInput
from commonground.exchange.reading_values import Between, rule_of


@pytest.mark.parametrize(
    ("allowed", "kind", "text", "value"),
    [
        (range(1, 6), "int", "3", 3), ([1, 2, 3], "int", "3.0", 3), ([1, 2, 3], "int", "03", 3),
        ([1, 2, 3], "int", "4", None), ([1, 2, 3], "int", "2.5", None), ([1, 2, 3], "int", "x", None),
        ([0.5, 1], "real", "0.50", 0.5), ([0.5, 1], "real", "1", 1.0),
        (["benign", "café"], "text", "cafe\u0301", "café"), (["benign"], "text", "Benign", None),
        (["1", "2"], "text", "1", "1"), ([True, False], "bool", "no", False), ([True], "bool", "no", None),
        ([True, False], "bool", "x", None), (Between(0, 10), "int", "10", 10), (Between(0, 10), "int", "2.5", None),
        (Between(0, 10), "int", "11", None), (Between(0.0, 1.5), "real", "1.5", 1.5),
        (Between(0.0, 1), "real", "1", 1.0),
        (Between(0.0, 1), "real", "nan", None), (Between(0, 10), "int", "", None),
    ],
)  # fmt: skip
def test_an_answer_is_its_value_or_not_allowed(allowed, kind, text, value):
    """Numbers in any form, terms composed, truth in words, bounds included; nothing else."""
    rule = rule_of("f", allowed, None)
    found = rule.read(text)
    assert (rule.type, found, type(found)) == (kind, value, type(value))


def test_a_decimal_comma_is_read_where_the_table_has_one():
    """The decimal sign of the table is that of the answers."""
    assert rule_of("f", Between(0.0, 9.0), ",").read("3,5") == 3.5
    assert rule_of("f", Between(0.0, 9.0), ",").read("3.5") is None
    assert rule_of("f", Between(0.0, 9.0), None).read("3,5") is None


def test_a_refusal_says_what_is_allowed_and_what_was_perhaps_meant():
    """The list is cut when it is long; a slip of case or letters is answered with the term."""
    assert rule_of("f", ["benign", "malignant"], None).refusal("Malignent") == (
        "not allowed, which is benign, malignant; did you mean 'malignant'?"
    )
    assert rule_of("f", range(50), None).refusal("99").endswith("10, 11, ...")
    assert rule_of("f", Between(1, 5), None).refusal("6") == "not allowed, which is a whole number from 1 to 5"


@pytest.mark.parametrize("allowed", [[], "abc", [1, "a"], [None, 1], [True, 1], [True, "a"]])
def test_allowed_values_are_of_one_sort(allowed):
    """Nothing, a text, and mixtures are refused."""
    with pytest.raises(InvalidInput):
        rule_of("f", allowed, None)


def test_bounds_have_an_order():
    """An empty range is refused, and so is one that is no number."""
    with pytest.raises(InvalidInput):
        Between(5, 1)
    with pytest.raises(InvalidInput):
        Between(float("nan"), 1)
