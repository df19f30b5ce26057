"""Bringing a folder of pictures in: each becomes an asset, tied to the entity that its name says."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from commonground.errors import InvalidInput, NotFound
from commonground.exchange import picture_folders
from commonground.exchange.picture_folders import PictureDraft
from commonground.identity import Rid
from commonground.operations.entities import NewColumn, describe_columns
from commonground.operations.features import note_merged
from commonground.operations.importing import name_columns
from commonground.operations.plans import Plan, Reading
from commonground.store.ground import Ground
from commonground.store.transaction import Transaction
from commonground.structure import assets, entities
from commonground.structure.column_types import Holds
from commonground.structure.entities import EntityType
from commonground.structure.names import name_key
from commonground.structure.screen_told import screen_file_names

SHOWN = 10


def plan_pictures(
    on: Reading,
    *,
    path: Path | str,
    match: str,
    type: str,
    column: str = "picture",
    key: str | None = None,
) -> Plan:
    """Import the pictures of a folder whose names fit `match`, such as "{patient}_{scan}.png".

    The entity of a picture is named by the field `key`, or by a template of fields such as "{patient}-{scan}"; without
    it, by the field that is called like the type, else by the last one. All faults of names, files and entities come
    at once. The column of type asset is added if the type has none of that name.
    """
    kind = entities.get_type(on.view, type)
    folder = Path(path)
    draft, keys = _match(folder, match, kind, key)
    table = draft.table
    found = entities.find_keys(on.view, kind, sorted(set(keys)))
    _check_keys(kind, table["path"], keys, found)
    place, extends = _column(on, kind, column)
    listed = entities.list_entities(on.view, kind)
    before = {rid: row for row, rid in enumerate(listed["rid"])}
    digests = _digests([folder / str(path) for path in table["path"]])
    held = {asset.rid: asset.digest for asset in assets.list_assets(on.view, [r for r in listed.get(place, []) if r])}
    fresh = [
        row for row, name in enumerate(keys) if extends or held.get(listed[place][before[found[name]]]) != digests[row]
    ]
    rows = _assets(on, table, fresh, digests)
    states = [
        {**{field: values[before[found[keys[row]]]] for field, values in listed.items()}, place: asset["rid"]}
        for asset, row in zip(rows, fresh, strict=True)
    ]
    return on.plan(
        verb="import pictures",
        args={
            "type": kind.rid,
            "place": kind.place,
            "extends": extends,
            "pictures": len(rows),
        },
        about=(kind.rid,),
        effect={
            "from": str(folder),
            "pictures": len(rows),
            "there already": draft.rows - len(rows),
            "left over": draft.unmatched_count,
            "to": f"{kind.name}.{column}",
            **note_merged(on, kind, keys),
        },
        payload={"assets": rows, "states": states, "files": [str(folder / str(table["path"][row])) for row in fresh]},
        needs={"type extend": f"it adds {name_columns(extends)}"} if extends else {},
        nothing=not rows,
    )


def _match(folder: Path, match: str, kind: EntityType, key: str | None) -> tuple[PictureDraft, list[str]]:
    """The pictures that fit, and the key of the entity that each belongs to."""
    draft = picture_folders.match(folder, match).check()
    if not draft.rows:
        raise InvalidInput(
            f"No file in {folder} fits {match!r}.",
            faults=[f"left over: {n}" for n in draft.unmatched],
            todo="Write the pattern so that it fits the names, such as {key}.png.",
        )
    template = _template(draft.fields, kind, key)
    return draft, [
        template.format(**{field: draft.table[field][row] for field in draft.fields}) for row in range(draft.rows)
    ]


def _check_keys(kind: EntityType, paths: Sequence[Any], keys: Sequence[str], found: Mapping[str, Rid]) -> None:
    missing = [
        f"{path}: there is no {kind.name} {name!r}" for path, name in zip(paths, keys, strict=True) if name not in found
    ]
    if missing:
        more = [f"... and {len(missing) - SHOWN} more"] if len(missing) > SHOWN else []
        raise NotFound(
            f"{len(missing)} pictures belong to nothing that is here.",
            faults=[*missing[:SHOWN], *more],
            todo=f"Import the {kind.name} first, or say which fields name it: --key.",
        )
    lead: dict[Rid, list[str]] = {}
    for path, name in zip(paths, keys, strict=True):
        lead.setdefault(found[name], []).append(f"{path} ({name})")
    if twice := [" and ".join(same) for same in lead.values() if len(same) > 1]:
        more = [f"... and {len(twice) - SHOWN} more"] if len(twice) > SHOWN else []
        raise InvalidInput(
            f"{len(twice)} {kind.name} would get more than one picture.",
            faults=[*twice[:SHOWN], *more],
            todo='Name them apart, --key "{patient}-{scan}"; of a merged duplicate and its successor keep one.',
        )


def _assets(
    on: Reading, table: Mapping[str, Sequence[Any]], fresh: Sequence[int], digests: Sequence[str]
) -> list[dict[str, Any]]:
    rids = on.mint(len(fresh)) if fresh else range(0)
    names = screen_file_names([Path(str(table["path"][row])).name for row in fresh])
    return [
        {
            "rid": rid,
            "name": name,
            "kind": "picture",
            "digest": digests[row],
            "size": table["size"][row],
            "media_type": table["media_type"][row],
            "reference": None,
            "description": None,
        }
        for rid, name, row in zip(rids, names, fresh, strict=True)
    ]


def stage_pictures(ground: Ground, plan: Plan) -> None:
    """Keep the files, all durable with one sync; refuse if one of them changed meanwhile."""
    kept = ground.blobs.put_files([Path(path) for path in plan.payload["files"]])
    changed = [
        row["name"] for row, info in zip(plan.payload["assets"], kept, strict=True) if info.digest != row["digest"]
    ]
    if changed:
        raise InvalidInput(
            "Pictures changed while they were being imported.",
            faults=changed[:SHOWN],
            todo="Import them again when nobody writes there.",
        )


def apply_pictures(tx: Transaction, plan: Plan, _staged: None) -> None:
    """Write the assets, and tie them to their entities."""
    assets.add_assets(tx, plan.payload["assets"])
    if plan.args["extends"]:
        entities.add_columns(tx, plan.args["type"], plan.args["place"], plan.args["extends"])
    entities.change_entities(tx, plan.args["place"], plan.payload["states"])


def _template(fields: tuple[str, ...], kind: EntityType, key: str | None) -> str:
    if key and "{" in key:
        return key
    if key:
        if key not in fields:
            raise InvalidInput(f"The pattern has no field {key!r}.", todo=f"It has: {', '.join(fields)}.")
        return "{" + key + "}"
    named = [field for field in fields if name_key(field) == name_key(kind.name)]
    return "{" + (named[0] if named else fields[-1]) + "}"


def _column(on: Reading, kind: EntityType, name: str) -> tuple[str, list[dict[str, Any]] | None]:
    column = kind.find_column(name)
    if column is not None:
        if column.holds is not Holds.ASSET:
            raise InvalidInput(f"{kind.name}.{name} holds {column.holds}, not a picture.", todo="Name another column.")
        return column.place, None
    extends = describe_columns(on, kind.name, [NewColumn(name, "asset")], known=kind.columns)
    return extends[0]["place"], extends


def _digests(paths: list[Path]) -> list[str]:
    def digest(path: Path) -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(digest, paths))
