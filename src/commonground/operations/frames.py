"""Reading a state of a dataset as one wide table."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from commonground.errors import InvalidInput
from commonground.identity import read_rid
from commonground.operations.plans import Reading
from commonground.operations.releases import State, load_state
from commonground.operations.sensitive import check_may
from commonground.store.view import View
from commonground.structure import entities, tables
from commonground.structure.entities import EntityColumn, EntityType
from commonground.structure.features import Feature, get_feature
from commonground.structure.former_names import find_named_rows
from commonground.structure.frames import Frame, build_frame
from commonground.structure.names import name_key
from commonground.structure.references import pin
from commonground.structure.selectors import Selector


def read_frame(
    on: Reading,
    *,
    dataset: str,
    grain: str | None = None,
    features: Mapping[str, Selector] | None = None,
    columns: Sequence[str] | None = None,
    missing: str = "keep",
    sensitive: bool = False,
) -> Frame:
    """One row a member, with linked entities' columns and a column for each chosen feature; see structure/frames.py.

    Sensitive columns are left out unless `columns` names them or `sensitive` asks for all, by somebody who may.
    """
    pinned = pin(on.view, dataset)
    state = load_state(on, pinned)
    if not state.get_table("members").num_rows:
        raise InvalidInput(f"{pinned} has no members, so there is no row.", todo="Add some: `cg dataset add`.")
    chosen = dict(features or {})
    with on.ground.view(pinned.change) as then:
        labels = _Labels(on.view, state, entities.list_types(then))
    kind = labels.find_type(grain)
    frame = build_frame(
        state,
        grain=kind.name if kind and grain else grain,
        chosen=chosen,
        features=_features(on, state, chosen),
        types={one.rid: one.name for one in labels.then},
        columns=columns if columns is None else [labels.find_path(kind, name) for name in columns],
        missing=missing,
        guarded=entities.list_sensitive_places(on.view),
        sensitive=sensitive,
    )
    if frame.sensitive:
        check_may(on, frame.sensitive)
    return dataclasses.replace(frame, table=_noted(frame))


def _noted(frame: Frame) -> pa.Table:
    """The table, which says of itself what was kept back from it, and what in it is sensitive."""
    told = {"kept_back": frame.kept_back, "sensitive": frame.sensitive}
    said = {f"commonground.{name}": json.dumps(labels, ensure_ascii=False) for name, labels in told.items() if labels}
    if not said:
        return frame.table
    known = {key.decode(): value.decode() for key, value in (frame.table.schema.metadata or {}).items()}
    return frame.table.replace_schema_metadata({**known, **said})


@dataclass(frozen=True, slots=True)
class _Labels:
    """What things were called in a state, for those who call them as they are called now, or were before."""

    view: View
    state: State
    then: Sequence[EntityType]

    def find_type(self, name: str | None) -> EntityType | None:
        """The grain, as it was declared then: the type that has the name, or has it now; else that of all members."""
        if name is None:
            members = self.state.get_table("members")
            wanted = set(members["type"].to_pylist()) if members.num_rows else set()
        else:
            named = [kind.rid for kind in self.then if name_key(kind.name) == name_key(name)]
            rows = () if named else find_named_rows(self.view, tables.entity_type, name)
            wanted = {*named, *(int(row.rid) for row in rows)}
        return next((kind for kind in self.then if {kind.rid} == wanted), None)

    def find_path(self, kind: EntityType | None, path: str) -> str:
        """A column such as scan.patient.age, each step by its name of then; as it is if a step is not known."""
        steps = []
        for step in path.split("."):
            column = self._find_column(kind, step) if kind else None
            if column is None:
                return path
            steps.append(column.name)
            kind = next((one for one in self.then if one.rid == column.target), None)
        return ".".join(steps)

    def _find_column(self, kind: EntityType, name: str) -> EntityColumn | None:
        found = kind.find_column(name)
        if found is not None:
            return found
        later = entities.get_type(self.view, kind.rid).find_column(name)
        return next((one for one in kind.columns if later and one.rid in {later.rid, *later.was}), None)


def _features(on: Reading, state: State, chosen: Mapping[str, Selector]) -> dict[str, Feature]:
    named = {entry["name"]: entry for entry in state.manifest.content["features"]}
    found = {}
    for name in chosen:
        bare = name.rpartition(".")[2]
        found[name] = (
            get_feature(on.view, read_rid(named[bare]["feature"])) if bare in named else get_feature(on.view, bare)
        )
    return found
