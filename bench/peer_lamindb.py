"""LaminDB's part: the lineage of an artifact behind a diamond of so many layers. Runs in its own environment."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import lamindb_setup


def diamond(layers: int) -> dict[str, float]:
    """Seconds of gathering the lineage behind 1, 2, ... layers of two runs that both use both results before them."""
    lamindb_setup.init(storage=str(Path.cwd() / "storage"))
    # These need a store that is there.
    import lamindb  # noqa: PLC0415 - after its settings
    from lamindb.models.has_parents import _df_edges_from_runs, _get_all_parent_runs  # noqa: PLC0415 - as above

    # Without a network it would end here, asking whether the store that was just made is registered at its hub.
    lamindb_setup.settings.instance._is_on_hub = False  # noqa: SLF001 - it has no public switch
    transform = lamindb.Transform(key="bench", kind="pipeline").save()

    def make(name: str, sources: list[object]) -> object:
        run = lamindb.Run(transform).save()
        for source in sources:
            run.input_artifacts.add(source)
        path = Path(f"{name}.txt")
        path.write_text(name)
        return lamindb.Artifact(str(path), key=path.name, run=run).save()

    found: dict[str, float] = {}
    newest = [make("root", [])]
    for layer in range(1, layers + 1):
        newest = [make(f"{side}{layer}", newest) for side in "ab"]
        started = time.perf_counter()
        _df_edges_from_runs(_get_all_parent_runs(newest[0]))
        found[str(layer)] = time.perf_counter() - started
    return found


if __name__ == "__main__":
    print(json.dumps({"diamond": diamond}[sys.argv[1]](**json.loads(sys.argv[2]))))
