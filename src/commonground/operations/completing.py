"""What an erasure does after its change: files and free space are destroyed, and a list remembers what may not return.

Each part may be cut off and done again. The rows of `doomed` say what is still to be done: a digest stands for a file,
`FREE_SPACE` with the number of the change for the free space of the database, which goes last.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from commonground.identity import Rid, show_rid
from commonground.operations.assets import CACHE
from commonground.operations.collecting import collect
from commonground.store import changes, files
from commonground.store.ground import Ground
from commonground.structure import tables
from commonground.structure.stored_files import list_file_uses

DENY_LIST = "erased.jsonl"
FREE_SPACE = "free space after change "


def complete_erasures(ground: Ground) -> bool:
    """Finish the erasures that are committed and not finished; whether all is destroyed now.

    It is not if another program reads for so long that the database's log cannot be emptied: the next call goes on.
    """
    # Under the write lock nobody can record a file again between the look and its removal, nor write the list.
    with ground.database.write() as connection:
        told = list(connection.execute(sa.select(tables.doomed.c.blob)).scalars())
        if not told:
            return True
        _remember_all(ground, connection)
        marks = [text for text in told if text.startswith(FREE_SPACE)]
        doomed = set(told) - set(marks)
        if doomed:
            ground.blobs.erase(doomed - {use.digest for use in list_file_uses(connection, ground.blobs)})
            connection.execute(sa.delete(tables.doomed).where(tables.doomed.c.blob.in_(sorted(doomed))))
    # Programs that were killed may have left rows, files and parts with what was erased.
    collect(ground)
    # It tells the digests of files that were added from outside, destroyed ones too.
    files.unlink(ground.cache_folder / CACHE, missing_ok=True)
    # What was removed here and by earlier work, such as the copies of a release, may not be back after a power cut.
    files.sync_all(ground.folder)
    if not ground.database.scrub():
        return False
    with ground.database.write() as connection:
        connection.execute(sa.delete(tables.doomed).where(tables.doomed.c.blob.in_(marks)))
    return True


def _remember_all(ground: Ground, connection: sa.Connection) -> None:
    """Add the erasures that are missing to the list beside the study, which holds ids only."""
    path = ground.folder / DENY_LIST
    before = path.read_bytes() if path.exists() else b""
    lines = [_line(change.plan, change.args) for change in changes.list_by_verb(connection, "erase")]
    missing = [line for line in lines if line and line not in before]
    if missing:
        files.write_atomically(path, before + b"".join(missing))


def _line(plan: Rid, args: Mapping[str, Any]) -> bytes:
    if not args:
        return b""
    entry = {
        "plan": show_rid(plan),
        "basis": args["basis"],
        "entities": {place: [show_rid(rid) for rid in rids] for place, rids in args["entities"].items()},
    }
    return (json.dumps(entry, ensure_ascii=False) + "\n").encode()
