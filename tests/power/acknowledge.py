"""What a workload under the power-cut harness calls when it has promised something."""

from __future__ import annotations

import json
import os

_ACKS = os.open(os.environ["CG_POWER_ACKS"], os.O_WRONLY | os.O_APPEND)


def acknowledge(**promise: object) -> None:
    """Say that `promise` must be kept from now on, whatever happens to the power."""
    os.write(_ACKS, json.dumps(promise).encode())
