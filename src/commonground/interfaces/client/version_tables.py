"""The tables of a released version as files, for whoever reads Parquet himself: lazily, with an engine of his own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from commonground.errors import NotAllowed
from commonground.late import ds
from commonground.operations.version_files import VersionFiles


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

    def scan(self) -> ds.Dataset:
        """The table as a pyarrow Dataset, which reads what is asked for; columns have their names in the files."""
        return ds.dataset(list(self.paths), format="parquet")


class VersionTables(dict[str, VersionTable]):
    """The tables of a version by name; one that is left out says why when it is asked for."""

    left_out: Mapping[str, str]
    """Each table that was left out because of sensitive columns, and why."""

    def __init__(self, tables: Mapping[str, VersionTable], left_out: Mapping[str, str]) -> None:
        super().__init__(tables)
        self.left_out = left_out

    def __missing__(self, name: str) -> VersionTable:
        if name not in self.left_out:
            raise KeyError(name)
        raise NotAllowed(
            f"{name} is left out: {self.left_out[name]}.",
            todo="A curator or an owner asks for it with sensitive=True; or release again, which keeps them apart.",
        )


def gather_tables(files: VersionFiles) -> VersionTables:
    """The tables that the files of a version make up."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for file in files:
        found.setdefault(file["table"], []).append(file)
    tables = {
        name: VersionTable(
            name, sum(file["rows"] for file in parts), tuple(file["path"] for file in parts), parts[0]["columns"]
        )
        for name, parts in found.items()
    }
    return VersionTables(tables, files.left_out)
