"""numpy and pyarrow, loaded by whoever first uses them: `cg show` and its like need neither, and would wait for both.

`from commonground.late import np` stands for `import numpy as np` in a module that commands without arrays load
too. Types may name it in annotations; a value that is made when a module loads may not, as that would load it.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

__all__ = ["ds", "np", "npt", "pa", "pq"]


class Late(ModuleType):
    """A module that is imported at the first look into it; what was found is kept."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
        # Import itself lets one thread in at a time, so that all of them see the module whole.
        module = importlib.import_module(self.__name__)
        value = getattr(module, name)
        self.__dict__[name] = value
        return value


if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq
else:
    np, npt = Late("numpy"), Late("numpy.typing")
    pa, pq, ds = Late("pyarrow"), Late("pyarrow.parquet"), Late("pyarrow.dataset")
