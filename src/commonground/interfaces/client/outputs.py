"""What a run makes: files, kept as they are at the moment of saving, and values of features."""

from __future__ import annotations

import hashlib
import math
import mimetypes
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from commonground.errors import InvalidInput, StorageError, count
from commonground.identity import Mint, Rid
from commonground.operations.executions import produced_edge
from commonground.operations.session import Session
from commonground.operations.values import write_values as write_told
from commonground.store import files
from commonground.structure.names import clean_name
from commonground.structure.screen_told import screen_file_names

CHUNK = 1 << 20


class ValueTable(Protocol):
    """What is used of a table of pyarrow, pandas or Polars."""

    def __getitem__(self, name: str, /) -> Iterable[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...


Values = Mapping[Any, Any] | ValueTable | Sequence[Iterable[Any]]
"""By entity; or as a table with a column `rid` or `key` and one more, or as a pair of both."""


def keep(
    folder: Path,
    execution: Rid,
    mint: Mint,
    what: str | os.PathLike[str] | bytes,
    kind: str,
    name: str | None,
) -> dict[str, Any]:
    """Copy a file or bytes into the folder of a spool, and say what it is: asset, edge, file.

    Raises NotFound, InvalidInput, or StorageError if there is no room.
    """
    rid, edge = mint.many(2)
    target = folder / f"out-{secrets.token_hex(8)}"
    if isinstance(what, (bytes, bytearray, memoryview)):
        if name is None:
            raise InvalidInput("Bytes have no name of their own.", todo="Give one: run.save(data, name=...).")
        content = bytes(what)
        _write(target, content)
        digest, size = hashlib.sha256(content).hexdigest(), len(content)
    else:
        source = Path(what)
        if source.is_dir():
            raise InvalidInput(f"{source} is a folder.", todo="Save its files one by one, or pack them into one.")
        size = files.copy_in(source, target)
        digest = _hash(target)
        name = name or source.name
    (told,) = screen_file_names([name])
    clean = clean_name(told.replace("@", "_"), "file's name")
    asset = {
        "rid": rid,
        "name": clean,
        "kind": kind,
        "digest": digest,
        "size": size,
        "media_type": mimetypes.guess_type(name)[0],
        "reference": None,
        "files": 1,
        "description": None,
    }
    return {"asset": asset, "edge": produced_edge(edge, execution, rid, clean, {}), "file": target.name}


def keep_rows(folder: Path, listed: Sequence[bytes]) -> tuple[list[str], list[str]]:
    """Put the exact rows of an input into the folder of a spool; their names there and their digests."""
    names, digests = [], []
    for content in listed:
        digest = hashlib.sha256(content).hexdigest()
        name = f"rows-{digest[:32]}"
        if not (folder / name).exists():
            _write(folder / name, content)
        names.append(name)
        digests.append(digest)
    return names, digests


def describe_values(
    type_name: str,
    feature: str,
    values: Values,
    reasons: Mapping[Any, str] | None,
    mint: Mint,
) -> dict[str, Any]:
    """Computed values as plain data: what a spool keeps and a delivery needs.

    `values` maps rids or keys to values; or it is a table with a column `rid` or `key` and one more, or a pair of both.
    """
    entities, cells = _columns(values)
    if len(entities) != len(cells):
        told = f"{count(len(cells), 'value')} for {count(len(entities), 'entity', 'entities')}."
        raise InvalidInput(told, todo="Give one value for each entity.")
    if not entities:
        raise InvalidInput("There are no values to write.", todo="Give at least one entity and its value.")
    by_rid = isinstance(entities[0], int)
    return {
        "plan": mint.one(),
        "edge": mint.one(),
        "type": type_name,
        "feature": feature,
        "entities" if by_rid else "keys": entities,
        "values": [None if isinstance(cell, float) and math.isnan(cell) else cell for cell in cells],
        "reasons": [reasons.get(entity) for entity in entities] if reasons else None,
    }


def write_values(session: Session, execution: Rid, told: Mapping[str, Any]) -> dict[str, Any] | None:
    """Write computed values now; the edge to put on record, or None if the catalogue is out of reach."""
    try:
        return write_told(session, execution, told)
    except (StorageError, OSError):
        return None


def _columns(values: Values) -> tuple[list[Any], list[Any]]:
    if isinstance(values, Mapping):
        return _listed(list(values)), _listed(list(values.values()))
    names = getattr(values, "column_names", None) or list(getattr(values, "columns", []))
    if names and not isinstance(values, Sequence):
        about = next((name for name in ("rid", "key") if name in names), None)
        rest = [name for name in names if name not in {"rid", "key"}]
        if about is None or len(rest) != 1:
            raise InvalidInput(
                "These are not the columns of a table of values.", todo="Give a column rid or key, and one of values."
            )
        return _listed(values[about]), _listed(values[rest[0]])
    entities, cells = values
    return _listed(entities), _listed(cells)


def _listed(column: Iterable[Any]) -> list[Any]:
    for method in ("to_pylist", "tolist", "to_list"):
        if hasattr(column, method):
            return list(getattr(column, method)())
    return [cell.item() if isinstance(cell, np.generic) else cell for cell in column]


def _write(target: Path, content: bytes) -> None:
    descriptor = files.create(target, mode=0o600)
    try:
        files.write_all(descriptor, content, target)
    finally:
        os.close(descriptor)


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            digest.update(data)
    return digest.hexdigest()
