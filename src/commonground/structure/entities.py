"""Entities: rows of a kind that the study declares, such as Patient, Scan, Nodule.

Each entity type has a table of its own with typed columns. The natural key is text and unique among living rows. A
column can hold a value, a term, a link to another entity, or a file. Types evolve by adding columns; a renamed column
keeps its place in the database; the order of entities is cut into fixed buckets of rids, from which released parts
are made.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from commonground.errors import NotFound
from commonground.identity import Kind, Rid
from commonground.late import np
from commonground.store import tables
from commonground.store.bulk_reading import read_tuples
from commonground.store.column_rows import ColumnRows
from commonground.store.portions import portions
from commonground.store.schema import Field, payload
from commonground.store.text_index import Document, put
from commonground.store.transaction import Transaction
from commonground.store.view import View
from commonground.structure.column_types import Holds
from commonground.structure.former_names import find_named_rows
from commonground.structure.names import name_key
from commonground.structure.tables import alias, bucket, entity_column, entity_type

BUCKET_ROWS = 65_536
KEY = "key"
CHEAPER_SCANNED = 20_000
"""For more keys than these one scan is cheaper than looking each up."""


@dataclass(frozen=True, slots=True)
class EntityColumn:
    """One declared column of an entity type."""

    rid: Rid
    """Permanent id."""
    name: str
    """The name people use."""
    place: str
    """The column in the database; never changes."""
    holds: Holds
    """What it holds."""
    target: Rid | None
    """The vocabulary of a term, or the entity type of a link."""
    unit: str | None
    """The unit of a number."""
    description: str | None
    """What it says."""
    sensitive: bool
    """Whether it is left out unless asked for."""
    former: tuple[str, ...] = ()
    """The names it had before, oldest first."""
    was: tuple[Rid, ...] = ()
    """The columns that it was converted from, newest first: they are retired, and versions before have them."""


@dataclass(frozen=True, slots=True)
class EntityType:
    """A kind of entity."""

    rid: Rid
    """Permanent id."""
    name: str
    """Its name, such as Nodule."""
    description: str | None
    """What one of them is."""
    key_label: str | None
    """What the natural key is called, such as hospital number hash; None if there is none."""
    place: str
    """Its table."""
    columns: tuple[EntityColumn, ...]
    """Its columns, in declared order."""

    def get_column(self, name: str) -> EntityColumn:
        """One column by its name, or by one it had before; raises NotFound with the names there are."""
        column = self.find_column(name)
        if column is not None:
            return column
        raise NotFound(
            f"{self.name} has no column {name!r}.",
            todo=f"Its columns are: {', '.join(column.name for column in self.columns) or 'none'}.",
        )

    def find_column(self, name: str) -> EntityColumn | None:
        """The column with this name, or else the one that had it before."""
        wanted = name_key(name)
        for column in self.columns:
            if name_key(column.name) == wanted:
                return column
        had = [column for column in self.columns if wanted in map(name_key, column.former)]
        return had[0] if len(had) == 1 else None

    @property
    def links(self) -> tuple[EntityColumn, ...]:
        """The columns that lead to other entities."""
        return tuple(column for column in self.columns if column.holds is Holds.LINK)


def get_type(view: View, name: str | Rid) -> EntityType:
    """One entity type by name, one it had before, or rid; raises NotFound."""
    if isinstance(name, int):
        rows = view.list_rows(entity_type, entity_type.c.rid == name)
    else:
        rows = find_named_rows(view, entity_type, name)
    if not rows:
        known = ", ".join(row.name for row in view.list_rows(entity_type)) or "none yet"
        raise NotFound(f"There is no entity type {name!r}.", todo=f"There are: {known}.")
    return _types(view, rows)[0]


def list_types(view: View) -> list[EntityType]:
    """All entity types, in the order in which they were declared."""
    return _types(view, view.list_rows(entity_type))


def list_sensitive_places(view: View) -> set[str]:
    """The places of all columns that are marked sensitive, or became one that is: today's mark holds for all time."""
    last = {row.rid: row for row in view.rows(sa.select(entity_column).order_by(entity_column.c.since))}
    marked = {rid for rid, row in last.items() if row.sensitive}
    source = {rid: row.converted_from for rid, row in last.items()}
    marked |= {before for rid in marked for before in _chain(source, rid)}
    return {last[rid].place for rid in marked if rid in last}


def mark_columns(tx: Transaction, rids: Sequence[Rid], *, sensitive: bool) -> None:
    """Mark columns as sensitive, or no longer."""
    living = sa.select(entity_column).where(entity_column.c.rid.in_(list(rids)), entity_column.c.until.is_(None))
    rows = tx.connection.execute(living).mappings().all()
    names = [column.name for column in payload(entity_column)]
    tx.replace(entity_column, [{**{name: row[name] for name in names}, "sensitive": int(sensitive)} for row in rows])


def get_table(view: View, kind: EntityType) -> sa.Table:
    """The table of an entity type."""
    return tables.load_one(view.connection, kind.place)


def load_table(connection: sa.Connection, place: str) -> sa.Table:
    """The table that lies at a place."""
    return tables.load_one(connection, place)


def clean_key(key: str) -> str:
    """A natural key in the form in which it is stored, however it was typed: NFC, without spaces around it."""
    return key if key.isascii() and key == key.strip() else unicodedata.normalize("NFC", key).strip()


def find_keys(view: View, kind: EntityType, keys: Sequence[str]) -> dict[str, Rid]:
    """The rids of the living entities with these natural keys; a merged duplicate's key leads to what it is now."""
    table = get_table(view, kind)
    stored = {key: clean_key(key) for key in keys}
    wanted = list(dict.fromkeys(stored.values()))
    found: dict[str, Rid] = {}
    living = sa.select(table.c.key, table.c.rid).where(view.visible(table))
    if len(wanted) > CHEAPER_SCANNED:
        found = {row.key: row.rid for row in view.rows(living.where(table.c.key.is_not(None)))}
    else:
        for part in portions(wanted):
            found.update((row.key, row.rid) for row in view.rows(living.where(table.c.key.in_(part))))
    if any(key not in found for key in wanted):
        merged = list_merged_keys(view, kind)
        found = {key: rid for key, (rid, _) in merged.items()} | found
    return {key: found[clean] for key, clean in stored.items() if clean in found}


def find_bearers(view: View, kind: EntityType, key: str) -> list[Rid]:
    """Every entity that ever bore a natural key, also one that was taken back; of a duplicate what it is now."""
    table = get_table(view, kind)
    wanted = sa.select(table.c.rid).where(table.c.key == clean_key(key), table.c.since <= view.change).distinct()
    return sorted({resolve_alias(view, row.rid) for row in view.rows(wanted)})


def find_last_key(view: View, kind: EntityType, rid: Rid) -> str | None:
    """The natural key that an entity bears, or bore when it was last there; None if nothing is held of it."""
    table = get_table(view, kind)
    row = view.first(sa.select(table.c.key).where(table.c.rid == rid).order_by(table.c.since.desc()).limit(1))
    return None if row is None else row.key


def list_merged_keys(view: View, kind: EntityType) -> dict[str, tuple[Rid, str]]:
    """The keys of merged duplicates, each with the rid and the key of the living entity that it is now."""
    aliases = list_aliases(view)
    if not aliases:
        return {}
    table = get_table(view, kind)
    now = view.rows(sa.select(table.c.rid, table.c.key).where(view.visible(table), table.c.rid.in_(aliases.values())))
    keys = {row.rid: row.key for row in now}
    had = sa.select(table.c.rid, table.c.key).where(table.c.rid.in_(list(aliases)), table.c.since <= view.change)
    return {
        row.key: (aliases[row.rid], keys[aliases[row.rid]])
        for row in view.rows(had.order_by(table.c.since))
        if row.key is not None and aliases[row.rid] in keys
    }


def get_entity(view: View, kind: EntityType, rid: Rid) -> dict[str, Any]:
    """One entity as stored values by column name, with rid and key; raises NotFound."""
    table = get_table(view, kind)
    row = view.first(sa.select(table).where(view.visible(table), table.c.rid == resolve_alias(view, rid)))
    if row is None:
        raise NotFound(f"This {kind.name} is not there.", todo="It may have been merged, withdrawn or erased.")
    values = row._asdict()
    return {
        "rid": row.rid,
        KEY: row.key,
        **{column.name: values.get(column.place) for column in kind.columns},
    }


def list_entities(view: View, kind: EntityType, rids: Sequence[Rid] | None = None) -> dict[str, list[Any]]:
    """All living entities of a type, or those with these rids, column by column (`rid`, `key`, places), by rid."""
    names = ["rid", KEY, *(column.place for column in kind.columns)]
    listed = list(zip(*_rows(view, kind, names, rids), strict=True)) or [()] * len(names)
    return {name: list(values) for name, values in zip(names, listed, strict=True)}


def list_rids(view: View, kind: EntityType, rids: Sequence[Rid] | None = None) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The rids of all living entities of a type, or those of these rids that are, ascending."""
    return np.array([row[0] for row in _rows(view, kind, ["rid"], rids)], dtype=np.int64)


def _rows(view: View, kind: EntityType, names: Sequence[str], rids: Sequence[Rid] | None) -> Iterable[Any]:
    """Columns of the living entities of a type, or of those with these rids, by rid."""
    table = get_table(view, kind)
    statement = sa.select(*(table.c[name] for name in names)).where(view.visible(table)).order_by(table.c.rid)
    if rids is None:
        return read_tuples(view, statement)
    return (row for part in portions(rids) for row in view.rows(statement.where(table.c.rid.in_(part))))


def resolve_alias(view: View, rid: Rid) -> Rid:
    """What an entity became after merges; itself if it was not merged."""
    while rows := view.list_rows(alias, alias.c.rid == rid):
        rid = rows[0].target
    return rid


def list_aliases(view: View) -> dict[Rid, Rid]:
    """Every merged duplicate, and the entity that it is now."""
    direct = {row.rid: row.target for row in view.list_rows(alias)}
    resolved = {}
    for old, target in direct.items():
        now = target
        while now in direct:
            now = direct[now]
        resolved[old] = now
    return resolved


def list_buckets(view: View, kind: Rid) -> list[Rid]:
    """The first rid of each bucket of a type, in order; the first bucket begins at 0."""
    return sorted(row.first for row in view.list_rows(bucket, bucket.c.type == kind)) or [0]


def add_type(tx: Transaction, fields: dict[str, Any], columns: Sequence[dict[str, Any]]) -> None:
    """A new entity type with its table."""
    tx.register(Kind.TYPE, [fields["rid"]])
    stored = [Field(KEY, "text", indexed=True), *(_field(column) for column in columns)]
    tables.declare(tx.connection, fields["place"], stored, unique=[KEY])
    tx.insert(entity_type, [{**fields, "name_key": name_key(fields["name"])}])
    tx.insert(entity_column, [_column_row(fields["rid"], column) for column in columns])
    put(tx.connection, [Document(fields["rid"], Kind.TYPE, fields["name"], fields.get("description") or "")])


def add_columns(tx: Transaction, kind: Rid, place: str, columns: Sequence[dict[str, Any]]) -> None:
    """More columns for a type; entities that are there have nothing in them yet."""
    tables.add_fields(tx.connection, place, [_field(column) for column in columns])
    tx.insert(entity_column, [_column_row(kind, column) for column in columns])


def add_entities(tx: Transaction, kind: Rid, place: str, rows: Sequence[dict[str, Any]]) -> None:
    """New entities; opens a new bucket when the last one is full.

    Raises InvalidInput if two living entities would have one natural key.
    """
    if not rows:
        return
    table = tables.load_one(tx.connection, place)
    rids = rows.columns["rid"] if isinstance(rows, ColumnRows) else [row["rid"] for row in rows]
    tx.register(Kind.ENTITY, rids, place)
    tx.insert(table, rows)
    last = tx.connection.execute(
        sa.select(sa.func.max(bucket.c.first)).where(bucket.c.type == kind, bucket.c.until.is_(None))
    ).scalar()
    inside = tx.connection.execute(
        sa.select(sa.func.count(sa.distinct(table.c.rid))).where(table.c.rid >= (last or 0))
    ).scalar_one()
    if inside > BUCKET_ROWS:
        ordered = sorted(
            rid for (rid,) in tx.connection.execute(sa.select(table.c.rid).distinct().where(table.c.rid >= (last or 0)))
        )
        firsts = ordered[BUCKET_ROWS::BUCKET_ROWS]
        # A bucket's first rid is its own key; the same entity cannot open two buckets of one type.
        tx.insert(bucket, [{"rid": first, "type": kind, "first": first} for first in firsts])


def change_entities(tx: Transaction, place: str, rows: Sequence[dict[str, Any]]) -> None:
    """New states of living entities; each row has all columns of now. What stands in retired ones is taken along."""
    if not rows:
        return
    table = tables.load_one(tx.connection, place)
    retired = [column.name for column in payload(table) if column.name not in rows[0]]
    kept: dict[Rid, dict[str, Any]] = {}
    for portion in portions(row["rid"] for row in rows if retired):
        living = sa.select(table).where(table.c.until.is_(None), table.c.rid.in_(portion))
        found = tx.connection.execute(living).mappings()
        kept.update((row["rid"], {name: row[name] for name in retired}) for row in found)
    tx.replace(table, [{**kept.get(row["rid"], {}), **row} for row in rows])


def retire_column(tx: Transaction, rid: Rid) -> None:
    """Take a column out of what its type declares; what stands in it stays, for versions and earlier times."""
    tx.end(entity_column, [rid])


def merge_entity(tx: Transaction, place: str, old: Rid, into: Rid) -> None:
    """End a duplicate and let its rid lead to the entity it was a duplicate of."""
    tx.end(tables.load_one(tx.connection, place), [old])
    tx.insert(alias, [{"rid": old, "target": into}])


def _field(column: dict[str, Any]) -> Field:
    return Field(column["place"], Holds(column["holds"]).stored, indexed=column["holds"] in {"link", "term"})


def _column_row(kind: Rid, column: dict[str, Any]) -> dict[str, Any]:
    return {**column, "type": kind, "name_key": name_key(column["name"])}


def _types(view: View, rows: Sequence[sa.Row[Any]]) -> list[EntityType]:
    wanted = [row.rid for row in rows]
    columns: dict[Rid, list[EntityColumn]] = {rid: [] for rid in wanted}
    column = entity_column
    # One query for what lives and what it was called before: types are read by nearly every verb.
    every = view.rows(sa.select(column).where(column.c.type.in_(wanted), column.c.since <= view.change))
    lives = [row for row in every if row.until is None or row.until > view.change]
    source = {row.rid: row.converted_from for row in every}
    named: dict[Rid, dict[str, str]] = {}
    for row in sorted(every, key=lambda row: row.since):
        named.setdefault(row.rid, {})[row.name_key] = row.name
    for row in sorted(lives, key=lambda row: row.position):
        was = _chain(source, row.rid)
        columns[row.type].append(
            EntityColumn(
                row.rid,
                row.name,
                row.place,
                Holds(row.holds),
                row.target,
                row.unit,
                row.description,
                bool(row.sensitive),
                tuple(_names_before(named, (*reversed(was), row.rid), row.name_key)),
                was,
            )
        )
    return [
        EntityType(row.rid, row.name, row.description, row.key_label, row.place, tuple(columns[row.rid]))
        for row in rows
    ]


def _names_before(named: Mapping[Rid, Mapping[str, str]], rids: Sequence[Rid], now: str) -> list[str]:
    found = {key: name for rid in rids for key, name in named[rid].items() if key != now}
    return list(found.values())


def _chain(source: Mapping[Rid, Rid | None], rid: Rid) -> tuple[Rid, ...]:
    found: list[Rid] = []
    while (before := source.get(rid)) is not None:
        found.append(before)
        rid = before
    return tuple(found)
