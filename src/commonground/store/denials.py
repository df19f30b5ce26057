"""The deny-list: what was erased by law, kept beside the study, so that no backup and no pack brings it back.

A text file, `denied.jsonl`, one JSON object a line, which holds ids and digests and no content:

    {"name": TABLE, "rid": N}                  all versions of a row of a temporal table
    {"name": TABLE, "rid": N, "ordinal": N}    a bulk row, by batch and ordinal
    {"name": "change", "rid": N}               the words of a change
    {"blob": DIGEST}                           a file
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commonground.errors import BrokenFile
from commonground.identity import Actor, Rid
from commonground.store import batches, changes, files, schema, tables, text_index
from commonground.store.blobs import BlobStore
from commonground.store.changes import Change
from commonground.store.database import Database
from commonground.store.transaction import Transaction

NAME = "denied.jsonl"
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, order=True)
class Denial:
    """One thing that must not come back."""

    name: str
    """Its table; `change` for the words of a change, `blob` for a file."""
    rid: Rid = 0
    """Its rid, batch or change."""
    ordinal: int = -1
    """The place of a bulk row in its batch; -1 for anything else."""
    blob: str = ""
    """The digest of a file."""

    def line(self) -> str:
        """The line of the deny-list."""
        if self.blob:
            return json.dumps({"blob": self.blob})
        told: dict[str, Any] = {"name": self.name, "rid": self.rid}
        return json.dumps(told if self.ordinal < 0 else {**told, "ordinal": self.ordinal})


def read_denials(path: Path) -> list[Denial]:
    """The deny-list; empty if there is no file. Raises BrokenFile with every line that is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise BrokenFile(f"The deny-list {path} cannot be read: {error}.") from error
    found, faults = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        denial = _read_line(line)
        if denial is None:
            faults.append(f"line {number}")
        else:
            found.append(denial)
    if faults:
        raise BrokenFile(f"The deny-list {path} is damaged.", faults=faults, todo="Restore it from where it is kept.")
    return found


def add_denials(path: Path, denials: Iterable[Denial]) -> None:
    """Add to the deny-list; durable when this returns."""
    kept = dict.fromkeys([*read_denials(path), *denials])
    files.write_atomically(path, "".join(f"{denial.line()}\n" for denial in kept).encode())


def deny(tx: Transaction, denials: Sequence[Denial]) -> int:
    """Erase, in an open change, what is on the list and in the record; the number of rows."""
    known = {table.name: table for table in (*tables.list_temporal(tx.connection), *tables.list_batch())}
    rows: dict[str, list[Rid]] = defaultdict(list)
    bulk: dict[str, list[tuple[Rid, int]]] = defaultdict(list)
    for denial in denials:
        if denial.name in known and denial.ordinal < 0:
            rows[denial.name].append(denial.rid)
        elif denial.name in known:
            bulk[denial.name].append((denial.rid, denial.ordinal))
    erased = sum(tx.erase(known[name], rids) for name, rids in sorted(rows.items()))
    erased += sum(batches.erase(tx, known[name], pairs) for name, pairs in sorted(bulk.items()))
    text_index.remove(tx.connection, [rid for rids in rows.values() for rid in rids])
    before = len(tx.shells)
    changes.erase_words(tx, [denial.rid for denial in denials if denial.name == schema.change.name])
    return erased + len(tx.shells) - before


def apply_denials(database: Database, blobs: BlobStore, denials: Sequence[Denial], plan: Rid, at: int) -> Change | None:
    """Erase what is on the list and in this copy, in a change of its own; None if there is nothing of it.

    `plan` is the change's plan id, `at` its time in UTC microseconds.
    """
    blobs.erase(denial.blob for denial in denials if denial.blob)
    with database.write() as connection:
        newest, _ = changes.head(connection)
        tx = changes.begin(connection)
        erased = deny(tx, [d for d in denials if not d.blob and (d.name != schema.change.name or d.rid <= newest)])
        if not erased:
            return None
        return changes.append(
            tx,
            plan=plan,
            verb="erase",
            args={"denied": erased},
            why="The deny-list was applied to a copy made before the erasure.",
            actor=Actor(via="restore"),
            recorded_at=at,
        )


def _read_line(line: str) -> Denial | None:
    try:
        told = json.loads(line)
    except ValueError:
        return None
    if not isinstance(told, dict):
        return None
    blob, name, rid, ordinal = (told.get(key) for key in ("blob", "name", "rid", "ordinal"))
    if isinstance(blob, str) and _DIGEST.fullmatch(blob) and len(told) == 1:
        return Denial("blob", blob=blob)
    if not isinstance(name, str) or not isinstance(rid, int) or not isinstance(ordinal, int | None):
        return None
    return Denial(name, rid, -1 if ordinal is None else ordinal)


def path_of(folder: str | os.PathLike[str]) -> Path:
    """Where the deny-list of a study's place lies."""
    return Path(folder) / NAME
