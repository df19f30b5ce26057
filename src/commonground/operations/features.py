"""Declaring features and writing their values: by people, by readers known only within a scan, by executions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from commonground.errors import Conflict, InvalidInput, NotFound, count
from commonground.identity import Rid
from commonground.operations.plans import Bulk, Plan, Reading
from commonground.operations.wording import explain_word, index_words, note_words
from commonground.store.transaction import Transaction
from commonground.structure import entities, features, people, tables, vocabularies
from commonground.structure.column_types import SCREENFUL, Holds, read_values
from commonground.structure.entities import EntityType
from commonground.structure.features import Feature
from commonground.structure.former_names import refuse_taken
from commonground.structure.names import clean_name, name_key
from commonground.structure.pointing import check_pointed
from commonground.structure.withdrawals import list_withdrawn_keys

SHOWN = 10
QUICKER_SCANNED = 5_000
"""For more ids than these one scan is quicker than looking each up."""


def plan_feature(
    on: Reading,
    *,
    name: str,
    type: str,
    holds: str = "real",
    vocabulary: str | None = None,
    lowest: float | None = None,
    highest: float | None = None,
    ordered: bool = False,
    unit: str | None = None,
    description: str | None = None,
) -> Plan:
    """Declare a feature of an entity type."""
    kind = entities.get_type(on.view, type)
    fields = describe_feature(
        on, kind, name, holds, vocabulary, lowest, highest, ordered=ordered, unit=unit, description=description
    )
    return Plan(
        id=on.mint()[0],
        verb="feature add",
        args=fields,
        at=on.view.change,
        anchors=(fields["rid"], kind.rid),
        effect={"adds": f"feature {kind.name}.{fields['name']} ({fields['holds']})"},
    )


def apply_feature(tx: Transaction, plan: Plan) -> None:
    """Write the feature."""
    features.add_feature(tx, dict(plan.args))


def describe_feature(
    on: Reading,
    kind: EntityType,
    name: str,
    holds: str,
    vocabulary: str | None,
    lowest: float | None,
    highest: float | None,
    *,
    ordered: bool,
    unit: str | None,
    description: str | None,
) -> dict[str, Any]:
    """The row of a feature to be declared; raises InvalidInput or Conflict if it cannot be."""
    clean = clean_name(name, "feature's name")
    if any(name_key(one.name) == name_key(clean) for one in features.list_features(on.view, kind.rid)):
        raise Conflict(f"{kind.name} has a feature {clean!r} already.", todo="Choose another name.")
    refuse_taken(on.view, tables.feature, clean, "feature", tables.feature.c.type == kind.rid)
    if holds not in set(Holds):
        raise InvalidInput(f"{holds!r} is none of {', '.join(Holds)}.", todo="Choose one of these for what it holds.")
    if (lowest is not None or highest is not None) and holds not in {Holds.INT, Holds.REAL}:
        raise InvalidInput(f"A feature that holds {holds} has no least and no greatest number.", todo="Leave them out.")
    if lowest is not None and highest is not None and lowest > highest:
        raise InvalidInput(f"No value lies between {lowest:g} and {highest:g}.", todo="Exchange the two.")
    words = None
    if holds == Holds.TERM:
        if not vocabulary:
            raise InvalidInput(
                "A feature that holds a term must name its vocabulary.", todo="Name one: `cg vocabulary list` has them."
            )
        words = vocabularies.get_vocabulary(on.view, vocabulary)
    return {
        "rid": on.mint()[0],
        "name": clean,
        "type": kind.rid,
        "description": description,
        "holds": holds,
        "vocabulary": words.rid if words else None,
        "lowest": lowest,
        "highest": highest,
        "ordered": int(ordered or bool(words and words.ordered)),
        "unit": unit,
    }


def plan_annotate(
    on: Reading,
    *,
    feature: str,
    type: str | None = None,
    keys: Sequence[str] | None = None,
    entities_: Sequence[Rid] | np.ndarray[Any, Any] | None = None,
    values: Sequence[Any] | np.ndarray[Any, Any],
    rater: str | None = None,
    slots: Sequence[str] | None = None,
    slot_scope: str | None = None,
    reasons: Sequence[str | None] | None = None,
    at: Sequence[int | None] | None = None,
    origin: Rid | None = None,
    replaces: Sequence[tuple[Rid, int]] = (),
) -> Plan:
    """Write values of a feature; earlier values stay.

    Entities are named by natural key or by rid. The rater is a person (by default whoever plans this), or `slots`
    names a reader for each value, known only within the entity that the link `slot_scope` leads to (by default the
    entity itself). A value None needs a reason. `origin` is the execution that computed the values; then nobody is
    their rater.
    """
    one, kind = resolve_feature(on, feature, type)
    rids = _entities(on, kind, keys, entities_)
    stored = check_values(on, one, values, reasons, len(rids))
    raters, new_slots, whose = _raters(on, kind, rids, rater, slots, slot_scope, computed=origin is not None)
    batch, plan_id, *retire = on.mint(2 + len(replaces))
    columns: dict[str, Any] = {"entity": rids, "value": stored}
    if raters is not None:
        columns["rater"] = raters
    if reasons is not None:
        columns["reason"] = list(reasons)
    if at is not None:
        columns["at"] = list(at)
    return Plan(
        id=plan_id,
        verb="feature annotate",
        args={
            "feature": one.rid,
            "batch": batch,
            "rows": len(rids),
            "origin": origin,
            "slots": [[slot.rid, slot.scope, slot.label] for slot in new_slots],
            "retires": [[rid, source, ordinal] for rid, (source, ordinal) in zip(retire, replaces, strict=True)],
        },
        at=on.view.change,
        anchors=(one.rid,),
        effect={
            "feature": f"{kind.name}.{one.name}",
            "values": len(rids),
            "new readers": len(new_slots),
            **note_given(on, kind, one, keys or (), values),
        },
        bulk=(Bulk(batch, one.table.name, one.rid, features.in_entity_order(columns), origin),),
        judges=f"a reading in the name of {whose}" if whose else None,
    )


def apply_annotate(tx: Transaction, plan: Plan) -> None:
    """Add the readers that are new; the values themselves are the plan's bulk rows."""
    features.register_batch(tx, plan.args["batch"])
    people.add_slots(tx, [people.Slot(*slot) for slot in plan.args["slots"]])
    features.retire_values(tx, [(rid, batch, ordinal) for rid, batch, ordinal in plan.args["retires"]])


def resolve_feature(on: Reading, feature: str, type_name: str | None = None) -> tuple[Feature, EntityType]:
    """A feature by `malignancy` or `Nodule.malignancy`, and the entity type it annotates."""
    if type_name is None and "." in feature:
        type_name, _, feature = feature.partition(".")
    kind = entities.get_type(on.view, type_name) if type_name else None
    one = features.get_feature(on.view, feature, kind.rid if kind else None)
    return one, kind or entities.get_type(on.view, one.type)


def check_values(
    on: Reading,
    feature: Feature,
    values: Sequence[Any] | np.ndarray[Any, Any],
    reasons: Sequence[str | None] | None,
    rows: int,
) -> list[Any]:
    """Values in their stored form; raises InvalidInput with all faults at once."""
    if len(values) != rows or (reasons is not None and len(reasons) != rows):
        raise InvalidInput(
            f"{count(len(values), 'value')} for {count(rows, 'entity', 'entities')}.",
            todo="Give one value for each, and one reason if there are reasons.",
        )
    if feature.holds is Holds.TERM:
        words = index_words(on, feature.vocabulary or 0)
        wrong = sorted({str(value) for value in values if value is not None and name_key(str(value)) not in words})
        if wrong:
            names = ", ".join(term.name for term in vocabularies.list_terms(on.view, feature.vocabulary or 0))
            raise InvalidInput(
                f"{feature.name}: these are not terms of its vocabulary.",
                faults=[f"{word!r} {explain_word(on, feature.vocabulary or 0, word)}" for word in wrong[:SHOWN]],
                todo=f"The terms are: {names}.",
            )
        stored = [None if value is None else words[name_key(str(value))] for value in values]
    else:
        stored = read_values(feature.name, feature.holds, values)
        check_pointed(on.view, feature.name, feature.holds, stored)
    if feature.lowest is None and feature.highest is None and None not in stored:
        return stored
    faults = []
    for row, value in enumerate(stored):
        if value is None and not (reasons is not None and reasons[row]):
            faults.append(f"row {row + 1}: no value and no reason")
        elif value is not None and feature.lowest is not None and value < feature.lowest:
            faults.append(f"row {row + 1}: {value} is below {feature.lowest:g}")
        elif value is not None and feature.highest is not None and value > feature.highest:
            faults.append(f"row {row + 1}: {value} is above {feature.highest:g}")
    if faults:
        more = [f"... and {len(faults) - SHOWN} more"] if len(faults) > SHOWN else []
        raise InvalidInput(
            f"{feature.name}: {count(len(faults), 'value')} cannot be taken.",
            faults=[*faults[:SHOWN], *more],
            todo="Correct these values, or give a reason where there is none.",
        )
    return stored


def read_features(on: Reading, *, type: str | None = None) -> list[Feature]:
    """All features, or those of an entity type."""
    kind = entities.get_type(on.view, type) if type else None
    return features.list_features(on.view, kind.rid if kind else None)


def name_entities(on: Reading, kind: EntityType, keys: Sequence[str]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The rids of entities named by natural key; raises NotFound with all that are not there."""
    found = entities.find_keys(on.view, kind, sorted(set(keys)))
    missing = sorted({key for key in keys if key not in found})
    if missing:
        more = [f"... and {len(missing) - SHOWN} more"] if len(missing) > SHOWN else []
        gone = {key: f" (withdrawn: {one.reason})" for key, one in list_withdrawn_keys(on.view, kind).items()}
        raise NotFound(
            f"{count(len(missing), 'key is', 'keys are')} no {kind.name}.",
            faults=[*(f"{key!r}{gone.get(key, '')}" for key in missing[:SHOWN]), *more],
            todo=f"Import the {kind.name} first.",
        )
    return np.array([found[key] for key in keys], dtype=np.int64)


def note_merged(on: Reading, kind: EntityType, keys: Sequence[str]) -> dict[str, list[str]]:
    """What is to be said, as notes of an effect, of keys that are keys of merged duplicates; empty if none is."""
    merged = entities.list_merged_keys(on.view, kind)
    lead = [key for key in dict.fromkeys(keys) if key in merged and merged[key][1] != key]
    notes = [f"{key} was merged into {merged[key][1]}: what is said of it counts for {merged[key][1]}." for key in lead]
    return {"notes": notes} if notes else {}


def note_given(
    on: Reading, kind: EntityType, one: Feature, keys: Sequence[str], values: Sequence[Any] | np.ndarray[Any, Any]
) -> dict[str, list[str]]:
    """What is to be said, as notes of an effect, of keys that lead on and of words that are false friends."""
    notes = note_merged(on, kind, keys).get("notes", [])
    if one.holds is Holds.TERM:
        notes = [*notes, *note_words(on, one.vocabulary or 0, values)]
    return {"notes": notes} if notes else {}


def name_raters(
    on: Reading,
    kind: EntityType,
    rids: np.ndarray[Any, Any],
    labels: Sequence[str],
    scope: str | None,
    *,
    as_slots: bool,
) -> tuple[np.ndarray[Any, np.dtype[np.int64]], list[people.Slot]]:
    """The rater of each value, and the slots that are new; without `as_slots` every label is a person of the study."""
    if as_slots:
        given, new = _slots(on, kind, rids.tolist(), labels, scope)
        return np.array(given, dtype=np.int64), new
    found = {label: people.find_person(on.view, label) for label in sorted(set(labels))}
    known = {label: person.rid for label, person in found.items() if person is not None}
    if strangers := [label for label in found if label not in known]:
        more = [f"... and {len(strangers) - SCREENFUL:,} more"] if len(strangers) > SCREENFUL else []
        raise NotFound(
            f"{count(len(strangers), 'reader is', 'readers are')} nobody of this study.",
            faults=[*(f"there is nobody here called {label!r}" for label in strangers[:SCREENFUL]), *more],
            todo="`cg person add NAME` adds somebody, `cg person list` names everybody; readers known only "
            "by a label are slots.",
        )
    return np.array([known[label] for label in labels], dtype=np.int64), []


def _entities(
    on: Reading,
    kind: EntityType,
    keys: Sequence[str] | None,
    given: Sequence[Rid] | np.ndarray[Any, Any] | None,
) -> np.ndarray[Any, np.dtype[np.int64]]:
    if (keys is None) == (given is None):
        raise InvalidInput("Name the entities by key or by rid, one of the two.", todo="Give either keys or ids.")
    if keys is not None:
        return name_entities(on, kind, keys)
    rids = np.array([] if given is None else given, dtype=np.int64)
    listed = entities.list_rids(on.view, kind, None if len(rids) > QUICKER_SCANNED else rids.tolist())
    unknown = ~np.isin(rids, listed)
    if unknown.any():
        raise NotFound(
            f"{int(unknown.sum())} of the ids are no {kind.name}.", todo="Give ids of this type, or name them by key."
        )
    return rids


def _raters(
    on: Reading,
    kind: EntityType,
    rids: np.ndarray[Any, np.dtype[np.int64]],
    rater: str | None,
    slots: Sequence[str] | None,
    slot_scope: str | None,
    *,
    computed: bool,
) -> tuple[np.ndarray[Any, np.dtype[np.int64]] | list[Rid] | None, list[people.Slot], str | None]:
    """The rater of each value, if they have any; the slots that are new; and the person, if it is one."""
    if computed:
        if rater or slots:
            raise InvalidInput("Values that an execution computed have no rater.", todo="Leave rater and readers out.")
        return None, [], None
    if slots is None:
        named = people.get_person(on.view, rater) if rater else None
        person = named.rid if named else on.actor.person
        if person is None:
            raise InvalidInput("A value needs a rater.", todo="Name one; `cg person list` names everybody.")
        return np.full(len(rids), person, dtype=np.int64), [], named.name if named else on.actor.name
    if rater:
        raise InvalidInput("Name one rater, or a reader for each value; not both.", todo="Leave one of the two out.")
    return *_slots(on, kind, rids.tolist(), slots, slot_scope), None


def _slots(
    on: Reading, kind: EntityType, rids: Sequence[Rid], labels: Sequence[str], slot_scope: str | None
) -> tuple[list[Rid], list[people.Slot]]:
    if len(labels) != len(rids):
        raise InvalidInput(
            f"{count(len(labels), 'reader')} for {count(len(rids), 'value')}.", todo="Name one reader for each value."
        )
    scopes = _scopes(on, kind, rids, slot_scope)
    known = people.list_slots(on.view, sorted(set(scopes)))
    clean = {label: clean_name(label, "reader") for label in set(labels)}
    pairs = [(scope, clean[label]) for scope, label in zip(scopes, labels, strict=True)]
    wanted = sorted(set(pairs) - set(known))
    minted = on.mint(len(wanted)) if wanted else range(0)
    new = [people.Slot(rid, scope, label) for rid, (scope, label) in zip(minted, wanted, strict=True)]
    known.update(((slot.scope, slot.label), slot.rid) for slot in new)
    return [known[pair] for pair in pairs], new


def _scopes(on: Reading, kind: EntityType, rids: Sequence[Rid], link: str | None) -> list[Rid]:
    if link is None:
        return list(rids)
    column = kind.get_column(link)
    if column.holds is not Holds.LINK:
        raise InvalidInput(
            f"{kind.name}.{link} leads to no other entity.",
            todo="Name a column that holds a link as the scope of the readers.",
        )
    listed = entities.list_entities(on.view, kind)
    leads = dict(zip(listed["rid"], listed[column.place], strict=True))
    lost = [rid for rid in rids if leads.get(rid) is None]
    if lost:
        raise InvalidInput(
            f"{len(lost)} entities have nothing in {link}, so their reader cannot be told apart.",
            todo="Fill in the link, or leave the scope out.",
        )
    return [leads[rid] for rid in rids]
