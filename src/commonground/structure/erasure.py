"""What must be destroyed so that nothing of an entity is left, in rows of any time, parts, files and words.

The reach goes down the links, from a patient to the scans and nodules that belong to them by their newest state. A
merged duplicate belongs where the entity belongs that it is now. Whoever only lies in the same dataset is not reached.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from commonground.identity import Rid
from commonground.store import schema
from commonground.store.canonical import Column, table_digest
from commonground.store.view import View
from commonground.structure import tables
from commonground.structure.assets import Asset, list_assets
from commonground.structure.column_types import Holds
from commonground.structure.entities import EntityType, get_table, list_aliases, list_types
from commonground.structure.features import VALUE_TABLES
from commonground.structure.versions import Manifest

PART = 500
DISTINCT = 6
"""A key of so many characters does not stand in other words by chance."""
_WORD = r"(?<!\w)(?<!\w[-./:,+]){}(?!\w|[-./:,+]\w)"
ENTITY_COLUMN = {"members": "entity", "values": "entity", "entities": "rid", "raters": "scope"}


@dataclass(slots=True)
class Reach:
    """What an erasure would destroy."""

    entities: dict[Rid, set[Rid]] = field(default_factory=dict)
    """Entities by type."""
    keys: list[str] = field(default_factory=list)
    """Their natural keys, of any time: what is searched for in words and files."""
    bulk: dict[str, list[tuple[Rid, int]]] = field(default_factory=dict)
    """Bulk rows about them, by table: batch and ordinal."""
    slots: list[Rid] = field(default_factory=list)
    """Readers known only within them."""
    assets: list[Asset] = field(default_factory=list)
    """Files that belong to them alone, and imported files in which they stand."""
    changes: list[int] = field(default_factory=list)
    """Changes whose words name them."""

    @property
    def rids(self) -> set[Rid]:
        """All entities."""
        return {rid for rids in self.entities.values() for rid in rids}


def measure_reach(view: View, kind: EntityType, start: Iterable[Rid]) -> Reach:
    """What belongs to some entities: they, what they were merged from, and all that links to these, at any time."""
    types = {one.rid: one for one in list_types(view)}
    aliases = list_aliases(view)
    first = _with_duplicates(set(start), aliases)
    reach = Reach(entities={kind.rid: first})
    waiting = [(kind.rid, first)]
    while waiting:
        target, rids = waiting.pop()
        for other, linking in _linking(view, types, target, rids):
            known = reach.entities.setdefault(other, set())
            fresh = _with_duplicates(linking - aliases.keys(), aliases) - known
            if fresh:
                known |= fresh
                waiting.append((other, fresh))
    reach.entities = {rid: rids for rid, rids in reach.entities.items() if rids}
    reach.keys = sorted({key for other, rids in reach.entities.items() for key in _keys(view, types[other], rids)})
    everything = sorted(reach.rids)
    for table in (*VALUE_TABLES.values(), tables.settled, tables.member):
        reach.bulk[table.name] = [
            (row.batch, row.ordinal)
            for part in _parts(everything)
            for row in view.rows(sa.select(table.c.batch, table.c.ordinal).where(table.c.entity.in_(part)))
        ]
    slot = tables.slot
    reach.slots = [
        row.rid for part in _parts(everything) for row in view.rows(sa.select(slot.c.rid).where(slot.c.scope.in_(part)))
    ]
    reach.assets = _assets(view, types, reach)
    reach.changes = _changes(view, reach.keys)
    return reach


def redact(table: pa.Table, name: str, rids: set[Rid]) -> pa.Table | None:
    """A part without the rows about these entities; None if it has no such row."""
    column = ENTITY_COLUMN.get(name.partition("/")[0])
    if column is None:
        return None
    gone = pc.is_in(table[column], pa.array(sorted(rids), pa.int64()))
    return table.filter(pc.invert(gone)) if pc.any(gone).as_py() else None


def digest_part(table: pa.Table, manifest: Manifest, name: str) -> str:
    """The logical digest of a part as it is now."""
    entry = manifest.get_table(name)
    types = {column["name"]: column["type"] for column in entry["columns"]}
    columns = [Column(column, types[column], table[column].to_pylist()) for column in table.column_names]
    return table_digest(columns, entry["order"])


def _with_duplicates(rids: set[Rid], aliases: Mapping[Rid, Rid]) -> set[Rid]:
    return rids | {old for old, now in aliases.items() if now in rids}


def _linking(view: View, types: dict[Rid, EntityType], target: Rid, rids: set[Rid]) -> Iterator[tuple[Rid, set[Rid]]]:
    """The entities whose newest state links to one of these."""
    for other in types.values():
        for link in other.links:
            if link.target != target:
                continue
            table = get_table(view, other)
            later = table.alias()
            newest = ~sa.exists().where(later.c.rid == table.c.rid, later.c.since > table.c.since)
            yield (
                other.rid,
                {
                    row.rid
                    for part in _parts(sorted(rids))
                    for row in view.rows(sa.select(table.c.rid).where(table.c[link.place].in_(part), newest))
                },
            )


def _keys(view: View, kind: EntityType, rids: set[Rid]) -> list[str]:
    table = get_table(view, kind)
    return [
        row.key
        for part in _parts(sorted(rids))
        for row in view.rows(sa.select(table.c.key).where(table.c.rid.in_(part), table.c.key.is_not(None)))
    ]


def _assets(view: View, types: dict[Rid, EntityType], reach: Reach) -> list[Asset]:
    own: set[Rid] = set()
    others: set[Rid] = set()
    for kind in types.values():
        places = [column.place for column in kind.columns if column.holds is Holds.ASSET]
        if not places:
            continue
        table = get_table(view, kind)
        gone = reach.entities.get(kind.rid, set())
        for row in view.rows(sa.select(table.c.rid, *(table.c[place] for place in places))):
            (own if row.rid in gone else others).update(int(rid) for rid in tuple(row)[1:] if rid is not None)
    return list_assets(view, sorted((own - others) | _sources(view, reach)))


def _sources(view: View, reach: Reach) -> set[Rid]:
    """Imported files in which they stand: origins of their values, and the tables of their types."""
    header, anchor, asset = schema.batch_header, schema.change_anchor, tables.asset
    batches = sorted({batch for rows in reach.bulk.values() for batch, _ in rows})
    found: set[Rid] = set()
    for part in _parts(batches):
        found.update(
            row.origin
            for row in view.rows(sa.select(header.c.origin).where(header.c.rid.in_(part), header.c.origin.is_not(None)))
        )
    imported = sa.select(anchor.c.change).where(anchor.c.rid.in_(list(reach.entities)))
    tables_of = view.rows(
        sa.select(asset.c.rid).where(asset.c.kind == "table", asset.c.since.in_(imported), view.visible(asset))
    )
    kept = view.rows(sa.select(asset.c.rid).where(asset.c.rid.in_(sorted(found)), asset.c.kind == "table"))
    return {row.rid for row in tables_of} | {row.rid for row in kept}


def _changes(view: View, keys: Sequence[str]) -> list[int]:
    if not keys:
        return []
    log = schema.change
    rows = view.rows(sa.select(log.c.id, log.c.words).where(log.c.words.is_not(None)))
    return [row.id for row in rows if is_named(keys, "\n".join(_texts(json.loads(row.words))))]


def is_named(keys: Iterable[str], text: str) -> bool:
    """Whether a text names one of these keys: a long one anywhere, a short one as a word of its own.

    Keys such as 7 stand inside digests, dates and counts that are about nobody.
    """
    return any(
        key in text and (len(key) >= DISTINCT or re.search(_WORD.format(re.escape(key)), text) is not None)
        for key in keys
    )


def _texts(value: object) -> Iterator[str]:
    """Every text within plain data."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield name
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _parts(rids: Sequence[Rid]) -> Iterator[list[Rid]]:
    for start in range(0, len(rids), PART):
        yield list(rids[start : start + PART])
