"""Tables that annotators and annotation programs export, into readings.

Three layouts: a row for each entity and reader with a column for each feature (`from_wide`); a row for each entity with
a column for each feature and reader, such as "malignancy_r1" (`from_rater_columns`); a row for each value
(`from_long`). Common parameters: `entity`, `rater`, `feature`, `value`, `comment`, `at` name columns; `allowed` states
by feature what may be answered (a list, a range, `Between`); `cannot` maps markers to the reason for having no value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from commonground.errors import InvalidInput
from commonground.exchange.drafts import TableDraft, check_columns_exist, clean_name, printable
from commonground.exchange.path_patterns import pieces_of
from commonground.exchange.reading_values import Allowed
from commonground.exchange.readings import Layout, ReadingDraft, Source, draft_readings, given


def from_wide(
    draft: TableDraft,
    *,
    entity: str,
    rater: str,
    values: Sequence[str],
    comment: str | None = None,
    at: str | None = None,
    allowed: Mapping[str, Allowed] | None = None,
    cannot: Mapping[str, str] | None = None,
) -> ReadingDraft:
    """Readings of a table with a row for each entity and rater, and a column for each feature in `values`.

    InvalidInput if a named column is not there.
    """
    check_columns_exist([entity, rater, *values, *given(comment, at)], draft.names, "the readings")
    if not values:
        raise InvalidInput("No column of values is named.", todo="Name the columns that hold what the readers said.")
    sources = tuple(Source(value=name, feature=name, rater_column=rater) for name in dict.fromkeys(values))
    return draft_readings(draft, Layout(entity, sources, comment, at, allowed or {}, cannot or {}))


def from_rater_columns(
    draft: TableDraft,
    *,
    entity: str,
    pattern: str = "{feature}_{rater}",
    features: Sequence[str] | None = None,
    comment: str | None = None,
    at: str | None = None,
    allowed: Mapping[str, Allowed] | None = None,
    cannot: Mapping[str, str] | None = None,
) -> ReadingDraft:
    """Readings of a table with a row for each entity, and a column for each feature and rater, named by a pattern.

    `features` names the features to take, and settles names that can be split in two ways; else all are taken.
    InvalidInput if a named column is not there, or if a name can still be split in two ways.
    """
    check_columns_exist([entity, *given(comment, at)], draft.names, "the readings")
    others = {entity, comment, at}
    names = [name for name in draft.names if name not in others]
    wanted = None if features is None else [clean_name(feature) for feature in features]
    sources = tuple(_split_names(names, pattern, wanted))
    return draft_readings(draft, Layout(entity, sources, comment, at, allowed or {}, cannot or {}))


def from_long(
    draft: TableDraft,
    *,
    entity: str,
    rater: str,
    feature: str,
    value: str,
    comment: str | None = None,
    at: str | None = None,
    allowed: Mapping[str, Allowed] | None = None,
    cannot: Mapping[str, str] | None = None,
) -> ReadingDraft:
    """Readings of a table with a row for each value.

    InvalidInput if a named column is not there.
    """
    check_columns_exist([entity, rater, feature, value, *given(comment, at)], draft.names, "the readings")
    sources = (Source(value=value, feature_column=feature, rater_column=rater),)
    return draft_readings(draft, Layout(entity, sources, comment, at, allowed or {}, cannot or {}))


def _split_names(names: Sequence[str], pattern: str, wanted: Sequence[str] | None) -> Iterator[Source]:
    try:
        pieces = pieces_of(pattern)
    except ValueError as error:
        raise InvalidInput(
            f"The pattern '{pattern}' cannot be used: {error}.", todo="Try '{feature}_{rater}'."
        ) from None
    fields = [name for _, name in pieces if name is not None]
    if sorted(fields) != ["feature", "rater"] or not pieces[1][0]:
        raise InvalidInput(
            f"The pattern '{pattern}' does not hold feature and rater with text between them.",
            todo="Try '{feature}_{rater}'.",
        )
    splits = {name: found for name in names if (found := _splits(name, [before for before, _ in pieces], fields))}
    if wanted is not None:
        splits = {name: [pair for pair in pairs if pair[0] in wanted] for name, pairs in splits.items()}
    certain = {pairs[0][1] for pairs in splits.values() if len(pairs) == 1}
    faults = []
    sources = []
    for name, pairs in splits.items():
        fitting = [pair for pair in pairs if len(pairs) == 1 or pair[1] in certain]
        if len(fitting) == 1:
            sources.append(Source(value=name, feature=fitting[0][0], rater=fitting[0][1]))
        elif pairs:
            faults.append(f"column '{printable(name)}' can be split in more ways than one")
    if faults:
        raise InvalidInput("Some columns name no single feature and rater.", faults=faults, todo="Name the features.")
    if not sources:
        raise InvalidInput(f"No column fits the pattern '{pattern}'.", todo="Check the pattern and the features.")
    yield from sources


def _splits(name: str, fixed: Sequence[str], fields: Sequence[str]) -> list[tuple[str, str]]:
    """Every way to split a name into feature and rater."""
    before, between, after = fixed
    if not name.startswith(before) or not name.endswith(after):
        return []
    inner = name[len(before) : len(name) - len(after)]
    pairs = []
    place = inner.find(between, 1)
    while 0 < place < len(inner) - len(between):
        first, second = inner[:place], inner[place + len(between) :]
        pairs.append((first, second) if fields[0] == "feature" else (second, first))
        place = inner.find(between, place + 1)
    return pairs
