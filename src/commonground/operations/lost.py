"""What is known of an execution that nobody has ended: no more than that is said in its reason."""

from __future__ import annotations

from typing import Final

from commonground.operations.run_spool import Gathered
from commonground.store.processes import ProcessMark, current_boot, process_alive

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
