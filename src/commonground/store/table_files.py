"""The rows of a table as a Parquet file, a chunk at a time, the same from either engine and for either engine."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from commonground.errors import BrokenFile
from commonground.store import files, schema
from commonground.store.bulk import insert_rows
from commonground.store.disk_errors import in_words

ROWS = 20_000
_TYPES = {"int": pa.int64(), "real": pa.float64(), "text": pa.large_string(), "bytes": pa.large_binary()}


def kept_columns(table: sa.Table) -> list[sa.Column[Any]]:
    """The columns of a table that a copy holds: all but `pk`, which each database counts for itself."""
    return [column for column in table.columns if column.name != "pk"]


def write_table(connection: sa.Connection, table: sa.Table, rows: sa.Select[Any], path: Path) -> tuple[int, str]:
    """Write the rows of a statement over `kept_columns` to a new file; how many, and SHA-256 of the file in hex."""
    columns = kept_columns(table)
    layout = pa.schema([pa.field(column.name, _TYPES[schema.field_type(column)]) for column in columns])
    count = 0
    options = {"stream_results": True, "yield_per": ROWS}
    with (
        connection.execute(rows, execution_options=options) as result,
        in_words("writing", path),
        pq.ParquetWriter(path, layout, compression="zstd") as writer,
    ):
        for part in result.partitions():
            arrays = [pa.array(values, kind.type) for values, kind in zip(zip(*part, strict=True), layout, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=layout))
            count += len(part)
    files.sync_many([path])
    return count, digest_file(path)


def read_table(path: Path, table: sa.Table) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a file in chunks, in the order of `kept_columns`; raises BrokenFile if it is none of this table."""
    columns = kept_columns(table)
    try:
        with pq.ParquetFile(path) as opened:
            wanted = {column.name: _TYPES[schema.field_type(column)] for column in columns}
            if {field.name: field.type for field in opened.schema_arrow} != wanted:
                raise BrokenFile(
                    f"{path.name} does not have the columns of {table.name}.", todo="Take another copy of the file."
                )
            for batch in opened.iter_batches(ROWS, columns=list(wanted)):
                values = [batch.column(name).to_pylist() for name in wanted]
                yield list(zip(*values, strict=True))
    except (pa.ArrowException, OSError) as error:
        raise BrokenFile(f"{path.name} cannot be read: {error}.", todo="Take another copy of the file.") from error


def load_table(connection: sa.Connection, path: Path, table: sa.Table) -> int:
    """Insert the rows of a file into a table; how many."""
    names = [column.name for column in kept_columns(table)]
    count = 0
    for rows in read_table(path, table):
        insert_rows(connection, table, names, rows)
        count += len(rows)
    return count


def digest_file(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file in hex."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
