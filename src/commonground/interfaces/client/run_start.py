"""What is settled when a run begins: which execution it is, its code, its environment, its inputs, its folder."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from commonground.errors import CommonGroundError, StorageError, StorageFull
from commonground.identity import Rid, read_rid, show_rid
from commonground.interfaces.client import ranks, repeating
from commonground.interfaces.client.capture import Captured
from commonground.operations import run_spool
from commonground.operations.arrays import begin_array
from commonground.operations.delivery import process_json
from commonground.operations.executions import start_plan, used_edge
from commonground.operations.gathering import gather
from commonground.operations.inputs import Pin
from commonground.operations.plans import Plan
from commonground.operations.session import Session
from commonground.plain import Plain
from commonground.store.processes import host_name
from commonground.structure.execution_states import Status
from commonground.structure.names import clean_name
from commonground.structure.parameters import as_rows, find_seeds
from commonground.structure.screen import kinds_in
from commonground.structure.screen_told import WITHHELD, flatten_screened, screen_mapping, screen_words
from commonground.structure.storable_text import storable_text

PATIENCE_S = 60
FULL = (errno.ENOSPC, errno.EDQUOT)
CLOCK_STEP_US = 1_000_000
"""A clock that is kept right is moved in steps that are smaller than this."""
OUT_OF_REACH = (StorageError, OSError)
"""What says that the catalogue cannot be had now, and not that something is wrong with the request."""
_opened: set[Path] = set()
"""The spools that this program has begun: one of this process that is not among them is from before an exec."""


@dataclass(slots=True)
class Asked:
    """What `study.run(...)` was asked for."""

    intent: str | None = None
    inputs: Sequence[str] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None
    scratch: bool | None = None
    parent: Rid | None = None
    argv: Sequence[str] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Begun:
    """An execution that has begun, as far as this process is concerned."""

    execution: Rid
    """The execution."""
    folder: Path
    """The folder of its spool."""
    writer: run_spool.RunWriter
    """The spool of this process."""
    owner: bool
    """Whether this process ends it; False if a launcher does."""
    pins: dict[str, tuple[Pin, Rid]]
    """Inputs by name: what they are pinned to, and the rid of the edge."""
    delivered: bool
    """Whether the catalogue has the start."""
    started: tuple[int, int] = (0, 0)
    """When it began: UTC microseconds, and microseconds of the monotonic clock."""

    def end_time(self, now: int) -> tuple[int, dict[str, Any]]:
        """The end, in UTC microseconds, if the clock says that it is `now`, and what is to be told of that.

        A clock that was set back while it ran would put the end before the beginning: then the time that has passed
        counts. One that was set on, or a machine that slept, is taken at its word.
        """
        passed = self.started[0] + time.monotonic_ns() // 1000 - self.started[1]
        back = passed - now
        if not self.started[0] or back < CLOCK_STEP_US:
            return now, {}
        return passed, {"clock": f"the clock was set back by {back / 1e6:.0f} s while it ran"}


def begin(session: Session, asked: Asked, captured: Captured) -> Begun:
    """Begin an execution, or join the one of the launcher.

    A start that fails, because an input is not there or a parameter cannot be kept, is recorded as a failed execution;
    then its error is raised. If only the catalogue is out of reach, the start goes to the spool.
    """
    standing = ranks.find_standing(os.environ)
    spools = spool_folder(session)
    asked = _screened(asked)
    parent = asked.parent
    launcher = ranks.launched(os.environ, session.ground.facts["study"])
    if launcher is not None and parent is None:
        folder = run_spool.folder_of(spools, launcher)
        before = run_spool.find_own(folder, _opened)
        if before is not None:
            return _join(session, asked, folder, launcher, standing, before)
        if folder.is_dir() and ranks.take_over(folder, standing, os.environ):
            return _join(session, asked, folder, launcher, standing)
        parent = launcher
    rid, array = session.ground.mint.one(), None
    if launcher is None and not standing.alone and parent is None:
        rid, parent, array = _in_a_job(session, asked, captured, spools, standing, rid)
    return _start(session, asked, captured, rid, parent, spools, standing, array)


def _screened(asked: Asked) -> Asked:
    """What was asked for as it may be kept; parameters are looked at when they are read."""
    intent = screen_words(asked.intent) if asked.intent else asked.intent
    name = screen_words(asked.name) if asked.name else asked.name
    told = {"intent": kinds_in(intent or "")} if intent != asked.intent else {}
    told |= {"name": kinds_in(name or "")} if name != asked.name else {}
    return replace(asked, intent=intent, name=name, details=_with_withheld(screen_mapping(asked.details), told))


def _with_withheld(details: Mapping[str, Any], told: Mapping[str, str]) -> dict[str, Any]:
    """Details that also say what was not kept."""
    return {**details, WITHHELD: {**details.get(WITHHELD, {}), **told}} if told else dict(details)


def spool_folder(session: Session) -> Path:
    """Where the spools lie: in the study, or if that cannot be written, in a folder of this person."""
    own = session.ground.spool_folder
    if os.access(own, os.W_OK | os.X_OK):
        return own
    folder = run_spool.away_folder(session.ground.facts["study"])
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _join(
    session: Session,
    asked: Asked,
    folder: Path,
    rid: Rid,
    standing: ranks.Standing,
    before: Path | None = None,
) -> Begun:
    """Be an execution that is there: that of the launcher, or what this process was before it replaced itself.

    What is asked for here is added to it.
    """
    flat, withheld = flatten_screened(asked.params)
    name = f"joined-{os.getpid()}" if before is None else f"{before.stem}-on-{len(list(folder.iterdir()))}"
    writer = run_spool.RunWriter(folder / f"{name}{run_spool.SUFFIX}", execution=rid)
    _opened.add(writer.path)
    known = {} if before is None else gather(folder, rid).known_inputs()
    pins: dict[str, tuple[Pin, Rid]] = {}
    if asked.inputs:
        found = repeating.resolve_inputs(session, asked.inputs)
        for pin, edge in zip(found, session.ground.mint.many(len(found)), strict=True):
            pins[pin.name] = (pin, known.get((pin.rid, pin.reference), edge))
            if pins[pin.name][1] == edge:
                writer.append(run_spool.EDGE, {"edge": used_edge(edge, rid, pin), "files": []})
    if flat:
        writer.append(run_spool.PARAMS, {"rows": as_rows(flat)})
    facts = {**standing.facts(), **_with_withheld(asked.details, withheld)}
    if asked.intent:
        facts["intent"] = asked.intent
    if asked.name:
        facts["run_name"] = asked.name
    owner = before is not None and before.name.startswith(run_spool.OWNER)
    if before is not None:
        facts["replaced_itself"] = "the program replaced itself by exec and went on"
    if facts:
        writer.append(run_spool.FACT, facts)
    now = (session.ground.clock(), time.monotonic_ns() // 1000)
    return Begun(rid, folder, writer, owner=owner, pins=pins, delivered=not owner, started=now)


def _in_a_job(
    session: Session, asked: Asked, captured: Captured, spools: Path, standing: ranks.Standing, rid: Rid
) -> tuple[Rid, Rid | None, dict[str, Any] | None]:
    """The rid of this process, of its parent, and what begins the parent if that is an array.

    Rank 0 is the execution that all agree on, the others are its children; the tasks of an array are children of an
    execution that stands for all of them and runs nothing itself.
    """

    def make() -> dict[str, Any]:
        plain = Asked(name=f"{asked.name or captured.stem}-array", argv=asked.argv, scratch=asked.scratch)
        told = {"array": standing.job, "tasks": standing.tasks}
        begun = describe_array(session, plain, captured, rid, told) if standing.task is not None else None
        return {"rid": show_rid(rid), "array": begun}

    try:
        agreed = ranks.agree_on(spools, standing, make)
        first = read_rid(agreed["rid"])
    except (OSError, ValueError, KeyError, CommonGroundError):
        return rid, None, None
    if standing.task is not None:
        return (session.ground.mint.one() if first == rid else rid), first, agreed["array"]
    if standing.rank == 0 and not run_spool.folder_of(spools, first).exists():
        return first, None, None
    return (session.ground.mint.one() if first == rid else rid), first, None


def describe_array(
    session: Session, asked: Asked, captured: Captured, rid: Rid, details: Mapping[str, Any]
) -> dict[str, Any]:
    """What begins the execution that stands for an array of tasks, as plain data."""
    fields = _describe(session, asked, captured, rid, ranks.Standing())
    fields |= {
        "status": str(Status.RUNNING),
        "reason": None,
        "parent": None,
        "seed": None,
        "started_at": session.ground.clock(),
        "ended_at": None,
        "environment": None,
        "place": None,
        "details": dict(details),
    }
    return {"plan": session.ground.mint.one(), "execution": fields}


def _start(
    session: Session,
    asked: Asked,
    captured: Captured,
    rid: Rid,
    parent: Rid | None,
    spools: Path,
    standing: ranks.Standing,
    array: dict[str, Any] | None = None,
) -> Begun:
    problem: CommonGroundError | None = None
    flat: dict[str, Plain] = {}
    pins: list[Pin] = []
    try:
        flat, withheld = flatten_screened(asked.params)
        asked = replace(asked, details=_with_withheld(asked.details, withheld))
        pins = repeating.resolve_inputs(session, asked.inputs)
    except CommonGroundError as error:
        problem = error
    now, monotonic = session.ground.clock(), time.monotonic_ns() // 1000
    fields = {
        **_describe(session, asked, captured, rid, standing),
        "status": str(Status.FAILED if problem else Status.RUNNING),
        "reason": f"It could not start: {screen_words(problem.what)}" if problem else None,
        "parent": parent,
        "seed": json.dumps(seeds, sort_keys=True) if (seeds := find_seeds(flat)) else None,
        "started_at": now,
        "ended_at": now if problem else None,
    }
    why = asked.intent if asked.intent is None else storable_text(asked.intent)
    folder, files, writer = _begin_spool(session, spools, rid, captured)
    edges = session.ground.mint.many(len(pins)) if pins else range(0)
    plan = start_plan(
        session.ground.mint,
        execution=fields,
        workflow=captured.workflow,
        params=as_rows(flat),
        edges=[used_edge(edge, rid, pin) for edge, pin in zip(edges, pins, strict=True)],
        lease={"process": process_json(), "spool": str(folder), "seen_at": now},
        files=files,
    )
    writer.append(run_spool.START, {"study": session.ground.facts["study"], **_start_record(plan, why, now, array)})
    try:
        delivered = _deliver(session, plan, why, now, array)
    except CommonGroundError:
        # What is refused now is refused later as well: nothing has begun.
        _end_failed(folder, writer, delivered=True)
        raise
    if delivered:
        captured.delivered(spools)
    if problem is not None:
        _end_failed(folder, writer, delivered=delivered)
        raise problem
    found = {pin.name: (pin, edge) for pin, edge in zip(pins, edges, strict=True)}
    return Begun(rid, folder, writer, owner=True, pins=found, delivered=delivered, started=(now, monotonic))


def _begin_spool(
    session: Session, spools: Path, rid: Rid, captured: Captured
) -> tuple[Path, list[Path], run_spool.RunWriter]:
    """The folder of a new execution with the captured files in it, and its spool: in the study, else with this person.

    Raises StorageFull or StorageError if there is no room in either place.
    """
    away = run_spool.away_folder(session.ground.facts["study"])
    for place in dict.fromkeys((spools, away)):
        folder = run_spool.folder_of(place, rid)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700 if place == away else 0o777)
            files = captured.write_files(folder)
            path = folder / f"{run_spool.OWNER}{os.getpid()}{run_spool.SUFFIX}"
            writer = run_spool.RunWriter(path, execution=rid)
        except OUT_OF_REACH as error:
            shutil.rmtree(folder, ignore_errors=True)
            problem = error
            continue
        writer.keep_room()
        _opened.add(writer.path)
        return folder, files, writer
    full = isinstance(problem, StorageFull) or getattr(problem, "errno", None) in FULL
    raise (StorageFull if full else StorageError)(
        f"The run cannot begin: there is no place for its record in {spools} or in {away}.",
        todo="Make room on one of these disks, then start it again.",
        kept="Nothing was begun.",
    ) from problem


def _start_record(plan: Plan, why: str | None, made_at: int, array: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the spool says of the start."""
    return {
        "plan": plan.id,
        "at": plan.at,
        "args": plan.args,
        "why": why,
        "made_at": made_at,
        "files": [Path(path).name for path in plan.payload["files"]],
        "array": array,
    }


def _describe(session: Session, asked: Asked, captured: Captured, rid: Rid, standing: ranks.Standing) -> dict[str, Any]:
    """What is known of an execution whether its start succeeds or not."""
    repeat = repeating.find_repeat(session.ground.facts["study"])
    name = repeating.rename_run(repeat, asked.name or f"{captured.stem}-{show_rid(rid)[-6:].lower()}", rid)
    marks = {**(repeat.facts() if repeat else {}), "pid": os.getpid()}
    return {
        "rid": rid,
        "person": session.actor.person,
        "name": clean_name(name, "run's name"),
        "scratch": int(captured.scratch if asked.scratch is None else asked.scratch),
        "place": host_name().partition("/")[0],
        "environment": captured.environment,
        "argv": list(asked.argv or captured.argv),
        "details": {**captured.details, **standing.facts(), **dict(asked.details), **marks},
    }


def _deliver(session: Session, plan: Plan, why: str | None, made_at: int, array: Mapping[str, Any] | None) -> bool:
    try:
        if array is not None:
            begin_array(session, array)
        session.commit(plan, why, made_at=made_at, new=True)
    except OUT_OF_REACH as error:
        told = error.what if isinstance(error, CommonGroundError) else error
        tell(f"The catalogue is out of reach ({told}) and the run is kept in its spool.")
        return False
    return True


def _end_failed(folder: Path, writer: run_spool.RunWriter, *, delivered: bool) -> None:
    if not delivered:
        writer.close()
        return
    writer.discard()
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def deliver_elsewhere(session: Session) -> None:
    """Have a new process deliver what is left: a forked one must not use the study that its parent has open."""
    command = [sys.executable, "-c", "from commonground.interfaces.cli import main; main()", "sync", "--study"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        subprocess.run(
            [*command, str(session.ground.folder.parent)],
            env={name: text for name, text in os.environ.items() if name != ranks.EXECUTION},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE_S,
            check=False,
        )


def tell(text: str) -> None:
    """Say something to whoever watches, where no exception may be raised."""
    _write(f"commonground: {text.splitlines()[0]} `cg sync` delivers what is kept.\n")


def warn(text: str) -> None:
    """Say what is not as it was meant, where no exception may be raised."""
    _write(f"commonground: {text.splitlines()[0]}\n")


def _write(text: str) -> None:
    # The stream may be closed or taken away, and what is said must not end the work.
    with contextlib.suppress(Exception):
        sys.stderr.write(text)
