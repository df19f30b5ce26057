"""History: which changes were about a thing, what each change was about, and how much there is of everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from commonground.identity import Rid
from commonground.store import changes, schema
from commonground.store.changes import Change
from commonground.store.portions import portions
from commonground.store.view import View
from commonground.structure import tables
from commonground.structure.datasets import Version
from commonground.structure.entities import EntityType, get_table
from commonground.structure.features import Feature, list_features


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is of the things that are too many to list."""

    people: int
    """People who take part."""
    features: int
    """Features."""
    executions: dict[str, int]
    """Executions by state."""
    scratch: int
    """Executions that nobody has decided to keep."""
    assets: int
    """Files and series."""


@dataclass(frozen=True, slots=True)
class Said:
    """One value of one entity."""

    value: Any
    """The stored value; None if only a reason was given."""
    rater: Rid | None
    """Person or slot; None if it was computed."""
    reason: str | None
    """Why there is no value."""
    adjudicated: bool
    """Whether it settles a disagreement."""
    told: int
    """The change in which it came."""


def list_changes(view: View, about: Rid | None = None, *, limit: int = 20) -> list[Change]:
    """The newest changes first, all of them or those about one thing, as of the view."""
    return changes.list_changes(view.connection, about=about, until=view.change, limit=limit)


def list_changes_of_entity(view: View, kind: EntityType, entity: Rid) -> list[int]:
    """The numbers of the changes that wrote or ended its row, gave a value of it, or were about it, newest first.

    What brings in many things at once is about none of them by name.
    """
    row, anchor = get_table(view, kind), schema.change_anchor
    lives = view.rows(sa.select(row.c.since, row.c.until).where(row.c.rid == entity))
    found = {number for life in lives for number in (life.since, life.until) if number is not None}
    found.update(one.change for one in view.rows(sa.select(anchor.c.change).where(anchor.c.rid == entity)))
    for feature in list_features(view, kind.rid):
        found.update(one.told for one in list_values_of(view, feature, entity))
    return sorted((number for number in found if number <= view.change), reverse=True)


def get_change(view: View, number: int) -> Change | None:
    """One change by its number, if it is there in this view."""
    found = changes.list_changes(view.connection, until=min(number, view.change), limit=1)
    return found[0] if found and found[0].id == number else None


def first_change(view: View, about: Rid) -> Change | None:
    """The change that brought a thing in, if it is known."""
    anchor = schema.change_anchor
    number = view.connection.execute(sa.select(sa.func.min(anchor.c.change)).where(anchor.c.rid == about)).scalar()
    return None if number is None else get_change(view, int(number))


def count_changes(view: View, about: Rid | None = None) -> int:
    """How many changes there are, all of them or those about one thing."""
    if about is None:
        return view.change
    anchor = schema.change_anchor
    conditions = (anchor.c.rid == about, anchor.c.change <= view.change)
    return int(view.connection.execute(sa.select(sa.func.count()).where(*conditions)).scalar_one())


def count_made(view: View, person: Rid) -> int:
    """How many changes somebody has made."""
    log = schema.change
    conditions = (log.c.actor == person, log.c.id <= view.change)
    return int(view.connection.execute(sa.select(sa.func.count()).where(*conditions)).scalar_one())


def list_subjects(view: View, numbers: Sequence[int]) -> dict[int, list[Rid]]:
    """What each change was about, what is newest first: what a change made goes before what it was made of."""
    anchor = schema.change_anchor
    found: dict[int, list[Rid]] = {number: [] for number in numbers}
    for part in portions(numbers):
        statement = (
            sa.select(anchor.c.change, anchor.c.rid).where(anchor.c.change.in_(part)).order_by(anchor.c.rid.desc())
        )
        for row in view.rows(statement):
            found[row.change].append(row.rid)
    return found


def first_row(view: View, table: sa.Table, rid: Rid) -> int | None:
    """The change that wrote the first row of a thing in a table with history; None if there is none yet."""
    first = sa.select(sa.func.min(table.c.since)).where(table.c.rid == rid, table.c.since <= view.change)
    return view.connection.execute(first).scalar()


def criteria_change(view: View, dataset: Rid) -> int | None:
    """The change that stated what produces a dataset's members."""
    rows = view.list_rows(tables.criteria, tables.criteria.c.dataset == dataset)
    return int(rows[0].since) if rows else None


def count_entities(view: View, kind: EntityType) -> int:
    """How many entities of a type live."""
    table = get_table(view, kind)
    statement = sa.select(sa.func.count()).select_from(table).where(view.visible(table))
    return int(view.connection.execute(statement).scalar_one())


def count_values(view: View, feature: Feature) -> tuple[int, int, int]:
    """Of a feature: values, entities that have one, and raters who gave one."""
    rows = view.live_batches(feature.table, feature.rid).subquery()
    gone = sa.select(tables.withdrawal.c.rid).where(view.visible(tables.withdrawal))
    statement = (
        sa.select(sa.func.count(), sa.func.count(sa.distinct(rows.c.entity)), sa.func.count(sa.distinct(rows.c.rater)))
        .select_from(rows)
        .where(rows.c.entity.not_in(gone))
    )
    counted = view.connection.execute(statement).one()
    return int(counted[0]), int(counted[1]), int(counted[2])


def list_values_of(view: View, feature: Feature, entity: Rid) -> list[Said]:
    """All values of a feature for one entity, those given to its merged duplicates included, in order of arrival."""
    aliases = tables.alias
    same = [entity, *(row.rid for row in view.list_rows(aliases, aliases.c.target == entity))]
    rows = view.live_batches(feature.table, feature.rid).subquery()
    statement = sa.select(rows.c.value, rows.c.rater, rows.c.reason, rows.c.adjudicated, rows.c.told)
    ordered = statement.where(rows.c.entity.in_(same)).order_by(rows.c.told, rows.c.batch, rows.c.ordinal)
    return [Said(row.value, row.rater, row.reason, bool(row.adjudicated), row.told) for row in view.rows(ordered)]


def count_all(view: View) -> Counts:
    """How much there is in the study."""
    run = tables.execution
    counted = sa.func.count().label("counted")
    by_state = view.rows(sa.select(run.c.status, counted).where(view.visible(run)).group_by(run.c.status))
    return Counts(
        people=_count(view, tables.person, tables.person.c.active == 1),
        features=_count(view, tables.feature),
        executions={row.status: int(row.counted) for row in by_state},
        scratch=_count(view, run, run.c.scratch == 1),
        assets=_count(view, tables.asset),
    )


def newest_executions(view: View, limit: int) -> list[Rid]:
    """The executions that began last, children left out."""
    run = tables.execution
    statement = sa.select(run.c.rid).where(view.visible(run), run.c.parent.is_(None))
    return [row.rid for row in view.rows(statement.order_by(run.c.started_at.desc(), run.c.rid.desc()).limit(limit))]


def list_version_raters(view: View, version: Version) -> list[Rid]:
    """The people and slots whose values a version holds."""
    table = tables.version_rater
    return sorted(row.rater for row in view.list_rows(table, table.c.version == version.rid))


def _count(view: View, table: sa.Table, *conditions: sa.ColumnElement[bool]) -> int:
    statement = sa.select(sa.func.count()).select_from(table).where(view.visible(table), *conditions)
    return int(view.connection.execute(statement).scalar_one())
