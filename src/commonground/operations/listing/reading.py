"""Verbs for reading and explaining."""

from __future__ import annotations

from commonground.operations.verb import Param, Verb

WHAT = Param(
    "what",
    "An id or its beginning, a name, name@version, Type:key, or a change as c12.",
    required=True,
    positional=True,
)
LIMIT = Param("limit", "How many at most.", type="int")

VERBS: tuple[Verb, ...] = (
    Verb("status", "overview", "status", "Show the study at a glance, and what to do next.", "reader", writes=False),
    Verb(
        "show",
        "reading",
        "show",
        "Show what something is, what it came from and where it is used.",
        "reader",
        writes=False,
        params=(WHAT, Param("sensitive", "Show what stands in sensitive columns too.", type="flag")),
    ),
    Verb(
        "why",
        "reasons",
        "why",
        "Say why something is as it is: what is recorded, and what is not.",
        "reader",
        writes=False,
        params=(WHAT,),
    ),
    Verb(
        "log",
        "reading",
        "log",
        "List changes, newest first: who, what and why.",
        "reader",
        writes=False,
        params=(Param("what", "Only changes about this.", positional=True), LIMIT),
    ),
    Verb(
        "diff",
        "comparing",
        "diff",
        "Say what differs between two states of a dataset, or two executions.",
        "reader",
        writes=False,
        params=(
            Param("old", "The first, such as nodules@1.0.0, or an execution.", required=True, positional=True),
            Param("new", "The second, such as nodules@dev, or an execution.", required=True, positional=True),
        ),
    ),
    Verb(
        "find",
        "reading",
        "find",
        "Find things by words of their name or description.",
        "reader",
        writes=False,
        params=(
            Param("words", "The words.", required=True, positional=True, many=True),
            Param("kind", "Only things of this kind, such as feature or execution."),
            LIMIT,
        ),
    ),
    Verb(
        "dataset list",
        "overview",
        "datasets",
        "List the datasets, their newest release, and whether they have changed since.",
        "reader",
        writes=False,
    ),
)
