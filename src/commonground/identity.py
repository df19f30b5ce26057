"""Permanent ids, what they name, and who acts.

A rid is a 63-bit integer: 41 bits of milliseconds since 2024-01-01 UTC, then 22 bits that are random for a
single rid and the start of a run of consecutive numbers for a bulk. It is derived from nothing about a patient
and can be minted with no connection. People see it as 13 Crockford base-32 characters
(https://www.crockford.com/base32.html), shortened to a unique prefix.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from commonground.errors import InvalidInput

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 13
RANDOM_BITS = 22
EPOCH_MS = 1_704_067_200_000
MAX_RID = (1 << 63) - 1
_VALUES = {character: value for value, character in enumerate(ALPHABET)} | {"O": 0, "I": 1, "L": 1}

Rid = int


class Kind(StrEnum):
    """What a rid can name."""

    PERSON = "person"
    VOCABULARY = "vocabulary"
    TERM = "term"
    TYPE = "type"
    ENTITY = "entity"
    ASSET = "asset"
    FEATURE = "feature"
    DATASET = "dataset"
    VERSION = "version"
    WORKFLOW = "workflow"
    EXECUTION = "execution"
    BATCH = "batch"
    SLOT = "slot"
    CHANGE = "change"
    PLAN = "plan"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, for whom, and through which door."""

    person: Rid | None = None
    """The person's rid; None only for the change that makes the first person."""
    name: str = ""
    """The name shown while the person has no rid yet."""
    on_behalf: Rid | None = None
    """The person an agent acts for."""
    via: str = "python"
    """The door: python, cli, notebook, api, mcp, web."""
    agent: str | None = None
    """The agent environment that was detected, if any; such an actor is marked for ever."""


@dataclass(slots=True)
class Mint:
    """Makes new rids, never lower than one it made before."""

    clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    random_bits: Callable[[int], int] = secrets.randbits
    _last: int = field(default=0)

    def one(self) -> Rid:
        """One new rid."""
        return self.many(1)[0]

    def many(self, count: int) -> range:
        """`count` consecutive new rids."""
        since = self.clock_ms() - EPOCH_MS
        if since < 0:
            # Every process would begin with the same first ids.
            raise InvalidInput("This machine's clock is before 2024.", todo="Set the clock.")
        drawn = (since << RANDOM_BITS) | self.random_bits(RANDOM_BITS)
        first = max(drawn, self._last + 1, 1)
        self._last = first + count - 1
        if self._last > MAX_RID:
            raise InvalidInput("The clock is too far ahead to make an id.", todo="Set the clock.")
        return range(first, first + count)


def show_rid(rid: Rid) -> str:
    """The 13 characters of a rid."""
    if not 0 <= rid <= MAX_RID:
        raise InvalidInput(
            f"{rid} is not a rid: it must lie between 0 and 2**63 - 1.", todo="Give an id as it was shown."
        )
    return "".join(ALPHABET[(rid >> shift) & 31] for shift in range(60, -1, -5))


def rid_range(prefix: str) -> tuple[Rid, Rid]:
    """The lowest and the highest rid that begin with `prefix` (1 to 13 characters, any case, hyphens ignored).

    Raises InvalidInput if a character is not base 32 or the prefix is empty, too long or beyond 63 bits.
    """
    text = prefix.replace("-", "").upper()
    if not 1 <= len(text) <= LENGTH or any(character not in _VALUES for character in text):
        raise InvalidInput(
            f"{prefix!r} is not an id: an id is 1 to {LENGTH} of the characters {ALPHABET}.",
            todo="Copy the id from a listing, or use the name.",
        )
    number = 0
    for character in text:
        number = (number << 5) | _VALUES[character]
    shift = 5 * (LENGTH - len(text))
    low, high = number << shift, ((number + 1) << shift) - 1
    if low > MAX_RID:
        raise InvalidInput(
            f"{prefix!r} is not an id: ids begin with a character from 0 to 7.", todo="Give an id as it was shown."
        )
    return low, min(high, MAX_RID)


def read_rid(text: str) -> Rid:
    """The rid that 13 characters stand for; raises InvalidInput if they are fewer or not base 32."""
    low, high = rid_range(text)
    if low != high:
        raise InvalidInput(
            f"{text!r} is a shortened id; all {LENGTH} characters are needed here.",
            todo="Give the whole id: `--json` shows it.",
        )
    return low
