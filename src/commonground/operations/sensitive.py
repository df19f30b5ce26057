"""Sensitive columns: which they are, and who may look at what stands in them.

A mark holds for all time, for versions that were released before it too. What is marked is left out of frames and of
what is shown, unless somebody who may asks for it; it is in no message, in no search, and in no words of a change.
"""

from __future__ import annotations

from collections.abc import Sequence

from commonground.errors import NotAllowed
from commonground.operations.impact import list_lines
from commonground.operations.plans import Plan, Reading, Role
from commonground.operations.schema_things import COLUMN, SchemaThing, resolve_column
from commonground.store.transaction import Transaction
from commonground.structure import entities

MAY = Role.CURATOR


def plan_sensitive(on: Reading, *, columns: Sequence[str], clear: bool = False) -> Plan:
    """Mark columns, such as `Patient.birthday`, as sensitive; with `clear` take the mark away."""
    found = [resolve_column(on.view, name) for name in columns]
    fresh = [(kind, column) for kind, column in found if column.sensitive is clear]
    types = tuple(dict.fromkeys(kind.rid for kind, _ in fresh))
    things = [
        SchemaThing(COLUMN, column.rid, column.name, f"{kind.name}.{column.name}", kind.rid) for kind, column in fresh
    ]
    return on.plan(
        verb="type sensitive",
        args={"columns": [column.rid for _, column in fresh], "sensitive": not clear},
        about=types,
        effect={
            "marks": f"{', '.join(one.full_name for one in things)} as {'not ' if clear else ''}sensitive",
            "touches": list(dict.fromkeys(line for one in things for line in list_lines(on, one))),
        },
        nothing=not fresh,
    )


def apply_sensitive(tx: Transaction, plan: Plan) -> None:
    """Write the marks."""
    entities.mark_columns(tx, plan.args["columns"], sensitive=plan.args["sensitive"])


def check_may(on: Reading, labels: Sequence[str]) -> None:
    """Raise NotAllowed if whoever reads may not see sensitive columns."""
    if on.role < MAY:
        raise NotAllowed(
            f"{', '.join(labels)}: sensitive, and shown to a {MAY.name.lower()} or an owner; you are a"
            f" {on.role.name.lower()}.",
            todo="Leave them out, or ask a curator of the study.",
        )
