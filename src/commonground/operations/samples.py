"""Making samples of a frame: its terms counted, its files found, everything that is missing told at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from commonground.errors import InvalidInput
from commonground.exchange.samples import SampleColumns, SampleFile, Samples
from commonground.operations.plans import Reading
from commonground.structure.assets import list_assets
from commonground.structure.column_types import Holds
from commonground.structure.frame_columns import read_field


def make_samples(
    on: Reading,
    table: pa.Table,
    *,
    missing: str = "error",
    read: Callable[[bytes], Any] | None = None,
    transform: Callable[[dict[str, Any]], Any] | None = None,
) -> Samples:
    """The rows of a frame as samples, in its order.

    `missing` says what happens to a row with an empty cell: "error" refuses, "drop" leaves it out; a sample is whole.
    `read` makes something of a file's bytes, `transform` of a sample. Raises InvalidInput with all faults at once.
    """
    if missing not in {"error", "drop"}:
        raise InvalidInput(f"missing cannot be {missing!r}.", todo="Say 'error' or 'drop'.")
    if "rid" not in table.column_names:
        raise InvalidInput(
            "The table has no column rid, so nothing would lead back from a sample to its entity.",
            todo="Keep the column rid of the frame.",
        )
    whole = [table[name].is_valid().to_numpy() for name in table.column_names]
    if missing == "drop":
        table = table.filter(pa.array(np.logical_and.reduce(whole)))
    files: dict[str, list[int]] = {field.name: [] for field in table.schema if _holds_files(field)}
    listed, faults = _find_files(on, table, list(files))
    places = {rid: place for place, rid in enumerate(listed)}
    plain: dict[str, Any] = {}
    classes: dict[str, tuple[str, ...]] = {}
    for field in table.schema:
        cells = table[field.name]
        if cells.null_count:
            faults.append(f"{field.name}: {cells.null_count} of {len(cells)} are empty")
        elif field.name in files:
            files[field.name] = [places.get(rid, 0) for rid in cells.to_pylist()]
        else:
            try:
                plain[field.name], terms = _read_cells(field, cells)
            except InvalidInput as error:
                faults.append(f"{field.name}: {error.what}")
            else:
                classes |= {field.name: terms} if terms is not None else {}
    if faults:
        raise InvalidInput(
            "These rows cannot become samples.",
            faults=faults,
            todo="Narrow the columns, or leave rows with empty cells out: missing='drop'.",
        )
    columns = SampleColumns(
        plain,
        {name: np.array(found, dtype=np.int64) for name, found in files.items()},
        tuple(listed.values()),
        tuple(table.column_names),
    )
    return Samples(columns, classes, read=read, transform=transform)


def _holds_files(field: pa.Field) -> bool:
    told = read_field(field)
    return told is not None and told.holds is Holds.ASSET


def _find_files(on: Reading, table: pa.Table, names: list[str]) -> tuple[dict[int, SampleFile], list[str]]:
    """Each file by the rid of its asset, and what is wrong with some."""
    wanted = sorted({rid for name in names for rid in table[name].to_pylist() if rid is not None})
    found = {asset.rid: asset for asset in list_assets(on.view, wanted)}
    faults = []
    for name in names:
        rids = {rid for rid in table[name].to_pylist() if rid is not None}
        gone = len(rids - found.keys())
        if gone:
            faults.append(f"{name}: {gone} files are not here any more; they may have been erased")
        series = sum(found[rid].series for rid in rids & found.keys())
        if series:
            faults.append(f"{name}: {series} are folders, and a sample holds single files")
    if faults:
        return {}, faults
    blobs = on.ground.blobs
    return {
        rid: SampleFile(asset.digest, asset.reference or str(blobs.path(asset.digest))) for rid, asset in found.items()
    }, []


def _read_cells(field: pa.Field, cells: pa.ChunkedArray) -> tuple[Any, tuple[str, ...] | None]:
    """A column as it stands in samples, and its terms if it is one of terms."""
    kind, types = field.type, pa.types
    told = read_field(field)
    if told is not None and told.holds is Holds.TERM:
        places = pc.index_in(cells, pa.array(told.terms, pa.string()))
        if places.null_count:
            raise InvalidInput(f"{places.null_count} terms are none of {', '.join(told.terms)}")
        return places.cast(pa.int64()).to_numpy(), told.terms
    if types.is_boolean(kind):
        return cells.to_numpy(), None
    if types.is_integer(kind):
        return cells.cast(pa.int64()).to_numpy(), None
    if types.is_floating(kind):
        return cells.cast(pa.float32(), safe=False).to_numpy(), None
    if types.is_string(kind) or types.is_large_string(kind):
        return cells.to_pylist(), None
    if types.is_timestamp(kind):
        return [cell.isoformat().replace("+00:00", "Z") for cell in cells.to_pylist()], None
    raise InvalidInput(f"a sample cannot hold {kind}")
