"""The inverse of a change: what it added is ended, what it ended lives again, as a change of its own.

Works on temporal tables alone, and so for every noun: a batch is hidden by ending its header, a retired row comes back
by ending its retirement. Refused where a later change built on it, unless that one was undone again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from commonground.errors import Conflict
from commonground.identity import Rid
from commonground.store import schema, tables
from commonground.store.portions import portions
from commonground.store.transaction import Transaction
from commonground.store.view import View


@dataclass(frozen=True, slots=True)
class Inverse:
    """What must be done to undo a change."""

    change: int
    """The change."""
    ends: Mapping[str, list[Rid]]
    """Rows to end, by table."""
    restores: Mapping[str, list[Rid]]
    """Rows to give a new life, by table."""


def plan_inverse(view: View, change: int, undone: Mapping[int, int]) -> Inverse:
    """What would undo a change; raises Conflict if one of its rows was changed again since.

    `undone` says of each change that undid another one, which. A row that a later change ended and an undoing brought
    back counts as not changed since.
    """
    ends: dict[str, list[Rid]] = {}
    restores: dict[str, list[Rid]] = {}
    later: list[str] = []
    touched = view.rows(sa.select(schema.change_table.c.name).where(schema.change_table.c.change == change))
    for (name,) in touched:
        table = get_temporal(view.connection, name)
        added = view.rows(sa.select(table.c.rid, table.c.until).where(table.c.since == change))
        ended = view.rows(sa.select(table.c.rid).where(table.c.until == change, table.c.since < change))
        new = {row.rid for row in added}
        gone = [row.rid for row in added if row.until is not None]
        if not _brought_back(view, table, gone, change, undone) or _live(view, table, [row.rid for row in ended]) - new:
            later.append(name)
        if added:
            ends[name] = sorted(new)
        if ended:
            restores[name] = sorted(row.rid for row in ended)
    if later:
        raise Conflict(
            f"Change {change} cannot be undone: later changes built on it, in {', '.join(sorted(later))}.",
            todo="`cg log` shows them; undo those first, newest first, or correct by hand.",
        )
    return Inverse(change, ends, restores)


def apply_inverse(tx: Transaction, inverse: Inverse) -> dict[str, list[Mapping[str, Any]]]:
    """End and restore; gives the restored rows by table."""
    given: dict[str, list[Mapping[str, Any]]] = {}
    for name, rids in sorted(inverse.ends.items()):
        tx.end(get_temporal(tx.connection, name), rids)
    for name, rids in sorted(inverse.restores.items()):
        table = get_temporal(tx.connection, name)
        columns = list(schema.payload(table))
        rows: list[Mapping[str, Any]] = []
        for part in portions(rids):
            found = tx.connection.execute(
                sa.select(*columns).where(table.c.until == inverse.change, table.c.rid.in_(part))
            )
            rows += [dict(row) for row in found.mappings()]
        tx.insert(table, rows)
        given[name] = rows
    return given


def get_temporal(connection: sa.Connection, name: str) -> sa.Table:
    """A temporal table by name, the system's or one that the study declared."""
    known = schema.metadata.tables.get(name)
    return known if known is not None else tables.load_one(connection, name)


def _brought_back(view: View, table: sa.Table, rids: list[Rid], change: int, undone: Mapping[int, int]) -> bool:
    """Whether what a change added, and something ended later, is what lives now, because that was undone each time."""
    lives: dict[Rid, dict[int | None, int]] = {rid: {} for rid in rids}
    for part in portions(rids):
        for row in view.rows(sa.select(table.c.rid, table.c.since, table.c.until).where(table.c.rid.in_(part))):
            lives[row.rid][row.until] = row.since
    return all(_origin(begun_by_end, undone) == change for begun_by_end in lives.values())


def _origin(begun_by_end: Mapping[int | None, int], undone: Mapping[int, int]) -> int | None:
    """The change that first said what lives now; undoings only repeat it. None if nothing lives."""
    begun = begun_by_end.get(None)
    while begun is not None and begun in undone:
        begun = begun_by_end.get(undone[begun])
    return begun


def _live(view: View, table: sa.Table, rids: list[Rid]) -> set[Rid]:
    found: set[Rid] = set()
    for part in portions(rids):
        found.update(
            row.rid for row in view.rows(sa.select(table.c.rid).where(table.c.until.is_(None), table.c.rid.in_(part)))
        )
    return found
