"""What is a number is kept whatever stands beside it, and what is none is told and counted."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonground.interfaces.client.metric_values import MetricValues
from commonground.interfaces.client.run import Run
from commonground.operations.session import Session
from commonground.structure.execution_states import Status
from commonground.structure.parameters import LONGEST_KEY

NUMBERS = st.floats() | st.integers(-(2**60), 2**60) | st.booleans()
OTHERS = st.none() | st.text("xyz", min_size=1) | st.lists(st.integers()) | st.complex_numbers() | st.just(10**400)


def make() -> tuple[MetricValues, list[str]]:
    """Metric values, and what they tell."""
    told: list[str] = []
    return MetricValues(told.append), told


@given(st.lists(st.dictionaries(st.text("abc", min_size=1, max_size=2), NUMBERS | OTHERS)))
def test_every_number_is_kept_and_every_other_counted(calls: list[dict[str, Any]]) -> None:
    """Over any calls: kept and counted together are what came, and each name that had no number is told once."""
    values, told = make()
    others = 0
    for call in calls:
        kept = values.take(call)
        for name, value in call.items():
            fits = isinstance(value, (int, float)) and value != 10**400
            others += not fits
            assert (name in kept) == fits
            if fits:
                assert kept[name] == float(value) or math.isnan(kept[name])
    assert values.left_out.total() == others
    assert len(told) == len(values.left_out)


def test_names_are_text_that_can_be_stored() -> None:
    """A name that is no text, too long, or holds what no database does, is written out."""
    values, _ = make()
    assert values.take({"a\udcff": 1, "b\0": 2, 3: 4}) == {"a\\udcff": 1, "b\\x00": 2, "3": 4}  # type: ignore[dict-item]  # on purpose
    assert list(values.take({"n" * 9999: 1})) == ["n" * LONGEST_KEY]


@pytest.mark.parametrize(
    ("given_steps", "kept", "notes"),
    [
        ([None, None, 7, None], [0, 1, 7, 8], 0),
        ([np.int64(3), 4.0, True], [3, 4, 1], 0),
        ([5, "x", None], [5, 6, 7], 1),
        ([2**70, 2.5, float("nan"), -(2**63)], [0, 1, 2, -(2**63)], 1),
    ],
)
def test_a_step_that_is_none_does_not_cost_the_metric(given_steps: list[Any], kept: list[int], notes: int) -> None:
    """Whole numbers of any kind are the step; with anything else the metric goes to the next step, and it is told."""
    values, told = make()
    assert [values.take_step(step) for step in given_steps] == kept
    assert len(told) == notes


def test_a_record_with_one_bad_value_keeps_the_others(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    """`run.log` keeps the numbers of such a record, tells the name once, and the execution counts the rest."""
    with Run(session) as run:
        run.log({"a": 1, "b": "x"})
        run.log({"a": 2, "b": "y"})
        run.log({"b": "z"})
    record = session.read("execution get", execution=run.rid)
    assert (record.metrics["a"].points, record.metrics["a"].value, list(record.metrics)) == (2, 2.0, ["a"])
    assert record.execution.details["not_numbers"] == {"b": 3}
    assert capsys.readouterr().err.count("The metric b is no number") == 1


def test_text_that_no_database_holds_keeps_no_execution_back(session: Session) -> None:
    """A file name that is no text, or a NUL, in a reason, an intent, the name of a metric or details is written out."""
    run = Run(session, intent="why \udcff", details={"seen": ["\0"]}).start()
    run.log({"loss\0": 1.0})
    run.end(Status.FAILED, "bad \udcff \0 name")
    record = session.read("execution get", execution=run.rid)
    assert (record.execution.status, record.intent) == ("failed", "why \\udcff")
    assert record.execution.reason == "bad \\udcff \\x00 name"
    assert (list(record.metrics), record.execution.details["seen"]) == (["loss\\x00"], ["\\x00"])
