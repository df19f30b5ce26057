"""What each kind of thing consists of, as facts to be shown: a label, a value, and the reason where there is one."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from commonground.errors import NotFound, show_bytes
from commonground.identity import Kind, Rid
from commonground.operations.plans import Reading
from commonground.operations.rules_in_words import rule_in_words
from commonground.operations.sensitive import check_may
from commonground.operations.value_texts import format_cell, format_seed, format_value
from commonground.operations.wording import name_others
from commonground.store.view import Identified, View
from commonground.structure import (
    assets,
    datasets,
    entities,
    executions,
    features,
    history,
    metrics,
    naming,
    parameters,
    people,
    tables,
    vocabularies,
    workflows,
)
from commonground.structure.column_types import Holds
from commonground.structure.former_names import list_former_names
from commonground.structure.lineage import list_reproductions, told_of
from commonground.structure.withdrawals import find_withdrawn

MANY = 12
KEPT_BACK = "kept back (sensitive)"
Value = str | int | float | None
_DESCRIBED = {
    Kind.DATASET: tables.dataset,
    Kind.VERSION: tables.version,
    Kind.FEATURE: tables.feature,
    Kind.TYPE: tables.entity_type,
    Kind.VOCABULARY: tables.vocabulary,
    Kind.TERM: tables.term,
    Kind.PERSON: tables.person,
    Kind.ASSET: tables.asset,
}
_RENAMED = {Kind.DATASET, Kind.FEATURE, Kind.TYPE, Kind.VOCABULARY, Kind.TERM}


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is known, or known to be missing, of something."""

    label: str
    """What it says."""
    value: Value
    """The value; None if nobody said."""
    why: str | None = None
    """The reason, in the words of whoever gave it."""
    unit: str | None = None
    """bytes, instant (UTC microseconds), seconds, words (what a person wrote), or the unit of a number."""


@dataclass(frozen=True, slots=True)
class SideBySide:
    """What all raters said of one entity."""

    raters: tuple[str, ...]
    """Who gave values; `computed` for programs."""
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    """For each feature what each of them said, in order of arrival; empty for nothing."""


def describe_thing(on: Reading, what: Identified, *, sensitive: bool = False) -> tuple[str | None, tuple[Fact, ...]]:
    """What people say of a thing, and the facts of it; sensitive ones only if they are asked for."""
    facts = _DESCRIBE.get(what.kind)
    if what.kind is Kind.ENTITY:
        told = _entity(on, what.rid, sensitive=sensitive)
    else:
        told = facts(on, what.rid) if facts else []
    return description_of(on.view, what.kind, what.rid), (*told, *_former(on.view, what))


def description_of(view: View, kind: str, rid: Rid) -> str | None:
    """What people say of a thing; None if nobody did."""
    table = _DESCRIBED.get(Kind(kind)) if kind in set(Kind) else None
    rows = view.list_rows(table, table.c.rid == rid) if table is not None else []
    return rows[0].description if rows else None


def _former(view: View, what: Identified) -> list[Fact]:
    table = _DESCRIBED.get(what.kind) if what.kind in _RENAMED else None
    had = list_former_names(view, table, table.c.rid == what.rid).get(what.rid) if table is not None else None
    return [Fact("called before", ", ".join(had))] if had else []


def _dataset(on: Reading, rid: Rid) -> list[Fact]:
    view = on.view
    released = datasets.list_versions(view, rid)
    criteria = datasets.get_criteria(view, rid)
    members = datasets.count_members(view, datasets.list_inside(view, rid))
    named = naming.name_things(view, [*datasets.list_named_features(view, rid), *members])
    facts = [
        Fact("newest release", str(released[0].number) if released else "none yet"),
        Fact("members now", sum(members.values())),
    ]
    facts += [Fact(f"  {named[kind].name}", members[kind]) for kind in sorted(members)]
    facts.append(
        Fact("chosen by", rule_in_words(criteria.rule) if criteria else None, criteria.reason if criteria else None)
    )
    values = [named[one].name for one in datasets.list_named_features(view, rid)]
    facts.append(Fact("values of", ", ".join(values) or "no feature"))
    children = naming.name_things(view, datasets.list_children(view, rid))
    if children:
        facts.append(Fact("holds", ", ".join(child.name for child in children.values())))
    facts += [Fact(axis, ", ".join(labels)) for axis, labels in datasets.list_labels(view, rid).items()]
    facts += [Fact(f"release {one.number}", one.members, one.description, "members") for one in released[:MANY]]
    return facts


def _version(on: Reading, rid: Rid) -> list[Fact]:
    view = on.view
    one = datasets.get_version_by_rid(view, rid)
    raters = naming.name_things(view, history.list_version_raters(view, one))
    with on.ground.view(one.change) as then:
        criteria = datasets.get_criteria(then, one.dataset)
        named = naming.name_things(then, datasets.list_named_features(then, one.dataset))
    people_there = [rater.name for rater in raters.values() if rater.kind == Kind.PERSON]
    slots = len(raters) - len(people_there)
    who = ", ".join(people_there) + (f"{' and ' if people_there else ''}{slots:,} anonymous readers" if slots else "")
    return [
        Fact("members", one.members),
        Fact("rows", one.rows),
        Fact("chosen by", rule_in_words(criteria.rule) if criteria else None, criteria.reason if criteria else None),
        Fact("values of", ", ".join(feature.name for feature in named.values()) or "no feature"),
        Fact("values by", who or "nobody: it holds no values"),
        Fact("holds the study as of", f"change {one.change}"),
        Fact("digest", one.digest),
    ]


def _execution(on: Reading, rid: Rid) -> list[Fact]:
    view = on.view
    one = executions.get_execution(view, rid)
    code = workflows.get_workflow(view, one.workflow) if one.workflow else None
    kept = (
        f"{code.name}, commit {(code.commit or 'none')[:10]}" + (", with uncommitted changes" if code.dirty else "")
        if code
        else None
    )
    person = naming.name_things(view, [one.person])[one.person].name if one.person else None
    began = history.first_change(view, rid)
    intent = one.details.get("intent") or (began.why if began else None)
    facts = [
        Fact("asked", str(intent) if intent else None, unit="words"),
        Fact("state", str(one.status) + (", scratch" if one.scratch else ""), one.reason),
        Fact("by", person),
        Fact("began", one.started_at, unit="instant"),
        Fact("took", (one.ended_at - one.started_at) / 1e6 if one.ended_at else "still running", unit="seconds"),
        Fact("code", kept),
        Fact("command", " ".join(one.argv) or None),
        Fact("seed", format_seed(one.seed) or "no parameter is one"),
    ]
    told = parameters.list_params(view, [rid])[rid]
    facts += [Fact(f"parameter {key}", format_value(value)) for key, value in list(told.items())[:MANY]]
    if len(told) > MANY:
        facts.append(Fact("more parameters", len(told) - MANY))
    measured = metrics.list_summaries(view, [rid])[rid]
    facts += [Fact(f"metric {key}", float(one_metric.value)) for key, one_metric in list(measured.items())[:MANY]]
    facts += [Fact("reproduced", told_of(edge)) for edge in list_reproductions(view, rid)[-MANY:]]
    ends = Counter(str(child.status) for child in executions.list_children(view, rid))
    return [*facts, Fact("parts", ", ".join(f"{number} {state}" for state, number in ends.items()))] if ends else facts


def _feature(on: Reading, rid: Rid) -> list[Fact]:
    view = on.view
    one = features.get_feature(view, rid)
    values, entities_with, raters = history.count_values(view, one)
    kind = entities.get_type(view, one.type)
    there = history.count_entities(view, kind)
    words = naming.name_things(view, [one.vocabulary])[one.vocabulary].name if one.vocabulary else None
    limits = [
        f"from {one.lowest:g}" if one.lowest is not None else "",
        f"to {one.highest:g}" if one.highest is not None else "",
    ]
    holds = " ".join(part for part in (str(one.holds), f"of {words}" if words else "", *limits, one.unit or "") if part)
    return [
        Fact("of", kind.name),
        Fact("holds", holds + (", an ordered scale" if one.ordered else "")),
        Fact("values", values),
        Fact("by", raters, unit="raters"),
        Fact("covers", entities_with, unit=f"of {there:,} {kind.name}"),
    ]


def _type(on: Reading, rid: Rid) -> list[Fact]:
    view = on.view
    one = entities.get_type(view, rid)
    targets = naming.name_things(view, [column.target for column in one.columns if column.target])
    facts = [Fact("how many", history.count_entities(view, one)), Fact("told apart by", one.key_label or "key")]
    for column in one.columns:
        holds = str(column.holds) + (f" to {targets[column.target].name}" if column.target else "")
        more = f", called before: {', '.join(column.former)}" if column.former else ""
        more += ", sensitive" if column.sensitive else ""
        facts.append(Fact(column.name, f"{holds} {column.unit or ''}".strip() + more, column.description))
    facts += [
        Fact(f"feature {one_feature.name}", str(one_feature.holds), one_feature.description)
        for one_feature in features.list_features(view, rid)
    ]
    return facts


def _entity(on: Reading, rid: Rid, *, sensitive: bool) -> list[Fact]:
    view = on.view
    known = {kind.name: kind for kind in entities.list_types(view)}
    name = naming.name_things(view, [rid])[rid].name
    kind = known.get(name.partition(":")[0])
    if kind is None:
        raise NotFound("This entity is not there now.", todo="It may have been merged, withdrawn or erased.")
    gone = find_withdrawn(view, kind, rid)
    if gone is not None:
        with on.ground.view(gone.change - 1) as then:
            before = _entity(dataclasses.replace(on, view=then), rid, sensitive=sensitive)
        return [Fact("withdrawn", f"by change {gone.change}", gone.reason), *before]
    guarded = entities.list_sensitive_places(on.view)
    if sensitive:
        check_may(on, [f"{kind.name}.{column.name}" for column in kind.columns if column.place in guarded])
    row = entities.get_entity(view, kind, rid)
    links = [row[column.name] for column in kind.columns if column.holds in {Holds.LINK, Holds.TERM, Holds.ASSET}]
    named = naming.name_things(view, [link for link in links if link])
    facts = []
    for column in kind.columns:
        if column.place in guarded and not sensitive:
            facts.append(Fact(column.name, KEPT_BACK))
            continue
        value = row[column.name]
        if value is None:
            facts.append(Fact(column.name, None))
        elif column.holds is Holds.ASSET:
            facts.append(Fact(column.name, _file(view, value)))
        elif value in named and column.target:
            facts.append(Fact(column.name, named[value].name))
        else:
            shown = format_cell(column.holds, value)
            facts.append(Fact(column.name, shown + (f" {column.unit}" if column.unit else "")))
    merged = [key for key, (now, _) in entities.list_merged_keys(view, kind).items() if now == rid]
    return [*facts, Fact("merged into it", ", ".join(merged))] if merged else facts


def _file(view: View, rid: Rid) -> str:
    """A file as people read it: its name, of what kind it is, and how large."""
    found = assets.list_assets(view, [rid])
    if not found:
        return "a file that is not here any more"
    one = found[0]
    return f"{one.name}, {one.kind}, {show_bytes(one.size)}"


def list_side_by_side(on: Reading, rid: Rid, kind_name: str) -> SideBySide:
    """All values of an entity: features down, raters across."""
    view = on.view
    kind = entities.get_type(view, kind_name)
    said: dict[str, dict[str, list[str]]] = {}
    for feature in features.list_features(view, kind.rid):
        values = history.list_values_of(view, feature, rid)
        terms = [one.value for one in values if one.value is not None] if feature.holds is Holds.TERM else []
        words = naming.name_things(view, [*terms, *(one.rater for one in values if one.rater)])
        for one in values:
            who = words[one.rater].name if one.rater else "computed"
            if one.adjudicated:
                who = f"{who}, settled"
            value = None
            if one.value is not None:
                value = words[one.value].name if terms else format_cell(feature.holds, one.value)
            shown = value if value is not None else f"none: {one.reason}"
            said.setdefault(feature.name, {}).setdefault(who, []).append(shown)
    raters = sorted({who for by_rater in said.values() for who in by_rater})
    rows = [(name, tuple(", then ".join(by.get(who, ())) for who in raters)) for name, by in said.items()]
    return SideBySide(tuple(raters), tuple(rows))


def _vocabulary(on: Reading, rid: Rid) -> list[Fact]:
    terms = vocabularies.list_terms(on.view, rid)
    return [Fact("terms", len(terms)), *(Fact(f"{term.position}. {term.name}", term.definition) for term in terms)]


def _term(on: Reading, rid: Rid) -> list[Fact]:
    row = on.view.list_rows(tables.term, tables.term.c.rid == rid)[0]
    of = naming.name_things(on.view, [row.vocabulary])[row.vocabulary].name
    facts = [Fact("of", of), Fact("position", row.position), Fact("outside id", row.outside_id or "none")]
    for one in vocabularies.list_synonyms(on.view, terms=[rid]):
        whose = ", ".join(part for part in (one.discipline, one.language) if part)
        others = f"to others: {name_others(on.view, one)}" if one.false_friend else None
        label = "false friend" if one.false_friend else "synonym"
        facts.append(Fact(label, one.text + (f" ({whose})" if whose else ""), others))
    return facts


def _person(on: Reading, rid: Rid) -> list[Fact]:
    one = next(person for person in people.list_people(on.view) if person.rid == rid)
    return [
        Fact("role", one.role),
        Fact("discipline", one.discipline),
        Fact("changes", history.count_made(on.view, rid)),
    ]


def _asset(on: Reading, rid: Rid) -> list[Fact]:
    one = assets.get_asset(on.view, rid)
    where = "here" if one.stored else f"by reference: {one.reference}"
    files = [Fact("files", one.files)] if one.files > 1 else []
    return [
        Fact("kind", one.kind),
        Fact("size", one.size, unit="bytes"),
        *files,
        Fact("kept", where),
        Fact("digest", one.digest),
    ]


def _workflow(on: Reading, rid: Rid) -> list[Fact]:
    one = workflows.get_workflow(on.view, rid)
    return [
        Fact("entry point", one.entry),
        Fact("repository", one.repository),
        Fact("commit", one.commit, "with uncommitted changes" if one.dirty else None),
        Fact("digest of all code", one.tree),
    ]


def _change(on: Reading, number: Rid) -> list[Fact]:
    change = history.get_change(on.view, number)
    if change is None:
        return []
    rids = history.list_subjects(on.view, [change.id])[change.id]
    named = naming.name_things(on.view, [*rids[:MANY], *([change.actor] if change.actor else [])])
    about = [named[rid].name for rid in rids[:MANY] if named[rid].name != named[rid].kind]
    return [
        Fact("verb", change.verb),
        Fact("about", ", ".join(about) or "nothing that has a name"),
        Fact("why", change.why, unit="words"),
        Fact("by", named[change.actor].name if change.actor else "the study's maker"),
        Fact("when", change.recorded_at, unit="instant"),
        Fact("through", change.via + (f", by an agent ({change.agent})" if change.agent else "")),
        Fact("link of the chain", change.digest.hex()),
    ]


_DESCRIBE: dict[Kind, Callable[[Reading, Rid], list[Fact]]] = {
    Kind.DATASET: _dataset,
    Kind.VERSION: _version,
    Kind.EXECUTION: _execution,
    Kind.FEATURE: _feature,
    Kind.TYPE: _type,
    Kind.VOCABULARY: _vocabulary,
    Kind.TERM: _term,
    Kind.PERSON: _person,
    Kind.ASSET: _asset,
    Kind.WORKFLOW: _workflow,
    Kind.CHANGE: _change,
}
