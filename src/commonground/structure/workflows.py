"""Workflows: the identity of code.

Two runs have the same workflow if repository, whole-tree digest and entry point agree; the commit and the name of the
first run that used it stay on record. `code` is the digest of the blob that holds what was captured: commit, diff,
untracked files, cells, and what was not kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from commonground.errors import NotFound
from commonground.identity import Kind, Rid, show_rid
from commonground.store.text_index import Document, put
from commonground.store.transaction import Transaction
from commonground.store.view import View
from commonground.structure.tables import workflow


@dataclass(frozen=True, slots=True)
class Workflow:
    """Code that can be run."""

    rid: Rid
    """Permanent id."""
    name: str
    """What it is called: the entry point's file name, unless somebody names it."""
    repository: str | None
    """The repository's address, without credentials; None outside one."""
    commit: str | None
    """The commit that was checked out."""
    tree: str
    """Digest over all code files as they were, changed and untracked ones included."""
    entry: str | None
    """The entry point: a script, `-m module`, a notebook, a function."""
    dirty: bool
    """Whether files differed from the commit."""
    code: str
    """Digest of the blob with the captured code; empty if nothing could be kept."""


def get_workflow(view: View, rid: Rid) -> Workflow:
    """One workflow by its rid; raises NotFound."""
    rows = view.list_rows(workflow, workflow.c.rid == rid)
    if not rows:
        raise NotFound(f"There is no workflow {show_rid(rid)}.", todo="`cg execution list` shows what was run.")
    return _workflow(rows[0])


def find_workflow(view: View, repository: str | None, tree: str, entry: str | None) -> Workflow | None:
    """The workflow of this code, if it is known."""
    statement = _SAME_TREE.where(view.visible(workflow)) if not view.current else _SAME_TREE_NOW
    rows = view.connection.execute(statement, {"wanted": tree}).all()
    same = [row for row in rows if row.repository == repository and row.entry == entry]
    return _workflow(same[0]) if same else None


# Made once: every start asks this, and to build a statement costs more than to run it.
_SAME_TREE = sa.select(workflow).where(workflow.c.tree == sa.bindparam("wanted")).order_by(workflow.c.rid)
_SAME_TREE_NOW = _SAME_TREE.where(workflow.c.until.is_(None))


def add_workflow(tx: Transaction, fields: dict[str, Any]) -> Rid:
    """A new workflow, or the one that is there already for the same code; returns its rid.

    Looked for again under the lock: two runs of the same new code may start together.
    """
    view = View(tx.connection, tx.change, current=True)
    known = find_workflow(view, fields["repository"], fields["tree"], fields["entry"])
    if known is not None:
        return known.rid
    tx.register(Kind.WORKFLOW, [fields["rid"]])
    tx.insert(workflow, [fields])
    tx.touch(fields["rid"])
    body = " ".join(str(fields[name]) for name in ("entry", "repository", "commit") if fields[name])
    put(tx.connection, [Document(fields["rid"], Kind.WORKFLOW, fields["name"], body)])
    return int(fields["rid"])


def _workflow(row: sa.Row[Any]) -> Workflow:
    return Workflow(
        rid=row.rid,
        name=row.name,
        repository=row.repository,
        commit=row.commit,
        tree=row.tree,
        entry=row.entry,
        dirty=bool(row.dirty),
        code=row.code,
    )
