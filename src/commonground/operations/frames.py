"""Reading a state of a dataset as one wide table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from commonground.identity import read_rid
from commonground.operations.plans import Reading
from commonground.operations.releases import State, load_state
from commonground.structure import entities
from commonground.structure.features import Feature, get_feature
from commonground.structure.frames import Frame, build_frame
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
) -> Frame:
    """One row a member, with linked entities' columns and a column for each chosen feature; see structure/frames.py."""
    state = load_state(on, pin(on.view, dataset))
    chosen = dict(features or {})
    return build_frame(
        state,
        grain=grain,
        chosen=chosen,
        features=_features(on, state, chosen),
        types={kind.rid: kind.name for kind in entities.list_types(on.view)},
        columns=columns,
        missing=missing,
    )


def _features(on: Reading, state: State, chosen: Mapping[str, Selector]) -> dict[str, Feature]:
    named = {entry["name"]: entry for entry in state.manifest.content["features"]}
    found = {}
    for name in chosen:
        bare = name.rpartition(".")[2]
        found[name] = (
            get_feature(on.view, read_rid(named[bare]["feature"])) if bare in named else get_feature(on.view, bare)
        )
    return found
