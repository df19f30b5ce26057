"""What the columns of a frame hold, told in the fields of the Arrow table itself, so that it travels with the table.

| holds | Arrow type |
|---|---|
| int, real, bool, text | int64, double, bool, string |
| date | string: ISO, of day, month or year precision |
| time | timestamp[us], without a zone |
| instant | timestamp[us, UTC] |
| term | string: its name |
| link | string: the key of the linked entity; int64, its rid, where the state does not hold that entity |
| asset | int64: its rid |

Metadata of a field, UTF-8: `holds`; `unit`, if there is one; of a term `terms` (a JSON list: the names of those terms
of the vocabulary that the state rests on, in the vocabulary's order) and `ordered` ("1"), if greater and less mean
something. It outlives `select`, `filter`, `slice` and Parquet, but not a computation.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from commonground.structure.column_types import Holds

ARROW_TYPES = {
    Holds.INT: pa.int64(),
    Holds.REAL: pa.float64(),
    Holds.BOOL: pa.bool_(),
    Holds.TEXT: pa.string(),
    Holds.DATE: pa.string(),
    Holds.TIME: pa.timestamp("us"),
    Holds.INSTANT: pa.timestamp("us", "UTC"),
    Holds.TERM: pa.string(),
    Holds.LINK: pa.string(),
    Holds.ASSET: pa.int64(),
}


@dataclass(frozen=True, slots=True)
class FrameColumn:
    """What a column of a frame holds."""

    holds: Holds
    """The sort of its values."""
    unit: str | None = None
    """What they are measured in."""
    terms: tuple[str, ...] = ()
    """The terms that can stand in it, in the vocabulary's order."""
    ordered: bool = False
    """Whether greater and less mean something among these."""

    def as_field(self, name: str, kind: pa.DataType) -> pa.Field:
        """The Arrow field of a column of this name and Arrow type that tells all this."""
        told = {"holds": str(self.holds)}
        if self.unit:
            told["unit"] = self.unit
        if self.holds is Holds.TERM:
            told["terms"] = json.dumps(self.terms, ensure_ascii=False)
        if self.ordered:
            told["ordered"] = "1"
        return pa.field(name, kind, metadata=told)


def read_field(field: pa.Field) -> FrameColumn | None:
    """What an Arrow field tells of its column; None if it is not of a frame, or its metadata was lost on the way."""
    told = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
    if told.get("holds") not in set(Holds):
        return None
    terms = tuple(json.loads(told.get("terms", "[]")))
    return FrameColumn(Holds(told["holds"]), told.get("unit"), terms, "ordered" in told)


def make_table(columns: Sequence[tuple[str, FrameColumn, Any]]) -> pa.Table:
    """A table of named columns of Arrow cells, each with what it holds."""
    fields = [column.as_field(name, cells.type) for name, column, cells in columns]
    return pa.table([cells for _, _, cells in columns], schema=pa.schema(fields))


def show_cells(holds: Holds, cells: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """Stored cells as a frame gives them; those of terms and of links are named by whoever knows the names."""
    return cells.cast(ARROW_TYPES[holds]) if holds in {Holds.BOOL, Holds.TIME, Holds.INSTANT} else cells
