"""Retiring a column or a feature that is not used any more, and bringing it back.

Its row ends: it is hidden from frames of now, takes no new value, and leaves the datasets that name it. Nothing that
was said goes away: versions and earlier times have it, and it can be brought back. Its name leads to nothing else
meanwhile, and it is brought back by any name that it had.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from commonground.errors import Ambiguous, Conflict, InvalidInput, NotFound
from commonground.identity import Kind, Rid
from commonground.operations.impact import list_lines
from commonground.operations.plans import Plan, Reading
from commonground.operations.schema_things import COLUMN, TABLES, WITHIN, SchemaThing, resolve_thing
from commonground.store import changes, schema, text_index
from commonground.store.changes import Change
from commonground.store.ground import Ground
from commonground.store.text_index import Document
from commonground.store.transaction import Transaction
from commonground.store.view import View
from commonground.structure import entities, naming, tables
from commonground.structure.column_types import Holds
from commonground.structure.former_names import RETIRE, find_named_rows, list_retired_rows
from commonground.structure.names import name_key


def plan_retire(on: Reading, *, what: str, back: bool = False) -> Plan:
    """Retire a column, as Patient.age, or a feature; with `back` bring one back.

    Raises InvalidInput for anything else, and for a link: versions, splits and erasures follow it.
    """
    if back:
        return _plan_back(on, what)
    one = resolve_thing(on.view, what)
    if one.kind not in {COLUMN, Kind.FEATURE}:
        raise InvalidInput(f"{what} is a {one.kind}; columns and features can be retired.", todo="Name one of these.")
    _refuse_link(on, one)
    naming_it = _naming(on.view, one.rid)
    datasets = naming.name_things(on.view, [row.dataset for row in naming_it])
    return Plan(
        id=on.mint()[0],
        verb="retire",
        args={"kind": one.kind, "rid": one.rid, "back": False, "named by": [row.rid for row in naming_it]},
        at=on.view.change,
        anchors=(_anchor(one), *datasets),
        reads=tuple(dict.fromkeys((_anchor(one), one.rid, *datasets))),
        effect={
            "retires": one.full_name,
            **({"leaves the datasets": sorted(named.name for named in datasets.values())} if datasets else {}),
            "touches": list_lines(on, one),
        },
    )


def _plan_back(on: Reading, what: str) -> Plan:
    one, retired = _find_retired(on, what)
    naming_it = [] if one.kind == COLUMN else _named_before(on.view, one.rid, retired)
    datasets = naming.name_things(on.view, [row.dataset for row in naming_it])
    return on.plan(
        verb="retire",
        args={"kind": one.kind, "rid": one.rid, "back": True, "named by": [row.rid for row in naming_it]},
        about=(_anchor(one), *datasets),
        effect={
            "brings back": one.full_name,
            **({"comes back to the datasets": sorted(named.name for named in datasets.values())} if datasets else {}),
        },
    )


def apply_retire(tx: Transaction, plan: Plan) -> None:
    """End the row and what names it, or give these a new life."""
    args = plan.args
    table, rid = TABLES[args["kind"]], args["rid"]
    feature = args["kind"] == Kind.FEATURE
    if not args["back"]:
        tx.end(table, [rid])
        tx.end(tables.dataset_feature, args["named by"])
        if feature:
            text_index.remove(tx.connection, [rid])
        return
    row = _live_again(tx, table, rid)
    for one in args["named by"]:
        _live_again(tx, tables.dataset_feature, one)
    if feature:
        text_index.put(tx.connection, [Document(rid, Kind.FEATURE, row["name"], row["description"] or "")])


def _live_again(tx: Transaction, table: sa.Table, rid: Rid) -> dict[str, Any]:
    """Give a row that has ended its last state again."""
    names = [column.name for column in schema.payload(table)]
    last = sa.select(table).where(table.c.rid == rid).order_by(table.c.since.desc()).limit(1)
    row = tx.connection.execute(last).mappings().one()
    if row["until"] is None:
        raise Conflict("It is there already.", todo="`cg log` shows who brought it back.")
    told = {name: row[name] for name in names}
    tx.insert(table, [told])
    return told


def _named_before(view: View, feature: Rid, retired: int) -> Sequence[sa.Row[Any]]:
    """What named a feature until it was retired, of datasets that are there and do not name it again."""
    table = tables.dataset_feature
    there = {row.rid for row in view.list_rows(tables.dataset)}
    again = {row.dataset for row in _naming(view, feature)}
    ended = sa.select(table).where(table.c.feature == feature, table.c.until == retired).order_by(table.c.rid)
    return [row for row in view.rows(ended) if row.dataset in there - again]


def recheck_retire(_ground: Ground, view: View, plan: Plan) -> None:
    """Raise Conflict if a dataset has come in between that names what is retired."""
    if not plan.args["back"] and [row.rid for row in _naming(view, plan.args["rid"])] != plan.args["named by"]:
        raise Conflict("Other datasets name it by now than when it was planned.", todo="Repeat the command.")


def _naming(view: View, feature: Rid) -> Sequence[sa.Row[Any]]:
    return view.list_rows(tables.dataset_feature, tables.dataset_feature.c.feature == feature)


def _anchor(one: SchemaThing) -> Rid:
    """What the change is about: the type of a column, which has no page of its own."""
    return (one.holder or 0) if one.kind == COLUMN else one.rid


def _refuse_link(on: Reading, one: SchemaThing) -> None:
    if one.kind != COLUMN:
        return
    kind = entities.get_type(on.view, one.holder or 0)
    if next(column for column in kind.columns if column.rid == one.rid).holds is Holds.LINK:
        raise InvalidInput(
            f"{one.full_name} is a link: what belongs together is found by it.",
            todo="Let it lead to another type with `cg retype`, or leave it.",
        )


def refuse_retiring_by_revert(view: View, change: Change) -> None:
    """Raise Conflict for a change that brought something back: without it that would be gone, and not retired."""
    again = change.verb == "revert" and "change" in change.args
    brought = changes.get_change(view.connection, change.args["change"]) if again else change
    if brought.verb != RETIRE or bool(brought.args.get("back")) is again:
        return
    table, rid = TABLES[brought.args["kind"]], brought.args["rid"]
    living = view.list_rows(table, table.c.rid == rid)
    rows = living or [row for row in list_retired_rows(view, table) if row.rid == rid]
    if not rows:
        return
    row = rows[0]
    within = entities.get_type(view, int(row._asdict()[WITHIN[brought.args["kind"]]]))
    name = f"{within.name}.{row.name}"
    raise Conflict(
        f"Change {change.id} brought {name} back; that is not undone, but {name} may be retired again.",
        todo=f"`cg retire {name}` retires it." if living else f"It was retired again, by change {row.until}.",
    )


def _list_bearers(view: View, table: sa.Table, key: str) -> set[Rid]:
    """What has or had this name."""
    had = sa.select(table.c.rid).where(table.c.name_key == key, table.c.since <= view.change).distinct()
    return {row.rid for row in view.rows(had)}


def _find_retired(on: Reading, what: str) -> tuple[SchemaThing, int]:
    """What a name means among what was retired, and by which change; raises NotFound, which names all, or Ambiguous."""
    stated, _, rest = what.partition(":")
    wanted = {stated} if rest and stated in {COLUMN, Kind.FEATURE} else {COLUMN, str(Kind.FEATURE)}
    of, _, last = (rest if rest and stated in wanted else what).rpartition(".")
    holders = {row.rid for row in find_named_rows(on.view, tables.entity_type, of)} if of else None
    every: list[SchemaThing] = []
    found: list[tuple[SchemaThing, int]] = []
    former: list[tuple[SchemaThing, int]] = []
    for kind in sorted(wanted):
        had = _list_bearers(on.view, TABLES[kind], name_key(last))
        for row in list_retired_rows(on.view, TABLES[kind]):
            holder = int(row._asdict()[WITHIN[kind]])
            within = entities.get_type(on.view, holder)
            one = SchemaThing(kind, row.rid, row.name, f"{within.name}.{row.name}", holder)
            every.append(one)
            if row.rid in had and (holders is None or holder in holders):
                (found if row.name_key == name_key(last) else former).append((one, int(row.until)))
    found = found or former
    if not found:
        there = ", ".join(one.full_name for one in every) or "nothing"
        raise NotFound(f"Nothing called {what!r} was retired.", todo=f"Retired are: {there}.")
    if len(found) > 1:
        names = [f"{one.kind}:{one.full_name}" for one, _ in found]
        raise Ambiguous(f"{what!r} could mean {len(found)} things.", faults=names, todo="Write one of these.")
    return found[0]
