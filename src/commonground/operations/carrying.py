"""Carrying runs home: the spools of runs that no catalogue could be told of go into one pack, and come out elsewhere.

On the machine where they ran, `pack_runs` writes what waits there into one file and leaves it where it is. On a machine
with the study, `take_in` checks the whole pack, puts each spool beside those of the study and delivers it as any other,
once. What it delivered stands in a receipt; with that, `let_go` removes the spools where the runs were made.

    receipt    {"receipt": 1, "study": id, "delivered": [{"rid", "files": {name: SHA-256}}]}, as JSON
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from commonground.errors import BrokenFile, CommonGroundError, InvalidInput, NotFound, StorageError
from commonground.identity import MAX_RID, Mint, Rid, show_rid
from commonground.operations import run_spool
from commonground.operations.delivery import Delivered, deliver_folder, find_delivered, hold_alone
from commonground.operations.gathering import gather
from commonground.operations.lost import decide_end, is_still_writing
from commonground.operations.session import Session
from commonground.operations.spool_forms import NOT_SOUND, check_spool
from commonground.store import files, packs
from commonground.store.ground import find_place
from commonground.store.packs import MAGIC, PackedFolder
from commonground.store.processes import host_name
from commonground.store.workspaces import workspace

RECEIPT: Final = ".receipt"
LARGEST_RECEIPT: Final = 256 << 20
_LEFT: Final = frozenset({run_spool.ROOM})
"""Room for a last word that has been spoken."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A spool on this machine."""

    rid: Rid
    """The execution."""
    folder: Path
    """Where it lies."""
    study: str | None
    """The id of its study; None if nothing says it."""


@dataclass(frozen=True, slots=True)
class Packed:
    """What was packed."""

    file: str
    """The pack."""
    study: str
    """The id of the study that it is for."""
    runs: tuple[Rid, ...]
    """The executions in it."""
    running: tuple[Rid, ...]
    """Executions that still run: they are not in it."""
    left_out: Mapping[str, str]
    """Spools that are not in it, and why."""


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What became of a pack."""

    runs: tuple[Delivered, ...]
    """Each execution in it."""
    receipt: str | None
    """The file that says which were delivered; None if it could not be written."""


@dataclass(frozen=True, slots=True)
class LetGo:
    """What became of the spools of runs that were delivered elsewhere."""

    removed: tuple[Rid, ...]
    """Executions whose spools were removed."""
    kept: tuple[Rid, ...]
    """Executions whose spools hold something else than what was delivered."""


def find_waiting(near: Path) -> list[Waiting]:
    """The spools on this machine: of the study in or above a folder, and of this person for studies out of reach."""
    place = find_place(near)
    found = []
    if place is not None:
        own = run_spool.list_folders(place / "spool")
        named = [run_spool.find_study(folder) for _, folder in own]
        study = next((one for one in named if one), None)
        found += [Waiting(rid, folder, one or study) for (rid, folder), one in zip(own, named, strict=True)]
    root = run_spool.away_folder("x").parent
    for away in sorted(root.iterdir()) if root.is_dir() else ():
        found += [Waiting(rid, folder, away.name) for rid, folder in run_spool.list_folders(away)]
    return found


def pack_runs(near: Path, path: Path, *, by: str, study: str | None = None) -> Packed:
    """Write the spools of all runs that have ended here to one new file; they stay where they are.

    How a run ended whose process is gone is decided here, where that can be seen, and written into its spool. Raises
    NotFound if nothing waits, InvalidInput if runs of several studies do and `study` names none.
    """
    now = time.time_ns() // 1000
    waiting = find_waiting(near)
    studies = sorted({one.study for one in waiting if one.study})
    if study is None and len(studies) > 1:
        raise InvalidInput("Runs of several studies wait here.", faults=studies, todo="Name one of these: --of ID.")
    wanted = study or next(iter(studies), None)
    chosen: dict[Rid, Path] = {}
    running: list[Rid] = []
    left_out: dict[str, str] = {}
    for one in waiting:
        if one.study is None:
            left_out[show_rid(one.rid)] = "nothing says of which study it is"
        elif one.study == wanted and (why := _prepare(one, by, now)):
            if why == "running":
                running.append(one.rid)
            else:
                left_out[show_rid(one.rid)] = why
        elif one.study == wanted:
            chosen[one.rid] = one.folder
    if not chosen or wanted is None:
        raise NotFound(
            "No run waits here to be carried home.",
            faults=[*(f"{show_rid(rid)} still runs" for rid in running), *(f"{a}: {b}" for a, b in left_out.items())],
            todo="Give the folder of the study with --study, if it is another one.",
            kept="No pack was written.",
        )
    about = {"by": by[: packs.LONGEST_WORDS], "host": host_name()[: packs.LONGEST_WORDS]}
    packs.write_pack(path, study=wanted, folders=chosen, about=about, leave_out=_LEFT)
    return Packed(str(path), wanted, tuple(chosen), tuple(running), left_out)


def _prepare(one: Waiting, by: str, now: int) -> str:
    """Settle how a run ended; why it cannot be packed, or nothing."""
    try:
        with hold_alone(one.folder):
            gathered = gather(one.folder, one.rid)
            if is_still_writing(gathered, now):
                return "running"
            if gathered.nothing:
                return "it was cut off before it had begun"
            if gathered.final is None and not gathered.failed_to_start:
                decide_end(gathered, Mint(), by=by, now=now)
    except FileNotFoundError:
        return "another process has delivered it"
    except OSError as error:
        return f"its spool cannot be read: {error.strerror}"
    except CommonGroundError as error:
        return f"its spool cannot be read: {error.what}"
    except NOT_SOUND as error:
        return f"its spool is not sound ({type(error).__name__})"
    return ""


def take_in(session: Session, path: Path) -> TakenIn:
    """Deliver what a pack holds, each execution once; the whole pack is checked before anything of it is kept.

    Raises BrokenFile for a pack that is cut, altered or not sound, InvalidInput for one of another study.
    """
    ground = session.ground
    looked = packs.look_into(path)
    if looked.study != ground.facts["study"]:
        raise InvalidInput(
            f"{path.name} holds runs of another study ({looked.study}).",
            todo=f"This is {ground.facts['name']} ({ground.facts['study']}): name the other one with --study.",
        )
    # Beside the spools, so that each becomes one of them whole; an erasure looks into it too.
    with workspace(ground.spool_folder) as place:
        pack = packs.unpack(path, place)
        for folder in pack.folders:
            came = {one.name: one.digest for one in folder.files}
            check_spool(_gather(place / show_rid(folder.rid), folder.rid), pack.study, came, ground.blobs)
        done = [_deliver(session, place / show_rid(folder.rid), folder) for folder in pack.folders]
    delivered = {one.execution for one in done if one.status is not None and one.outcome != "running"}
    receipt = _write_receipt(path, pack.study, [folder for folder in pack.folders if folder.rid in delivered])
    return TakenIn(tuple(done), receipt)


def _gather(folder: Path, rid: Rid) -> run_spool.Gathered:
    try:
        return gather(folder, rid)
    except (*NOT_SOUND, OSError) as error:
        raise BrokenFile(
            f"The spool of execution {show_rid(rid)} cannot be read ({type(error).__name__}).", todo=packs.AGAIN
        ) from error


def _deliver(session: Session, came: Path, packed: PackedFolder) -> Delivered:
    """Put a spool that was checked beside those of the study, and deliver it."""
    status = find_delivered(session, gather(came, packed.rid))
    if status is not None:
        return Delivered(packed.rid, status, "was delivered before")
    folder = run_spool.folder_of(session.ground.spool_folder, packed.rid)
    try:
        if not folder.exists():
            files.rename(came, folder)
            files.sync_folder(folder.parent)
        elif not _is_same(folder, packed):
            return Delivered(packed.rid, None, "A spool of it lies in the study already, and is another one.")
    except CommonGroundError as error:
        return Delivered(packed.rid, None, str(error))
    return deliver_folder(session, packed.rid, folder)


def _is_same(folder: Path, packed: PackedFolder) -> bool:
    """Whether a spool has the files that were packed, and in them what was packed."""
    try:
        there = {one.name: one.digest for one in packs.list_files(folder)}
    except StorageError:
        return False
    return {name: digest for name, digest in there.items() if name not in _LEFT} == _digests(packed)


def _digests(packed: PackedFolder) -> dict[str, str]:
    return {one.name: one.digest for one in packed.files}


# ---------------------------------------------------------------- receipts


def is_pack(path: Path) -> bool:
    """Whether a file begins as a pack does; raises NotFound if it is not there."""
    try:
        with path.open("rb") as stream:
            return stream.read(len(MAGIC)) == MAGIC
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {path}.", todo="Check the name.") from error
    except OSError as error:
        raise BrokenFile(
            f"{path} cannot be read: {error.strerror or error}.", todo="Check that you may read it, or fetch it again."
        ) from error


def _write_receipt(path: Path, study: str, delivered: Sequence[PackedFolder]) -> str | None:
    told = {
        "receipt": 1,
        "study": study,
        "delivered": [{"rid": one.rid, "files": _digests(one)} for one in delivered],
    }
    receipt = path.with_name(path.name + RECEIPT)
    try:
        files.write_atomically(receipt, (json.dumps(told) + "\n").encode())
    except StorageError:
        # The runs are delivered; it only saves room where they were made.
        return None
    return str(receipt)


def let_go(near: Path, receipt: Path) -> LetGo:
    """Remove the spools here that a receipt says were delivered, if they still hold just that.

    Raises BrokenFile if it is no receipt.
    """
    listed = _read_receipt(receipt)
    removed, kept = [], []
    for one in find_waiting(near):
        wanted = listed["delivered"].get(one.rid) if one.study in {listed["study"], None} else None
        if wanted is None:
            continue
        try:
            with hold_alone(one.folder):
                there = {held.name: held.digest for held in packs.list_files(one.folder) if held.name not in _LEFT}
                if there != wanted:
                    kept.append(one.rid)
                    continue
                run_spool.remove(one.folder)
                removed.append(one.rid)
        except (OSError, StorageError):
            kept.append(one.rid)
    return LetGo(tuple(removed), tuple(kept))


def _read_receipt(path: Path) -> dict[str, Any]:
    wrong = BrokenFile(f"{path.name} is neither a pack of runs nor a receipt of one.", todo="Check the name.")
    try:
        if path.stat().st_size > LARGEST_RECEIPT:
            raise wrong
        told = json.loads(path.read_bytes())
        delivered = {one["rid"]: one["files"] for one in told["delivered"]}
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise wrong from error
    sound = told.get("receipt") == 1 and isinstance(told.get("study"), str)
    if not sound or not all(type(rid) is int and 0 < rid <= MAX_RID for rid in delivered):
        raise wrong
    return {"study": told["study"], "delivered": delivered}
