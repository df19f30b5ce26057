"""Whether an entity may stand in an imported table file: by the text of its key, and yes where that cannot be told.

Looked into are Parquet and delimited text: in UTF-8, UTF-16, UTF-32, or a single-byte code with the letters of ASCII. A
key stands in a file if it is there and no letter or digit lies beside it; a long one stands anywhere. Workbooks are not
looked into: a sheet that was not imported may name somebody in other words.
"""

from __future__ import annotations

import codecs
import datetime as dt
import io
import re
import unicodedata
from collections.abc import Collection, Iterator
from decimal import Decimal
from pathlib import PurePath

import pyarrow as pa
import pyarrow.parquet as pq

from commonground.structure.telling_words import DISTINCT

TEXT = frozenset({".csv", ".tsv", ".txt"})
PARQUET = ".parquet"
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    # The mark of UTF-32 begins like that of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SHIFTS = (b"\x1b", b"~{")
"""Begin other letters in codes whose bytes are all of ASCII."""


def may_stand_in(content: bytes, name: str, keys: Collection[str]) -> bool:
    """Whether one of the keys stands in a file of this name, or it cannot be told that none does."""
    suffix = PurePath(name).suffix.lower()
    if suffix in TEXT:
        text = _decode(content, plain=all(key.isascii() for key in keys))
    else:
        text = _spell_table(content) if suffix == PARQUET else None
    return text is None or _stands(text, keys)


def _stands(text: str, keys: Collection[str]) -> bool:
    clean = _one_break(unicodedata.normalize("NFC", text))
    # A quote is written twice within a quoted cell, and once or twice in one without quotes.
    texts = (clean, clean.replace('""', '"'))
    return any(
        key in one and (len(key) >= DISTINCT or re.search(rf"(?<!\w){re.escape(key)}(?!\w)", one) is not None)
        for key in map(_one_break, keys)
        for one in texts
    )


def _one_break(text: str) -> str:
    return re.sub(r"\r\n?", "\n", text)


def _decode(content: bytes, *, plain: bool) -> str | None:
    """The text of a file; None if its code cannot be told, which for plain keys does not matter among 8-bit codes."""
    code = next((code for mark, code in _BOMS if content.startswith(mark)), None)
    if code is not None:
        return _try(content, code)
    # A table has lines; in a code that has other bytes for their ends, letters are others too.
    if b"\0" in content or not (b"\n" in content or b"\r" in content):
        return None
    if not plain and any(mark in content for mark in _SHIFTS):
        return None
    found = _try(content, "utf-8")
    return found if found is not None or not plain else content.decode("latin-1")


def _try(content: bytes, code: str) -> str | None:
    try:
        return content.decode(code)
    except UnicodeDecodeError:
        return None


def _spell_table(content: bytes) -> str | None:
    """Every cell of a Parquet file as the texts by which it may be read as a key; None if it cannot be read."""
    try:
        table = pq.read_table(io.BytesIO(content))
        return "\n".join(_cells(table))
    except (pa.ArrowException, OSError, ValueError):
        return None


def _cells(table: pa.Table) -> Iterator[str]:
    for key, value in (table.schema.metadata or {}).items():
        yield f"{key.decode(errors='replace')} {value.decode(errors='replace')}"
    yield from table.column_names
    for column in table.columns:
        kind = column.type
        cells = column if pa.types.is_nested(kind) else column.unique()
        if pa.types.is_temporal(kind) or pa.types.is_boolean(kind):
            yield from filter(None, cells.cast(pa.string()).to_pylist())
        yield from (text for cell in cells.to_pylist() if cell is not None for text in _spellings(cell))


def _spellings(cell: object) -> Iterator[str]:
    yield cell.decode(errors="replace") if isinstance(cell, bytes) else str(cell)
    if isinstance(cell, (dt.datetime, dt.time)):
        yield cell.isoformat()
    if isinstance(cell, (float, Decimal)):
        yield str(float(cell))
        if float(cell).is_integer():
            yield str(int(cell))
