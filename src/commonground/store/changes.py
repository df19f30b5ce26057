"""The change log: every write as one row, linked to the one before by its digest.

words       what the change says: verb's arguments and why (canonical JSON); salted, so that erasing them leaves a
            digest from which nothing can be guessed
digest      SHA-256("change1", previous digest, words digest, the rest of the row as JSON with the rids it is about,
            name and digest of each table touched)
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from commonground.errors import InvalidInput, NotFound
from commonground.identity import MAX_RID, Actor, Rid
from commonground.store import schema
from commonground.store.bulk import insert_rows
from commonground.store.faults import point
from commonground.store.portions import portions
from commonground.store.transaction import SALT_BYTES, Shell, Transaction, shells_digest

GENESIS = b"\0" * 32


@dataclass(frozen=True, slots=True)
class Change:
    """One write that was committed."""

    id: int
    """The serial number; order of truth."""
    plan: Rid
    """The plan that was committed."""
    verb: str
    """What was done."""
    args: Mapping[str, Any]
    """The verb's arguments; empty after an erasure."""
    why: str | None
    """The words given at the moment of action."""
    actor: Rid | None
    """Who did it."""
    on_behalf: Rid | None
    """The person an agent acted for."""
    via: str
    """The door it came through."""
    agent: str | None
    """The agent environment that was detected."""
    recorded_at: int
    """Server time, UTC microseconds."""
    made_at: int | None
    """The time claimed by the person, UTC microseconds."""
    digest: bytes
    """The link of the chain."""


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no spaces; raises InvalidInput for NaN, lone surrogates and what is not plain data."""
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        text.encode()
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"This cannot be kept as plain data: {error}.",
            todo="Give texts, numbers, true or false, lists and mappings of these.",
        ) from error
    return text


def head(connection: sa.Connection) -> tuple[int, bytes]:
    """The number and digest of the newest change; (0, zeros) in a new study."""
    row = connection.execute(_HEAD).first()
    return (row.id, bytes(row.digest)) if row else (0, GENESIS)


def begin(connection: sa.Connection) -> Transaction:
    """Open the next change on a connection that holds the write lock."""
    number, digest = head(connection)
    return Transaction(connection, number + 1, digest)


def append(
    tx: Transaction,
    *,
    plan: Rid,
    verb: str,
    args: Mapping[str, Any],
    why: str | None,
    actor: Actor,
    recorded_at: int,
    made_at: int | None = None,
    origin: Mapping[str, Any] | None = None,
) -> Change:
    """Link the open change to the chain: the last step before its commit."""
    point("changes.link")
    words = canonical_json({"args": args, "why": why})
    salt = os.urandom(SALT_BYTES)
    tables = {name: effect.digest(name) for name, effect in sorted(tx.effects.items()) if effect}
    counts = {name: (len(tx.effects[name].added), len(tx.effects[name].ended)) for name in tables}
    if tx.shells:
        tables["erased"], counts["erased"] = shells_digest(sorted(tx.shells)), (len(tx.shells), 0)
    row = {
        "id": tx.change,
        "plan": plan,
        "verb": verb,
        "words": words,
        "salt": salt,
        "words_digest": digest_words(salt, words),
        "actor": actor.person,
        "on_behalf": actor.on_behalf,
        "via": actor.via,
        "agent": actor.agent,
        "recorded_at": recorded_at,
        "made_at": made_at,
        "origin": canonical_json(origin) if origin else None,
        "previous": tx.previous,
    }
    row["digest"] = link(row, tables, tx.anchors)
    insert_rows(tx.connection, schema.change, list(row), [tuple(row.values())])
    insert_rows(
        tx.connection,
        schema.change_table,
        ["change", "name", "added", "ended", "digest"],
        [(tx.change, name, *counts[name], digest) for name, digest in tables.items()],
    )
    insert_rows(
        tx.connection, schema.change_anchor, ["rid", "change"], [(rid, tx.change) for rid in sorted(tx.anchors)]
    )
    return _change(row)


def digest_words(salt: bytes, words: str) -> bytes:
    """The salted digest of what a change says."""
    return hashlib.sha256(b"words1" + salt + words.encode()).digest()


def link(row: Mapping[str, Any], tables: Mapping[str, bytes], anchors: Iterable[Rid]) -> bytes:
    """The digest of a change from its row, the digests of the tables it touched and the rids it is about."""
    told = [
        row[name] for name in ("id", "plan", "verb", "actor", "on_behalf", "via", "agent", "recorded_at", "made_at")
    ]
    told += [row["origin"], sorted(anchors)]
    parts = [b"change1", bytes(row["previous"]), bytes(row["words_digest"]), canonical_json(told).encode()]
    parts += [name.encode() + b"\0" + bytes(digest) for name, digest in sorted(tables.items())]
    return hashlib.sha256(b"\0".join(parts)).digest()


def erase_words(tx: Transaction, numbers: Sequence[int]) -> None:
    """Destroy what these changes say, arguments and reason; their digests stay, so that the chain still verifies."""
    log = schema.change
    for number in numbers:
        row = tx.connection.execute(sa.select(log).where(log.c.id == number)).one()
        if row.words is not None:
            tx.bury([Shell(log.name, number, 0, 0, None, bytes(row.words_digest))])
            tx.connection.execute(sa.update(log).where(log.c.id == number).values(words=None, salt=None))


def get_change(connection: sa.Connection, number: int) -> Change:
    """One change by its number; raises NotFound."""
    wanted = sa.select(schema.change).where(schema.change.c.id == number)
    row = connection.execute(wanted).mappings().first() if 0 <= number <= MAX_RID else None
    if row is None:
        raise NotFound(f"There is no change {number}.", todo="`cg log` lists the changes.")
    return _change(row)


def find_plan(connection: sa.Connection, plan: Rid) -> Change | None:
    """The change that committed a plan, if it was committed."""
    row = connection.execute(_BY_PLAN, {"wanted": plan}).mappings().first()
    return _change(row) if row else None


# Made once: every write asks these, and to build a statement costs more than to run it.
_HEAD = sa.select(schema.change.c.id, schema.change.c.digest).order_by(schema.change.c.id.desc()).limit(1)
_BY_PLAN = sa.select(schema.change).where(schema.change.c.plan == sa.bindparam("wanted"))


def list_changes(
    connection: sa.Connection,
    *,
    about: Rid | None = None,
    until: int | None = None,
    limit: int = 50,
) -> list[Change]:
    """The newest changes first, all or those about one rid."""
    log, anchor = schema.change, schema.change_anchor
    statement = sa.select(log).order_by(log.c.id.desc()).limit(limit)
    if about is not None:
        statement = statement.join(anchor, anchor.c.change == log.c.id).where(anchor.c.rid == about)
    if until is not None:
        statement = statement.where(log.c.id <= until)
    return [_change(row) for row in connection.execute(statement).mappings()]


def heads(connection: sa.Connection, rids: Sequence[Rid]) -> dict[Rid, int]:
    """The newest change about each rid; 0 for one that no change is about."""
    anchor = schema.change_anchor
    found: dict[Rid, int] = dict.fromkeys(rids, 0)
    for part in portions(rids):
        statement = (
            sa.select(anchor.c.rid, sa.func.max(anchor.c.change)).where(anchor.c.rid.in_(part)).group_by(anchor.c.rid)
        )
        found.update((rid, number) for rid, number in connection.execute(statement))
    return found


@dataclass(frozen=True, slots=True)
class Recorded:
    """One change as the log holds it, for checking its link."""

    row: Mapping[str, Any]
    """The row of `change`."""
    tables: Mapping[str, bytes]
    """The recorded digest of each table it touched."""
    anchors: Sequence[Rid]
    """The rids it is about."""


def list_by_verb(connection: sa.Connection, verb: str) -> list[Change]:
    """All changes that were made by a verb, oldest first."""
    log = schema.change
    rows = connection.execute(sa.select(log).where(log.c.verb == verb).order_by(log.c.id)).mappings()
    return [_change(row) for row in rows]


def find_later(connection: sa.Connection, after: int, verbs: Sequence[str]) -> Change | None:
    """The newest change after another one that was made by one of these verbs."""
    log = schema.change
    statement = sa.select(log).where(log.c.id > after, log.c.verb.in_(verbs)).order_by(log.c.id.desc()).limit(1)
    row = connection.execute(statement).mappings().first()
    return _change(row) if row else None


def list_anchors(connection: sa.Connection, number: int) -> list[Rid]:
    """What a change is about."""
    anchor = schema.change_anchor
    return list(connection.execute(sa.select(anchor.c.rid).where(anchor.c.change == number)).scalars())


def walk(connection: sa.Connection, size: int = 1000) -> Iterator[Recorded]:
    """Every change in order; holds `size` of them at a time."""
    log, touched, anchor = schema.change, schema.change_table, schema.change_anchor
    after = -1
    while True:
        part = connection.execute(sa.select(log).where(log.c.id > after).order_by(log.c.id).limit(size))
        rows = [dict(row) for row in part.mappings()]
        if not rows:
            return
        span = (after + 1, rows[-1]["id"])
        tables = connection.execute(
            sa.select(touched.c.change, touched.c.name, touched.c.digest)
            .where(touched.c.change.between(*span))
            .order_by(touched.c.change)
        )
        by_change = {
            number: {name: bytes(digest) for _, name, digest in group}
            for number, group in groupby(tables, key=itemgetter(0))
        }
        about: dict[int, list[Rid]] = {}
        for number, rid in connection.execute(
            sa.select(anchor.c.change, anchor.c.rid).where(anchor.c.change.between(*span))
        ):
            about.setdefault(number, []).append(rid)
        for row in rows:
            yield Recorded(row, by_change.get(row["id"], {}), about.get(row["id"], []))
        after = rows[-1]["id"]


def _change(row: Mapping[Any, Any]) -> Change:
    words = json.loads(row["words"]) if row["words"] else {"args": {}, "why": None}
    return Change(
        id=row["id"],
        plan=row["plan"],
        verb=row["verb"],
        args=words["args"],
        why=words["why"],
        actor=row["actor"],
        on_behalf=row["on_behalf"],
        via=row["via"],
        agent=row["agent"],
        recorded_at=row["recorded_at"],
        made_at=row["made_at"],
        digest=bytes(row["digest"]),
    )
