"""The screen: takes secrets and identifiers of persons out of text before it is kept.

It runs over everything that is captured without being asked for: diffs, files, arguments, output, cells. Each hit is
replaced by `[removed: KIND]`; line ends are never removed, so that line n of the result is line n of the original.
It lowers a risk and proves nothing: a name without a word beside it passes. The rules are in `screen_rules` and
`identifier_rules`; the time is linear in the length of the text.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from commonground.structure.identifier_rules import IDENTIFIERS
from commonground.structure.screen_rules import SECRETS, Rule

_RULES = (*SECRETS, *IDENTIFIERS)
_HINTS = tuple(sorted({hint for rule in _RULES for hint in rule.hints}))
_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_ENDS = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_LONGEST_KEY = 20_000
_KEY_LINE = re.compile(r"[+\- >|#\"'\t]*[A-Za-z0-9+/=\\\"', :-]{8,}$")
_MARK = re.compile(r"\[removed: ([^\]\n]{1,60})\]")

HARMLESS = re.compile(r"[\d.]{0,6}|(?i:true|false|none|null)")
"""What is no secret whatever its name is: nothing, a short number, a setting that is on or off."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What was taken out of one line."""

    kind: str
    """The kind of secret or identifier."""
    line: int
    """The line, from 1."""
    count: int
    """How many of this kind were in the line."""


@dataclass(frozen=True, slots=True)
class Screened:
    """Text that has been through the screen."""

    text: str
    """The text without what was removed."""
    removed: tuple[Removal, ...]
    """What was removed, by line and kind."""


_Span = tuple[int, int, str]


def screen(text: str) -> Screened:
    """The text with each secret and each identifier replaced by `[removed: KIND]`."""
    spans = _merged(sorted(_key_spans(text)) + sorted(_rule_spans(text)))
    if not spans:
        return Screened(text, ())
    pieces: list[str] = []
    counts: Counter[tuple[int, str]] = Counter()
    done, line = 0, 1
    for start, end, kind in spans:
        line += text.count("\n", done, start)
        counts[line, kind] += 1
        ends = text.count("\n", start, end)
        pieces += [text[done:start], mark(kind), "\n" * ends]
        line, done = line + ends, end
    pieces.append(text[done:])
    return Screened("".join(pieces), tuple(Removal(kind, at, n) for (at, kind), n in sorted(counts.items())))


def mark(kind: str) -> str:
    """What stands in the place of something that was taken out."""
    return f"[removed: {kind}]"


def kinds_in(text: str) -> str:
    """What was taken out of a text, by the marks that are left."""
    return ", ".join(dict.fromkeys(_MARK.findall(text)))


def is_withheld(value: object) -> bool:
    """Whether something was taken out of a value before it was kept."""
    return isinstance(value, str) and _MARK.search(value) is not None


def _key_spans(text: str) -> Iterator[_Span]:
    """Blocks of private keys; one without an end goes as far as its lines look like a key."""
    place = 0
    while begin := _KEY_BEGINS.search(text, place):
        ending = _KEY_ENDS.search(text, begin.end(), begin.end() + _LONGEST_KEY)
        place = ending.end() if ending else _end_of_key(text, begin.end())
        yield begin.start(), place, "private key"


def _end_of_key(text: str, place: int) -> int:
    stop = min(len(text), place + _LONGEST_KEY)
    end = text.find("\n", place, stop)
    end = stop if end < 0 else end
    while end < stop:
        following = text.find("\n", end + 1, stop)
        following = stop if following < 0 else following
        if not _KEY_LINE.match(text, end + 1, following):
            break
        end = following
    return end


def _rule_spans(text: str) -> Iterator[_Span]:
    low = text.lower()
    if len(low) != len(text):  # a letter whose lower form is longer would shift every place behind it
        low = re.sub(r"[A-Z]+", lambda upper: upper[0].lower(), text)
    starts = [0, *(place.end() for place in re.finditer("\n", text))]
    lines: dict[str, list[tuple[int, int]]] = {}
    there = {hint for hint in _HINTS if hint in low}
    for rule in _RULES:
        if rule.hints and there.isdisjoint(rule.hints):
            continue
        hints = there.intersection(rule.hints)
        for start, end in _lines_with(hints, low, starts, lines) if rule.hints else [(0, len(text))]:
            yield from _hits(rule, text, start, _end_of_line(text, end) if rule.next_line else end)


def _end_of_line(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end < 0 else end


def _hits(rule: Rule, text: str, start: int, end: int) -> Iterator[_Span]:
    for match in rule.pattern.finditer(text, start, end):
        if rule.check is None or rule.check(match):
            names = match.groupdict()
            group = next((name for name in ("v", "w") if names.get(name) is not None), 0)
            yield match.start(group), match.end(group), rule.kind


def _lines_with(
    hints: Iterable[str], low: str, starts: list[int], known: dict[str, list[tuple[int, int]]]
) -> list[tuple[int, int]]:
    """The lines that hold one of the hints, neighbours together, as first and last place."""
    found: set[tuple[int, int]] = set()
    for hint in hints:
        if hint not in known:
            known[hint] = _lines_with_one(hint, low, starts)
        found.update(known[hint])
    joined: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _lines_with_one(hint: str, low: str, starts: list[int]) -> list[tuple[int, int]]:
    lines: list[tuple[int, int]] = []
    place = low.find(hint)
    while place >= 0:
        number = bisect_right(starts, place)
        end = starts[number] if number < len(starts) else len(low)
        lines.append((starts[number - 1], end))
        place = low.find(hint, end)
    return lines


def _merged(spans: list[_Span]) -> list[_Span]:
    """Spans that do not overlap; where some did, their union under the name of the first that was found."""
    order = {rule.kind: place for place, rule in reversed(list(enumerate(_RULES)))}
    merged: list[_Span] = []
    for start, end, kind in sorted(spans):
        if merged and start < merged[-1][1]:
            first, last, known = merged[-1]
            merged[-1] = (first, max(last, end), min(known, kind, key=lambda one: order.get(one, -1)))
        else:
            merged.append((start, end, kind))
    return merged
