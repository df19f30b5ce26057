"""Datasets: sets of entities and nested datasets, at most one unreleased state, released versions that never change.

A dataset names the features whose values belong to it, carries labels on three axes (role, content, origin), and may
keep the criteria that produced its members. Members lie in batches; one taken out is a retired row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from commonground.errors import Conflict, NotFound
from commonground.identity import Kind, Rid
from commonground.late import np
from commonground.store import batches, schema
from commonground.store.bulk_reading import read_bulk
from commonground.store.portions import portions
from commonground.store.text_index import Document, put
from commonground.store.transaction import Transaction
from commonground.store.view import View
from commonground.structure import tables
from commonground.structure.entities import list_aliases
from commonground.structure.former_names import find_named_rows
from commonground.structure.names import name_key
from commonground.structure.version_numbers import VersionNumber
from commonground.structure.withdrawals import list_withdrawn_rids

AXES = ("role", "content", "origin")


@dataclass(frozen=True, slots=True)
class Dataset:
    """A set of entities that is used as one."""

    rid: Rid
    """Permanent id."""
    name: str
    """Its name."""
    description: str | None
    """What it is for."""


@dataclass(frozen=True, slots=True)
class Criteria:
    """The re-runnable selection that produced the members."""

    rule: str
    """The selection, as it was run."""
    reason: str | None
    """Why these and not others."""


@dataclass(frozen=True, slots=True)
class Version:
    """A released state of a dataset."""

    rid: Rid
    """Permanent id."""
    dataset: Rid
    """The dataset."""
    number: VersionNumber
    """Its semantic number."""
    change: int
    """The change as of which it holds the catalogue's content."""
    digest: str
    """SHA-256 of its logical content."""
    manifest: str
    """The blob that lists its parts."""
    rows: int
    """Rows of all its tables."""
    members: int
    """Entities that are its members, those of nested datasets included."""
    description: str | None
    """What is new in it."""
    since: int
    """The change that released it."""


@dataclass(frozen=True, slots=True)
class Membership:
    """Members of one or several datasets, by dataset and entity."""

    dataset: np.ndarray[Any, np.dtype[np.int64]]
    """The dataset of each."""
    entity: np.ndarray[Any, np.dtype[np.int64]]
    """The entity."""
    type: np.ndarray[Any, np.dtype[np.int64]]
    """Its entity type."""
    batch: np.ndarray[Any, np.dtype[np.int64]]
    """The batch that it came in."""
    ordinal: np.ndarray[Any, np.dtype[np.int64]]
    """The place in that batch."""

    def of_type(self, kind: Rid) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The members of one entity type."""
        found: np.ndarray[Any, np.dtype[np.int64]] = self.entity[self.type == kind]
        return found


def get_dataset(view: View, name: str | Rid) -> Dataset:
    """One dataset by name, one it had before, or rid; raises NotFound."""
    table = tables.dataset
    by_rid = view.list_rows(table, table.c.rid == name) if isinstance(name, int) else None
    rows = find_named_rows(view, table, str(name)) if by_rid is None else by_rid
    if not rows:
        known = ", ".join(row.name for row in view.list_rows(table)) or "none yet"
        raise NotFound(f"There is no dataset {name!r}.", todo=f"There are: {known}.")
    return _dataset(rows[0])


def list_datasets(view: View) -> list[Dataset]:
    """All datasets, in the order in which they were made."""
    return [_dataset(row) for row in view.list_rows(tables.dataset)]


def list_labels(view: View, dataset: Rid) -> dict[str, list[str]]:
    """The dataset's labels by axis."""
    found: dict[str, list[str]] = {}
    for row in view.list_rows(tables.dataset_label, tables.dataset_label.c.dataset == dataset):
        found.setdefault(row.axis, []).append(row.label)
    return found


def list_named_features(view: View, dataset: Rid) -> list[Rid]:
    """The features whose values belong to the dataset."""
    rows = view.list_rows(tables.dataset_feature, tables.dataset_feature.c.dataset == dataset)
    return sorted(row.feature for row in rows)


def get_criteria(view: View, dataset: Rid) -> Criteria | None:
    """What produced the members, if it was said."""
    rows = view.list_rows(tables.criteria, tables.criteria.c.dataset == dataset)
    return Criteria(rows[0].rule, rows[0].reason) if rows else None


def list_children(view: View, dataset: Rid) -> list[Rid]:
    """The datasets nested directly in this one."""
    return sorted(row.child for row in view.list_rows(tables.nesting, tables.nesting.c.parent == dataset))


def list_parents(view: View, dataset: Rid) -> list[Rid]:
    """The datasets that this one is nested in directly."""
    return sorted(row.parent for row in view.list_rows(tables.nesting, tables.nesting.c.child == dataset))


def list_inside(view: View, dataset: Rid) -> list[Rid]:
    """The dataset and all that is nested in it at any depth, each once, parents before children."""
    nesting = [(row.parent, row.child) for row in view.list_rows(tables.nesting)]
    children: dict[Rid, list[Rid]] = {}
    for parent, child in nesting:
        children.setdefault(parent, []).append(child)
    found: dict[Rid, None] = {}
    waiting = [dataset]
    while waiting:
        one = waiting.pop(0)
        if one not in found:
            found[one] = None
            waiting.extend(sorted(children.get(one, [])))
    return list(found)


def read_members(view: View, datasets: Sequence[Rid]) -> Membership:
    """The members of these datasets themselves, each once, without those of datasets nested in them.

    A merged duplicate counts as the entity it is now.
    """
    rows = read_member_rows(view, datasets)
    first = np.ones(len(rows.entity), dtype=np.bool_)
    first[1:] = (rows.entity[1:] != rows.entity[:-1]) | (rows.dataset[1:] != rows.dataset[:-1])
    return Membership(*(getattr(rows, name)[first] for name in Membership.__slots__))


def count_members(view: View, datasets: Sequence[Rid]) -> dict[Rid, int]:
    """How many entities of each type are members of these datasets, as `read_members` counts them, without arrays."""
    pairs = view.live_batches(tables.member).with_only_columns(tables.member.c.type, tables.member.c.entity).distinct()
    merged, gone = list_aliases(view), set(list_withdrawn_rids(view))
    found = {
        (row.type, merged.get(row.entity, row.entity))
        for portion in portions(datasets)
        for row in view.rows(pairs.where(schema.batch_header.c.subject.in_(portion)))
    }
    return dict(Counter(kind for kind, entity in found if entity not in gone))


def read_member_rows(view: View, datasets: Sequence[Rid]) -> Membership:
    """Every row that makes an entity a member: after a merge there may be several for one; withdrawn ones are none."""
    every = _read_rows(view, datasets)
    gone = list_withdrawn_rids(view)
    if not gone:
        return every
    kept = ~np.isin(every.entity, np.array(gone, dtype=np.int64))
    return Membership(*(getattr(every, name)[kept] for name in Membership.__slots__))


def list_withdrawn_members(view: View, datasets: Sequence[Rid]) -> list[tuple[Rid, Rid]]:
    """The entities that would be members if they had not been withdrawn, each with its type."""
    every = _read_rows(view, datasets)
    gone = np.isin(every.entity, np.array(list_withdrawn_rids(view), dtype=np.int64))
    return sorted(set(zip(every.entity[gone].tolist(), every.type[gone].tolist(), strict=True)))


def _read_rows(view: View, datasets: Sequence[Rid]) -> Membership:
    rows = read_bulk(view, tables.member, datasets, ("entity", "type"))
    entity = rows.columns["entity"]
    for old, new in list_aliases(view).items():
        entity[entity == old] = new
    order = np.lexsort((rows.ordinal, rows.batch, entity, rows.subject))
    columns = (rows.subject, entity, rows.columns["type"], rows.batch, rows.ordinal)
    return Membership(*(column[order] for column in columns))


def list_versions(view: View, dataset: Rid) -> list[Version]:
    """Released versions, newest first."""
    rows = view.list_rows(tables.version, tables.version.c.dataset == dataset)
    return sorted((_version(row) for row in rows), key=lambda version: version.number, reverse=True)


def list_every_version(view: View) -> list[Version]:
    """All released versions of all datasets, in the order in which they were released."""
    return [_version(row) for row in view.list_rows(tables.version)]


def get_version(view: View, dataset: Rid, number: VersionNumber | None = None) -> Version:
    """One released version by number, or the newest; raises NotFound."""
    versions = list_versions(view, dataset)
    for version in versions:
        if number is None or version.number == number:
            return version
    name = get_dataset(view, dataset).name
    wanted = f"{name}@{number}" if number else f"a released version of {name}"
    known = ", ".join(str(version.number) for version in versions) or "none yet"
    raise NotFound(f"There is no {wanted}.", todo=f"Released: {known}. `cg dataset release {name}` releases one.")


def get_version_by_rid(view: View, rid: Rid) -> Version:
    """One released version by rid; raises NotFound."""
    rows = view.list_rows(tables.version, tables.version.c.rid == rid)
    if not rows:
        raise NotFound("There is no such version.", todo="`cg show DATASET` lists the versions.")
    return _version(rows[0])


def add_dataset(tx: Transaction, fields: dict[str, Any], labels: Sequence[dict[str, Any]] = ()) -> None:
    """A new dataset."""
    tx.register(Kind.DATASET, [fields["rid"]])
    tx.insert(tables.dataset, [{**fields, "name_key": name_key(fields["name"])}])
    tx.insert(tables.dataset_label, [{**label, "dataset": fields["rid"]} for label in labels])
    put(tx.connection, [Document(fields["rid"], Kind.DATASET, fields["name"], fields.get("description") or "")])


def add_named_features(tx: Transaction, dataset: Rid, features: Sequence[tuple[Rid, Rid]]) -> None:
    """Name features whose values belong to the dataset: pairs of a new rid and the feature."""
    tx.insert(tables.dataset_feature, [{"rid": rid, "dataset": dataset, "feature": one} for rid, one in features])


def put_criteria(tx: Transaction, rid: Rid, dataset: Rid, rule: str, reason: str | None) -> None:
    """State what produced the members; an earlier statement ends."""
    table = tables.criteria
    old = tx.connection.execute(
        sa.select(table.c.rid).where(table.c.dataset == dataset, table.c.until.is_(None))
    ).scalars()
    tx.end(table, list(old))
    tx.insert(table, [{"rid": rid, "dataset": dataset, "rule": rule, "reason": reason}])


def retire_members(tx: Transaction, rows: Sequence[tuple[Rid, Rid, int]]) -> None:
    """Take single members out: (new rid, batch, ordinal)."""
    batches.retire(tx, [row[0] for row in rows], [(row[1], row[2]) for row in rows])


def nest(tx: Transaction, rid: Rid, parent: Rid, child: Rid) -> None:
    """Put one dataset into another; raises Conflict if that would close a circle."""
    table = tables.nesting
    pairs = tx.connection.execute(sa.select(table.c.parent, table.c.child).where(table.c.until.is_(None))).all()
    below = {child}
    grown = True
    while grown:
        more = {pair.child for pair in pairs if pair.parent in below} - below
        below |= more
        grown = bool(more)
    if parent in below:
        raise Conflict("A dataset cannot lie within itself.", todo="Nest the other way round, or make a third one.")
    tx.insert(table, [{"rid": rid, "parent": parent, "child": child}])


def unnest(tx: Transaction, parent: Rid, child: Rid) -> None:
    """Take a nested dataset out again."""
    table = tables.nesting
    rids = tx.connection.execute(
        sa.select(table.c.rid).where(table.c.parent == parent, table.c.child == child, table.c.until.is_(None))
    ).scalars()
    tx.end(table, list(rids))


def add_version(
    tx: Transaction,
    fields: dict[str, Any],
    raters: Sequence[tuple[Rid, Rid]],
    terms: Sequence[tuple[Rid, Rid]],
) -> None:
    """A released version, with the raters and terms that it rests on: pairs of a new rid and what it names."""
    tx.register(Kind.VERSION, [fields["rid"]])
    tx.insert(tables.version, [fields])
    tx.insert(tables.version_rater, [{"rid": rid, "version": fields["rid"], "rater": rater} for rid, rater in raters])
    tx.insert(tables.version_term, [{"rid": rid, "version": fields["rid"], "term": term} for rid, term in terms])


def _dataset(row: sa.Row[Any]) -> Dataset:
    return Dataset(row.rid, row.name, row.description)


def _version(row: sa.Row[Any]) -> Version:
    return Version(
        row.rid,
        row.dataset,
        VersionNumber.parse(row.number),
        row.change,
        row.digest,
        row.manifest,
        row.rows,
        row.members,
        row.description,
        row.since,
    )
