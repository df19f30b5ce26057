"""Whether runs wait to be delivered or erasures to be finished: asked by every command, so it loads next to nothing."""

from __future__ import annotations

import sqlalchemy as sa

from commonground.operations.session import Session
from commonground.store.ground import Ground
from commonground.structure.tables import doomed, lease


def needs_sync(session: Session) -> bool:
    """Whether there is anything to look at: a spool, or an execution that is said to run. Cheap."""
    try:
        if any(entry.is_dir() for entry in session.ground.spool_folder.iterdir()):
            return True
    except OSError:
        pass
    with session.ground.view() as view:
        return view.first(sa.select(lease.c.execution).limit(1)) is not None


def has_unfinished_erasure(ground: Ground) -> bool:
    """Whether an erasure is committed, and not all that it destroys is destroyed. Cheap."""
    with ground.database.read() as connection:
        return connection.execute(sa.select(doomed.c.blob).limit(1)).first() is not None
