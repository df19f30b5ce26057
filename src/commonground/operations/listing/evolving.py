"""Verbs for what a study declares and changes its mind about: names, types of columns, what depends on them."""

from __future__ import annotations

from commonground.operations.verb import Param, Verb

WHAT = Param(
    "what",
    "A type, a column as Patient.age, a feature, a vocabulary, a term as texture.solid, or a dataset.",
    required=True,
    positional=True,
)

VERBS: tuple[Verb, ...] = (
    Verb(
        "rename",
        "renaming",
        "rename",
        "Give something declared another name; the old one still leads to it.",
        "curator",
        writes=True,
        params=(
            WHAT,
            Param("to", "The new name.", required=True, positional=True),
            Param("reuse", "Take the name although something else had it before.", type="flag"),
        ),
    ),
)
