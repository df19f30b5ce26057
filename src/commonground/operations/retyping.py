"""Giving a column another type: every living value is converted by a plan that lists all that does not convert.

The column of the new type is a new one with the old name; the old one is retired. Versions and earlier times keep it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from commonground.errors import InvalidInput, count
from commonground.operations.entities import NewColumn, describe_columns
from commonground.operations.impact import list_lines
from commonground.operations.plans import Plan, Reading
from commonground.operations.schema_things import COLUMN, SchemaThing, resolve_column
from commonground.store.transaction import Transaction
from commonground.structure import entities, tables, vocabularies
from commonground.structure.column_types import Holds
from commonground.structure.conversions import Converted, convert
from commonground.structure.entities import EntityColumn, EntityType
from commonground.structure.names import name_key


def plan_retype(
    on: Reading,
    *,
    what: str,
    to: str,
    target: str | None = None,
    unit: str | None = None,
    maps: Mapping[str, Any] | None = None,
    drop_bad: bool = False,
) -> Plan:
    """Let a column hold another type, such as `Patient.age` real instead of text.

    `target` names the vocabulary of a term or the entity type of a link. `maps` says what to read in place of a value
    (nothing: leave it empty); `drop_bad` leaves empty whatever does not convert. Raises InvalidInput with every value
    that does not convert, and where it stands, unless one of the two is given for it.
    """
    kind, column = resolve_column(on.view, what)
    row = _describe(on, kind, column, to, target, unit)
    listed = entities.list_entities(on.view, kind)
    told = {str(value): None if new is None else str(new) for value, new in (maps or {}).items()}
    done = _convert(on, column, listed[column.place], row, told)
    if done.bad and not drop_bad:
        bad = sum(len(rows) for _, rows in done.bad.values())
        raise InvalidInput(
            f"{count(bad, 'value')} of {kind.name}.{column.name} cannot become {row['holds']}.",
            faults=_spell_bad(column, done, listed["key"]),
            todo="Say what each becomes (maps; --map VALUE=NEW, nothing after = for empty), or leave them empty"
            " (drop_bad; --drop-bad).",
        )
    changed = [
        {**{name: values[position] for name, values in listed.items()}, row["place"]: value}
        for position, value in enumerate(done.values)
        if value is not None
    ]
    thing = SchemaThing(COLUMN, column.rid, column.name, f"{kind.name}.{column.name}", kind.rid)
    return on.plan(
        verb="retype",
        args={
            "type": kind.rid,
            "place": kind.place,
            "retires": column.rid,
            "column": row,
            "maps": len(done.used) if column.sensitive else done.used,
            "changed": len(changed),
        },
        about=(kind.rid,),
        effect={
            "retypes": thing.full_name,
            "from": str(column.holds),
            "to": row["holds"],
            "values converted": len(changed),
            "left empty": _spell_bad(column, done, listed["key"]),
            "touches": list_lines(on, thing),
        },
        payload={"changed": changed},
    )


def apply_retype(tx: Transaction, plan: Plan) -> None:
    """Retire the old column, declare the new one in its place, and write the converted values into it."""
    args = plan.args
    entities.retire_column(tx, args["retires"])
    entities.add_columns(tx, args["type"], args["place"], [args["column"]])
    entities.change_entities(tx, args["place"], plan.payload["changed"])


def _describe(
    on: Reading, kind: EntityType, column: EntityColumn, to: str, target: str | None, unit: str | None
) -> dict[str, Any]:
    """The row of the new column, which takes the old one's name and place in the order."""
    if Holds.ASSET in {column.holds, to}:
        raise InvalidInput("A file is no value that could be converted.", todo="Add another column: `cg type extend`.")
    new = NewColumn(column.name, to, target, unit or column.unit, column.description, column.sensitive)
    others = [one for one in kind.columns if one.rid != column.rid]
    (row,) = describe_columns(on, kind.name, [new], known=others)
    if row["holds"] == column.holds and row["target"] == column.target:
        raise InvalidInput(f"{kind.name}.{column.name} holds {column.holds} already.", todo="Nothing is left to do.")
    table = tables.entity_column
    (before,) = on.view.list_rows(table, table.c.rid == column.rid)
    return {**row, "position": before.position, "converted_from": column.rid}


def _convert(
    on: Reading, column: EntityColumn, values: Sequence[Any], row: Mapping[str, Any], told: Mapping[str, str | None]
) -> Converted:
    new = Holds(row["holds"])
    names = _names(on, column) if column.holds in {Holds.TERM, Holds.LINK} else None
    if new is Holds.TERM:
        words = vocabularies.index_terms(on.view, row["target"])
        return convert(values, column.holds, new, names=names, words=words, key=name_key, instead=told)
    if new is Holds.LINK:
        listed = entities.list_entities(on.view, entities.get_type(on.view, row["target"]))
        words = {key: rid for key, rid in zip(listed["key"], listed["rid"], strict=True) if key is not None}
        return convert(values, column.holds, new, names=names, words=words, instead=told)
    return convert(values, column.holds, new, names=names, instead=told)


def _names(on: Reading, column: EntityColumn) -> dict[int, str]:
    if column.holds is Holds.TERM:
        return {term.rid: term.name for term in vocabularies.list_terms(on.view, column.target or 0)}
    listed = entities.list_entities(on.view, entities.get_type(on.view, column.target or 0))
    return dict(zip(listed["rid"], listed["key"], strict=True))


def _spell_bad(column: EntityColumn, done: Converted, keys: Sequence[str]) -> list[str]:
    """Each value that does not convert with every key that has it; of a sensitive column the keys alone."""
    if column.sensitive:
        rows = sorted(row for _, found in done.bad.values() for row in found)
        return [f"{keys[row]}: its value is kept back (sensitive)" for row in rows]
    return [f"{text!r} ({', '.join(str(keys[row]) for row in rows)}): {why}" for text, (why, rows) in done.bad.items()]
