"""What a draft of a table holds."""

from __future__ import annotations

from typing import Any

from commonground.exchange.drafts import TableDraft


def read(draft: TableDraft, size: int = 50_000) -> dict[str, list[Any]]:
    """All values of a draft, column by column."""
    values: dict[str, list[Any]] = {name: [] for name in draft.names}
    for chunk in draft.chunks(size):
        for name, cells in chunk.items():
            values[name] += cells
    return values
