"""Lineage: what came from what.

An edge runs the way of the data: `used` from a thing to an execution, `produced` from an execution to a thing. Its
`role` is the name under which the execution knew the thing; `details` (plain data) say how: dataset, version number or
change, whether unreleased, selector, digest of the exact rows and the blob that holds them.

Relations that are no edges are followed too: a version rests on the executions whose computed values it holds (the
origin of their batches), on its raters and on its terms. An unreleased state of a dataset is the dataset's own rid.
A walk visits each thing once, however many ways lead there, and stops at a bound that it tells.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from commonground.identity import Kind, Rid
from commonground.store import schema
from commonground.store.portions import portions
from commonground.store.transaction import Transaction
from commonground.store.view import View
from commonground.structure import tables
from commonground.structure.tables import edge

USED, PRODUCED, VALUES, REPRODUCES = "used", "produced", "values", "reproduces"
Direction = Literal["up", "down"]
MOST = 10_000
ROUNDS = 50


@dataclass(frozen=True, slots=True)
class Edge:
    """One step of the way from data to result."""

    rid: Rid
    """Permanent id; 0 for a relation that is no edge of its own."""
    src: Rid
    """What was there first."""
    dst: Rid
    """What came from it."""
    relation: str
    """used, produced, or values (of an execution, held by a version)."""
    role: str | None
    """The name under which the execution knew the thing."""
    details: Mapping[str, Any]
    """How it was used or made."""


@dataclass(frozen=True, slots=True)
class Walk:
    """All that was reached from one thing in one direction."""

    start: Rid
    """Where it began."""
    direction: Direction
    """up: what it came from; down: what came of it."""
    reached: tuple[Rid, ...]
    """Every thing reached, without the start, each once, nearest first."""
    complete: bool
    """False if the bound was met: then there is more."""


@dataclass(frozen=True, slots=True)
class Named:
    """A thing with what to call it."""

    rid: Rid
    """The thing."""
    kind: str
    """Its kind."""
    name: str
    """Its name; for a version `dataset@number`, for a thing without one its kind."""
    state: str | None
    """The status of an execution, the kind of an asset."""


@dataclass(frozen=True, slots=True)
class Dependents:
    """What rests on something."""

    on: Rid
    """The rater, the term or the thing."""
    versions: tuple[Named, ...]
    """Released versions that hold it or came of it."""
    datasets: tuple[Named, ...]
    """Datasets whose unreleased state was used and may hold it."""
    executions: tuple[Named, ...]
    """Executions that used these, at any distance."""
    assets: tuple[Named, ...]
    """What those executions produced; a model has the state `model`."""
    complete: bool
    """False if the bound was met."""


def add_edges(tx: Transaction, edges: Iterable[Edge]) -> None:
    """New edges. Their ends are not touched: to use a thing does not change it."""
    listed = [_row(one) for one in edges]
    if listed:
        tx.insert(edge, listed)


def replace_edges(tx: Transaction, edges: Iterable[Edge]) -> None:
    """Say more of edges that are there, such as the rows that were read."""
    listed = [_row(one) for one in edges]
    if listed:
        tx.replace(edge, listed)


def list_edges(view: View, *, src: Rid | None = None, dst: Rid | None = None) -> list[Edge]:
    """The edges that leave `src` or arrive at `dst`, in the order in which they were made."""
    conditions = []
    if src is not None:
        conditions.append(edge.c.src == src)
    if dst is not None:
        conditions.append(edge.c.dst == dst)
    return [_edge(row) for row in view.list_rows(edge, *conditions)]


def list_reproductions(view: View, execution: Rid) -> list[Edge]:
    """The times that an execution was run again on purpose, the oldest first."""
    return [one for one in list_edges(view, src=execution) if one.relation == REPRODUCES]


def told_of(reproduction: Edge) -> str:
    """What a reproduction came to, in a line: different because of the seed (same environment)."""
    details = reproduction.details
    cause = f" because of the {details['cause']}" if details.get("cause") else ""
    level = f" ({details['level']})" if details.get("level") else ""
    return f"{details['outcome']}{cause}{level}"


def list_edges_among(view: View, rids: Sequence[Rid], direction: Direction) -> list[Edge]:
    """The edges that arrive at (up) or leave (down) any of these things."""
    column = edge.c.dst if direction == "up" else edge.c.src
    found: list[Edge] = []
    for part in portions(rids):
        found += [_edge(row) for row in view.list_rows(edge, column.in_(part))]
    return found


def walk(view: View, start: Rid, direction: Direction, *, depth: int | None = None, most: int = MOST) -> Walk:
    """All that `start` came from (up) or that came of it (down), over edges and computed values.

    `depth` bounds the number of steps, `most` the number of things; what lies further is left out.
    """
    reached: dict[Rid, int] = {start: 0}
    new = [start]
    complete = True
    for _ in range(ROUNDS):
        found = _reach(view, new, direction, depth, most + 2)
        fresh = {rid: level for rid, level in found.items() if rid not in reached}
        reached.update(fresh)
        if len(reached) > most + 1:
            complete = False
            break
        beyond = _values_beyond(view, [*new, *fresh], direction) if depth is None else set()
        new = sorted(beyond - reached.keys())
        if not new:
            break
        level = max(reached.values()) + 1
        reached.update(dict.fromkeys(new, level))
    else:
        complete = False
    ordered = sorted((rid for rid in reached if rid != start), key=lambda rid: reached[rid])
    return Walk(start, direction, tuple(ordered[:most]), complete)


def find_dependents(
    view: View, *, rater: Rid | None = None, term: Rid | None = None, rid: Rid | None = None, most: int = MOST
) -> Dependents:
    """What rests on values by a rater, on a term, or on any one thing: exactly one of the three is given."""
    on = next(one for one in (rater, term, rid) if one is not None)
    if rid is not None:
        starts = [rid]
    elif rater is not None:
        starts = _versions_with(view, tables.version_rater, "rater", rater) + _datasets_with_rater(view, rater)
    else:
        starts = _versions_with(view, tables.version_term, "term", on) + _datasets_with_term(view, on)
    reached: dict[Rid, None] = {}
    complete = True
    for start in starts:
        found = walk(view, start, "down", most=most)
        complete = complete and found.complete
        # A dataset counts only if its unreleased state was used: otherwise nothing rests on it.
        if rid is None and (found.reached or _is_version(view, start)):
            reached[start] = None
        reached.update(dict.fromkeys(found.reached))
    named = describe(view, list(reached))

    def of(kind: Kind) -> tuple[Named, ...]:
        return tuple(one for one in named.values() if one.kind == kind)

    return Dependents(on, of(Kind.VERSION), of(Kind.DATASET), of(Kind.EXECUTION), of(Kind.ASSET), complete)


def describe(view: View, rids: Sequence[Rid]) -> dict[Rid, Named]:
    """What to call each thing; one that no noun knows is called by its kind."""
    found: dict[Rid, Named] = {}
    version, dataset, execution, asset, workflow = (
        tables.version, tables.dataset, tables.execution, tables.asset, tables.workflow,
    )  # fmt: skip
    for part in portions(rids):
        for row in view.list_rows(execution, execution.c.rid.in_(part)):
            found[row.rid] = Named(row.rid, Kind.EXECUTION, row.name, row.status)
        for row in view.list_rows(asset, asset.c.rid.in_(part)):
            found[row.rid] = Named(row.rid, Kind.ASSET, row.name, row.kind)
        for row in view.list_rows(dataset, dataset.c.rid.in_(part)):
            found[row.rid] = Named(row.rid, Kind.DATASET, row.name, None)
        for row in view.list_rows(workflow, workflow.c.rid.in_(part)):
            found[row.rid] = Named(row.rid, Kind.WORKFLOW, row.name, None)
        versions = (
            sa.select(version.c.rid, version.c.number, dataset.c.name)
            .join(dataset, dataset.c.rid == version.c.dataset)
            .where(version.c.rid.in_(part), view.visible(version), view.visible(dataset))
        )
        for row in view.rows(versions):
            found[row.rid] = Named(row.rid, Kind.VERSION, f"{row.name}@{row.number}", None)
        feature, entity_type = tables.feature, tables.entity_type
        features = (
            sa.select(feature.c.rid, feature.c.name, entity_type.c.name.label("of"))
            .join(entity_type, entity_type.c.rid == feature.c.type)
            .where(feature.c.rid.in_(part), view.visible(feature), view.visible(entity_type))
        )
        for row in view.rows(features):
            found[row.rid] = Named(row.rid, Kind.FEATURE, f"{row.of}.{row.name}", None)
    for rid in rids:
        if rid not in found:
            kind = _kind_of(view, rid)
            found[rid] = Named(rid, kind, kind, None)
    return {rid: found[rid] for rid in rids}


def _reach(view: View, starts: Sequence[Rid], direction: Direction, depth: int | None, most: int) -> dict[Rid, int]:
    """The things reached over edges alone, each with a number that grows with distance."""
    here, there = ("dst", "src") if direction == "up" else ("src", "dst")
    alive = "e.until IS NULL"
    if not view.current:
        alive = f"e.since <= {view.change} AND coalesce(e.until, {schema.FOREVER}) > {view.change}"
    values = ", ".join(f"(CAST({int(rid)} AS BIGINT))" for rid in starts)
    if depth is None:
        statement = (
            f"WITH RECURSIVE reach(rid) AS (VALUES {values} UNION SELECT e.{there} FROM reach"
            f" JOIN edge e ON e.{here} = reach.rid WHERE {alive}) SELECT rid FROM reach LIMIT {most}"
        )
        rows = view.connection.exec_driver_sql(statement).fetchall()
        return {row[0]: position for position, row in enumerate(rows)}
    values = ", ".join(f"(CAST({int(rid)} AS BIGINT), 0)" for rid in starts)
    statement = (
        f"WITH RECURSIVE reach(rid, depth) AS (VALUES {values} UNION SELECT e.{there}, reach.depth + 1 FROM reach"
        f" JOIN edge e ON e.{here} = reach.rid WHERE {alive} AND reach.depth < {int(depth)})"
        f" SELECT rid, min(depth) FROM (SELECT rid, depth FROM reach LIMIT {most * (depth + 1)}) AS found GROUP BY rid"
    )
    return {row[0]: row[1] for row in view.connection.exec_driver_sql(statement)}


def _values_beyond(view: View, rids: Sequence[Rid], direction: Direction) -> set[Rid]:
    """One step over computed values: from versions to the executions they come from, or the other way."""
    version, named, header = tables.version, tables.dataset_feature, schema.batch_header
    was_there = sa.and_(
        named.c.since <= version.c.change,
        sa.func.coalesce(named.c.until, schema.FOREVER) > version.c.change,
        header.c.since <= version.c.change,
        sa.func.coalesce(header.c.until, schema.FOREVER) > version.c.change,
    )
    joined = version.join(named, named.c.dataset == version.c.dataset).join(header, header.c.subject == named.c.feature)
    # The one that is asked for, and the one that is looked up.
    wanted, given = (header.c.origin, version.c.rid) if direction == "up" else (version.c.rid, header.c.origin)
    found: set[Rid] = set()
    for part in portions(rids):
        statement = (
            sa.select(wanted)
            .distinct()
            .select_from(joined)
            .where(given.in_(part), header.c.origin.is_not(None), view.visible(version), was_there)
        )
        found.update(row[0] for row in view.rows(statement))
    return found


def _versions_with(view: View, table: sa.Table, column: str, rid: Rid) -> list[Rid]:
    return sorted({row.version for row in view.list_rows(table, table.c[column] == rid)})


def _datasets_with_rater(view: View, rater: Rid) -> list[Rid]:
    """Datasets that name a feature of which the rater has given values."""
    return _datasets_naming(view, [sa.select(table.c.batch).where(table.c.rater == rater) for table in _VALUES])


def _datasets_with_term(view: View, term: Rid) -> list[Rid]:
    """Datasets that name a feature with values that are this term."""
    feature, named = tables.feature, tables.dataset_feature
    vocabulary = sa.select(tables.term.c.vocabulary).where(tables.term.c.rid == term)
    statement = (
        sa.select(named.c.dataset)
        .distinct()
        .join(feature, feature.c.rid == named.c.feature)
        .where(view.visible(named), view.visible(feature), feature.c.vocabulary.in_(vocabulary))
    )
    candidates = [row.dataset for row in view.rows(statement)]
    used = _datasets_naming(view, [sa.select(tables.value_int.c.batch).where(tables.value_int.c.value == term)])
    return sorted(set(candidates) & set(used))


def _datasets_naming(view: View, batches: Sequence[sa.Select[Any]]) -> list[Rid]:
    named, header = tables.dataset_feature, schema.batch_header
    found: set[Rid] = set()
    for batch in batches:
        statement = (
            sa.select(named.c.dataset)
            .distinct()
            .join(header, header.c.subject == named.c.feature)
            .where(view.visible(named), view.visible(header), header.c.rid.in_(batch))
        )
        found.update(row.dataset for row in view.rows(statement))
    return sorted(found)


def _is_version(view: View, rid: Rid) -> bool:
    return _kind_of(view, rid) == Kind.VERSION


def _kind_of(view: View, rid: Rid) -> str:
    known = schema.identity
    row = view.first(
        sa.select(known.c.last, known.c.kind).where(known.c.first <= rid).order_by(known.c.first.desc()).limit(1)
    )
    return str(row.kind) if row is not None and row.last >= rid else "unknown"


def _row(one: Edge) -> dict[str, Any]:
    details = json.dumps(dict(one.details), sort_keys=True, ensure_ascii=False) if one.details else None
    return {
        "rid": one.rid,
        "src": one.src,
        "dst": one.dst,
        "relation": one.relation,
        "role": one.role,
        "details": details,
    }


def _edge(row: sa.Row[Any]) -> Edge:
    details = json.loads(row.details) if row.details else {}
    return Edge(row.rid, row.src, row.dst, row.relation, row.role, details)


_VALUES = (tables.value_int, tables.value_real, tables.value_text)
