"""One change being made: rows written under the lock, and what the chain must say of them.

A change's digest is SHA-256 over the previous digest, its own words and, for each table it touched, the digests of
the rows added (by rid) and the keys of the rows ended. Row digests are salted; the salt is kept beside the row.

An erased row leaves a shell in `erased`: what it was called, its life span, its digest and the change that erased it,
without values and salt. The shells are part of the erasing change, so that none can be slipped in later.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
import os
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import sqlalchemy as sa

from commonground.errors import Conflict, InvalidInput
from commonground.identity import Kind, Rid
from commonground.late import np
from commonground.store import schema
from commonground.store.bulk import insert_rows
from commonground.store.canonical import DIGEST_BYTES, combine, row_digest
from commonground.store.faults import point
from commonground.store.portions import portions

SALT_BYTES = 16
TOGETHER = 5_000
"""Rows that memory holds besides those given, while they are written."""
PACKED = 5_000
"""From so many digests on those of a table are held as plain bytes."""
Rids: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"


class RowDigests(Mapping[Rid, bytes]):
    """The digests of rows by rid, of which the last one given for a rid counts; of very many 40 bytes each."""

    def __init__(self, most: int = PACKED) -> None:
        self._most = most
        self._newest: dict[Rid, bytes] = {}
        self._packed: list[tuple[array[int], bytes]] = []

    def update(self, digests: Mapping[Rid, bytes]) -> None:
        """Take in more, each of 32 bytes."""
        self._newest.update(digests)
        if len(self._newest) > self._most:
            self._packed.append(_packed(self._newest))
            self._newest = {}

    def ordered(self) -> Iterable[bytes]:
        """The digests in the order of their rids."""
        if not self._packed:
            return (self._newest[rid] for rid in sorted(self._newest))
        rids, digests = self._whole()
        places = _last_places(rids) * DIGEST_BYTES
        listed = (places[first : first + TOGETHER].tolist() for first in range(0, len(places), TOGETHER))
        return (digests[at : at + DIGEST_BYTES] for some in listed for at in some)

    def _whole(self) -> tuple[Rids, bytes]:
        parts = [*self._packed, _packed(self._newest)]
        rids = np.concatenate([np.frombuffer(told, dtype=np.int64) for told, _ in parts])
        return rids, b"".join(digests for _, digests in parts)

    def __getitem__(self, rid: Rid) -> bytes:
        if rid in self._newest or not self._packed:
            return self._newest[rid]
        rids, digests = self._whole()
        found = np.flatnonzero(rids == rid)
        if not len(found):
            raise KeyError(rid)
        at = int(found[-1]) * DIGEST_BYTES
        return digests[at : at + DIGEST_BYTES]

    def __iter__(self) -> Iterator[Rid]:
        if not self._packed:
            return iter(sorted(self._newest))
        rids, _ = self._whole()
        return iter(rids[_last_places(rids)].tolist())

    def __len__(self) -> int:
        return len(self._newest) if not self._packed else len(np.unique(self._whole()[0]))

    def __bool__(self) -> bool:
        return bool(self._newest or self._packed)


def _packed(digests: Mapping[Rid, bytes]) -> tuple[array[int], bytes]:
    return array("q", digests), b"".join(digests.values())


def _last_places(rids: Rids) -> Rids:
    """The places of the rids in ascending order, of those that come several times the last."""
    # A stable sort leaves those of one rid in the order in which they were given.
    order = np.argsort(rids, kind="stable")
    ascending = rids[order]
    places: Rids = order[np.append(ascending[1:] != ascending[:-1], True)]
    return places


@dataclass(slots=True)
class Effect:
    """What one change did to one table."""

    added: RowDigests = field(default_factory=RowDigests)
    """Digest of each row added."""
    ended: list[Rid] = field(default_factory=list)
    """Rids of the rows ended."""

    def __bool__(self) -> bool:
        return bool(self.added or self.ended)

    def digest(self, name: str) -> bytes:
        """SHA-256 over the table's name, its added rows by rid and its ended rids."""
        added = combine(self.added.ordered())
        ended = b"".join(rid.to_bytes(8, "little") for rid in sorted(self.ended))
        return effect_digest(name, added, ended)


def effect_digest(name: str, added: bytes, ended: bytes) -> bytes:
    """The digest of what a change did to a table: its added rows combined, and the ended rids, 8 bytes each."""
    return hashlib.sha256(b"table1" + name.encode() + b"\0" + added + ended).digest()


@dataclass(frozen=True, slots=True, order=True)
class Shell:
    """What is left of an erased row."""

    name: str
    """Its table."""
    rid: Rid
    """Its rid; of a bulk row its batch; of a change's words the change."""
    ordinal: int
    """The place of a bulk row in its batch, else 0."""
    since: int
    """The change that added it; 0 for a bulk row."""
    until: int | None
    """The change that ended it."""
    digest: bytes
    """Its salted digest."""

    def told(self) -> bytes:
        """The bytes that stand for it in the erasing change's digest."""
        numbers = (self.rid, self.ordinal, self.since, -1 if self.until is None else self.until)
        return (
            self.name.encode() + b"\0" + b"".join(n.to_bytes(8, "little", signed=True) for n in numbers) + self.digest
        )


def shells_digest(shells: Iterable[Shell]) -> bytes:
    """SHA-256 over shells in the order of name, rid, ordinal and since."""
    whole = hashlib.sha256(b"erased1")
    for shell in shells:
        whole.update(shell.told())
    return whole.digest()


class Transaction:
    """The open change: its number, its connection, and what it has written so far."""

    def __init__(self, connection: sa.Connection, change: int, previous: bytes) -> None:
        self.connection = connection
        self.change = change
        self.previous = previous
        self.effects: dict[str, Effect] = defaultdict(Effect)
        self.shells: list[Shell] = []
        self.anchors: set[Rid] = set()

    def touch(self, *rids: Rid) -> None:
        """Say that this change is about these rids; their heads become this change."""
        self.anchors.update(rids)

    def register(self, kind: Kind, rids: Sequence[Rid], place: str | None = None) -> None:
        """Make new rids resolvable; `place` names the table where the kind alone does not say.

        Raises Conflict if another thing has one of them already: then a new plan draws new ones.
        """
        known = schema.identity
        for first, last in _runs(rids):
            taken = self.connection.execute(_LAST_TAKEN, {"rid": last}).scalar()
            if taken is not None and taken >= first:
                raise Conflict("An id that was drawn by chance is taken.", todo="Repeat the command.")
            insert_rows(self.connection, known, ["first", "last", "kind", "place"], [(first, last, str(kind), place)])

    def insert(self, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add living rows to a temporal table; each has a `rid`, missing fields are null.

        Raises InvalidInput for NaN, NUL, a lone surrogate or an integer beyond 64 bits.
        """
        if not rows:
            return
        names, types = schema.names_and_types(table)
        known = set(names)
        effect = self.effects[table.name]
        given = iter(rows)
        while part := list(itertools.islice(given, TOGETHER)):
            salts = os.urandom(SALT_BYTES * len(part))
            tuples, digests = [], {}
            for number, row in enumerate(part):
                if not known.issuperset(row):
                    raise InvalidInput(
                        f"{table.name} has no column {', '.join(sorted(set(row) - known))}.",
                        todo="Give columns that the table has.",
                    )
                values = tuple(_plain(row.get(name)) for name in names)
                salt = salts[number * SALT_BYTES : (number + 1) * SALT_BYTES]
                digests[row["rid"]] = digest_of(names, types, values, salt)
                tuples.append((*values, salt))
            effect.added.update(digests)
            insert_rows(
                self.connection,
                table,
                [*names, "salt"],
                tuples,
                [("since", self.change), ("until", None)],
            )

    def end(self, table: sa.Table, rids: Iterable[Rid]) -> None:
        """End living rows of a temporal table; raises Conflict if one of them does not live."""
        keys = list(rids)
        if not keys:
            return
        for part in portions(keys):
            point("database.end")
            ended = self.connection.execute(_ending(table), {"rids": part, "change": self.change}).rowcount
            if ended != len(part):
                raise Conflict(
                    f"{len(part) - ended} of the rows to change in {table.name} have changed meanwhile.",
                    todo="Look at the present state and plan again.",
                )
        self.effects[table.name].ended.extend(keys)

    def replace(self, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """End the living rows with these rids and add these in their place."""
        self.end(table, [row["rid"] for row in rows])
        self.insert(table, rows)

    def erase(self, table: sa.Table, rids: Iterable[Rid]) -> int:
        """Destroy every version of these rows of a temporal table; living ones end here. The number of versions."""
        keys = sorted(set(rids))
        names, types = schema.names_and_types(table)
        erased = 0
        for part in portions(keys):
            living = sa.select(table.c.rid).where(table.c.rid.in_(part), table.c.until.is_(None))
            self.end(table, self.connection.execute(living).scalars().all())
            rows = self.connection.execute(sa.select(table).where(table.c.rid.in_(part))).mappings().all()
            self.bury(
                Shell(
                    table.name,
                    row["rid"],
                    0,
                    row["since"],
                    row["until"],
                    digest_of(names, types, [row[name] for name in names], bytes(row["salt"])),
                )
                for row in rows
            )
            self.connection.execute(sa.delete(table).where(table.c.rid.in_(part)))
            erased += len(rows)
        return erased

    def bury(self, shells: Iterable[Shell]) -> None:
        """Keep what is left of rows that this change erases."""
        kept = list(shells)
        self.shells.extend(kept)
        insert_rows(
            self.connection,
            schema.erased,
            ["name", "rid", "ordinal", "since", "until", "digest"],
            [(shell.name, shell.rid, shell.ordinal, shell.since, shell.until, shell.digest) for shell in kept],
            [("by", self.change)],
        )


# Statements are made once: to build one costs more than to run it.
_LAST_TAKEN = (
    sa.select(schema.identity.c.last)
    .where(schema.identity.c.first <= sa.bindparam("rid"))
    .order_by(schema.identity.c.first.desc())
    .limit(1)
)


@functools.lru_cache(maxsize=256)
def _ending(table: sa.Table) -> sa.Update:
    living = sa.and_(table.c.rid.in_(sa.bindparam("rids", expanding=True)), table.c.until.is_(None))
    return sa.update(table).where(living).values(until=sa.bindparam("change"))


def _runs(rids: Sequence[Rid]) -> list[tuple[Rid, Rid]]:
    if isinstance(rids, range):
        return [(rids[0], rids[-1])] if rids else []
    runs: list[tuple[Rid, Rid]] = []
    for rid in sorted(rids):
        if runs and rid == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], rid)
        else:
            runs.append((rid, rid))
    return runs


def digest_of(names: Sequence[str], types: Sequence[str], values: Sequence[Any], salt: bytes) -> bytes:
    """The salted digest of one row; raises InvalidInput for a value that no engine would keep."""
    for name, value in zip(names, values, strict=True):
        if isinstance(value, float) and math.isnan(value):
            raise InvalidInput(f"{name}: NaN is not a value.", todo="Leave it out, or say why it is missing.")
    return row_digest(salt, zip(names, types, values, strict=True))


def _plain(value: object) -> object:
    """The value as both engines keep it: no numpy scalar, no -0.0."""
    if isinstance(value, np.generic):
        value = value.item()
    return value + 0.0 if isinstance(value, float) else value
