"""Which changes say something of some entities in their words: by a key, a digest, a reader or a value; who else does.

A change's words are its arguments and its reason. Besides keys and digests they may hold the labels of readers who are
known only within an entity (`slots`), and the values of a column for which something else was to be read (`maps`). Such
a value tells of an entity if no other entity has it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from commonground.identity import Rid
from commonground.store import schema
from commonground.store.portions import portions
from commonground.store.schema import field_type, payload
from commonground.store.view import View
from commonground.structure import tables
from commonground.structure.column_types import Holds
from commonground.structure.conversions import spell
from commonground.structure.entities import EntityType, get_table, get_type
from commonground.structure.tables import entity_column, term

GONE = "erased"
"""What stands in words in place of what an erasure took."""
DISTINCT = 6
"""A key of so many characters does not stand in other words by chance."""
WORDED = {
    tables.person: "rid",
    tables.term: "rid",
    tables.synonym: "term",
    tables.feature: "rid",
    tables.asset: "rid",
    tables.dataset: "rid",
    tables.criteria: "dataset",
    tables.withdrawal: "rid",
    tables.execution: "rid",
    tables.param: "execution",
}
"""Tables in which people say things, and the column of each with what they say it of."""
_WORD = r"(?<!\w)(?<!\w[-./:,+]){}(?!\w|[-./:,+]\w)"


def list_changes_about(view: View, names: Collection[str], entities: Mapping[EntityType, set[Rid]]) -> list[int]:
    """The changes whose words hold one of these names, a reader within one of the entities, or a value of theirs."""
    log = schema.change
    rids = {rid for some in entities.values() for rid in some}
    types = {kind.rid: (kind, some) for kind, some in entities.items()}
    found = []
    for row in view.rows(sa.select(log.c.id, log.c.words).where(log.c.words.is_not(None))):
        words = json.loads(row.words)
        args = words["args"]
        if (
            is_named(names, "\n".join(_texts(words)))
            or any(slot[1] in rids for slot in args.get("slots", ()) if isinstance(slot, list))
            or _maps_a_value(view, args, types)
        ):
            found.append(row.id)
    return found


def is_named(keys: Iterable[str], text: str) -> bool:
    """Whether a text names one of these keys: a long one anywhere, a short one as a word of its own.

    Keys such as 7 stand inside digests, dates and counts that are about nobody.
    """
    return any(
        key in text and (len(key) >= DISTINCT or re.search(_WORD.format(re.escape(key)), text) is not None)
        for key in keys
    )


def without_names(keys: Iterable[str], text: str) -> str:
    """A text with a mark in place of each of these keys, found as in `is_named`."""
    for key in sorted(keys, key=len, reverse=True):
        form = re.escape(key) if len(key) >= DISTINCT else _WORD.format(re.escape(key))
        text = re.sub(form, lambda _: f"[{GONE}]", text)
    return text


def list_namers(view: View, names: Collection[str]) -> set[Rid]:
    """The things whose own words, of now or before, hold one of these names: they stay as they are."""
    found: set[Rid] = set()
    for table, owner in WORDED.items():
        texts = [column for column in payload(table) if field_type(column) == "text"]
        rows = view.connection.execute(sa.select(table.c[owner], *texts))
        found.update(thing for thing, *said in rows if is_named(names, "\n".join(filter(None, said))))
    return found


def _maps_a_value(view: View, args: Mapping[str, Any], types: Mapping[Rid, tuple[EntityType, set[Rid]]]) -> bool:
    """Whether a change says what is to be read in place of a value that only these entities have, or had."""
    maps = args.get("maps")
    if not isinstance(maps, Mapping) or not maps or args.get("type") not in types:
        return False
    kind, rids = types[args["type"]]
    column = view.first(sa.select(entity_column).where(entity_column.c.rid == args["retires"]))
    if column is None:
        return False
    table = get_table(view, kind)
    cell = table.c[column.place]
    theirs = {
        row[0]
        for part in portions(sorted(rids))
        for row in view.rows(sa.select(cell).where(table.c.rid.in_(part), cell.is_not(None)).distinct())
    }
    if not _spell(view, column, theirs) & maps.keys():
        return False
    every = view.rows(sa.select(table.c.rid, cell.label("cell")).where(cell.is_not(None)).distinct())
    return bool(_spell(view, column, theirs - {row.cell for row in every if row.rid not in rids}) & maps.keys())


def _spell(view: View, column: sa.Row[Any], cells: set[Any]) -> set[str]:
    """The words by which values of a column were read, of terms and linked entities any that they ever had."""
    holds = Holds(column.holds)
    if holds is Holds.TERM:
        words = sa.select(term.c.rid, term.c.name).where(term.c.vocabulary == column.target)
        return {row.name for row in view.rows(words) if row.rid in cells}
    if holds is Holds.LINK:
        table = get_table(view, get_type(view, column.target))
        return {row.key for row in view.rows(sa.select(table.c.rid, table.c.key)) if row.rid in cells}
    return {spell(holds, cell) for cell in cells}


def _texts(value: object) -> Iterator[str]:
    """Every text within plain data."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield name
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
