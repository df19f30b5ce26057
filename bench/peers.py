"""Other tools, each in a virtual environment of its own outside the project, made once and kept in the temp folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from bench.measuring import UNUSUAL, say

VERSIONS = {"mlflow": "mlflow-skinny==3.17.2", "dvc": "dvc==3.67.1", "lamindb": "lamindb==2.12.1"}
BESIDES = {"mlflow": ("sqlalchemy", "alembic", "sqlparse")}
"""What the slim MLflow needs for its own SQLite store."""
HERE = Path(__file__).parent


class Absent(Exception):
    """A tool that could not be installed or could not do the task; the text says why."""


def run_peer(name: str, task: str, folder: Path, *, seconds: int = 600, **given: Any) -> Any:  # noqa: ANN401 - JSON
    """Carry out a task of `peer_NAME.py` in the tool's environment; its last line of output is the answer, as JSON."""
    python = _environment(name)
    folder.mkdir(parents=True, exist_ok=True)
    home = folder / "home"
    home.mkdir(exist_ok=True)
    quiet = {"DVC_NO_ANALYTICS": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "GIT_CONFIG_NOSYSTEM": "1"}
    environment = {**os.environ, "HOME": str(home), **quiet}
    for word in ("PYTHONPATH", *UNUSUAL):
        environment.pop(word, None)
    command = [str(python), str(HERE / f"peer_{name}.py"), task, json.dumps(given)]
    work = folder / "work"
    work.mkdir(exist_ok=True)
    try:
        done = subprocess.run(
            command, cwd=work, env=environment, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise Absent(f"{name} had not finished after {seconds} s") from None
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()
        raise Absent(f"{name} failed: {lines[-1][:200]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def _environment(name: str) -> Path:
    place = Path(os.environ.get("CG_BENCH_PEERS") or Path(tempfile.gettempdir()) / "commonground-bench-peers") / name
    python = place / "bin" / "python"
    if (place / "complete").exists():
        return python
    uv = shutil.which("uv")
    if uv is None:
        raise Absent(f"{name} needs uv to be installed")
    say(f"installing {VERSIONS[name]}")
    packages = [VERSIONS[name], *BESIDES.get(name, ())]
    for command in (
        [uv, "venv", "--quiet", "--clear", "--python", "3.11", str(place)],
        [uv, "pip", "install", "--quiet", "--python", str(python), *packages],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Absent(f"{VERSIONS[name]} cannot be installed: {done.stderr.strip().splitlines()[-1][:200]}")
    (place / "complete").touch()
    return python
