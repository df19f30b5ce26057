"""Settling what readers disagree on: a value of its own kind by a person, with the very readings that it settles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from commonground.errors import InvalidInput
from commonground.identity import Rid
from commonground.operations.features import check_values, name_entities, note_given, resolve_feature
from commonground.operations.plans import Bulk, Plan, Reading
from commonground.operations.value_texts import format_cell
from commonground.plain import Cell
from commonground.store.transaction import Transaction
from commonground.structure import datasets, entities, features, naming, people, vocabularies
from commonground.structure.column_types import Holds
from commonground.structure.features import Feature, FeatureValues
from commonground.structure.references import pin
from commonground.structure.selectors import standing

CANNOT = "cannot grade"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One entity on which readers say different things."""

    key: str
    """The entity."""
    readings: tuple[tuple[str, str], ...]
    """Who says what: each reader's newest."""
    settled: str | None
    """What it was settled to; None if it is open."""
    by: str | None
    """Who settled it."""
    since: int
    """How many of the readings came after it was settled, or changed since."""


def plan_adjudicate(
    on: Reading,
    *,
    feature: str,
    type: str | None = None,
    keys: Sequence[str],
    values: Sequence[Any],
    reasons: Sequence[str | None] | None = None,
    by: str | None = None,
    agreed: bool = False,
) -> Plan:
    """Settle what readers say of entities; their readings stay, and it is on record which of them were settled.

    `by` is who settles, by default whoever plans this. Raises InvalidInput for every entity that nobody has read, and
    for every one on which all agree, unless `agreed` says that it shall be settled all the same.
    """
    one, kind = resolve_feature(on, feature, type)
    rids = name_entities(on, kind, keys)
    stored = check_values(on, one, values, reasons, len(rids))
    person = people.get_person(on.view, by).rid if by else on.actor.person
    if person is None:
        raise InvalidInput("Only a person settles.", todo="Say who: by.")
    readings = _standing(on, one, rids)
    _refuse(on, one, keys, rids, readings, agreed=agreed)
    batch, settled, plan_id = on.mint(3)
    place = {int(rid): row for row, rid in enumerate(rids)}
    told: dict[str, Any] = {"entity": rids, "value": stored, "rater": [person] * len(rids)}
    told["adjudicated"] = [1] * len(rids)
    if reasons is not None:
        told["reason"] = list(reasons)
    settles: dict[str, Any] = {
        "entity": readings.entity,
        "place": [place[int(rid)] for rid in readings.entity],
        "reading_batch": readings.batch,
        "reading_ordinal": readings.ordinal,
    }
    return Plan(
        id=plan_id,
        verb="feature adjudicate",
        args={"feature": one.rid, "batch": batch, "settled": settled, "by": person, "rows": len(rids)},
        at=on.view.change,
        anchors=(one.rid,),
        reads=(one.rid,),
        effect={
            "settles": f"{len(rids)} of {kind.name}.{one.name}",
            "by": naming.name_things(on.view, [person])[person].name,
            "readings settled": len(readings),
            **note_given(on, kind, one, keys, values),
        },
        bulk=(
            Bulk(batch, one.table.name, one.rid, told, None),
            *([Bulk(settled, "settled", batch, settles)] if len(readings) else []),
        ),
    )


def apply_adjudicate(tx: Transaction, plan: Plan) -> None:
    """Make the batches resolvable; the value and the readings that it settles are the plan's bulk rows."""
    for bulk in plan.bulk:
        features.register_batch(tx, bulk.batch)


def read_disagreements(
    on: Reading, *, feature: str, dataset: str | None = None, unsettled: bool = False
) -> list[Disagreement]:
    """The entities on which readers say different things, by key; with `unsettled` only those that are open."""
    one, kind = resolve_feature(on, feature)
    values = _standing(on, one)
    if dataset is not None:
        pinned = pin(on.view, dataset)
        with on.ground.view(pinned.change) as view:
            members = datasets.read_members(view, datasets.list_inside(view, pinned.dataset.rid))
        values = values.take(np.flatnonzero(np.isin(values.entity, members.entity)))
    words = _spell(on, one)
    listed = entities.list_entities(on.view, kind)
    keys = dict(zip(listed["rid"], listed["key"], strict=True))
    said = _by_entity(values)
    apart = {rid: rows for rid, rows in said.items() if len({_said(values, row) for row in rows}) > 1}
    done = _settled(on, one)
    people_met = {int(values.rater[row]) for rows in apart.values() for row in rows}
    who = naming.name_things(on.view, {*people_met, *(by for _, by, _, _ in done.values())})
    found = []
    for rid, rows in apart.items():
        value, by, batch, ordinal = done.get(rid, (None, None, 0, 0))
        if unsettled and by is not None:
            continue
        settled = features.list_settled(on.view, batch, ordinal) if by is not None else set()
        now = {(int(values.batch[row]), int(values.ordinal[row])) for row in rows}
        readings = tuple((who[int(values.rater[row])].name, words(_said(values, row))) for row in rows)
        name = who[by].name if by is not None else None
        found.append(
            Disagreement(keys[rid], readings, words(value) if name else None, name, len(now - settled) if name else 0)
        )
    return sorted(found, key=lambda entry: entry.key)


def _standing(on: Reading, one: Feature, rids: np.ndarray[Any, Any] | None = None) -> FeatureValues:
    """Each reader's newest reading of each entity; computed and adjudicated values are no readings."""
    values = features.read_values(on.view, one)
    wanted = (values.rater != 0) & ~values.adjudicated
    if rids is not None:
        wanted &= np.isin(values.entity, rids)
    values = values.take(np.flatnonzero(wanted))
    slots = np.array(people.list_slot_rids(on.view, np.unique(values.rater).tolist()), dtype=np.int64)
    return values.take(np.sort(standing(values.for_selecting(slots))))


def _refuse(
    on: Reading,
    one: Feature,
    keys: Sequence[str],
    rids: np.ndarray[Any, Any],
    readings: FeatureValues,
    *,
    agreed: bool,
) -> None:
    faults = []
    said = _by_entity(readings)
    words = _spell(on, one)
    seen: set[int] = set()
    for key, rid in zip(keys, rids.tolist(), strict=True):
        rows = said.get(rid, [])
        if rid in seen:
            faults.append(f"{key}: it is named twice")
        elif not rows:
            faults.append(f"{key}: nobody has read it")
        elif not agreed and len({_said(readings, row) for row in rows}) == 1:
            faults.append(f"{key}: nothing disagrees; {len(rows)} say {words(_said(readings, rows[0]))}")
        seen.add(rid)
    if faults:
        raise InvalidInput(
            f"{len(faults)} of these cannot be settled.",
            faults=faults,
            todo="Take them out, or say that what all agree on shall be settled too (agreed; --agreed).",
        )


def _by_entity(values: FeatureValues) -> dict[int, list[int]]:
    rows: dict[int, list[int]] = {}
    for row, rid in enumerate(values.entity.tolist()):
        rows.setdefault(rid, []).append(row)
    return rows


def _said(values: FeatureValues, row: int) -> Cell:
    said: Cell = None if values.missing[row] else np.asarray(values.value[row]).item()
    return said


def _spell(on: Reading, one: Feature) -> Callable[[Cell], str]:
    """How stored values of a feature are read."""
    terms: Mapping[Cell, str] = {}
    if one.holds is Holds.TERM:
        terms = {term.rid: term.name for term in vocabularies.list_terms(on.view, one.vocabulary or 0)}

    def words(value: Cell) -> str:
        if value is None:
            return CANNOT
        return terms.get(value) or format_cell(one.holds, value)

    return words


def _settled(on: Reading, one: Feature) -> dict[Rid, tuple[Any, Rid, Rid, int]]:
    """The newest adjudicated value of each entity: value, by whom, batch and ordinal."""
    values = features.read_values(on.view, one)
    rows = np.flatnonzero(values.adjudicated)
    newest = rows[np.lexsort((values.ordinal[rows], values.batch[rows], values.told[rows]))]
    return {
        int(values.entity[row]): (
            _said(values, row),
            int(values.rater[row]),
            int(values.batch[row]),
            int(values.ordinal[row]),
        )
        for row in newest.tolist()
    }
