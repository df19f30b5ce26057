"""Frames: a state of a dataset as one wide table at a stated grain, by following links.

One row an entity of the grain, by rid. Columns: `rid`, `key`; the grain's own columns; for each link the linked
entity's key under the link's name, and its columns as `link.column`, and so on towards the parent; a column for each
feature chosen, through its selector. Terms are given by name. A link path that could mean two ways is refused by
naming it in full. The rid travels with every row; what each column holds is told as in frame_columns.py.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from commonground.errors import Ambiguous, InvalidInput, NotFound
from commonground.identity import Rid, read_rid
from commonground.store.canonical import Column, table_digest
from commonground.structure.column_types import Holds
from commonground.structure.features import Feature, FeatureValues
from commonground.structure.frame_columns import ARROW_TYPES, FrameColumn, make_table, show_cells
from commonground.structure.selectors import Selector, select
from commonground.structure.versions import Manifest

DEEPEST = 6
VALUES = pa.schema(
    [(name, pa.int64()) for name in ("batch", "ordinal", "entity", "value", "rater", "at", "adjudicated", "origin")]
    + [("told", pa.int64()), ("reason", pa.string())]
)
"""The table of a feature that nobody has given a value of."""


class TableSource(Protocol):
    """Whatever can give the tables of one state of a dataset."""

    @property
    def manifest(self) -> Manifest:
        """What the state consists of."""
        ...

    def get_table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """One of its tables."""
        ...


@dataclass(frozen=True, slots=True)
class UsedValues:
    """Which values of a feature a frame was made of."""

    feature: Rid
    """The feature."""
    selector: Selector
    """The rule."""
    rows: pa.Table
    """The values that were counted: entity, batch, ordinal."""
    digest: str
    """SHA-256 of these rows."""
    left_out: Mapping[str, int]
    """How many entities got no value, by reason."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A wide table, and what it was made of."""

    table: pa.Table
    """The rows."""
    used: tuple[UsedValues, ...]
    """The values behind each chosen feature."""
    kept_back: tuple[str, ...] = ()
    """Sensitive columns that were left out."""
    sensitive: tuple[str, ...] = ()
    """Sensitive columns that are in it, because they were asked for."""


@dataclass(frozen=True, slots=True)
class _Kind:
    rid: Rid
    name: str
    place: str
    columns: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class _Terms:
    names: Mapping[Rid, str]
    listed: Mapping[Rid, tuple[str, ...]]
    """By vocabulary, in its order."""


_Wide = dict[str, tuple[FrameColumn, Any]]
"""What each column holds, and its cells."""


def build_frame(
    source: TableSource,
    *,
    grain: str | None,
    chosen: Mapping[str, Selector],
    features: Mapping[str, Feature],
    types: Mapping[Rid, str],
    columns: Sequence[str] | None,
    missing: str = "keep",
    guarded: Collection[str] = (),
    sensitive: bool = False,
) -> Frame:
    """The frame of one state of a dataset.

    `chosen` maps features (by name) to selectors; `types` names the entity types; `columns` narrows the columns.
    `missing` says what happens to an entity without a value for a chosen feature: "keep" leaves the cell empty,
    "drop" leaves the row out, "error" refuses. Raises Ambiguous if the grain is not stated and members are of several
    types, NotFound for an unknown column or feature. `guarded` are the places of sensitive columns: these are left out
    unless they are named in `columns`, or `sensitive` asks for all.
    """
    if missing not in {"keep", "drop", "error"}:
        raise InvalidInput(f"missing cannot be {missing!r}.", todo="Say keep, drop or error.")
    members = source.get_table("members")
    kinds = _kinds(source, types)
    kind = _grain(source, kinds, types, grain)
    rids = np.unique(members["entity"].to_numpy()[members["type"].to_numpy() == kind.rid])
    terms = _terms(source)
    marked: set[str] = set()
    wide = _widen(source, kinds, kind, rids, terms, guarded, marked)
    back = set() if sensitive else marked - set(columns or ())
    wide = {label: told for label, told in wide.items() if label not in back}
    used = []
    for name, selector in chosen.items():
        column, cells, told = _choose(source, features[name], selector, rids, terms)
        wide[name] = (column, cells)
        used.append(told)
    table = make_table([(name, *told) for name, told in wide.items()])
    if chosen and missing != "keep":
        table = _without_gaps(table, list(chosen), missing)
    if columns is not None:
        lost = [name for name in columns if name not in table.column_names]
        if lost:
            raise NotFound(
                f"The frame has no column {', '.join(lost)}.", todo=f"It has: {', '.join(table.column_names)}."
            )
        table = table.select(list(dict.fromkeys(["rid", *columns, *chosen])))
    inside = tuple(name for name in table.column_names if name in marked)
    return Frame(table, tuple(used), tuple(sorted(back)), inside)


def _kinds(source: TableSource, types: Mapping[Rid, str]) -> dict[Rid, _Kind]:
    by_name = {name: rid for rid, name in types.items()}
    found = {}
    for entry in source.manifest.content["tables"]:
        group, _, place = entry["name"].partition("/")
        if group == "entities" and entry["label"] in by_name:
            rid = by_name[entry["label"]]
            apart = source.manifest.get_table(f"sensitive/{place}")["columns"]
            more = [column for column in apart if "holds" in column]
            found[rid] = _Kind(rid, entry["label"], place, (*entry["columns"], *more))
    return found


def _grain(source: TableSource, kinds: Mapping[Rid, _Kind], types: Mapping[Rid, str], grain: str | None) -> _Kind:
    members = source.get_table("members")
    if not members.num_rows:
        raise InvalidInput("This state has no members, so there is nothing to make a frame of.", todo="Add members.")
    present = [int(rid) for rid in np.unique(members["type"].to_numpy())]
    if grain is None:
        if len(present) != 1:
            raise Ambiguous(
                "The members are of several entity types, so a row could be one of several things.",
                todo=f"State the grain: {', '.join(types[rid] for rid in present)}.",
            )
        return kinds[present[0]]
    for kind in kinds.values():
        if kind.name == grain and kind.rid in present:
            return kind
    raise NotFound(f"No member is a {grain}.", todo=f"Members are: {', '.join(types[rid] for rid in present)}.")


def _terms(source: TableSource) -> _Terms:
    """The terms that the state rests on."""
    table = source.get_table("terms").select(["rid", "vocabulary", "name", "position"]).sort_by("position")
    listed: dict[Rid, list[str]] = {}
    for vocabulary, name in zip(table["vocabulary"].to_pylist(), table["name"].to_pylist(), strict=True):
        listed.setdefault(vocabulary, []).append(name)
    names = dict(zip(table["rid"].to_pylist(), table["name"].to_pylist(), strict=True))
    return _Terms(names, {vocabulary: tuple(found) for vocabulary, found in listed.items()})


def _widen(
    source: TableSource,
    kinds: Mapping[Rid, _Kind],
    grain: _Kind,
    rids: np.ndarray[Any, Any],
    terms: _Terms,
    guarded: Collection[str],
    marked: set[str],
) -> _Wide:
    """Every column of the grain and of what it links to; the labels of guarded ones are put into `marked`."""
    own = _rows_of(source, grain, rids)
    wide: _Wide = {
        "rid": (FrameColumn(Holds.INT), pa.array(rids)),
        "key": (FrameColumn(Holds.TEXT), own["key"]),
    }

    def follow(kind: _Kind, table: pa.Table, prefix: str, path: tuple[Rid, ...], *, below: bool) -> None:
        for column in kind.columns:
            if "holds" not in column:
                continue
            label = prefix + column["label"]
            cells = table[column["name"]]
            hidden = below or column["name"] in guarded
            if hidden:
                marked.add(label)
            target = read_rid(column["target"]) if column["target"] else 0
            if column["holds"] == Holds.LINK and target in kinds and target not in path and len(path) < DEEPEST:
                linked = _rows_of(source, kinds[target], pc.fill_null(cells, -1).to_numpy())
                wide[label] = (FrameColumn(Holds.LINK), linked["key"])
                follow(kinds[target], linked, f"{label}.", (*path, target), below=hidden)
            else:
                wide[label] = _shown(column, target, cells, terms)

    follow(grain, own, "", (grain.rid,), below=False)
    return wide


def _rows_of(source: TableSource, kind: _Kind, rids: np.ndarray[Any, Any]) -> pa.Table:
    """The kind's rows for these rids, in their order; an empty row where there is none (-1 leads nowhere).

    The rids come as int64: with nulls among them NumPy would make floats of them, which are not exact beyond 53 bits.
    """
    table = source.get_table(f"entities/{kind.place}")
    apart = source.get_table(f"sensitive/{kind.place}")
    # Both have the same rows in the same order, in versions from which rows were erased too.
    for name in apart.column_names:
        if name not in table.column_names:
            table = table.append_column(name, apart[name])
    known = table["rid"].to_numpy()
    order = np.argsort(known, kind="stable")
    places = np.searchsorted(known[order], rids)
    inside = places < len(known)
    hit = np.zeros(len(rids), dtype=np.bool_)
    hit[inside] = known[order][places[inside]] == rids[inside]
    if len(known) == 0:
        return pa.table({field.name: pa.nulls(len(rids), field.type) for field in table.schema})
    indices = pa.array(np.where(hit, order[np.where(hit, places, 0)], 0), mask=~hit)
    return table.take(indices)


def _shown(
    column: Mapping[str, Any], target: Rid, cells: pa.ChunkedArray, terms: _Terms
) -> tuple[FrameColumn, pa.ChunkedArray | pa.Array]:
    holds = Holds(column["holds"])
    if holds is Holds.TERM:
        named = pa.array([None if rid is None else terms.names.get(rid) for rid in cells.to_pylist()], pa.string())
        return FrameColumn(holds, terms=terms.listed.get(target, ())), named
    return FrameColumn(holds, column.get("unit")), show_cells(holds, cells)


def _choose(
    source: TableSource,
    feature: Feature,
    selector: Selector,
    rids: np.ndarray[Any, Any],
    terms: _Terms,
) -> tuple[FrameColumn, pa.Array, UsedValues]:
    table = source.get_table(f"values/{feature.rid}")
    named = {read_rid(entry["feature"]) for entry in source.manifest.content["features"]}
    if not table.column_names and feature.rid in named:
        table = VALUES.empty_table()
    if not table.column_names:
        raise NotFound(
            f"The dataset does not name the feature {feature.name}.",
            todo="Add it to the dataset's features and release a new version.",
        )
    if feature.holds is Holds.TERM and "mean" in {selector.ties, selector.fallback and selector.fallback.ties}:
        raise InvalidInput(
            f"Between two terms of {feature.name} there may be no term that is their mean.",
            todo="Choose ties='low', 'high' or 'drop'.",
        )
    values = _values_of(feature, table)
    values = values.take(np.flatnonzero(np.isin(values.entity, rids)))
    words = terms.names
    if feature.holds is Holds.TERM and feature.ordered:
        listed = source.get_table("terms")
        places = dict(zip(listed["rid"].to_pylist(), listed["position"].to_pylist(), strict=True))
        values = values.with_positions(places)
        words = {places[rid]: words[rid] for rid in np.unique(table["value"].drop_null().to_numpy()).tolist()}
    raters = source.get_table("raters")
    slots = raters.filter(raters["scope"].is_valid())["rid"].to_numpy()
    selected = select(values.for_selecting(slots), selector)
    rows = pa.table(
        {
            "entity": values.entity[selected.used],
            "batch": values.batch[selected.used],
            "ordinal": values.ordinal[selected.used],
        }
    )
    told = [Column(name, "int", rows[name].to_numpy()) for name in ("entity", "batch", "ordinal")]
    digest = table_digest(told, ("entity", "batch", "ordinal"))
    left_out = {str(reason): len(entities) for reason, entities in selected.dropped.items()}
    none = len(np.setdiff1d(rids, values.entity))
    if none:
        left_out["it has no value at all"] = none
    cells = _cells(feature, selected.entity, selected.value, rids, words)
    return _column_of(feature, cells, terms), cells, UsedValues(feature.rid, selector, rows, digest, left_out)


def _values_of(feature: Feature, table: pa.Table) -> FeatureValues:
    """The values in a table of a state, which has them in any order; in whole numbers nothing is 0."""

    def ints(name: str) -> np.ndarray[Any, Any]:
        filled: np.ndarray[Any, Any] = table[name].fill_null(0).to_numpy()
        return filled

    values = FeatureValues(
        batch=ints("batch"),
        ordinal=ints("ordinal"),
        entity=ints("entity"),
        value=table["value"].to_numpy() if feature.holds.stored == "text" else ints("value"),
        missing=table["value"].is_null().to_numpy(),
        rater=ints("rater"),
        at=ints("at"),
        reason=table["reason"].to_numpy(),
        adjudicated=ints("adjudicated").astype(np.bool_),
        origin=ints("origin"),
        told=ints("told"),
    )
    return values.take(np.lexsort((values.ordinal, values.batch, values.entity)))


def _column_of(feature: Feature, cells: pa.Array, terms: _Terms) -> FrameColumn:
    # The mean of whole numbers is none.
    holds = Holds.REAL if feature.holds is Holds.INT and pa.types.is_floating(cells.type) else feature.holds
    listed = terms.listed.get(feature.vocabulary, ()) if feature.vocabulary else ()
    return FrameColumn(holds, feature.unit, listed, feature.ordered)


def _cells(
    feature: Feature,
    entities: np.ndarray[Any, Any],
    values: np.ndarray[Any, Any],
    rids: np.ndarray[Any, Any],
    names: Mapping[Rid, str],
) -> pa.Array:
    places = np.searchsorted(entities, rids)
    inside = places < len(entities)
    hit = np.zeros(len(rids), dtype=np.bool_)
    hit[inside] = entities[places[inside]] == rids[inside]
    if not len(entities):
        return pa.nulls(len(rids), ARROW_TYPES[feature.holds])
    cells = values[np.where(hit, places, 0)]
    if feature.holds is Holds.TERM:
        named = [names.get(int(cell)) if known else None for cell, known in zip(cells, hit, strict=True)]
        return pa.array(named, pa.string())
    if feature.holds.stored == "text":
        told = pa.array([cell if known else None for cell, known in zip(cells, hit, strict=True)], pa.string())
        return show_cells(feature.holds, told)
    if feature.holds is Holds.INSTANT:
        cells = cells.astype(np.int64)
    return show_cells(feature.holds, pa.array(cells, mask=~hit))


def _without_gaps(table: pa.Table, chosen: Sequence[str], missing: str) -> pa.Table:
    keep = np.logical_and.reduce([table[name].is_valid().to_numpy() for name in chosen])
    if missing == "error" and not keep.all():
        raise InvalidInput(
            f"{int((~keep).sum())} entities have no value for {', '.join(chosen)}.",
            todo="Choose missing='drop' or 'keep', or another rule for ties.",
        )
    return table.filter(pa.array(keep))
