"""Frames for Polars and pandas, with the types of their columns.

| holds | Polars | pandas |
|---|---|---|
| int, link or asset by rid | Int64 | Int64 |
| real | Float64 | float64, NaN where missing |
| bool | Boolean | boolean |
| text, link | String | string |
| term | Enum of the terms, in the vocabulary's order | category of these, ordered if greater and less mean something |
| date | Date, the first day of what was stated, and `NAME.precision` | datetime64[ms], and the same |
| time | Datetime[us] | datetime64[us] |
| instant | Datetime[us, UTC] | datetime64[us, UTC] |

`NAME.precision` is one of year, month, day (Enum; category). `dates="text"` leaves dates as they were stated: 2024-03.
A column whose metadata is lost, or that never was of a frame, goes the way its Arrow type goes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pyarrow as pa
import pyarrow.compute as pc

from commonground.errors import InvalidInput, MissingExtra
from commonground.structure.column_types import Holds
from commonground.structure.frame_columns import FrameColumn, read_field

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

PRECISIONS = FrameColumn(Holds.TERM, terms=("year", "month", "day"), ordered=True)
LENGTHS = pa.array([4, 7, 10], pa.int32())
ENDINGS = pa.array(["-01-01", "-01", ""])


def to_pandas(table: pa.Table, *, dates: Literal["day", "text"] = "day") -> pd.DataFrame:
    """A frame as a pandas DataFrame; see the table above for its types. Raises MissingExtra without pandas."""
    try:
        import pandas as pd  # noqa: PLC0415 - optional
    except ImportError:
        raise MissingExtra("This needs the package pandas.", todo="Install commonground[pandas].") from None
    typed = _typed(table, dates)
    coded = [
        typed[field.name] if (told := _term(field)) is None else _coded(typed[field.name], told)
        for field in typed.schema
    ]
    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype(), pa.string(): pd.StringDtype()}
    return pa.table(coded, names=typed.column_names).to_pandas(types_mapper=nullable.get, date_as_object=False)


def to_polars(table: pa.Table, *, dates: Literal["day", "text"] = "day") -> pl.DataFrame:
    """A frame as a Polars DataFrame; see the table above for its types. Raises MissingExtra without Polars."""
    try:
        import polars as pl  # noqa: PLC0415 - optional
    except ImportError:
        raise MissingExtra("This needs the package polars.", todo="Install commonground[polars].") from None
    typed = _typed(table, dates)
    terms = {field.name: told.terms for field in typed.schema if (told := _term(field)) is not None}
    frame = pl.DataFrame(pl.from_arrow(typed))
    return frame.with_columns(pl.col(name).cast(pl.Enum(listed)) for name, listed in terms.items())


def _term(field: pa.Field) -> FrameColumn | None:
    told = read_field(field)
    return told if told is not None and told.holds is Holds.TERM else None


def _typed(table: pa.Table, dates: str) -> pa.Table:
    """The table with its dates as days, each followed by its precision."""
    if dates not in {"day", "text"}:
        raise InvalidInput(f"dates cannot be {dates!r}.", todo="Say 'day' or 'text'.")
    fields: list[pa.Field] = []
    cells: list[pa.ChunkedArray] = []
    for field in table.schema:
        told = read_field(field)
        if dates == "text" or told is None or told.holds is not Holds.DATE:
            fields.append(field)
            cells.append(table[field.name])
            continue
        label = f"{field.name}.precision"
        if label in table.column_names:
            raise InvalidInput(f"The frame has a column {label} already.", todo="Ask for dates='text'.")
        places = pc.index_in(pc.binary_length(table[field.name]), LENGTHS)
        whole = pc.binary_join_element_wise(table[field.name], pc.take(ENDINGS, places), "")
        fields += [pa.field(field.name, pa.date32()), PRECISIONS.as_field(label, pa.string())]
        cells += [whole.cast(pa.date32()), pc.take(pa.array(PRECISIONS.terms), places)]
    return pa.table(cells, schema=pa.schema(fields))


def _coded(cells: pa.ChunkedArray, told: FrameColumn) -> pa.DictionaryArray:
    terms = pa.array(told.terms, pa.string())
    return pa.DictionaryArray.from_arrays(pc.index_in(cells, terms).combine_chunks(), terms, ordered=told.ordered)
