"""Erasing an entity, for withdrawn consent or a wrong upload: the payload goes everywhere, the proof of it stays.

Rows become shells with their salted digest; parts of released versions are replaced by redacted forms under the same
digest, and the nonces of the old ones are destroyed; files that belong to the entity alone, and imported files in which
it stands, are destroyed with every mention of their digest; so is the free space of the database. No digest that is
left tells anything of what was erased. A list of what was erased lies beside the study and is applied to every restored
backup.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import sqlalchemy as sa

from commonground.errors import Conflict, InvalidInput, NotFound, StorageError
from commonground.identity import Kind, Rid, show_rid
from commonground.operations.completing import FREE_SPACE, complete_erasures
from commonground.operations.plans import Plan, Reading
from commonground.store import batches, changes, schema, text_index
from commonground.store.blobs import BlobStore
from commonground.store.bulk import insert_rows
from commonground.store.disk_errors import in_words
from commonground.store.ground import Ground
from commonground.store.portions import portions
from commonground.store.transaction import Transaction
from commonground.store.view import View
from commonground.store.workspaces import workspace
from commonground.structure import entities, lineage, naming, parts, tables
from commonground.structure.assets import SERIES
from commonground.structure.datasets import Version, list_every_version
from commonground.structure.erasure import (
    Reach,
    find_digests,
    find_kept_values,
    measure_reach,
    redact,
    split_kept_values,
)
from commonground.structure.parts import Sealed
from commonground.structure.stored_files import ANY_DIGEST
from commonground.structure.telling_runs import list_telling_logs, rewrite_params, without_keys
from commonground.structure.telling_words import GONE, is_named, list_namers, without_names
from commonground.structure.versions import list_types, load_manifest

SHOWN = 20
"""Stands where the digest of a destroyed file stood."""


@dataclass(frozen=True, slots=True)
class RedactedPart:
    """A part of a released version without the rows that were erased."""

    blob: str
    """The file that it was."""
    rows: int
    """How many rows are gone."""
    now: Sealed
    """What is left, under a nonce of its own."""


@dataclass(slots=True)
class Redacted:
    """What an erasure wrote before its change."""

    parts: list[RedactedPart] = field(default_factory=list)
    """Parts of versions."""
    values: dict[Rid, tuple[str, int]] = field(default_factory=dict)
    """Kept values of re-runs: digest and size of the new file, by asset."""


def plan_erase(on: Reading, *, type: str, key: str, basis: str) -> Plan:
    """Destroy all that is held of an entity and of what belongs to it; `basis` says on what ground."""
    if not basis.strip():
        raise InvalidInput("An erasure needs its basis.", todo="Say on what ground: withdrawn consent, wrong upload.")
    kind = entities.get_type(on.view, type)
    borne = entities.find_bearers(on.view, kind, key)
    if not borne:
        raise NotFound(
            f"There is no {kind.name} {key!r}, and never was.", todo="Check the key: `cg find WORDS` looks everywhere."
        )
    reach = measure_reach(on.view, on.ground.blobs, kind, borne)
    _refuse_open_spools(on.ground, reach)
    types = {one.rid: one for one in entities.list_types(on.view)}
    versions = _versions_with(on.view, on.ground, reach)
    outside = [asset.reference for asset in reach.assets if asset.reference]
    return Plan(
        id=on.mint()[0],
        verb="erase",
        args={
            "basis": without_names(reach.keys, basis),
            "of": [kind.rid, borne],
            "entities": {types[rid].place: sorted(rids) for rid, rids in reach.entities.items()},
            "slots": reach.slots,
            # No digest of what goes: these words stay.
            "assets": [asset.rid for asset in reach.assets],
            "kept values": [asset.rid for asset in reach.kept],
            "told": reach.told,
            "changes": reach.changes,
            "versions": [version.rid for version in versions],
            "bulk rows": sum(len(rows) for rows in reach.bulk.values()),
        },
        at=on.view.change,
        anchors=tuple(sorted(reach.rids)),
        reads=tuple(reach.entities),
        effect={
            "destroys": {types[rid].name: len(rids) for rid, rids in reach.entities.items()},
            "values and memberships": {
                name: len(rows) for name, rows in reach.bulk.items() if rows and name != tables.asset_file.name
            },
            "files": [asset.name for asset in reach.assets],
            **({"files of re-runs that lose rows": [asset.name for asset in reach.kept]} if reach.kept else {}),
            "redacts versions": [version_name(on.view, version) for version in versions],
            "models that used them": _models(on.view, versions),
            "words of changes": reach.changes,
            **({"words of executions": told} if (told := _told_runs(on.view, reach)) else {}),
            **({"still named by": named} if (named := _named_by(on, reach)) else {}),
            **({"lies outside, to be removed by hand": outside} if outside else {}),
        },
        payload={"bulk": reach.bulk},
        unsaid=tuple(reach.keys),
    )


def _named_by(on: Reading, reach: Reach) -> list[str]:
    """What else has one of their keys in its own words, or printed it, and stays as it is."""
    view = on.view
    rewritten = reach.told.get(tables.execution.name, [])
    going = {*reach.rids, *reach.slots, *(asset.rid for asset in reach.assets), *rewritten}
    named = naming.name_things(view, list_namers(view, reach.keys) - going)
    logs = list_telling_logs(view, on.ground.blobs, reach.keys)
    told = sorted(f"{one.kind} {one.name}" for one in named.values())
    told += [f"asset {name} {show_rid(rid)}" for rid, name in logs.items() if rid not in going]
    return told[:SHOWN] + ([f"... and {len(told) - SHOWN:,} more"] if len(told) > SHOWN else [])


def _told_runs(view: View, reach: Reach) -> list[str]:
    """The executions whose words name one of them, or tell a digest of theirs, and lose that."""
    return sorted(one.name for one in naming.name_things(view, reach.told.get(tables.execution.name, [])).values())


def recheck_erase(ground: Ground, view: View, plan: Plan) -> None:
    """Raise Conflict if there is more to destroy by now than was planned, so that nothing of it stays behind."""
    kind, borne = plan.args["of"]
    reach = measure_reach(view, ground.blobs, entities.get_type(view, kind), borne)
    same = (
        reach.rids == {rid for rids in plan.args["entities"].values() for rid in rids}
        and reach.bulk == plan.payload["bulk"]
        and reach.slots == plan.args["slots"]
        and reach.changes == plan.args["changes"]
        and reach.told == plan.args["told"]
        and [asset.rid for asset in reach.assets] == plan.args["assets"]
        and [asset.rid for asset in reach.kept] == plan.args["kept values"]
        and [version.rid for version in _versions_with(view, ground, reach)] == plan.args["versions"]
    )
    if not same:
        raise Conflict(
            "More was written about it while the erasure was being prepared.",
            todo="Repeat the command: it finds that too.",
        )


def stage_erase(ground: Ground, plan: Plan) -> Redacted:
    """Write the redacted forms of parts and kept values, each part under a new nonce."""
    rids = {rid for listed in plan.args["entities"].values() for rid in listed}
    with ground.view() as view, workspace(ground.cache_folder) as place:
        written = Redacted()
        done: set[str] = set()
        for version in list_every_version(view):
            manifest = load_manifest(view, ground.blobs, version.manifest)
            for part in manifest.parts:
                if part.blob not in done:
                    done.add(part.blob)
                    table = manifest.get_table(part.table)
                    if one := _redact_part(ground.blobs, part.blob, table, rids, place / "part"):
                        written.parts.append(one)
        for asset, _, left in find_kept_values(view, ground.blobs, rids):
            if asset.rid in plan.args["kept values"]:
                with in_words("writing", place / "values"):
                    pq.write_table(left, place / "values")
                info = ground.blobs.put_file(place / "values")
                written.values[asset.rid] = (info.digest, info.size)
    return written


def _redact_part(
    blobs: BlobStore, blob: str, table: Mapping[str, Any], rids: set[Rid], path: Path
) -> RedactedPart | None:
    rows = parts.read_file(blobs, blob)
    left = redact(rows, table["name"], rids)
    if left is None:
        return None
    nonce, content = parts.new_nonce(), parts.measure_rows(left, list_types(table), table["order"])
    parts.write_file(path, left, nonce)
    now = Sealed(parts.seal(nonce, content), content, nonce, blobs.put_file(path).digest)
    return RedactedPart(blob, rows.num_rows - left.num_rows, now)


def apply_erase(tx: Transaction, plan: Plan, redacted: Redacted) -> None:
    """Turn the rows into shells, and let the redacted parts take the place of the others."""
    args: Mapping[str, Any] = plan.args
    # Read before the rows go: which files, and which digests must not be told any more.
    gone = [*args["assets"], *args["kept values"]]
    digests = find_digests(tx.connection, gone)
    doomed = digests & _stored(tx, gone)
    for name, rows in plan.payload["bulk"].items():
        batches.erase(tx, schema.metadata.tables[name], rows)
    for place, rids in args["entities"].items():
        tx.erase(entities.load_table(tx.connection, place), rids)
        tx.erase(tables.withdrawal, rids)
    tx.erase(tables.slot, args["slots"])
    tx.erase(tables.asset, args["assets"])
    text_index.remove(tx.connection, args["assets"])
    _write_anew(tx, tables.asset, args["kept values"], lambda row: _with_file(row, redacted.values[row["rid"]]))
    told: Mapping[str, list[Rid]] = args["told"]
    _write_anew(tx, tables.edge, told.get(tables.edge.name, []), lambda row: _without_digests(row, digests))
    runs = told.get(tables.execution.name, [])
    _write_anew(tx, tables.execution, runs, lambda row: without_keys(_without_digests(row, digests), plan.unsaid))
    rewrite_params(tx.connection, runs, plan.unsaid)
    text_index.put(tx.connection, _titles(tx, runs))
    changes.erase_words(tx, args["changes"])
    insert_rows(
        tx.connection,
        tables.redaction,
        ["blob", "change", "replacement", "rows", "digest"],
        [(one.blob, tx.change, one.now.blob, one.rows, one.now.digest) for one in redacted.parts],
    )
    parts.forget_parts(tx.connection, [one.blob for one in redacted.parts])
    parts.keep_parts(tx.connection, [one.now for one in redacted.parts])
    everything = [*sorted(doomed | {one.blob for one in redacted.parts}), f"{FREE_SPACE}{tx.change}"]
    tx.connection.execute(sa.delete(tables.doomed).where(tables.doomed.c.blob.in_(everything)))
    insert_rows(tx.connection, tables.doomed, ["blob"], [(blob,) for blob in everything])


def _stored(tx: Transaction, assets: Sequence[Rid]) -> set[str]:
    """The digests of the files of these assets that lie in the store."""
    asset, file, header = tables.asset, tables.asset_file, schema.batch_header
    here = sa.and_(asset.c.rid.in_(assets), asset.c.reference.is_(None))
    listed = (
        sa.select(file.c.digest)
        .join(header, header.c.rid == file.c.batch)
        .join(asset, asset.c.rid == header.c.subject)
        .where(here)
    )
    single = sa.select(asset.c.digest).where(here, asset.c.kind != SERIES)
    return {*tx.connection.execute(single).scalars(), *tx.connection.execute(listed).scalars()}


def _write_anew(
    tx: Transaction, table: sa.Table, rids: Sequence[Rid], change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    """Destroy every state of these rows, and write the living one as `change` makes it."""
    names, _ = schema.names_and_types(table)
    living: list[dict[str, Any]] = []
    for part in portions(rids):
        some = sa.select(table).where(table.c.rid.in_(part), table.c.until.is_(None))
        living += [{name: row[name] for name in names} for row in tx.connection.execute(some).mappings()]
    tx.erase(table, rids)
    tx.insert(table, [change(row) for row in living])


def _titles(tx: Transaction, runs: Sequence[Rid]) -> list[text_index.Document]:
    """What the text index says of executions now."""
    execution = tables.execution
    return [
        text_index.Document(row.rid, Kind.EXECUTION, row.name, "")
        for part in portions(runs)
        for row in tx.connection.execute(
            sa.select(execution.c.rid, execution.c.name).where(execution.c.rid.in_(part), execution.c.until.is_(None))
        )
    ]


def _with_file(row: dict[str, Any], file: tuple[str, int]) -> dict[str, Any]:
    digest, size = file
    return {**row, "digest": digest, "size": size}


def _without_digests(row: dict[str, Any], digests: set[str]) -> dict[str, Any]:
    details = row["details"]
    for digest in digests.intersection(ANY_DIGEST.findall(details)):
        details = details.replace(digest, GONE)
    return {**row, "details": details}


def finish_erase(ground: Ground, plan: Plan) -> None:
    """After the change: destroy the files and the free space, and remember what may never come back."""
    del plan
    try:
        complete_erasures(ground)
    except StorageError as error:
        raise type(error)(
            f"{error.what} The erasure is on record, but not all that it destroys is destroyed.",
            kept="Nobody sees any more what was erased; files and free space may still hold it.",
            todo=f"{error.todo} `cg sync` finishes the erasure.".strip(),
        ) from error


def version_name(view: View, version: Version) -> str:
    """`dataset@number`."""
    rows = view.rows(sa.select(tables.dataset.c.name).where(tables.dataset.c.rid == version.dataset))
    return f"{rows[0].name if rows else show_rid(version.dataset)}@{version.number}"


def _versions_with(view: View, ground: Ground, reach: Reach) -> list[Version]:
    found = []
    for version in list_every_version(view):
        manifest = load_manifest(view, ground.blobs, version.manifest)
        for part in manifest.parts:
            if not part.table.startswith("entities/"):
                continue
            if redact(parts.read_file(ground.blobs, part.blob), part.table, reach.rids) is not None:
                found.append(version)
                break
    return found


def _models(view: View, versions: list[Version]) -> list[str]:
    named: dict[Rid, str] = {}
    for version in versions:
        found = lineage.find_dependents(view, rid=version.rid)
        named.update((one.rid, one.name) for one in found.assets if one.state == "model")
    return sorted(named.values())


def _refuse_open_spools(ground: Ground, reach: Reach) -> None:
    """Refuse if an execution that is not delivered yet has written of the entities or of the files that go."""
    # A spool is JSON in ASCII: what is not is written otherwise there.
    names = {*reach.keys, *(json.dumps(key)[1:-1] for key in reach.keys), *reach.digests, *map(str, reach.rids)}
    holding = [
        path.name
        for path in sorted(ground.spool_folder.rglob("*"))
        if path.is_file() and _holds(path.read_bytes(), names, reach.rids)
    ]
    if holding:
        raise Conflict(
            "An execution that is not delivered yet has written about it.",
            faults=holding,
            todo="Let it finish, run `cg sync`, and erase then.",
        )


def _holds(content: bytes, names: set[str], rids: set[Rid]) -> bool:
    return is_named(names, content.decode(errors="replace")) or split_kept_values(content, rids) is not None
