"""What a version of a dataset holds, read from the catalogue as of a change.

Its members; the entities that they reach by following links towards the parent (nodule -> scan -> patient), never
back; all values of the features that the dataset names, for those entities; the terms and raters that these use; the
criteria. Nested datasets lie in the same scope: what several of them reach is held once.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeAlias, cast

import sqlalchemy as sa

from commonground.identity import Rid
from commonground.late import np
from commonground.store.bulk_reading import read_tuples
from commonground.store.canonical import Column, table_digest
from commonground.store.canonical_words import ColumnType
from commonground.store.long_tables import LongTable, Runs, taken
from commonground.store.view import View
from commonground.structure import tables
from commonground.structure.column_types import Holds
from commonground.structure.datasets import Membership, list_inside, list_named_features, read_members
from commonground.structure.entities import (
    BUCKET_ROWS,
    EntityType,
    get_table,
    list_buckets,
    list_types,
)
from commonground.structure.features import (
    Feature,
    FeatureValues,
    are_among,
    count_rows,
    get_feature,
    iterate_values,
    read_values,
)

CHEAPER_LOOKED_UP = 500
"""For more rids than these one scan of their range is cheaper than looking each up."""

IN_MEMORY = 1 << 17
"""Up to so many values of a feature are put in order in memory, which is a little quicker."""
VALUE_ORDER = ("entity", "batch", "ordinal")

Rids: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"


@dataclass(frozen=True, slots=True)
class Scope:
    """The reach of a dataset and of all that is nested in it."""

    dataset: Rid
    """The dataset."""
    inside: tuple[Rid, ...]
    """The dataset and all nested ones, parents before children."""
    members: Membership
    """The members of all of these."""
    entities: dict[Rid, Rids]
    """By entity type: members and what they reach, ascending."""
    types: dict[Rid, EntityType]
    """The types of these."""
    features: tuple[Feature, ...]
    """The features that any of them names."""


@dataclass(frozen=True, slots=True)
class Part:
    """One bucket of one table of a version."""

    table: str
    """The table: `members`, `nesting`, `entities/<place>`, `sensitive/<place>`, `values/<rid>`, `terms`, `raters`,
    `criteria`."""
    bucket: int
    """The number of the bucket."""
    columns: tuple[Column, ...]
    """The rows, column by column, in the table's order; without rows if `long` has them."""
    order: tuple[str, ...]
    """The columns that the rows are ordered by."""
    long: LongTable | None = None
    """The rows, if they are too many for memory; to be read before the next part is asked for."""

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return self.long.rows if self.long else len(self.columns[0].values)

    @property
    def content(self) -> str:
        """The digest of its rows."""
        return self.long.digest() if self.long else table_digest(self.columns, self.order)

    def portions(self, names: Collection[str] | None = None) -> Iterator[tuple[Column, ...]]:
        """Its rows in portions that memory holds, of all columns or only of these."""
        if self.long:
            return self.long.portions(names)
        return iter([tuple(column for column in self.columns if names is None or column.name in names)])

    def without_rows(self) -> Part:
        """Its columns alone, so that memory holds the rows of one part at a time."""
        columns = tuple(Column(column.name, column.type, []) for column in self.columns)
        return Part(self.table, self.bucket, columns, self.order)


def measure_scope(view: View, dataset: Rid) -> Scope:
    """The reach of a dataset in this view."""
    inside = tuple(list_inside(view, dataset))
    members = read_members(view, inside)
    types = {kind.rid: kind for kind in list_types(view)}
    entities = {int(kind): np.unique(members.of_type(int(kind))) for kind in np.unique(members.type)}
    waiting = {kind: rids for kind, rids in entities.items() if len(rids)}
    while waiting:
        kind, fresh = waiting.popitem()
        for target, reached in _follow_links(view, types[kind], fresh):
            known = entities.get(target, np.empty(0, dtype=np.int64))
            new = np.setdiff1d(reached, known)
            if len(new):
                entities[target] = np.union1d(known, new)
                waiting[target] = np.union1d(waiting.get(target, new), new)
    named = sorted({feature for one in inside for feature in list_named_features(view, one)})
    features = tuple(get_feature(view, rid) for rid in named)
    return Scope(dataset, inside, members, entities, types, features)


def _follow_links(view: View, kind: EntityType, rids: Rids) -> Iterator[tuple[Rid, Rids]]:
    if not kind.links:
        return
    table = get_table(view, kind)
    rows = _select(view, table, ["rid", *(link.place for link in kind.links)], rids)
    for position, link in enumerate(kind.links, start=1):
        reached = {row[position] for row in rows}
        yield link.target or 0, np.array(sorted(reached - {None}), dtype=np.int64)


def list_parts(view: View, scope: Scope, beside: Path | None = None) -> Iterator[Part]:
    """Every part of a scope, one at a time: memory holds one bucket, and of one with very many values a portion.

    Those are put in order in unnamed files, in the folder `beside` or in the system's for temporary files.
    """
    yield from _membership_parts(view, scope)
    used_terms: set[Rid] = set()
    used_raters: set[Rid] = set()
    for kind in sorted(scope.entities):
        declared = scope.types[kind]
        for number, inside in _buckets(scope.entities[kind], list_buckets(view, kind)):
            part = _entity_part(view, declared, number, scope.entities[kind][inside])
            holding = {column.place for column in declared.columns if column.holds is Holds.TERM}
            _collect(used_terms, *part.portions(holding))
            yield from _set_apart(part, {column.place for column in declared.columns if column.sensitive})
    for feature in scope.features:
        for part in _value_parts(view, scope, feature, beside):
            for columns in part.portions({"rater"}):
                _collect(used_raters, columns)
            for columns in part.portions({"value"} if feature.holds is Holds.TERM else ()):
                _collect(used_terms, columns)
            yield part
    yield _rows_part(view, "terms", tables.term, sorted(used_terms), ("vocabulary", "name", "description", "position"))
    yield _rows_part(view, "raters", tables.slot, sorted(used_raters), ("scope", "label"))
    yield _criteria_part(view, scope)


def _buckets(rids: Rids, firsts: Sequence[Rid]) -> Iterator[tuple[int, slice]]:
    edges = [*np.searchsorted(rids, np.array(firsts[1:], dtype=np.int64)).tolist(), len(rids)]
    start = 0
    for number, end in enumerate(edges):
        if end > start:
            yield number, slice(start, end)
        start = end


def _select(view: View, table: sa.Table, names: Sequence[str], rids: Rids) -> Sequence[Any]:
    """The rows with these rids, the rid first; in no order."""
    columns = [table.c[name] for name in names]
    statement = sa.select(*columns).where(view.visible(table))
    if len(rids) <= CHEAPER_LOOKED_UP:
        return view.rows(statement.where(table.c.rid.in_(rids.tolist())))
    # A version usually holds most rows of the range, so reading the range and leaving out the rest is cheapest.
    inside = read_tuples(view, statement.where(table.c.rid >= int(rids[0]), table.c.rid <= int(rids[-1])))
    wanted = set(rids.tolist())
    return [row for row in inside if row[0] in wanted]


def _entity_part(view: View, kind: EntityType, number: int, rids: Rids) -> Part:
    names = ["rid", "key", *(column.place for column in kind.columns)]
    types: list[ColumnType] = ["int", "text", *(column.holds.stored for column in kind.columns)]
    rows = sorted(_select(view, get_table(view, kind), names, rids), key=itemgetter(0))
    return Part(f"entities/{kind.place}", number, _columns(names, types, rows), ("rid",))


def _set_apart(part: Part, guarded: Collection[str]) -> Iterator[Part]:
    """Sensitive columns lie in a part of their own, with the rid, so that the rest can be read without them."""
    if not guarded:
        yield part
        return
    plain = tuple(column for column in part.columns if column.name not in guarded)
    apart = tuple(column for column in part.columns if column.name in guarded or column.name == "rid")
    place = part.table.partition("/")[2]
    yield Part(part.table, part.bucket, plain, part.order)
    yield Part(f"sensitive/{place}", part.bucket, apart, part.order)


def _value_parts(view: View, scope: Scope, feature: Feature, beside: Path | None) -> Iterator[Part]:
    table, rids = f"values/{feature.rid}", scope.entities.get(feature.type, np.empty(0, dtype=np.int64))
    firsts = list_buckets(view, feature.type)
    if count_rows(view, feature) > IN_MEMORY:
        yield from _long_value_parts(view, feature, rids, firsts, beside)
        return
    values = _within(read_values(view, feature), rids)
    for number, inside in _buckets(values.entity, firsts):
        yield Part(table, number, _value_columns(feature, values.take(inside)), VALUE_ORDER)


def _long_value_parts(
    view: View, feature: Feature, rids: Rids, firsts: Sequence[Rid], beside: Path | None
) -> Iterator[Part]:
    with Runs(VALUE_ORDER, beside) as runs:
        for values in iterate_values(view, feature):
            runs.add(_value_columns(feature, _within(values, rids)))
        pieces = _by_bucket(runs.merged(), firsts)
        for number, listed in itertools.groupby(pieces, key=itemgetter(0)):
            with LongTable(VALUE_ORDER, beside) as long:
                for _, columns in listed:
                    long.append(columns)
                short = long.columns
                headings = tuple(Column(column.name, column.type, []) for column in columns)
                told = (short, VALUE_ORDER) if short else (headings, VALUE_ORDER, long)
                yield Part(f"values/{feature.rid}", number, *told)


def _by_bucket(blocks: Iterator[tuple[Column, ...]], firsts: Sequence[Rid]) -> Iterator[tuple[int, tuple[Column, ...]]]:
    for columns in blocks:
        entity = next(np.asarray(column.values) for column in columns if column.name == "entity")
        for number, inside in _buckets(entity, firsts):
            yield number, taken(columns, inside)


def _within(values: FeatureValues, rids: Rids) -> FeatureValues:
    reached = are_among(values.entity, rids)
    return values if reached.all() else values.take(np.flatnonzero(reached))


def _value_columns(feature: Feature, values: FeatureValues) -> tuple[Column, ...]:
    def ints(name: str) -> Column:
        """A column in which 0 stands for nothing."""
        cells = getattr(values, name).astype(np.int64)
        return Column(name, "int", cells, cells == 0)

    return (
        Column("batch", "int", values.batch),
        Column("ordinal", "int", values.ordinal),
        Column("entity", "int", values.entity),
        Column("value", feature.holds.stored, values.value, values.missing),
        ints("rater"),
        ints("at"),
        Column("reason", "text", values.reason, values.without_reason),
        ints("adjudicated"),
        ints("origin"),
        Column("told", "int", values.told),
    )


def _rows_part(view: View, name: str, table: sa.Table, rids: Sequence[Rid], more: Sequence[str]) -> Part:
    names = ["rid", *more]
    types: list[ColumnType] = [
        "int",
        *("int" if isinstance(table.c[column].type, sa.BigInteger) else "text" for column in more),
    ]
    found = {row[0]: row for row in _select(view, table, names, np.array(rids, dtype=np.int64))} if rids else {}
    rows = [found.get(rid, (rid, *[None] * len(more))) for rid in rids]
    return Part(name, 0, _columns(names, types, rows), ("rid",))


def _membership_parts(view: View, scope: Scope) -> Iterator[Part]:
    members = scope.members
    for number, start in enumerate(range(0, len(members.entity), BUCKET_ROWS)):
        rows = slice(start, start + BUCKET_ROWS)
        yield Part(
            "members",
            number,
            (
                Column("dataset", "int", members.dataset[rows]),
                Column("entity", "int", members.entity[rows]),
                Column("type", "int", members.type[rows]),
            ),
            ("dataset", "entity"),
        )
    nested = view.list_rows(tables.nesting, tables.nesting.c.parent.in_(scope.inside))
    pairs = sorted((row.parent, row.child) for row in nested)
    yield Part("nesting", 0, _columns(["parent", "child"], ["int", "int"], pairs), ("parent", "child"))


def _criteria_part(view: View, scope: Scope) -> Part:
    rows = view.list_rows(tables.criteria, tables.criteria.c.dataset.in_(scope.inside))
    told = [(row.dataset, row.rule, row.reason) for row in rows]
    return Part("criteria", 0, _columns(["dataset", "rule", "reason"], ["int", "text", "text"], told), ("dataset",))


def _columns(names: Sequence[str], types: Sequence[ColumnType], rows: Sequence[Any]) -> tuple[Column, ...]:
    listed = list(zip(*rows, strict=True)) or [()] * len(names)
    return tuple(Column(name, kind, list(values)) for name, kind, values in zip(names, types, listed, strict=True))


def _collect(into: set[Rid], columns: Sequence[Column]) -> None:
    for column in columns:
        if isinstance(column.values, np.ndarray):
            gaps = column.missing
            into.update(np.unique(column.values if gaps is None else column.values[~np.asarray(gaps)]).tolist())
        else:
            into.update(value for value in cast("Sequence[Rid | None]", column.values) if value is not None)
