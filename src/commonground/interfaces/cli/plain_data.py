"""Any answer as plain data for `--json`: ids as their characters, figures that JSON has no word for as text."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path

from commonground.identity import show_rid
from commonground.operations.version_files import VersionFiles
from commonground.plain import Plain


def as_plain(value: object, rids: bool = False) -> Plain:
    """The value as dicts, lists, texts, numbers, booleans and None; `rids` says that whole numbers are ids."""
    if value is None or isinstance(value, bool | str):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, int):
        return show_rid(value) if rids else int(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: as_plain(getattr(value, field.name), rids="Rid" in str(field.type))
            for field in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {str(as_plain(key, rids)): as_plain(inner, rids) for key, inner in value.items()}
    if isinstance(value, VersionFiles):
        return {"files": [as_plain(one, rids) for one in value], "left_out": as_plain(value.left_out)}
    if isinstance(value, list | tuple | set | frozenset | range):
        return [as_plain(inner, rids) for inner in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Path):
        return str(value)
    for way in ("to_pylist", "tolist"):
        if hasattr(value, way):
            return as_plain(getattr(value, way)(), rids)
    return str(value)
