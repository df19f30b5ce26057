"""Values as people read them in a line: yes and no, words as they are, real numbers without digits nobody measured."""

from __future__ import annotations

import json

from commonground.plain import Cell
from commonground.structure.column_types import Holds, show

MEASURED = 8
"""Digits that a real number may have to be shown as it is."""
LARGE, LARGEST = 1e6, 1e15
"""Between these a real number is rounded to a whole one."""


def format_value(value: object) -> str:
    """A plain value as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, str):
        return value
    return "none" if value is None else json.dumps(value, ensure_ascii=False)


def format_cell(holds: Holds, value: Cell) -> str:
    """A stored value as people read it; a real number with more digits than anybody measures is rounded to six."""
    shown = show(holds, value)
    if isinstance(shown, float):
        exact = format_value(shown)
        digits = exact.lstrip("-0.").partition("e")[0]
        if len(digits) - ("." in digits) > MEASURED:
            return f"{shown:.0f}" if LARGE <= abs(shown) < LARGEST else f"{shown:.6g}"
    return format_value(shown)


def format_seed(seed: str | None) -> str | None:
    """The seeds of an execution: 7, or by name where there are several or the name says more: seed 7, data_seed 3."""
    if seed is None:
        return None
    told = json.loads(seed)
    if not isinstance(told, dict):
        return format_value(told)
    if list(told) == ["seed"]:
        return format_value(told["seed"])
    return ", ".join(f"{name} {format_value(value)}" for name, value in told.items())
