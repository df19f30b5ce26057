"""A view: the study as it was at one change, or as it is now, on one snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from commonground.errors import Ambiguous, NotFound
from commonground.identity import Kind, Rid, rid_range, show_rid
from commonground.store import schema

CANDIDATES = 5
"""So many of the things that a prefix could mean are enough to choose from."""


@dataclass(frozen=True, slots=True)
class View:
    """A connection with a point in time; every noun is read through one."""

    connection: sa.Connection
    """An open snapshot."""
    change: int
    """The change as of which this reads."""
    current: bool
    """Whether that was the newest change when the snapshot was taken."""

    def visible(self, table: sa.Table) -> sa.ColumnElement[bool]:
        """The condition that a row of a temporal table lives in this view."""
        if self.current:
            return table.c.until.is_(None)
        # One expression instead of "until is null or until > c", which SQLite would answer by scanning all closed rows.
        return sa.and_(
            table.c.since <= self.change,
            sa.func.coalesce(table.c.until, schema.FOREVER) > self.change,
        )

    def rows(self, statement: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        """All rows of a statement."""
        return self.connection.execute(statement).all()

    def first(self, statement: sa.Select[Any]) -> sa.Row[Any] | None:
        """The first row of a statement."""
        return self.connection.execute(statement).first()

    def count(self, statement: sa.Select[Any]) -> int:
        """How many rows a statement gives."""
        counted = sa.select(sa.func.count()).select_from(statement.subquery())
        return int(self.connection.execute(counted).scalar_one())

    def list_rows(self, table: sa.Table, *conditions: sa.ColumnElement[bool]) -> Sequence[sa.Row[Any]]:
        """The rows of a temporal table that live in this view and meet the conditions, by rid."""
        return self.rows(sa.select(table).where(self.visible(table), *conditions).order_by(table.c.rid))

    def live_batches(self, table: sa.Table, subject: Rid | None = None) -> sa.Select[Any]:
        """A selection of the rows of a batch table that are there in this view, single retirements taken out."""
        header, gone = schema.batch_header, schema.retired
        statement = (
            sa.select(table, header.c.subject, header.c.origin, header.c.since.label("told"))
            .join(header, header.c.rid == table.c.batch)
            .outerjoin(
                gone,
                sa.and_(
                    gone.c.batch == table.c.batch,
                    gone.c.ordinal == table.c.ordinal,
                    self.visible(gone),
                ),
            )
            .where(self.visible(header), header.c.name == table.name, gone.c.rid.is_(None))
        )
        return statement if subject is None else statement.where(header.c.subject == subject)


@dataclass(frozen=True, slots=True)
class Identified:
    """What a rid names."""

    rid: Rid
    """The rid."""
    kind: Kind
    """The kind of thing."""
    place: str | None
    """The table that holds it, where the kind alone does not say."""


def identify(connection: sa.Connection, rid: Rid) -> Identified:
    """What a whole rid names; raises NotFound."""
    table = schema.identity
    row = connection.execute(
        sa.select(table).where(table.c.first <= rid).order_by(table.c.first.desc()).limit(1)
    ).first()
    if row is None or row.last < rid:
        raise NotFound(f"Nothing here has the id {show_rid(rid)}.", todo="`cg find` searches by name.")
    return Identified(rid, Kind(row.kind), row.place)


def find_prefix(connection: sa.Connection, prefix: str) -> Identified:
    """What the only rid with this prefix names; raises NotFound, or Ambiguous with the first candidates."""
    low, high = rid_range(prefix)
    found = []
    for span in _spans(connection, low, high):
        for rid in range(max(span.first, low), min(span.last, high) + 1):
            found.append(Identified(rid, Kind(span.kind), span.place))
            if len(found) > CANDIDATES:
                break
    if not found:
        raise NotFound(f"Nothing here has an id that begins with {prefix}.", todo="`cg find` searches by name.")
    if len(found) > 1:
        raise Ambiguous(
            f"More than one id begins with {prefix}.",
            faults=[f"{item.kind} {show_rid(item.rid)}" for item in found[:CANDIDATES]],
            todo="Give more characters.",
        )
    return found[0]


def shorten(connection: sa.Connection, rid: Rid, shortest: int = 4) -> str:
    """The shortest prefix, of at least `shortest` characters, that only this rid has."""
    table = schema.identity
    before = connection.execute(
        sa.select(table.c.last).where(table.c.first < rid).order_by(table.c.first.desc()).limit(1)
    ).scalar()
    own = connection.execute(
        sa.select(table.c.first, table.c.last).where(table.c.first <= rid).order_by(table.c.first.desc()).limit(1)
    ).first()
    after = connection.execute(
        sa.select(table.c.first).where(table.c.first > rid).order_by(table.c.first).limit(1)
    ).scalar()
    neighbours = [other for other in (before, after) if other is not None and other != rid]
    if own and own.first < rid:
        neighbours.append(rid - 1)
    if own and own.last > rid:
        neighbours.append(rid + 1)
    text = show_rid(rid)
    length = shortest
    for other in neighbours:
        other_text = show_rid(other)
        same = next((i for i in range(len(text)) if text[i] != other_text[i]), len(text))
        length = max(length, same + 1)
    return text[:length]


def _spans(connection: sa.Connection, low: Rid, high: Rid) -> Iterator[sa.Row[Any]]:
    table = schema.identity
    below = connection.execute(
        sa.select(table).where(table.c.first < low).order_by(table.c.first.desc()).limit(1)
    ).first()
    if below is not None and below.last >= low:
        yield below
    statement = sa.select(table).where(table.c.first >= low, table.c.first <= high).order_by(table.c.first).limit(8)
    yield from connection.execute(statement)
