"""Which stored files the rows of a study need, at any time of its history."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import sqlalchemy as sa
from pyarrow import ArrowException

from commonground.errors import CommonGroundError
from commonground.identity import show_rid
from commonground.store import changes, schema
from commonground.store import tables as stored
from commonground.store.blobs import BlobStore
from commonground.store.verify import FileUse
from commonground.store.view import View
from commonground.structure import parts, tables
from commonground.structure.assets import SERIES
from commonground.structure.parts import measure_file
from commonground.structure.versions import PartFile, list_types, load_manifest

ANY_DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_DIGITS_OF_A_DIGEST = 64
_STREAM = {"stream_results": True, "yield_per": 2000}


def list_file_uses(connection: sa.Connection, blobs: BlobStore) -> Iterator[FileUse]:
    """Every stored file that a row of any time needs, with what needs it; a file may come more than once.

    Raises NotFound or Corrupt at the first manifest that cannot be read, after all else was listed.
    """
    asset, part, header = tables.asset, tables.asset_file, schema.batch_header
    single = sa.select(asset.c.rid, asset.c.digest).where(asset.c.reference.is_(None), asset.c.kind != SERIES)
    yield from _uses(connection, single, "asset")
    series = (
        sa.select(asset.c.rid, part.c.digest)
        .join(header, sa.and_(header.c.rid == part.c.batch, header.c.name == part.name))
        .join(asset, asset.c.rid == header.c.subject)
        .where(asset.c.reference.is_(None))
    )
    yield from _uses(connection, series, "series")
    workflow, execution = tables.workflow, tables.execution
    yield from _uses(connection, sa.select(workflow.c.rid, workflow.c.code).where(workflow.c.code != ""), "workflow")
    kept = execution.c.environment.is_not(None)
    yield from _uses(connection, sa.select(execution.c.rid, execution.c.environment).where(kept), "execution")
    yield from _uses(connection, sa.select(tables.version.c.rid, tables.version.c.manifest), "version")
    yield from _parts(connection, blobs)


def _uses(connection: sa.Connection, statement: sa.Select[Any], what: str) -> Iterator[FileUse]:
    for rid, digest in connection.execute(statement.distinct(), execution_options=_STREAM):
        if digest:
            yield FileUse(digest, f"{what} {show_rid(rid)}")


def _parts(connection: sa.Connection, blobs: BlobStore) -> Iterator[FileUse]:
    newest, _ = changes.head(connection)
    view = View(connection, newest, current=True)
    failed: CommonGroundError | None = None
    version = tables.version
    known = parts.list_known(connection)
    for rid, manifest in connection.execute(sa.select(version.c.rid, version.c.manifest).distinct()).all():
        try:
            loaded = load_manifest(view, blobs, manifest)
            for part in loaded.parts:
                if part.blob:
                    look = partial(_look_into, blobs, loaded.get_table(part.table), part)
                    lost = "" if part.erased or part.digest in known else "the table of parts does not have it"
                    yield FileUse(part.blob, f"version {show_rid(rid)}, {part.table}", look, lost)
        except CommonGroundError as error:
            failed = error
    if failed is not None:
        raise failed


def _look_into(blobs: BlobStore, table: Mapping[str, Any], part: PartFile) -> str:
    """Whether a part's rows and nonce give the digest that the manifest, or its redaction, tells of it."""
    try:
        found = measure_file(blobs, part.blob, list_types(table), table["order"])
    except (CommonGroundError, ArrowException, KeyError, ValueError) as error:
        return f"its rows cannot be read ({error})"
    return "" if found == (part.now or part.digest) else "its rows are not what the version says of them"


def find_named(connection: sa.Connection, blobs: BlobStore) -> set[str]:
    """Every digest that stands in any text of the record, or in a manifest: what a collection must keep.

    More than what is needed, on purpose: a column that holds a digest and that nobody thought of loses no file.
    """
    found: set[str] = set()
    listed = [*stored.list_temporal(connection), *stored.list_batch(), *_others()]
    for table in listed:
        columns = [column for column in table.columns if schema.field_type(column) == "text"]
        if columns:
            for row in connection.execute(sa.select(*columns), execution_options=_STREAM):
                found.update(_digests_in(row))
    for (manifest,) in connection.execute(sa.select(tables.version.c.manifest).distinct()).all():
        found.update(ANY_DIGEST.findall(blobs.get_bytes(manifest).decode("utf-8", "replace")))
    return found


def _others() -> list[sa.Table]:
    kinds = {schema.StorageClass.STREAM, schema.StorageClass.WORKING}
    return [table for table in schema.metadata.sorted_tables if table.info["storage"] in kinds]


def _digests_in(row: Iterable[str | None]) -> Iterator[str]:
    for text in row:
        if text and len(text) >= _DIGITS_OF_A_DIGEST:
            yield from ANY_DIGEST.findall(text)
