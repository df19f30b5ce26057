"""A whole copy of a study in a folder, which can be restored to either engine.

manifest.json    format, study, schema, the head of the chain, rows and SHA-256 of each table's file; moved in last
tables/*.parquet one file a table, all from one snapshot; unfinished batches and leases are left out
blobs/           the files, laid out as in the study
erased.jsonl     the list of erasures beside the study, as it was
verified.json    when the copy was verified, and what was found; a copy without it is unverified

A copy is made and verified in a workspace inside its folder, and moved in when it is finished. It is verified by
loading its tables into an empty database and verifying that and the copied files in full.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from commonground.errors import BrokenFile, Corrupt, InvalidInput, NotFound, SchemaTooNew, SchemaTooOld
from commonground.store import changes, files, ground, migrations, schema, table_files, tables, text_index, workspaces
from commonground.store.blobs import BlobStore, DirectoryBlobs
from commonground.store.faults import point
from commonground.store.ground import Ground
from commonground.store.locations import find_danger, refuse_unsafe
from commonground.store.portions import portions
from commonground.store.schema import StorageClass
from commonground.store.verify import FileUses, Verification, verify
from commonground.store.verify_rows import Progress

FORMAT = "commonground-backup 1"
MANIFEST, VERIFIED, TABLES, BLOBS, TEXT = "manifest.json", "verified.json", "tables", "blobs", "text_index"
BESIDE = ("erased.jsonl",)
"""Files that lie beside the study and belong to it."""
MOVED = (BLOBS, TABLES, *BESIDE, VERIFIED)
"""What is moved in before the manifest."""
LEFT_OUT = frozenset({"staging", "lease"})
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_LARGEST_MANIFEST = 64 << 20


@dataclass(frozen=True, slots=True)
class Backup:
    """A copy of a study."""

    folder: Path
    """Where it lies."""
    study: str
    """The study's id."""
    name: str
    """The study's name."""
    change: int
    """The newest change in it."""
    digest: str
    """The head of its chain, in hex."""
    made_at: int
    """When it was made, UTC microseconds."""
    rows: int
    """How many rows it has."""
    verified_at: int | None
    """When it was verified; None if it never was."""
    finding: str
    """What the verification found."""

    @property
    def verified(self) -> bool:
        """Whether it was verified and found intact."""
        return self.verified_at is not None and self.finding.startswith("intact")


@dataclass(frozen=True, slots=True)
class Restored:
    """A study brought back."""

    folder: Path
    """The study's folder."""
    change: int
    """The newest change of the backup."""
    digest: str
    """The head of its chain, in hex: to be compared with a checkpoint kept elsewhere."""
    verification: Verification
    """What a full verification of the restored study found."""


def _silent(_what: str, _more: int) -> None:
    return


def backup(
    source: Ground,
    target: Path,
    *,
    files_used: FileUses | None = None,
    check: bool = True,
    progress: Progress = _silent,
    remember: Callable[[], object] = lambda: None,
) -> Backup:
    """Copy a study, while others go on working, to a new or empty folder, and verify the copy.

    `remember` is called when all is done except for its move into the folder. Raises InvalidInput if the folder holds
    anything. The copy is there when it is finished, or not at all.
    """
    if target.is_dir():
        workspaces.sweep(target)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        unfinished = target.is_dir() and not (target / MANIFEST).exists() and _has_parts(target)
        told = f"{target} holds a copy that was not finished." if unfinished else f"{target} is not empty."
        raise InvalidInput(told, todo=f"{'Delete it, or name' if unfinished else 'Name'} a new folder for each backup.")
    with workspaces.filling(target) as place:
        files.make_folder(place / TABLES)
        with source.blobs.holding():
            manifest = _copy_tables(source, place, progress)
            point("backup.blobs")
            copies = DirectoryBlobs(place / BLOBS)
            manifest["files"] = _copy_files(source.blobs, copies, source.blobs.iterate(), progress)
        _copy_beside(source.folder, place)
        files.sync_folder(place / TABLES)
        files.write_atomically(place / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode())
        if check:
            verify_backup(place, files_used=files_used, progress=progress, beside=source.folder)
        point("backup.finish")
        remember()
        _move_in(place, target)
    return get_backup(target)


def _has_parts(target: Path) -> bool:
    return any(path.name in MOVED or path.name.startswith(workspaces.PREFIX) for path in target.iterdir())


def _move_in(place: Path, target: Path) -> None:
    moved = []
    try:
        for part in MOVED:
            if (place / part).exists():
                moved.append(part)
                files.rename(place / part, target / part)
        files.sync_folder(target)
        moved.append(MANIFEST)
        files.rename(place / MANIFEST, target / MANIFEST)
        files.sync_folder(target)
    except BaseException:
        for part in reversed(moved):
            with suppress(OSError):
                (target / part).replace(place / part)
        raise


def _copy_tables(source: Ground, target: Path, progress: Progress) -> dict[str, Any]:
    told: dict[str, Any] = {}
    with source.database.read() as connection:
        point("backup.copy")
        number, digest = changes.head(connection)
        meta = migrations.read_meta(connection)
        for table in _copied_tables(connection):
            path = target / TABLES / f"{table.name}.parquet"
            rows, sha256 = table_files.write_table(connection, table, _rows_of(table), path)
            told[table.name] = {"rows": rows, "sha256": sha256}
            progress(table.name, rows)
        lines = text_index.dump(connection)
        text = target / TABLES / f"{TEXT}.jsonl"
        files.write_atomically(text, "".join(f"{json.dumps(list(line))}\n" for line in lines).encode())
        told[TEXT] = {"rows": 0, "sha256": table_files.digest_file(text)}
    return {
        "format": FORMAT,
        "study": meta.get("study", ""),
        "name": meta.get("name", ""),
        "schema": int(meta["schema"]),
        "change": number,
        "digest": digest.hex(),
        "made_at": time.time_ns() // 1000,
        "tables": told,
    }


def _copied_tables(connection: sa.Connection) -> list[sa.Table]:
    system = [table for name, table in sorted(schema.metadata.tables.items()) if name not in LEFT_OUT]
    return [*system, *(table for _, table in sorted(tables.load(connection).items()))]


def _rows_of(table: sa.Table) -> sa.Select[Any]:
    statement = sa.select(*table_files.kept_columns(table))
    if table.info["storage"] is StorageClass.BATCH or table.name == schema.batch_chunk.name:
        header = schema.batch_header
        statement = statement.where(sa.exists().where(header.c.rid == table.c.batch))
    return statement.order_by(*table.primary_key)


def _copy_files(source: BlobStore, target: BlobStore, digests: Iterable[str], progress: Progress) -> int:
    """Copy files by digest; one whose bytes are wrong comes in under its wrong digest, and its own stays missing."""
    count = 0
    for part in portions(digests):
        there = source.has_many(part)
        wanted = sorted(there - target.has_many(part))
        target.put_files([source.path(digest) for digest in wanted])
        count += len(part)
        progress("files", len(part))
    return count


def _copy_beside(source: Path, target: Path) -> None:
    for name in BESIDE:
        path = source / name
        if path.is_file() and not path.is_symlink():
            files.write_atomically(target / name, path.read_bytes())


def get_backup(folder: Path) -> Backup:
    """What a backup says of itself; raises NotFound if there is none, BrokenFile if it cannot be read."""
    told = _read_manifest(folder)
    verified: dict[str, Any] = {}
    if (folder / VERIFIED).exists():
        verified = _read_json(folder / VERIFIED)
        if verified.get("manifest") != table_files.digest_file(folder / MANIFEST):
            verified = {}
    return Backup(
        folder=folder,
        study=str(told["study"]),
        name=str(told["name"]),
        change=int(told["change"]),
        digest=str(told["digest"]),
        made_at=int(told["made_at"]),
        rows=sum(int(table["rows"]) for table in told["tables"].values()),
        verified_at=verified.get("at"),
        finding=str(verified.get("finding", "unverified")),
    )


def verify_backup(
    folder: Path, *, files_used: FileUses | None = None, progress: Progress = _silent, beside: Path | None = None
) -> Verification:
    """Load the tables into an empty database, verify that and the files in full, and keep the finding beside them.

    A backup may lie on a network disk, where no database may: that is made in the folder `beside` then, or in the
    system's folder for temporary files.
    """
    manifest = _read_manifest(folder)
    _check_tables(folder, manifest)
    places = [folder, *([beside] if beside else []), Path(tempfile.gettempdir())]
    work = next((place for place in places if find_danger(place) is None), folder)
    workspaces.sweep(work)
    with workspaces.workspace(work) as place:
        made = ground.make_parts(place, str(manifest["name"]), str(manifest["study"]))
        try:
            _fill_tables(made, folder, manifest, progress)
            made.blobs = DirectoryBlobs(folder / BLOBS)
            found = verify(made, full=True, files=files_used, progress=progress)
            _check_head(made, manifest, found)
        finally:
            made.close()
    told = {
        "at": time.time_ns() // 1000,
        "finding": found.sentence,
        "manifest": table_files.digest_file(folder / MANIFEST),
    }
    files.write_atomically(folder / VERIFIED, json.dumps(told).encode())
    return found


def restore(
    source: Path,
    folder: Path,
    *,
    url: str | None = None,
    files_used: FileUses | None = None,
    progress: Progress = _silent,
    finish: Callable[[Ground], object] = lambda _: None,
) -> Restored:
    """Bring a backup back as a study in `folder`, on SQLite or in the empty database at `url`, and verify it in full.

    `finish` is done to the study before it is there for anybody: what was erased after the backup is in it, and must
    be erased again. Raises InvalidInput if there is a study already, Corrupt if the backup's tables are not what its
    manifest says.
    """
    told = _read_manifest(source)
    point("restore.read")
    _check_tables(source, told)
    if (folder / ground.FOLDER).exists():
        raise InvalidInput(f"There is a study in {folder} already.", todo="Restore into a new folder.")
    if url is None:
        refuse_unsafe(folder)
    with workspaces.filling(folder) as place:
        made = ground.make_parts(place, str(told["name"]), str(told["study"]), url)
        try:
            _fill_tables(made, source, told, progress)
            if (source / BLOBS).is_dir():
                copies = DirectoryBlobs(source / BLOBS)
                _copy_files(copies, made.blobs, copies.iterate(), progress)
            _copy_beside(source, made.folder)
            finish(made)
            found = verify(made, full=True, files=files_used, progress=progress)
            _check_head(made, told, found)
            point("restore.swap")
            ground.complete(made)
        finally:
            made.close()
        ground.move_in(place, folder)
    return Restored(folder, int(told["change"]), str(told["digest"]), found)


def _check_head(opened: Ground, told: Mapping[str, Any], found: Verification) -> None:
    log = schema.change
    with opened.database.read() as connection:
        held = connection.execute(sa.select(log.c.digest).where(log.c.id == told["change"])).scalar()
    if (bytes(held) if held else changes.GENESIS).hex() != told["digest"]:
        found.add(f"change {told['change']} is not the one that the backup's manifest names")


def _fill_tables(made: Ground, source: Path, told: Mapping[str, Any], progress: Progress) -> None:
    with made.database.write() as connection:
        connection.execute(sa.delete(schema.meta).where(schema.meta.c.key != migrations.MAKER))
        folder = source / TABLES
        table_files.load_table(connection, folder / f"{schema.stored_table.name}.parquet", schema.stored_table)
        for table in tables.load(connection).values():
            table.create(connection)
        known = {table.name: table for table in _copied_tables(connection)}
        if strange := set(told["tables"]) - set(known) - {TEXT}:
            raise BrokenFile(
                f"The backup has tables that this study does not declare: {', '.join(sorted(strange))}.",
                todo="Restore it with the release that wrote it, or a later one.",
            )
        for name in sorted(set(known) & set(told["tables"]) - {schema.stored_table.name}):
            progress(name, table_files.load_table(connection, folder / f"{name}.parquet", known[name]))
        with (folder / f"{TEXT}.jsonl").open(encoding="utf-8") as stream:
            text_index.put(connection, (text_index.Document(*json.loads(line)) for line in stream))


def _check_tables(source: Path, told: Mapping[str, Any]) -> None:
    faults = []
    for name, about in told["tables"].items():
        if not _NAME.fullmatch(name):
            raise BrokenFile(
                f"The backup names a table {name!r}, which is no name of a table.",
                todo="Take another backup: `cg doctor` lists those that are known.",
            )
        path = source / TABLES / (f"{TEXT}.jsonl" if name == TEXT else f"{name}.parquet")
        if not path.is_file() or path.is_symlink():
            faults.append(f"{path.name} is missing")
        elif table_files.digest_file(path) != about.get("sha256"):
            faults.append(f"{path.name} is not what was written")
    if faults:
        raise Corrupt(f"The backup in {source} is damaged.", faults=faults, todo="Use another backup.")
    if told["schema"] > migrations.NEWEST:
        raise SchemaTooNew(
            f"The backup has schema {told['schema']}; this release knows schemas up to {migrations.NEWEST}.",
            todo="Install the release that wrote it, or a newer one.",
        )
    if told["schema"] < migrations.NEWEST:
        raise SchemaTooOld(
            f"The backup has schema {told['schema']}; this release writes schema {migrations.NEWEST}.",
            todo="Restore it with the release that wrote it, then run `cg migrate`.",
        )


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        raise NotFound(f"There is no finished backup in {folder}.", todo="`cg backup FOLDER` makes one.")
    told = _read_json(path)
    wanted = {"format": str, "study": str, "name": str, "schema": int, "change": int, "digest": str, "made_at": int}
    good = all(isinstance(told.get(key), kind) for key, kind in wanted.items()) and told["format"] == FORMAT
    listed = told.get("tables")
    if (
        not good
        or not isinstance(listed, dict)
        or not all(isinstance(about, dict) and isinstance(about.get("rows"), int) for about in listed.values())
    ):
        raise BrokenFile(
            f"{path} is not the manifest of a backup that this release can read.",
            todo="Take another backup: `cg doctor` lists those that are known.",
        )
    return told


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST_MANIFEST:
            raise BrokenFile(
                f"{path} is too large to be what it claims to be.",
                todo="Take another backup: `cg doctor` lists those that are known.",
            )
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BrokenFile(
            f"{path} cannot be read: {error}.", todo="Check that you may read it; else take another backup."
        ) from error
    if not isinstance(told, dict):
        raise BrokenFile(
            f"{path} does not hold what it should.", todo="Take another backup: `cg doctor` lists those that are known."
        )
    return told
