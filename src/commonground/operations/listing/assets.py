"""Verbs for assets: files and series of files."""

from __future__ import annotations

from commonground.operations.verb import Param, Verb

ASSET = Param(
    "asset",
    "Its id, the beginning of it, or its name; the newest series of a name.",
    required=True,
    positional=True,
)

VERBS: tuple[Verb, ...] = (
    Verb(
        name="asset add",
        module="assets",
        function="assets",
        help="Add a file, or a folder as one series of files.",
        role="contributor",
        writes=True,
        stages=True,
        states=True,
        params=(
            Param("path", "The file or folder.", type="path", required=True, positional=True),
            Param("name", "What it is called; the name of the file or folder unless you say."),
            Param("kind", "What it is here, such as picture, model, table."),
            Param("each", "Make an asset of each file, not one series of the folder.", type="flag"),
            Param("reference", "Leave the bytes where they are, and keep only path and digest.", type="flag"),
            Param("description", "What others should know of it."),
        ),
    ),
    Verb(
        name="asset check-out",
        module="assets",
        function="checked_out",
        help="Write the files of an asset, checked, into a folder.",
        role="reader",
        writes=False,
        params=(
            ASSET,
            Param("folder", "Where to; it is made.", type="path", required=True, positional=True),
            Param("match", "Only paths that begin so.", many=True),
            Param(
                "mode",
                "Share the bytes on disk, link read-only to the store, or copy.",
                choices=("reflink", "hardlink", "copy"),
            ),
        ),
    ),
    Verb(
        name="asset files",
        module="assets",
        function="files",
        help="List the files of a series.",
        role="reader",
        writes=False,
        params=(ASSET,),
    ),
    Verb(
        name="asset diff",
        module="assets",
        function="changes",
        help="Say which files of a series were added, removed or changed.",
        role="reader",
        writes=False,
        params=(ASSET, Param("before", "The series to compare with; the one before it of its name unless you say.")),
    ),
)
