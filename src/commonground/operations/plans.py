"""A plan: what a write would do, as a frozen value that can be shown, sent, checked, and committed once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from commonground.identity import Actor, Rid
from commonground.store.batches import Columns
from commonground.store.changes import Change
from commonground.store.ground import Ground
from commonground.store.view import View


class Role(IntEnum):
    """What a person may do in a study; each role may do what the ones before it may."""

    READER = 0
    CONTRIBUTOR = 1
    CURATOR = 2
    OWNER = 3


@dataclass(frozen=True, slots=True)
class Reading:
    """What a plan may use: a snapshot, and the study's place to read from. Nothing is written while planning."""

    view: View
    """The study at one change."""
    ground: Ground
    """The study's place: its blobs, and new ids."""
    actor: Actor
    """Who plans."""
    role: Role = Role.READER
    """What they may do."""

    def mint(self, count: int = 1) -> range:
        """New rids."""
        return self.ground.mint.many(count)

    def plan(
        self,
        verb: str,
        args: Mapping[str, Any],
        effect: Mapping[str, Any],
        *,
        about: tuple[Rid, ...],
        payload: Mapping[str, Any] | None = None,
        needs: Mapping[str, str] | None = None,
        nothing: bool = False,
    ) -> Plan:
        """The plan of a verb from what was read here, where all that it relied on is what it is about."""
        return Plan(
            id=self.mint()[0],
            verb=verb,
            args=args,
            at=self.view.change,
            anchors=about,
            reads=about,
            effect=effect,
            payload=payload or {},
            needs=needs or {},
            nothing=nothing,
        )


@dataclass(frozen=True, slots=True)
class Bulk:
    """Rows of a plan that go into a batch."""

    batch: Rid
    """The batch's id."""
    table: str
    """The batch table."""
    subject: Rid
    """What the rows are about: a feature, a dataset, a series."""
    columns: Columns
    """The rows, column by column."""
    origin: Rid | None = None
    """The execution or file that they come from."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one verb would do."""

    id: Rid
    """Made by the caller; the same id committed again returns the first change."""
    verb: str
    """The verb's name."""
    args: Mapping[str, Any]
    """Its arguments, with all names resolved and all new ids made: plain data."""
    at: int
    """The change as of which it was planned."""
    anchors: tuple[Rid, ...] = ()
    """What the change is about."""
    reads: tuple[Rid, ...] = ()
    """What it relied on; a later change about one of these is a conflict."""
    effect: Mapping[str, Any] = field(default_factory=dict)
    """What would change, for people: counts, faults, differences."""
    bulk: tuple[Bulk, ...] = ()
    """Rows for batches."""
    payload: Mapping[str, Any] = field(default_factory=dict)
    """Rows too many to stand among the arguments. The chain holds their digests, each salted, and `args` none: what
    stands there stays when a row is erased, and the row could be guessed from it."""
    why: str | None = None
    """The reason, where the arguments say it; one that is given with the commit goes first."""
    needs: Mapping[str, str] = field(default_factory=dict)
    """What it does besides, as words, by the verb that would do it alone, and whose role it therefore needs too."""
    judges: str | None = None
    """The judgement that it would give in a person's name, as words: no agent commits that, at whatever verb."""
    unsaid: tuple[str, ...] = ()
    """Names that no reason may keep, since it stays and they go."""
    nothing: bool = False
    """Whether everything is already as it should be, so that there is nothing to commit."""

    def as_dict(self) -> dict[str, Any]:
        """The plan as plain data, without its bulk rows."""
        return {"plan": self.id, "verb": self.verb, "at": self.at, "args": dict(self.args), "effect": dict(self.effect)}


@dataclass(frozen=True, slots=True)
class Committed:
    """A plan that was committed."""

    plan: Plan
    """The plan."""
    change: Change | None
    """The change it became; None if there was nothing to do."""
    again: bool = False
    """Whether it had been committed before, so that nothing was done now."""
