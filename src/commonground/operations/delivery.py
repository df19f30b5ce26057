"""Delivering what runs have written to their spools, and closing the executions whose process is gone.

A delivery may be cut off anywhere and tried again: the plan ids stand in the spool, so a change is made once. A spool
is removed only after the catalogue has all of it. What cannot be delivered stays where it is, and is told.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from commonground.errors import CommonGroundError, NotAllowed, StorageError
from commonground.identity import Rid, show_rid
from commonground.operations import run_spool
from commonground.operations.arrays import begin_array, settle, settle_all
from commonground.operations.gathering import gather
from commonground.operations.lost import LEASE_S, decide_end, is_still_writing
from commonground.operations.output_log import cells_asset, log_asset
from commonground.operations.run_spool import Gathered, RunWriter
from commonground.operations.session import Session
from commonground.operations.spool_forms import MOST_TOLD, NOT_SOUND
from commonground.operations.waiting import has_unfinished_erasure
from commonground.store import changes, workspaces
from commonground.store.faults import point
from commonground.store.ground import Ground
from commonground.store.processes import ProcessMark, process_alive, this_process
from commonground.store.spool import read
from commonground.structure import executions, history, metrics
from commonground.structure.assets import KEPT_VALUES
from commonground.structure.execution_states import Status, is_lost
from commonground.structure.tables import execution as execution_table

MICROSECONDS = 1_000_000
WHO_MAY = "Whoever may record runs delivers it: `cg sync` here, or elsewhere after `cg sync --pack FILE`."


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of one spool."""

    execution: Rid
    """The execution."""
    status: str | None
    """How it stands now; None if it could not be delivered."""
    outcome: str
    """delivered, running, or why it could not be delivered."""
    points: int = 0
    """How many metric points its spool held."""


def sync(session: Session) -> list[Delivered]:
    """Deliver every spool whose run has ended or whose process is gone, and close executions left without one.

    Erasures that were cut off are finished first.
    Spools lie in the study, or in a folder of this person if the study was out of reach when the run began.
    """
    done: list[Delivered] = []
    if has_unfinished_erasure(session.ground):
        # It reads and writes Parquet files, so it is loaded when it is needed.
        importlib.import_module("commonground.operations.completing").complete_erasures(session.ground)
    for spools in (session.ground.spool_folder, run_spool.away_folder(session.ground.facts["study"])):
        run_spool.sweep(spools)
        # What a pack was being unpacked into when its program was killed.
        workspaces.sweep(spools)
        for rid, folder in run_spool.list_folders(spools):
            done.append(deliver_folder(session, rid, folder))
    seen = {one.execution for one in done}
    done += _close_abandoned(session, seen)
    done += [Delivered(rid, str(status), "closed") for rid, status in settle_all(session)]
    return done


def finish(
    session: Session,
    folder: Path,
    writer: RunWriter,
    *,
    verdict: Mapping[str, Any],
    why: str | None = None,
    started: bool = False,
) -> Gathered:
    """End a run of this process: the last record, then the change, then the spool goes.

    `verdict` is the `final` record without its plan id; `started` says that the catalogue has the start. Raises the
    storage's error if the catalogue is out of reach; the spool then has everything and is synced.
    """
    final = {"plan": session.ground.mint.one(), **verdict, "why": why}
    try:
        with hold_alone(folder, else_write=(writer, final)):
            writer.append_last(run_spool.FINAL, final)
            gathered = gather(folder, writer.execution)
            _commit(session, gathered, final, started=started, new=True)
    except BaseException:
        writer.close()
        raise
    writer.discard()
    run_spool.remove(folder)
    return gathered


def show_progress(session: Session, path: Path, execution: Rid, place: tuple[int, int]) -> tuple[int, int]:
    """Put the metrics that are new in a spool into the catalogue, and say that the run was heard of.

    `place` is where the last call left off (byte, record); the new place is returned. No change is made by this: points
    of an open execution may be appended, and the end delivers them all once more.
    """
    content = read(path, offset=place[0], after=place[1])
    points = [
        (key, record.payload["s"], record.payload["a"], float(value))
        for record in content.records
        if record.kind == run_spool.METRIC
        for key, value in record.payload["v"].items()
    ]
    with session.ground.database.write() as connection:
        if executions.renew_lease(connection, execution, session.ground.clock()):
            metrics.add_points(connection, execution, points)
    return content.offset, content.last


def deliver_folder(session: Session, rid: Rid, folder: Path) -> Delivered:
    """Deliver the spool of one execution, if nobody writes it any more; what hinders that is told, never raised."""
    try:
        with hold_alone(folder):
            gathered = gather(folder, rid)
            if is_still_writing(gathered, session.ground.clock()):
                return Delivered(rid, "running", "running")
            point("deliver.before")
            if told := find_delivered(session, gathered):
                run_spool.remove(folder)
                return Delivered(rid, told, "delivered")
            if gathered.final is None and gathered.start is not None and gathered.failed_to_start:
                deliver_start(session, gathered)
                run_spool.remove(folder)
                return Delivered(rid, gathered.start["args"]["execution"]["status"], "delivered")
            if gathered.start is None and not _is_known(session.ground, rid):
                if not gathered.nothing:
                    raise _stray(rid, gathered)
                run_spool.remove(folder)
                return Delivered(rid, None, "cut off before it had begun")
            if (gathered.final is None or gathered.recovered) and (told := _find_end(session, gathered)):
                run_spool.remove(folder)
                return Delivered(rid, told, "delivered")
            gathered.leave_out_damaged()
            final = _complete(session, gathered, gathered.final or _decide(session, gathered))
            _commit(session, gathered, final)
            point("deliver.after")
            run_spool.remove(folder)
            return Delivered(rid, str(final["status"]), "delivered", len(gathered.points))
    except NotAllowed as error:
        return Delivered(rid, None, f"{error.what} It stays in its spool. {WHO_MAY}")
    except CommonGroundError as error:
        return Delivered(rid, None, str(error))
    except FileNotFoundError:
        return Delivered(rid, None, "another process has delivered it")
    except NOT_SOUND as error:
        return Delivered(rid, None, _not_sound(folder, f"a record has another form ({type(error).__name__}: {error})"))
    except OSError as error:
        return Delivered(rid, None, f"The spool cannot be read: {error.strerror}.")


def find_hindrance(ground: Ground, rid: Rid, folder: Path) -> str | None:
    """Why a spool cannot be delivered whole, as far as it shows without trying; None if nothing does."""
    try:
        gathered = gather(folder, rid)
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"The spool cannot be read: {error.strerror}."
    except CommonGroundError as error:
        return error.what
    if gathered.unsound:
        return _not_sound(folder, "; ".join(gathered.unsound[:MOST_TOLD]))
    if gathered.start is None and not gathered.nothing and not _is_known(ground, rid):
        return _stray(rid, gathered).what
    return None


def _not_sound(folder: Path, why: str) -> str:
    return f"The spool {folder} is not sound: {why}. What is wrong is left as it is; the others are delivered."


def _decide(session: Session, gathered: Gathered) -> dict[str, Any]:
    return decide_end(gathered, session.ground.mint, by=session.actor.name, now=session.ground.clock())


def _complete(session: Session, gathered: Gathered, final: Mapping[str, Any]) -> dict[str, Any]:
    """The last word with the output, if the folder was away when it was spoken."""
    mint = session.ground.mint
    log = final.get("log") or log_asset(gathered.folder, gathered.execution, mint)
    return {**final, "log": log, "cells": final.get("cells") or cells_asset(gathered.folder, gathered.execution, mint)}


def deliver_start(session: Session, gathered: Gathered) -> None:
    """Commit the start that a spool holds, if it holds one; of the task of an array, that of the array first."""
    plan, told = gathered.start_plan(), gathered.start or {}
    if plan is not None:
        if told.get("array"):
            begin_array(session, told["array"])
        session.commit(plan, told.get("why"), made_at=told.get("made_at"))


def find_delivered(session: Session, gathered: Gathered) -> str | None:
    """How the execution ended, if the very end that its spool tells is on record."""
    told = gathered.final or (gathered.start if gathered.failed_to_start else None)
    if told is None:
        return None
    with session.ground.database.read() as connection:
        known = changes.find_plan(connection, told["plan"])
    if known is None:
        return None
    return str(told.get("status") or told["args"]["execution"]["status"])


def _find_end(session: Session, gathered: Gathered) -> str | None:
    """How the execution ended, if its end is on record with all that is in this spool.

    A power cut may keep that change and lose the last word of the spool, which is not synced before it.
    """
    last_words = {name: last for name, last in gathered.last.items() if not name.startswith(run_spool.RECOVERED)}
    with session.ground.view() as view:
        for change in history.list_changes(view, gathered.execution):
            told = change.args.get("spool") if change.verb == "execution finish" else None
            if told is not None and all(last <= told.get(name, 0) for name, last in last_words.items()):
                return str(change.args["changes"]["status"])
    return None


def _stray(rid: Rid, gathered: Gathered) -> StorageError:
    if gathered.unsound:
        return StorageError(
            _not_sound(gathered.folder, "; ".join(gathered.unsound[:MOST_TOLD])),
            todo=f"If nobody can mend it, move it away: execution {show_rid(rid)} is then not on record.",
            kept="The spool was left as it is.",
        )
    return StorageError(
        f"The start of execution {show_rid(rid)} is not on record, and its spool does not hold it.",
        todo="Deliver the spool to the study that it belongs to.",
        kept="The spool was left as it is.",
    )


def _commit(
    session: Session, gathered: Gathered, final: Mapping[str, Any], *, started: bool = False, new: bool = False
) -> None:
    if not started:
        deliver_start(session, gathered)
    if gathered.values or any(one["asset"]["kind"] == KEPT_VALUES for one in gathered.assets):
        # It reads and writes Parquet files, so it is loaded when it is needed.
        importlib.import_module("commonground.operations.kept_aside").write_values_or_keep(session, gathered)
    session.commit(gathered.final_plan(final), final.get("why"), made_at=final["ended_at"], new=new)
    if gathered.start is not None and gathered.start.get("array"):
        settle(session, gathered.start["array"]["execution"]["rid"])


def _close_abandoned(session: Session, seen: set[Rid]) -> list[Delivered]:
    """Close the executions that are said to run, have no spool here, and whose process is gone or silent."""
    with session.ground.view() as view:
        every = executions.list_leases(view)
        held = {lease.execution for lease in every}
        # A program that begins one takes a lease in the same change; a backup holds what is recorded, and no leases.
        brought_back = [
            one.rid
            for one in executions.list_running(view)
            if one.rid not in held and one.rid not in seen and "pid" in one.details
        ]
    leases = [lease for lease in every if lease.execution not in seen]
    closed = [
        _close(
            session,
            rid,
            "It ran when the backup was made from which this study was brought back, and "
            "nothing more was heard of it here.",
        )
        for rid in brought_back
    ]
    now = session.ground.clock()
    for lease in leases:
        mark = ProcessMark(**lease.process)
        alive = process_alive(mark.pid, mark.start, mark.boot_id, mark.host)
        if Path(lease.spool).is_dir() and alive is not False:
            continue
        if not is_lost(now, lease.seen_at, LEASE_S, alive):
            continue
        reason = (
            "Its process is gone, and its spool is not on this machine."
            if alive is False
            else (
                f"Nothing was heard of it for more than {LEASE_S / 60:.0f} minutes, from {mark.host.partition('/')[0]}."
            )
        )
        closed.append(_close(session, lease.execution, reason))
    return closed


def _close(session: Session, rid: Rid, reason: str) -> Delivered:
    try:
        session.write("execution finish", execution=rid, status=str(Status.LOST), reason=reason)
    except CommonGroundError as error:
        return Delivered(rid, None, str(error))
    return Delivered(rid, str(Status.LOST), "closed")


def _is_known(ground: Ground, rid: Rid) -> bool:
    with ground.view() as view:
        return bool(view.list_rows(execution_table, execution_table.c.rid == rid))


def process_json() -> str:
    """The mark of this process, as a lease keeps it."""
    return json.dumps(asdict(this_process()), sort_keys=True)


@contextlib.contextmanager
def hold_alone(folder: Path, else_write: tuple[RunWriter, Mapping[str, Any]] | None = None) -> Iterator[None]:
    """Hold the folder, so that two deliveries of a spool do not cross; without a folder the last record is written."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        if else_write is not None:
            else_write[0].append_last(run_spool.FINAL, else_write[1])
        raise
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
