"""Computed values of a re-run: a file of the run, so that the feature itself stays as it is."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from commonground.identity import Mint, Rid
from commonground.interfaces.client import outputs
from commonground.operations.session import Session
from commonground.operations.values import plan_annotation


def keep_values(session: Session, folder: Path, execution: Rid, told: Mapping[str, Any]) -> dict[str, Any]:
    """Computed values as a file of the run: columns entity and value, as the feature would store them."""
    columns = plan_annotation(session, execution, told).bulk[0].columns
    listed = {name: _plain(columns[name]) for name in ("entity", "value")}
    buffer = io.BytesIO()
    pq.write_table(pa.table(listed), buffer)
    mint: Mint = session.ground.mint
    name = f"{told['type']}.{told['feature']}.parquet"
    record = outputs.keep(folder, execution, mint, buffer.getvalue(), "values", name)
    record["edge"]["details"] = {"feature": told["feature"], "type": told["type"], "values": len(listed["entity"])}
    return record


def _plain(column: Iterable[Any]) -> list[Any]:
    listed: list[Any] = column.tolist() if isinstance(column, np.ndarray) else list(column)
    return listed
