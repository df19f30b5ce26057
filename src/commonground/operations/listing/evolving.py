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
    Verb(
        "retype",
        "retyping",
        "retype",
        "Let a column hold another type; every value is converted, or said not to convert.",
        "curator",
        writes=True,
        params=(
            Param("what", "The column, as Patient.age.", required=True, positional=True),
            Param(
                "to",
                "What it shall hold.",
                required=True,
                choices=("int", "real", "bool", "text", "date", "time", "instant", "term", "link"),
            ),
            Param("target", "The vocabulary of a term, or the entity type of a link."),
            Param("unit", "The unit of a number."),
            Param("maps", "What a value becomes: unknown= leaves it empty, IV=4.", type="pairs", many=True),
            Param("drop_bad", "Leave empty whatever does not convert.", type="flag"),
        ),
    ),
    Verb(
        "retire",
        "retiring",
        "retire",
        "Put a column or a feature out of use; versions keep it, and it can be brought back.",
        "curator",
        writes=True,
        sweeps=True,
        params=(
            Param(
                "what", "A column as Patient.age, or a feature as Nodule.malignancy.", required=True, positional=True
            ),
            Param("back", "Bring back what was retired.", type="flag"),
        ),
    ),
    Verb(
        "impact",
        "impact",
        "impact",
        "Say what depends on something declared, before it changes.",
        "reader",
        writes=False,
        params=(WHAT,),
    ),
)
