"""Ids given as values: whether what they lead to is there, so that no cell ever points at nothing."""

from __future__ import annotations

from collections.abc import Sequence

from commonground.errors import InvalidInput, NotFound
from commonground.identity import Kind, Rid, show_rid
from commonground.store.view import View, identify
from commonground.structure.assets import list_assets
from commonground.structure.column_types import Holds
from commonground.structure.entities import get_type, list_entities, list_types

SHOWN = 10


def check_pointed(view: View, name: str, holds: Holds, values: Sequence[Rid | None]) -> None:
    """Raise InvalidInput if an id in a column of files or links leads to no file or no living entity."""
    if holds not in {Holds.ASSET, Holds.LINK}:
        return
    wanted = sorted({value for value in values if value is not None})
    if not wanted:
        return
    there = {asset.rid for asset in list_assets(view, wanted)} if holds is Holds.ASSET else _living(view, wanted)
    lost = [rid for rid in wanted if rid not in there]
    if lost:
        more = [f"... and {len(lost) - SHOWN} more"] if len(lost) > SHOWN else []
        what = "file" if holds is Holds.ASSET else "entity"
        raise InvalidInput(
            f"{name}: {len(lost)} ids lead to no {what}.",
            faults=[*(f"{name}: {show_rid(rid) if rid >= 0 else rid} is no {what}" for rid in lost[:SHOWN]), *more],
            todo="Correct these ids, or name the things by key.",
        )


def _living(view: View, rids: Sequence[Rid]) -> set[Rid]:
    places = {kind.place: kind.rid for kind in list_types(view)}
    of: dict[Rid, list[Rid]] = {}
    for rid in rids:
        try:
            found = identify(view.connection, rid)
        except NotFound:
            continue
        if found.kind is Kind.ENTITY and found.place in places:
            of.setdefault(places[found.place], []).append(rid)
    return {rid for kind, listed in of.items() for rid in list_entities(view, get_type(view, kind), listed)["rid"]}
