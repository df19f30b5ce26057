"""Keys that occur twice, found in little memory: 8 bytes a row, and a second look at the rows concerned.

The first pass keeps a 64-bit hash of each key; a second pass runs only if two hashes are equal, and compares the keys.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np

from commonground.exchange.drafts import SHOWN, FaultList, Value

Keys = tuple[Sequence[int], Sequence[int | None], Sequence[Sequence[Value]]]
"""One page: row numbers, line numbers if there are lines, and one column of values for each part of the key."""

_REMEMBERED: Final = 100_000


def check_keys(
    pages: Callable[[], Iterator[Keys]], names: Sequence[str], faults: FaultList, *, what: str = "the key"
) -> None:
    """Add a fault for each row whose key lacks a part, or was the key of an earlier row; `what` says what it is key of.

    Each repeated row is listed with the row it repeats, the first `SHOWN` of them; all are counted.
    """
    column = ", ".join(names)
    hashes = array("q")
    for rows, lines, parts in pages():
        for row, line, key in zip(rows, lines, zip(*parts, strict=True), strict=True):
            if None in key:
                lacking = [name for name, part in zip(names, key, strict=True) if part is None]
                for name in lacking:
                    faults.add("missing-key", f"{what} is missing", row=row, line=line, column=name)
            else:
                hashes.append(hash(_text(key)))
    ordered = np.sort(np.frombuffer(hashes, dtype=np.int64)) if hashes else np.empty(0, np.int64)
    again = ordered[1:][ordered[1:] == ordered[:-1]]
    if again.size:
        listed = _list_repeats(pages, column, set(np.unique(again).tolist()), faults, what)
        faults.count("duplicate-key", column, max(0, again.size - listed))


def _list_repeats(
    pages: Callable[[], Iterator[Keys]], column: str, suspects: set[int], faults: FaultList, what: str
) -> int:
    first: dict[str, int] = {}
    listed = 0
    for rows, lines, parts in pages():
        for row, line, key in zip(rows, lines, zip(*parts, strict=True), strict=True):
            if None in key or hash(text := _text(key)) not in suspects:
                continue
            before = first.get(text)
            if before is not None:
                shown = " / ".join(str(part) for part in key)
                words = f"{what} is already in row {before}"
                faults.add("duplicate-key", words, row=row, line=line, column=column, sample=shown)
                listed += 1
            elif len(first) < _REMEMBERED:
                first[text] = row
        if listed >= SHOWN:
            break
    return listed


def _text(key: Sequence[Value]) -> str:
    return str(key[0]) if len(key) == 1 else repr(tuple(key))
