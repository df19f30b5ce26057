"""Values that a run computed and a delivery cannot write: they hold nothing else back, and nothing of them is lost.

While a run waits to be delivered its feature may be retired, a word leave the vocabulary, an entity go. Then the values
are kept in a file of the execution, whose details name it with the reason (`refused_values`). What was erased meanwhile
is kept nowhere; only how many values that were is told (`erased_values`).

    the file    Parquet: entity (id, if the study has or had it), key (if not), value (as JSON), reason
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from commonground.errors import Ambiguous, CommonGroundError, Conflict, InvalidInput, NotFound
from commonground.identity import Rid, show_rid
from commonground.operations.executions import produced_edge
from commonground.operations.plans import Reading
from commonground.operations.run_spool import Gathered
from commonground.operations.session import Session
from commonground.operations.values import commit_values, find_written, plan_feature, plan_values
from commonground.store import changes, files
from commonground.structure import entities
from commonground.structure.assets import KEPT_VALUES, REFUSED_VALUES
from commonground.structure.entities import EntityType
from commonground.structure.erasure import split_kept_values
from commonground.structure.names import clean_name

ATTEMPTS: Final = 5
PARQUET: Final = "application/vnd.apache.parquet"
_REFUSALS = (InvalidInput, NotFound, Ambiguous, Conflict)
_SCHEMA = pa.schema([("entity", pa.int64()), ("key", pa.string()), ("value", pa.string()), ("reason", pa.string())])
Told = Mapping[str, Any]


def write_values_or_keep(session: Session, gathered: Gathered) -> None:
    """Write the values of a spool; what is refused becomes an output, and what was erased goes."""
    with session.reading() as on:
        erased = _list_erased(on)
    refused: list[dict[str, Any]] = []
    gone = 0
    for whole in gathered.values:
        edge = find_written(session, gathered.execution, whole)
        if edge is None:
            told, dropped = _without_erased(session, whole, erased) if erased else (whole, 0)
            gone += dropped
            found = _write(session, gathered.execution, told) if told["values"] else None
            if isinstance(found, CommonGroundError):
                refused.append(_keep(session, gathered, told, found))
            edge = found if isinstance(found, dict) else None
        if edge is not None:
            gathered.edges[edge["rid"]] = edge
    if erased:
        gone += _drop_erased(gathered, {rid for rids in erased.values() for rid in rids})
    if refused:
        gathered.facts["refused_values"] = refused
    if gone:
        gathered.facts["erased_values"] = gone


def _write(session: Session, execution: Rid, told: Told) -> dict[str, Any] | CommonGroundError:
    """The edge of values that were written, or why they are refused; somebody who was faster is no refusal."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            declared = plan_feature(session, told)
            plan = plan_values(session, execution, told) if declared is None else declared
        except _REFUSALS as error:
            return error
        try:
            if declared is None:
                return commit_values(session, execution, told, plan)
            session.commit(declared, new=True)
            return _write(session, execution, told)
        except Conflict:
            if attempt == ATTEMPTS:
                raise
    raise AssertionError


def _keep(session: Session, gathered: Gathered, told: Told, error: CommonGroundError) -> dict[str, Any]:
    """Put values into a file of the execution; what is said of it there."""
    with session.reading() as on:
        found, keys = _identify(on, told)
    values = [json.dumps(value) for value in told["values"]]
    reasons = told.get("reasons") or [None] * len(values)
    rows = {"entity": found, "key": keys, "value": values, "reason": reasons}
    name = clean_name(f"refused {told['type']}.{told['feature']}.parquet".replace("@", "_"), "file's name")
    target = f"refused-{show_rid(told['plan'])}"
    data = _as_parquet(pa.table(rows, schema=_SCHEMA))
    files.write_atomically(gathered.folder / target, data)
    rid, edge = session.ground.mint.many(2)
    asset = {
        "rid": rid,
        "name": name,
        "kind": REFUSED_VALUES,
        "digest": hashlib.sha256(data).hexdigest(),
        "size": len(data),
        "media_type": PARQUET,
        "reference": None,
        "files": 1,
        "description": None,
    }
    said = {"type": told["type"], "values": len(values), "refused": error.what}
    gathered.assets.append(
        {"asset": asset, "edge": produced_edge(edge, gathered.execution, rid, name, said), "file": target}
    )
    return {"feature": f"{told['type']}.{told['feature']}", "values": len(values), "why": error.what, "file": name}


def _identify(on: Reading, told: Told) -> tuple[list[Rid | None], list[str | None]]:
    """The entities by id, also those that were taken back: an erasure finds them by it. Only the unknown have keys."""
    if "keys" not in told:
        return list(told["entities"]), [None] * len(told["entities"])
    kind = _find_type(on, told["type"])
    known = _find_rids(on, kind, told["keys"]) if kind is not None else {}
    found = [known.get(key) for key in told["keys"]]
    return found, [key if rid is None else None for key, rid in zip(told["keys"], found, strict=True)]


def _find_rids(on: Reading, kind: EntityType, keys: list[str]) -> dict[str, Rid]:
    found = entities.find_keys(on.view, kind, keys)
    for key in keys:
        if key not in found and (bearers := entities.find_bearers(on.view, kind, key)):
            found[key] = bearers[-1]
    return found


def _find_type(on: Reading, name: str) -> EntityType | None:
    try:
        return entities.get_type(on.view, name)
    except _REFUSALS:
        return None


# ---------------------------------------------------------------- what was erased


def _list_erased(on: Reading) -> dict[str, set[Rid]]:
    """Everybody who was erased, by the place of the type."""
    erased: dict[str, set[Rid]] = {}
    for change in changes.list_by_verb(on.view.connection, "erase"):
        for place, rids in change.args.get("entities", {}).items():
            erased.setdefault(place, set()).update(rids)
    return erased


def _without_erased(session: Session, told: Told, erased: Mapping[str, set[Rid]]) -> tuple[Told, int]:
    """Values without those of whoever was erased, and how many these are.

    A key that was erased is known to nobody: where somebody of a type was erased, a key that it never had is dropped.
    """
    with session.reading() as on:
        kind = _find_type(on, told["type"])
        gone = erased.get(kind.place, set()) if kind is not None else set()
        if kind is None or not gone:
            return told, 0
        name = "keys" if "keys" in told else "entities"
        known = _find_rids(on, kind, told["keys"]) if name == "keys" else {}
    stays = [(one in known) if name == "keys" else (one not in gone) for one in told[name]]
    columns = {part: told.get(part) for part in (name, "values", "reasons")}
    left = {
        part: [cell for cell, stay in zip(cells, stays, strict=True) if stay] if cells is not None else None
        for part, cells in columns.items()
    }
    return {**told, **left}, stays.count(False)


def _drop_erased(gathered: Gathered, rids: set[Rid]) -> int:
    """Write files of kept values anew, without the rows of whoever was erased; how many rows these were."""
    dropped = 0
    for one in gathered.assets:
        path = gathered.folder / one["file"]
        if one["asset"]["kind"] not in {KEPT_VALUES, REFUSED_VALUES} or not path.is_file():
            continue
        found = split_kept_values(path.read_bytes(), rids)
        if found is None:
            continue
        rows, left = found
        data = _as_parquet(left)
        one["file"] = f"{one['file']}-left"
        files.write_atomically(gathered.folder / one["file"], data)
        one["asset"] = {**one["asset"], "digest": hashlib.sha256(data).hexdigest(), "size": len(data)}
        one["edge"]["details"] = {**one["edge"]["details"], "values": left.num_rows}
        dropped += rows.num_rows - left.num_rows
    return dropped


def _as_parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()
