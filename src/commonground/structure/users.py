"""What names what: who would be left with a name that leads to nothing if something went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from commonground.identity import Rid
from commonground.store import schema
from commonground.store.portions import portions
from commonground.store.view import View
from commonground.structure import tables
from commonground.structure.column_types import Holds
from commonground.structure.entities import EntityType, get_table, list_types
from commonground.structure.features import VALUE_TABLES, list_features

NAMING: tuple[tuple[sa.Table, str], ...] = (
    (tables.entity_column, "type"),
    (tables.entity_column, "target"),
    (tables.term, "vocabulary"),
    (tables.synonym, "term"),
    (tables.login, "person"),
    (tables.slot, "scope"),
    (tables.alias, "target"),
    (tables.feature, "type"),
    (tables.feature, "vocabulary"),
    (tables.dataset_feature, "dataset"),
    (tables.dataset_feature, "feature"),
    (tables.nesting, "parent"),
    (tables.nesting, "child"),
    (tables.version, "dataset"),
    (tables.version_rater, "rater"),
    (tables.version_term, "term"),
    (tables.execution, "person"),
    (tables.execution, "workflow"),
    (tables.execution, "parent"),
    (tables.edge, "src"),
    (tables.edge, "dst"),
    (schema.batch_header, "subject"),
    (schema.batch_header, "origin"),
)
_CHANGE = schema.change
NAMES = frozenset({Holds.TERM, Holds.LINK, Holds.ASSET})
"""What a column or a feature holds when its values are rids."""


def find_users(view: View, rids: Sequence[Rid], going: Mapping[str, set[Rid]]) -> dict[str, int]:
    """How many living rows, by table, name one of these; rows that go themselves (`going`, by table) do not count."""
    found: dict[str, int] = {}
    for table, column in NAMING:
        for part in portions(rids):
            users = {row.rid for row in view.list_rows(table, table.c[column].in_(part))} - going.get(table.name, set())
            if users:
                found[table.name] = found.get(table.name, 0) + len(users)
    for kind in list_types(view):
        users = _entities(view, kind, rids) - going.get(kind.place, set())
        if users:
            found[kind.name] = len(users)
    # An adjudicated value rests on the readings that it settled.
    settles = view.live_batches(tables.settled).subquery()
    kept = settles.c.batch.not_in(sorted(going.get(schema.batch_header.name, set())))
    resting = [
        view.count(sa.select(settles.c.batch).where(settles.c.reading_batch.in_(part), kept)) for part in portions(rids)
    ]
    if any(resting):
        found[tables.settled.name] = sum(resting)
    for table in (tables.member, *VALUE_TABLES.values()):
        count = _bulk_rows(view, table, rids, going.get(schema.batch_header.name, set()))
        if count:
            found[table.name] = count
    batches = going.get(schema.batch_header.name, set())
    return found | _acts(view, sorted(set(rids) & _people(going)), batches)


def _people(going: Mapping[str, set[Rid]]) -> set[Rid]:
    return going.get(tables.person.name, set()) | going.get(tables.slot.name, set())


def _acts(view: View, people: Sequence[Rid], going: set[Rid]) -> dict[str, int]:
    """How many values and changes are by one of these people; no index leads there, so nobody else is asked for."""
    found: dict[str, int] = {}
    for part in portions(people):
        for table in VALUE_TABLES.values():
            rows = view.live_batches(table).where(table.c.rater.in_(part)).subquery()
            staying = sa.select(rows.c.batch).where(rows.c.batch.not_in(sorted(going)))
            found[table.name] = found.get(table.name, 0) + view.count(staying)
        changes = sa.select(_CHANGE.c.id).where(_CHANGE.c.actor.in_(part))
        found[_CHANGE.name] = found.get(_CHANGE.name, 0) + view.count(changes)
    return {name: count for name, count in found.items() if count}


def _entities(view: View, kind: EntityType, rids: Sequence[Rid]) -> set[Rid]:
    """The living entities of a type that name one of these, or that have something in a column that is one of these."""
    table = get_table(view, kind)
    wanted = set(rids)
    places = [column.place for column in kind.columns if column.holds in NAMES]
    whole: list[sa.ColumnElement[bool]] = [
        table.c[column.place].is_not(None) for column in kind.columns if column.rid in wanted
    ]
    if kind.rid in wanted:
        whole.append(table.c.rid.is_not(None))
    conditions = [sa.or_(*whole)] if whole else []
    if places:
        conditions += [sa.or_(*(table.c[place].in_(part) for place in places)) for part in portions(rids)]
    return {
        row.rid
        for condition in conditions
        for row in view.rows(sa.select(table.c.rid).where(view.visible(table), condition))
    }


def _bulk_rows(view: View, table: sa.Table, rids: Sequence[Rid], going: set[Rid]) -> int:
    """How many living rows of a batch table are about one of these, or hold one of these."""
    rows = view.live_batches(table).subquery()
    kept = rows.c.batch.not_in(sorted(going))
    pointing = [one.rid for one in list_features(view) if one.holds in NAMES]
    count = 0
    for part in portions(rids):
        named: list[sa.ColumnElement[bool]] = [rows.c.entity.in_(part)]
        if table is tables.value_int and pointing:
            named.append(sa.and_(rows.c.value.in_(part), rows.c.subject.in_(pointing)))
        count += view.count(sa.select(rows.c.batch).where(sa.or_(*named), kept))
    return count
