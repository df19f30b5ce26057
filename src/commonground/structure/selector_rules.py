"""Selectors as values: the stated rules that turn the many values of an entity into one; `selectors` applies them.

A selector is recorded with the input that used it, as canonical JSON:

    {"rule":"newest"}
    {"person":"0MH3SVZ40004G","rule":"by_author"}
    {"execution":"0MH3SVZ40004G","rule":"by_execution"}
    {"rule":"majority","ties":"drop"}           drop, error, newest
    {"rule":"median","ties":"drop"}             drop, low, high, mean
    {"rule":"adjudicated"}
    {"fallback":{"rule":"newest"},"rule":"adjudicated"}
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from commonground.errors import InvalidInput
from commonground.identity import MAX_RID, Rid, read_rid, show_rid

Rule = Literal["newest", "by_author", "by_execution", "majority", "median", "adjudicated"]
MajorityTies = Literal["drop", "error", "newest"]
MedianTies = Literal["drop", "low", "high", "mean"]

_OPTION: dict[str, str] = {
    "newest": "",
    "by_author": "person",
    "by_execution": "execution",
    "majority": "ties",
    "median": "ties",
    "adjudicated": "fallback",
}
_TIES: dict[str, dict[str, str]] = {
    "majority": {
        "drop": "an entity with two most frequent values is left out",
        "error": "two most frequent values are an error",
        "newest": "of several most frequent values the one given last",
    },
    "median": {
        "drop": "an entity with two different middle values is left out",
        "low": "of two middle values the lower",
        "high": "of two middle values the higher",
        "mean": "of two middle values their mean",
    },
}


@dataclass(frozen=True, slots=True)
class Selector:
    """A rule and its one option; made by the functions below, which name the option. Raises InvalidInput if unfit."""

    rule: Rule
    person: Rid | None = None
    """Whose values count; by_author only."""
    execution: Rid | None = None
    """Which execution's values count; by_execution only."""
    ties: str | None = None
    """What happens without a clear result; majority and median only."""
    fallback: Selector | None = None
    """What is done with entities that were not adjudicated; adjudicated only, None leaves them out."""

    def __post_init__(self) -> None:
        faults = []
        if self.rule not in _OPTION:
            faults.append(f"{self.rule!r} is not a rule; the rules are {', '.join(_OPTION)}")
        mine = _OPTION.get(self.rule, "")
        faults += [
            f"{option} does not belong to {self.rule}"
            for option in ("person", "execution", "ties", "fallback")
            if option != mine and getattr(self, option) is not None
        ]
        if mine in {"person", "execution"} and not _is_rid(getattr(self, mine)):
            faults.append(f"{self.rule} needs the id of the {mine}")
        if mine == "ties" and self.ties not in _TIES[self.rule]:
            faults.append(f"{self.ties!r} is no way to treat ties; {self.rule} has {', '.join(_TIES[self.rule])}")
        if self.fallback is not None and self.fallback.rule == "adjudicated":
            faults.append("adjudicated cannot be its own fallback")
        if faults:
            raise InvalidInput(
                "This is not a selector.", faults=faults, todo="Correct it; the selectors are in the reference."
            )

    def to_json(self) -> str:
        """The selector as canonical JSON: keys sorted, no spaces, ids as their 13 characters."""
        return json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"))

    def as_dict(self) -> dict[str, object]:
        """The selector as plain values, ids as their 13 characters."""
        plain: dict[str, object] = {"rule": self.rule}
        if self.fallback is not None:
            plain["fallback"] = self.fallback.as_dict()
        elif self.ties is not None:
            plain["ties"] = self.ties
        elif self.rule in {"by_author", "by_execution"}:
            option = _OPTION[self.rule]
            plain[option] = show_rid(getattr(self, option))
        return plain

    @classmethod
    def from_json(cls, given: str | Mapping[str, object]) -> Selector:
        """The selector that JSON text, or the object it stands for, describes; raises InvalidInput if it is none."""
        if isinstance(given, str):
            try:
                given = json.loads(given)
            except ValueError as error:
                raise InvalidInput(
                    "This is not a selector: it is not JSON.", todo="Give the name of a rule, or a mapping."
                ) from error
        if not isinstance(given, Mapping) or not isinstance(given.get("rule"), str):
            raise InvalidInput(
                "This is not a selector: it names no rule.", todo="Name a rule, such as newest or median."
            )
        options: dict[str, Any] = {name: value for name, value in given.items() if name != "rule" and value is not None}
        unknown = sorted(options.keys() - set(_OPTION.values()))
        if unknown:
            raise InvalidInput(
                f"This is not a selector: {', '.join(map(repr, unknown))} means nothing in it.", todo="Leave it out."
            )
        for name in options.keys() & {"person", "execution"}:
            options[name] = read_rid(str(options[name]))
        if "fallback" in options:
            options["fallback"] = cls.from_json(options["fallback"])
        return cls(cast("Rule", given["rule"]), **options)

    def describe(self, name_of: Callable[[Rid], str] = show_rid) -> str:
        """The rule as a sentence; `name_of` turns the id of a person or an execution into words."""
        return f"For each entity {_clause(self, name_of)}."


def newest() -> Selector:
    """The newest value, whoever gave it."""
    return Selector("newest")


def by_author(person: Rid) -> Selector:
    """The newest value by one person; values from slots have no identifiable author."""
    return Selector("by_author", person=person)


def by_execution(execution: Rid) -> Selector:
    """The newest value made by one execution."""
    return Selector("by_execution", execution=execution)


def majority(ties: MajorityTies = "drop") -> Selector:
    """The most frequent value of an entity's readers; it need not be more than half of them."""
    return Selector("majority", ties=ties)


def median(ties: MedianTies = "drop") -> Selector:
    """The middle value of an entity's readers; `ties` is for an even number of them with different middle values."""
    return Selector("median", ties=ties)


def adjudicated(fallback: Selector | None = None) -> Selector:
    """The newest adjudicated value; entities never adjudicated follow `fallback`, or are left out."""
    return Selector("adjudicated", fallback=fallback)


def _is_rid(given: object) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and 1 <= given <= MAX_RID


def _clause(selector: Selector, name_of: Callable[[Rid], str]) -> str:
    if selector.rule in _TIES:
        what = "the most frequent value" if selector.rule == "majority" else "the median"
        return f"{what} of its readers, each counted once ({_TIES[selector.rule][str(selector.ties)]})"
    if selector.rule == "by_author":
        return f"the newest value by {name_of(cast('Rid', selector.person))}"
    if selector.rule == "by_execution":
        return f"the newest value made by execution {name_of(cast('Rid', selector.execution))}"
    if selector.rule == "adjudicated":
        rest = selector.fallback
        return "the adjudicated value" + (
            "; an entity without one is left out" if rest is None else f", else {_clause(rest, name_of)}"
        )
    return "the newest value"
