"""Parts: the Parquet files of released versions, each sealed with a nonce, so that erased rows cannot be guessed back.

content     SHA-256 of the rows in `canon1`: the same rows have the same content, on any engine, with any writer
nonce       32 random bytes, drawn when the part is first written
digest      SHA-256(b"part1", nonce, content): what manifests say of the part

Content and nonce stand in one row of the table `part`, and nowhere else in the record; the nonce also stands in the
file (metadata `commonground.nonce`, in hex), so that a file can be checked by itself, and so that the SHA-256 of the
file says nothing either. An erasure destroys the file and the row. What stays, in manifests, are digests over 32 random
bytes that nobody has any more. Files and rows are never written without a nonce.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from commonground.late import np, pa, pq
from commonground.store.blobs import BlobStore
from commonground.store.bulk import insert_rows
from commonground.store.canonical import Column, table_digest
from commonground.store.canonical_words import ColumnType
from commonground.store.disk_errors import in_words
from commonground.store.portions import portions
from commonground.structure import tables

NONCE_BYTES = 32
NONCE_KEY = b"commonground.nonce"
ARROW = {"int": "int64", "real": "float64", "text": "string"}


@dataclass(frozen=True, slots=True)
class Sealed:
    """A part that is stored: what it says, under which nonce, and where."""

    digest: str
    """What manifests say of it."""
    content: str
    """The digest of its rows."""
    nonce: bytes
    """What keeps the one from telling the other."""
    blob: str
    """The file."""


def new_nonce() -> bytes:
    """A nonce that nobody can guess."""
    return os.urandom(NONCE_BYTES)


def seal(nonce: bytes, content: str) -> str:
    """What a manifest says of a part: a digest of its rows that tells nothing of them without the nonce."""
    return hashlib.sha256(b"part1" + nonce + bytes.fromhex(content)).hexdigest()


def to_arrow(columns: Sequence[Column]) -> pa.Table:
    """Columns as an Arrow table."""
    return pa.table(
        {column.name: pa.array(column.values, ARROW[column.type], mask=_mask(column)) for column in columns}
    )


def write_file(path: Path, table: pa.Table, nonce: bytes) -> None:
    """Write a part as a Parquet file that carries its nonce."""
    write_portions(path, [table], nonce)


def write_portions(path: Path, given: Iterable[pa.Table], nonce: bytes) -> None:
    """The same for a part of which memory holds a portion of rows at a time; there is at least one."""
    metadata = {NONCE_KEY: nonce.hex()}
    with in_words("writing", path), contextlib.ExitStack() as opened:
        writer = None
        for table in given:
            if writer is None:
                layout = table.schema.with_metadata(metadata)
                writer = opened.enter_context(pq.ParquetWriter(path, layout, compression="zstd"))
            writer.write_table(table.replace_schema_metadata(metadata))


def read_file(blobs: BlobStore, blob: str, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a part, its bytes checked; without the nonce, so that nothing made of them carries it on."""
    with blobs.open_verified(blob) as stream:
        return pq.read_table(stream, columns=columns).replace_schema_metadata(None)


def measure_rows(table: pa.Table, types: Mapping[str, ColumnType], order: Sequence[str]) -> str:
    """The content digest of rows that were read; `types` by column."""
    return table_digest([_column(name, types[name], table[name]) for name in table.column_names], order)


def measure_file(blobs: BlobStore, blob: str, types: Mapping[str, ColumnType], order: Sequence[str]) -> str:
    """The digest of a part as its file has it: rows and nonce; empty if the file has no nonce."""
    with blobs.open_verified(blob) as stream:
        file = pq.ParquetFile(stream)
        nonce = (file.metadata.metadata or {}).get(NONCE_KEY)
        return seal(bytes.fromhex(nonce.decode()), measure_rows(file.read(), types, order)) if nonce else ""


def find_part(connection: sa.Connection, content: str) -> Sealed | None:
    """A part that says this and is stored already."""
    part = tables.part
    rows = connection.execute(sa.select(part).where(part.c.content == content).order_by(part.c.digest))
    found = [Sealed(row.digest, row.content, bytes(row.nonce), row.blob) for row in rows]
    return next((one for one in found if seal(one.nonce, content) == one.digest), None)


def find_contents(connection: sa.Connection, digests: Iterable[str]) -> dict[str, str]:
    """The content digests of parts, by digest; those that an erasure touched have none any more."""
    part, wanted = tables.part, sorted(set(digests))
    found: dict[str, str] = {}
    for some in portions(wanted):
        known = sa.select(part.c.digest, part.c.content).where(part.c.digest.in_(some))
        found.update((row.digest, row.content) for row in connection.execute(known))
    return found


def list_known(connection: sa.Connection) -> set[str]:
    """The digests of the parts whose content and nonce are noted, and are what the digest says."""
    part = tables.part
    rows = connection.execute(sa.select(part.c.digest, part.c.content, part.c.nonce))
    return {row.digest for row in rows if _is_sealed(bytes(row.nonce), row.content, row.digest)}


def _is_sealed(nonce: bytes, content: str, digest: str) -> bool:
    try:
        return seal(nonce, content) == digest
    except ValueError:
        return False


def keep_parts(connection: sa.Connection, parts: Iterable[Sealed]) -> None:
    """Remember parts that were written; one that had been written before and was lost is found at its new place."""
    listed = list({part.digest: part for part in parts}.values())
    for some in portions(part.digest for part in listed):
        connection.execute(sa.delete(tables.part).where(tables.part.c.digest.in_(some)))
    rows = [(part.digest, part.content, part.nonce, part.blob) for part in listed]
    insert_rows(connection, tables.part, ["digest", "content", "nonce", "blob"], rows)


def forget_parts(connection: sa.Connection, blobs: Iterable[str]) -> None:
    """Destroy what is known of parts whose files go: with it goes the nonce."""
    for blob in blobs:
        connection.execute(sa.delete(tables.part).where(tables.part.c.blob == blob))


def list_redactions(connection: sa.Connection) -> dict[str, sa.Row[Any]]:
    """The parts from which rows were erased, by the blob that they were."""
    return {row.blob: row for row in connection.execute(sa.select(tables.redaction))}


def _mask(column: Column) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
    return None if column.missing is None else np.asarray(column.missing, dtype=np.bool_)


def _column(name: str, kind: ColumnType, cells: pa.ChunkedArray) -> Column:
    if kind == "text":
        return Column(name, "text", cells.to_pylist())
    missing = cells.is_null().to_numpy()
    return Column(name, kind, cells.fill_null(0).to_numpy(), missing)
