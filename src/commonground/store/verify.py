"""Whether a study is still what was recorded: chain, rows, bulk rows, files.

Every link of the chain and every row of history is recomputed, always. Whether a file is there is looked at for all
of them; its bytes are read for all (`full`), for a share (`sample`) or for none, and the answer says which. Sizes and
times decide nothing. Not covered, because no change says what they hold: working tables (index, leases, caches, the
table of ids) and streams (metrics, parameters and log lines of executions).

Whoever can write the database can also write a whole new chain; what shows that is a `checkpoint` kept elsewhere.
"""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any

import sqlalchemy as sa

from commonground.errors import CommonGroundError, InvalidInput
from commonground.store import changes, migrations, schema, tables
from commonground.store.blobs import BlobStore
from commonground.store.changes import GENESIS, Recorded
from commonground.store.ground import Ground
from commonground.store.transaction import Shell, shells_digest
from commonground.store.verify_rows import Progress, check_batches, check_table

FAULTS_KEPT = 100
_FILES_AT_ONCE = 2000
_DIGEST = re.compile(r"[0-9a-f]{64}")
_CHECKPOINT = re.compile(r"commonground-checkpoint 1\nstudy ([^\n]*)\nchange (\d+)\ndigest ([0-9a-f]{64})\n?\Z")


@dataclass(frozen=True, slots=True)
class FileUse:
    """A file that a row needs."""

    digest: str
    """SHA-256 of its bytes in hex."""
    by: str
    """What needs it, for people."""
    check: Callable[[], str] | None = None
    """Looks into a file that is read, beyond its SHA-256: what is wrong with it, or nothing."""
    fault: str = ""
    """What is wrong with what the tables say of it, whether it is read or not."""


FileUses = Callable[[sa.Connection, BlobStore], Iterable[FileUse]]
"""Lists every file that any row of any time needs; the layer above knows which columns and which files name files."""


@dataclass(slots=True)
class Verification:
    """What was looked at, and what was found."""

    change: int = 0
    """The newest change."""
    digest: str = ""
    """Its digest in hex: the head of the chain."""
    rows: int = 0
    """How many rows of history and bulk rows were recomputed."""
    files: int = 0
    """How many files are needed; each was looked for."""
    files_read: int = 0
    """How many of them were read and hashed."""
    files_looked_for: bool = True
    """Whether files were looked for at all."""
    erased: Mapping[int, int] = field(default_factory=dict)
    """How many rows each erasing change took out; their shells verify."""
    faults: list[str] = field(default_factory=list)
    """What is wrong, at most the first hundred."""
    more_faults: int = 0
    """How many more there are."""

    @property
    def intact(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    @property
    def sentence(self) -> str:
        """The finding in one sentence, with what it does not cover."""
        if self.faults:
            many = len(self.faults) + self.more_faults
            return f"damaged: {many} {'fault' if many == 1 else 'faults'}"
        told = "intact"
        if self.erased:
            told += " except " + ", ".join(
                f"{rows} erased {'row' if rows == 1 else 'rows'} (change {change})"
                for change, rows in sorted(self.erased.items())
            )
        if not self.files_looked_for:
            return f"{told}; files were not looked for"
        if self.files_read < self.files:
            return f"{told}; of {self.files} files, all there, {self.files_read} were read"
        return told

    def add(self, fault: str) -> None:
        """Keep a fault."""
        if len(self.faults) < FAULTS_KEPT:
            self.faults.append(fault)
        else:
            self.more_faults += 1


def _silent(_what: str, _more: int) -> None:
    return


def verify(
    ground: Ground,
    *,
    full: bool = False,
    sample: float | None = None,
    checkpoint: str | None = None,
    files: FileUses | None = None,
    progress: Progress = _silent,
) -> Verification:
    """Recompute the record of a study, and look for its files.

    `full` reads all files, `sample` a random share of them (above 0, up to 1). Raises InvalidInput for a share out of
    that range and for a checkpoint that is none. A fault is never raised: it is in what comes back.
    """
    if sample is not None and not 0 < sample <= 1:
        raise InvalidInput(
            f"A share of {sample} cannot be read: it must be above 0 and at most 1.", todo="Give a share such as 0.1."
        )
    found = Verification(files_looked_for=files is not None)

    def counted(what: str, more: int) -> None:
        found.rows += more
        progress(what, more)

    with ground.database.read() as connection:
        verify_record(connection, found, counted)
        if checkpoint is not None:
            _check_checkpoint(connection, checkpoint, found)
        if files is not None:
            share = 1.0 if full else sample or 0.0
            check_files(ground.blobs, files(connection, ground.blobs), share, found, progress)
    return found


def verify_record(connection: sa.Connection, found: Verification, progress: Progress) -> None:
    """Recompute chain and rows on an open snapshot."""
    temporal = {table.name: table for table in tables.list_temporal(connection)}
    batch_tables = {table.name: table for table in tables.list_batch()}
    whole: dict[str, sa.Table] = {}
    _check_chain(connection, found, set(temporal), progress)
    _check_shells(connection, found)
    there = {
        name: {column["name"] for column in columns}
        for (_, name), columns in sa.inspect(connection).get_multi_columns().items()
    }
    _check_indexes(connection, found, temporal.values())
    for table in (*temporal.values(), *batch_tables.values()):
        if missing := {column.name for column in table.columns} - there.get(table.name, set()):
            found.add(f"{table.name}: {', '.join(sorted(missing))} of this table are not there")
        elif table.name in temporal:
            for fault in check_table(connection, table, progress):
                found.add(fault)
        else:
            whole[table.name] = table
    for fault in check_batches(connection, whole, progress):
        found.add(fault)


def _check_indexes(connection: sa.Connection, found: Verification, temporal: Iterable[sa.Table]) -> None:
    """The indexes are there: some of them keep out what may be there only once."""
    there = {
        name: {index["name"] for index in indexes}
        for (_, name), indexes in sa.inspect(connection).get_multi_indexes().items()
    }
    for table in {table.name: table for table in (*schema.metadata.sorted_tables, *temporal)}.values():
        for index in sorted({str(index.name) for index in table.indexes} - there.get(table.name, set())):
            found.add(f"{table.name}: its index {index} is not there")


def checkpoint(ground: Ground) -> str:
    """The head of the chain as a few lines to keep elsewhere; `verify` with it shows a chain cut or written anew."""
    with ground.database.read() as connection:
        number, digest = changes.head(connection)
        study = migrations.read_meta(connection).get("study", "")
    return f"commonground-checkpoint 1\nstudy {study}\nchange {number}\ndigest {digest.hex()}\n"


def _check_chain(connection: sa.Connection, found: Verification, known: set[str], progress: Progress) -> None:
    number, previous = 0, GENESIS
    for recorded in changes.walk(connection):
        row = recorded.row
        number += 1
        if row["id"] != number:
            found.add(f"change {number} is missing before change {row['id']}")
            number = row["id"]
        if bytes(row["previous"]) != previous:
            found.add(f"change {number} does not follow the change before it")
        if _broken_link(recorded):
            found.add(f"change {number} is not what was recorded")
        if unknown := set(recorded.tables) - known - {"erased"}:
            found.add(f"change {number} touched a table that is not there: {', '.join(sorted(unknown))}")
        if row["words"] is not None and _wrong_words(row):
            found.add(f"what change {number} says is not what was recorded")
        if row["words"] is None and not _is_erased(connection, row):
            found.add(f"what change {number} said is gone, and no erasure took it")
        previous = bytes(row["digest"])
        if number % 1000 == 0:
            progress("changes", 1000)
    progress("changes", number % 1000)
    found.change, found.digest = number, previous.hex()
    log, touched, anchor = schema.change, schema.change_table, schema.change_anchor
    for table in (touched, anchor):
        stray = sa.select(sa.func.count()).select_from(table).where(~sa.exists().where(log.c.id == table.c.change))
        if many := connection.execute(stray).scalar_one():
            found.add(f"{many} rows of {table.name} belong to changes that are not there")


def _broken_link(recorded: Recorded) -> bool:
    try:
        return changes.link(recorded.row, recorded.tables, recorded.anchors) != bytes(recorded.row["digest"])
    except InvalidInput:
        return True


def _wrong_words(row: Mapping[str, Any]) -> bool:
    salt, words = row["salt"], row["words"]
    if not isinstance(salt, bytes | memoryview) or not isinstance(words, str):
        return True
    return changes.digest_words(bytes(salt), words) != bytes(row["words_digest"])


def _is_erased(connection: sa.Connection, row: Mapping[str, Any]) -> bool:
    shell = schema.erased
    told = connection.execute(
        sa.select(shell.c.digest).where(shell.c.name == schema.change.name, shell.c.rid == row["id"])
    ).scalar()
    return told is not None and bytes(told) == bytes(row["words_digest"])


def _check_shells(connection: sa.Connection, found: Verification) -> None:
    """Every shell belongs to an erasing change, and every erasing change has exactly the shells it recorded."""
    touched, shell = schema.change_table, schema.erased
    told = {
        row.change: (bytes(row.digest), row.added, row.ended)
        for row in connection.execute(sa.select(touched).where(touched.c.name == shell.name))
    }
    erased: Counter[int] = Counter()
    rows = connection.execute(
        sa.select(shell).order_by(shell.c.by), execution_options={"stream_results": True, "yield_per": 2000}
    )
    for number, group in groupby(rows, key=attrgetter("by")):
        shells = sorted(Shell(r.name, r.rid, r.ordinal, r.since, r.until, bytes(r.digest)) for r in group)
        erased[number] = len(shells)
        if (shells_digest(shells), len(shells), 0) != told.pop(number, None):
            found.add(f"the erased rows of change {number} are not those that it erased")
    for number in told:
        found.add(f"the erased rows of change {number} are not those that it erased")
    found.erased = dict(erased)


def _check_checkpoint(connection: sa.Connection, text: str, found: Verification) -> None:
    told = _CHECKPOINT.match(text)
    if told is None:
        raise InvalidInput("This is not a checkpoint.", todo="`cg verify --checkpoint` takes what it once printed.")
    study, number, digest = told.groups()
    if study != migrations.read_meta(connection).get("study", ""):
        found.add("the checkpoint is of another study")
        return
    log = schema.change
    held = (
        GENESIS
        if int(number) == 0
        else connection.execute(sa.select(log.c.digest).where(log.c.id == int(number))).scalar()
    )
    if held is None:
        found.add(f"change {number}, of which a checkpoint was kept, is gone: the end of the chain was cut off")
    elif bytes(held).hex() != digest:
        found.add(f"change {number} is not the one of which a checkpoint was kept: the chain was written anew")


def check_files(
    blobs: BlobStore, uses: Iterable[FileUse], share: float, found: Verification, progress: Progress = _silent
) -> None:
    """Look for the files that are needed, and read a share of them, from 0 to 1."""
    for part in _parts(uses, found):
        there = blobs.has_many(part)
        for digest in sorted(part.keys() - there):
            found.add(f"the file {digest} is missing; needed by {part[digest].by}")
        found.files += len(part)
        progress("files", len(part))
        drawn = there if share >= 1 else {digest for digest in there if secrets.randbelow(1 << 30) < share * (1 << 30)}
        for damage in blobs.find_damaged(sorted(drawn), progress=lambda _files, size: progress("bytes", size)):
            found.add(f"the file {damage.digest}: {damage.what}; needed by {part[damage.digest].by}")
            drawn.discard(damage.digest)
            found.files_read += 1
        for digest in sorted(drawn):
            look = part[digest].check
            if look is not None and (fault := look()):
                found.add(f"the file {digest}: {fault}; needed by {part[digest].by}")
        found.files_read += len(drawn)


def _parts(uses: Iterable[FileUse], found: Verification) -> Iterator[dict[str, FileUse]]:
    """The files by digest, each once, some thousand at a time."""
    seen: set[bytes] = set()
    part: dict[str, FileUse] = {}
    try:
        for use in uses:
            if not _DIGEST.fullmatch(use.digest):
                found.add(f"{use.digest!r} is no digest of a file; {use.by} has it")
                continue
            short = bytes.fromhex(use.digest)
            if use.fault:
                found.add(f"the file {use.digest}: {use.fault}; needed by {use.by}")
            if short not in seen:
                seen.add(short)
                part[use.digest] = use
            if len(part) >= _FILES_AT_ONCE:
                yield part
                part = {}
    except CommonGroundError as error:
        found.add(f"the files that are needed could not all be listed: {error.what}")
    yield part
