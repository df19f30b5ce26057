"""Readings out of a table draft: who said what of which entity, judged feature by feature, with every fault at once.

A reading is an entity key, a rater label, a feature, and a value or the reason why there is none. An empty cell is no
reading. All cells of values are read anew as text, so that a marker such as "X" does not make a column of grades text.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Final, Self

from commonground.errors import InvalidInput
from commonground.exchange.drafts import (
    SHOWN,
    Chunk,
    ColumnDraft,
    Fault,
    FaultList,
    Slice,
    TableDraft,
    Value,
    clean_name,
    printable,
    refuse,
)
from commonground.exchange.reading_values import Allowed, Rule, rule_of
from commonground.exchange.repeats import Keys, check_keys
from commonground.exchange.text_columns import EXAMPLES, Decision, Evidence, add_faults, column_draft, decide

PAGE: Final = 20_000
FEATURES: Final = 1_000
"""More features than this in one table mean that the wrong column was named."""
RATERS: Final = 10_000
"""Beyond this many labels, readers are no longer compared or listed."""
COLUMNS: Final = ("entity", "rater", "feature", "value", "reason", "comment", "at")


@dataclass(frozen=True, slots=True)
class ReadingDraft:
    """The readings of a table, inspected: features, raters, and what is wrong."""

    source: Path
    digest: str
    entity: str
    """The column of the entity keys."""
    features: tuple[ColumnDraft, ...]
    """The features with the types of their values; `missing` counts the readings without a value."""
    raters: tuple[str, ...]
    rows: int
    """The number of readings."""
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]
    fault_count: int = 0
    reader: Callable[[int], Iterator[Chunk]] = field(repr=False, compare=False, kw_only=True)

    def check(self) -> Self:
        """The draft itself; InvalidInput with every fault if it has any."""
        if self.faults:
            refuse(self.source, self.faults, self.fault_count)
        return self

    def chunks(self, size: int = 50_000) -> Iterator[Chunk]:
        """Columns `COLUMNS` of at most `size` readings (more only if one row holds more); `reason` is None for a value.

        `value` has the type of its feature. InvalidInput if the draft has faults; Conflict if the file has changed.
        """
        if size < 1:
            raise InvalidInput("A chunk has at least one reading.", todo="Give a size of 1 or more.")
        self.check()
        return self.reader(size)


@dataclass(slots=True)
class _Page:
    """Readings in columns, with the places they come from; values still as text."""

    rows: list[int] = field(default_factory=list)
    lines: list[int | None] = field(default_factory=list)
    entity: list[Value] = field(default_factory=list)
    rater: list[Value] = field(default_factory=list)
    feature: list[Value] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    comment: list[Value] = field(default_factory=list)
    at: list[Value] = field(default_factory=list)
    lost: int = 0
    """Comments of rows without any value."""


@dataclass(frozen=True, slots=True)
class Source:
    """One column of values: its feature and rater, or the columns that hold them."""

    value: str
    feature: str | None = None
    feature_column: str | None = None
    rater: str | None = None
    rater_column: str | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """How a table holds readings."""

    entity: str
    sources: tuple[Source, ...]
    comment: str | None
    at: str | None
    allowed: Mapping[str, Allowed]
    cannot: Mapping[str, str]

    @property
    def rater_columns(self) -> tuple[str, ...]:
        """The columns that hold rater labels."""
        return tuple(dict.fromkeys(source.rater_column for source in self.sources if source.rater_column))


def given(*names: str | None) -> list[str]:
    """The names that are given."""
    return [name for name in names if name is not None]


def _as_text(draft: TableDraft, layout: Layout) -> tuple[TableDraft, TableDraft]:
    """The draft with the cells of readings as text; and the same, or one that can be read in spite of faults."""
    missing = [cell for cell in draft.missing if cell not in layout.cannot]
    columns = [source.value for source in layout.sources]
    columns += [source.feature_column for source in layout.sources if source.feature_column]
    columns += [*layout.rater_columns, *given(layout.comment)]
    typed = draft.retyped(dict.fromkeys(columns, "text"), missing)
    readable = typed.retyped(dict.fromkeys(typed.names, "text"), missing) if typed.faults else typed
    return typed, readable


def _usable(draft: TableDraft, layout: Layout) -> bool:
    """Whether the cells can be read at all; a file of typed columns may hold some that are no value of any type."""
    needed = {layout.entity, *layout.rater_columns, *given(layout.comment, layout.at)}
    needed |= {source.value for source in layout.sources}
    needed |= {source.feature_column for source in layout.sources if source.feature_column}
    return needed <= set(draft.names) and not any(fault.kind.startswith("not-") for fault in draft.faults)


def _pages(draft: TableDraft, layout: Layout, size: int) -> Iterator[_Page]:
    """The readings, source by source within each slice of the table; rows without a value are left out."""
    for part in draft.reader(max(1, size // len(layout.sources))):
        page = _Page()
        for source in layout.sources:
            _gather(page, part, source, layout)
        if layout.comment:
            cells = zip(*(part.columns[source.value] for source in layout.sources), strict=True)
            remarks = zip(part.columns[layout.comment], cells, strict=True)
            page.lost = sum(remark is not None and not any(cell is not None for cell in row) for remark, row in remarks)
        if page.rows or page.lost:
            yield page


def _gather(page: _Page, part: Slice, source: Source, layout: Layout) -> None:
    columns = part.columns
    cells = columns[source.value]
    raters = columns[source.rater_column] if source.rater_column else repeat(source.rater, len(cells))
    features = columns[source.feature_column] if source.feature_column else repeat(source.feature, len(cells))
    comments = columns[layout.comment] if layout.comment else repeat(None, len(cells))
    times = columns[layout.at] if layout.at else repeat(None, len(cells))
    places = zip(part.rows, part.lines, columns[layout.entity], raters, features, cells, comments, times, strict=True)
    for row, line, entity, rater, feature, cell, comment, at in places:
        if cell is None:
            continue
        page.rows.append(row)
        page.lines.append(line)
        page.entity.append(entity)
        page.rater.append(_label(rater))
        page.feature.append(_label(feature))
        page.text.append(str(cell).strip())
        page.comment.append(comment)
        page.at.append(at)


def _label(value: Value) -> Value:
    return unicodedata.normalize("NFC", value.strip()) if isinstance(value, str) else value


@dataclass(slots=True)
class _Seen:
    """What the first pass found for one feature."""

    rule: Rule | None
    evidence: Evidence = field(default_factory=Evidence)
    decision: Decision = field(default_factory=lambda: Decision("text"))
    reasons: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)


def draft_readings(draft: TableDraft, layout: Layout) -> ReadingDraft:
    """The readings of a table: types decided feature by feature, answers and repeats checked, every fault collected."""
    typed, readable = _as_text(draft, layout)
    faults = FaultList()
    seen: dict[str, _Seen] = {}
    raters: Counter[str] = Counter()
    rules = {
        clean_name(feature): rule_of(feature, allowed, draft.decimal) for feature, allowed in layout.allowed.items()
    }
    readings = lost = 0
    usable = _usable(readable, layout)
    for page in _pages(readable, layout, PAGE) if usable else ():
        readings += len(page.rows)
        lost += page.lost
        raters.update(rater for rater in page.rater if isinstance(rater, str) and len(raters) < RATERS)
        _observe(page, layout, rules, seen, faults)
    _check_at(typed, layout, faults)
    _check_labels("feature", list(seen), faults)
    _check_labels("rater", list(raters), faults)
    features = [_settle(name, found, draft.decimal, faults) for name, found in seen.items()]

    def keys() -> Iterator[Keys]:
        for page in _pages(readable, layout, PAGE) if usable else ():
            yield page.rows, page.lines, [page.entity, page.rater, page.feature]

    sources = layout.sources[0]
    names = (layout.entity, sources.rater_column or "rater", sources.feature_column or "feature")
    check_keys(keys, names, faults, what="what this rater says of this feature")
    if not readings and not len(faults) and not typed.faults:
        faults.add("no-rows", "the table has no readings")

    def read(size: int) -> Iterator[Chunk]:
        for page in _pages(typed, layout, size):
            if page.rows:
                yield _chunk(page, layout, seen)

    return ReadingDraft(
        source=typed.source,
        digest=typed.digest,
        entity=layout.entity,
        features=tuple(features),
        raters=tuple(raters),
        rows=readings,
        faults=(*typed.faults, *faults.listed()),
        notes=(*typed.notes, *_notes(draft, layout, raters, lost)),
        fault_count=typed.fault_count + len(faults),
        reader=read,
    )


def _notes(draft: TableDraft, layout: Layout, raters: Counter[str], lost: int) -> list[str]:
    used = {layout.entity, layout.comment, layout.at, *layout.rater_columns}
    used |= {source.value for source in layout.sources} | {source.feature_column for source in layout.sources}
    left = [printable(name) for name in draft.names if name not in used]
    notes = [f"columns not read: {', '.join(left[:SHOWN])}"] if left else []
    if lost:
        notes.append(f"{lost:,} comments of rows without a value left out")
    if len(raters) >= RATERS:
        notes.append(f"more than {RATERS:,} raters: only the first are listed")
    return notes


def _observe(page: _Page, layout: Layout, rules: Mapping[str, Rule], seen: dict[str, _Seen], faults: FaultList) -> None:
    """Take in the values of one page, feature by feature."""
    by_feature: dict[str, list[int]] = {}
    for place, feature in enumerate(page.feature):
        if isinstance(feature, str):
            by_feature.setdefault(feature, []).append(place)
    for feature, places in by_feature.items():
        found = seen.setdefault(feature, _Seen(rules.get(feature)))
        if len(seen) > FEATURES:
            raise InvalidInput(f"The table has more than {FEATURES:,} features.", todo="Name the column of features.")
        kept = []
        for place in places:
            text = page.text[place]
            if text in layout.cannot:
                found.reasons[layout.cannot[text]] += 1
                continue
            kept.append(place)
            if found.rule is not None and found.rule.read(text) is None:
                faults.add(
                    "not-allowed",
                    found.rule.refusal(text),
                    row=page.rows[place],
                    line=page.lines[place],
                    column=feature,
                    sample=text,
                )
        texts = [page.text[place] for place in kept]
        lines = [page.lines[place] or 0 for place in kept]
        found.evidence.observe([page.rows[place] for place in kept], lines, texts, frozenset())


def _settle(name: str, found: _Seen, decimal: str | None, faults: FaultList) -> ColumnDraft:
    missing = found.reasons.total()
    said = "; ".join(f"{times:,} times '{printable(reason)}'" for reason, times in found.reasons.most_common())
    if found.rule is not None:
        return ColumnDraft(name, found.rule.type, missing, tuple(found.evidence.examples[:EXAMPLES]), said)
    found.decision = decide(found.evidence, None, "," if decimal == "," else None, dots_in_doubt=False)
    add_faults(name, found.evidence, found.decision, faults)
    draft = column_draft(name, found.evidence, found.decision, is_key=False)
    return ColumnDraft(name, draft.type, missing, draft.examples, "; ".join(filter(None, [draft.note, said])))


def _check_at(typed: TableDraft, layout: Layout, faults: FaultList) -> None:
    kinds = {column.name: column.type for column in typed.columns}
    if layout.at is not None and kinds.get(layout.at, "date") not in {"date", "time"}:
        faults.add("bad-time", f"the column holds no dates or times but {kinds[layout.at]}", column=layout.at)


def _check_labels(role: str, labels: Sequence[str], faults: FaultList) -> None:
    first: dict[str, str] = {}
    for label in labels:
        other = first.setdefault(unicodedata.normalize("NFC", label.casefold()), label)
        if other != label:
            words = f"the {role} '{printable(other)}' differs only in case"
            faults.add("twin-name", words, column=role, sample=label)


def _chunk(page: _Page, layout: Layout, seen: Mapping[str, _Seen]) -> Chunk:
    read: dict[str, Callable[[str], Value]] = {
        name: found.decision.converter() if found.rule is None else found.rule.read for name, found in seen.items()
    }
    cannot = layout.cannot
    values: list[Value] = [
        None if text in cannot else read[str(feature)](text)
        for feature, text in zip(page.feature, page.text, strict=True)
    ]
    return {
        "entity": page.entity,
        "rater": page.rater,
        "feature": page.feature,
        "value": values,
        "reason": [cannot.get(text) for text in page.text],
        "comment": page.comment,
        "at": page.at,
    }
