"""The tables of a released version as files, for whoever reads Parquet himself: lazily, with an engine of his own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class VersionTable:
    """One table of a released version."""

    name: str
    """members, Nodule, Nodule.malignancy, terms, raters, criteria."""
    rows: int
    """How many rows it has."""
    paths: tuple[str, ...]
    """Its Parquet files, in the order of the rows; they must not be written."""
    columns: Mapping[str, str]
    """From the name of a column in the files to the name that people gave it."""

    def scan(self) -> Any:  # noqa: ANN401 - a pyarrow.dataset.Dataset; pyarrow has no types
        """The table as a pyarrow Dataset, which reads what is asked for; columns have their names in the files."""
        from pyarrow import dataset  # noqa: PLC0415 - most who open a study need it not

        return dataset.dataset(list(self.paths), format="parquet")


def gather_tables(files: Iterable[Mapping[str, Any]]) -> dict[str, VersionTable]:
    """The tables that the files of a version make up, by name."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for file in files:
        found.setdefault(file["table"], []).append(file)
    return {
        name: VersionTable(
            name, sum(file["rows"] for file in parts), tuple(file["path"] for file in parts), parts[0]["columns"]
        )
        for name, parts in found.items()
    }
