"""The small language that finds executions: conditions joined by `and`, parsed and never evaluated.

    metrics.auc > 0.9 and params.trees = 300 and status = finished and name ~ baseline

    FIELD     metrics.KEY (the last value), lowest.KEY, highest.KEY, params.KEY, or one of: status, name, person,
              workflow, parent, scratch, started. A KEY with other characters than letters, digits and _ . / : - is
              quoted: metrics."area under curve"
    OPERATOR  = != < <= > >=   and ~ for "contains" (texts only, upper and lower case alike)
    VALUE     a number, true, false, none, nan, a 'text' or "text" in quotes, or one bare word

An execution that lacks the metric or parameter does not meet the condition, also with `!=`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from commonground.errors import InvalidInput

Value = None | bool | int | float | str

KEYED: Final = ("metrics", "lowest", "highest", "params")
PLAIN: Final = ("status", "name", "person", "workflow", "parent", "scratch", "started")
OPERATORS: Final = ("=", "!=", "<", "<=", ">", ">=", "~")
MOST_CONDITIONS: Final = 30
_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<operator>!=|<=|>=|==|=|<|>|~)
      | (?P<word>[\w./:+@-]+)
    )""",
    re.VERBOSE,
)
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]?inf|nan")
_WHOLE: Final = re.compile(r"[+-]?\d+")
_WORDS: Final[dict[str, Value]] = {"true": True, "false": False, "none": None}
_TODO: Final = "For example: metrics.auc > 0.9 and params.trees = 300 and status = finished"


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition."""

    field: str
    """metrics, lowest, highest, params, or a field of the execution itself."""
    key: str
    """The metric's or parameter's name; empty for a field of the execution itself."""
    operator: str
    """=, !=, <, <=, >, >= or ~."""
    value: Value
    """What it is compared with."""


@dataclass(frozen=True, slots=True)
class Order:
    """What the executions found are ordered by."""

    field: str
    """started, metrics, lowest, highest or params."""
    key: str
    """The metric's or parameter's name; empty for started."""
    descending: bool
    """Whether the greatest comes first."""


def read_filter(text: str) -> tuple[Condition, ...]:
    """The conditions that a text states; an empty text states none. Raises InvalidInput."""
    tokens = _split(text)
    conditions: list[Condition] = []
    position = 0
    while position < len(tokens):
        if conditions:
            joint = tokens[position]
            if joint.lower() != "and":
                what = "`or` and `not` are not part of it" if joint.lower() in {"or", "not"} else f"not {joint!r}"
                raise InvalidInput(f"Conditions are joined by `and`; {what}.", todo=_TODO)
            position += 1
        field, key, position = _read_field(tokens, position)
        if position + 1 >= len(tokens):
            raise InvalidInput(f"The condition on {field} has no operator or no value.", todo=_TODO)
        operator = "=" if tokens[position] == "==" else tokens[position]
        if operator not in OPERATORS:
            raise InvalidInput(f"{operator!r} is not one of {' '.join(OPERATORS)}.", todo=_TODO)
        conditions.append(_checked(Condition(field, key, operator, _read_value(tokens[position + 1]))))
        position += 2
    if len(conditions) > MOST_CONDITIONS:
        raise InvalidInput(
            f"A filter can have {MOST_CONDITIONS} conditions; this has {len(conditions)}.",
            todo="Leave conditions out, or ask in two steps.",
        )
    return tuple(conditions)


def read_order(text: str) -> Order:
    """The order that a text states: `metrics.auc`, `-metrics.auc`, `metrics.auc desc`, `started`; or InvalidInput."""
    words = _split(text)
    descending = False
    if words and words[-1].lower() in {"asc", "desc"} and len(words) > 1:
        descending = words.pop().lower() == "desc"
    if words and words[0].startswith("-") and len(words[0]) > 1:
        descending, words[0] = True, words[0][1:]
    if not words:
        raise InvalidInput("An order cannot be empty.", todo="For example: -metrics.auc")
    field, key, position = _read_field(words, 0)
    if position != len(words) or field not in {*KEYED, "started"}:
        raise InvalidInput(
            f"Executions cannot be ordered by {text!r}.", todo="Order by started, a metric or a parameter."
        )
    return Order(field, key, descending)


def _split(text: str) -> list[str]:
    tokens: list[str] = []
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None:
            rest = text[position:].strip()[:20]
            raise InvalidInput(f"The filter cannot be read from {rest!r} on.", todo=_TODO)
        tokens.append(match.group().strip())
        position = match.end()
    return tokens


def _read_field(tokens: list[str], position: int) -> tuple[str, str, int]:
    word = tokens[position] if position < len(tokens) else "nothing"
    head, dot, key = word.partition(".")
    if head in KEYED and dot:
        if key:
            return head, key, position + 1
        following = tokens[position + 1] if position + 1 < len(tokens) else ""
        if following[:1] in {'"', "'"}:
            return head, _unquoted(following), position + 2
        raise InvalidInput(f"{head}. needs a name behind its dot.", todo=_TODO)
    if word in PLAIN:
        return word, "", position + 1
    known = ", ".join([*(f"{field}.NAME" for field in KEYED), *PLAIN])
    raise InvalidInput(f"There is no field {word!r}; there are {known}.", todo=_TODO)


def _read_value(token: str) -> Value:
    if token[:1] in {'"', "'"}:
        return _unquoted(token)
    if token.lower() in _WORDS:
        return _WORDS[token.lower()]
    if _WHOLE.fullmatch(token):
        return int(token)
    return float(token) if _NUMBER.fullmatch(token.lower()) else token


def _unquoted(token: str) -> str:
    return re.sub(r"\\(.)", r"\1", token[1:-1])


def _checked(condition: Condition) -> Condition:
    field, operator, value = condition.field, condition.operator, condition.value
    if "\0" in str(value) or "\0" in condition.key:
        raise InvalidInput("A filter cannot hold NUL.", todo="Leave it out.")
    if operator == "~" and not isinstance(value, str):
        return _checked(Condition(field, condition.key, operator, str(value)))
    if field in {"metrics", "lowest", "highest"}:
        return Condition(field, condition.key, operator, _number(value))
    if field == "scratch" and not isinstance(value, bool):
        raise InvalidInput("scratch is true or false.", todo="For example: scratch = false")
    if field == "started":
        return Condition(field, "", operator, _instant(value))
    if field in {"status", "name", "person", "workflow", "parent"}:
        if operator not in {"=", "!=", "~"}:
            raise InvalidInput(f"{field} is compared by =, != or ~.", todo=_TODO)
        return Condition(field, "", operator, str(value))
    if operator in {"<", "<=", ">", ">="} and (value is None or isinstance(value, bool)):
        raise InvalidInput(f"{value!r} is neither less nor greater than anything.", todo=_TODO)
    return condition


def _number(value: Value) -> float:
    if isinstance(value, bool | str) or value is None:
        raise InvalidInput(f"A metric is compared with a number, not with {value!r}.", todo=_TODO)
    try:
        return float(value)
    except OverflowError:
        raise InvalidInput("A metric is compared with a number, and no metric is as large.", todo=_TODO) from None


def _instant(value: Value) -> int:
    """UTC microseconds of an ISO date or time; one without a zone is taken as UTC."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise InvalidInput(f"{value!r} is not a date or time.", todo="For example: started > 2026-03-01") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1_000_000)
