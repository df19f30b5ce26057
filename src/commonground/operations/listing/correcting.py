"""Verbs for undoing a change and for erasing an entity."""

from __future__ import annotations

from commonground.operations.verb import Param, Verb

VERBS: tuple[Verb, ...] = (
    Verb(
        "revert",
        "reverting",
        "revert",
        "Undo a change by its inverse, as a change of its own.",
        "curator",
        writes=True,
        sweeps=True,
        params=(Param("change", "The change's number.", type="int", required=True, positional=True),),
    ),
    Verb(
        "erase",
        "erasing",
        "erase",
        "Destroy all that is held of an entity and of what belongs to it.",
        "owner",
        writes=True,
        stages=True,
        finishes=True,
        states=True,
        sweeps=True,
        params=(
            Param("type", "The entity type.", required=True),
            Param("key", "The entity's key.", required=True),
            Param("basis", "On what ground: withdrawn consent, wrong upload.", required=True),
        ),
    ),
)
