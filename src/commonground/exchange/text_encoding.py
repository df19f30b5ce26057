"""Which encoding a text file is in: its byte order mark, else UTF-8, else Windows-1252, else Latin-1, and always said.

A file that is mostly UTF-8 with a few wrong bytes stays UTF-8: the wrong bytes become lone surrogates, which the reader
reports as faults, instead of every accent turning into two letters. Nothing that is decoded here is ever refused late:
a file that can be no text (an archive, a workbook, UTF-16 without its mark) is a BrokenFile at once.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from commonground.errors import BrokenFile, InvalidInput

_BLOCK: Final = 1 << 20
_HEAD: Final = 1 << 16
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OTHERS: Final = (
    (b"\x1f\x8b", "is compressed with gzip", "Unpack it first."),
    (b"PK\x03\x04", "is a zip archive or an Excel workbook", "Unpack it, or import it as a workbook."),
    (b"PAR1", "is a Parquet file", "Import it as Parquet."),
    (b"\xd0\xcf\x11\xe0", "is an old Excel or a protected file", "Save it as .xlsx or as CSV without a password."),
)
# In these a letter has many forms, and an erasure would not find a key in the file that was kept.
_ESCAPES: Final = frozenset({"utf-7", "unicode-escape", "raw-unicode-escape", "punycode", "idna"})
_UNDEFINED: Final = b"\x81\x8d\x8f\x90\x9d"
_NULS: Final = 0.1
_ENCODED_SURROGATE: Final = re.compile("\udced[\udca0-\udcbf][\udc80-\udcbf]")
_WRONG_BYTE: Final = re.compile("[\udc80-\udcff]")
_BEYOND_ASCII: Final = re.compile("[^\x00-\x7f\udc80-\udcff]")


@dataclass(frozen=True, slots=True)
class TextEncoding:
    """An encoding, and how it treats bytes that it does not know."""

    name: str
    errors: str
    note: str = ""

    def open(self, source: Path) -> TextIO:
        """The file as text, line ends as they are."""
        return source.open("r", encoding=self.name, errors=self.errors, newline="")


def find_encoding(source: Path, stated: str | None = None) -> TextEncoding:
    """The encoding of a file, or the stated one; InvalidInput if that is none, BrokenFile if the file is no text."""
    with source.open("rb") as file:
        head = file.read(_HEAD)
    for start, what, todo in _OTHERS:
        if head.startswith(start):
            raise BrokenFile(f"{source.name} {what}.", todo=todo)
    if stated is not None:
        return _stated(stated)
    for mark, name in _MARKS:
        if head.startswith(mark):
            return _with_errors(name, f"encoding {name}, by its byte order mark")
    if head.count(0) > _NULS * len(head):
        raise BrokenFile(
            f"{source.name} is not text, or is UTF-16 without its mark.",
            todo="Export it as UTF-8, or state the encoding (utf-16-le, utf-16-be).",
        )
    return _guess(source)


def _stated(name: str) -> TextEncoding:
    try:
        b"a".decode(name, "ignore")
        plain = codecs.lookup(name).name
    except (LookupError, UnicodeError, ValueError):
        plain = ""
    if not plain or plain in _ESCAPES:
        raise InvalidInput(f"There is no text encoding '{name}'.", todo="Try utf-8, cp1252 or utf-16.")
    return _with_errors("utf-8-sig" if plain == "utf-8" else plain, "")


def _with_errors(name: str, note: str) -> TextEncoding:
    wide = name.startswith(("utf-16", "utf-32"))
    return TextEncoding(name, "surrogatepass" if wide else "surrogateescape", note)


def _guess(source: Path) -> TextEncoding:
    right = wrong = 0
    undefined = False
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    for block in _blocks(source):
        text = decoder.decode(block, final=not block)
        if text.isascii():
            continue
        right += len(_BEYOND_ASCII.findall(text))
        hidden = len(_ENCODED_SURROGATE.findall(text))
        right += hidden
        wrong += len(_WRONG_BYTE.findall(text)) - 3 * hidden
        undefined = undefined or any(byte in block for byte in _UNDEFINED)
    if not wrong:
        return _with_errors("utf-8", "")
    if right >= wrong:
        return _with_errors("utf-8", f"encoding utf-8 with {wrong:,} wrong bytes")
    name = "latin-1" if undefined else "cp1252"
    return _with_errors(name, f"not UTF-8; read as {name}: check the accents, or state the encoding")


def _blocks(source: Path) -> Iterator[bytes]:
    """The file in blocks, and an empty one at the end."""
    with source.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block
    yield b""
