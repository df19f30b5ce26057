"""`cg doctor`: what could go wrong with this study on this machine, each finding with what to do about it."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from commonground.errors import CommonGroundError, UnsafePlace, count, show_bytes
from commonground.identity import show_rid
from commonground.operations import run_spool
from commonground.operations.collecting import list_orphans
from commonground.operations.delivery import find_hindrance
from commonground.operations.upkeep import age_days, list_backups
from commonground.operations.waiting import has_unfinished_erasure
from commonground.store import ground as place
from commonground.store import schema, sqlite_driver
from commonground.store.ground import Ground
from commonground.store.locations import refuse_unsafe
from commonground.store.processes import process_alive
from commonground.store.write_queue import count_waiting
from commonground.structure.executions import list_leases

GOOD, LOOK, BAD = "good", "look", "bad"
_LARGE_LOG = 256 << 20
_LITTLE_ROOM = 1 << 30
_OLD_BACKUP_DAYS = 7
_CLOCK_SLACK_US = 60_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    state: str
    """good, look or bad."""
    about: str
    """What was looked at."""
    what: str
    """What was found."""
    todo: str = ""
    """What to do about it."""


def examine(folder: Path) -> list[Finding]:
    """Look at the machine and, if there is one, at the study in `folder`; raises nothing that can be told instead."""
    try:
        opened = place.open_folder(folder)
    except CommonGroundError as error:
        return [_engine(), _location(folder), _room(folder), Finding(BAD, "study", error.what, error.todo)]
    found = [_engine(), _location(folder, opened.database.dialect), _room(folder)]
    try:
        found.append(Finding(GOOD, "study", f"{opened.facts.get('name', '')} opens"))
        found += _of_study(opened)
    except CommonGroundError as error:
        found.append(Finding(BAD, "study", error.what, error.todo))
    finally:
        opened.close()
    return found


def _engine() -> Finding:
    try:
        module = sqlite_driver.load_driver()
    except CommonGroundError as error:
        return Finding(BAD, "SQLite", error.what, error.todo)
    return Finding(GOOD, "SQLite", f"{module.sqlite_version} ({module.__name__.split('.')[0]})")


def _location(folder: Path, dialect: str = "sqlite") -> Finding:
    try:
        refuse_unsafe(folder.absolute())
    except UnsafePlace as error:
        if dialect != "sqlite":
            return Finding(GOOD, "place", "not a local disk; the database is on a server")
        return Finding(BAD, "place", error.what, error.todo)
    return Finding(GOOD, "place", "a local disk")


def _room(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    told = f"{show_bytes(free)} free"
    if free < _LITTLE_ROOM:
        return Finding(LOOK, "room", told, "Make room: `cg gc --dry-run` shows what can go.")
    return Finding(GOOD, "room", told)


def _of_study(opened: Ground) -> Iterator[Finding]:
    yield from _database(opened)
    yield _clock(opened)
    yield from _backups(opened)
    yield from _unfinished(opened)
    yield from _staged(opened)


def _database(opened: Ground) -> Iterator[Finding]:
    path = opened.database.path
    if path is None:
        with opened.database.read() as connection:
            version = connection.exec_driver_sql("SHOW server_version").scalar()
        yield Finding(GOOD, "database", f"PostgreSQL {version}")
        return
    log = path.with_name(path.name + "-wal")
    size = log.stat().st_size if log.exists() else 0
    told = f"{show_bytes(path.stat().st_size)}, write-ahead log {show_bytes(size)}"
    if size > _LARGE_LOG:
        yield Finding(LOOK, "database", told, "A program reads for very long; end it, and the log is folded in.")
    else:
        yield Finding(GOOD, "database", told)
    yield _lock(path.with_suffix(".lock"))
    yield _queue(path)


def _lock(path: Path) -> Finding:
    if not path.exists():
        return Finding(GOOD, "lock", "nobody is writing")
    # To read it is enough for a lock, and all that an account may in a study that it can only read.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = _holder(path)
        who = f"process {holder}" if holder else "another process"
        return Finding(
            LOOK, "lock", f"{who} is writing now", "If that does not end, end that process; nothing is lost."
        )
    finally:
        os.close(descriptor)
    return Finding(GOOD, "lock", "nobody is writing")


def _queue(database: Path) -> Finding:
    """Who waits to write; those beyond the last place are not counted."""
    waiting = count_waiting(database)
    if waiting:
        told = f"{count(waiting, 'process waits', 'processes wait')} to write"
        return Finding(LOOK, "queue", told, "Look again; if it stays so, see what holds the lock.")
    return Finding(GOOD, "queue", "nobody waits to write")


def _holder(path: Path) -> int | None:
    """The process that holds the lock, where the system tells."""
    inode = path.stat().st_ino
    try:
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        fields = line.split()
        if "FLOCK" in fields and "->" not in fields and fields[5].endswith(f":{inode}"):
            return int(fields[4])
    return None


def _clock(opened: Ground) -> Finding:
    with opened.database.read() as connection:
        newest = connection.execute(sa.select(sa.func.max(schema.change.c.recorded_at))).scalar() or 0
    ahead = newest - time.time_ns() // 1000
    if ahead > _CLOCK_SLACK_US:
        told = f"the newest change is {ahead / 1e6:.0f} s in the future of this clock"
        return Finding(LOOK, "clock", told, "Set the clock; the order of changes does not depend on it.")
    return Finding(GOOD, "clock", "not behind the newest change")


def _backups(opened: Ground) -> Iterator[Finding]:
    made = list_backups(opened)
    if not made:
        yield Finding(LOOK, "backup", "none is known here", "`cg backup FOLDER` makes one and verifies it.")
        return
    newest = made[0]
    age = age_days(newest.made_at)
    told = f"the newest is {count(round(age), 'day')} old: {newest.folder}"
    if age > _OLD_BACKUP_DAYS:
        yield Finding(LOOK, "backup", told, "`cg backup FOLDER` makes one and verifies it.")
    else:
        yield Finding(GOOD, "backup", told)
    for one in made:
        if not one.verified:
            yield Finding(LOOK, "backup", f"{one.folder}: {one.finding}", "Make another; do not rely on this one.")


def _unfinished(opened: Ground) -> Iterator[Finding]:
    with opened.view() as view:
        leases = list_leases(view)
    if has_unfinished_erasure(opened):
        yield Finding(LOOK, "erasure", "an erasure was cut off or hindered", "`cg sync` finishes it.")
    for lease in leases:
        mark = lease.process
        alive = process_alive(mark["pid"], mark["start"], mark["boot_id"], mark["host"])
        if alive is False:
            told = f"execution {lease.execution} is open, and its process has ended"
            yield Finding(LOOK, "executions", told, "`cg sync` delivers what it saved and closes it.")
    running = sum(1 for _ in leases)
    yield Finding(GOOD, "executions", f"{running} are open")


def _staged(opened: Ground) -> Iterator[Finding]:
    now = opened.clock()
    left = [orphan for orphan in list_orphans(opened) if orphan.is_left(now)]
    if left:
        told = f"{len(left)} unfinished batches were left behind"
        yield Finding(LOOK, "batches", told, "`cg gc` removes them.")
    waiting = run_spool.list_folders(opened.spool_folder)
    waiting += run_spool.list_folders(run_spool.away_folder(opened.facts["study"]))
    if waiting:
        told = f"{count(len(waiting), 'execution waits', 'executions wait')} to be delivered"
        yield Finding(LOOK, "spool", told, "`cg sync` delivers what has ended, if you may record runs (contributor).")
    for rid, folder in waiting:
        if (hindrance := find_hindrance(opened, rid, folder)) is not None:
            todo = "`cg sync` delivers what can be read of it, and says what became of it."
            yield Finding(LOOK, "spool", f"execution {show_rid(rid)}: {hindrance}", todo)
