"""Withdrawn entities: no longer valid, for a stated reason, and not in the living state; earlier versions keep them.

Nothing is destroyed and the withdrawal can be undone. A withdrawn entity is a member of no dataset and its values count
nowhere as of later changes; its key stays taken, so that no import brings it back by accident.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from commonground.identity import Rid
from commonground.store.portions import portions
from commonground.store.tables import load_one
from commonground.store.transaction import Transaction
from commonground.store.view import View
from commonground.structure.entities import EntityType, get_table, list_aliases
from commonground.structure.tables import withdrawal


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """One withdrawn entity."""

    rid: Rid
    """The entity."""
    key: str
    """Its natural key."""
    reason: str
    """Why it is no longer valid."""
    change: int
    """The change that withdrew it."""


def list_withdrawn(view: View, kind: EntityType) -> list[Withdrawn]:
    """The withdrawn entities of a type, by rid."""
    rows = {row.rid: row for row in view.list_rows(withdrawal, withdrawal.c.type == kind.rid)}
    table = get_table(view, kind)
    found = []
    for part in portions(rows):
        # A withdrawal ends the row in its own change, so that is the row as it was last.
        last = sa.select(table.c.rid, table.c.key, table.c.until).where(table.c.rid.in_(part))
        found += [
            Withdrawn(row.rid, row.key or "", rows[row.rid].reason, rows[row.rid].since)
            for row in view.rows(last.order_by(table.c.rid))
            if row.until == rows[row.rid].since
        ]
    return found


def list_withdrawn_keys(view: View, kind: EntityType) -> dict[str, Withdrawn]:
    """The withdrawn entities of a type by key, those of duplicates that were merged into them included."""
    listed = {one.rid: one for one in list_withdrawn(view, kind)}
    found = {one.key: one for one in listed.values()}
    merged = {old: listed[now] for old, now in list_aliases(view).items() if now in listed} if listed else {}
    table = get_table(view, kind)
    for part in portions(merged):
        rows = view.rows(sa.select(table.c.rid, table.c.key).where(table.c.rid.in_(part), table.c.since <= view.change))
        for row in rows:
            found.setdefault(row.key, merged[row.rid])
    return found


def find_withdrawn(view: View, kind: EntityType, key: str | Rid) -> Withdrawn | None:
    """The withdrawn entity with this key or rid, if there is one."""
    if isinstance(key, str):
        return list_withdrawn_keys(view, kind).get(key)
    return next((one for one in list_withdrawn(view, kind) if one.rid == key), None)


def find_reason(view: View, rid: Rid) -> tuple[str, int] | None:
    """Why an entity of any type was withdrawn, and the change that did it; None if it is not withdrawn."""
    return next(((row.reason, row.since) for row in view.list_rows(withdrawal, withdrawal.c.rid == rid)), None)


def list_withdrawn_rids(view: View) -> list[Rid]:
    """All withdrawn entities, of whatever type."""
    return [row.rid for row in view.rows(sa.select(withdrawal.c.rid).where(view.visible(withdrawal)))]


def withdraw(tx: Transaction, place: str, kind: Rid, rids: Sequence[Rid], reason: str) -> None:
    """End entities of one type and say why."""
    tx.end(load_one(tx.connection, place), rids)
    tx.insert(withdrawal, [{"rid": rid, "type": kind, "reason": reason} for rid in rids])
