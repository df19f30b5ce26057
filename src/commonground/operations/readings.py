"""Bringing an annotator's export in: who said what of which entity, one batch a feature, all in one change.

Features that are not there are declared as their values prove them to be. A reading that says what the same reader said
last of the same entity is not written again, so the second delivery of a file changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from commonground.errors import InvalidInput
from commonground.exchange import annotator_tables
from commonground.exchange.readings import ReadingDraft
from commonground.identity import Rid
from commonground.operations.features import check_values, describe_feature, name_entities, name_raters, note_merged
from commonground.operations.importing import TOGETHER, USUAL, collect_columns, inspect_table, keep_source
from commonground.operations.plans import Bulk, Plan, Reading
from commonground.operations.wording import note_words
from commonground.store.ground import Ground
from commonground.store.transaction import Transaction
from commonground.structure import assets, entities, features, people, tables
from commonground.structure.column_types import Holds
from commonground.structure.entities import EntityType
from commonground.structure.features import Feature
from commonground.structure.former_names import find_named_rows
from commonground.structure.names import name_key
from commonground.structure.screen_told import screen_file_names
from commonground.structure.withdrawals import list_withdrawn_keys

COLUMNS = ("entity", "rater", "feature", "value", "reason")
"""What is taken of each reading."""


def plan_readings(
    on: Reading,
    *,
    path: Path | str,
    type: str,
    entity: str,
    rater: str | None = None,
    values: Sequence[str] | None = None,
    feature: str | None = None,
    value: str | None = None,
    match: str | None = None,
    slots: bool = False,
    slot_scope: str | None = None,
    cannot: Mapping[str, str] | None = None,
    allowed: Mapping[str, Any] | None = None,
) -> Plan:
    """Import readings of entities of a type.

    A wide table has a column for each feature (`values`); a long one names it in a column (`feature`), what was said
    in another (`value`). If columns are of a feature and a reader each, `match` says how they are named. With `slots`
    the readers are known only within the entity that `slot_scope` leads to. `cannot`: marker to why there is no value.
    """
    kind = entities.get_type(on.view, type)
    draft = _draft(source := Path(path), entity, rater, values, feature, value, match, cannot, allowed).check()
    columns, notes = _without_withdrawn(on, kind, draft)
    rids = name_entities(on, kind, columns["entity"])
    raters, new_slots = name_raters(on, kind, rids, columns["rater"], slot_scope, as_slots=slots or bool(slot_scope))
    kept = keep_source(on, draft.digest, source, "table", on.mint()[0])
    origin = kept["rid"] if kept else _known_source(on, draft.digest)
    declared, bulk = _sort_out(on, kind, draft, columns, rids, raters, origin)
    written = sum(len(one.columns["entity"]) for one in bulk)
    nothing = not bulk and not declared
    sources = [kept["rid"]] if kept and not nothing else []
    return Plan(
        id=on.mint()[0],
        verb="import readings",
        args={
            "source": None if nothing else kept,
            "file": screen_file_names([source.name])[0],
            "file digest": draft.digest,
            "declares": declared,
            "slots": [[slot.rid, slot.scope, slot.label] for slot in new_slots] if bulk else [],
            "batches": [[one.batch, one.subject, len(one.columns["entity"])] for one in bulk],
        },
        at=on.view.change,
        anchors=tuple(dict.fromkeys([*(one.subject for one in bulk), *sources])),
        effect={
            "from": source.name,
            "readings": written,
            "said already": len(columns["entity"]) - written,
            "features": [drafted.name for drafted in draft.features],
            "declares": [row["name"] for row in declared],
            "new readers": len(new_slots) if bulk else 0,
            **({"notes": notes} if notes else {}),
        },
        bulk=tuple(bulk),
        payload={"path": str(source)},
        needs={"feature add": f"it declares {', '.join(row['name'] for row in declared)}"} if declared else {},
        nothing=nothing,
    )


def _sort_out(
    on: Reading,
    kind: EntityType,
    draft: ReadingDraft,
    columns: Mapping[str, list[Any]],
    rids: np.ndarray[Any, Any],
    raters: np.ndarray[Any, Any],
    origin: Rid | None,
) -> tuple[list[dict[str, Any]], list[Bulk]]:
    """The features to be declared, and what is new of each feature."""
    declared: list[dict[str, Any]] = []
    bulk: list[Bulk] = []
    for drafted in draft.features:
        one, row = _feature(on, kind, drafted.name, drafted.type)
        if row is not None:
            declared.append(row)
        rows = [i for i, name in enumerate(columns["feature"]) if name == drafted.name]
        bulk += _new_readings(on, one, columns, np.array(rows), rids, raters, origin, is_there=row is None)
    return declared, bulk


def _new_readings(
    on: Reading,
    one: Feature,
    columns: Mapping[str, list[Any]],
    rows: np.ndarray[Any, Any],
    rids: np.ndarray[Any, Any],
    raters: np.ndarray[Any, Any],
    origin: Rid | None,
    *,
    is_there: bool,
) -> list[Bulk]:
    """The readings of one feature that say something new, as a batch; none if there are none."""
    given = [columns["value"][i] for i in rows]
    reasons = [columns["reason"][i] for i in rows]
    stored = check_values(on, one, given, reasons, len(rows))
    fresh = _fresh(on, one if is_there else None, rids[rows], raters[rows], stored)
    if not fresh:
        return []
    new: dict[str, Any] = {
        "entity": rids[rows[fresh]],
        "value": [stored[i] for i in fresh],
        "rater": raters[rows[fresh]],
        "reason": [reasons[i] for i in fresh],
    }
    return [Bulk(on.mint()[0], one.table.name, one.rid, features.in_entity_order(new), origin)]


def stage_readings(ground: Ground, plan: Plan) -> None:
    """Keep the file itself."""
    source = plan.args["source"]
    if source and source["reference"] is None:
        ground.blobs.put_file(Path(plan.payload["path"]))


def apply_readings(tx: Transaction, plan: Plan, _staged: None) -> None:
    """Declare the features and the readers that are new; the readings are the plan's bulk rows."""
    if plan.args["source"]:
        assets.add_assets(tx, [plan.args["source"]])
    for row in plan.args["declares"]:
        features.add_feature(tx, row)
    people.add_slots(tx, [people.Slot(*slot) for slot in plan.args["slots"]])
    for batch, _, _ in plan.args["batches"]:
        features.register_batch(tx, batch)


def _draft(
    source: Path,
    entity: str,
    rater: str | None,
    values: Sequence[str] | None,
    feature: str | None,
    value: str | None,
    match: str | None,
    cannot: Mapping[str, str] | None,
    allowed: Mapping[str, Any] | None,
) -> ReadingDraft:
    if (rater is None) == (match is None) or (match is not None and (feature or value)):
        raise InvalidInput(
            "How the table says who read is not clear.",
            todo="Name the column of the reader, rater; or, if there is a column for each feature and reader, how these"
            " columns are named: match, such as '{feature}_{rater}'.",
        )
    table = inspect_table(source, types={name: "text" for name in (entity, rater) if name is not None})
    if rater is None:
        return annotator_tables.from_rater_columns(
            table, entity=entity, pattern=str(match), features=values, cannot=cannot, allowed=allowed
        )
    if feature and value:
        return annotator_tables.from_long(
            table, entity=entity, rater=rater, feature=feature, value=value, cannot=cannot, allowed=allowed
        )
    if feature or value:
        raise InvalidInput(
            "A long table needs both: the column of the feature, and the column of what was said.",
            todo="Name both, feature and value; or the columns of a wide table, values.",
        )
    named = list(values or [name for name in table.names if name not in {entity, rater}])
    return annotator_tables.from_wide(table, entity=entity, rater=rater, values=named, cannot=cannot, allowed=allowed)


def _without_withdrawn(on: Reading, kind: EntityType, draft: ReadingDraft) -> tuple[dict[str, list[Any]], list[str]]:
    """The readings of what is there, and what is to be said of withdrawn and merged entities, and of the file."""
    columns = collect_columns(draft.chunks(TOGETHER), COLUMNS, COLUMNS)
    said = [note for note in draft.notes if note != USUAL]
    said = [*note_merged(on, kind, columns["entity"]).get("notes", []), *_note_words(on, kind, columns), *said]
    gone = list_withdrawn_keys(on.view, kind)
    met = sorted(gone.keys() & set(columns["entity"]))
    if not met:
        return columns, said
    kept = [row for row, key in enumerate(columns["entity"]) if key not in gone]
    notes = [f"{key} was withdrawn by change {gone[key].change}: its readings are left out." for key in met]
    return {name: [cells[row] for row in kept] for name, cells in columns.items()}, [*notes, *said]


def _note_words(on: Reading, kind: EntityType, columns: Mapping[str, Sequence[Any]]) -> list[str]:
    """A warning for each false friend among the values of features that hold terms."""
    notes = []
    for one in features.list_features(on.view, kind.rid):
        if one.holds is Holds.TERM:
            pairs = zip(columns["feature"], columns["value"], strict=True)
            notes += note_words(
                on, one.vocabulary or 0, [v for name, v in pairs if name_key(name) == name_key(one.name)]
            )
    return notes


def _known_source(on: Reading, digest: str) -> Rid | None:
    found = assets.find_by_digest(on.view, digest)
    return found[0].rid if found else None


def _feature(on: Reading, kind: EntityType, name: str, holds: str) -> tuple[Feature, dict[str, Any] | None]:
    found = find_named_rows(on.view, tables.feature, name, tables.feature.c.type == kind.rid)
    if found:
        return features.get_feature(on.view, int(found[0].rid)), None
    row = describe_feature(on, kind, name, holds, None, None, None, ordered=holds == "int", unit=None, description=None)
    declared = Feature(
        row["rid"], row["name"], kind.rid, None, Holds(holds), None, None, None, bool(row["ordered"]), None
    )
    return declared, row


def _fresh(
    on: Reading,
    one: Feature | None,
    rids: np.ndarray[Any, Any],
    raters: np.ndarray[Any, Any],
    stored: Sequence[Any],
) -> list[int]:
    """The rows that say something else than the same reader said last of the same entity."""
    if one is None:
        return list(range(len(stored)))
    there = features.read_values(on.view, one)
    newest: dict[tuple[int, int], Any] = {}
    for row in np.lexsort((there.ordinal, there.told)).tolist():
        said = None if there.missing[row] else there.value[row]
        newest[int(there.entity[row]), int(there.rater[row])] = said
    absent = object()
    pairs = zip(rids.tolist(), raters.tolist(), strict=True)
    return [i for i, pair in enumerate(pairs) if newest.get(pair, absent) != stored[i]]
