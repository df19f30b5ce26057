"""Common Ground keeps a collaborative machine-learning study reproducible and understood.

    import commonground as cg

    study = cg.open("lung-nodules")
    with study.run(intent="Does size alone tell?", inputs=["nodules@1.0.0"]) as run:
        nodules = run.input("nodules").frame(features={"malignancy": cg.median(ties="drop")})

Public names load when they are first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from commonground.errors import (
        Ambiguous,
        BrokenFile,
        Busy,
        CommonGroundError,
        Conflict,
        Corrupt,
        Frozen,
        InvalidInput,
        MissingExtra,
        NotAllowed,
        NotFound,
        NotReproducible,
        SchemaTooNew,
        SchemaTooOld,
        StorageError,
        StorageFull,
        UnsafeEngine,
        UnsafePath,
        UnsafePlace,
    )
    from commonground.exchange.data_frames import to_pandas, to_polars
    from commonground.interfaces.client.run import Run, current_run
    from commonground.interfaces.client.study import Study, init, open  # noqa: A004 - `cg.open` is what people type
    from commonground.interfaces.notebook import Shell
    from commonground.structure.selectors import (
        Selector,
        adjudicated,
        by_author,
        by_execution,
        majority,
        median,
        newest,
    )

_HOMES = (
    "errors",
    "structure.selectors",
    "exchange.data_frames",
    "interfaces.client.run",
    "interfaces.client.study",
)
"""Where public names live, the light before the heavy: a name is looked for in this order."""

__all__ = [
    "Ambiguous",
    "BrokenFile",
    "Busy",
    "CommonGroundError",
    "Conflict",
    "Corrupt",
    "Frozen",
    "InvalidInput",
    "MissingExtra",
    "NotAllowed",
    "NotFound",
    "NotReproducible",
    "Run",
    "SchemaTooNew",
    "SchemaTooOld",
    "Selector",
    "StorageError",
    "StorageFull",
    "Study",
    "UnsafeEngine",
    "UnsafePath",
    "UnsafePlace",
    "adjudicated",
    "by_author",
    "by_execution",
    "current_run",
    "init",
    "load_ipython_extension",
    "majority",
    "median",
    "newest",
    "open",
    "to_pandas",
    "to_polars",
    "unload_ipython_extension",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    for home in _HOMES if name in __all__ else ():
        module = importlib.import_module(f"commonground.{home}")
        if hasattr(module, name):
            globals()[name] = getattr(module, name)
            return globals()[name]
    raise AttributeError(f"module 'commonground' has no attribute {name!r}")


def load_ipython_extension(shell: Shell) -> None:
    """`%load_ext commonground`: record this notebook's cells in the nearest study."""
    importlib.import_module("commonground.interfaces.notebook").load(shell)


def unload_ipython_extension(shell: Shell) -> None:
    """`%unload_ext commonground`: stop recording."""
    importlib.import_module("commonground.interfaces.notebook").unload(shell)


def __dir__() -> list[str]:
    return sorted(__all__)
