"""Samples: the rows of a frame, one by one, with pictures decoded when they are asked for.

It is what torch calls a map-style dataset, and needs no torch: `__len__`, `__getitem__`, `__getitems__`. It consists of
plain data and paths, so it goes to worker processes, forked or spawned, without the study and without a connection.
The order is that of the frame, always the same. A sample is a dict of the frame's columns:

| column | in a sample |
|---|---|
| rid | int: the way back to the entity, in every sample |
| int, bool, text, link, date | int, bool, str |
| real | numpy.float32, as models compute |
| time, instant | str, ISO |
| term | int: the place of the term in `classes[column]` |
| asset | what `read` makes of its bytes; without it a picture as an array, see picture_arrays.py |

The bytes of every file are checked against their digest each time they are read.
"""

from __future__ import annotations

import hashlib
import importlib
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from commonground.errors import BrokenFile, Corrupt, NotFound


@dataclass(frozen=True, slots=True)
class SampleFile:
    """A file that a sample holds."""

    digest: str
    """SHA-256 of its bytes."""
    path: str
    """Where it lies."""


@dataclass(frozen=True, slots=True)
class SampleColumns:
    """What the samples are made of: columns of one length."""

    plain: Mapping[str, np.ndarray[Any, Any] | list[str]]
    """By column: what stands in the sample as it is."""
    files: Mapping[str, np.ndarray[Any, Any]]
    """By column of files: places in `listed`."""
    listed: tuple[SampleFile, ...]
    """Each file once."""
    order: tuple[str, ...]
    """All columns in the order of the frame."""


class Samples:
    """The rows of a frame as samples; torch's DataLoader takes it as it is."""

    def __init__(
        self,
        columns: SampleColumns,
        classes: Mapping[str, tuple[str, ...]],
        *,
        read: Callable[[bytes], Any] | None = None,
        transform: Callable[[dict[str, Any]], Any] | None = None,
    ) -> None:
        self._columns = columns
        self._read = read
        self._transform = transform
        self.classes = dict(classes)
        """The terms of each column of terms; a sample holds a term's place among them."""

    @property
    def rids(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The entities, in the order of the samples."""
        rids: np.ndarray[Any, np.dtype[np.int64]] = np.array(self._columns.plain["rid"])
        return rids

    def __len__(self) -> int:
        return len(self._columns.plain["rid"])

    def __getitem__(self, index: int) -> Any:  # noqa: ANN401 - a dict, or what `transform` makes of it
        """One sample; counted from the end if negative. Raises IndexError, NotFound, Corrupt or BrokenFile."""
        row = operator.index(index)
        if not -len(self) <= row < len(self):
            raise IndexError(f"There is no sample {index} among {len(self)}.")
        sample = {name: self._cell(name, row) for name in self._columns.order}
        return sample if self._transform is None else self._transform(sample)

    def __getitems__(self, indices: Iterable[int]) -> list[Any]:
        """Several samples, as a DataLoader asks for a batch."""
        return [self[index] for index in indices]

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"<{len(self)} samples of {', '.join(self._columns.order)}>"

    def _cell(self, name: str, row: int) -> object:
        if name in self._columns.files:
            return self._open(name, self._columns.listed[self._columns.files[name][row]], row)
        cell = self._columns.plain[name][row]
        # One of float32 is left: a Python float would become a tensor of doubles.
        return cell.item() if isinstance(cell, np.integer | np.bool_) else cell

    def _open(self, name: str, file: SampleFile, row: int) -> object:
        data = read_checked(file)
        if self._read is None:
            self._read = importlib.import_module("commonground.exchange.picture_arrays").read_picture
        try:
            return self._read(data)
        except BrokenFile as error:
            raise BrokenFile(f"{name} of sample {row}: {error.what}", todo=error.todo) from None


def read_checked(file: SampleFile) -> bytes:
    """The bytes of a file; raises NotFound, or Corrupt if they are not what was recorded."""
    try:
        data = Path(file.path).read_bytes()
    except OSError as error:
        raise NotFound(f"{file.path} cannot be read: {error.strerror}.", todo="Run `cg verify`.") from None
    if hashlib.sha256(data).hexdigest() != file.digest:
        raise Corrupt(f"{file.path} is not what was recorded.", todo="Run `cg verify`; restore it from a backup.")
    return data
