"""A page as text: in a terminal as wide as it is, with looks; elsewhere plain, one line a row, never cut."""

from __future__ import annotations

import importlib
import os
import sys
import unicodedata
from typing import Any

import click

from commonground.interfaces.cli.page import Block, Cell, Lines, Page, Table, plain

GAP = "  "
STYLES = {
    "": "",
    "strong": "bold",
    "words": "italic",
    "gap": "dim italic",
    "id": "cyan",
    "quiet": "dim",
    "holds": "green",
    "open": "yellow",
    "stop": "red",
    "act": "blue",
}


def print_page(page: Page) -> None:
    """Print a page on stdout."""
    if sys.stdout.isatty():
        rich_printing: Any = importlib.import_module("commonground.interfaces.cli.rich_printing")
        rich_printing.print_page(page, colours=not os.environ.get("NO_COLOR"))
    else:
        click.echo(render_plain(page), nl=False)


def render_plain(page: Page) -> str:
    """A page as plain lines."""
    parts = [plain(page.headline), *(plain(cell.text) for cell in page.below)]
    for block in page.blocks:
        parts += ["", *_plain_block(block)]
    if page.hints:
        parts += ["", *(f"> {plain(hint)}" for hint in page.hints)]
    return "\n".join(line.rstrip() for line in parts) + "\n"


def _plain_block(block: Block) -> list[str]:
    title = [block.title] if block.title else []
    if isinstance(block, Lines):
        return [*title, *(f"{GAP if title else ''}{plain(cell.text)}" for cell in block.lines)]
    return [*title, *_plain_table(block)]


def _plain_table(table: Table) -> list[str]:
    heads = tuple(Cell(column.title) for column in table.columns)
    rows = [heads, *table.rows] if table.heads else list(table.rows)
    widths = [max((_width(_flat(row[at])) for row in rows), default=0) for at in range(len(table.columns))]
    lines = []
    for row in rows:
        cells = []
        for at, column in enumerate(table.columns):
            text = _flat(row[at])
            room = " " * (widths[at] - _width(text))
            cells.append(room + text if column.right else text + room)
        lines.append((GAP if table.title else "") + GAP.join(cells))
    return lines


def _flat(cell: Cell) -> str:
    return plain(" ".join(cell.text.splitlines()) if "\n" in cell.text else cell.text)


def _width(text: str) -> int:
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) > 0 for character in text)
