"""What must hold after a kill: of the study, of what the workload makes beside it, and of the same steps done again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kill_engines import address_of, stands_in_database
from kill_state import read_state
from kill_workloads import MARK, WORKLOADS

from commonground.errors import CommonGroundError
from commonground.identity import Actor
from commonground.operations import collecting, delivery, doctor, waiting
from commonground.operations.plans import Role
from commonground.operations.session import Session
from commonground.operations.studies import open_study
from commonground.store import backup, ground, migrations, workspaces
from commonground.store.ground import FOLDER
from commonground.structure.stored_files import list_file_uses

Order = Callable[..., int]
RUNS = {"run", "sync", "carry"}
"""Whoever comes next ends what was cut off, and that end is another than that of what was not."""
WHERE_ERASED = {"erase": "study", "restore": "to"}


def look_after(workload: str, root: Path, seen: Mapping[str, Any], acks: Sequence[int], order: Order) -> list[str]:
    """All that is wrong after a kill; an error of ours is a fault."""
    found: list[str] = []
    try:
        with any_schema(root / "study"):
            if is_there(root / "study"):
                found += look_at(root, seen["states"], acks)
                found += recover(workload, root)
        left_out = 0
        if WORKLOADS[workload].changes:
            state = read_state(root / "study")
            left_out = sum(1 for change in seen["acks"] if state is not None and change <= state.change)
        if order(workload, root, "redo", left_out) != 0:
            printed = root.with_name(f"{root.name}.told").read_text()
            found.append(f"the same steps do not succeed afterwards: {printed[-1500:]}")
        with any_schema(root / "study"):
            found += look_at_the_end(workload, root, seen["states"], acks)
    except CommonGroundError as error:
        found.append(f"{type(error).__name__}: {error}")
    return found


def is_there(folder: Path) -> bool:
    """Whether there is a study, whole or in parts, in a folder."""
    return (folder / FOLDER).exists()


@contextmanager
def any_schema(folder: Path) -> Iterator[None]:
    """Open studies of the schema that this one has, which a migration may have made newer."""
    before = migrations.NEWEST
    if is_there(folder):
        opened = ground.open_folder(folder, check=False)
        migrations.NEWEST = int(opened.facts["schema"])
        opened.close()
    try:
        yield
    finally:
        migrations.NEWEST = before


def look_at(root: Path, states: Mapping[str, Any], acks: Sequence[int]) -> list[str]:
    """The study as the kill left it, before anything is finished or removed."""
    found = [f"doctor: {one.what}" for one in doctor.examine(root / "study") if one.state == doctor.BAD]
    state = read_state(root / "study")
    if state is None:
        return [*found, "there is half a study"]
    if acks and state.change < acks[-1]:
        found.append(f"the acknowledged change {acks[-1]} is not there, the newest is {state.change}")
    expected = states.get(str(state.change))
    if state.counts != expected:
        odd = {name: (told, (expected or {}).get(name)) for name, told in state.counts.items()}
        found.append(f"a change is half there: { {name: pair for name, pair in odd.items() if pair[0] != pair[1]} }")
    opened = ground.open_folder(root / "study")
    try:
        looking = Session(opened, Actor(name="Tester"), Role.OWNER)
        found += [f"verify: {fault}" for fault in looking.read("verify", full=True).faults]
    finally:
        opened.close()
    return found


def recover(workload: str, root: Path) -> list[str]:
    """What whoever comes next does: open, deliver, collect; nothing is left over, nothing that is needed is gone."""
    found = []
    before = read_state(root / "study")
    session = open_study(root / "study", person="Tester")
    try:
        delivery.sync(session)
        found += [f"delivered again: {one}" for one in delivery.sync(session)]
        session.read("gc")
        if waiting.needs_sync(session) or waiting.has_unfinished_erasure(session.ground):
            found.append("something still waits")
        found += [f"left over: {orphan}" for orphan in collecting.list_orphans(session.ground)]
        if (again := session.read("gc", dry_run=True)).files:
            found.append(f"{again.files} files are left over")
        with session.ground.database.read() as connection:
            needed = {use.digest for use in list_file_uses(connection, session.ground.blobs)}
        found += [f"collected: {digest}" for digest in needed - set(session.ground.blobs.iterate())]
        place = session.ground.folder
    finally:
        session.ground.close()
    left = [
        *place.glob(f"**/{workspaces.PREFIX}*"),
        *(place / "blobs" / "staging").iterdir(),
        *(place / "spool").iterdir(),
    ]
    found += [f"left over: {path.relative_to(root)}" for path in left]
    if workload not in RUNS and read_state(root / "study") != before:
        found.append("recovery changed what is visible")
    if workload == "erase" and before is not None and before.counts["verbs"][-1] == "erase":
        found += holding(root, "study")
    return found


def look_at_the_end(workload: str, root: Path, states: Mapping[str, Any], acks: Sequence[int]) -> list[str]:
    """After the same steps have been done again."""
    found = []
    state = read_state(root / "study")
    if state is None:
        return ["there is no study"]
    if workload not in RUNS and state.counts != states[max(states, key=int)]:
        found.append(f"done again it is not what it is when nothing comes between: {state}")
    session = open_study(root / "study", person="Tester")
    try:
        found += [f"verify at the end: {fault}" for fault in session.read("verify", full=True).faults]
        if session.role is not Role.OWNER:
            found.append("the study has lost its owner")
        found += look_at_runs(session, whole=bool(acks) or workload == "carry") if workload in RUNS else []
        found += look_at_the_carried(root, session) if workload == "carry" else []
    finally:
        session.ground.close()
    if workload == "restore":
        restored = open_study(root / "to", person="Tester")
        restored.read("gc")
        restored.ground.close()
    if workload in WHERE_ERASED:
        found += holding(root, WHERE_ERASED[workload])
    if workload == "backup" and not backup.get_backup(root / "copy").verified:
        found.append("the backup is not verified")
    return found + [f"left over: {path}" for path in root.glob(f"*/{workspaces.PREFIX}*")]


def look_at_runs(session: Session, *, whole: bool) -> list[str]:
    """Each execution has ended, once and with a reason; if it is `whole`, one that ended well has all it recorded."""
    found = []
    for one in session.read("execution find"):
        record = session.read("execution get", execution=one.execution.rid)
        if not record.execution.ended or (record.execution.status != "finished" and not record.execution.reason):
            found.append(f"an execution is {record.execution.status}")
        if whole and record.execution.status == "finished" and record.metrics["auc"].points != 3:
            found.append("a finished execution has lost metrics")
        if whole and record.execution.status == "finished":
            outputs = {named.name for _, named in record.outputs}
            found += [] if "model.bin" in outputs else ["a finished execution has lost its output"]
    return found


def look_at_the_carried(root: Path, session: Session) -> list[str]:
    """Every run of the pack is there, those that had ended as they had, and where they ran nothing is left."""
    states = sorted(str(one.execution.status) for one in session.read("execution find"))
    found = [] if states == ["finished", "finished", "lost"] else [f"the runs are {states}"]
    return found + [f"still there: {path.name}" for path in (root / "state").glob("*/*/*/*")]


def holding(root: Path, name: str) -> list[str]:
    """The files in which what was erased still stands, those of the study's database on a server too."""
    folder = root / name
    listed = [path for path in folder.rglob("*") if path.is_file() and MARK.encode() in path.read_bytes()]
    found = [f"erased and still in {path.relative_to(folder)}" for path in listed]
    address = address_of(root)
    return (
        found + [f"erased and still in {path} of the server" for path in stands_in_database(address, MARK)]
        if address
        else found
    )
