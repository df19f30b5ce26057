"""The states of an execution, the moves between them, and when a silent one counts as lost.

    created ──> running ──> finished
       │           ├──────> failed      with a reason
       │           ├──────> killed      with a reason
       ├───────────┴──────> lost        with a reason ──> finished, failed or killed, with a reason
       └──> failed, killed              with a reason

Created: it has an id and its inputs. A start that fails stays on record, as failed. Lost: nothing was heard for longer
than its lease, or its process is gone without a last word; what it stored stays its own. Lost is the only verdict that
is mended: a spool delivered late may prove that the execution had ended otherwise, and the reason says that it came
late. Nothing leaves finished, failed or killed. Whether a run is scratch is a mark beside the state, not a state.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from commonground.errors import Conflict, InvalidInput

MICROSECONDS = 1_000_000


class Status(StrEnum):
    """Where an execution stands."""

    CREATED = "created"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    KILLED = "killed"
    LOST = "lost"


ALLOWED: Final[frozenset[tuple[Status, Status]]] = frozenset(
    {
        (Status.CREATED, Status.RUNNING),
        (Status.CREATED, Status.FAILED),
        (Status.CREATED, Status.KILLED),
        (Status.CREATED, Status.LOST),
        (Status.RUNNING, Status.FINISHED),
        (Status.RUNNING, Status.FAILED),
        (Status.RUNNING, Status.KILLED),
        (Status.RUNNING, Status.LOST),
        (Status.LOST, Status.FINISHED),
        (Status.LOST, Status.FAILED),
        (Status.LOST, Status.KILLED),
    }
)
"""Every move there is."""

TERMINAL: Final[frozenset[Status]] = frozenset({Status.FINISHED, Status.FAILED, Status.KILLED})
"""Nothing leaves these."""

ENDED: Final[frozenset[Status]] = TERMINAL | {Status.LOST}
"""No longer expected to run; a lost one may still be mended."""

NEEDS_REASON: Final[frozenset[Status]] = frozenset({Status.FAILED, Status.KILLED, Status.LOST})
"""These are entered with a reason."""


def check_transition(old: Status, new: Status, reason: str | None = None) -> None:
    """Refuses a move that is not allowed, or that lacks its reason.

    Raises InvalidInput for a word that is no state, and for a missing or blank reason when the execution becomes
    failed, killed or lost, or when a lost one is mended; Conflict for a move that is not in ALLOWED.
    """
    old, new = read_status(old), read_status(new)
    if (old, new) not in ALLOWED:
        ways = sorted(target for source, target in ALLOWED if source is old)
        raise Conflict(
            f"An execution that is {old} cannot become {new}.",
            todo=f"From {old} it can become {', '.join(ways)}." if ways else f"{old.capitalize()} is the end of it.",
        )
    if (new in NEEDS_REASON or old is Status.LOST) and not (reason and reason.strip()):
        why = "say that its record came late, and from where" if old is Status.LOST else f"say why it is {new}"
        raise InvalidInput(f"A reason is missing for the move from {old} to {new}.", todo=f"Give a reason: {why}.")


def read_status(text: str) -> Status:
    """The state that a word names; raises InvalidInput with all of them."""
    try:
        return Status(text)
    except ValueError as error:
        raise InvalidInput(
            f"{text!r} is not a state of an execution.", todo=f"The states are {', '.join(Status)}."
        ) from error


def is_lost(now: int, last_seen: int, lease_seconds: float, process_alive: bool | None) -> bool:
    """Whether an execution that has not ended counts as lost.

    `now` and `last_seen` are microseconds of one clock. `process_alive` is what the machine itself says of the
    process: True, it is silent but there, so it is not lost; False, it is gone, so it is lost at once; None, nobody
    can tell, so it is lost when it has been silent for longer than the lease. Raises InvalidInput for a lease that is
    not positive.
    """
    if not lease_seconds > 0:
        raise InvalidInput(f"A lease of {lease_seconds} seconds is not positive.", todo="Give a lease above 0.")
    if process_alive is not None:
        return not process_alive
    return now - last_seen > lease_seconds * MICROSECONDS
