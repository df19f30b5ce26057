"""What a training logs, as numbers: what is a number is kept, what is none is told once a name and counted.

Nothing here raises, except what is no mapping at all.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, SupportsIndex

from commonground.structure.parameters import LONGEST_KEY
from commonground.structure.screen_told import KeyNames
from commonground.structure.storable_text import storable_text

LARGEST = 2**63


class MetricValues:
    """The metrics of one run on their way to its spool."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.left_out: Counter[str] = Counter()
        """How many values of each metric were no numbers, and were not kept."""
        self._tell = tell
        self._names: dict[str, str] = {}
        self._clean = KeyNames()
        self._step = -1
        self._told_step = False

    def take_step(self, step: object) -> int:
        """The step, or the one after the last if none is given or it is no whole number that can be stored."""
        if step is None:
            self._step += 1
        elif type(step) is int and -LARGEST <= step < LARGEST:
            self._step = step
        else:
            self._step = self._read_step(step)
        return self._step

    def take(self, values: Mapping[str, Any]) -> dict[str, float]:
        """The numbers among the values, by their names."""
        numbers: dict[str, float] = {}
        for key, value in values.items():
            name = self._names.get(key) or self._name(key)
            if type(value) is float:
                numbers[name] = value
                continue
            try:
                numbers[name] = float(value)
            except Exception as error:  # noqa: BLE001 - a value may be any object
                self._leave_out(name, value, error)
        return numbers

    def _name(self, key: object) -> str:
        name = self._clean.clean(storable_text(str(key)[:LONGEST_KEY]))
        if type(key) is str:
            self._names[key] = name
        return name

    def _read_step(self, step: object) -> int:
        try:
            # A float that is whole means its number; numpy and torch have whole numbers of their own.
            whole = int(step) if isinstance(step, float) and step.is_integer() else step
            found = operator.index(whole) if isinstance(whole, SupportsIndex) else None
        except Exception:  # noqa: BLE001 - an object that is no number may raise anything
            found = None
        if found is not None and -LARGEST <= found < LARGEST:
            return found
        if not self._told_step:
            self._told_step = True
            self._tell(f"{step!r:.60} is no whole number of 64 bits; such metrics are kept as the step after the last.")
        return self._step + 1

    def _leave_out(self, name: str, value: object, error: Exception) -> None:
        self.left_out[name] += 1
        if self.left_out[name] == 1:
            kind = type(value).__name__
            self._tell(f"The metric {name} is no number ({kind}: {error}); it is not kept, other metrics are.")
