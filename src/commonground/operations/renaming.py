"""Giving a declared thing another name: a label changes, nothing else does, and the old name still leads to it."""

from __future__ import annotations

from commonground.errors import InvalidInput
from commonground.identity import Kind
from commonground.operations.impact import list_lines
from commonground.operations.plans import Plan, Reading
from commonground.operations.schema_things import COLUMN, TABLES, WITHIN, resolve_thing
from commonground.store import text_index
from commonground.store.text_index import Document
from commonground.store.transaction import Transaction
from commonground.structure import vocabularies
from commonground.structure.former_names import refuse_taken, rename_row
from commonground.structure.names import clean_name, name_key

RESERVED = {"key", "rid"}


def plan_rename(on: Reading, *, what: str, to: str, reuse: bool = False) -> Plan:
    """Rename an entity type, a column, a feature, a vocabulary, a term or a dataset.

    Ids and places stay, released versions keep the names of their time, and the old name is understood for ever, unless
    `reuse` gives it to something else. Raises Conflict if the new name is taken, or was the name of another thing.
    """
    one = resolve_thing(on.view, what)
    name = clean_name(to, f"{one.kind}'s name")
    if one.kind == COLUMN and name_key(name) in RESERVED:
        raise InvalidInput(f"A column cannot be called {name!r}.", todo="Choose another name.")
    within = WITHIN.get(one.kind)
    conditions = [one.table.c[within] == one.holder] if within else []
    refuse_taken(on.view, one.table, name, one.kind, *conditions, own=one.rid, reuse=reuse)
    if one.kind == Kind.TERM:
        _refuse_synonym(on, one.holder or 0, name, one.rid)
    anchors = (one.holder if one.kind == COLUMN else one.rid) or 0
    return Plan(
        id=on.mint()[0],
        verb="rename",
        args={"kind": one.kind, "rid": one.rid, "before": one.name, "name": name},
        at=on.view.change,
        anchors=(anchors,),
        reads=tuple(rid for rid in (anchors, one.holder) if rid),
        effect={"renames": one.full_name, "to": name, "stays known as": one.name, "touches": list_lines(on, one)},
        nothing=name == one.name,
    )


def apply_rename(tx: Transaction, plan: Plan) -> None:
    """Give the row its new name, and the text index with it."""
    args = plan.args
    said = rename_row(tx, TABLES[args["kind"]], args["rid"], args["name"])
    if args["kind"] == Kind.TERM:
        vocabularies.index_words(tx, [args["rid"]])
    elif args["kind"] != COLUMN:
        text_index.put(tx.connection, [Document(args["rid"], args["kind"], args["name"], said)])


def _refuse_synonym(on: Reading, vocabulary: int, name: str, own: int) -> None:
    leads = vocabularies.index_terms(on.view, vocabulary).get(name_key(name), own)
    if leads != own:
        raise InvalidInput(f"{name!r} is a word for another term of this vocabulary.", todo="Choose another name.")
