"""What a study declares and may change its mind about: types, columns, features, vocabularies, terms and datasets.

Named as everywhere, and a column or a term by what it lies in: `Patient.age`, `texture.solid`; where a feature has the
same name, `column:Patient.age`.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from commonground.errors import Ambiguous, InvalidInput, NotFound
from commonground.identity import Kind, Rid
from commonground.operations.resolving import resolve
from commonground.store.view import View
from commonground.structure import entities, tables
from commonground.structure.entities import EntityColumn, EntityType
from commonground.structure.former_names import find_named_rows, refuse_retired

COLUMN = "column"
TABLES: dict[str, sa.Table] = {
    Kind.TYPE: tables.entity_type,
    COLUMN: tables.entity_column,
    Kind.FEATURE: tables.feature,
    Kind.VOCABULARY: tables.vocabulary,
    Kind.TERM: tables.term,
    Kind.DATASET: tables.dataset,
}
WITHIN = {COLUMN: "type", Kind.FEATURE: "type", Kind.TERM: "vocabulary"}
"""The column of the table that says in what a name must be unique."""


@dataclass(frozen=True, slots=True)
class SchemaThing:
    """One declared thing, as it is now."""

    kind: str
    """type, column, feature, vocabulary, term or dataset."""
    rid: Rid
    """Its id."""
    name: str
    """Its name, without what it lies in."""
    full_name: str
    """Its name with what it lies in: `Patient.age`."""
    holder: Rid | None
    """What it lies in: the type of a column or feature, the vocabulary of a term."""

    @property
    def table(self) -> sa.Table:
        """The table that describes it."""
        return TABLES[self.kind]


def resolve_thing(view: View, what: str) -> SchemaThing:
    """What a name means among declared things.

    Raises NotFound, Ambiguous, Conflict for what was retired, or InvalidInput for anything else.
    """
    kind, _, rest = what.partition(":")
    inside = _inside(view, rest if kind in {COLUMN, Kind.FEATURE, Kind.TERM} and rest else what)
    if kind in TABLES and rest:
        inside = [one for one in inside if one.kind == kind]
    if len(inside) > 1:
        raise Ambiguous(
            f"{what!r} could mean {len(inside)} things.",
            faults=[f"{one.kind}:{one.full_name}" for one in inside],
            todo="Write one of these.",
        )
    if inside:
        return inside[0]
    try:
        found = resolve(view, what)
    except NotFound:
        _refuse_retired(view, rest if kind in TABLES and rest else what)
        raise
    if found.kind not in TABLES:
        raise InvalidInput(
            f"{what} is a {found.kind}; only what a study declares has a schema.",
            todo="Name an entity type, a column as Patient.age, a feature, a vocabulary, a term, or a dataset.",
        )
    return _describe(view, found.kind, found.rid)


def resolve_column(view: View, what: str) -> tuple[EntityType, EntityColumn]:
    """A column by `Patient.age`; raises as resolve_thing does."""
    found = resolve_thing(view, what if what.startswith(f"{COLUMN}:") else f"{COLUMN}:{what}")
    kind = entities.get_type(view, found.holder or 0)
    return kind, next(column for column in kind.columns if column.rid == found.rid)


def find_columns(view: View, text: str) -> list[tuple[SchemaThing, str | None]]:
    """The columns whose names, of now or before, or description have all these words or parts of them; described."""
    words = text.casefold().split()
    found = []
    for kind in entities.list_types(view) if words else ():
        for column in kind.columns:
            name = f"{kind.name}.{column.name}"
            said = " ".join([name, *column.former, column.description or ""]).casefold()
            # Words of the type alone mean the type.
            own = " ".join([column.name, *column.former, column.description or ""]).casefold()
            if all(word in said for word in words) and any(word in own or "." in word for word in words):
                found.append((SchemaThing(COLUMN, column.rid, column.name, name, kind.rid), column.description))
    return found


def _inside(view: View, name: str) -> list[SchemaThing]:
    """Columns, features and terms that are named by what they lie in."""
    of, _, last = name.partition(".")
    if not last:
        return []
    found: list[SchemaThing] = []
    for holder in find_named_rows(view, tables.entity_type, of):
        column = entities.get_type(view, int(holder.rid)).find_column(last)
        if column is not None:
            found.append(SchemaThing(COLUMN, column.rid, column.name, f"{holder.name}.{column.name}", holder.rid))
        feature = tables.feature
        found += [
            SchemaThing(Kind.FEATURE, row.rid, row.name, f"{holder.name}.{row.name}", holder.rid)
            for row in find_named_rows(view, feature, last, feature.c.type == holder.rid)
        ]
    for holder in find_named_rows(view, tables.vocabulary, of):
        term = tables.term
        found += [
            SchemaThing(Kind.TERM, row.rid, row.name, f"{holder.name}.{row.name}", holder.rid)
            for row in find_named_rows(view, term, last, term.c.vocabulary == holder.rid)
        ]
    return found


def _refuse_retired(view: View, name: str) -> None:
    """Raise Conflict if a column or a feature of this name was retired."""
    of, _, last = name.rpartition(".")
    holders = [row.rid for row in find_named_rows(view, tables.entity_type, of)] if of else []
    for kind in (COLUMN, Kind.FEATURE):
        table = TABLES[kind]
        refuse_retired(view, table, last, kind, *([table.c.type.in_(holders)] if of else []))


def _describe(view: View, kind: str, rid: Rid) -> SchemaThing:
    table = TABLES[kind]
    row = view.list_rows(table, table.c.rid == rid)[0]
    within = WITHIN.get(kind)
    if within is None:
        return SchemaThing(kind, rid, row.name, row.name, None)
    holder = int(row._asdict()[within])
    holders = TABLES[Kind.VOCABULARY if kind == Kind.TERM else Kind.TYPE]
    of = view.list_rows(holders, holders.c.rid == holder)[0].name
    return SchemaThing(kind, rid, row.name, f"{of}.{row.name}", holder)
