"""Executions: one use of a workflow by somebody, with what went in, what came out, and how it ended.

The row is temporal: it is replaced when the state changes, and only by a move that `execution_states` allows.
Parameters and metrics are streams of their own. `details` holds facts that are shown but not searched: machine,
processes, ranks, seeds of the interpreter, exit status, what could not be kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from commonground.errors import Ambiguous, Conflict, NotFound
from commonground.identity import Kind, Rid, show_rid
from commonground.store.bulk import insert_rows
from commonground.store.portions import portions
from commonground.store.transaction import Transaction
from commonground.store.view import View
from commonground.structure.execution_states import ENDED, TERMINAL, Status, check_transition
from commonground.structure.tables import execution, lease

LATE = "Its record came late: it was delivered after the execution had been counted as lost."
FIELDS = (
    "rid",
    "workflow",
    "person",
    "name",
    "status",
    "reason",
    "scratch",
    "parent",
    "place",
    "environment",
    "argv",
    "seed",
    "started_at",
    "ended_at",
    "details",
)


@dataclass(frozen=True, slots=True)
class Execution:
    """One use of a workflow by somebody."""

    rid: Rid
    """Permanent id."""
    workflow: Rid | None
    """The code; None if it could not be told."""
    person: Rid | None
    """Who ran it."""
    name: str
    """What it is called."""
    status: Status
    """Where it stands."""
    reason: str | None
    """Why it failed, was killed or is lost."""
    scratch: bool
    """Whether it is a try that nobody has decided to keep."""
    parent: Rid | None
    """The execution that it is a part of: a sweep, a launcher, an array of tasks."""
    place: str | None
    """The machine."""
    environment: str | None
    """Digest of the blob that describes packages, interpreter and machine."""
    argv: tuple[str, ...]
    """The command line, screened."""
    seed: str | None
    """The seeds that were given, as canonical JSON."""
    started_at: int
    """UTC microseconds by the clock of the machine."""
    ended_at: int | None
    """The same; None while it runs."""
    details: Mapping[str, Any]
    """Facts that are shown but not searched."""

    @property
    def ended(self) -> bool:
        """Whether it no longer runs."""
        return self.status in ENDED


@dataclass(frozen=True, slots=True)
class Lease:
    """Which process an execution that runs belongs to."""

    execution: Rid
    """The execution."""
    process: Mapping[str, Any]
    """The mark of the process."""
    spool: str
    """The folder in which its spool lies."""
    seen_at: int
    """When it was last heard of, UTC microseconds of the machine that wrote it."""


def get_execution(view: View, name: str | Rid) -> Execution:
    """One execution by rid or by a name that only one has; raises NotFound or Ambiguous."""
    wanted = execution.c.rid == name if isinstance(name, int) else execution.c.name == name
    rows = view.list_rows(execution, wanted)
    if not rows:
        shown = show_rid(name) if isinstance(name, int) else repr(name)
        raise NotFound(f"There is no execution {shown}.", todo="`cg execution find` lists them.")
    if len(rows) > 1:
        raise Ambiguous(
            f"{len(rows)} executions are called {name!r}.",
            faults=[f"{show_rid(row.rid)} {row.status}" for row in rows[:5]],
            todo="Give the id of one.",
        )
    return _execution(rows[0])


def list_executions(view: View, rids: Sequence[Rid]) -> list[Execution]:
    """The executions with these rids, in this order; those that are not there are left out."""
    found: dict[Rid, Execution] = {}
    for part in portions(rids):
        rows = view.rows(sa.select(execution).where(view.visible(execution), execution.c.rid.in_(part)))
        found.update((row.rid, _execution(row)) for row in rows)
    return [found[rid] for rid in rids if rid in found]


def list_children(view: View, parent: Rid) -> list[Execution]:
    """The executions that are part of another one, in the order in which they began."""
    return [_execution(row) for row in view.list_rows(execution, execution.c.parent == parent)]


def list_running(view: View) -> list[Execution]:
    """The executions that have not ended."""
    return [_execution(row) for row in view.list_rows(execution, execution.c.status.in_(["created", "running"]))]


def list_leases(view: View) -> list[Lease]:
    """Which processes the running executions belong to."""
    rows = view.rows(sa.select(lease).order_by(lease.c.execution))
    return [Lease(row.execution, json.loads(row.process), row.spool, row.seen_at) for row in rows]


def add_execution(tx: Transaction, fields: Mapping[str, Any]) -> None:
    """A new execution in any state; `fields` are those of `FIELDS`, with `argv` and `details` as plain data."""
    tx.register(Kind.EXECUTION, [fields["rid"]])
    tx.insert(execution, [_row(fields)])
    tx.touch(fields["rid"])


def change_execution(tx: Transaction, rid: Rid, changes: Mapping[str, Any]) -> Execution:
    """Replace fields of an execution; `details` are added to what is there. Returns it as it was.

    A lost execution whose record comes late without a reason of its own gets one that says so. That record may say
    lost as well, on better grounds: it has what was recorded until then.

    Raises NotFound, and Conflict or InvalidInput for a move of the state that is not allowed or lacks its reason.
    """
    row = tx.connection.execute(_LIVING, {"rid": rid}).first()
    if row is None:
        raise NotFound(f"There is no execution {show_rid(rid)}.", todo="`cg execution find` lists them.")
    old = _execution(row)
    status = Status(changes.get("status", old.status))
    if old.status is Status.LOST and "status" in changes and not changes.get("reason"):
        changes = {**changes, "reason": LATE}
    if "status" in changes and status in TERMINAL and status is old.status:
        raise Conflict(f"{old.name} has ended already: it is {status}.", todo="Look at it with `cg show`.")
    if status is not old.status:
        check_transition(old.status, status, changes.get("reason"))
    fields = {name: getattr(row, name) for name in FIELDS}
    fields.update((name, value) for name, value in changes.items() if name != "details")
    fields["argv"] = changes.get("argv", list(old.argv))
    fields["details"] = {**old.details, **changes.get("details", {})}
    tx.replace(execution, [_row(fields)])
    tx.touch(rid)
    return old


def hold_lease(connection: sa.Connection, rid: Rid, process: str, spool: str, seen_at: int) -> None:
    """Say which process a new execution belongs to."""
    insert_rows(connection, lease, ["execution", "process", "spool", "seen_at"], [(rid, process, spool, seen_at)])


def renew_lease(connection: sa.Connection, rid: Rid, seen_at: int) -> bool:
    """Say that an execution was heard of; whether it is known to run."""
    done = connection.execute(sa.update(lease).where(lease.c.execution == rid).values(seen_at=seen_at))
    return bool(done.rowcount)


def drop_lease(connection: sa.Connection, rid: Rid) -> None:
    """Say that an execution belongs to no process any more."""
    connection.execute(_DROP_LEASE, {"rid": rid})


_LIVING = sa.select(execution).where(execution.c.rid == sa.bindparam("rid"), execution.c.until.is_(None))
_DROP_LEASE = sa.delete(lease).where(lease.c.execution == sa.bindparam("rid"))


def _row(fields: Mapping[str, Any]) -> dict[str, Any]:
    row = {name: fields.get(name) for name in FIELDS}
    row["status"] = str(row["status"])
    row["scratch"] = int(bool(row["scratch"]))
    row["argv"] = json.dumps(row["argv"], ensure_ascii=False) if row["argv"] else None
    row["details"] = json.dumps(row["details"], sort_keys=True, ensure_ascii=False) if row["details"] else None
    return row


def _execution(row: sa.Row[Any]) -> Execution:
    return Execution(
        rid=row.rid,
        workflow=row.workflow,
        person=row.person,
        name=row.name,
        status=Status(row.status),
        reason=row.reason,
        scratch=bool(row.scratch),
        parent=row.parent,
        place=row.place,
        environment=row.environment,
        argv=tuple(json.loads(row.argv)) if row.argv else (),
        seed=row.seed,
        started_at=row.started_at,
        ended_at=row.ended_at,
        details=json.loads(row.details) if row.details else {},
    )
