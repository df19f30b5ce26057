"""Bringing tables and folders of pictures in: a plan with all faults at once, upserted by natural key.

Rows that are there and absent from the file are reported and stay. The second delivery of the same file changes
nothing. The file itself is kept as an asset, up to 64 MiB; a larger one by reference, with its digest.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from commonground.errors import InvalidInput, NotFound
from commonground.exchange.drafts import TableDraft
from commonground.identity import Rid
from commonground.operations.entities import (
    NewColumn,
    apply_upsert,
    describe_columns,
    describe_type,
    store_values,
    upsert_plan,
)
from commonground.operations.plans import Plan, Reading
from commonground.operations.sorting_out import SortedOut, sort_out
from commonground.operations.wording import note_columns
from commonground.store.column_rows import ColumnRows
from commonground.store.files import is_there
from commonground.store.ground import Ground
from commonground.store.transaction import Transaction
from commonground.structure import assets, entities, tables
from commonground.structure.column_types import Holds
from commonground.structure.entities import EntityColumn, EntityType
from commonground.structure.former_names import list_former_rows
from commonground.structure.names import name_key
from commonground.structure.screen_told import screen_file_names

READERS = {
    ".csv": "csv_tables",
    ".tsv": "csv_tables",
    ".txt": "csv_tables",
    ".parquet": "parquet_tables",
    ".xlsx": "excel_tables",
}
KEPT_BYTES = 64 << 20
USUAL = "delimiter: comma"
TOGETHER = 10_000
"""Rows that are held as cells while they become columns."""
NUMBERS = ("int", "real", "bool")
FEW_WORDS = 1_000
"""Up to so many texts of a column are held once, in however many rows they stand."""


def inspect_table(path: Path, **options: object) -> TableDraft:
    """A table file as a draft, read by the format that its name says; faults are in the draft."""
    if not is_there(path):
        raise NotFound(f"There is no file {path}.", todo="Check the path.")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InvalidInput(f"{path.name}: tables are read from {', '.join(READERS)}.", todo="Convert it to CSV.")
    module = importlib.import_module(f"commonground.exchange.{reader}")
    draft: TableDraft = module.inspect(path, **options)
    return draft


def plan_table(
    on: Reading,
    *,
    path: Path | str,
    type: str,
    key: str,
    links: Mapping[str, str] | Sequence[str] = (),
    terms: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    descriptions: Mapping[str, str] | None = None,
    types: Mapping[str, str] | None = None,
    description: str | None = None,
    sensitive: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
) -> Plan:
    """Import a table as entities of a type, which is declared if it is not there.

    `links` maps columns to the entity types that their values are keys of (a column alone is a link to the type of
    its own name); `terms` maps columns to vocabularies; `sensitive` names new columns that are left out unless asked
    for.
    """
    known = {name_key(kind.name): kind for kind in entities.list_types(on.view)}
    kind = known.get(name_key(type)) or _renamed(on, type)
    linked = _links(links, known)
    stated = {**dict.fromkeys((*linked, *(terms or {}), key), "text"), **_stated(kind), **(types or {})}
    source = Path(path)
    draft = inspect_table(source, key=key, types=_known_columns(source, stated, options), **(options or {})).check()
    new = [
        NewColumn(
            column.name,
            "link" if column.name in linked else "term" if column.name in (terms or {}) else column.type,
            target=linked.get(column.name) or (terms or {}).get(column.name),
            unit=(units or {}).get(column.name),
            description=(descriptions or {}).get(column.name),
            sensitive=column.name in sensitive,
        )
        for column in draft.columns
        if column.name != key and (kind is None or not _has(kind, column.name))
    ]
    declares, extends = None, None
    if kind is None:
        declares = describe_type(on, type, new, key, description)
        full = as_type(declares["type"], declares["columns"])
    else:
        extends = describe_columns(on, kind.name, new, known=kind.columns) if new else None
        full = as_type(_fields(kind), extends or [], kind.columns)
    texts = [column.name for column in draft.columns if column.name != key and column.type not in NUMBERS]
    values = collect_columns(draft.chunks(TOGETHER), draft.names, texts)
    keys = values.pop(key)
    stored = store_values(on, full, values, len(keys))
    found = (
        _sort_out_extended(on, kind, keys, stored, extends) if kind and extends else sort_out(on, kind, keys, stored)
    )
    found.notes.extend(note_columns(on, full, values))
    return _with_source(on, upsert_plan(on, full, found, declares=declares, extends=extends), found, draft, source)


def stage_table(ground: Ground, plan: Plan) -> None:
    """Keep the file itself."""
    source = plan.args["source"]
    if source and source["reference"] is None:
        kept = ground.blobs.put_file(Path(plan.payload["path"]))
        if kept.digest != source["digest"]:
            raise InvalidInput("The file changed while it was being imported.", todo="Import it again.")


def apply_table(tx: Transaction, plan: Plan, _staged: None) -> None:
    """Write the entities and the file they came from."""
    if plan.args["source"]:
        assets.add_assets(tx, [plan.args["source"]])
    apply_upsert(tx, plan)


def as_type(
    fields: Mapping[str, Any], columns: Sequence[Mapping[str, Any]], known: Sequence[EntityColumn] = ()
) -> EntityType:
    """The entity type that a plan declares or extends, so that values can be read for it before it is there."""
    more = tuple(
        EntityColumn(
            row["rid"],
            row["name"],
            row["place"],
            Holds(row["holds"]),
            row["target"],
            row["unit"],
            row["description"],
            bool(row["sensitive"]),
        )
        for row in columns
    )
    return EntityType(
        fields["rid"], fields["name"], fields["description"], fields["key_label"], fields["place"], (*known, *more)
    )


def keep_source(on: Reading, draft_digest: str, source: Path, kind: str, rid: Rid) -> dict[str, Any] | None:
    """The asset row of an imported file; None if the same bytes are here already."""
    (name,) = screen_file_names([source.name])
    if any(asset.name == name for asset in assets.find_by_digest(on.view, draft_digest)):
        return None
    size = source.stat().st_size
    return {
        "rid": rid,
        "name": name,
        "kind": kind,
        "digest": draft_digest,
        "size": size,
        "media_type": None,
        "reference": None if size <= KEPT_BYTES else str(source.resolve()),
        "description": None,
    }


def _with_source(on: Reading, plan: Plan, found: SortedOut, draft: TableDraft, source: Path) -> Plan:
    nothing = not (found.new or found.changed or plan.args["declares"] or plan.args["extends"])
    kept = None if nothing else keep_source(on, draft.digest, source, "table", on.mint()[0])
    # The file may be here from another import; an erasure finds it through this one too.
    files = [kept["rid"]] if kept else [asset.rid for asset in assets.find_by_digest(on.view, draft.digest)]
    effect = {**plan.effect, "from": source.name}
    if found.absent:
        effect["absent, for example"] = found.absent[:5]
    if notes := [note for note in draft.notes if note != USUAL]:
        effect["notes"] = [*effect.get("notes", []), *notes]
    return Plan(
        id=plan.id,
        verb="import table",
        args={**plan.args, "source": kept, "file": source.name, "file digest": draft.digest},
        at=plan.at,
        anchors=(*plan.anchors, *files),
        reads=plan.reads,
        effect=effect,
        payload={**plan.payload, "path": str(source)},
        needs=_needs(plan),
        nothing=nothing,
    )


def _needs(plan: Plan) -> dict[str, str]:
    """What the import declares, by the verb that declares it."""
    declares, extends = plan.args["declares"], plan.args["extends"]
    if declares:
        return {"type add": f"it declares the entity type {declares['type']['name']}"}
    return {"type extend": f"it adds {name_columns(extends)}"} if extends else {}


def name_columns(rows: Sequence[Mapping[str, Any]]) -> str:
    """New columns in words."""
    return f"{'columns' if len(rows) > 1 else 'the column'} {', '.join(row['name'] for row in rows)}"


def _links(links: Mapping[str, str] | Sequence[str], known: Mapping[str, EntityType]) -> dict[str, str]:
    told = dict(links) if isinstance(links, Mapping) else {one: one for one in links}
    found = {}
    for column, name in told.items():
        kind = known.get(name_key(name))
        if kind is None:
            there = ", ".join(kind.name for kind in known.values()) or "none yet"
            raise NotFound(
                f"{column} cannot be a link to {name}: there is no such entity type.",
                todo=f"There are: {there}. Import what it leads to first, or write --link {column}=TYPE.",
            )
        found[column] = kind.name
    return found


def _stated(kind: EntityType | None) -> dict[str, str]:
    """What the columns that are there hold, in the words of a draft: whatever is resolved or checked here is text."""
    if kind is None:
        return {}
    plain = {Holds.INT, Holds.REAL, Holds.BOOL, Holds.DATE, Holds.TIME}
    return {
        # What stands in a sensitive column is read later, where a message about it can be kept short.
        name: str(column.holds) if column.holds in plain and not column.sensitive else "text"
        for column in kind.columns
        for name in (*column.former, column.name)
    }


def _known_columns(source: Path, stated: Mapping[str, str], options: Mapping[str, Any] | None) -> dict[str, str]:
    """What the columns of the file hold, as far as that is stated; a column that is there is known in any letters."""
    first = inspect_table(source, **(options or {}))
    known = {name_key(column): kind for column, kind in stated.items()}
    return {name: known[name_key(name)] for name in first.names if name_key(name) in known}


def _renamed(on: Reading, name: str) -> EntityType | None:
    """The type that had this name before."""
    had = list_former_rows(on.view, tables.entity_type, name)
    return entities.get_type(on.view, had[0].rid) if len(had) == 1 else None


def _has(kind: EntityType, name: str) -> bool:
    return kind.find_column(name) is not None


def collect_columns(
    chunks: Iterable[Mapping[str, Sequence[Any]]], names: Sequence[str], texts: Iterable[str]
) -> dict[str, list[Any]]:
    """The columns of all chunks; of those in `texts` equal ones are held once, as long as they are few."""
    values: dict[str, list[Any]] = {name: [] for name in names}
    words: dict[str, dict[str, str]] = {name: {} for name in texts}
    for chunk in chunks:
        for name, cells in values.items():
            cells.extend(_shared(chunk[name], words[name]) if name in words else chunk[name])
            if len(words.get(name, ())) > FEW_WORDS:
                del words[name]
    return values


def _shared(cells: Sequence[Any], words: dict[str, str]) -> list[Any]:
    """The cells, of which equal texts are one object: most columns of texts have few words in many rows."""
    return [words.setdefault(cell, cell) if isinstance(cell, str) else cell for cell in cells]


def _fields(kind: EntityType) -> dict[str, Any]:
    return {
        "rid": kind.rid,
        "name": kind.name,
        "description": kind.description,
        "key_label": kind.key_label,
        "place": kind.place,
    }


def _sort_out_extended(
    on: Reading,
    kind: EntityType,
    keys: list[str],
    stored: dict[str, list[Any]],
    extends: Sequence[Mapping[str, Any]],
) -> SortedOut:
    """As sort_out, for a type that gains columns: whoever has a value in a new column changes."""
    fresh = {row["place"] for row in extends}
    before = sort_out(on, kind, keys, {place: values for place, values in stored.items() if place not in fresh})
    there = {row["rid"]: row for row in before.changed}
    listed = entities.list_entities(on.view, kind)
    states = dict(zip(listed["rid"], zip(*listed.values(), strict=True), strict=True))
    position = {key: row for row, key in enumerate(keys)}
    new = ColumnRows(
        {
            **before.new.columns,
            **{place: [stored[place][position[key]] for key in before.new.columns["key"]] for place in sorted(fresh)},
        }
    )
    changed = []
    for key, rid in before.known.items():
        values = {place: stored[place][position[key]] for place in fresh}
        if rid in there:
            changed.append({**there[rid], **values})
        elif any(value is not None for value in values.values()):
            changed.append({**dict(zip(listed, states[rid], strict=True)), **values})
    return SortedOut(new, changed, len(before.known) - len(changed), before.absent, before.known, before.notes)
