"""Patterns such as "{patient}/{scan}_{view}.png": which fields a path holds, or that it does not fit, or fits twice.

A field is one or more characters, never a "/". No regular expression is made from a pattern: the fixed pieces are
sought from the left and from the right, in time linear in the name, and a name that fits in exactly one way is found at
the same places both times. A field that occurs again has the value that it had before.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from commonground.errors import InvalidInput, UnsafePath

_FIELD: Final = re.compile(r"[^\W\d]\w*")
_EXAMPLE: Final = "Write it like '{patient}/{scan}.png': fields in braces, fixed text between them."

Piece = tuple[str, str | None]
"""Fixed text, then the field that follows it, if any."""


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A checked pattern: for each part of the path its pieces, and the names of the fields in order."""

    text: str
    parts: tuple[tuple[Piece, ...], ...]
    fields: tuple[str, ...]

    def match(self, path: str) -> dict[str, str] | Literal["no", "twice"]:
        """The fields of a relative path with "/"; "no" if it does not fit, "twice" if it fits in more ways than one."""
        names = path.split("/")
        if len(names) != len(self.parts):
            return "no"
        known: dict[str, str] = {}
        twice = False
        for name, pieces in zip(names, self.parts, strict=True):
            first, last = _places(name, _filled(pieces, known))
            if first is None:
                return "no"
            twice = twice or first != last
            for field, start, end in first:
                if known.setdefault(field, name[start:end]) != name[start:end]:
                    return "no"
        return "twice" if twice else known


def read_pattern(text: str) -> PathPattern:
    """A pattern as the user writes it; UnsafePath if it leads outside the folder, InvalidInput if it is none."""
    if text.startswith(("/", "\\", "~")) or re.match(r"[A-Za-z]:", text) or ".." in re.split(r"[/\\]", text):
        raise UnsafePath(f"The pattern '{text}' leads outside the folder.", todo=_EXAMPLE)
    faults = []
    if "\\" in text or not text.isprintable():
        faults.append("it holds a backslash or a control character; folders are separated by '/'")
    if "*" in text:
        faults.append("it holds a '*'; name what varies as a field instead")
    parts = []
    fields: list[str] = []
    for part in text.split("/"):
        if part in {"", "."}:
            faults.append("it holds an empty folder name")
            continue
        try:
            pieces = pieces_of(part)
        except ValueError as error:
            faults.append(str(error))
            continue
        names = [field for _, field in pieces if field is not None]
        if any(not before and number for number, (before, field) in enumerate(pieces) if field is not None):
            faults.append(f"'{part}': two fields with nothing between them")
        fields += [name for name in names if name not in fields]
        parts.append(tuple(pieces))
    if not fields and not faults:
        faults.append("it has no field")
    if faults:
        raise InvalidInput(f"The pattern '{text}' cannot be used.", faults=faults, todo=_EXAMPLE)
    return PathPattern(text, tuple(parts), tuple(fields))


def pieces_of(part: str) -> list[Piece]:
    """The pieces of a pattern without folders, the last one without a field; ValueError if a field is not one."""
    pieces: list[Piece] = []
    fixed = ""
    for before, field, form, conversion in string.Formatter().parse(part):
        fixed += before
        if field is None:
            continue
        if form or conversion or not _FIELD.fullmatch(field):
            raise ValueError(f"'{{{field}}}' is no field: use letters, digits and underscores")
        pieces.append((fixed, field))
        fixed = ""
    return [*pieces, (fixed, None)]


def _filled(pieces: Sequence[Piece], known: dict[str, str]) -> list[Piece]:
    """The pieces with the fields of earlier folders written out."""
    filled: list[Piece] = []
    fixed = ""
    for before, field in pieces:
        fixed += before
        if field is not None and field in known:
            fixed += known[field]
        else:
            filled.append((fixed, field))
            fixed = ""
    return filled


Places = list[tuple[str, int, int]]
"""Field, start, end."""


def _places(name: str, pieces: Sequence[Piece]) -> tuple[Places | None, Places | None]:
    """Where the fields lie when each is as short as can be, from the left; and as long as can be."""
    fixed = [before for before, _ in pieces]
    fields = [field for _, field in pieces if field is not None]
    if not fields:
        return ([], []) if name == fixed[0] else (None, None)
    if not name.startswith(fixed[0]) or not name.endswith(fixed[-1]):
        return None, None
    end = len(name) - len(fixed[-1])
    early = [len(fixed[0])]
    for piece in fixed[1:-1]:
        found = name.find(piece, early[-1] + 1, end)
        if found < 0:
            return None, None
        early.append(found + len(piece))
    if early[-1] >= end:
        return None, None
    late = [end]
    for piece in reversed(fixed[1:-1]):
        late.append(name.rfind(piece, 0, late[-1] - 1))
    late.reverse()
    pieces_between = [len(piece) for piece in fixed[1:-1]]
    early_ends = [*(start - length for start, length in zip(early[1:], pieces_between, strict=True)), end]
    late_starts = [early[0], *(stop + length for stop, length in zip(late[:-1], pieces_between, strict=True))]
    return list(zip(fields, early, early_ends, strict=True)), list(zip(fields, late_starts, late, strict=True))
