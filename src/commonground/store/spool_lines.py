"""One line of a spool file: a record as text, and back.

    CRC SEQ KIND JSON        e.g.  5f1c0a3e 17 metric {"auc":0.91,"step":4}

CRC is the CRC-32 (8 hexadecimal digits) of all that follows its space, up to the end of the line. SEQ is decimal.
JSON is compact and ASCII, so that a line end is never part of it. A KIND that ends in `!` has non-finite numbers:
its JSON is `[payload, [[path, "nan" | "inf" | "-inf"], ...]]` with null in their places.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, Final, NamedTuple
from zlib import crc32

from commonground.plain import Plain

LONGEST_REPR: Final = 2000
"""Characters kept of a value that has no other form than its repr."""
_Odd = list[tuple[list[str | int], str]]
_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
_decode = json.JSONDecoder().raw_decode
"""Half the cost of `json.loads`, which looks for space around the text; a spool may have a million lines."""


class SpoolRecord(NamedTuple):
    """One record."""

    seq: int
    """Its number in the file; the header is 0."""
    kind: str
    """What kind of record it is."""
    payload: dict[str, Any]
    """What it says."""


def write_line(seq: int, kind: str, text: str) -> bytes:
    """The line of a record, with its end; kind and text come from `render`."""
    body = f"{seq} {kind} {text}".encode("ascii")
    return b"%08x %b\n" % (crc32(body), body)


def render(kind: str, payload: Mapping[str, Any]) -> tuple[str, str]:
    """Kind and JSON of a record; the common case is one call of the fast encoder.

    Numbers, text, booleans, None, lists and mappings are kept, keys become text, arrays lists, anything else its text.
    """
    try:
        return kind, _encode(payload)
    except (TypeError, ValueError):
        odd: _Odd = []
        plain = _plain(payload, [], odd)
        return (f"{kind}!", _encode([plain, odd])) if odd else (kind, _encode(plain))


def read_line(line: bytes) -> SpoolRecord | str:
    """The record in a whole line (with its end), or why it cannot be taken."""
    crc, _, body = line[:-1].partition(b" ")
    if crc != b"%08x" % crc32(body):
        return "the checksum is wrong"
    try:
        seq, kind, text = body.decode("ascii").split(" ", 2)
        payload, end = _decode(text)
        if end != len(text):
            return "the line is not a record"
        if kind.endswith("!"):
            payload = _with_odd(*payload)
        number = int(seq)
    except (ValueError, TypeError, LookupError, RecursionError):
        return "the line is not a record"
    if not isinstance(payload, dict) or number < 0:
        return "the line is not a record"
    return SpoolRecord(number, kind.removesuffix("!"), payload)


def _with_odd(payload: dict[str, Any], odd: _Odd) -> dict[str, Any]:
    for path, number in odd:
        place: Any = payload
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = float(number)
    return payload


def _plain(value: object, path: list[str | int], odd: _Odd) -> Plain:
    """The value in terms of JSON; non-finite numbers become None and are listed in `odd` with their path."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if isfinite(value):
            return value
        odd.append((path, repr(float(value))))
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(part, [*path, str(key)], odd) for key, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return [_plain(part, [*path, place], odd) for place, part in enumerate(value)]
    if isinstance(value, (set, frozenset)):
        return [_plain(part, [*path, place], odd) for place, part in enumerate(sorted(value, key=repr))]
    if hasattr(value, "tolist"):
        return _plain(value.tolist(), path, odd)
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return repr(value)[:LONGEST_REPR]
