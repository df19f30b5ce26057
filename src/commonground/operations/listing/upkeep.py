"""Verbs for keeping the study sound."""

from __future__ import annotations

from commonground.operations.verb import Param, Verb

VERBS: tuple[Verb, ...] = (
    Verb(
        "verify",
        "upkeep",
        "verify",
        "Recompute every link and every row of the record, and look for its files.",
        "reader",
        writes=False,
        params=(
            Param("full", "Read all files too.", type="flag"),
            Param("sample", "Read this share of the files, between 0 and 1.", type="real"),
            Param("checkpoint", "A file with a checkpoint that was kept elsewhere.", type="path"),
        ),
    ),
    Verb(
        "checkpoint",
        "upkeep",
        "checkpoint",
        "Print the head of the chain, to be kept elsewhere and given to `cg verify --checkpoint`.",
        "reader",
        writes=False,
    ),
    Verb(
        "backup",
        "upkeep",
        "backup",
        "Copy the study to a new folder and verify the copy.",
        "owner",
        writes=False,
        params=(
            Param(
                "folder", "A new or empty folder, best on another disk.", type="path", required=True, positional=True
            ),
        ),
    ),
    Verb(
        "backups",
        "upkeep",
        "backups",
        "List the backups made here, and whether each was verified.",
        "reader",
        writes=False,
    ),
    Verb(
        "gc",
        "upkeep",
        "gc",
        "Remove files that nothing names any more, and bulk rows that were never published.",
        "owner",
        writes=False,
        params=(Param("dry_run", "Only say what would be removed.", type="flag"),),
    ),
)
