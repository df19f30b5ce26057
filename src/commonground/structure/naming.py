"""Names of things of any kind: what to call a rid, and what a name could mean.

A version is called `dataset@number`, a feature `Type.name`, an entity `Type:key`; executions, assets and workflows may
share a name with others of their kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from commonground.identity import Kind, Rid
from commonground.store import schema
from commonground.store.portions import portions
from commonground.store.view import View
from commonground.structure import entities, lineage, tables, vocabularies
from commonground.structure.former_names import list_former_rows, list_retired_rows
from commonground.structure.lineage import Named
from commonground.structure.names import name_key
from commonground.structure.withdrawals import find_withdrawn, list_withdrawn

SAME = 500
"""How many executions, files or workflows of one name are looked at."""
MOST = 2000
WITHDRAWN = "withdrawn"
RETIRED = "retired"
_UNIQUE = {
    Kind.DATASET: tables.dataset,
    Kind.TYPE: tables.entity_type,
    Kind.FEATURE: tables.feature,
    Kind.VOCABULARY: tables.vocabulary,
    Kind.PERSON: tables.person,
    Kind.TERM: tables.term,
}
_SHARED = {Kind.EXECUTION: tables.execution, Kind.ASSET: tables.asset, Kind.WORKFLOW: tables.workflow}


def name_things(view: View, rids: Iterable[Rid]) -> dict[Rid, Named]:
    """What to call each thing, of whatever kind; one that has no name is called by its kind."""
    listed = list(dict.fromkeys(rids))
    found = lineage.describe(view, listed)
    plain = [rid for rid in listed if found[rid].name == found[rid].kind]
    for part in portions(plain):
        for kind in (Kind.TYPE, Kind.VOCABULARY, Kind.PERSON, Kind.TERM):
            table = _UNIQUE[kind]
            found.update((row.rid, Named(row.rid, kind, row.name, None)) for row in _rows(view, table, part))
        features, types = tables.feature, tables.entity_type
        joined = (
            sa.select(features.c.rid, features.c.name, types.c.name.label("of"))
            .join(types, types.c.rid == features.c.type)
            .where(view.visible(features), view.visible(types), features.c.rid.in_(part))
        )
        found.update((row.rid, Named(row.rid, Kind.FEATURE, f"{row.of}.{row.name}", None)) for row in view.rows(joined))
        found.update((row.rid, Named(row.rid, Kind.SLOT, row.label, None)) for row in _rows(view, tables.slot, part))
        left = [rid for rid in part if found[rid].name == Kind.FEATURE]
        found.update((one.rid, one) for one in (_name_retired(view, left) if left else ()))
    entities_left = [rid for rid in plain if found[rid].kind == Kind.ENTITY]
    found.update(_name_entities(view, entities_left))
    return found


def find_named(view: View, name: str) -> list[Named]:
    """Everything that a name could mean; a name written exactly alike goes before twins in other letters.

    Only if nothing has the name, the things that had it before.
    """
    wanted = name_key(name)
    found: list[Named] = []
    of, _, last = name.rpartition(".")
    for kind, table in _UNIQUE.items():
        rows = view.list_rows(table, table.c.name_key == wanted)
        found += [Named(row.rid, kind, row.name, None) for row in rows]
    if of:
        types, features = tables.entity_type, tables.feature
        holder = sa.select(types.c.rid).where(view.visible(types), types.c.name_key == name_key(of))
        rows = view.list_rows(features, features.c.name_key == name_key(last), features.c.type.in_(holder))
        found += [Named(row.rid, Kind.FEATURE, f"{of}.{row.name}", None) for row in rows]
    for kind, table in _SHARED.items():
        statement = sa.select(table).where(view.visible(table), table.c.name == name).limit(SAME)
        found += [Named(row.rid, kind, row.name, _state(kind, row)) for row in view.rows(statement)]
    exact = [one for one in found if one.name == name]
    return exact or found or _find_former(view, name)


def find_entity(view: View, type_name: str, key: str) -> Named | None:
    """The entity `Type:key`, if there is one."""
    types = {name_key(kind.name): kind for kind in entities.list_types(view)}
    kind = types.get(name_key(type_name))
    if kind is None:
        had = list_former_rows(view, tables.entity_type, type_name)
        kind = types[name_key(had[0].name)] if len(had) == 1 else None
    if kind is None:
        return None
    rid = entities.find_keys(view, kind, [key]).get(key)
    gone = find_withdrawn(view, kind, key) if rid is None else None
    if gone is not None:
        return Named(gone.rid, Kind.ENTITY, f"{kind.name}:{key}", WITHDRAWN)
    return None if rid is None else Named(rid, Kind.ENTITY, f"{kind.name}:{key}", None)


def find_entities(view: View, key: str) -> list[Named]:
    """The entities of any type that have this key."""
    found = ((kind, entities.find_keys(view, kind, [key]).get(key)) for kind in entities.list_types(view))
    return [Named(rid, Kind.ENTITY, f"{kind.name}:{key}", None) for kind, rid in found if rid is not None]


def list_names(view: View) -> list[str]:
    """Names that somebody may have meant, at most a few thousand of each kind."""
    found: dict[str, None] = {}
    for table in (*_UNIQUE.values(), *_SHARED.values()):
        statement = sa.select(table.c.name).where(view.visible(table)).order_by(table.c.rid.desc()).limit(MOST)
        found.update((row.name, None) for row in view.rows(statement))
    return list(found)


def _find_former(view: View, name: str) -> list[Named]:
    found = [
        Named(row.rid, kind, row.name, None)
        for kind, table in _UNIQUE.items()
        for row in list_former_rows(view, table, name)
    ]
    if not found:
        found = [Named(one.rid, Kind.TERM, one.name, None) for one in vocabularies.find_terms(view, name)]
    of, _, last = name.rpartition(".")
    types, features = tables.entity_type, tables.feature
    holders = (
        [*view.list_rows(types, types.c.name_key == name_key(of)), *list_former_rows(view, types, of)] if of else []
    )
    for holder in holders[:1]:
        inside = features.c.type == holder.rid
        rows = [
            *view.list_rows(features, features.c.name_key == name_key(last), inside),
            *list_former_rows(view, features, last, inside),
        ]
        found += [Named(row.rid, Kind.FEATURE, f"{holder.name}.{row.name}", None) for row in rows[:1]]
    return found


def _name_retired(view: View, rids: Sequence[Rid]) -> list[Named]:
    """Features that were retired, by the name that they had."""
    rows = list_retired_rows(view, tables.feature, tables.feature.c.rid.in_(rids))
    holders = {row.rid: row.name for row in _rows(view, tables.entity_type, [row.type for row in rows])}
    return [
        Named(row.rid, Kind.FEATURE, f"{holders[row.type]}.{row.name}", RETIRED) for row in rows if row.type in holders
    ]


def _name_entities(view: View, rids: Sequence[Rid]) -> dict[Rid, Named]:
    found: dict[Rid, Named] = {}
    if not rids:
        return found
    places: dict[str, list[Rid]] = {}
    known = schema.identity
    for rid in rids:
        statement = sa.select(known.c.place).where(known.c.first <= rid).order_by(known.c.first.desc()).limit(1)
        row = view.first(statement)
        if row is not None and row.place:
            places.setdefault(row.place, []).append(rid)
    for kind in entities.list_types(view):
        if kind.place in places:
            listed = entities.list_entities(view, kind, places[kind.place])
            keyed = dict(zip(listed["rid"], listed["key"], strict=True))
            gone = (
                {one.rid: one.key for one in list_withdrawn(view, kind)} if len(keyed) < len(places[kind.place]) else {}
            )
            found.update((rid, Named(rid, Kind.ENTITY, f"{kind.name}:{key}", None)) for rid, key in keyed.items())
            found.update(
                (rid, Named(rid, Kind.ENTITY, f"{kind.name}:{gone[rid]}", WITHDRAWN))
                for rid in places[kind.place]
                if rid in gone
            )
    return found


def _rows(view: View, table: sa.Table, rids: Sequence[Rid]) -> Sequence[sa.Row[tuple[object, ...]]]:
    return view.list_rows(table, table.c.rid.in_(list(rids)))


def _state(kind: Kind, row: sa.Row[tuple[object, ...]]) -> str | None:
    if kind is Kind.EXECUTION:
        return str(row.status)
    return str(row.kind) if kind is Kind.ASSET else None
