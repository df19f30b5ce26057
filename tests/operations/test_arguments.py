"""What every door checks of the arguments of a verb: pure rules over what the verb declares."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from commonground.errors import InvalidInput
from commonground.operations.arguments import LARGEST, check_arguments
from commonground.operations.verb import Param, Verb

VERB = Verb(
    name="thing add",
    module="things",
    function="add",
    help="Add a thing.",
    role="curator",
    writes=True,
    params=(
        Param("name", "Its name."),
        Param("count", "How many.", type="int"),
        Param("sizes", "Its sizes.", type="int", many=True),
        Param("kind", "Of which kind.", choices=("small", "large")),
        Param("kinds", "Of which kinds.", choices=("small", "large"), many=True),
        Param("about", "What is known.", type="object"),
        Param("columns", "Its columns.", type="column", many=True),
    ),
)


@pytest.mark.parametrize(
    "args",
    [
        {},
        {"name": 3, "count": None, "kind": None, "about": None},
        {"count": 0, "sizes": [1, -2], "kind": "small", "kinds": ("small", "large")},
        {"count": np.int64(3), "sizes": 7},
        {"count": LARGEST, "sizes": (-LARGEST,)},
        {"about": {"a": 1}, "columns": [{"size": "real"}, {}]},
        {"another": object()},
    ],
)
def test_what_is_declared_so_is_taken(args: dict[str, Any]) -> None:
    """Whole numbers of any kind, one or many, words of the list and mappings pass; so does what is not given."""
    check_arguments(VERB, args)


@pytest.mark.parametrize(
    ("args", "fault"),
    [
        ({"count": "3"}, "count: '3' is not a whole number"),
        ({"count": 3.0}, "count: 3.0 is not a whole number"),
        ({"count": [1]}, "count: [1] is not a whole number"),
        ({"count": np.array([1, 2])}, "count: array([1, 2]) is not a whole number"),
        ({"count": LARGEST + 1}, f"count: {LARGEST + 1} does not fit in 64 bits"),
        ({"count": -LARGEST - 1}, f"count: {-LARGEST - 1} does not fit in 64 bits"),
        ({"sizes": [1, "2"]}, "sizes: '2' is not a whole number"),
        ({"kind": "huge"}, "kind: 'huge' is none of small, large"),
        ({"kind": ["small"]}, "kind: ['small'] is none of small, large"),
        ({"kinds": ("small", "huge")}, "kinds: 'huge' is none of small, large"),
        ({"about": "a"}, "about: 'a' is not of the form {\"name\": value}"),
        ({"columns": [{}, 5]}, 'columns: 5 is not of the form {"name": value}'),
    ],
)
def test_what_is_not_is_refused_with_its_name(args: dict[str, Any], fault: str) -> None:
    """The fault names the parameter and the value, also of one among many, and the verb's own page."""
    with pytest.raises(InvalidInput) as told:
        check_arguments(VERB, args)
    assert told.value.faults == (fault,)
    assert told.value.what == "`thing add` cannot take what was given."
    assert told.value.todo == "`cg thing add --help` says what it takes."


def test_all_faults_are_told_at_once() -> None:
    """Three wrong arguments, one of them wrong twice, make four faults in the order of the declaration."""
    with pytest.raises(InvalidInput) as told:
        check_arguments(VERB, {"about": 1, "kind": "huge", "sizes": ["a", 1, "b"]})
    assert [fault.partition(":")[0] for fault in told.value.faults] == ["sizes", "sizes", "kind", "about"]
