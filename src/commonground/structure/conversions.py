"""Values of one type as values of another: what people read is read anew, and nothing is guessed.

A date gains no time of day and a moment loses no zone; a number with a fraction is no whole number; yes and no are 1
and 0. What does not convert is reported, never dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from commonground.errors import InvalidInput
from commonground.plain import Cell
from commonground.structure.column_types import READERS, Holds, show

NUMBERS = {Holds.INT, Holds.REAL, Holds.BOOL}
REFUSED = {
    (Holds.DATE, Holds.TIME): "a date has no time of day",
    (Holds.DATE, Holds.INSTANT): "a date has no time of day and no zone",
    (Holds.TIME, Holds.INSTANT): "it does not say its time zone",
}


@dataclass(frozen=True, slots=True)
class Converted:
    """Values in their new form."""

    values: list[Any]
    """The stored form of each; None where there was nothing, or where it does not convert."""
    bad: dict[str, tuple[str, list[int]]]
    """What does not convert, as people read it: why, and the rows."""
    used: dict[str, str | None]
    """What was read in the place of which value; what was said for values that are not there is left out."""


def spell(holds: Holds, value: Cell, names: Mapping[int, str] | None = None) -> str:
    """A stored value as people read it; `names` tells what terms and linked entities are called."""
    if holds in {Holds.TERM, Holds.LINK}:
        return names.get(value, "") if names and isinstance(value, int) else ""
    if holds is Holds.BOOL:
        return "yes" if value else "no"
    if holds is Holds.REAL:
        return repr(value).removesuffix(".0")
    return str(show(holds, value))


def convert(
    values: Sequence[Any],
    old: Holds,
    new: Holds,
    *,
    names: Mapping[int, str] | None = None,
    words: Mapping[str, int] | None = None,
    key: Callable[[str], str] = str,
    instead: Mapping[str, str | None] | None = None,
) -> Converted:
    """Stored values of one type in the stored form of another.

    `names` tells what old terms and links are called; `words` (looked up by `key`) what a new term or link is;
    `instead` says for a value, as people read it, what to read in its place: None or nothing for no value.
    """
    told = instead or {}
    done: dict[Any, Any] = {}
    bad: dict[str, tuple[str, list[int]]] = {}
    stored: list[Any] = []
    for row, value in enumerate(values):
        if value is None:
            stored.append(None)
            continue
        if value not in done:
            done[value] = _one(value, old, new, names, words, key, told)
        result = done[value]
        if isinstance(result, InvalidInput):
            text = spell(old, value, names)
            bad.setdefault(text, (result.what, []))[1].append(row)
            stored.append(None)
        else:
            stored.append(result)
    read = {spell(old, value, names) for value in done}
    return Converted(stored, bad, {text: new for text, new in told.items() if text in read})


def _one(
    value: Cell,
    old: Holds,
    new: Holds,
    names: Mapping[int, str] | None,
    words: Mapping[str, int] | None,
    key: Callable[[str], str],
    told: Mapping[str, str | None],
) -> Cell | InvalidInput:
    text = spell(old, value, names)
    given: Cell = text
    if text in told:
        given = text = told[text] or ""
        if not text:
            return None
    elif (old, new) in REFUSED:
        return InvalidInput(REFUSED[old, new])
    elif old in NUMBERS and new in NUMBERS:
        given = value
    try:
        if new in {Holds.TERM, Holds.LINK}:
            return _look_up(text, new, words or {}, key)
        return READERS[new](given)
    except InvalidInput as fault:
        return fault


def _look_up(text: str, new: Holds, words: Mapping[str, int], key: Callable[[str], str]) -> int:
    found = words.get(key(text))
    if found is None:
        raise InvalidInput("it is no word of the vocabulary" if new is Holds.TERM else "it is the key of nothing here")
    return found
