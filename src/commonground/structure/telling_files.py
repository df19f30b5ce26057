"""Whether an entity may stand in an imported table file: by the text of its key, and yes where that cannot be told.

Looked into are delimited text in UTF-8, UTF-16 or a single-byte code, and Parquet. A key stands in a file if it is
there and no letter or digit lies beside it; a long one stands anywhere. Workbooks are not looked into: a sheet that was
not imported may name somebody in other words.
"""

from __future__ import annotations

import codecs
import io
import re
import unicodedata
from collections.abc import Collection, Iterator
from pathlib import PurePath

import pyarrow as pa
import pyarrow.parquet as pq

from commonground.structure.telling_words import DISTINCT

TEXT = frozenset({".csv", ".tsv", ".txt"})
PARQUET = ".parquet"
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}

_SHIFTS = (b"\x1b", b"~{")
"""Begin other letters in codes whose bytes are all of ASCII."""


def may_stand_in(content: bytes, name: str, keys: Collection[str]) -> bool:
    """Whether one of the keys stands in a file of this name, or it cannot be told that none does."""
    suffix = PurePath(name).suffix.lower()
    if suffix in TEXT:
        text = _decode(content, plain=all(key.isascii() for key in keys))
    else:
        text = "\n".join(_cells(content)) if suffix == PARQUET and _is_readable(content) else None
    return text is None or _stands(text, keys)


def _stands(text: str, keys: Collection[str]) -> bool:
    clean = unicodedata.normalize("NFC", text)
    # A quote is written twice within a quoted cell, and a break of a line in several ways.
    clean = re.sub(r"\r\n?", "\n", clean.replace('""', '"'))
    return any(
        key in clean and (len(key) >= DISTINCT or re.search(rf"(?<!\w){re.escape(key)}(?!\w)", clean) is not None)
        for key in (re.sub(r"\r\n?", "\n", one) for one in keys)
    )


def _decode(content: bytes, *, plain: bool) -> str | None:
    """The text of a file; None if its code cannot be told, which for plain keys does not matter among 8-bit codes."""
    for mark, code in _BOMS.items():
        if content.startswith(mark):
            return _try(content, code)
    if b"\0" in content or (not plain and any(mark in content for mark in _SHIFTS)):
        return None
    found = _try(content, "utf-8")
    return found if found is not None or not plain else content.decode("latin-1")


def _try(content: bytes, code: str) -> str | None:
    try:
        return content.decode(code)
    except UnicodeDecodeError:
        return None


def _is_readable(content: bytes) -> bool:
    try:
        pq.read_schema(io.BytesIO(content))
        pq.read_table(io.BytesIO(content))
    except (pa.ArrowException, OSError):
        return False
    return True


def _cells(content: bytes) -> Iterator[str]:
    """Every cell of a table as the texts by which it may be read as a key, and what its schema says."""
    table = pq.read_table(io.BytesIO(content))
    for key, value in (table.schema.metadata or {}).items():
        yield f"{key.decode(errors='replace')} {value.decode(errors='replace')}"
    yield from table.column_names
    for column in table.columns:
        for cell in column.unique().to_pylist() if not pa.types.is_nested(column.type) else column.to_pylist():
            if isinstance(cell, bytes):
                yield cell.decode(errors="replace")
            elif cell is not None:
                yield str(cell)
                if isinstance(cell, float) and cell.is_integer():
                    yield str(int(cell))
