"""Features: typed, many-valued annotations of entities.

Every value has a rater (a person or a slot) or, if computed, the execution it comes from (the batch's origin); it is
never overwritten. "Cannot grade, because ..." is a value: nothing, with a reason. A value's id is batch and ordinal. An
adjudicated value is of its own kind; the readings that it settles lie in `settled`, a batch about the value's batch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from commonground.errors import NotFound
from commonground.identity import Kind, Rid
from commonground.late import np
from commonground.store import batches, schema
from commonground.store.bulk_reading import BulkRows, count_bulk, iterate_bulk, read_bulk
from commonground.store.text_index import Document, put
from commonground.store.transaction import Transaction
from commonground.store.view import View
from commonground.structure import tables
from commonground.structure.column_types import Holds
from commonground.structure.entities import list_aliases
from commonground.structure.former_names import find_named_rows, list_retired_rows, refuse_retired
from commonground.structure.names import name_key
from commonground.structure.selectors import Values
from commonground.structure.withdrawals import list_withdrawn_rids

VALUE_TABLES = {"int": tables.value_int, "real": tables.value_real, "text": tables.value_text}
VALUE_COLUMNS = ("entity", "value", "rater", "at", "reason", "adjudicated")


@dataclass(frozen=True, slots=True)
class Feature:
    """A kind of annotation."""

    rid: Rid
    """Permanent id."""
    name: str
    """Its name, such as malignancy."""
    type: Rid
    """The entity type it annotates."""
    description: str | None
    """What it says."""
    holds: Holds
    """What a value is."""
    vocabulary: Rid | None
    """The vocabulary that a term comes from."""
    lowest: float | None
    """The least number allowed."""
    highest: float | None
    """The greatest number allowed."""
    ordered: bool
    """Whether values are steps of a scale."""
    unit: str | None
    """The unit of a number."""

    @property
    def table(self) -> sa.Table:
        """The table that holds its values."""
        return VALUE_TABLES[self.holds.stored]


def get_feature(view: View, name: str | Rid, kind: Rid | None = None) -> Feature:
    """One feature by name (of an entity type, if several types have it), one it had before, or rid; raises NotFound."""
    conditions = [] if kind is None else [tables.feature.c.type == kind]
    if isinstance(name, int):
        rows = view.list_rows(tables.feature, tables.feature.c.rid == name, *conditions)
        # Versions and executions name a feature by its id also when it is retired.
        rows = rows or list_retired_rows(view, tables.feature, tables.feature.c.rid == name, *conditions)
    else:
        rows = find_named_rows(view, tables.feature, name, *conditions)
    if len(rows) != 1:
        known = ", ".join(row.name for row in view.list_rows(tables.feature)) or "none yet"
        if not rows and not isinstance(name, int):
            refuse_retired(view, tables.feature, name, "feature", *conditions)
        what = "There is no feature" if not rows else "More than one entity type has a feature"
        raise NotFound(f"{what} {name!r}.", todo=f"There are: {known}. `Nodule.malignancy` names one of a type.")
    return _feature(rows[0])


def list_features(view: View, kind: Rid | None = None) -> list[Feature]:
    """All features, or those of an entity type."""
    conditions = [] if kind is None else [tables.feature.c.type == kind]
    return [_feature(row) for row in view.list_rows(tables.feature, *conditions)]


@dataclass(frozen=True, slots=True)
class FeatureValues:
    """Values of a feature, column by column, in the order (entity, batch, ordinal)."""

    batch: np.ndarray[Any, np.dtype[np.int64]]
    ordinal: np.ndarray[Any, np.dtype[np.int64]]
    entity: np.ndarray[Any, np.dtype[np.int64]]
    value: np.ndarray[Any, Any]
    """int64, float64 or object; what stands where `missing` is True means nothing."""
    missing: np.ndarray[Any, np.dtype[np.bool_]]
    """True where the rater gave no value but a reason."""
    rater: np.ndarray[Any, np.dtype[np.int64]]
    """Person or slot; 0 if computed."""
    at: np.ndarray[Any, np.dtype[np.int64]]
    """Claimed time, or 0."""
    reason: np.ndarray[Any, Any]
    """Text or None."""
    adjudicated: np.ndarray[Any, np.dtype[np.bool_]]
    origin: np.ndarray[Any, np.dtype[np.int64]]
    """The execution or file they come from; 0 if typed in."""
    told: np.ndarray[Any, np.dtype[np.int64]]
    """The change in which they came."""

    def __len__(self) -> int:
        return len(self.entity)

    @property
    def without_reason(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """True where no reason was given."""
        none: np.ndarray[Any, np.dtype[np.bool_]] = self.reason == np.array(None)
        return none

    def take(self, rows: np.ndarray[Any, Any] | slice) -> FeatureValues:
        """Some of the rows."""
        return FeatureValues(*(getattr(self, name)[rows] for name in FeatureValues.__slots__))

    def with_positions(self, positions: Mapping[Rid, int]) -> FeatureValues:
        """The same values with each term as its place in its vocabulary."""
        places = np.array([positions.get(int(rid), 0) for rid in self.value], dtype=np.int64)
        return dataclasses.replace(self, value=places)

    def for_selecting(self, slots: np.ndarray[Any, Any]) -> Values:
        """The columns that a selector looks at; `slots` are the raters who are known only within one scan or case."""
        is_slot = np.isin(self.rater, slots)
        order = np.empty(len(self.entity), dtype=np.int64)
        order[np.lexsort((self.ordinal, self.batch))] = np.arange(len(self.entity))
        return Values(
            entity=self.entity,
            value=self.value,
            author=np.where(is_slot, 0, self.rater),
            slot=np.where(is_slot, self.rater, 0),
            execution=np.where(self.rater == 0, self.origin, 0),
            at=self.told,
            adjudicated=self.adjudicated,
            order=order,
            missing=self.missing,
        )


def read_values(view: View, feature: Feature) -> FeatureValues:
    """All values of a feature that are there in this view; a merged duplicate's count for what it is now.

    Those of withdrawn entities are not there.
    """
    rows = read_bulk(view, feature.table, [feature.rid], VALUE_COLUMNS)
    found = _as_they_count(rows, list_aliases(view), list_withdrawn_rids(view))
    if _ascends(found.entity):
        return found
    # They come by batch and ordinal, and a stable sort leaves it so within an entity.
    return found.take(np.argsort(found.entity, kind="stable"))


def iterate_values(view: View, feature: Feature) -> Iterator[FeatureValues]:
    """What `read_values` reads, a chunk at a time and in no order."""
    aliases, gone = list_aliases(view), list_withdrawn_rids(view)
    for rows in iterate_bulk(view, feature.table, [feature.rid], VALUE_COLUMNS):
        yield _as_they_count(rows, aliases, gone)


def count_rows(view: View, feature: Feature) -> int:
    """How many values a feature has been given, retired ones included, as its batches say it without being read."""
    return count_bulk(view, feature.table, [feature.rid])


def count_annotated(view: View, feature: Feature, rids: np.ndarray[Any, np.dtype[np.int64]]) -> int:
    """How many values there are of these entities, which ascend; of withdrawn ones too."""
    aliases, count = list_aliases(view), 0
    for rows in iterate_bulk(view, feature.table, [feature.rid], ["entity"]):
        count += int(np.count_nonzero(are_among(_as_now(rows.columns["entity"], aliases), rids)))
    return count


def are_among(
    entity: np.ndarray[Any, np.dtype[np.int64]], rids: np.ndarray[Any, np.dtype[np.int64]]
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which of the entities are among these, which ascend."""
    if not len(rids):
        return np.zeros(len(entity), dtype=np.bool_)
    places = np.searchsorted(rids, entity)
    found: np.ndarray[Any, np.dtype[np.bool_]] = rids[np.minimum(places, len(rids) - 1)] == entity
    return found


def _as_they_count(rows: BulkRows, aliases: Mapping[Rid, Rid], gone: Sequence[Rid]) -> FeatureValues:
    """Values of what is there now: of merged duplicates for what they are, and none of withdrawn entities."""
    found = FeatureValues(
        batch=rows.batch,
        ordinal=rows.ordinal,
        entity=_as_now(rows.columns["entity"], aliases),
        value=rows.columns["value"],
        missing=rows.missing["value"],
        rater=rows.columns["rater"],
        at=rows.columns["at"],
        reason=rows.columns["reason"],
        adjudicated=rows.columns["adjudicated"].astype(np.bool_),
        origin=rows.origin,
        told=rows.told,
    )
    if gone:
        found = found.take(np.flatnonzero(~np.isin(found.entity, np.array(gone, dtype=np.int64))))
    return found


def _as_now(
    entity: np.ndarray[Any, np.dtype[np.int64]], aliases: Mapping[Rid, Rid]
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The entities with what merged duplicates are now in their places."""
    for old, new in aliases.items():
        entity[entity == old] = new
    return entity


def in_entity_order(columns: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of new values, rows by entity; those of one entity stay in the order given.

    The index on entities then grows in a few places at a time. Rows in any order touch all of it with every chunk that
    is written: of a million values that is several times as much writing to the disk.
    """
    entity = np.asarray(columns["entity"], dtype=np.int64)
    if _ascends(entity):
        return dict(columns)
    order = np.argsort(entity, kind="stable")
    places = order.tolist()
    return {
        name: values[order] if isinstance(values, np.ndarray) else list(map(values.__getitem__, places))
        for name, values in columns.items()
    }


def _ascends(entity: np.ndarray[Any, np.dtype[np.int64]]) -> bool:
    return bool((entity[1:] >= entity[:-1]).all())


def add_feature(tx: Transaction, fields: dict[str, Any]) -> None:
    """A new feature."""
    tx.register(Kind.FEATURE, [fields["rid"]])
    tx.insert(tables.feature, [{**fields, "name_key": name_key(fields["name"])}])
    put(tx.connection, [Document(fields["rid"], Kind.FEATURE, fields["name"], fields.get("description") or "")])


def register_batch(tx: Transaction, batch: Rid) -> None:
    """Make a batch of values resolvable."""
    tx.register(Kind.BATCH, [batch])


def retire_values(tx: Transaction, rows: Sequence[tuple[Rid, Rid, int]]) -> None:
    """Retire single values: (new rid, batch, ordinal)."""
    batches.retire(tx, [row[0] for row in rows], [(row[1], row[2]) for row in rows])


def list_settled(view: View, batch: Rid, ordinal: int) -> set[tuple[Rid, int]]:
    """The readings, by batch and ordinal, that an adjudicated value settled."""
    rows = view.live_batches(tables.settled, batch).subquery()
    statement = sa.select(rows.c.reading_batch, rows.c.reading_ordinal).where(rows.c.place == ordinal)
    return {(row.reading_batch, row.reading_ordinal) for row in view.rows(statement)}


def list_origins(view: View, feature: Rid) -> list[Rid]:
    """The executions and files that values of a feature come from."""
    header = schema.batch_header
    rows = view.rows(
        sa.select(header.c.origin)
        .distinct()
        .where(view.visible(header), header.c.subject == feature, header.c.origin.is_not(None))
    )
    return sorted(row.origin for row in rows)


def _feature(row: sa.Row[Any]) -> Feature:
    return Feature(
        rid=row.rid,
        name=row.name,
        type=row.type,
        description=row.description,
        holds=Holds(row.holds),
        vocabulary=row.vocabulary,
        lowest=row.lowest,
        highest=row.highest,
        ordered=bool(row.ordered),
        unit=row.unit,
    )
