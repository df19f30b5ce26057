"""Starts a recorded program again as `cg run` did: `python -m commonground.interfaces.run_again FILE`.

The file is JSON: study (folder), argv, name, inputs, params, person.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from commonground.interfaces.run_command import supervise


def main(path: str) -> int:
    """Run what the file says; returns the program's exit status."""
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    return supervise(
        Path(job["study"]),
        job["argv"],
        name=job["name"],
        inputs=job["inputs"],
        params=job["params"],
        person=job["person"],
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
