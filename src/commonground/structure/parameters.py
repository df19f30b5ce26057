"""Parameters: what an execution was told, one row a key, never dropped and never guessed at.

    kind   num                      txt
    int    the number               its digits, if a double would lose some
    real   the number               nan, inf or -inf, and then no num
    bool   0 or 1
    text                            the text
    none
    json                            lists and what is in them, as canonical JSON

Mappings are flattened: {"optimiser": {"rate": 0.1}} is the key `optimiser.rate`. A text too long to be looked up by
stands whole in `long`, and its beginning in `txt`. Objects are refused: what they mean is not in their name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePath
from typing import Any

import sqlalchemy as sa

from commonground.errors import InvalidInput
from commonground.identity import Rid
from commonground.plain import Plain
from commonground.store.bulk import insert_rows
from commonground.store.portions import portions
from commonground.store.view import View
from commonground.structure.tables import param

EXACT = 1 << 53
LONGEST_KEY = 250
LONGEST_TEXT = 500
DEEPEST = 20
"""What is nested deeper is a mistake, or a circle."""
SEEDS = ("seed", "random_state", "random_seed", "rng_seed", "data_seed", "global_seed")


@dataclass(frozen=True, slots=True)
class StoredParam:
    """One parameter as it is stored."""

    key: str
    """Its name; parts of nested names are joined by dots."""
    kind: str
    """int, real, bool, text, none or json."""
    num: float | None
    """What it is compared by as a number."""
    txt: str | None
    """What it is compared by as a text."""
    long: str | None
    """The whole text, where `txt` is only its beginning."""


def flatten(params: Mapping[str, Any]) -> dict[str, Plain]:
    """Parameters as plain values with dotted keys; numpy scalars, enumerations and paths become what they stand for.

    Raises InvalidInput with all keys at once that are too long, come twice or hold an object.
    """
    flat: dict[str, Plain] = {}
    faults: list[str] = []
    _flatten(params, "", flat, faults)
    if faults:
        raise InvalidInput(
            "These parameters cannot be kept.",
            faults=faults,
            todo="Give numbers, texts, booleans, None, lists or mappings of these; for an object give what defines it.",
        )
    return flat


def store_form(key: str, value: Plain) -> StoredParam:
    """How a plain value is stored."""
    if value is None:
        return StoredParam(key, "none", None, None, None)
    if isinstance(value, bool):
        return StoredParam(key, "bool", float(value), None, None)
    if isinstance(value, int):
        exact = None if abs(value) <= EXACT else str(value)
        return StoredParam(key, "int", _as_double(value), exact, None)
    if isinstance(value, float):
        if math.isfinite(value):
            return StoredParam(key, "real", value, None, None)
        return StoredParam(key, "real", None, repr(value), None)
    kind, text = ("text", value) if isinstance(value, str) else ("json", json.dumps(value, sort_keys=True))
    return StoredParam(key, kind, None, text[:LONGEST_TEXT], text if len(text) > LONGEST_TEXT else None)


def read_form(stored: StoredParam) -> Plain:
    """The plain value of a stored parameter."""
    text = stored.long if stored.long is not None else stored.txt
    match stored.kind:
        case "none":
            return None
        case "bool":
            return bool(stored.num)
        case "int":
            return int(text) if text is not None else int(stored.num or 0)
        case "real":
            return float(text) if text is not None else stored.num
        case "text":
            return text or ""
        case _:
            plain: Plain = json.loads(text or "null")
            return plain


def as_rows(params: Mapping[str, Plain]) -> list[list[Any]]:
    """Parameters as they stand among the arguments of a plan: key, kind, num, txt, long."""
    stored = (store_form(key, value) for key, value in params.items())
    return [[one.key, one.kind, one.num, one.txt, one.long] for one in stored]


def add_params(connection: sa.Connection, execution: Rid, rows: Sequence[Sequence[Any]], *, new: bool) -> None:
    """Add parameters given as `as_rows` gives them; one that is there already keeps its first value.

    `new` says that the execution has none yet.
    """
    if not rows:
        return
    known: set[str] = set()
    if not new:
        known.update(connection.execute(_KEYS, {"execution": execution}).scalars())
    fresh = [tuple(row) for row in rows if row[0] not in known]
    insert_rows(connection, param, ["key", "kind", "num", "txt", "long"], fresh, [("execution", execution)])


_KEYS = sa.select(param.c.key).where(param.c.execution == sa.bindparam("execution"))


def list_params(view: View, executions: Sequence[Rid]) -> dict[Rid, dict[str, Plain]]:
    """The parameters of several executions: execution to key to value, by key."""
    found: dict[Rid, dict[str, Plain]] = {rid: {} for rid in executions}
    for part in portions(executions):
        statement = sa.select(param).where(param.c.execution.in_(part)).order_by(param.c.execution, param.c.key)
        for row in view.rows(statement):
            execution, key, kind, num, txt, long = tuple(row)
            # Most are plain numbers, and a listing has thousands.
            plain = num if kind == "real" and txt is None else int(num) if kind == "int" and txt is None else None
            found[execution][key] = plain if plain is not None else read_form(StoredParam(key, kind, num, txt, long))
    return found


def find_seeds(params: Mapping[str, Plain]) -> dict[str, Plain]:
    """The parameters that by their name are seeds of random numbers."""
    return {key: value for key, value in params.items() if key.rpartition(".")[2].lower() in SEEDS}


def _flatten(value: Mapping[str, Any], before: str, flat: dict[str, Plain], faults: list[str]) -> None:
    for part, inner in value.items():
        key = f"{before}{part}"
        if isinstance(inner, Mapping) and inner:
            _flatten(inner, f"{key}.", flat, faults)
            continue
        fault = _key_fault(key, flat)
        if fault is None:
            try:
                flat[key] = _plain(inner, 0)
            except ValueError as error:
                fault = f"{key}: {error}"
        if fault is not None:
            faults.append(fault)


def _key_fault(key: str, flat: Mapping[str, Plain]) -> str | None:
    if not key or len(key) > LONGEST_KEY:
        return f"{key[:40]!r}: a name has 1 to {LONGEST_KEY} characters"
    if key in flat:
        return f"{key}: comes twice"
    bad = [character for character in key if character < " " or _is_half(character)]
    return f"{key!r}: a name has no control characters" if bad else None


def _is_half(character: str) -> bool:
    """Whether it is half of a pair of surrogates, which no encoding has."""
    return "\ud800" <= character < "\ue000"


def _plain(value: object, depth: int) -> Plain:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str):
        if "\0" in value or any(map(_is_half, value)):
            raise ValueError("the text holds NUL or half a character")
        return str(value)
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return float(value)
    if isinstance(value, PurePath):
        return str(value)
    if depth > DEEPEST:
        raise ValueError("it is nested too deeply")
    if isinstance(value, (list, tuple)):
        return [_inner(part, depth + 1) for part in value]
    if isinstance(value, (set, frozenset)):
        return sorted((_inner(part, depth + 1) for part in value), key=lambda part: (str(type(part)), str(part)))
    if isinstance(value, Mapping):
        return {str(key): _inner(part, depth + 1) for key, part in value.items()}
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return _plain(value.tolist(), depth + 1)
    raise ValueError(f"a {type(value).__module__}.{type(value).__qualname__} is not a plain value")


def _inner(value: object, depth: int) -> Plain:
    plain = _plain(value, depth)
    # JSON has no word for these, and two engines would each choose another.
    return repr(plain) if isinstance(plain, float) and not math.isfinite(plain) else plain


def _as_double(value: int) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None
