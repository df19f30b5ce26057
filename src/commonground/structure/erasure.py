"""What must be destroyed so that nothing of an entity is left, in rows of any time, parts, files and words.

The reach goes down the links, from a patient to the scans and nodules that belong to them by their newest state. A
merged duplicate belongs where the entity belongs that it is now. Whoever only lies in the same dataset is not reached.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import sqlalchemy as sa

from commonground.identity import Rid
from commonground.store import schema
from commonground.store.blobs import BlobStore
from commonground.store.portions import portions
from commonground.store.view import View
from commonground.structure import tables
from commonground.structure.assets import KEPT_VALUES, REFUSED_VALUES, Asset, list_assets
from commonground.structure.column_types import Holds
from commonground.structure.entities import EntityType, get_table, list_aliases, list_types
from commonground.structure.features import VALUE_TABLES
from commonground.structure.stored_files import ANY_DIGEST
from commonground.structure.tables import entity_column
from commonground.structure.telling_files import may_stand_in
from commonground.structure.telling_runs import list_told_runs
from commonground.structure.telling_words import list_changes_about

TELLING = (tables.edge, tables.execution)
"""Tables whose `details` may tell the digest of a file."""
ENTITY_COLUMN = {"members": "entity", "values": "entity", "entities": "rid", "sensitive": "rid", "raters": "scope"}


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
    """Files and series that belong to them alone, and imported files in which they stand, or may stand."""
    kept: list[Asset] = field(default_factory=list)
    """Files in which re-runs kept values of theirs and of others: the rows go, the others stay."""
    digests: set[str] = field(default_factory=set)
    """SHA-256 of these files that no other row has: a small file could be guessed from it, so it goes too."""
    told: dict[str, list[Rid]] = field(default_factory=dict)
    """Rows that tell such a digest among their details, and executions that name them: written anew without it."""
    changes: list[int] = field(default_factory=list)
    """Changes whose words name them, or their readers, or a value that only they have, or tell such a digest."""

    @property
    def rids(self) -> set[Rid]:
        """All entities."""
        return {rid for rids in self.entities.values() for rid in rids}


def measure_reach(view: View, blobs: BlobStore, kind: EntityType, start: Iterable[Rid]) -> Reach:
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
            (row.batch, row.ordinal) for part in portions(everything) for row in view.rows(_rows_about(table, part))
        ]
    slot = tables.slot
    reach.slots = [
        row.rid
        for part in portions(everything)
        for row in view.rows(sa.select(slot.c.rid).where(slot.c.scope.in_(part)))
    ]
    reach.assets = _assets(view, blobs, types, reach)
    going = {asset.rid for asset in reach.assets}
    reach.bulk[tables.asset_file.name] = _listed_files(view, going)
    reach.kept = [asset for asset, _, _ in find_kept_values(view, blobs, reach.rids) if asset.rid not in going]
    reach.digests = find_digests(view.connection, [*going, *(asset.rid for asset in reach.kept)])
    words = {*reach.keys, *reach.digests}
    reach.changes = list_changes_about(view, words, {types[rid]: rids for rid, rids in reach.entities.items()})
    told = {table.name: set(_tellers(view, table, reach.digests)) for table in TELLING}
    told[tables.execution.name] |= set(list_told_runs(view, reach.keys))
    reach.told = {name: sorted(rids) for name, rids in told.items() if rids}
    return reach


def find_digests(connection: sa.Connection, assets: Collection[Rid]) -> set[str]:
    """The digests of these files and series, and of the files in them, that nothing else has."""
    asset, file, header = tables.asset, tables.asset_file, schema.batch_header
    single = sa.select(asset.c.digest, asset.c.rid)
    listed = sa.select(file.c.digest, header.c.subject).join(header, header.c.rid == file.c.batch)
    gone = set(assets)
    going: set[str] = set()
    staying: set[str] = set()
    for statement in (single, listed):
        for digest, rid in connection.execute(statement.distinct()):
            (going if rid in gone else staying).add(str(digest))
    return going - staying


def find_kept_values(view: View, blobs: BlobStore, rids: set[Rid]) -> Iterator[tuple[Asset, pa.Table, pa.Table]]:
    """Files of runs that hold values of these entities: the file, its rows, and the rows that may stay."""
    rows = view.list_rows(tables.asset, tables.asset.c.kind.in_([KEPT_VALUES, REFUSED_VALUES]))
    for asset in list_assets(view, [row.rid for row in rows]):
        found = split_kept_values(blobs.get_bytes(asset.digest), rids) if asset.stored else None
        if found is not None:
            yield asset, *found


def split_kept_values(content: bytes, rids: set[Rid]) -> tuple[pa.Table, pa.Table] | None:
    """The rows of a file of kept values, and those that may stay; None if none of the entities stands in it."""
    table = _read_values(content)
    if table is None:
        return None
    gone = pc.is_in(table["entity"], pa.array(sorted(rids), pa.int64()))
    return (table, table.filter(pc.invert(gone))) if pc.any(gone).as_py() else None


def _read_values(content: bytes) -> pa.Table | None:
    if not content.startswith(b"PAR1"):
        return None
    try:
        table = pq.read_table(io.BytesIO(content))
    except pa.ArrowException:
        return None
    return table if {"entity", "value"} <= set(table.column_names) else None


def _rows_about(table: sa.Table, rids: Sequence[Rid]) -> sa.Select[Any]:
    """Their rows in all batches that were ever published; what is only staged is no part of the record."""
    header = schema.batch_header
    published = sa.exists().where(header.c.rid == table.c.batch)
    return sa.select(table.c.batch, table.c.ordinal).where(table.c.entity.in_(rids), published)


def redact(table: pa.Table, name: str, rids: set[Rid]) -> pa.Table | None:
    """A part without the rows about these entities; None if it has no such row."""
    column = ENTITY_COLUMN.get(name.partition("/")[0])
    if column is None:
        return None
    gone = pc.is_in(table[column], pa.array(sorted(rids), pa.int64()))
    return table.filter(pc.invert(gone)) if pc.any(gone).as_py() else None


def _with_duplicates(rids: set[Rid], aliases: Mapping[Rid, Rid]) -> set[Rid]:
    return rids | {old for old, now in aliases.items() if now in rids}


def _linking(view: View, types: dict[Rid, EntityType], target: Rid, rids: set[Rid]) -> Iterator[tuple[Rid, set[Rid]]]:
    """The entities whose newest state links to one of these."""
    for other in types.values():
        for place, until in _links_to(view, other, target):
            table = get_table(view, other)
            later = table.alias()
            after = [later.c.since < until] if until else []
            newest = ~sa.exists().where(later.c.rid == table.c.rid, later.c.since > table.c.since, *after)
            yield (
                other.rid,
                {
                    row.rid
                    for part in portions(sorted(rids))
                    for row in view.rows(
                        sa.select(table.c.rid).where(
                            table.c[place].in_(part), newest, *([table.c.since < until] if until else [])
                        )
                    )
                },
            )


def _links_to(view: View, kind: EntityType, target: Rid) -> list[tuple[str, int | None]]:
    """The columns by which entities of a type lead to another type: their places, and when they were retired if so.

    A link that became another link is that one now; one that became text is followed as it was at its end.
    """
    rows = view.rows(sa.select(entity_column).where(entity_column.c.type == kind.rid).order_by(entity_column.c.since))
    last = {row.rid: row for row in rows}
    replaced = {row.converted_from for row in last.values() if row.holds == Holds.LINK and row.converted_from}
    return [
        (row.place, row.until)
        for rid, row in last.items()
        if row.holds == Holds.LINK and row.target == target and rid not in replaced
    ]


def _file_places(view: View, kind: EntityType) -> list[str]:
    """The places of all columns of a type that hold files, or held them before they were retired."""
    column = entity_column
    held = sa.select(column.c.place).where(column.c.type == kind.rid, column.c.holds == str(Holds.ASSET))
    return sorted({row.place for row in view.rows(held)})


def _keys(view: View, kind: EntityType, rids: set[Rid]) -> list[str]:
    table = get_table(view, kind)
    return [
        row.key
        for part in portions(sorted(rids))
        for row in view.rows(sa.select(table.c.key).where(table.c.rid.in_(part), table.c.key.is_not(None)))
    ]


def _assets(view: View, blobs: BlobStore, types: dict[Rid, EntityType], reach: Reach) -> list[Asset]:
    own: set[Rid] = set()
    others: set[Rid] = set()
    for kind in types.values():
        places = _file_places(view, kind)
        if not places:
            continue
        table = get_table(view, kind)
        gone = reach.entities.get(kind.rid, set())
        for row in view.rows(sa.select(table.c.rid, *(table.c[place] for place in places))):
            (own if row.rid in gone else others).update(int(rid) for rid in tuple(row)[1:] if rid is not None)
    certain, possible = _sources(view, reach)
    looked = [one.rid for one in list_assets(view, sorted(possible - certain)) if _stands_in(blobs, one, reach.keys)]
    return list_assets(view, sorted((own - others) | certain | set(looked)))


def _stands_in(blobs: BlobStore, asset: Asset, keys: Sequence[str]) -> bool:
    """Whether one of them stands in an imported file; one that is not here is not looked into."""
    here = asset.stored and blobs.has(asset.digest)
    return not here or may_stand_in(blobs.get_bytes(asset.digest), asset.name, keys)


def _sources(view: View, reach: Reach) -> tuple[set[Rid], set[Rid]]:
    """Imported files in which they stand, as origins of their values; and the tables of their types, where they may."""
    header, anchor, asset = schema.batch_header, schema.change_anchor, tables.asset
    batches = sorted({batch for rows in reach.bulk.values() for batch, _ in rows})
    found: set[Rid] = set()
    for part in portions(batches):
        found.update(
            row.origin
            for row in view.rows(sa.select(header.c.origin).where(header.c.rid.in_(part), header.c.origin.is_not(None)))
        )
    imported = sa.select(anchor.c.change).where(anchor.c.rid.in_(list(reach.entities)))
    beside = sa.select(anchor.c.rid).where(anchor.c.change.in_(imported))
    tables_of = view.rows(
        sa.select(asset.c.rid).where(asset.c.kind == "table", asset.c.rid.in_(beside), view.visible(asset))
    )
    kept = view.rows(sa.select(asset.c.rid).where(asset.c.rid.in_(sorted(found)), asset.c.kind == "table"))
    return {row.rid for row in kept}, {row.rid for row in tables_of}


def _listed_files(view: View, assets: Collection[Rid]) -> list[tuple[Rid, int]]:
    file, header = tables.asset_file, schema.batch_header
    return [
        (row.batch, row.ordinal)
        for part in portions(sorted(assets))
        for row in view.rows(
            sa.select(file.c.batch, file.c.ordinal)
            .join(header, header.c.rid == file.c.batch)
            .where(header.c.subject.in_(part))
            .distinct()
        )
    ]


def _tellers(view: View, table: sa.Table, digests: set[str]) -> list[Rid]:
    if not digests:
        return []
    rows = view.rows(sa.select(table.c.rid, table.c.details).where(table.c.details.is_not(None)))
    return sorted({row.rid for row in rows if not digests.isdisjoint(ANY_DIGEST.findall(row.details))})
