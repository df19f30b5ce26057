"""What is known of an execution that nobody has ended: no more than that is said in its reason.

It is decided on the machine on which it ran, which alone can see its processes, and written into its spool.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from commonground.identity import Mint
from commonground.operations import forked, run_spool
from commonground.operations.output_log import cells_asset, log_asset
from commonground.operations.run_spool import Gathered
from commonground.store.processes import ProcessMark, current_boot, process_alive
from commonground.store.spool import SpoolWriter
from commonground.structure.execution_states import Status, is_lost

LEASE_S: Final = 900.0
"""For so long a process that cannot be seen from here may be silent."""


def say_lost(gathered: Gathered) -> str:
    """Why an execution counts as lost, as far as its spool and this machine tell."""
    mark = gathered.owner or next((mark for mark, _ in gathered.processes), None)
    if mark is None:
        return "Nothing more was heard of it: which process it was cannot be read any more."
    where = name_process(mark)
    if process_alive(mark.pid, mark.start, mark.boot_id, mark.host) is None:
        return f"Nothing more was heard of it: {where} has been silent for more than {LEASE_S / 60:.0f} minutes."
    if mark.boot_id and current_boot() and mark.boot_id != current_boot():
        return (
            f"Nothing more was heard of it: {where} ended without a last word, and the machine was started anew since."
        )
    program = gathered.replaced.get(mark, (0, ""))[1]
    if program:
        return (
            f"Nothing more was heard of it: {where} replaced itself by another program (exec of {program}), "
            "which recorded nothing here; how that ended is not known."
        )
    if gathered.program is not None:
        return (
            f"Nothing more was heard of it: `cg run`, {where}, ended without a last word before its program; "
            "how that ended is not known."
        )
    return f"Nothing more was heard of it: {where} ended without a last word, by a signal or by leaving all at once."


def name_process(mark: ProcessMark | None) -> str:
    """A process in words."""
    return f"process {mark.pid} on {mark.host.partition('/')[0]}" if mark else "its process"


def decide_end(gathered: Gathered, mint: Mint, *, by: str, now: int) -> dict[str, Any]:
    """Decide how an execution ended whose own last word is missing, and write it down before it is delivered."""
    mark = gathered.owner or next((mark for mark, _ in gathered.processes), None)
    inner = gathered.closes[-1] if gathered.closes else None
    final: dict[str, Any] = {
        "plan": mint.one(),
        "status": str(Status.LOST),
        "reason": say_lost(gathered),
        "ended_at": _last_moment(gathered) or now,
        "details": {"recovered_by": by, "recovered_at": now},
        "log": None,
        "why": None,
    }
    if inner is not None:
        final |= {"status": inner["status"], "reason": inner.get("reason"), "ended_at": inner["ended_at"]}
        final["details"]["supervisor"] = f"gone before the end ({name_process(mark)})"
    final["log"] = log_asset(gathered.folder, gathered.execution, mint)
    final["cells"] = cells_asset(gathered.folder, gathered.execution, mint)
    name = f"{run_spool.RECOVERED}{os.getpid()}-{final['plan']}{run_spool.SUFFIX}"
    writer = SpoolWriter(gathered.folder / name, execution=gathered.execution)
    writer.append(run_spool.FINAL, final)
    writer.close()
    return final


def is_still_writing(gathered: Gathered, now: int) -> bool:
    """Whether a process that takes part is there, or may be on another machine."""
    if gathered.final is not None:
        return False
    for mark in list_unfinished(gathered):
        alive = process_alive(mark.pid, mark.start, mark.boot_id, mark.host)
        if alive or (alive is None and not is_lost(now, _touched(gathered.folder), LEASE_S, None)):
            return True
    return False


def list_unfinished(gathered: Gathered) -> list[ProcessMark]:
    """The processes that take part and have not said that they are through: writers, the program, daemons."""
    through = {mark for mark, ended in gathered.processes if ended}
    taking_part = [mark for mark, _ in gathered.processes]
    if gathered.program is not None:
        taking_part.append(gathered.program)
    if taking_part:
        taking_part += forked.list_daemons(gathered.folder, taking_part[0])
    return [mark for mark in dict.fromkeys(taking_part) if mark not in through]


def _touched(folder: Path) -> int:
    try:
        newest = max(path.stat().st_mtime_ns for path in folder.iterdir())
    except (OSError, ValueError):
        return 0
    return newest // 1000


def _last_moment(gathered: Gathered) -> int:
    """The last moment at which something was written, by the clock of the machine that wrote it; 0 if none is told."""
    told = [at for _, _, at, _ in gathered.points[-1:]]
    began = gathered.start["args"]["execution"]["started_at"] if gathered.start else 0
    return int(max([*told, _touched(gathered.folder), began], default=0))
