"""A page in a terminal: wrapped to its width, figures aligned, looks as colours; loaded only there."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from commonground.interfaces.cli.page import Block, Cell, Lines, Page, Table, plain
from commonground.interfaces.cli.printing import STYLES

WIDEST = 110


def print_page(page: Page, *, colours: bool = True, console: Console | None = None) -> None:
    """Print a page on a console, by default stdout."""
    target = console or Console(highlight=False, color_system="auto" if colours else None)
    target.print(render(page), width=min(target.width, WIDEST))


def render(page: Page) -> RenderableType:
    """A page as something that rich can print."""
    parts: list[RenderableType] = [Text(plain(page.headline), STYLES.get(page.look, "") + " bold")]
    parts += [_text(cell) for cell in page.below]
    for block in page.blocks:
        parts += [Text(), *_block(block)]
    if page.hints:
        parts += [Text(), *(_hint(hint) for hint in page.hints)]
    return Group(*parts)


def _hint(hint: str) -> Text:
    command, colon, about = plain(hint).partition(": ")
    return Text("> ").append(command, STYLES["act"]).append(colon + about, STYLES["quiet"])


def _block(block: Block) -> list[RenderableType]:
    title: list[RenderableType] = [Text(block.title, "bold")] if block.title else []
    indent = 2 if title else 0
    inner: RenderableType = _table(block) if isinstance(block, Table) else _lines(block)
    return [*title, Padding(inner, (0, 0, 0, indent))]


def _lines(block: Lines) -> RenderableType:
    return Group(*(_text(cell) for cell in block.lines))


def _table(block: Table) -> RichTable:
    made = RichTable(box=None, show_header=block.heads, header_style="dim", padding=(0, 2, 0, 0), pad_edge=False)
    for column in block.columns:
        made.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=not (column.wraps or column.widest),
            max_width=column.widest,
            overflow="fold" if column.wraps or column.widest else "ellipsis",
        )
    for row in block.rows:
        made.add_row(*(_text(cell) for cell in row))
    return made


def _text(cell: Cell) -> Text:
    return Text(plain(cell.text), STYLES.get(cell.look, ""))
