"""A Parquet file into a draft, with every fault at once.

Columns keep the types the file gives them (`arrow_columns`): text stays text, whatever it looks like, unless the caller
states a type; then its cells are judged by the rules of text tables. A column type without counterpart (binary, lists,
structs, durations, times with a zone) is a fault. A row index that pandas wrote without a name is left out.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from commonground.errors import BrokenFile
from commonground.exchange.arrow_columns import ArrowColumn, Mask, arrow_column
from commonground.exchange.drafts import (
    SHOWN,
    ColumnDraft,
    DraftType,
    FaultList,
    Slice,
    TableDraft,
    Value,
    check_names,
    clean_name,
    printable,
    source_file,
    steady,
)
from commonground.exchange.repeats import Keys, check_keys
from commonground.exchange.text_columns import EXAMPLES, Decision, Evidence, add_faults, column_draft, decide, values_of
from commonground.exchange.text_tables import PAGE, Reading, cell_of

_PANDAS_INDEX: Final = re.compile(r"__index_level_[0-9]+__")
_BATCH_BYTES: Final = 1 << 26


@dataclass(slots=True)
class _Column:
    """One column of the file, and what the first pass found in it."""

    name: str
    place: int
    arrow: ArrowColumn
    stated: str | None
    is_key: bool
    missing: frozenset[str]
    seen: Evidence = field(default_factory=Evidence)
    decision: Decision = field(default_factory=lambda: Decision("text"))

    @property
    def type(self) -> DraftType:
        """The type of its values."""
        return self.arrow.type if self.stated is None else self.decision.type

    def values(self, array: pa.Array) -> list[Value]:
        """The typed values of a column without faults."""
        if self.stated is not None:
            return values_of(self.cells(array), self.decision, self.missing | {""}, is_key=self.is_key)
        values = self.arrow.values(array)
        if self.arrow.type != "text":
            return values
        if self.is_key:
            values = [
                unicodedata.normalize("NFC", value.strip()) if isinstance(value, str) else value for value in values
            ]
        return [None if isinstance(value, str) and value.strip() in self.missing else value for value in values]

    def cells(self, array: pa.Array) -> list[str]:
        """The values as cells of text, for a stated type."""
        return [cell_of(value) for value in self.arrow.values(array)]


def inspect(
    path: str | os.PathLike[str],
    *,
    key: str | Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    missing: Sequence[str] = (),
) -> TableDraft:
    """What a Parquet file holds, and everything that is wrong with it.

    `missing` lists texts that mean no value besides null; the other parameters are those of CSV.
    NotFound, InvalidInput, BrokenFile if there is no table to inspect at all.
    """
    source = source_file(path)
    faults = FaultList()
    notes: list[str] = []
    with steady(source) as digest:
        try:
            with pq.ParquetFile(source) as file:
                schema = file.schema_arrow
                rows = int(file.metadata.num_rows)
            names = _names(schema, notes, faults)
            reading = Reading.asked(key, types, missing, None, [name for _, name in names])
            columns = _columns(schema, names, reading, faults)
            if not rows:
                faults.add("no-rows", "the table has columns and no rows")
            _survey(source, columns, faults)
        except (pa.ArrowException, OSError) as error:
            what = f"{source.name} is no Parquet file that can be read: {error}."
            raise BrokenFile(what, todo="Write it again.") from error
        drafts = [_settle(column, faults) for column in columns]
        if reading.key and not {fault.column for fault in faults.listed()} & set(reading.key):
            _check_key(source, columns, reading, faults)

    def read(size: int) -> Iterator[Slice]:
        with steady(source, digest):
            for before, batch in _batches(source, size):
                rows = range(before + 1, before + 1 + batch.num_rows)
                values = {column.name: column.values(_array(batch, column)) for column in columns}
                yield Slice(rows, [None] * len(rows), values)

    def again(types: Mapping[str, str], missing: Sequence[str]) -> TableDraft:
        return inspect(source, key=reading.key, types={**reading.types, **types}, missing=missing)

    return TableDraft(
        source=source,
        digest=digest,
        encoding=None,
        delimiter=None,
        decimal=None,
        columns=tuple(drafts),
        rows=rows,
        faults=faults.listed(),
        notes=tuple(notes),
        fault_count=len(faults),
        key=reading.key,
        missing=reading.missing,
        reader=read,
        again=again,
    )


def _names(schema: pa.Schema, notes: list[str], faults: FaultList) -> list[tuple[int, str]]:
    names = []
    for place, name in enumerate(schema.names):
        if _PANDAS_INDEX.fullmatch(name):
            notes.append(f"'{name}', a row index that pandas wrote, left out")
        else:
            names.append((place, clean_name(name)))
    if not names:
        faults.add("no-columns", "the table has no columns")
    check_names([name for _, name in names], faults)
    return names


def _columns(schema: pa.Schema, names: Sequence[tuple[int, str]], reading: Reading, faults: FaultList) -> list[_Column]:
    columns = []
    for place, name in names:
        kind = schema.field(place).type
        stated = reading.types.get(name)
        arrow = arrow_column(kind)
        if arrow is None and stated == "text" and pa.types.is_timestamp(kind):
            arrow = ArrowColumn("text", lambda array: list(array.cast(pa.string()).to_pylist()))
        if arrow is None:
            zoned = "; state the type text, or write local times" if pa.types.is_timestamp(kind) else ""
            faults.add("column-type", f"a column of the type {kind} cannot be taken{zoned}", column=name)
            continue
        if stated == arrow.type:
            stated = None
        columns.append(_Column(name, place, arrow, stated, name in reading.key, frozenset(reading.missing)))
    return columns


def _batches(source: Path, size: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The rows before, and a batch of at most `size` rows, fewer when they are large."""
    before = 0
    # Buffering ahead would hold the whole file.
    with pq.ParquetFile(source, pre_buffer=False, page_checksum_verification=True) as file:
        for batch in file.iter_batches(batch_size=size):
            pieces = max(1, -(-batch.nbytes // _BATCH_BYTES))
            step = max(1, -(-batch.num_rows // pieces))
            for start in range(0, batch.num_rows, step):
                piece = batch.slice(start, step)
                yield before, piece
                before += piece.num_rows


def _array(batch: pa.RecordBatch, column: _Column) -> pa.Array:
    array = batch.column(column.place)
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _survey(source: Path, columns: list[_Column], faults: FaultList) -> None:
    """Look at every cell once; a column with bytes that are no text is dropped from the list after its fault."""
    for before, batch in _batches(source, PAGE):
        rows = range(before + 1, before + 1 + batch.num_rows)
        for column in list(columns):
            array = _array(batch, column)
            try:
                array.validate(full=True)
            except pa.ArrowInvalid:
                words = "bytes that are not UTF-8, or another broken cell"
                faults.add("bad-bytes", f"{words}, in rows {rows[0]:,} to {rows[-1]:,}", column=column.name)
                columns.remove(column)
                continue
            bad = np.zeros(len(array), np.bool_) if column.arrow.bad is None else column.arrow.bad(array)
            for place in np.flatnonzero(bad)[:SHOWN].tolist():
                sample = str(array.slice(place, 1).cast(pa.large_string())[0])
                faults.add(f"not-{column.type}", column.arrow.words, row=rows[place], column=column.name, sample=sample)
            faults.count(f"not-{column.type}", column.name, max(0, int(bad.sum()) - SHOWN))
            _observe(column, rows, _without(array, bad) if bad.any() else array)


def _without(array: pa.Array, bad: Mask) -> pa.Array:
    return pc.if_else(pa.array(bad), pa.scalar(None, array.type), array)


def _observe(column: _Column, rows: Sequence[int], array: pa.Array) -> None:
    seen = column.seen
    if column.stated is not None:
        cells = column.cells(array)
        seen.observe(rows, rows, cells, column.missing | {""})
        return
    if column.arrow.type in {"int", "bool"}:
        seen.missing += array.null_count
        values = column.values(array.slice(0, SHOWN)) if len(seen.examples) < EXAMPLES else []
    else:
        values = column.values(array)
        seen.missing += values.count(None)
        seen.kinds["nan"] += values.count(None) - array.null_count
        values = values[:SHOWN]
    for value in values:
        if len(seen.examples) < EXAMPLES and value is not None and (shown := printable(cell_of(value))):
            seen.examples += [shown] if shown not in seen.examples else []


def _settle(column: _Column, faults: FaultList) -> ColumnDraft:
    seen = column.seen
    if column.stated is not None:
        column.decision = decide(seen, column.stated, None, dots_in_doubt=False)
        add_faults(column.name, seen, column.decision, faults)
        return column_draft(column.name, seen, column.decision, is_key=column.is_key)
    notes = [column.arrow.note]
    if seen.kinds["nan"]:
        what = "NaN" if column.type == "real" else "stated as missing"
        notes.append(f"{seen.kinds['nan']:,} cells ({what}) read as missing")
    return ColumnDraft(column.name, column.type, seen.missing, tuple(seen.examples), "; ".join(filter(None, notes)))


def _check_key(source: Path, columns: Sequence[_Column], reading: Reading, faults: FaultList) -> None:
    by_name = {column.name: column for column in columns}
    parts = [by_name[name] for name in reading.key]
    for part in parts:
        if part.type in {"real", "bool"}:
            words = f"a {part.type} column makes no key; state the type text if these are names"
            faults.add("bad-key", words, column=part.name)
            return

    def keys() -> Iterator[Keys]:
        for before, batch in _batches(source, PAGE):
            rows = range(before + 1, before + 1 + batch.num_rows)
            yield rows, [None] * len(rows), [part.values(_array(batch, part)) for part in parts]

    check_keys(keys, reading.key, faults)
