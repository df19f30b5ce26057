"""Undoing a change by its inverse, which is a change of its own: nothing that was recorded goes away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from commonground.errors import Conflict, Frozen, InvalidInput
from commonground.identity import Kind, Rid
from commonground.operations.plans import Plan, Reading
from commonground.operations.retiring import refuse_retiring_by_revert
from commonground.store import changes, text_index
from commonground.store.ground import Ground
from commonground.store.inverse import Inverse, apply_inverse, plan_inverse
from commonground.store.text_index import Document
from commonground.store.transaction import Transaction
from commonground.store.view import View
from commonground.structure import entities, tables, vocabularies
from commonground.structure.users import find_users

LASTING = {
    "dataset release": "A released version never changes.",
    "erase": "What was erased is gone.",
}
UNTOLD = frozenset({"bucket"})
"""Tables whose rows say nothing to people: where the entities of a type begin."""
NAMED = {
    "person": Kind.PERSON,
    "vocabulary": Kind.VOCABULARY,
    "term": Kind.TERM,
    "entity_type": Kind.TYPE,
    "feature": Kind.FEATURE,
    "dataset": Kind.DATASET,
}


def plan_revert(on: Reading, *, change: int) -> Plan:
    """Undo a change: what it added ends, what it ended lives again. Raises Conflict if a later change built on it."""
    done = changes.get_change(on.view.connection, change)
    if done.verb in LASTING or done.verb.startswith("execution"):
        raise Frozen(
            f"Change {change}, `{done.verb}`, cannot be undone. "
            + LASTING.get(done.verb, "What ran has run; its record stays."),
            todo="Say what holds now with a new change.",
        )
    refuse_retiring_by_revert(on.view, done)
    undone = {one.id: one.args["change"] for one in changes.list_by_verb(on.view.connection, "revert") if one.args}
    inverse = plan_inverse(on.view, change, undone)
    _refuse_in_use(on.view, inverse)
    if on.actor.person in {rid for listed in inverse.ends.values() for rid in listed}:
        raise InvalidInput("Nobody can take back their own coming.", todo="Ask another owner of the study.")
    anchors = changes.list_anchors(on.view.connection, change)
    return on.plan(
        verb="revert",
        args={"change": change, "ends": dict(inverse.ends), "restores": dict(inverse.restores)},
        about=tuple(anchors),
        effect={
            "undoes": f"change {change}, {done.verb}",
            "takes away": _count(on.view, inverse.ends),
            "brings back": _count(on.view, inverse.restores),
        },
    )


def _count(view: View, rows: Mapping[str, Sequence[Rid]]) -> dict[str, int]:
    """How many rows of each table, the tables of entities by the name of their type."""
    names = {entities.get_table(view, kind).name: kind.name for kind in entities.list_types(view)}
    shown = {table: rids for table, rids in rows.items() if table not in UNTOLD}
    return {names.get(table, table.replace("_", " ")): len(rids) for table, rids in shown.items()}


def apply_revert(tx: Transaction, plan: Plan) -> None:
    """End and restore the rows, and keep the text index in step."""
    args: dict[str, Any] = dict(plan.args)
    restored = apply_inverse(tx, Inverse(args["change"], args["ends"], args["restores"]))
    for table, kind in NAMED.items():
        text_index.remove(tx.connection, args["ends"].get(table, []))
        text_index.put(
            tx.connection,
            [Document(row["rid"], kind, row["name"], row["description"] or "") for row in restored.get(table, [])],
        )
    said = [*args["ends"].get("synonym", []), *args["restores"].get("synonym", [])]
    of = sa.select(tables.synonym.c.term).where(tables.synonym.c.rid.in_(said)).distinct() if said else None
    terms = list(tx.connection.execute(of).scalars()) if of is not None else []
    vocabularies.index_words(tx, sorted({*terms, *(row["rid"] for row in restored.get("term", []))}))


def recheck_revert(_ground: Ground, view: View, plan: Plan) -> None:
    """Raise Conflict if what would go is named by somebody who came in between."""
    _refuse_in_use(view, Inverse(plan.args["change"], plan.args["ends"], plan.args["restores"]))


def _refuse_in_use(view: View, inverse: Inverse) -> None:
    """Raise Conflict if something that would go is named by what would stay."""
    # The rows of a merge and of a withdrawal have the rid of their entity, which lives again when they go.
    living = {rid for listed in inverse.restores.values() for rid in listed}
    rids = sorted({rid for listed in inverse.ends.values() for rid in listed} - living)
    going = {name: set(listed) for name, listed in inverse.ends.items()}
    users = [f"{name} ({count})" for name, count in find_users(view, rids, going).items()]
    if users:
        raise Conflict(
            f"Change {inverse.change} cannot be undone: what it brought is in use, by {', '.join(users)}.",
            todo="Undo what uses it first, newest first: `cg log` shows the changes.",
        )
