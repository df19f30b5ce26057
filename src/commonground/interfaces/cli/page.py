"""What is shown in a terminal, before anybody knows how wide it is: a headline with the answer, then blocks.

A cell carries a look, which says who speaks or what state it is in; without colour every page still reads.

    words   what a person wrote, in quotes
    gap     what nobody said
    id      identifiers and code
    quiet   dates, labels
    holds, open, stop, act, strong
"""

from __future__ import annotations

import datetime as dt
import math
import unicodedata
from dataclasses import dataclass

GAP_SIGN = "┄"
NOT_RECORDED = f"{GAP_SIGN} not recorded"
NO_REASON = f"{GAP_SIGN} no reason given"
MINUTE, HOUR = 60, 3600
WHOLE_FROM, WHOLE_TO = 1_000, 1e15
SILENT = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Kinds of characters that are not seen, and may move the cursor or colour the screen."""
TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that make what follows be read in another order than it stands."""


def plain(text: str) -> str:
    """A text that does nothing to a terminal: what would move the cursor, colour or turn the text is written out."""
    if text.isprintable():
        return text
    return "".join(
        one
        if one in "\n\t" or (one not in TURNING and unicodedata.category(one) not in SILENT)
        else one.encode("unicode_escape").decode()
        for one in text.replace("\r\n", "\n")
    )


@dataclass(frozen=True, slots=True)
class Cell:
    """A piece of text with its look."""

    text: str
    """The text."""
    look: str = ""
    """Who speaks, or what state it is in."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    title: str
    """Its head; may be empty."""
    right: bool = False
    """Whether it holds figures."""
    wraps: bool = False
    """Whether its texts may go over several lines."""
    widest: int | None = None
    """How wide it may be in a terminal; then it wraps."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under heads."""

    columns: tuple[Column, ...]
    """The columns."""
    rows: tuple[tuple[Cell, ...], ...]
    """The rows."""
    title: str | None = None
    """What it shows."""
    heads: bool = True
    """Whether the heads are shown."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of text."""

    lines: tuple[Cell, ...]
    """The lines."""
    title: str | None = None
    """What they are."""


Block = Table | Lines


@dataclass(frozen=True, slots=True)
class Page:
    """An answer."""

    headline: str
    """The answer itself."""
    look: str = "strong"
    """The look of the headline."""
    below: tuple[Cell, ...] = ()
    """What qualifies it."""
    blocks: tuple[Block, ...] = ()
    """What stands behind it."""
    hints: tuple[str, ...] = ()
    """What to do next."""


def quote(text: str | None, gap: str = NO_REASON) -> Cell:
    """What a person wrote, word for word, or the gap where nobody wrote anything."""
    return Cell(f"“{text}”", "words") if text else Cell(gap, "gap")


def show_moment(microseconds: int, *, short: bool = False) -> str:
    """A moment in the zone of this machine: 9 Oct 2026 14:05; `short` leaves the present year out."""
    moment = dt.datetime.fromtimestamp(microseconds / 1e6, tz=dt.UTC).astimezone()
    if short and moment.year == dt.datetime.now(tz=moment.tzinfo).year:
        return f"{moment.day} {moment:%b %H:%M}"
    return f"{moment.day} {moment:%b %Y %H:%M}"


def show_seconds(seconds: float) -> str:
    """A length of time: 4.2 s, 3 min 20 s, 2 h 5 min."""
    if seconds < MINUTE:
        return f"{seconds:.3g} s"
    if seconds < HOUR:
        return f"{int(seconds // MINUTE)} min {int(seconds % MINUTE)} s"
    return f"{int(seconds // HOUR)} h {int(seconds % HOUR // MINUTE)} min"


def show_number(value: float) -> str:
    """A figure: 2,679, 0.0132, 1e-07; a count stays whole, also where it was measured as a real number."""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if WHOLE_FROM <= abs(value) < WHOLE_TO else f"{value:.4g}"


def show_figure(value: float | None) -> str:
    """What was measured: nothing, and what is not a number, are said in words."""
    if value is None:
        return GAP_SIGN
    return "not a number" if math.isnan(value) else show_number(value)
