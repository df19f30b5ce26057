"""Versions: a released state of a dataset as Parquet parts and a manifest, known by what it says and not by its bytes.

Each part is sealed with a nonce (`structure/parts.py`); parts that say the same as one that is there already are not
written again. The manifest is a blob of canonical JSON:

    {"format": "commonground-manifest-1", "dataset", "name", "change", "inside": [{"dataset", "name"}],
     "tables": [{"name", "label", "columns": [{"name", "type", "label", "holds", "target", "unit"}], "order": [names],
                 "rows", "parts": [{"bucket", "rows", "digest", "blob"}]}],
     "features": [...], "digest"}

`digest` is SHA-256 over the canonical JSON of the tables' names, columns and part digests. Those are sealed, so the
same content released twice from nothing has two digests; the *content digest* is the same over the content of the
parts, and equal wherever the content is. It is never stored. Sizes of files stand in no manifest, because the size of
a compressed file tells of what was in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from commonground.errors import Corrupt
from commonground.identity import show_rid
from commonground.late import pa
from commonground.store.blobs import BlobStore
from commonground.store.canonical_words import ColumnType
from commonground.store.changes import canonical_json
from commonground.store.faults import point
from commonground.store.view import View
from commonground.structure import parts
from commonground.structure.datasets import get_dataset
from commonground.structure.features import Feature
from commonground.structure.parts import ARROW, Sealed, to_arrow
from commonground.structure.scopes import Part, Scope, list_parts

FORMAT = "commonground-manifest-1"


@dataclass(frozen=True, slots=True)
class PartFile:
    """One Parquet file of a version."""

    table: str
    """The table it belongs to."""
    bucket: int
    """The number of its bucket."""
    rows: int
    """How many rows."""
    digest: str
    """What it says, sealed; in a manifest that was only measured, the digest of its content."""
    blob: str
    """The blob that holds it; empty in a manifest that was only measured."""
    erased: int = 0
    """How many of the rows have been erased since."""
    now: str = ""
    """What is left of it says this, sealed anew; empty if nothing was erased."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a version, or a state, of a dataset consists of."""

    content: Mapping[str, Any]
    """The manifest's fields."""

    @property
    def digest(self) -> str:
        """SHA-256 of what it says, over sealed parts; of a manifest that was only measured, its content digest."""
        return str(self.content["digest"])

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(table["rows"] for table in self.content["tables"])

    @property
    def table_names(self) -> tuple[str, ...]:
        """The tables, in order."""
        return tuple(table["name"] for table in self.content["tables"])

    def get_table(self, name: str) -> Mapping[str, Any]:
        """One table's entry; an empty one if the version has no such table."""
        for table in self.content["tables"]:
            if table["name"] == name:
                return dict(table)
        return {"name": name, "columns": [], "order": [], "rows": 0, "parts": [], "label": name}

    @property
    def parts(self) -> list[PartFile]:
        """All parts."""
        return [PartFile(table["name"], **part) for table in self.content["tables"] for part in table["parts"]]


def measure_manifest(view: View, scope: Scope) -> Manifest:
    """The manifest of a scope as it is in this view, without writing anything; its digest is the content digest."""
    entries = [
        (part.without_rows(), {"digest": part.content, "rows": part.rows, "blob": ""})
        for part in list_parts(view, scope)
    ]
    return _manifest(view, scope, entries)


def is_other_state(view: View, scope: Scope, recorded: Manifest) -> bool:
    """Whether a scope says something else in this view than an unsealed manifest; stops at the first part that does."""
    known = {(part.table, part.bucket): part.digest for part in recorded.parts}
    entries = []
    for part in list_parts(view, scope):
        content = part.content
        if part.rows and known.get((part.table, part.bucket)) != content:
            return True
        entries.append((part.without_rows(), {"digest": content, "rows": part.rows, "blob": ""}))
    return _manifest(view, scope, entries).digest != recorded.digest


def write_manifest(
    view: View,
    scope: Scope,
    blobs: BlobStore,
    workspace: Path,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[Manifest, str, list[Sealed]]:
    """Write what is new of a scope as blobs: the manifest, its blob, and the parts that are new.

    All new parts are synced at once; nothing refers to them before the change that releases the version.
    """
    entries: list[tuple[Part, dict[str, Any]]] = []
    fresh: dict[str, Sealed] = {}
    files: list[Path] = []
    for part in list_parts(view, scope, workspace):
        content = part.content
        known = fresh.get(content) or parts.find_part(view.connection, content)
        if known is None or (known.blob and not blobs.has(known.blob)):
            point("parts.write")
            nonce = known.nonce if known else parts.new_nonce()
            files.append(workspace / f"{len(files)}.parquet")
            parts.write_portions(files[-1], map(to_arrow, part.portions()), nonce)
            known = fresh[content] = Sealed(parts.seal(nonce, content), content, nonce, "")
        entries.append((part.without_rows(), {"digest": known.digest, "rows": part.rows, "blob": known.blob}))
        progress(part.rows)
    stored = zip(fresh.values(), blobs.put_files(files), strict=True)
    new = {part.digest: replace(part, blob=info.digest) for part, info in stored}
    for _, entry in entries:
        entry["blob"] = entry["blob"] or new[entry["digest"]].blob
    manifest = _manifest(view, scope, entries)
    point("parts.manifest")
    blob = blobs.put_bytes(canonical_json(manifest.content).encode()).digest
    return manifest, blob, list(new.values())


def load_manifest(view: View, blobs: BlobStore, blob: str) -> Manifest:
    """Read a manifest; its bytes are checked, and so is its own digest.

    A part from which rows were erased is read from its redacted form: `blob` is that form's, `erased` counts the rows.
    """
    try:
        content = json.loads(blobs.get_bytes(blob))
        manifest = Manifest(content)
        same = _logical_digest(content["tables"]) == manifest.digest
    except (ValueError, TypeError, KeyError) as error:
        raise Corrupt(f"The file {blob} is no manifest of a version.", todo="Run `cg verify --full`.") from error
    if not same:
        raise Corrupt(f"The manifest {blob} does not say what its digest says.", todo="Run `cg verify --full`.")
    redacted = parts.list_redactions(view.connection)
    for part in (part for table in content["tables"] for part in table["parts"]):
        while part["blob"] in redacted:
            told = redacted[part["blob"]]
            part["erased"] = part.get("erased", 0) + told.rows
            part["blob"], part["now"] = told.replacement, told.digest
    return manifest


def unseal(connection: sa.Connection, manifest: Manifest) -> Manifest:
    """A manifest that says the content of its parts, for comparing; its digest is the content digest.

    A part that an erasure touched keeps its sealed digest, because nobody knows what it said: it differs from all but
    itself. A manifest that was only measured stays as it is.
    """
    contents = parts.find_contents(connection, (part.digest for part in manifest.parts))
    return _with_digests(manifest, lambda _table, part: contents.get(part["digest"], part["digest"]))


def list_types(table: Mapping[str, Any]) -> dict[str, ColumnType]:
    """The types of the columns of a table's entry."""
    return {column["name"]: column["type"] for column in table["columns"]}


def _with_digests(manifest: Manifest, told: Callable[[Mapping[str, Any], Mapping[str, Any]], str]) -> Manifest:
    listed = [
        {**table, "parts": [{**part, "digest": told(table, part)} for part in table["parts"]]}
        for table in manifest.content["tables"]
    ]
    return Manifest({**manifest.content, "tables": listed, "digest": _logical_digest(listed)})


def read_table(blobs: BlobStore, manifest: Manifest, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """One table of a released version, straight from its Parquet parts; each file's bytes are checked."""
    entry = manifest.get_table(name)
    read = [parts.read_file(blobs, part["blob"], columns) for part in entry["parts"]]
    if read:
        return pa.concat_tables(read)
    declared = [column for column in entry["columns"] if columns is None or column["name"] in columns]
    return pa.table({column["name"]: pa.array([], ARROW[column["type"]]) for column in declared})


def _manifest(view: View, scope: Scope, entries: Sequence[tuple[Part, dict[str, Any]]]) -> Manifest:
    listed: dict[str, dict[str, Any]] = {}
    for part, entry in entries:
        table = listed.setdefault(
            part.table,
            {
                "name": part.table,
                "label": _label(scope, part.table),
                "columns": _describe(scope, part),
                "order": list(part.order),
                "rows": 0,
                "parts": [],
            },
        )
        table["rows"] += entry["rows"]
        table["parts"].append({"bucket": part.bucket, **entry})
    found = list(listed.values())
    dataset = get_dataset(view, scope.dataset)
    return Manifest(
        {
            "format": FORMAT,
            "dataset": show_rid(dataset.rid),
            "name": dataset.name,
            "change": view.change,
            "inside": [{"dataset": show_rid(rid), "name": get_dataset(view, rid).name} for rid in scope.inside],
            "features": [_feature(feature) for feature in scope.features],
            "tables": found,
            "digest": _logical_digest(found),
        }
    )


def _logical_digest(listed: Sequence[Mapping[str, Any]]) -> str:
    told = [
        [
            table["name"],
            [[column["name"], column["type"]] for column in table["columns"]],
            [[part["bucket"], part["digest"]] for part in table["parts"] if part["rows"]],
        ]
        for table in listed
        if table["rows"]
    ]
    return hashlib.sha256(canonical_json(told).encode()).hexdigest()


def _label(scope: Scope, table: str) -> str:
    group, _, name = table.partition("/")
    if group in {"entities", "sensitive"}:
        label = next(kind.name for kind in scope.types.values() if kind.place == name)
        return label if group == "entities" else f"{label} (sensitive)"
    if group == "values":
        feature = next(feature for feature in scope.features if str(feature.rid) == name)
        return f"{scope.types[feature.type].name}.{feature.name}"
    return table


def _describe(scope: Scope, part: Part) -> list[dict[str, Any]]:
    group, _, place = part.table.partition("/")
    declared: dict[str, dict[str, Any]] = {}
    if group in {"entities", "sensitive"}:
        kind = next(kind for kind in scope.types.values() if kind.place == place)
        declared = {
            column.place: {
                "label": column.name,
                "holds": str(column.holds),
                "target": show_rid(column.target) if column.target else None,
                "unit": column.unit,
            }
            for column in kind.columns
        }
    return [{"name": column.name, "type": column.type, **declared.get(column.name, {})} for column in part.columns]


def _feature(feature: Feature) -> dict[str, Any]:
    return {
        "feature": show_rid(feature.rid),
        "name": feature.name,
        "type": show_rid(feature.type),
        "holds": str(feature.holds),
        "unit": feature.unit,
        "ordered": feature.ordered,
        "vocabulary": show_rid(feature.vocabulary) if feature.vocabulary else None,
    }
