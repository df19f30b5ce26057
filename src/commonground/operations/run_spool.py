"""What the spool of a run says, and the plans it becomes.

Each execution has a folder of its own, named by its rid; in it every process that takes part has a spool file.

    start    the whole plan of the start: plan, at, args, why, files; array (what begins the parent of an array's task);
             study (its id)
    m        metrics: s (step), a (UTC microseconds), v {key: number}
    p        parameters that came later: rows
    edge     an input that came later: the edge's fields, and files of the folder that belong to it
    said     an edge of the start, or of an `edge` record, again with more details; files likewise
    asset    an output: asset fields, edge fields, and the file in the folder that holds its bytes
    fact     details of the execution
    values   computed values for a feature: what is needed to call the verb
    program  the process that `cg run` has started: its mark
    exec     the process is about to be replaced by another program: to
    close    how one process that took part saw its end: status, reason, ended_at
    final    how the execution ended: plan, status, reason, ended_at, details, log, cells

The `final` record holds the plan id, so that the same end is delivered once, however often it is tried.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from commonground.errors import InvalidInput, StorageError
from commonground.identity import Mint, Rid, read_rid, show_rid
from commonground.operations import forked
from commonground.operations.executions import finish_plan
from commonground.operations.plans import Plan
from commonground.plain import Plain
from commonground.store import files
from commonground.store.faults import point
from commonground.store.processes import ProcessMark, this_process
from commonground.store.spool import SpoolWriter, read
from commonground.structure.execution_states import ENDED, Status
from commonground.structure.lineage import USED
from commonground.structure.metrics import Point
from commonground.structure.parameters import StoredParam, find_seeds, read_form
from commonground.structure.screen_told import WITHHELD

SUFFIX = ".spool"
OWNER = "run-"
"""How the spool of the process begins that ends the execution."""
RECOVERED = "recovered-"
"""How the spool begins in which whoever found an execution without a last word has written how it ended."""
GONE = ".gone-"
ROOM = "room"
ROOM_SIZE = 16 << 10
START, METRIC, PARAMS, EDGE, SAID, ASSET, FACT, VALUES, PROGRAM, EXEC, CLOSE, FINAL = (
    "start", "m", "p", "edge", "said", "asset", "fact", "values", "program", "exec", "close", "final",
)  # fmt: skip
MOST_NOTES = 20


class RunWriter(SpoolWriter):
    """The spool of one process of a run, which can be let go of once the catalogue has what it says."""

    def __init__(self, path: Path, *, execution: Rid) -> None:
        """As `SpoolWriter`; children that are forked from now on are noted beside it."""
        self._session = os.getsid(0)
        super().__init__(path, execution=execution)

    def keep_room(self) -> None:
        """Keep room on the disk for the last word, which is the one that counts. Never raises."""
        with contextlib.suppress(OSError, AttributeError):
            descriptor = os.open(self.path.with_name(ROOM), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, ROOM_SIZE)
            finally:
                os.close(descriptor)

    def append_last(self, kind: str, payload: Mapping[str, Any]) -> bool:
        """Append the last word, in the room that was kept for it if there is no other."""
        if self.append(kind, payload):
            return True
        self.path.with_name(ROOM).unlink(missing_ok=True)
        return self.append(kind, payload)

    def let_go(self) -> None:
        """In a forked child: let go of the parent's file, and note that there may be one of its own."""
        super().let_go()
        forked.note(self.path.parent, self._session)

    def discard(self) -> None:
        """Close the file without waiting for the disk: it is about to be removed."""
        with self._sync_lock, self._lock:
            self._closed = True
            descriptor, self._descriptor = self._descriptor, None
            if descriptor is not None:
                os.close(descriptor)


@dataclass(slots=True)
class Gathered:
    """All that the spool files of one execution say."""

    folder: Path
    """Their folder."""
    execution: Rid
    """The execution."""
    start: dict[str, Any] | None = None
    """The plan of the start, if it was written here."""
    final: dict[str, Any] | None = None
    """How it ended, if that was decided."""
    closes: list[dict[str, Any]] = field(default_factory=list)
    """How the processes that took part ended."""
    params: dict[str, Sequence[Any]] = field(default_factory=dict)
    """Parameter rows by key; the first value counts."""
    edges: dict[Rid, dict[str, Any]] = field(default_factory=dict)
    """New edges."""
    files: list[str] = field(default_factory=list)
    """Files of the folder that hold the rows that were used."""
    said: dict[Rid, dict[str, Any]] = field(default_factory=dict)
    """Edges of the start, with more details."""
    assets: list[dict[str, Any]] = field(default_factory=list)
    """Outputs."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Details of the execution."""
    values: list[dict[str, Any]] = field(default_factory=list)
    """Computed values."""
    points: list[Point] = field(default_factory=list)
    """Metrics, in the order in which each process reported them."""
    processes: list[tuple[ProcessMark, bool]] = field(default_factory=list)
    """Who wrote, and whether they closed their file."""
    owner: ProcessMark | None = None
    """The process that ends it: its own, or `cg run`."""
    program: ProcessMark | None = None
    """The program that `cg run` has started."""
    replaced: dict[ProcessMark, tuple[int, str]] = field(default_factory=dict)
    """Processes whose newest word is that another program takes their place: when they began to write, which one."""
    notes: list[str] = field(default_factory=list)
    """What is damaged or missing."""
    lost: list[str] = field(default_factory=list)
    """The names of outputs whose files are not what was saved."""
    unsound: list[str] = field(default_factory=list)
    """Records of another form than this program writes, which are left out."""
    last: dict[str, int] = field(default_factory=dict)
    """The number of the last record of each spool file, by name."""

    @property
    def nothing(self) -> bool:
        """Whether nothing at all was recorded: the process was cut off before its first record."""
        told = (self.start, self.final, self.closes, self.params, self.edges, self.said, self.assets, self.facts)
        return not any((*told, self.values, self.points))

    @property
    def failed_to_start(self) -> bool:
        """Whether the start says that the execution failed before it ran."""
        return self.start is not None and Status(self.start["args"]["execution"]["status"]) in ENDED

    @property
    def recovered(self) -> bool:
        """Whether its end was not told by itself."""
        return self.final is not None and "recovered_by" in self.final.get("details", {})

    def final_plan(self, final: Mapping[str, Any]) -> Plan:
        """The plan that ends the execution; the same for the same `final`."""
        outputs = [*self.assets, *(final[name] for name in ("log", "cells") if final.get(name))]
        details = {**self.facts, **final.get("details", {})}
        if WITHHELD in self.facts and self.start is not None:
            early = self.start["args"]["execution"]["details"].get(WITHHELD, {})
            details[WITHHELD] = {**early, **self.facts[WITHHELD]}
        if self.notes or self.unsound:
            details["holes"] = [*details.get("holes", ()), *self.notes, *self.unsound][:MOST_NOTES]
        changes: dict[str, Any] = {
            "status": final["status"],
            "reason": final.get("reason"),
            "ended_at": final["ended_at"],
            "details": details,
        }
        if seeds := self._late_seeds():
            changes["seed"] = json.dumps(seeds, sort_keys=True)
        present = [one for one in outputs if (self.folder / one["file"]).is_file()]
        if self.lost or len(present) < len(outputs):
            details["lost_outputs"] = self.lost + [one["asset"]["name"] for one in outputs if one not in present]
        return finish_plan(
            Mint(),
            execution=self.execution,
            changes=changes,
            params=list(self.params.values()),
            edges=[*self.edges.values(), *(one["edge"] for one in present)],
            said=list(self.said.values()),
            assets=[one["asset"] for one in present],
            points=self.points,
            spool=self.last,
            files=[
                *(self.folder / one["file"] for one in present),
                *(self.folder / name for name in self.files if (self.folder / name).is_file()),
            ],
            plan=final["plan"],
        )

    def leave_out_damaged(self) -> None:
        """Let go of files that are not what was saved: a power cut may keep the word and lose the bytes.

        Only for the spool of a process that is gone, since it reads every file once more.
        """
        damaged = [one for one in self.assets if not _holds(self.folder / one["file"], one["asset"]["digest"])]
        self.assets = [one for one in self.assets if one not in damaged]
        self.lost += [one["asset"]["name"] for one in damaged]
        rows = [name for name in self.files if not _holds(self.folder / name, name.removeprefix("rows-"))]
        self.files = [name for name in self.files if name not in rows]
        self.notes += [f"{name}: the rows that were used are not as they were written" for name in rows]

    def known_inputs(self) -> dict[tuple[Rid, str], Rid]:
        """The edges of the inputs that are on record: what was used and its reference, to the rid of the edge."""
        told = [*(self.start["args"]["edges"] if self.start else ()), *self.edges.values()]
        return {(edge["src"], edge["details"]["reference"]): edge["rid"] for edge in told if edge["relation"] == USED}

    def _late_seeds(self) -> dict[str, Plain]:
        """All seeds, if some of them were given after the start."""
        late = find_seeds(_plain(self.params.values()))
        early = find_seeds(_plain(self.start["args"]["params"])) if late and self.start else {}
        return {**late, **early}

    def start_plan(self) -> Plan | None:
        """The plan of the start, if it was written here."""
        if self.start is None:
            return None
        files = [self.folder / name for name in self.start["files"]]
        return Plan(
            id=self.start["plan"],
            verb="execution start",
            args=self.start["args"],
            at=self.start["at"],
            anchors=(self.execution,),
            payload={"files": [str(path) for path in files if path.is_file()]},
        )


def _holds(path: Path, digest: str) -> bool:
    """Whether a file is there and has this SHA-256, or one that begins with it."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest().startswith(digest)
    except OSError:
        return False


def _plain(rows: Iterable[Sequence[Any]]) -> dict[str, Plain]:
    return {row[0]: read_form(StoredParam(*row)) for row in rows}


def folder_of(spools: Path, execution: Rid) -> Path:
    """The folder of an execution's spool."""
    return spools / show_rid(execution)


def away_folder(study: str) -> Path:
    """The folder of this person for spools of a study that is out of reach; it may not be there."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return state / "commonground" / "spool" / study


def list_folders(spools: Path) -> list[tuple[Rid, Path]]:
    """The executions that have a spool here, in the order in which they began."""
    found = []
    try:
        names = sorted(entry.name for entry in spools.iterdir() if entry.is_dir())
    except OSError:
        return []
    for name in names:
        # Another folder is one that somebody put here.
        with contextlib.suppress(InvalidInput):
            found.append((read_rid(name), spools / name))
    return found


def find_study(folder: Path) -> str | None:
    """The id of the study that a spool is for, if its start says it."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        for record in read(path).records:
            if record.kind == START:
                return record.payload.get("study")
    return None


def find_own(folder: Path, opened: Container[Path]) -> Path | None:
    """The spool that this very process began and did not close, if it is none of `opened`; the first, if several."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == SUFFIX and path not in opened)
    except OSError:
        return None
    mark = this_process()
    for path in paths:
        content = read(path)
        if content.header is not None and content.header.process == mark and not content.ended:
            return path
    return None


def remove(folder: Path) -> None:
    """Remove a spool that the catalogue has: it is gone as one, or still whole, whenever this is cut off.

    That costs no sync: of what comes back after a power cut the catalogue can tell that it has it.
    """
    gone = folder.with_name(f"{GONE}{folder.name}")
    try:
        point("spool.discard")
        files.rename(folder, gone)
    except (StorageError, OSError):
        # It is delivered again, which changes nothing.
        return
    shutil.rmtree(gone, ignore_errors=True)


def sweep(spools: Path) -> None:
    """Remove what is left of spools that were being removed."""
    for gone in spools.glob(f"{GONE}*"):
        shutil.rmtree(gone, ignore_errors=True)
