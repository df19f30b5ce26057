"""One append-only file per process, where a run writes before the catalogue has it.

The file is text, one record a line (`spool_lines`), and legal on a network disk because only one process ever
writes it. Numbers count from 0 without gaps; a record that could not be written leaves a gap. Record 0 is the header;
the last record of a file that was closed is `end`. A line without its end is what a crash leaves behind (a torn
tail); a whole line that cannot be taken is damage, and reading goes on behind it.

Writing never raises and never waits for the disk: what cannot be written is counted as dropped and told once.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from commonground.errors import NotFound, SchemaTooNew, StorageError, StorageFull
from commonground.store.faults import allowance, point
from commonground.store.processes import ProcessMark, this_process
from commonground.store.spool_lines import SpoolRecord, read_line, render, write_line

FORMAT: Final = 1
HEADER: Final = "header"
END: Final = "end"
_KIND = re.compile(r"[a-z][a-z0-9_.-]{0,40}")
_RESERVED = frozenset({HEADER, END})
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class SpoolWarning(RuntimeWarning):
    """Something a run wanted to record could not be recorded."""


@dataclass(frozen=True, slots=True)
class SpoolHeader:
    """Who writes a spool file, and since when."""

    format: int
    """Version of the file format."""
    execution: int
    """The rid of the execution."""
    process: ProcessMark
    """The process that writes."""
    wall_us: int
    """UTC microseconds when the file was begun, by the clock of that machine."""
    monotonic_ns: int
    """The monotonic clock of that boot at the same moment."""
    parent: str | None = None
    """Name of the file of the process this one was forked from."""


@dataclass(frozen=True, slots=True)
class SpoolDamage:
    """A whole line that cannot be taken."""

    offset: int
    """Where the line begins, in bytes."""
    reason: str
    """Why it cannot be taken."""


@dataclass(frozen=True, slots=True)
class SpoolContent:
    """What a spool file says, and what is wrong with it."""

    header: SpoolHeader | None
    """The first record; None if reading began further on or the header is damaged."""
    records: tuple[SpoolRecord, ...]
    """All good records but the header and the end, by number."""
    torn_tail: bool
    """Whether the last line has no end: the process was cut off, or is just writing."""
    damaged: tuple[SpoolDamage, ...]
    """The whole lines that cannot be taken."""
    gaps: tuple[tuple[int, int], ...]
    """First and last number of each run of missing records."""
    ended: bool
    """Whether the file was closed in good order."""
    dropped: int
    """How many records the writer says it could not write; known only if the file was closed."""
    offset: int
    """Where reading can go on: behind the last whole line."""
    last: int
    """The highest number seen, to hand to the next read."""


class SpoolWriter:
    """Appends records to one file for one process; a forked child writes a file of its own beside it."""

    def __init__(self, path: Path, *, execution: int) -> None:
        """Make the file and write its header.

        Raises StorageFull or StorageError if that cannot be done or the file is there already.
        """
        self.path = path
        """The file; in a forked child, its own."""
        self.execution = execution
        """The rid of the execution."""
        self.dropped = 0
        """How many records could not be written."""
        self.error: str | None = None
        """The first thing that went wrong."""
        self._descriptor: int | None = None
        self._pid = 0
        self._next = 0
        self._parent: str | None = None
        self._mend = False
        self._closed = False
        self._synced = True
        self._folder_synced = False
        self._told = False
        self._new_locks()
        try:
            self._open(path)
        except OSError as error:
            full = error.errno in _FULL
            raise (StorageFull if full else StorageError)(
                f"The spool {path.name} cannot be begun: {_say(error)}.",
                todo="Free some room." if full else "Give the run a folder it can write to.",
            ) from error
        _writers.add(self)

    def append(self, kind: str, payload: Mapping[str, Any]) -> bool:
        """Append one record; returns whether it was handed to the system. Never raises.

        Numbers, text, booleans, None, lists and mappings are kept; arrays become lists; anything else its text.
        """
        try:
            if not _KIND.fullmatch(kind) or kind in _RESERVED or not isinstance(payload, Mapping):
                return self._drop(f"{kind!r} with a {type(payload).__name__} is not a record")
            return self._write(*render(kind, payload))
        except Exception as error:  # noqa: BLE001 - a value with a broken __repr__ must not end a training
            return self._drop(_say(error))

    def sync(self) -> bool:
        """Wait until all that was written is on the disk; returns whether that is so. Never raises.

        What was dropped before counts in `dropped`, not here. After one failure it is never true again for this file:
        the system may have thrown the bytes away.
        """
        with self._sync_lock:
            descriptor = self._descriptor
            if descriptor is None or self._pid != os.getpid():
                return False
            try:
                point("spool.sync")
                _full_sync(descriptor)
                if not self._folder_synced:
                    _sync_folder(self.path.parent)
                    # The folder is as new as the file, and nobody else makes its name durable.
                    _sync_folder(self.path.parent.parent)
                    self._folder_synced = True
            except OSError as error:
                self._synced = False
                self._remember(_say(error))
            done = self._synced
        self._tell()
        return done

    def close(self) -> bool:
        """Write the end record, sync and close; returns whether everything is on the disk. Never raises."""
        if self._closed:
            return False
        if self._descriptor is not None and self._pid == os.getpid():
            self._write(*render(END, {"dropped": self.dropped, "error": self.error}))
        done = self.sync()
        with self._sync_lock, self._lock:
            self._closed = True
            descriptor, self._descriptor = self._descriptor, None
            if descriptor is not None:
                with suppress(OSError):
                    os.close(descriptor)
        _writers.discard(self)
        return done

    def _open(self, path: Path) -> None:
        point("spool.open")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        mark = this_process()
        header = SpoolHeader(FORMAT, self.execution, mark, time.time_ns() // 1000, time.monotonic_ns(), self._parent)
        try:
            _write_all(descriptor, write_line(0, *render(HEADER, asdict(header))))
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        self.path, self._descriptor, self._pid, self._next = path, descriptor, mark.pid, 1

    def _write(self, kind: str, text: str) -> bool:
        with self._lock:
            if self._closed:
                self._remember("the spool is closed")
            elif self._descriptor is None or self._pid != os.getpid():
                self._begin_own_file()
            descriptor, seq = self._descriptor, self._next
            self._next = seq + 1
            if descriptor is not None:
                line = write_line(seq, kind, text)
                try:
                    _write_all(descriptor, b"\n" + line if self._mend else line)
                except OSError as error:
                    # a part of the line may be there; the next one begins with a line end, so that only this is lost
                    self._mend = True
                    self._remember(_say(error))
                else:
                    self._mend = False
                    return True
            self.dropped += 1
        self._tell()
        return False

    def _begin_own_file(self) -> None:
        """In a forked child: open a file beside that of the parent."""
        self._descriptor = None
        if self._parent is None:
            self._parent = self.path.name
        mark = this_process()
        own = self.path.with_name(f"{Path(self._parent).stem}.fork-{mark.pid}-{mark.start}{self.path.suffix}")
        try:
            self._open(own)
        except OSError as error:
            self._remember(_say(error))

    def let_go(self) -> None:
        """In a forked child: let go of what belongs to the parent; a file is made when something is written."""
        self._new_locks()
        if self._descriptor is not None:
            with suppress(OSError):
                os.close(self._descriptor)
        self._descriptor = None
        self._mend = self._folder_synced = self._told = False
        self._synced, self.dropped, self.error = True, 0, None

    def _new_locks(self) -> None:
        # the append lock can be taken again by a signal handler of the same thread
        self._lock = threading.RLock()
        self._sync_lock = threading.RLock()

    def _drop(self, reason: str) -> bool:
        with self._lock:
            self._next += 1
            self.dropped += 1
            self._remember(reason)
        self._tell()
        return False

    def _remember(self, reason: str) -> None:
        self.error = self.error or reason

    def _tell(self) -> None:
        """Warn once, outside the lock, because a warning can be shown by code that appends."""
        if self._told or self.error is None:
            return
        self._told = True
        text = f"The record of this run has a hole: {self.error}. The run goes on; {self.path.name} says what is kept."
        # The error stream may be closed or gone, and that must not end a training either.
        with suppress(Exception):
            try:
                warnings.warn(text, SpoolWarning, stacklevel=4)
            except SpoolWarning:
                sys.stderr.write(text + "\n")


def read(path: Path, *, offset: int = 0, after: int = -1, limit: int | None = None) -> SpoolContent:
    """The content of a spool file from byte `offset` on, where `after` is the last number known.

    Stops before the first line that begins `limit` bytes or more behind `offset`. Raises NotFound, StorageError.
    """
    header: SpoolHeader | None = None
    records: dict[int, SpoolRecord] = {}
    damaged: list[SpoolDamage] = []
    torn, end, here = False, None, offset
    try:
        point("spool.read")
        with path.open("rb") as file:
            file.seek(offset)
            for line in file:
                torn = not line.endswith(b"\n")
                if torn or (limit is not None and here - offset >= limit):
                    break
                taken = read_line(line) if line != b"\n" else None
                if taken is None:
                    pass
                elif isinstance(taken, str):
                    damaged.append(SpoolDamage(here, taken))
                elif taken.seq in records:
                    damaged.append(SpoolDamage(here, f"the number {taken.seq} comes twice"))
                else:
                    records[taken.seq] = taken
                here += len(line)
    except FileNotFoundError as error:
        raise NotFound(
            f"There is no spool {path.name}.", todo="It may be delivered already: `cg status` shows what waits."
        ) from error
    except OSError as error:
        raise StorageError(
            f"The spool {path.name} cannot be read: {_say(error)}.",
            todo="Check the disk and who may read there, then `cg sync` tries again.",
        ) from error
    last = max(records, default=after)
    gaps = _gaps(sorted(records), after)
    if 0 in records and (first := records.pop(0)).kind == HEADER:
        header = _read_header(first.payload)
    if records and records[max(records)].kind == END:
        end = records.pop(max(records))
    return SpoolContent(
        header=header,
        records=tuple(records[seq] for seq in sorted(records)),
        torn_tail=torn,
        damaged=tuple(damaged),
        gaps=gaps,
        ended=end is not None,
        dropped=_whole(end.payload.get("dropped")) if end else 0,
        offset=here,
        last=last,
    )


def list_files(path: Path) -> list[Path]:
    """The spool of a process and those of the children forked from it, by name; only files that are there."""
    start = f"{path.stem}.fork-"
    found = [other for other in path.parent.iterdir() if other.name.startswith(start) and other.suffix == path.suffix]
    return [one for one in [path, *sorted(found)] if one.is_file()]


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data[: allowance("spool.append", len(data))]) :]


def _read_header(payload: dict[str, Any]) -> SpoolHeader | None:
    if _whole(payload.get("format")) > FORMAT:
        raise SchemaTooNew("The spool was written by a newer release.", todo="Deliver it with that release.")
    try:
        return SpoolHeader(**{**payload, "process": ProcessMark(**payload["process"])})
    except (TypeError, KeyError):
        return None


def _gaps(numbers: Sequence[int], after: int) -> tuple[tuple[int, int], ...]:
    before = [after, *numbers]
    return tuple((low + 1, high - 1) for low, high in zip(before, numbers, strict=False) if high > low + 1)


def _whole(told: object) -> int:
    return told if isinstance(told, int) else 0


def _full_sync(descriptor: int) -> None:
    full = getattr(fcntl, "F_FULLFSYNC", None)  # on macOS fsync stops at the cache of the drive
    if full is None:
        os.fsync(descriptor)
    else:
        fcntl.fcntl(descriptor, full)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _say(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return f"{type(error).__name__}: {error}"


_writers: weakref.WeakSet[SpoolWriter] = weakref.WeakSet()


def _let_go_in_child() -> None:
    for writer in list(_writers):
        writer.let_go()


os.register_at_fork(after_in_child=_let_go_in_child)
