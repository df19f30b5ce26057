"""Erasing an entity, for withdrawn consent or a wrong upload: the payload goes everywhere, the proof of it stays.

Rows become shells with their salted digest; parts of released versions are replaced by redacted forms under the same
digest; files that belong to the entity alone, and imported files in which it stands, are destroyed; so is the free
space of the database. A list of what was erased lies beside the study and is applied to every restored backup.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import sqlalchemy as sa

from commonground.errors import Conflict, InvalidInput, NotFound
from commonground.identity import Rid, show_rid
from commonground.operations.plans import Plan, Reading
from commonground.operations.upkeep import collect
from commonground.store import batches, changes, files, schema, text_index
from commonground.store.bulk import insert_rows
from commonground.store.ground import Ground
from commonground.store.transaction import Transaction
from commonground.store.view import View
from commonground.structure import entities, lineage, tables
from commonground.structure.datasets import Version, list_every_version
from commonground.structure.erasure import Reach, digest_part, is_named, measure_reach, redact
from commonground.structure.versions import load_manifest

DENY_LIST = "erased.jsonl"


def plan_erase(on: Reading, *, type: str, key: str, basis: str) -> Plan:  # noqa: A002 - the word at every door
    """Destroy all that is held of an entity and of what belongs to it; `basis` says on what ground."""
    if not basis.strip():
        raise InvalidInput("An erasure needs its basis.", todo="Say on what ground: withdrawn consent, wrong upload.")
    kind = entities.get_type(on.view, type)
    borne = entities.find_bearers(on.view, kind, key)
    if not borne:
        raise NotFound(f"There is no {kind.name} {key!r}, and never was.")
    reach = measure_reach(on.view, kind, borne)
    _refuse_open_spools(on.ground, reach.keys)
    types = {one.rid: one for one in entities.list_types(on.view)}
    versions = _versions_with(on.view, on.ground, reach)
    outside = [asset.reference for asset in reach.assets if asset.reference]
    return Plan(
        id=on.mint()[0],
        verb="erase",
        args={
            "basis": basis,
            "of": [kind.rid, borne],
            "entities": {types[rid].place: sorted(rids) for rid, rids in reach.entities.items()},
            "slots": reach.slots,
            "assets": [[asset.rid, asset.digest if asset.stored else None] for asset in reach.assets],
            "changes": reach.changes,
            "versions": [version.rid for version in versions],
            "bulk rows": sum(len(rows) for rows in reach.bulk.values()),
        },
        at=on.view.change,
        anchors=tuple(sorted(reach.rids)),
        reads=tuple(reach.entities),
        effect={
            "destroys": {types[rid].name: len(rids) for rid, rids in reach.entities.items()},
            "values and memberships": {name: len(rows) for name, rows in reach.bulk.items() if rows},
            "files": [asset.name for asset in reach.assets],
            "redacts versions": [version_name(on.view, version) for version in versions],
            "models that used them": _models(on.view, versions),
            "words of changes": reach.changes,
            **({"lies outside, to be removed by hand": outside} if outside else {}),
        },
        payload={"bulk": reach.bulk},
    )


def recheck_erase(ground: Ground, view: View, plan: Plan) -> None:
    """Raise Conflict if there is more to destroy by now than was planned, so that nothing of it stays behind."""
    kind, borne = plan.args["of"]
    reach = measure_reach(view, entities.get_type(view, kind), borne)
    same = (
        reach.rids == {rid for rids in plan.args["entities"].values() for rid in rids}
        and reach.bulk == plan.payload["bulk"]
        and reach.slots == plan.args["slots"]
        and reach.changes == plan.args["changes"]
        and [asset.rid for asset in reach.assets] == [rid for rid, _ in plan.args["assets"]]
        and [version.rid for version in _versions_with(view, ground, reach)] == plan.args["versions"]
    )
    if not same:
        raise Conflict(
            "More was written about it while the erasure was being prepared.",
            todo="Repeat the command: it finds that too.",
        )


def stage_erase(ground: Ground, plan: Plan) -> list[tuple[str, str, int, str]]:
    """Write the redacted forms of the parts: (blob, replacement, rows erased, digest now)."""
    rids = {rid for listed in plan.args["entities"].values() for rid in listed}
    written: list[tuple[str, str, int, str]] = []
    ground.cache_folder.mkdir(parents=True, exist_ok=True)
    with ground.view() as view, tempfile.TemporaryDirectory(dir=ground.cache_folder) as workspace:
        done: set[str] = set()
        for version in list_every_version(view):
            manifest = load_manifest(view, ground.blobs, version.manifest)
            for part in manifest.parts:
                if part.blob in done:
                    continue
                done.add(part.blob)
                table = pq.read_table(ground.blobs.open_verified(part.blob))
                left = redact(table, part.table, rids)
                if left is not None:
                    path = Path(workspace) / f"{len(written)}.parquet"
                    pq.write_table(left, path, compression="zstd")
                    info = ground.blobs.put_file(path)
                    digest = digest_part(left, manifest, part.table)
                    written.append((part.blob, info.digest, table.num_rows - left.num_rows, digest))
    return written


def apply_erase(tx: Transaction, plan: Plan, redacted: list[tuple[str, str, int, str]]) -> None:
    """Turn the rows into shells, and let the redacted parts take the place of the others."""
    args: Mapping[str, Any] = plan.args
    for name, rows in plan.payload["bulk"].items():
        batches.erase(tx, schema.metadata.tables[name], rows)
    for place, rids in args["entities"].items():
        tx.erase(entities.load_table(tx.connection, place), rids)
        tx.erase(tables.withdrawal, rids)
    tx.erase(tables.slot, args["slots"])
    assets = [rid for rid, _ in args["assets"]]
    tx.erase(tables.asset, assets)
    text_index.remove(tx.connection, assets)
    changes.erase_words(tx, args["changes"])
    doomed = {digest for _, digest in args["assets"] if digest} - _still_used(tx, assets)
    insert_rows(
        tx.connection,
        tables.redaction,
        ["blob", "change", "replacement", "rows", "digest"],
        [(blob, tx.change, replacement, rows, digest) for blob, replacement, rows, digest in redacted],
    )
    for blob, *_ in redacted:
        tx.connection.execute(sa.delete(tables.part).where(tables.part.c.blob == blob))
    everything = sorted(doomed | {blob for blob, *_ in redacted})
    tx.connection.execute(sa.delete(tables.doomed).where(tables.doomed.c.blob.in_(everything)))
    insert_rows(tx.connection, tables.doomed, ["blob"], [(blob,) for blob in everything])


def finish_erase(ground: Ground, plan: Plan) -> None:
    """After the change: destroy the files and the free space, and remember what may never come back."""
    remember(ground, plan)
    complete_erasures(ground)
    # A release that failed leaves parts that no version names; the content may stand in one of them.
    collect(ground)


def complete_erasures(ground: Ground) -> int:
    """Destroy the files that committed erasures left behind, if any; also after an interruption."""
    with ground.database.read() as connection:
        blobs = list(connection.execute(sa.select(tables.doomed.c.blob)).scalars())
    ground.blobs.erase(blobs)
    with ground.database.write() as connection:
        connection.execute(sa.delete(tables.doomed).where(tables.doomed.c.blob.in_(blobs)))
    ground.database.scrub()
    return len(blobs)


def remember(ground: Ground, plan: Plan) -> None:
    """Add the erasure to the list beside the study, which holds ids only."""
    entry = {
        "plan": show_rid(plan.id),
        "basis": plan.args["basis"],
        "entities": {place: [show_rid(rid) for rid in rids] for place, rids in plan.args["entities"].items()},
    }
    path = ground.folder / DENY_LIST
    before = path.read_bytes() if path.exists() else b""
    line = (json.dumps(entry, ensure_ascii=False) + "\n").encode()
    if line not in before:
        files.write_atomically(path, before + line)


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
            if redact(pq.read_table(ground.blobs.open_verified(part.blob)), part.table, reach.rids) is not None:
                found.append(version)
                break
    return found


def _models(view: View, versions: list[Version]) -> list[str]:
    named: dict[Rid, str] = {}
    for version in versions:
        found = lineage.find_dependents(view, rid=version.rid)
        named.update((one.rid, one.name) for one in found.assets if one.state == "model")
    return sorted(named.values())


def _still_used(tx: Transaction, gone: list[Rid]) -> set[str]:
    asset = tables.asset
    rows = tx.connection.execute(sa.select(asset.c.digest).where(asset.c.rid.not_in(gone)).distinct())
    part, header = tables.asset_file, schema.batch_header
    parts = tx.connection.execute(
        sa.select(part.c.digest)
        .join(header, header.c.rid == part.c.batch)
        .where(header.c.subject.not_in(gone))
        .distinct()
    )
    return {*rows.scalars(), *parts.scalars()}


def _refuse_open_spools(ground: Ground, keys: list[str]) -> None:
    holding = [
        path.name
        for path in ground.spool_folder.rglob("*")
        if path.is_file() and is_named(keys, path.read_bytes().decode(errors="replace"))
    ]
    if holding:
        raise Conflict(
            "An execution that is not delivered yet has written about it.",
            faults=holding,
            todo="Let it finish, run `cg sync`, and erase then.",
        )
