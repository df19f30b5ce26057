"""How the demo speaks to a terminal: headlines that are answers, figures in columns, people's words marked as theirs.

Three voices: the program's sentences are plain, a person's words stand in italics behind a bar with name and work, and
names of things and commands are set apart. Every colour comes with a sign and a word, and without a terminal the same
text is plain. Where the output cannot show a sign, a plain letter takes its place.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from commonground.interfaces.demo.team import Member

WIDEST, NARROWEST, INDENT = 92, 60, "    "
HOLDS, OPEN, GAP, ACT = "green", "yellow", "bright_black", "cyan"
MINUS = "\N{MINUS SIGN}"
_PLAIN = str.maketrans(
    {"│": "|", "─": "-", "━": "=", "╌": "-", "✓": "+", "✗": "x", "▲": "!", "◌": "?", "●": "*", "·": "-", MINUS: "-"}
    | {
        "“": '"',
        "”": '"',
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "→": ">",
        "←": "<",
        "…": "...",
        "└": "`",
        "≥": ">=",
        "²": "2",
        "³": "3",
    }
)


class Teller:
    """A voice on one console."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, markup=False, emoji=False)
        self.width = max(NARROWEST, min(WIDEST, self.console.width))
        self._signs = (self.console.encoding or "ascii").lower().startswith("utf")

    # ------------------------------------------------------------ parts of a page

    def title(self, text: str, below: str) -> None:
        """What this is."""
        self.say(text, indent="", style="bold")
        self.line("─" * self.width, GAP)
        self.say(below, indent="")

    def act(self, number: int, headline: str) -> None:
        """The answer that the following lines give the figures for."""
        self.line()
        self.line()
        for at, part in enumerate(textwrap.wrap(headline, self.width - len(INDENT))):
            self.line(f"{number if not at else '':>2}  {part}", "bold")
        self.line()

    def heading(self, text: str) -> None:
        """A part of an act."""
        self.line()
        self.line(INDENT + text, "bold")

    def say(self, text: str, *, indent: str = INDENT, style: str = "") -> None:
        """A paragraph of the program."""
        for part in textwrap.wrap(text, self.width - len(indent)):
            self.line(indent + part, style)

    def line(self, text: str = "", style: str = "") -> None:
        """One line as it is."""
        self._print(Text(text, style=style))

    def quote(self, who: Member, text: str, about: str) -> None:
        """A person's own words, and what they were said of."""
        self.line()
        parts = textwrap.wrap(f"“{text}”", self.width - len(INDENT) - 2)
        for part in parts:
            self._print(Text.assemble((f"{INDENT}│ ", GAP), (part, "italic")))
        self._print(Text(f"{INDENT}│ {who.name}, {who.work} · {about}", style=GAP))

    def gap(self, text: str) -> None:
        """Something that nobody recorded."""
        self._marked("◌", "Not recorded", text, GAP)

    def holds(self, word: str, text: str) -> None:
        """Something that was checked and is so."""
        self._marked("✓", word, text, HOLDS)

    def look(self, word: str, text: str) -> None:
        """Something that people must look at."""
        self._marked("▲", word, text, OPEN)

    def command(self, text: str, what: str) -> None:
        """Something to type."""
        self._print(Text.assemble(INDENT, (f"$ {text}", ACT)))
        self.say(what, indent=INDENT + "  ")

    def bar(self, label: str, value: float, shown: str, low: float, high: float, wide: int = 16) -> None:
        """A figure on a scale from low to high."""
        room = self.width - len(INDENT) - wide - 2 - 8
        filled = round(room * min(1.0, max(0.0, (value - low) / (high - low))))
        rest = "╌" * (room - filled)
        self._print(Text.assemble(f"{INDENT}{label:<{wide}}  ", "━" * filled, (rest, GAP), f"{shown:>8}"))

    def scale(self, left: str, right: str, wide: int = 16) -> None:
        """The two ends of the bars above."""
        room = self.width - len(INDENT) - wide - 2 - 8
        self.line(f"{INDENT}{'':<{wide}}  {left}{right:>{room - len(left)}}", GAP)

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
        """Columns as wide as their widest cell; those in `right` end at one place, and states have their colour."""
        listed = [list(head), *map(list, rows)] if any(head) else [list(row) for row in rows]
        wide = [max(len(row[at]) for row in listed) for at in range(len(listed[0]))]
        between = "   " if len(INDENT) + sum(wide) + 3 * (len(wide) - 1) <= self.width else "  "
        for number, row in enumerate(listed):
            text = Text(INDENT)
            for at, cell in enumerate(row):
                padded = f"{cell:>{wide[at]}}" if at in right else f"{cell:<{wide[at]}}"
                style = GAP if any(head) and number == 0 else _style(cell)
                text.append(padded if at + 1 < len(row) else padded.rstrip(), style)
                text.append(between if at + 1 < len(row) else "")
            self._print(text)

    def _marked(self, sign: str, word: str, text: str, style: str) -> None:
        lead = f"{sign} {word}  "
        parts = textwrap.wrap(text, self.width - len(INDENT), initial_indent=" " * len(lead))
        self.line()
        for at, part in enumerate(parts):
            if at:
                self._print(Text(INDENT + part, style=style if style == GAP else ""))
            else:
                rest = part[len(lead) :]
                self._print(Text.assemble(INDENT, (lead, style), (rest, GAP if style == GAP else "")))

    def _print(self, text: Text) -> None:
        if not self._signs:
            plain = text.plain.translate(_PLAIN)
            self.console.print(plain, style=text.style, soft_wrap=True)
            return
        self.console.print(text, soft_wrap=True)

    # ------------------------------------------------------------ long work

    @contextmanager
    def working(self, text: str, total: int | None = None) -> Iterator[Callable[[str], None]]:
        """A bar while something takes time; call what it gives with each step's name. Nothing without a terminal."""
        if not self.console.is_terminal:
            yield lambda _: None
            return
        columns = (TextColumn(INDENT + "{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(text, total=total)

            def step(name: str) -> None:
                progress.update(task, advance=1, description=name)

            yield step


def show_auc(value: float) -> str:
    """A figure between 0 and 1 as people of statistics write it: .9120."""
    return f"{value:.4f}".removeprefix("0")


def show_change(after: float, before: float = 0.0) -> str:
    """A difference of two such figures as they are shown, with its sign."""
    value = round(after, 4) - round(before, 4)
    return f"{'+' if value > 0 else MINUS}{abs(value):.4f}".replace("0.", ".", 1)


def show_share(value: float) -> str:
    """A share in per cent."""
    return f"{100 * value:.1f} %"


def _style(cell: str) -> str:
    if cell.startswith(("✓", "●")):
        return HOLDS
    if cell.startswith(("✗", "▲")):
        return OPEN
    return GAP if cell.startswith("◌") else ""
