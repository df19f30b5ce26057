"""What names what: who would be left with a name that leads to nothing if something went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from commonground.identity import Rid
from commonground.store import schema
from commonground.store.view import View
from commonground.structure import tables
from commonground.structure.entities import get_table, list_types
from commonground.structure.features import VALUE_TABLES

PART = 500
NAMING: tuple[tuple[sa.Table, str], ...] = (
    (tables.entity_column, "type"),
    (tables.entity_column, "target"),
    (tables.term, "vocabulary"),
    (tables.synonym, "term"),
    (tables.login, "person"),
    (tables.feature, "type"),
    (tables.feature, "vocabulary"),
    (tables.dataset_feature, "dataset"),
    (tables.dataset_feature, "feature"),
    (tables.nesting, "parent"),
    (tables.nesting, "child"),
    (tables.version, "dataset"),
    (schema.batch_header, "subject"),
)


def find_users(view: View, rids: Sequence[Rid], going: Mapping[str, set[Rid]]) -> dict[str, int]:
    """How many living rows, by table, name one of these; rows that go themselves (`going`, by table) do not count."""
    found: dict[str, int] = {}
    wanted = set(rids)
    for table, column in NAMING:
        for start in range(0, len(rids), PART):
            part = list(rids[start : start + PART])
            users = {row.rid for row in view.list_rows(table, table.c[column].in_(part))} - going.get(table.name, set())
            if users:
                found[table.name] = found.get(table.name, 0) + len(users)
    for kind in list_types(view):
        table = get_table(view, kind)
        gone = going.get(kind.place, set())
        conditions = [table.c[link.place].in_(list(rids)) for link in kind.links] if len(rids) <= PART else []
        if kind.rid in wanted:
            conditions.append(table.c.rid.is_not(None))
        if conditions:
            users = {row.rid for row in view.list_rows(table, sa.or_(*conditions))} - gone
            if users:
                found[kind.name] = len(users)
    # An adjudicated value rests on the readings that it settled.
    settles = view.live_batches(tables.settled).subquery()
    for start in range(0, len(rids), PART):
        resting = settles.c.reading_batch.in_(list(rids[start : start + PART]))
        kept = settles.c.batch.not_in(sorted(going.get(schema.batch_header.name, set())))
        if count := len(view.rows(sa.select(settles.c.batch).where(resting, kept))):
            found[tables.settled.name] = found.get(tables.settled.name, 0) + count
    for table in (tables.member, *VALUE_TABLES.values()):
        rows = view.live_batches(table).subquery()
        count = 0
        for start in range(0, len(rids), PART):
            named = rows.c.entity.in_(list(rids[start : start + PART]))
            kept = rows.c.batch.not_in(sorted(going.get(schema.batch_header.name, set())))
            count += len(view.rows(sa.select(rows.c.batch).where(named, kept)))
        if count:
            found[table.name] = count
    return found
