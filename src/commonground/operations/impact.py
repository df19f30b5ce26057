"""What depends on something declared, to be looked at before it changes: `cg impact`, and in the plan of each change.

Columns that lead to it, features, datasets and their criteria, released versions that hold it, selectors that were
applied to it, executions that read or made its values. A rule in words is looked through for the names of the thing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from commonground.errors import count
from commonground.identity import Kind, Rid, read_rid, show_rid
from commonground.operations.plans import Reading
from commonground.operations.schema_things import COLUMN, SchemaThing, resolve_thing
from commonground.structure import datasets, entities, features, history, lineage, naming, tables
from commonground.structure.column_types import Holds
from commonground.structure.former_names import list_former_names
from commonground.structure.selectors import Selector
from commonground.structure.versions import Manifest, load_manifest


@dataclass(frozen=True, slots=True)
class Touched:
    """One thing that a change of the schema touches."""

    kind: str
    """type, column, feature, dataset, criteria, version, selector or execution."""
    name: str
    """What it is called."""
    how: str
    """What it has to do with what changes."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.how}"


@dataclass(frozen=True, slots=True)
class Impact:
    """What depends on a declared thing."""

    name: str
    """The thing."""
    kind: str
    """Its kind."""
    touches: tuple[Touched, ...]
    """What depends on it; nothing if nothing does."""


def read_impact(on: Reading, *, what: str) -> Impact:
    """What depends on an entity type, a column, a feature, a vocabulary, a term or a dataset."""
    one = resolve_thing(on.view, what)
    return Impact(one.full_name, one.kind, tuple(list_touched(on, one)))


def list_lines(on: Reading, one: SchemaThing) -> list[str]:
    """What depends on a thing, a line each, for the effect of a plan."""
    return [str(touched) for touched in list_touched(on, one)]


def list_touched(on: Reading, one: SchemaThing) -> list[Touched]:
    """What depends on a thing, nearest first."""
    states = [*_in_datasets(on, one), *_versions(on, one)]
    found = [*_declared(on, one), *(told for _, told in states), *_in_criteria(on, one)]
    return [*found, *_selectors(on, one), *_executions(on, one, [state for state, _ in states])]


def _declared(on: Reading, one: SchemaThing) -> Iterator[Touched]:
    """Other declared things, and how much there is."""
    view = on.view
    for kind in entities.list_types(view):
        if one.kind == Kind.TYPE and kind.rid == one.rid:
            yield Touched(Kind.TYPE, kind.name, count(history.count_entities(view, kind), "entity", "entities"))
        for column in kind.columns:
            if column.target == one.rid:
                yield Touched(COLUMN, f"{kind.name}.{column.name}", f"holds a {column.holds} of it")
            elif one.kind == Kind.TERM and column.target == one.holder and column.holds is Holds.TERM:
                table = entities.get_table(view, kind)
                cells = view.count(sa.select(table.c.rid).where(view.visible(table), table.c[column.place] == one.rid))
                if cells:
                    yield Touched(
                        COLUMN,
                        f"{kind.name}.{column.name}",
                        f"{count(cells, 'cell says', 'cells say')} it",
                    )
            elif column.rid == one.rid:
                table = entities.get_table(view, kind)
                filled = table.c[column.place].is_not(None)
                cells = view.count(sa.select(table.c.rid).where(view.visible(table), filled))
                yield Touched(COLUMN, one.full_name, count(cells, "value"))
    for feature in features.list_features(view):
        name = naming.name_things(view, [feature.rid])[feature.rid].name
        counted, covered, _ = history.count_values(view, feature)
        if feature.rid == one.rid:
            yield Touched(Kind.FEATURE, name, f"{count(counted, 'value')} of {count(covered, 'entity', 'entities')}")
        elif one.rid in {feature.type, feature.vocabulary}:
            yield Touched(Kind.FEATURE, name, "is read of it" if feature.type == one.rid else "takes its words")
        elif one.kind == Kind.TERM and feature.vocabulary == one.holder:
            rows = view.live_batches(feature.table, feature.rid).subquery()
            said = view.count(sa.select(rows.c.batch).where(rows.c.value == one.rid))
            if said:
                yield Touched(Kind.FEATURE, name, f"{count(said, 'value says', 'values say')} it")


def _in_datasets(on: Reading, one: SchemaThing) -> Iterator[tuple[Rid, Touched]]:
    view = on.view
    for dataset in datasets.list_datasets(view):
        if dataset.rid == one.rid:
            parents = naming.name_things(view, datasets.list_parents(view, one.rid))
            yield from ((rid, Touched(Kind.DATASET, parent.name, "holds it")) for rid, parent in parents.items())
        elif one.kind in {Kind.TYPE, COLUMN}:
            kind = one.rid if one.kind == Kind.TYPE else one.holder or 0
            members = len(datasets.read_members(view, [dataset.rid]).of_type(kind))
            if members:
                yield dataset.rid, Touched(Kind.DATASET, dataset.name, count(members, "member"))
        elif one.rid in datasets.list_named_features(view, dataset.rid):
            yield dataset.rid, Touched(Kind.DATASET, dataset.name, "names it")


def _in_criteria(on: Reading, one: SchemaThing) -> Iterator[Touched]:
    """Rules whose words name the thing, by a name of now or before."""
    table = one.table
    names = [one.name, *list_former_names(on.view, table, table.c.rid == one.rid).get(one.rid, ())]
    said = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in names), re.IGNORECASE)
    for dataset in datasets.list_datasets(on.view):
        criteria = datasets.get_criteria(on.view, dataset.rid)
        if criteria is not None and said.search(criteria.rule):
            yield Touched("criteria", dataset.name, criteria.rule)


def _versions(on: Reading, one: SchemaThing) -> Iterator[tuple[Rid, Touched]]:
    view = on.view
    holding = None
    if one.kind == Kind.TERM:
        table = tables.version_term
        holding = {row.version for row in view.list_rows(table, table.c.term == one.rid)}
    every = datasets.list_every_version(view)
    named = naming.name_things(view, [version.rid for version in every])
    for version in every:
        if one.kind == Kind.DATASET:
            how = "is a release of it" if version.dataset == one.rid else None
        elif holding is not None:
            how = "holds it" if version.rid in holding else None
        else:
            how = _held(on, one, load_manifest(view, on.ground.blobs, version.manifest))
        if how:
            yield version.rid, Touched(Kind.VERSION, named[version.rid].name, how)


def _held(on: Reading, one: SchemaThing, manifest: Manifest) -> str | None:
    """What a version holds of a thing; None if nothing."""
    if one.kind == Kind.VOCABULARY:
        wanted = show_rid(one.rid)
        columns = [column for table in manifest.content["tables"] for column in table["columns"]]
        used = [one.get("vocabulary") for one in manifest.content["features"]] + [one.get("target") for one in columns]
        return "holds words of it" if wanted in used else None
    if one.kind == Kind.FEATURE:
        rows = int(manifest.get_table(f"values/{one.rid}")["rows"])
        named = any(read_rid(entry["feature"]) == one.rid for entry in manifest.content["features"])
        return f"holds {count(rows, 'value')}" if named else None
    kind = entities.get_type(on.view, one.holder if one.kind == COLUMN and one.holder else one.rid)
    table = manifest.get_table(f"entities/{kind.place}")
    if one.kind == COLUMN:
        place = next(column.place for column in kind.columns if column.rid == one.rid)
        columns = [*table["columns"], *manifest.get_table(f"sensitive/{kind.place}")["columns"]]
        label = [column.get("label") for column in columns if column["name"] == place]
        return f"holds it as {label[0]}" if label else None
    return f"holds {table['rows']:,} of them" if table["rows"] else None


def _selectors(on: Reading, one: SchemaThing) -> Iterator[Touched]:
    """How executions turned the values of a feature into one."""
    if one.kind != Kind.FEATURE:
        return
    wanted = show_rid(one.rid)
    listed = on.view.list_rows(tables.edge, tables.edge.c.details.contains(wanted))
    told: dict[tuple[Rid, str], None] = {}
    for edge in lineage.list_edges_among(on.view, [row.src for row in listed], "down"):
        for frame in edge.details.get("frames") or ():
            for used in frame.get("features") or ():
                if used.get("feature") == wanted:
                    told[edge.dst, Selector.from_json(used["selector"]).describe()] = None
    named = naming.name_things(on.view, [execution for execution, _ in told])
    yield from (Touched("selector", named[execution].name, rule) for execution, rule in told)


def _executions(on: Reading, one: SchemaThing, states: Sequence[Rid]) -> Iterator[Touched]:
    edges = lineage.list_edges_among(on.view, [*states, one.rid], "down")
    yield from _named_executions(on, [edge.dst for edge in edges], "used what holds it")
    if one.kind == Kind.FEATURE:
        yield from _named_executions(on, features.list_origins(on.view, one.rid), "made values of it")


def _named_executions(on: Reading, rids: Iterable[Rid], how: str) -> Iterator[Touched]:
    named = naming.name_things(on.view, rids)
    yield from (Touched(Kind.EXECUTION, told.name, how) for told in named.values() if told.kind == Kind.EXECUTION)
