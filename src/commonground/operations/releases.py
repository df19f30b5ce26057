"""Releasing a dataset, and saying what has changed since, or between two states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from commonground.errors import InvalidInput
from commonground.identity import Rid
from commonground.operations.plans import Plan, Reading
from commonground.operations.sensitive import check_may
from commonground.operations.version_files import VersionFiles
from commonground.store.ground import Ground
from commonground.store.transaction import Transaction
from commonground.store.workspaces import workspace
from commonground.structure import datasets, entities
from commonground.structure.drift import (
    TableDifference,
    compare_tables,
    is_drifted,
    list_changed_tables,
    measure_size,
)
from commonground.structure.parts import Sealed, keep_parts, to_arrow
from commonground.structure.references import Pinned, pin
from commonground.structure.scopes import Scope, list_parts, measure_scope
from commonground.structure.version_numbers import FIRST, Part
from commonground.structure.versions import (
    Manifest,
    load_manifest,
    measure_manifest,
    read_table,
    unseal,
    write_manifest,
)
from commonground.structure.withdrawals import list_withdrawn

PARTS = ("major", "minor", "patch")


def plan_release(on: Reading, *, dataset: str, part: Part = "major", description: str | None = None) -> Plan:
    """Freeze the present state of a dataset as its next version."""
    if part not in PARTS:
        raise InvalidInput(f"{part!r} is no part of a version number.", todo=f"Say one of {', '.join(PARTS)}.")
    one = datasets.get_dataset(on.view, dataset)
    versions = datasets.list_versions(on.view, one.rid)
    scope = measure_scope(on.view, one.rid)
    size = measure_size(on.view, scope)
    if not size["members"]:
        raise InvalidInput(
            f"{one.name} has no members, so there is nothing to release.",
            todo=f"Add members: `cg dataset add {one.name}`.",
        )
    if versions and not _is_drifted(on, versions[0], scope):
        raise InvalidInput(
            f"Nothing has changed since {one.name}@{versions[0].number}.", todo="That release says all that there is."
        )
    number = versions[0].number.next(part) if versions else FIRST
    rid, plan_id = on.mint(2)
    return Plan(
        id=plan_id,
        verb="dataset release",
        args={
            "version": rid,
            "dataset": one.rid,
            "name": one.name,
            "number": str(number),
            "change": on.view.change,
            "description": description,
        },
        at=on.view.change,
        anchors=(one.rid, rid),
        reads=(one.rid,),
        effect={"releases": f"{one.name}@{number}", "rows": size},
    )


@dataclass(frozen=True, slots=True)
class WrittenRelease:
    """What a release wrote before its change."""

    manifest: Manifest
    """The manifest."""
    blob: str
    """Its blob."""
    new: Sequence[Sealed]
    """The parts that were new."""
    raters: list[tuple[Rid, Rid]]
    """New rid and rater, for all raters it rests on."""
    terms: list[tuple[Rid, Rid]]
    """New rid and term, for all terms it rests on."""
    members: int
    """Entities that are members."""


def stage_release(ground: Ground, plan: Plan) -> WrittenRelease:
    """Write the parts that are new and the manifest, as of the change that the plan names."""
    with ground.view(plan.args["change"]) as view, workspace(ground.cache_folder) as beside:
        scope = measure_scope(view, plan.args["dataset"])
        manifest, blob, new = write_manifest(view, scope, ground.blobs, beside)
    raters = read_table(ground.blobs, manifest, "raters")["rid"].to_pylist()
    terms = read_table(ground.blobs, manifest, "terms")["rid"].to_pylist()
    rids = ground.mint.many(max(1, len(raters) + len(terms)))
    return WrittenRelease(
        manifest,
        blob,
        new,
        list(zip(rids, raters, strict=False)),
        list(zip(rids[len(raters) :], terms, strict=False)),
        len(scope.members.entity),
    )


def apply_release(tx: Transaction, plan: Plan, written: WrittenRelease) -> None:
    """Write the version: from now on it is there, whole."""
    args = plan.args
    datasets.add_version(
        tx,
        {
            "rid": args["version"],
            "dataset": args["dataset"],
            "number": args["number"],
            "change": args["change"],
            "digest": written.manifest.digest,
            "manifest": written.blob,
            "rows": written.manifest.rows,
            "members": written.members,
            "description": args["description"],
        },
        written.raters,
        written.terms,
    )
    keep_parts(tx.connection, written.new)


@dataclass(frozen=True, slots=True)
class DatasetState:
    """Where a dataset stands."""

    name: str
    """The dataset."""
    newest: str | None
    """Its newest release."""
    dirty: bool
    """Whether its content has changed since then; True if it was never released."""
    rows: Mapping[str, int]
    """What a release would hold now."""
    withdrawn: tuple[str, ...] = ()
    """Members that are no longer valid, and why; they are left out."""


def read_state(on: Reading, *, dataset: str) -> DatasetState:
    """Whether a dataset has changed since its newest release, and how large it is."""
    one = datasets.get_dataset(on.view, dataset)
    versions = datasets.list_versions(on.view, one.rid)
    newest = versions[0] if versions else None
    scope = measure_scope(on.view, one.rid)
    dirty = newest is None or _is_drifted(on, newest, scope)
    return DatasetState(
        one.name,
        str(newest.number) if newest else None,
        dirty,
        measure_size(on.view, scope),
        tuple(_withdrawn_members(on, one.rid)),
    )


def _withdrawn_members(on: Reading, dataset: Rid) -> list[str]:
    """The members that were withdrawn, a line each."""
    gone = dict(datasets.list_withdrawn_members(on.view, datasets.list_inside(on.view, dataset)))
    kinds = [entities.get_type(on.view, kind) for kind in sorted(set(gone.values()))]
    return [
        f"{kind.name}:{one.key}, by change {one.change}: {one.reason}"
        for kind in kinds
        for one in list_withdrawn(on.view, kind)
        if one.rid in gone
    ]


def _is_drifted(on: Reading, version: datasets.Version, scope: Scope) -> bool:
    return is_drifted(on.view, version, load_manifest(on.view, on.ground.blobs, version.manifest), scope)


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between two states of a dataset."""

    old: str
    """The first state."""
    new: str
    """The second state."""
    same: bool
    """Whether they say the same."""
    tables: tuple[TableDifference, ...]
    """What differs, table by table."""
    criteria: tuple[str | None, str | None]
    """The rule that produced the members of each."""
    reasons: tuple[str | None, str | None]
    """Why each has these members and not others; None if nobody said."""


def read_difference(on: Reading, *, old: str, new: str) -> Difference:
    """What the second state of a dataset has, lacks or says otherwise than the first."""
    first, second = pin(on.view, old), pin(on.view, new)
    before, after = load_state(on, first), load_state(on, second)
    told = [unseal(on.view.connection, state.manifest) for state in (before, after)]
    changed = list_changed_tables(*told)
    before_rule, after_rule = _rule(on, first), _rule(on, second)
    return Difference(
        str(first),
        str(second),
        told[0].digest == told[1].digest,
        tuple(_compare(name, before, after) for name in changed if name not in {"criteria", "nesting"}),
        (before_rule[0], after_rule[0]),
        (before_rule[1], after_rule[1]),
    )


@dataclass(frozen=True, slots=True)
class State:
    """The tables of one exact state of a dataset, read from its parts or from the living rows."""

    manifest: Manifest
    """What it consists of."""
    on: Reading
    """Where its blobs are."""
    live: Mapping[str, Sequence[pa.Table]] | None
    """The tables of an unreleased state."""

    def get_table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """One table; an empty one if the state has none of that name."""
        if self.live is None:
            return read_table(self.on.ground.blobs, self.manifest, name, columns)
        parts = self.live.get(name, [])
        table = pa.concat_tables(parts) if parts else read_table(self.on.ground.blobs, self.manifest, name)
        return table.select(columns) if columns else table


def load_state(on: Reading, pinned: Pinned) -> State:
    """The tables of a pinned state: a released one from its manifest, an unreleased one from the catalogue."""
    if pinned.version is not None:
        return State(load_manifest(on.view, on.ground.blobs, pinned.version.manifest), on, None)
    with on.ground.view(pinned.change) as view:
        scope = measure_scope(view, pinned.dataset.rid)
        live: dict[str, list[pa.Table]] = {}
        for part in list_parts(view, scope):
            live.setdefault(part.table, []).extend(map(to_arrow, part.portions()))
        return State(measure_manifest(view, scope), on, live)


def _say_left_out(name: str, table: Mapping[str, Any], labels: Sequence[str]) -> str:
    """Why the files of a table are left out."""
    if name.startswith("sensitive/"):
        return f"{', '.join(labels)}: sensitive"
    them = "it" if len(labels) == 1 else "them"
    return (
        f"{', '.join(labels)}: marked as sensitive after this release, so the files of {table['label']} hold {them}"
        " among the other columns, and are left out whole; frames of the version have the other columns"
    )


def read_files(on: Reading, *, version: str, check: bool = False, sensitive: bool = False) -> VersionFiles:
    """The Parquet files of a released version, in place, for any engine that reads Parquet.

    `columns` leads from the names in the files to the names that people gave. Rows that were erased are in none of the
    files. With `check` the bytes of each file are read and compared with their digest first: raises Corrupt. Files with
    sensitive columns are left out, unless `sensitive` asks for them: those of a version that was released before the
    mark have other columns too. `left_out` of the answer names each table that was left out, and why.
    """
    pinned = pin(on.view, version)
    if pinned.version is None:
        raise InvalidInput(f"{pinned} is not released, so it has no files yet.", todo="Release it first.")
    manifest = load_manifest(on.view, on.ground.blobs, pinned.version.manifest)
    told = {table["name"]: table for table in manifest.content["tables"]}
    guarded = entities.list_sensitive_places(on.view)
    closed = {name: [c["label"] for c in table["columns"] if c["name"] in guarded] for name, table in told.items()}
    labels = [f"{told[name]['label']}.{label}" for name, listed in closed.items() for label in listed]
    if sensitive and labels:
        check_may(on, labels)
    parts = [part for part in manifest.parts if sensitive or not closed[part.table]]
    if check:
        for part in parts:
            with on.ground.blobs.open_verified(part.blob):
                pass
    left_out = {
        str(table["label"]): _say_left_out(name, table, closed[name])
        for name, table in told.items()
        if closed[name] and not sensitive
    }
    files = [
        {
            "table": told[part.table]["label"],
            "rows": part.rows - part.erased,
            "bytes": on.ground.blobs.size(part.blob),
            "path": str(on.ground.blobs.path(part.blob)),
            "columns": {
                column["name"]: column.get("label") or column["name"] for column in told[part.table]["columns"]
            },
        }
        for part in parts
    ]
    return VersionFiles(files, left_out)


def _compare(name: str, before: State, after: State) -> TableDifference:
    entry = after.manifest.get_table(name)
    if not entry["order"]:
        entry = before.manifest.get_table(name)
    return compare_tables(entry["label"], entry["order"], before.get_table(name), after.get_table(name))


def _rule(on: Reading, pinned: Pinned) -> tuple[str | None, str | None]:
    """The rule that chose the members, and its reason."""
    with on.ground.view(pinned.change) as view:
        criteria = datasets.get_criteria(view, pinned.dataset.rid)
    return (criteria.rule, criteria.reason) if criteria else (None, None)
