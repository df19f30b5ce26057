"""Which files `.gitignore` leaves out, for folders where git cannot be asked.

The rules are those of https://git-scm.com/docs/gitignore: the last pattern that matches decides, `!` takes back, a
pattern with a `/` before its end holds for the place of its file, one that ends in `/` only for folders.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_LONGEST = 500
_STAR, _FOLDERS, _REST = "[^/]*", "(?:.*/)?", ".*"
_ELASTIC = frozenset({_STAR, _FOLDERS, _REST})


@dataclass(frozen=True, slots=True)
class IgnoreRule:
    """One line of a `.gitignore`."""

    pattern: re.Pattern[str]
    """What it matches: a whole path below the root."""
    back: bool
    """Whether it takes back what an earlier one left out."""
    folders_only: bool
    """Whether it matches folders only."""


def read_rules(text: str, place: str = "") -> list[IgnoreRule]:
    """The rules of a `.gitignore` that lies in the folder `place` (below the root, without `/` at its end)."""
    rules = []
    for raw in text.splitlines():
        line = re.sub(r"(?<!\\)[ \t]+$", "", raw)
        if not line or line.startswith("#") or len(line) > _LONGEST:
            continue
        back = line.startswith("!")
        line = line.removeprefix("!")
        folders_only = line.endswith("/")
        line = line.rstrip("/")
        anchored = "/" in line
        start = f"{re.escape(place)}/" if place else ""
        anywhere = "" if anchored else "(?:.*/)?"
        rules.append(IgnoreRule(re.compile(start + anywhere + _translate(line.lstrip("/"))), back, folders_only))
    return rules


def is_ignored(path: str, rules: Sequence[IgnoreRule], *, folder: bool) -> bool:
    """Whether the last rule that matches a path (below the root, with `/`) leaves it out."""
    for rule in reversed(rules):
        if (folder or not rule.folders_only) and rule.pattern.fullmatch(path):
            return not rule.back
    return False


def _translate(glob: str) -> str:
    """The expression of a glob; what follows a star is tied to it, so that no name makes it try all splits."""
    pieces = list(_pieces(glob))
    written: list[str] = []
    while pieces:
        piece = pieces.pop(0)
        if piece != _STAR:
            written.append(piece)
            continue
        fixed = []
        while pieces and pieces[0] not in _ELASTIC:
            fixed.append(pieces.pop(0))
        written.append(f"[^/]*{''.join(fixed)}" if not pieces or not fixed else f"(?>[^/]*?{''.join(fixed)})")
    return "".join(written)


def _pieces(glob: str) -> Iterable[str]:
    place = 0
    while place < len(glob):
        rest = glob[place:]
        if rest.startswith("**/") and (place == 0 or glob[place - 1] == "/"):
            yield _FOLDERS
            place += 3
        elif rest == "**" and (place == 0 or glob[place - 1] == "/"):
            yield _REST
            place += 2
        elif rest.startswith("*"):
            stars = len(rest) - len(rest.lstrip("*"))
            yield _STAR
            place += stars
        elif rest.startswith("?"):
            yield "[^/]"
            place += 1
        elif rest.startswith("[") and (found := re.match(r"\[([!^]?)(\]?[^\]/]*)\]", rest)):
            inside = re.sub(r"([\\\[&~|])", r"\\\1", found[2])
            yield f"[{'^' if found[1] else ''}{inside}]"
            place += found.end()
        else:
            step = 2 if rest.startswith("\\") and len(rest) > 1 else 1
            yield re.escape(rest[step - 1 : step])
            place += step
