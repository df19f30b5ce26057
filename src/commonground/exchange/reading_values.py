"""What a reader may answer for a feature, and the value that the text of an answer stands for."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from commonground.errors import InvalidInput
from commonground.exchange.cell_kinds import kind_of, to_bool, to_real, to_real_comma
from commonground.exchange.drafts import DraftType, Value, printable
from commonground.exchange.text_columns import COMMAS, DOTS, POWERS, WHOLE

_LISTED: Final = 12


@dataclass(frozen=True, slots=True)
class Between:
    """Numbers from `low` to `high`, both included; whole numbers only if both bounds are whole."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise InvalidInput(
                f"No number lies between {self.low} and {self.high}.", todo="Give the lower bound first."
            )


Allowed = Sequence[Value] | Between


@dataclass(frozen=True, slots=True)
class Rule:
    """The allowed answers for one feature."""

    type: DraftType
    terms: dict[str, Value]
    """Allowed text, NFC -> value."""
    numbers: dict[float, Value]
    bounds: Between | None
    words: str
    """What is allowed, in words."""
    decimal: str = "."

    def read(self, text: str) -> Value:
        """The value of an answer without spaces around it; None if it is not allowed."""
        if self.type == "bool":
            kind = kind_of(text)
            value = to_bool(text) if kind in {"bool", "bit"} else None
            return value if value in self.terms.values() else None
        term = unicodedata.normalize("NFC", text)
        if term in self.terms:
            return self.terms[term]
        number = self._number(text)
        if number is None:
            return None
        if self.bounds is None:
            return self.numbers.get(number)
        if not self.bounds.low <= number <= self.bounds.high or (self.type == "int" and not number.is_integer()):
            return None
        return int(number) if self.type == "int" else number

    def refusal(self, text: str) -> str:
        """Why an answer is not allowed, with the nearest one that is."""
        folded = {term.casefold(): term for term in self.terms}
        near = difflib.get_close_matches(text.casefold(), folded, 1) if self.type == "text" else []
        hint = f"; did you mean '{printable(folded[near[0]])}'?" if near else ""
        return f"not allowed, which is {self.words}{hint}"

    def _number(self, text: str) -> float | None:
        kind = kind_of(text)
        if kind in WHOLE | POWERS | {"wide", "ident"} | (COMMAS if self.decimal == "," else DOTS):
            return to_real_comma(text) if self.decimal == "," else to_real(text)
        return None


def rule_of(feature: str, allowed: Allowed, decimal: str | None) -> Rule:
    """The rule that a list of values, a range or bounds state; InvalidInput if they are not of one sort."""
    sign = decimal or "."
    if isinstance(allowed, Between):
        whole = isinstance(allowed.low, int) and isinstance(allowed.high, int)
        words = f"{'a whole number' if whole else 'a number'} from {allowed.low} to {allowed.high}"
        return Rule("int" if whole else "real", {}, {}, allowed, words, sign)
    values = [unicodedata.normalize("NFC", value) if isinstance(value, str) else value for value in allowed]
    kinds = {type(value) for value in values}
    if isinstance(allowed, str) or not kinds or not (kinds <= {int, float} or kinds in ({bool}, {str})):
        raise InvalidInput(
            f"The allowed values of '{printable(feature)}' are no list of values of one sort.",
            todo="Give a list of numbers or terms, a range, or Between(low, high).",
        )
    shown = ", ".join(printable(str(value)) for value in values[:_LISTED])
    words = f"{shown}, ..." if len(values) > _LISTED else shown
    terms: dict[str, Value] = {str(value): value for value in values}
    numbers: dict[float, Value] = {float(value): value for value in values if isinstance(value, int | float)}
    kind: DraftType = "text"
    if kinds == {bool}:
        kind = "bool"
    elif kinds <= {int, float}:
        kind = "int" if kinds == {int} else "real"
    if kind == "real":
        terms, numbers = {}, {number: number for number in numbers}
    return Rule(kind, terms, numbers, None, words, sign)
