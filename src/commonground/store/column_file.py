"""Columns set aside in an unnamed file, so that memory holds of them only where they lie.

Each array lies in the file as its bytes; of one that is the same in all rows nothing does. A text column is the bytes
of all its texts one after the other, and where each of them starts. What is set aside comes back bit by bit the same: a
NaN keeps its bits and -0.0 its sign. The file has no name, so nobody else finds it and it goes with whoever made it.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Self, TypeAlias

from commonground.errors import StorageError
from commonground.late import np
from commonground.store.canonical_words import Column, ColumnType, arrayed
from commonground.store.disk_errors import in_words

Array: TypeAlias = "np.ndarray[Any, Any]"


@dataclass(frozen=True, slots=True)
class KeptArray:
    """Where an array lies."""

    place: int
    """Its first byte in the file."""
    dtype: np.dtype[Any]
    """Its type."""
    rows: int
    """How many."""
    same: Any = None
    """What stands in all rows; None if they differ, or if there are none."""


@dataclass(frozen=True, slots=True)
class KeptColumn:
    """Where a column lies."""

    name: str
    """Its name."""
    type: ColumnType
    """int, real or text."""
    values: KeptArray
    """Its numbers; of text, where each starts among the bytes, and where the last ends."""
    missing: KeptArray
    """True where the row is null."""
    tails: tuple[int, int] = (0, 0)
    """First byte and number of the bytes of the texts."""

    @property
    def rows(self) -> int:
        """How many rows."""
        return self.missing.rows


class ColumnFile:
    """An unnamed file in a folder (in the system's for temporary files, if none is named) that takes columns."""

    def __init__(self, folder: Path | None = None) -> None:
        self._where = folder or Path(tempfile.gettempdir())
        with in_words("making a file in", self._where):
            self._file = tempfile.TemporaryFile(dir=self._where, buffering=0)  # noqa: SIM115 - closed by `close`
        self._end = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the file go, and its room on the disk with it."""
        self._file.close()

    def put(self, column: Column) -> KeptColumn:
        """Set a column of type int, real or text aside; raises InvalidInput for a text that cannot be encoded."""
        rows = len(column.values)
        missing = np.zeros(rows, np.bool_) if column.missing is None else np.asarray(column.missing, np.bool_)
        gaps = self._put_array(missing)
        if column.type != "text":
            kind = np.float64 if column.type == "real" else np.int64
            values = self._put_array(np.ascontiguousarray(column.values, dtype=kind))
            return KeptColumn(column.name, column.type, values, gaps)
        if gaps.same is not None and gaps.same:
            return KeptColumn(column.name, "text", KeptArray(0, np.dtype(np.int64), rows + 1, np.int64(0)), gaps)
        content = arrayed(column)
        starts = self._put_array(np.concatenate([np.zeros(1, np.int64), np.cumsum(content.words)]))
        bytes_ = b"".join(content.tails)
        return KeptColumn(column.name, "text", starts, gaps, (self._put_bytes(memoryview(bytes_)), len(bytes_)))

    def get(self, kept: KeptColumn, start: int = 0, stop: int | None = None) -> Column:
        """Some rows of a column, as arrays; `missing` is None if no row is null."""
        stop = kept.rows if stop is None else stop
        missing = (
            None if kept.missing.same is not None and not kept.missing.same else self._array(kept.missing, start, stop)
        )
        if kept.type != "text":
            return Column(kept.name, kept.type, self._array(kept.values, start, stop), missing)
        return Column(kept.name, "text", self._texts(kept, start, stop, missing), missing)

    def valid(self, kept: KeptColumn) -> Array:
        """True where a row is not null."""
        return ~self._array(kept.missing, 0, kept.rows)

    def words(self, kept: KeptColumn) -> Array:
        """The words of a column in the canonical encoding."""
        if kept.type != "text":
            return arrayed(self.get(kept)).words
        return np.diff(self._array(kept.values, 0, kept.rows + 1))

    def tails(self, kept: KeptColumn) -> bytes:
        """The tails of all rows in the canonical encoding, one after the other; none of numbers."""
        return self._bytes(*kept.tails)

    def _texts(self, kept: KeptColumn, start: int, stop: int, missing: Array | None) -> Array:
        texts = np.empty(stop - start, dtype=object)
        starts = self._array(kept.values, start, stop + 1).tolist()
        told = self._bytes(kept.tails[0] + starts[0], starts[-1] - starts[0])
        if told or missing is None or not missing.all():
            first = starts[0]
            edges = pairwise(starts)
            texts[:] = [told[begin - first : end - first].decode() for begin, end in edges]
            if missing is not None:
                texts[missing] = None
        return texts

    def _put_array(self, array: Array) -> KeptArray:
        # By their bits: 0.0 and -0.0 are equal and not the same.
        bits = array.view(np.uint8 if array.dtype.itemsize == 1 else np.int64)
        if len(bits) and bool((bits == bits[0]).all()):
            return KeptArray(0, array.dtype, len(array), array[0])
        return KeptArray(self._put_bytes(_bytes_of(array)), array.dtype, len(array))

    def _put_bytes(self, given: memoryview) -> int:
        place = self._end
        with in_words("writing in", self._where):
            while given:
                done = os.pwrite(self._file.fileno(), given, self._end)
                given = given[done:]
                self._end += done
        return place

    def _array(self, kept: KeptArray, start: int, stop: int) -> Array:
        if kept.same is not None:
            return np.full(stop - start, kept.same, dtype=kept.dtype)
        array = np.empty(stop - start, dtype=kept.dtype)
        self._read(_bytes_of(array), kept.place + start * kept.dtype.itemsize)
        return array

    def _bytes(self, place: int, size: int) -> bytes:
        into = bytearray(size)
        self._read(memoryview(into), place)
        return bytes(into)

    def _read(self, into: memoryview, place: int) -> None:
        with in_words("reading in", self._where):
            while into:
                done = os.preadv(self._file.fileno(), [into], place)
                if not done:
                    raise StorageError(
                        f"A temporary file in {self._where} has become shorter.",
                        todo="Check the disk, then do it again.",
                    )
                into = into[done:]
                place += done


def _bytes_of(array: Array) -> memoryview:
    """The bytes of an array, to be read or filled in place."""
    return array.view(np.uint8).data
