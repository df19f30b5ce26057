"""Verbs for datasets and versions."""

from __future__ import annotations

from commonground.operations.verb import Param, Verb

DATASET = Param("dataset", "The dataset.", required=True, positional=True)
TYPE = Param("type", "The entity type of the members.")
KEYS = Param("keys", "The key of a member.", many=True)
FEATURES = Param("features", "A feature whose values belong to the dataset.", many=True)
CRITERIA = Param("criteria", "The selection that produced the members.")
REASON = Param("reason", "Why these and not others.")

VERBS: tuple[Verb, ...] = (
    Verb(
        "dataset create",
        "datasets",
        "dataset",
        "Make a dataset.",
        "contributor",
        writes=True,
        params=(
            Param("name", "What it is called.", required=True, positional=True),
            Param("description", "What it is for."),
            FEATURES,
            TYPE,
            KEYS,
            CRITERIA,
            REASON,
        ),
    ),
    Verb(
        "dataset add",
        "datasets",
        "add",
        "Add members or features to a dataset.",
        "contributor",
        writes=True,
        params=(DATASET, TYPE, KEYS, FEATURES, CRITERIA, REASON),
    ),
    Verb(
        "dataset remove",
        "datasets",
        "remove",
        "Take members out of a dataset's unreleased state.",
        "contributor",
        writes=True,
        params=(DATASET, TYPE, KEYS),
    ),
    Verb(
        "dataset nest",
        "datasets",
        "nest",
        "Put a dataset into another.",
        "contributor",
        writes=True,
        params=(DATASET, Param("inside", "The dataset to put it into.", required=True)),
    ),
    Verb(
        "dataset unnest",
        "datasets",
        "unnest",
        "Take a nested dataset out of another.",
        "contributor",
        writes=True,
        params=(DATASET, Param("inside", "The dataset to take it out of.", required=True)),
    ),
    Verb(
        "dataset release",
        "releases",
        "release",
        "Freeze the present state of a dataset as its next version.",
        "curator",
        writes=True,
        stages=True,
        params=(
            DATASET,
            Param("part", "Which part of the version number grows.", choices=("major", "minor", "patch")),
            Param("description", "What is new."),
        ),
    ),
    Verb(
        "dataset status",
        "releases",
        "state",
        "Say whether a dataset has changed since its newest release, and how large it is.",
        "reader",
        writes=False,
        params=(DATASET,),
    ),
    Verb(
        "dataset diff",
        "releases",
        "difference",
        "Say what differs between two states of a dataset.",
        "reader",
        writes=False,
        params=(
            Param("old", "The first state, such as nodules@1.0.0.", required=True, positional=True),
            Param("new", "The second state, such as nodules or nodules@dev.", required=True, positional=True),
        ),
    ),
    Verb(
        "dataset files",
        "releases",
        "files",
        "List the Parquet files of a released version.",
        "reader",
        writes=False,
        params=(
            Param("version", "The version, such as nodules@1.0.0.", required=True, positional=True),
            Param("check", "Read all bytes first, and compare them with what was recorded.", type="flag"),
            Param("sensitive", "List the files with sensitive columns too.", type="flag"),
        ),
    ),
    Verb(
        "dataset split",
        "splits",
        "split",
        "Split a state of a dataset into datasets of their own, no group in two of them.",
        "contributor",
        writes=True,
        params=(
            DATASET,
            Param("shares", "A part and its share: train=0.8.", type="pairs", many=True, required=True),
            Param("seed", "The seed; the same seed gives the same parts.", type="int"),
            Param("group", "The column whose equal values stay together; the owning entity by default; none for none."),
            Param("stratify", "The column whose values are spread evenly."),
        ),
    ),
    Verb(
        "dataset subsample",
        "splits",
        "subsample",
        "Draw a part of a dataset's state as a dataset of its own.",
        "contributor",
        writes=True,
        params=(
            DATASET,
            Param("name", "What the new dataset is called.", required=True),
            Param("size", "How many members.", type="int"),
            Param("share", "Which share of the members.", type="real"),
            Param("seed", "The seed.", type="int"),
            Param("group", "The column whose equal values stay together; the owning entity by default; none for none."),
            Param("stratify", "The column whose values are spread evenly."),
        ),
    ),
)
