"""Pages of what a study declares: types, what depends on them, and what words mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from commonground.errors import count
from commonground.interfaces.cli.page import GAP_SIGN, Cell, Column, Page, Table

if TYPE_CHECKING:
    from commonground.operations.answers import EntityColumn, EntityType
    from commonground.operations.impact import Impact
    from commonground.operations.synonyms import Senses


def present_types(answer: Sequence[EntityType], args: Mapping[str, Any]) -> Page:
    """Entity types and their columns."""
    del args
    if not answer:
        return Page("No entity types yet.", hints=("cg import TABLE.csv --as TYPE --key COLUMN --dry-run",))
    names = {kind.rid: kind.name for kind in answer}
    rows = tuple(
        (
            Cell(kind.name, "strong"),
            Cell(kind.key_label or "key"),
            Cell(", ".join(_column(column, names) for column in kind.columns) or GAP_SIGN),
        )
        for kind in answer
    )
    columns = (Column("type"), Column("told apart by"), Column("columns", wraps=True))
    return Page(f"{count(len(rows), 'entity type')}.", blocks=(Table(columns, rows),))


def present_impact(answer: Impact, args: Mapping[str, Any]) -> Page:
    """What depends on something declared."""
    del args
    if not answer.touches:
        return Page(f"Nothing depends on {answer.name}.", look="holds")
    rows = tuple((Cell(one.kind, "quiet"), Cell(one.name, "strong"), Cell(one.how)) for one in answer.touches)
    table = Table((Column(""), Column("what", wraps=True), Column("how", wraps=True)), rows)
    return Page(f"{count(len(rows), 'thing')} to look at before {answer.name} changes.", blocks=(table,))


def present_senses(answer: Senses, args: Mapping[str, Any]) -> Page:
    """What a word means, to whom."""
    del args
    rows = tuple(
        (
            Cell(one.term, "strong"),
            Cell(one.how + (f" in {one.discipline}" if one.discipline else "")),
            Cell(one.definition) if one.definition else Cell(GAP_SIGN, "gap"),
        )
        for one in answer.senses
    )
    table = Table((Column("term"), Column("as", wraps=True), Column("definition", wraps=True)), rows)
    headline = answer.warning or f"{answer.word} is {answer.senses[0].term}."
    return Page(headline, look="open" if answer.warning else "holds", blocks=(table,))


def _column(column: EntityColumn, names: Mapping[int, str]) -> str:
    target = f" to {names[column.target]}" if column.target is not None and column.target in names else ""
    return f"{column.name} ({column.holds}{target}{f', {column.unit}' if column.unit else ''})"
