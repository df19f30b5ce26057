"""What plain data is, for annotations: what JSON has words for, and what a cell of a table holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Plain = None | bool | int | float | str | Sequence["Plain"] | Mapping[str, "Plain"]
"""What JSON has words for."""
Cell = None | bool | int | float | str
"""A value of a column or a feature, as it is stored or as people read it."""
