"""What a version holds of very many values, which are put in order in files, is what memory would have put in order."""

from __future__ import annotations

import numpy as np

from commonground.operations.session import Session
from commonground.store.canonical import Column, table_digest
from commonground.structure import datasets, features
from commonground.structure.entities import get_type, list_rids
from commonground.structure.scopes import IN_MEMORY, VALUE_ORDER, list_parts, measure_scope
from commonground.structure.versions import load_manifest, measure_manifest, read_table, unseal

MEMBERS, OTHERS, EACH = 40, 5, 30_000


def fill(session: Session) -> None:
    """More values than memory puts in order, in batches that overlap.

    Some are replaced, some are of a duplicate, some of an entity that was withdrawn, and some of entities outside.
    """
    session.write("type add", name="Item")
    session.write("entity upsert", type="Item", keys=[f"i{number}" for number in range(MEMBERS + OTHERS)], columns={})
    session.write("feature add", name="grade", type="Item", holds="text")
    with session.reading() as on:
        rids = list_rids(on.view, get_type(on.view, "Item"))
    draw = np.random.default_rng(0)
    replaced: list[tuple[int, int]] = []
    for number in range(IN_MEMORY // EACH + 1):
        drawn = draw.integers(0, 5, EACH)
        reasons = [None if one % 3 else "blurred" for one in range(EACH)] if number % 2 else None
        told = {"values": [f"é{one}" for one in drawn], "reasons": reasons, "replaces": replaced}
        done = session.write("feature annotate", feature="grade", entities_=draw.choice(rids, EACH), **told)
        replaced = [(done.plan.args["batch"], ordinal) for ordinal in range(0, EACH, 1_000)]
    session.write("entity merge", type="Item", duplicate="i3", into="i7")
    members = [f"i{number}" for number in range(MEMBERS) if number != 3]
    session.write("dataset create", name="items", type="Item", keys=members, features=["grade"])
    session.write("entity withdraw", type="Item", keys=["i5"], reason="not one of ours")


def read_whole(session: Session) -> tuple[dict[str, list[object]], str]:
    """The values of the members as `read_values` has them, all at once, and their digest."""
    with session.reading() as on:
        feature = features.get_feature(on.view, "grade")
        scope = measure_scope(on.view, datasets.get_dataset(on.view, "items").rid)
        values = features.read_values(on.view, feature)
    values = values.take(np.isin(values.entity, scope.entities[feature.type]))
    nothing = {name: getattr(values, name) == 0 for name in ("rater", "at", "adjudicated", "origin")}
    nothing |= {"value": values.missing, "reason": values.without_reason}
    names = ("batch", "ordinal", "entity", "value", "rater", "at", "reason", "adjudicated", "origin", "told")
    types = {"value": "text", "reason": "text"}
    columns = []
    for name in names:
        cells = getattr(values, name)
        kept = cells.astype(np.int64) if cells.dtype == np.bool_ else cells
        columns.append(Column(name, types.get(name, "int"), kept, nothing.get(name)))
    rows = {
        column.name: [
            None if gone else cell
            for cell, gone in zip(
                column.values.tolist(),
                [False] * len(values) if column.missing is None else column.missing.tolist(),
                strict=True,
            )
        ]
        for column in columns
    }
    return rows, table_digest(columns, VALUE_ORDER)


def test_many_values_are_released_as_few_are(session: Session) -> None:
    """Digest and rows of a part that no portion of memory holds are those of all its values at once."""
    fill(session)
    rows, digest = read_whole(session)
    with session.reading() as on:
        scope = measure_scope(on.view, datasets.get_dataset(on.view, "items").rid)
        (part,) = [(part.rows, part.content) for part in list_parts(on.view, scope) if part.table.startswith("values/")]
    assert part == (len(rows["entity"]), digest)
    session.write("dataset release", dataset="items")
    with session.reading() as on:
        version = datasets.list_versions(on.view, datasets.get_dataset(on.view, "items").rid)[0]
        manifest = load_manifest(on.view, on.ground.blobs, version.manifest)
        name = next(name for name in manifest.table_names if name.startswith("values/"))
        assert read_table(on.ground.blobs, manifest, name).to_pydict() == rows
        assert unseal(on.view.connection, manifest).digest == measure_manifest(on.view, scope).digest
