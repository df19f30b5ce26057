"""Why something is as it is: for each thing that people ask, recorded with the change that says so, or not recorded.

Nothing is concluded from other things: what nobody wrote down is said to be missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from commonground.identity import Kind, Rid, read_rid
from commonground.operations.describing import description_of
from commonground.operations.plans import Reading
from commonground.operations.resolving import name_of, resolve, shorten_all
from commonground.operations.rules_in_words import rule_in_words
from commonground.operations.value_texts import format_seed, format_value
from commonground.store.changes import Change
from commonground.store.view import View
from commonground.structure import datasets, entities, executions, features, history, naming, parameters, workflows
from commonground.structure.datasets import Criteria
from commonground.structure.lineage import Edge, list_edges, list_reproductions, told_of
from commonground.structure.withdrawals import find_reason

MANY = 20
NAMED = 3
"""So many of the executions that went by a rule are named; of more their number is told."""


@dataclass(frozen=True, slots=True)
class Point:
    """One question about a thing, and what is on record."""

    question: str
    """What people ask."""
    answer: str | None
    """What is on record; None if nothing is."""
    words: bool
    """Whether the answer is what a person wrote, word for word."""
    change: int | None = None
    """The change that says so."""
    who: str | None = None
    """Who said so."""
    at: int | None = None
    """When, UTC microseconds."""

    def __str__(self) -> str:
        """The answer and where it is on record, or that it is not."""
        if self.answer is None:
            return "not recorded"
        said = f"“{self.answer}”" if self.words else self.answer
        return said if self.change is None else f"{said} (c{self.change} {self.who})"


@dataclass(frozen=True, slots=True)
class Reasons:
    """Why a thing is as it is, as far as anybody said."""

    kind: str
    """Its kind."""
    name: str
    """What it is called."""
    id: str
    """The beginning of its id."""
    points: tuple[Point, ...]
    """Question by question."""

    @property
    def recorded(self) -> int:
        """How many of the questions have an answer on record."""
        return sum(point.answer is not None for point in self.points)

    def __str__(self) -> str:
        """A line for each question, as it is read when printed."""
        told = (f"{point.question}: {point}" for point in self.points)
        return "\n".join((f"Why {self.name}: {self.recorded} of {len(self.points)} answered on record", *told))


def read_why(on: Reading, *, what: str) -> Reasons:
    """For each question about a thing: what is recorded and where, or that it is not recorded."""
    found = resolve(on.view, what)
    named = name_of(on.view, found)
    explain = _EXPLAIN.get(found.kind, _plain)
    short = named.name if found.kind is Kind.CHANGE else shorten_all(on.view, [found.rid])[found.rid]
    return Reasons(str(found.kind), named.name, short, tuple(explain(on, found.rid)))


def _version(on: Reading, rid: Rid) -> list[Point]:
    view = on.view
    one = datasets.get_version_by_rid(view, rid)
    released = history.get_change(view, one.since)
    with on.ground.view(one.change) as then:
        criteria = datasets.get_criteria(then, one.dataset)
        stated = _cited(then, history.criteria_change(then, one.dataset))
        named = naming.name_things(then, datasets.list_named_features(then, one.dataset))
    points = [
        *_members(view, criteria, stated),
        _point(view, "What is new in it", one.description, released, words=True),
        _point(view, "Why it was released", released.why if released else None, released, words=True),
        *_label_rules(view, rid, [feature.name for feature in named.values()]),
    ]
    purpose = description_of(view, Kind.DATASET, one.dataset)
    return [
        *points,
        _point(view, "What the dataset is for", purpose, history.first_change(view, one.dataset), words=True),
    ]


def _dataset(on: Reading, rid: Rid) -> list[Point]:
    view = on.view
    made = history.first_change(view, rid)
    criteria = datasets.get_criteria(view, rid)
    named = naming.name_things(view, datasets.list_named_features(view, rid))
    return [
        _point(view, "What it is for", description_of(view, Kind.DATASET, rid), made, words=True),
        *_members(view, criteria, _cited(view, history.criteria_change(view, rid))),
        *_label_rules(view, rid, [feature.name for feature in named.values()]),
        _point(view, "Why it was made", made.why if made else None, made, words=True),
    ]


def _members(view: View, criteria: Criteria | None, stated: Change | None) -> list[Point]:
    rule = rule_in_words(criteria.rule) if criteria else None
    reason = criteria.reason if criteria else None
    return [
        _point(view, "How the members were chosen", rule, stated, words=False),
        _point(view, "Why these and not others", reason or (stated.why if stated else None), stated, words=True),
    ]


def _label_rules(view: View, rid: Rid, named: list[str]) -> list[Point]:
    """How many values became one label: the selectors of the runs that used it."""
    rules: dict[str, list[str]] = {}
    edges = list_edges(view, src=rid)
    runs = naming.name_things(view, [edge.dst for edge in edges])
    for edge in edges:
        for rule in _selectors(view, edge):
            rules.setdefault(rule, []).append(runs[edge.dst].name)
    points = []
    for rule, users in rules.items():
        first = next(edge for edge in edges if runs[edge.dst].name == users[0])
        shown = ", ".join(dict.fromkeys(users[:NAMED])) + (
            f" and {len(users) - NAMED} more" if len(users) > NAMED else ""
        )
        change = history.first_change(view, first.dst)
        points.append(_point(view, "Label rule", f"{rule}, in {shown}", change, words=False))
    for maker in _makers(edges):
        began = history.first_change(view, maker)
        points.append(_point(view, "Why this label rule", began.why if began else None, began, words=True))
    if not points and named:
        points.append(Point("Label rule", None, words=False))
    return points


def _makers(edges: Sequence[Edge]) -> list[Rid]:
    """The executions that computed the labels which were used."""
    chosen = (
        used.get("selector", {})
        for edge in edges
        for frame in edge.details.get("frames", ())
        for used in frame.get("features", ())
    )
    return list(dict.fromkeys(read_rid(str(one["execution"])) for one in chosen if one.get("rule") == "by_execution"))


def _selectors(view: View, edge: Edge) -> list[str]:
    found = []
    for frame in edge.details.get("frames", ()):
        for used in frame.get("features", ()):
            name = _feature_name(view, used.get("feature"))
            left = sum(used.get("left_out", {}).values())
            more = f", {left:,} left out" if left else ""
            found.append(f"{name}: {_rule(view, used.get('selector', {}))}{more}")
    return list(dict.fromkeys(found))


def _rule(view: View, selector: Mapping[str, Any]) -> str:
    """A selector in words; a run that computed the values is named, with what it was told."""
    if isinstance(selector.get("execution"), str):
        run = resolve(view, selector["execution"])
        told = parameters.list_params(view, [run.rid])[run.rid]
        shown = ", ".join(f"{key} {format_value(value)}" for key, value in list(told.items())[:MANY])
        return f"computed by {name_of(view, run).name}" + (f" ({shown})" if shown else "")
    rule = str(selector.get("rule", ""))
    rest = [f"{key} {format_value(value)}" for key, value in selector.items() if key != "rule" and value]
    return ", ".join(part for part in (rule, *rest) if part) or "as it stands"


def _feature_name(view: View, shown: object) -> str:
    if not isinstance(shown, str):
        return "values"
    found = resolve(view, shown)
    return name_of(view, found).name


def _execution(on: Reading, rid: Rid) -> list[Point]:
    view = on.view
    one = executions.get_execution(view, rid)
    began = history.first_change(view, rid)
    intent = one.details.get("intent") or (began.why if began else None)
    points = [_point(view, "What was asked", str(intent) if intent else None, began, words=True)]
    edges = [edge for edge in list_edges(view, dst=rid) if edge.relation == "used"]
    named = naming.name_things(view, [edge.src for edge in edges])
    for edge in edges:
        source = str(edge.details.get("reference") or named[edge.src].name)
        state = " (not released)" if edge.details.get("unreleased") else ""
        points.append(_point(view, "Data it used", f"{source}{state}", began, words=False))
        rules = _selectors(view, edge)
        points += [_point(view, "Label rule", rule, began, words=False) for rule in rules]
    if not edges:
        points.append(Point("Data it used", None, words=False))
    told = list(parameters.list_params(view, [rid])[rid].items())
    shown = ", ".join(f"{key} {format_value(value)}" for key, value in told[:MANY])
    points.append(_point(view, "Parameters", shown or None, began, words=False))
    points.append(_point(view, "Seed", format_seed(one.seed), began, words=False))
    if one.workflow:
        code = workflows.get_workflow(view, one.workflow)
        text = f"{code.name}, commit {(code.commit or 'none')[:10]}" + (
            ", with uncommitted changes kept" if code.dirty else ""
        )
        points.append(_point(view, "Code", text, began, words=False))
    else:
        points.append(Point("Code", None, words=False))
    points.append(
        _point(view, "Packages", f"environment {one.environment[:12]}" if one.environment else None, began, words=False)
    )
    for edge in list_reproductions(view, rid)[-MANY:]:
        points.append(_point(view, "Run again", told_of(edge), history.first_change(view, edge.dst), words=False))
    if one.status != "finished":
        points.append(_point(view, f"Why it is {one.status}", one.reason, began, words=False))
    return points


def _feature(on: Reading, rid: Rid) -> list[Point]:
    view = on.view
    one = features.get_feature(view, rid)
    made = history.first_change(view, rid)
    kind = entities.get_type(view, one.type)
    scale = f"{one.holds} of {kind.name}" + (", an ordered scale" if one.ordered else "")
    _, covered, raters = history.count_values(view, one)
    return [
        _point(view, "What it says", one.description, made, words=True),
        _point(view, "What a value is", scale, made, words=False),
        _point(view, "Unit", one.unit, made, words=False),
        Point("Who gave values", f"{raters:,} raters, for {covered:,} {kind.name}" if covered else None, words=False),
        _point(view, "Why it was declared", made.why if made else None, made, words=True),
    ]


def _change(on: Reading, number: Rid) -> list[Point]:
    change = history.get_change(on.view, number)
    if change is None:
        return []
    rids = history.list_subjects(on.view, [change.id])[change.id]
    named = naming.name_things(on.view, rids[:MANY])
    about = ", ".join(one.name for one in named.values() if one.name != one.kind)
    return [
        _point(on.view, "Why", change.why, change, words=True),
        _point(on.view, "What was done", f"{change.verb}: {about}" if about else change.verb, change, words=False),
    ]


def _asset(on: Reading, rid: Rid) -> list[Point]:
    view = on.view
    made = history.first_change(view, rid)
    makers = [edge for edge in list_edges(view, dst=rid) if edge.relation == "produced"]
    named = naming.name_things(view, [edge.src for edge in makers])
    points = [_point(view, "What it is", description_of(view, Kind.ASSET, rid), made, words=True)]
    if makers:
        began = history.first_change(view, makers[0].src)
        points.append(_point(view, "What made it", named[makers[0].src].name, began, words=False))
        points.append(_point(view, "What was asked", began.why if began else None, began, words=True))
    else:
        points.append(_point(view, "Why it was brought in", made.why if made else None, made, words=True))
    return points


def _plain(on: Reading, rid: Rid) -> list[Point]:
    view = on.view
    made = history.first_change(view, rid)
    said = description_of(view, _kind(view, rid), rid)
    return [
        _point(view, "What it is", said, made, words=True),
        _point(view, "Why it is here", made.why if made else None, made, words=True),
    ]


def _entity(on: Reading, rid: Rid) -> list[Point]:
    """An import of many is not anchored at each of them: the first row of an entity says what brought it in."""
    view = on.view
    name = naming.name_things(view, [rid])[rid].name.partition(":")[0]
    kind = next((one for one in entities.list_types(view) if one.name == name), None)
    if kind is None:
        return _plain(on, rid)
    made = _cited(view, history.first_row(view, entities.get_table(view, kind), rid))
    points = [_point(view, "Why it is here", made.why if made else None, made, words=True)]
    gone = find_reason(view, rid)
    if gone is not None:
        reason, change = gone
        points.append(_point(view, "Why it was withdrawn", reason, _cited(view, change), words=True))
    return points


def _kind(view: View, rid: Rid) -> str:
    return naming.name_things(view, [rid])[rid].kind


def _cited(view: View, number: int | None) -> Change | None:
    return None if number is None else history.get_change(view, number)


def _point(
    view: View,
    question: str,
    answer: str | None,
    change: Change | None,
    *,
    words: bool,
) -> Point:
    if not answer:
        return Point(question, None, words=words)
    if change is None:
        return Point(question, answer, words=words)
    who = None
    if change.actor is not None:
        who = naming.name_things(view, [change.actor])[change.actor].name
    return Point(question, answer, words, change.id, who, change.recorded_at)


_EXPLAIN: dict[Kind, Callable[[Reading, Rid], list[Point]]] = {
    Kind.VERSION: _version,
    Kind.DATASET: _dataset,
    Kind.EXECUTION: _execution,
    Kind.FEATURE: _feature,
    Kind.ENTITY: _entity,
    Kind.CHANGE: _change,
    Kind.ASSET: _asset,
}
