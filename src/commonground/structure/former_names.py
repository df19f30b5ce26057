"""Former names: what was renamed keeps its id and its place, and is still found by the names that it had before.

A rename gives a row a new state, so the names of earlier times lie in the table itself: as of an earlier change a thing
has the name that it had then. A name that lives goes before a former one; one that several things had is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from commonground.errors import Ambiguous, Conflict
from commonground.identity import Rid
from commonground.store import schema
from commonground.store.transaction import Transaction
from commonground.store.view import View
from commonground.structure.names import name_key

Condition = sa.ColumnElement[bool]
RETIRE = "retire"
"""The verb by which something declared is retired: its row ends, and what was said with it stays."""
RETIRABLE = frozenset({"entity_column", "feature"})


def find_named_rows(view: View, table: sa.Table, name: str, *conditions: Condition) -> Sequence[sa.Row[Any]]:
    """The rows of a table with this name, or else the one that had it before; raises Ambiguous if several had it."""
    rows = view.list_rows(table, table.c.name_key == name_key(name), *conditions)
    if rows:
        return rows
    former = list_former_rows(view, table, name, *conditions)
    if len(former) > 1:
        raise Ambiguous(
            f"{name!r} was the name of {len(former)} things.",
            faults=[f"now {row.name}" for row in former],
            todo="Say the name that it has now.",
        )
    return former


def list_former_rows(view: View, table: sa.Table, name: str, *conditions: Condition) -> Sequence[sa.Row[Any]]:
    """The rows of a table that once had this name and have another now, by rid."""
    before = table.alias()
    key = name_key(name)
    had = sa.select(before.c.rid).where(before.c.name_key == key, before.c.since <= view.change)
    return view.list_rows(table, table.c.name_key != key, table.c.rid.in_(had), *conditions)


def list_former_names(view: View, table: sa.Table, *conditions: Condition) -> dict[Rid, tuple[str, ...]]:
    """The names that living rows had before, oldest first."""
    living = {row.rid: row.name_key for row in view.list_rows(table, *conditions)}
    ended = sa.select(table.c.rid, table.c.name, table.c.name_key).where(
        table.c.until.is_not(None), table.c.since <= view.change, *conditions
    )
    found: dict[Rid, dict[str, str]] = {}
    for row in view.rows(ended.order_by(table.c.since, table.c.rid)):
        if row.rid in living and row.name_key != living[row.rid]:
            found.setdefault(row.rid, {}).setdefault(row.name_key, row.name)
    return {rid: tuple(names.values()) for rid, names in found.items()}


def list_retired_rows(view: View, table: sa.Table, *conditions: Condition) -> Sequence[sa.Row[Any]]:
    """The rows that a change retired and none has brought back, in their last state, by rid."""
    log, later = schema.change, table.alias()
    again = sa.exists().where(later.c.rid == table.c.rid, later.c.since >= table.c.until, later.c.since <= view.change)
    ended = sa.select(table).join(log, log.c.id == table.c.until)
    wanted = (log.c.verb == RETIRE, table.c.until <= view.change, ~again, *conditions)
    return view.rows(ended.where(*wanted).order_by(table.c.rid))


def refuse_retired(view: View, table: sa.Table, name: str, what: str, *conditions: Condition) -> None:
    """Raise Conflict if something of this name was retired: it may come back, and its values would mean two things."""
    found = list_retired_rows(view, table, table.c.name_key == name_key(name), *conditions)
    if found:
        raise Conflict(
            f"The {what} {name!r} was retired by change {found[0].until}.",
            todo="Bring it back (`cg retire WHAT --back`), leave it out, or choose another name.",
        )


def refuse_taken(
    view: View, table: sa.Table, name: str, what: str, *conditions: Condition, own: Rid = 0, reuse: bool = False
) -> None:
    """Raise Conflict if another thing has this name, or had it before and nobody said that it may be used again."""
    others = (table.c.rid != own, *conditions)
    living = view.list_rows(table, table.c.name_key == name_key(name), *others)
    if living:
        raise Conflict(f"There is a {what} {living[0].name!r} already.", todo="Choose another name.")
    if table.name in RETIRABLE:
        refuse_retired(view, table, name, what, *others)
    former = [] if reuse else list_former_rows(view, table, name, *others)
    if former:
        raise Conflict(
            f"{name!r} was the name of a {what} that is called {former[0].name!r} now, and still leads to it.",
            todo="Choose another name; what was written under the old name would mean something else.",
        )


def rename_row(tx: Transaction, table: sa.Table, rid: Rid, name: str) -> str:
    """Give a living row another name; gives what people say of it, with the names it had, for the text index."""
    row = tx.connection.execute(sa.select(table).where(table.c.rid == rid, table.c.until.is_(None))).mappings().one()
    told = {column.name: row[column.name] for column in schema.payload(table)}
    tx.replace(table, [{**told, "name": name, "name_key": name_key(name)}])
    had = tx.connection.execute(sa.select(table.c.name).where(table.c.rid == rid, table.c.name != name).distinct())
    return " ".join([row["description"] or "", *sorted(had.scalars())])
