"""Declaring entity types and bringing entities in: upsert by natural key, evolution by adding, merge of duplicates."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import sqlalchemy as sa

from commonground.errors import Conflict, InvalidInput, NotFound, count
from commonground.identity import Rid, show_rid
from commonground.operations.plans import Plan, Reading
from commonground.operations.sorting_out import SortedOut, sort_out, unfit_rows
from commonground.operations.wording import explain_word, index_words, note_columns
from commonground.store.ground import Ground
from commonground.store.transaction import Transaction
from commonground.store.view import View
from commonground.structure import entities, tables, vocabularies
from commonground.structure.column_types import Holds, read_values
from commonground.structure.entities import EntityColumn, EntityType
from commonground.structure.former_names import refuse_retired, refuse_taken
from commonground.structure.names import clean_name, name_key, slug
from commonground.structure.pointing import check_pointed
from commonground.structure.screen_told import screen_words
from commonground.structure.withdrawals import list_withdrawn_keys

SHOWN = 10
Given = Mapping[str, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class NewColumn:
    """A column to be declared."""

    name: str
    """Its name."""
    holds: str
    """What it holds."""
    target: str | None = None
    """The vocabulary of a term, or the entity type of a link."""
    unit: str | None = None
    """The unit of a number."""
    description: str | None = None
    """What it says."""
    sensitive: bool = False
    """Whether it is left out unless asked for."""


def plan_type(
    on: Reading,
    *,
    name: str,
    columns: Sequence[NewColumn | dict[str, Any]] = (),
    key_label: str | None = None,
    description: str | None = None,
) -> Plan:
    """Declare an entity type."""
    declared = describe_type(on, name, columns, key_label, description)
    return Plan(
        id=on.mint()[0],
        verb="type add",
        args=declared,
        at=on.view.change,
        anchors=(declared["type"]["rid"],),
        effect={"adds": f"entity type {declared['type']['name']}", "columns": [c["name"] for c in declared["columns"]]},
    )


def apply_type(tx: Transaction, plan: Plan) -> None:
    """Make the type and its table."""
    entities.add_type(tx, plan.args["type"], plan.args["columns"])


def plan_columns(on: Reading, *, type: str, columns: Sequence[NewColumn | dict[str, Any]]) -> Plan:
    """Add columns to an entity type; entities that are there have nothing in them yet."""
    kind = entities.get_type(on.view, type)
    rows = describe_columns(on, kind.name, columns, known=kind.columns)
    return on.plan(
        verb="type extend",
        args={"type": kind.rid, "place": kind.place, "columns": rows},
        about=(kind.rid,),
        effect={"adds": [row["name"] for row in rows], "to": kind.name},
    )


def apply_columns(tx: Transaction, plan: Plan) -> None:
    """Add the columns."""
    entities.add_columns(tx, plan.args["type"], plan.args["place"], plan.args["columns"])


def plan_upsert(on: Reading, *, type: str, keys: Sequence[str], columns: Given) -> Plan:
    """Bring entities in by natural key: new ones are added, changed ones get a new state, others stay as they are.

    Columns not given keep what they hold; a None given takes a value away. Links and terms are given by key or word.
    """
    kind = entities.get_type(on.view, type)
    stored = store_values(on, kind, columns, len(keys))
    sorted_out = sort_out(on, kind, list(keys), stored)
    sorted_out.notes.extend(note_columns(on, kind, columns))
    return upsert_plan(on, kind, sorted_out, declares=None)


def apply_upsert(tx: Transaction, plan: Plan) -> None:
    """Declare what must be declared, then write new and changed entities."""
    declares = plan.args.get("declares")
    if declares:
        entities.add_type(tx, declares["type"], declares["columns"])
    if plan.args.get("extends"):
        entities.add_columns(tx, plan.args["type"], plan.args["place"], plan.args["extends"])
    entities.add_entities(tx, plan.args["type"], plan.args["place"], plan.payload["new"])
    entities.change_entities(tx, plan.args["place"], plan.payload["changed"])


def plan_merge(on: Reading, *, type: str, duplicate: str, into: str) -> Plan:
    """Merge a duplicate into the entity it duplicates: what led to the one leads to the other from now on."""
    kind = entities.get_type(on.view, type)
    found = entities.find_keys(on.view, kind, [duplicate, into])
    for key in (duplicate, into):
        if key not in found:
            raise NotFound(f"There is no {kind.name} {key!r}.", todo="Look for a slip of the pen; `cg find` searches.")
    old, new = found[duplicate], found[into]
    if old == new:
        if duplicate != into:
            raise InvalidInput(f"{duplicate} and {into} are one {kind.name} already.", todo="Nothing is left to do.")
        raise InvalidInput("An entity cannot be merged into itself.", todo="Name the one that stays: into; --into.")
    moved = _relink(on.view, kind, old, new)
    return Plan(
        id=on.mint()[0],
        verb="entity merge",
        args={"type": kind.rid, "place": kind.place, "old": old, "into": new, "moved": moved},
        at=on.view.change,
        anchors=(old, new),
        reads=(kind.rid, old, new),
        effect={"merges": f"{duplicate} into {into}", "links moved": {m["type"]: len(m["rows"]) for m in moved}},
    )


def apply_merge(tx: Transaction, plan: Plan) -> None:
    """End the duplicate, let its id lead on, and move the links that led to it."""
    entities.merge_entity(tx, plan.args["place"], plan.args["old"], plan.args["into"])
    for move in plan.args["moved"]:
        entities.change_entities(tx, move["place"], move["rows"])


def recheck_merge(_ground: Ground, view: View, plan: Plan) -> None:
    """Raise Conflict if what links to the duplicate is no longer as it was planned."""
    kind = entities.get_type(view, plan.args["type"])
    if _relink(view, kind, plan.args["old"], plan.args["into"]) != plan.args["moved"]:
        raise Conflict(
            "What links to the duplicate changed while the merge was being prepared.", todo="Repeat the command."
        )


def read_types(on: Reading) -> list[EntityType]:
    """All entity types with their columns."""
    return entities.list_types(on.view)


def describe_type(
    on: Reading,
    name: str,
    columns: Sequence[NewColumn | dict[str, Any]],
    key_label: str | None,
    description: str | None,
) -> dict[str, Any]:
    """The arguments that declare a type."""
    clean = clean_name(name, "type's name")
    if any(name_key(kind.name) == name_key(clean) for kind in entities.list_types(on.view)):
        raise Conflict(f"There is an entity type {clean!r} already.", todo="Extend it: `cg type extend`.")
    refuse_taken(on.view, tables.entity_type, clean, "type")
    rid = on.mint()[0]
    place = f"e_{slug(clean)}_{show_rid(rid)[-6:].lower()}"
    fields = {"rid": rid, "name": clean, "description": description, "place": place, "key_label": key_label}
    return {"type": fields, "columns": describe_columns(on, clean, columns, known=())}


def describe_columns(
    on: Reading,
    type_name: str,
    columns: Sequence[NewColumn | dict[str, Any]],
    known: Sequence[EntityColumn],
) -> list[dict[str, Any]]:
    """The arguments that declare columns; raises InvalidInput with all faults at once."""
    told = _read_columns(columns)
    column_table, types = tables.entity_column, tables.entity_type
    own = sa.select(types.c.rid).where(on.view.visible(types), types.c.name_key == name_key(type_name))
    taken = {name_key(name) for column in known for name in (column.name, *column.former)} | {"key", "rid"}
    faults: list[str] = []
    rows: list[dict[str, Any]] = []
    for position, (rid, column) in enumerate(
        zip(on.mint(len(told)) if told else (), told, strict=True), len(known) + 1
    ):
        try:
            name = _free_name(column.name, type_name, taken)
            taken.add(name_key(name))
            refuse_retired(on.view, column_table, name, "column", column_table.c.type.in_(own))
            rows.append(
                {
                    "rid": rid,
                    "name": name,
                    "place": f"{slug(name)}_{show_rid(rid)[-6:].lower()}",
                    "holds": str(Holds(column.holds)),
                    "target": _target(on, column),
                    "unit": column.unit,
                    "description": screen_words(column.description) if column.description else None,
                    "sensitive": int(column.sensitive),
                    "position": position,
                }
            )
        except Conflict as error:
            faults.append(f"{error.what} {error.todo}")
        except (InvalidInput, NotFound) as error:
            faults.append(error.what)
        except ValueError:
            faults.append(f"{column.name}: {column.holds!r} is none of {', '.join(Holds)}")
    if faults:
        todo = "Correct these columns and declare them all at once."
        raise InvalidInput(f"The columns of {type_name} cannot be declared.", faults=faults, todo=todo)
    return rows


def _free_name(given: str, type_name: str, taken: Container[str]) -> str:
    name = clean_name(given, "column's name")
    if name_key(name) in taken:
        raise InvalidInput(f"{type_name} has a column {name!r} already, or a name too much like it")
    return name


def _read_columns(columns: Sequence[NewColumn | dict[str, Any]]) -> list[NewColumn]:
    """Columns that were given as plain data; raises InvalidInput with all faults at once."""
    known = {field.name for field in dataclasses.fields(NewColumn)}
    faults = []
    for place, column in enumerate(columns, 1):
        if isinstance(column, NewColumn):
            continue
        faults += [f"column {place}: {word!r} is none of {', '.join(sorted(known))}" for word in column.keys() - known]
        faults += [
            f"column {place}: its {word} is not said in text"
            for word in ("name", "holds")
            if not isinstance(column.get(word), str)
        ]
    if faults:
        raise InvalidInput("These columns cannot be declared.", faults=faults, todo="A column has a name and holds.")
    return [column if isinstance(column, NewColumn) else NewColumn(**column) for column in columns]


def store_values(on: Reading, kind: EntityType, columns: Given, rows: int) -> dict[str, list[Any]]:
    """Given values in their stored form, by place; links and terms are resolved. All faults at once."""
    faults: list[str] = []
    stored: dict[str, list[Any]] = {}
    for name, values in columns.items():
        try:
            column = _column_given(kind, name, values, rows, stored)
            stored[column.place] = (_store_guarded if column.sensitive else _store_column)(on, column, values)
        except (InvalidInput, NotFound) as error:
            faults += [error.what, *error.faults]
    if faults:
        todo = f"Correct these values; `cg show {kind.name}` lists its columns and what they hold."
        raise InvalidInput(f"These values do not fit {kind.name}.", faults=faults, todo=todo)
    return stored


def _column_given(
    kind: EntityType, name: str, values: Sequence[Any], rows: int, stored: Container[str]
) -> EntityColumn:
    """The column that values were given for; `stored` are the places of those that were read before."""
    column = kind.get_column(name)
    if isinstance(values, str) or not hasattr(values, "__len__"):
        raise InvalidInput(f"{name} needs a value for each of {rows} entities, as a list")
    if len(values) != rows:
        raise InvalidInput(f"{name} has {count(len(values), 'value')} for {count(rows, 'entity', 'entities')}")
    if column.place in stored:
        raise InvalidInput(f"{name} was the name of {column.name}, which is given as well")
    return column


def upsert_plan(
    on: Reading,
    kind: EntityType,
    found: SortedOut,
    *,
    declares: dict[str, Any] | None,
    extends: list[dict[str, Any]] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Plan:
    """The plan of an upsert whose rows are sorted out."""
    effect: dict[str, Any] = {
        "type": kind.name,
        "new": len(found.new),
        "changed": len(found.changed),
        "unchanged": found.unchanged,
        "absent from what was given, kept": len(found.absent),
    }
    if found.notes:
        effect["notes"] = found.notes
    if declares:
        effect["declares"] = [f"{c['name']} ({c['holds']})" for c in declares["columns"]]
    if extends:
        effect["adds columns"] = [f"{c['name']} ({c['holds']})" for c in extends]
    return on.plan(
        verb="entity upsert",
        args={
            "type": kind.rid,
            "place": kind.place,
            "declares": declares,
            "extends": extends,
            "new": len(found.new),
            "changed": len(found.changed),
            **(more or {}),
        },
        about=(kind.rid,),
        effect=effect,
        payload={"new": found.new, "changed": found.changed},
    )


def _store_column(on: Reading, column: EntityColumn, values: Sequence[Any]) -> list[Any]:
    if column.holds is Holds.TERM:
        vocabulary = column.target or 0
        words = index_words(on, vocabulary)
        return _look_up(column.name, lambda word: explain_word(on, vocabulary, word), values, words, name_key)
    if column.holds is Holds.LINK:
        target = entities.get_type(on.view, column.target or 0)
        wanted = sorted({str(value) for value in values if value is not None})
        found = entities.find_keys(on.view, target, wanted)
        gone = {key: f", withdrawn: {one.reason}" for key, one in list_withdrawn_keys(on.view, target).items()}
        return _look_up(
            column.name, lambda key: f"is the key of no {target.name}{gone.get(key, '')}", values, found, str
        )
    stored = read_values(column.name, column.holds, values)
    check_pointed(on.view, column.name, column.holds, stored)
    return stored


def _store_guarded(on: Reading, column: EntityColumn, values: Sequence[Any]) -> list[Any]:
    """As _store_column, for a sensitive column: a fault says where, not what."""
    try:
        return _store_column(on, column, values)
    except InvalidInput:
        rows = list(islice(unfit_rows(partial(_store_column, on, column), values), SHOWN + 1))
        faults = [*(f"row {row}" for row in rows[:SHOWN]), *(["and others"] if len(rows) > SHOWN else [])]
        told = f"{column.name}, {', '.join(faults)}: the value does not fit, and is kept back (sensitive)"
        # Not raised from the first fault, which quotes what it is about.
        raise InvalidInput(told) from None


def _look_up(
    name: str, what: Callable[[str], str], values: Sequence[Any], words: Mapping[str, Rid], form: Callable[[str], str]
) -> list[Any]:
    missing = sorted({str(value) for value in values if value is not None and form(str(value)) not in words})
    if missing:
        more = [f"... and {len(missing) - SHOWN} more"] if len(missing) > SHOWN else []
        raise InvalidInput(
            f"{name}: {count(len(missing), 'value')} cannot be resolved.",
            faults=[*(f"{name}: {value!r} {what(value)}" for value in missing[:SHOWN]), *more],
            todo="Correct these, or bring in first what they name.",
        )
    return [None if value is None else words[form(str(value))] for value in values]


def _target(on: Reading, column: NewColumn) -> Rid | None:
    holds = Holds(column.holds)
    if holds not in {Holds.TERM, Holds.LINK}:
        return None
    if not column.target:
        raise InvalidInput(f"{column.name}: a {holds} needs to say of what (its target)")
    if holds is Holds.TERM:
        return vocabularies.get_vocabulary(on.view, column.target).rid
    return entities.get_type(on.view, column.target).rid


def _relink(view: View, kind: EntityType, old: Rid, new: Rid) -> list[dict[str, Any]]:
    moved = []
    for other in entities.list_types(view):
        places = [column.place for column in other.links if column.target == kind.rid]
        if not places:
            continue
        listed = entities.list_entities(view, other)
        rows = []
        for position in range(len(listed["rid"])):
            row = {name: values[position] for name, values in listed.items()}
            if any(row[place] == old for place in places):
                rows.append({**row, **{place: new for place in places if row[place] == old}})
        if rows:
            moved.append({"type": other.name, "place": other.place, "rows": rows})
    return moved
