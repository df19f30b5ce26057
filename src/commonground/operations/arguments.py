"""What every door checks of the arguments of a verb before the verb itself sees them, by what the verb declares."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Mapping
from typing import Any, SupportsIndex

from commonground.errors import InvalidInput
from commonground.operations.verb import Param, Verb

LARGEST = (1 << 63) - 1


def check_arguments(verb: Verb, args: Mapping[str, Any]) -> None:
    """Raise InvalidInput with all faults at once: no choice of these, no mapping, no whole number within 64 bits."""
    faults = [
        f"{param.name}: {fault}"
        for param in verb.params
        if args.get(param.name) is not None
        for fault in _faults(param, args[param.name])
    ]
    if faults:
        raise InvalidInput(
            f"`{verb.name}` cannot take what was given.",
            faults=faults,
            todo=f"`cg {verb.name} --help` says what it takes.",
        )


def _faults(param: Param, given: object) -> list[str]:
    values = given if param.many and isinstance(given, list | tuple) else [given]
    found = [_fault(param, value) for value in values]
    return [fault for fault in found if fault]


def _fault(param: Param, value: object) -> str:
    if param.choices and value not in param.choices:
        return f"{value!r} is none of {', '.join(param.choices)}"
    if param.type in {"object", "column"} and not isinstance(value, Mapping):
        return f'{value!r} is not of the form {{"name": value}}'
    if param.type == "int":
        number = _whole(value)
        if number is None:
            return f"{value!r} is not a whole number"
        return "" if abs(number) <= LARGEST else f"{value!r} does not fit in 64 bits"
    return ""


def _whole(value: object) -> int | None:
    """The number that a value is if it is a whole one; an array has the form of one, and may still be none."""
    with contextlib.suppress(TypeError):
        return operator.index(value) if isinstance(value, SupportsIndex) else None
    return None
