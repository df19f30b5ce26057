"""Has a dataset changed since a release, and what differs between two states: exactly the scope of a version.

Drift first looks which tables were touched at all since the release; only then is the present state measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from commonground.store import schema
from commonground.store.view import View
from commonground.structure.datasets import Version
from commonground.structure.features import count_annotated
from commonground.structure.scopes import Scope, measure_scope
from commonground.structure.versions import Manifest, is_other_state, unseal

ALWAYS = (
    "batch",
    "retired",
    "nesting",
    "criteria",
    "dataset_feature",
    "term",
    "slot",
    "alias",
    "withdrawal",
    "entity_column",
    "feature",
)


@dataclass(frozen=True, slots=True)
class TableDifference:
    """What differs in one table."""

    table: str
    """The table's label: members, Nodule, Nodule.malignancy."""
    added: int
    """Rows that only the second state has."""
    removed: int
    """Rows that only the first state has."""
    changed: int
    """Rows that both have, with other content."""
    samples: tuple[Mapping[str, Any], ...]
    """The keys of a few of these rows."""


def is_drifted(view: View, version: Version, recorded: Manifest, scope: Scope | None = None) -> bool:
    """Whether the dataset's scope says something else now than the released version; an error is an error, never no.

    A version that lost rows to an erasure differs from what is there now: rows that it held are gone. `scope` is that
    of the dataset in this view, if it has been measured.
    """
    if not _touched(view, version, recorded):
        return False
    return is_other_state(view, scope or measure_scope(view, version.dataset), unseal(view.connection, recorded))


def _touched(view: View, version: Version, recorded: Manifest) -> bool:
    places = [name.split("/", 1)[1] for name in recorded.table_names if name.startswith("entities/")]
    log = schema.change_table
    count = view.connection.execute(
        sa.select(sa.func.count())
        .select_from(log)
        .where(log.c.name.in_([*ALWAYS, *places]), log.c.change > version.change, log.c.change <= view.change)
    ).scalar_one()
    return bool(count)


def list_changed_tables(old: Manifest, new: Manifest) -> list[str]:
    """The tables whose content differs, by their digests alone; both manifests are unsealed."""

    def told(manifest: Manifest) -> dict[str, list[Any]]:
        return {
            table["name"]: [[part["bucket"], part["digest"]] for part in table["parts"] if part["rows"]]
            for table in manifest.content["tables"]
        }

    before, after = told(old), told(new)
    return [name for name in dict.fromkeys([*before, *after]) if before.get(name, []) != after.get(name, [])]


def compare_tables(label: str, order: Sequence[str], old: pa.Table, new: pa.Table) -> TableDifference:
    """What differs between two states of one table, rows matched by the columns of `order`.

    A column that only one state has counts as empty in the other.
    """
    names = list(dict.fromkeys([*old.column_names, *new.column_names]))
    types = {field.name: field.type for field in [*old.schema, *new.schema]}
    keys = list(order)
    rest = [name for name in names if name not in keys]
    before, after = _widened(old, names, types), _widened(new, names, types)
    removed = before.join(after.select(keys), keys, join_type="left anti")
    added = after.join(before.select(keys), keys, join_type="left anti")
    shared = before.join(after, keys, join_type="inner", left_suffix="", right_suffix=" after")
    changed = shared.filter(_differs(shared, rest)) if rest and len(shared) else shared.slice(0, 0)
    samples = pa.concat_tables([part.select(keys).slice(0, 3) for part in (removed, added, changed)])
    return TableDifference(label, len(added), len(removed), len(changed), tuple(samples.to_pylist()))


def _widened(table: pa.Table, names: Sequence[str], types: Mapping[str, pa.DataType]) -> pa.Table:
    for name in names:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(len(table), types[name]))
    return table.select(list(names))


def _differs(shared: pa.Table, names: Sequence[str]) -> pa.ChunkedArray:
    found = None
    for name in names:
        left, right = shared[name], shared[f"{name} after"]
        one = pc.or_(
            pc.fill_null(pc.not_equal(left, right), fill_value=False), pc.xor(pc.is_null(left), pc.is_null(right))
        )
        found = one if found is None else pc.or_(found, one)
    return found


def measure_size(view: View, scope: Scope) -> dict[str, int]:
    """How many rows of each table a release of this scope would hold now, counted without reading them."""
    counted = {scope.types[kind].name: len(rids) for kind, rids in scope.entities.items()}
    return {"members": len(scope.members.entity), **counted, **_count_values(view, scope)}


def _count_values(view: View, scope: Scope) -> dict[str, int]:
    counted = {}
    for feature in scope.features:
        rids = scope.entities.get(feature.type, np.empty(0, dtype=np.int64))
        label = f"{scope.types[feature.type].name}.{feature.name}"
        counted[label] = count_annotated(view, feature, rids)
    return counted
