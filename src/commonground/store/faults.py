"""Named places where a test may make the ground floor fail.

Every store and database call passes a fault point just before it does its work. In an ordinary run a point is
one look at a variable that is None. In a test run (`CG_TEST_RUN` is set in the environment) three things are
possible:

- the plan in `CG_FAULT` is obeyed: steps `POINT:N:ACTION` joined by commas; at the N-th pass (from 1) of POINT,
  or of any point if POINT is `*`, ACTION happens. Actions: `kill` (SIGKILL to this process), `stop` (SIGSTOP),
  `interrupt` (SIGINT, as Ctrl-C sends it), `end` (SIGTERM), `hang-up` (SIGHUP), `eio`, `enospc`, `emfile`, `erofs`
  (that OSError is raised), `short` (the write takes half of the bytes). `eio!` means at the N-th pass and for ever
  after;
- a recorder is told the name of each point that is passed (`recording`);
- a name that is not in `POINTS` raises.

`POINTS` is the only list of names; a new call to the disk or the database adds its name here.
"""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from commonground.errors import InvalidInput

MARK: Final = "CG_TEST_RUN"
PLAN: Final = "CG_FAULT"

POINTS: Final[dict[str, str]] = {
    # files.py: every durable write
    "files.open": "a file is opened or made",
    "files.write": "bytes are written to a file",
    "files.read": "bytes are read from a file that is being taken in",
    "files.clone": "a file is copied by the file system (reflink, copy_file_range)",
    "files.sync": "the bytes of one file are synced",
    "files.sync_many": "the bytes of a batch of files are synced at once",
    "files.sync_all": "everything on a file system is synced",
    "files.rename": "a finished file gets its name",
    "files.sync_folder": "the names in a folder are synced",
    "files.make_folder": "a folder is made",
    "files.unlink": "a file is removed",
    # blobs.py and what it uses
    "blobs.hold": "a lease on the present generation is taken",
    "blobs.stage": "a blob is written beside the store under a temporary name",
    "blobs.staged": "a batch of blobs is written but not synced",
    "blobs.synced": "a batch of blobs is synced but has no names yet",
    "blobs.publish": "a blob gets its name",
    "blobs.touch": "a blob that is there already is marked as wanted",
    "blobs.published": "a batch of blobs has its names but they are not synced",
    "blobs.read": "a blob is opened to be read",
    "blobs.check_out": "a blob is written into a working folder",
    "gc.mark": "a new generation of blobs begins",
    "gc.list": "the blobs of one folder are listed for the sweep",
    "gc.sweep": "a blob that nobody wants is removed",
    "gc.swept": "a folder of blobs has been swept",
    # stat_cache.py
    "stat_cache.load": "the cache of known files is read",
    "stat_cache.save": "the cache of known files is written",
    # spool
    "spool.open": "a spool file is opened",
    "spool.append": "a record is appended to the spool",
    "spool.sync": "the spool is synced",
    "spool.read": "a spool is read for delivery",
    "spool.discard": "a spool that the catalogue has is removed",
    # database
    "database.open": "a connection is opened",
    "database.begin": "a transaction begins",
    "database.read": "a statement reads",
    "database.write": "rows are inserted",
    "database.end": "rows of a temporal table are ended",
    "database.before_commit": "all rows are written, the transaction is not committed",
    "database.after_commit": "the transaction is committed, the caller does not know yet",
    "database.rollback": "a transaction is rolled back",
    "database.scrub": "the database is about to be rebuilt without its free space",
    "database.fold": "a draft is committed, and is not moved from the write-ahead log into the database yet",
    "database.checkpoint": "the database is rebuilt, its write-ahead log is not folded in yet",
    # batches, changes, parts, packs
    "batch.stage": "a chunk of bulk rows is staged",
    "batch.header": "the header that makes a batch visible is written",
    "batch.discard": "the rows of an unfinished batch are removed",
    "changes.lock": "the lock that makes changes serial is asked for",
    "changes.recheck": "the read-set of a plan is checked again under the lock",
    "changes.link": "the change gets its id and its link of the chain",
    "parts.write": "a part of a release is written",
    "parts.manifest": "the manifest of a release is written",
    "pack.write": "a pack is written",
    "pack.apply": "the content of a pack is taken in",
    # backup, restore, migration
    "backup.copy": "the database is copied",
    "backup.blobs": "the blobs are copied",
    "backup.finish": "the backup is declared complete",
    "restore.read": "a backup is read back",
    "restore.swap": "the restored study takes the place of the old one",
    "migrate.step": "one step of a migration runs",
    "migrate.finish": "the new schema version is recorded",
    # runs and delivery
    "run.start": "an execution begins",
    "run.finish": "an execution ends",
    "deliver.before": "a spool is about to be delivered",
    "deliver.after": "a spool is delivered, its file is still there",
}
"""Name of each fault point and what it guards."""

_ERRORS: Final = {
    "eio": errno.EIO,
    "enospc": errno.ENOSPC,
    "emfile": errno.EMFILE,
    "erofs": errno.EROFS,
}
_SIGNALS: Final = {
    "kill": signal.SIGKILL,
    "stop": signal.SIGSTOP,
    "interrupt": signal.SIGINT,
    "end": signal.SIGTERM,
    "hang-up": signal.SIGHUP,
}
_SHORT: Final = "short"

Recorder = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a plan: what happens at which pass of which point."""

    point: str
    """A name from `POINTS`, or `*` for any of them."""
    nth: int
    """The pass at which it happens, from 1."""
    action: str
    """kill, stop, interrupt, end, hang-up, eio, enospc, emfile, erofs or short."""
    for_ever: bool = False
    """Whether it happens at every later pass too."""

    def happens_at(self, passes: int) -> bool:
        """Whether the step happens at pass number `passes`."""
        return passes == self.nth or (self.for_ever and passes > self.nth)


def read_plan(text: str) -> tuple[Step, ...]:
    """The steps of a plan such as `files.sync:1:eio!,blobs.publish:3:kill`.

    Raises InvalidInput, with all faults, for an unknown point or action or a pass that is not 1 or more.
    """
    steps: list[Step] = []
    faults: list[str] = []
    for part in text.split(","):
        name, _, rest = part.strip().partition(":")
        nth, _, action = rest.partition(":")
        for_ever = action.endswith("!")
        action = action.removesuffix("!")
        if name != "*" and name not in POINTS:
            faults.append(f"{part!r}: there is no fault point {name!r}")
        elif not nth.isdecimal() or int(nth) < 1:
            faults.append(f"{part!r}: the pass must be 1 or more")
        elif action not in {*_ERRORS, *_SIGNALS, _SHORT}:
            faults.append(f"{part!r}: there is no action {action!r}")
        else:
            steps.append(Step(name, int(nth), action, for_ever))
    if faults:
        raise InvalidInput(
            "The plan of faults cannot be read.", todo="Write it as POINT:N:ACTION, joined by commas.", faults=faults
        )
    return tuple(steps)


class _Watch:
    """What a test run does at each point: count, tell the recorder, obey the plan."""

    def __init__(self, steps: tuple[Step, ...], recorder: Recorder | None) -> None:
        self.steps = steps
        self.recorder = recorder
        self._passes: Counter[str] = Counter()
        self._lock = threading.RLock()

    def passing(self, name: str) -> set[str]:
        """The actions that are due at this pass of `name`."""
        if name not in POINTS:
            raise LookupError(f"{name!r} is not a declared fault point: add it to POINTS in store/faults.py.")
        if self.recorder is not None:
            self.recorder(name)
        with self._lock:
            self._passes[name] += 1
            self._passes["*"] += 1
            return {step.action for step in self.steps if self._is_due(step, name)}

    def _is_due(self, step: Step, name: str) -> bool:
        return step.point in {name, "*"} and step.happens_at(self._passes[step.point])


_watch: _Watch | None = None


def point(name: str) -> None:
    """Pass the fault point `name`; does nothing unless this is a test run."""
    if _watch is not None:
        _act(_watch.passing(name))


def allowance(name: str, size: int) -> int:
    """Pass the fault point `name` and say how many of `size` bytes the next write may take: all, or half if short."""
    if _watch is None:
        return size
    actions = _watch.passing(name)
    _act(actions)
    return max(1, size // 2) if _SHORT in actions else size


def _act(actions: set[str]) -> None:
    for action, number in _SIGNALS.items():
        if action in actions:
            os.kill(os.getpid(), number)
    for action, code in _ERRORS.items():
        if action in actions:
            raise OSError(code, os.strerror(code))


def is_test_run() -> bool:
    """Whether the environment marks this process as a test."""
    return bool(os.environ.get(MARK))


@contextmanager
def planned(text: str) -> Iterator[None]:
    """Obey the plan `text` inside the block, counting passes from its beginning; refused outside a test run."""
    with _watching(_Watch(read_plan(text), _watch.recorder if _watch else None)):
        yield


@contextmanager
def recording(recorder: Recorder) -> Iterator[None]:
    """Tell `recorder` the name of each point passed inside the block; refused outside a test run.

    The recorder runs in the thread that passes the point, before the plan is obeyed and before the guarded call,
    so it may also run other work there, to try one interleaving.
    """
    with _watching(_Watch(_watch.steps if _watch else (), recorder)):
        yield


@contextmanager
def _watching(watch: _Watch) -> Iterator[None]:
    global _watch  # noqa: PLW0603 - one variable that is None keeps the cost of a point near nothing
    if not is_test_run():
        raise InvalidInput("Faults can be planned only in a test run.", todo=f"Set {MARK} in the environment.")
    before = _watch
    _watch = watch
    try:
        yield
    finally:
        _watch = before


def from_environment() -> None:
    """Take the plan that the environment gives; it is called once when this module is loaded."""
    global _watch  # noqa: PLW0603 - as above
    if is_test_run():
        plan = os.environ.get(PLAN, "")
        _watch = _Watch(read_plan(plan) if plan else (), None)


from_environment()
