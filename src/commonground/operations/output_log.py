"""What a run printed, screened and bounded, and how it becomes an asset.

In the folder of the run's spool lie `output.0`, the first `HEAD` bytes, and `output.1` and `output.2`, which take turns
with `TAIL` bytes each: so at least the last `TAIL` bytes are there, whatever ends the process. Every write goes to the
system at once and waits for no disk. A line that has no end yet is kept back, because a secret could be in two halves.

To screen text takes longer than to print it. After a burst of `BURST_S` no more than `SHARE` of the time that passes
goes into it: of a flood the newest lines wait in memory, and of those that would not be kept anyway most are never
looked at.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from commonground.identity import Mint, Rid
from commonground.operations.executions import produced_edge
from commonground.structure.screen import screen

HEAD: Final = 1 << 20
TAIL: Final = 512 << 10
LONGEST_LINE: Final = 16_384
LONGEST_KEY: Final = 200
BURST_S: Final = 0.25
SHARE: Final = 0.1
GAP: Final = "[... the middle of the output was not kept ...]"
PARTS: Final = ("output.0", "output.1", "output.2")
NAME: Final = "output.log"
CELL_NOW: Final = "cell.now"
"""The cell that runs, as it would be if nothing more came."""
CELLS: Final = "cells.jsonl"
"""A notebook's cells, one JSON object a line, as they were run."""


class OutputLog:
    """Takes text in any pieces and keeps whole lines, screened."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = folder
        self.removed = 0
        """How many secrets and identifiers were taken out."""
        self.failed = False
        """Whether something could not be written."""
        self._clock = clock
        self._budget = BURST_S
        self._looked = clock()
        self._held: deque[str] = deque()
        self._held_size = 0
        self._dropped = False
        self._waiting: dict[str, str] = {}
        self._in_key = 0
        self._part = 0
        self._size = 0
        self._descriptor = -1
        self._lock = threading.RLock()
        self._pid = os.getpid()

    def write(self, text: str, stream: str = "out") -> None:
        """Take some text of one stream. Never raises."""
        with self._lock:
            if self._pid != os.getpid():
                # What the parent had kept back is the parent's to write.
                self._pid, self._waiting = os.getpid(), {}
                self._held.clear()
                self._held_size = 0
            lines, end, rest = (self._waiting.pop(stream, "") + text).rpartition("\n")
            if len(rest) > LONGEST_LINE:
                lines, end, rest = lines + end + rest, "\n", ""
            if rest:
                self._waiting[stream] = rest
            if lines or end:
                self._hold(lines + end)
                if self._may_look() or (self._part == 0 and self._held_size > self._most_held):
                    self.flush()

    def flush(self) -> None:
        """Write the whole lines that wait in memory, if any. Never raises."""
        with self._lock:
            if self._pid != os.getpid() or not self._held:
                return
            began = self._clock()
            if self._dropped:
                self._held.appendleft(f"{GAP}\n")
                self._dropped = False
            text = "".join(self._held)
            self._held.clear()
            self._held_size = 0
            self._keep(text)
            self._budget -= self._clock() - began

    def close(self) -> None:
        """Write what was kept back and close."""
        with self._lock:
            if self._pid == os.getpid():
                for rest in self._waiting.values():
                    self._hold(rest + "\n")
                self.flush()
            self._waiting = {}
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    @property
    def _most_held(self) -> int:
        return 2 * TAIL

    def _may_look(self) -> bool:
        """Whether the screen has had less than its share of the time."""
        now = self._clock()
        self._budget = min(BURST_S, self._budget + (now - self._looked) * SHARE)
        self._looked = now
        return self._budget > 0

    def _hold(self, text: str) -> None:
        self._held.append(text)
        self._held_size += len(text)
        # Before the first part is full nothing is dropped: it is to hold the beginning.
        while self._part and self._held_size > self._most_held and len(self._held) > 1:
            lost = self._held.popleft()
            self._held_size -= len(lost)
            self._without_keys(lost)
            self._dropped = True

    def _keep(self, text: str) -> None:
        clean = screen(self._without_keys(text))
        self.removed += sum(removal.count for removal in clean.removed)
        data = clean.text.encode("utf-8", "backslashreplace")
        try:
            while data:
                data = data[self._write_part(data) :]
        except OSError:
            self.failed = True

    def _write_part(self, data: bytes) -> int:
        limit = HEAD if self._part == 0 else TAIL
        if self._descriptor < 0:
            self._open(0)
        elif self._size >= limit:
            self._open(1 if self._part != 1 else 2)
            limit = TAIL
        written = os.write(self._descriptor, data[: max(1, limit - self._size)])
        self._size += written
        return written

    def _open(self, part: int) -> None:
        if self._descriptor >= 0:
            # Both parts may be written in one moment of the clock, so the one that is full says that it is the older.
            os.utime(self._descriptor, ns=(0, 0))
            os.close(self._descriptor)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | (os.O_TRUNC if part else 0)
        self._descriptor = os.open(self.folder / PARTS[part], flags, 0o600)
        self._part, self._size = part, 0

    def _without_keys(self, text: str) -> str:
        """The text without the lines of a private key that is printed line by line."""
        if not self._in_key and "-----BEGIN" not in text:
            return text
        kept = []
        for line in text.splitlines(keepends=True):
            if self._in_key:
                self._in_key = 0 if "-----END" in line else (self._in_key + 1) % LONGEST_KEY
                continue
            if "-----BEGIN" in line and "PRIVATE KEY" in line and "-----END" not in line:
                self._in_key = 1
                self.removed += 1
                kept.append("[removed: private key]\n")
                continue
            kept.append(line)
        return "".join(kept)


def log_asset(folder: Path, execution: Rid, mint: Mint, *, more: str = "") -> dict[str, Any] | None:
    """The output of a run as an output asset, assembled in the folder; None if it printed nothing.

    `more` is added at the end: the traceback of the error that ended the run, screened here.
    """
    parts = [folder / name for name in PARTS]
    head, *tails = [path.read_bytes() if path.is_file() else b"" for path in parts]
    added = screen(more).text.encode("utf-8", "backslashreplace") if more else b""
    if tails[0] and tails[1]:
        times = [path.stat().st_mtime_ns for path in parts[1:]]
        tails = tails if times[0] <= times[1] else tails[::-1]
    tail = b"".join(tails)
    # The part that was written over, if both have been in use, is what is missing between.
    gap = f"\n{GAP}\n".encode() if tails[0] and tails[1] else b""
    content = head + gap + tail + added
    if not content:
        return None
    (folder / NAME).write_bytes(content)
    return _asset(folder, execution, mint, NAME, "log", "text/plain")


def cells_asset(folder: Path, execution: Rid, mint: Mint) -> dict[str, Any] | None:
    """The cells of a notebook session as an output asset; None if there are none."""
    cut_off = folder / CELL_NOW
    if cut_off.is_file():
        # Written whole before the cell ran; it is put behind the others once, and a second look finds it gone.
        with (folder / CELLS).open("ab") as file:
            file.write(cut_off.read_bytes())
        cut_off.unlink()
    if not (folder / CELLS).is_file():
        return None
    return _asset(folder, execution, mint, CELLS, "cells", "application/jsonl")


def _asset(folder: Path, execution: Rid, mint: Mint, name: str, kind: str, media_type: str) -> dict[str, Any]:
    content = (folder / name).read_bytes()
    rid, edge = mint.many(2)
    asset = {
        "rid": rid,
        "name": name,
        "kind": kind,
        "digest": hashlib.sha256(content).hexdigest(),
        "size": len(content),
        "media_type": media_type,
        "reference": None,
        "files": 1,
        "description": None,
    }
    return {"asset": asset, "edge": produced_edge(edge, execution, rid, kind, {}), "file": name}
