"""A second, real interpreter with the packages that are here, for tests: another minor version of CPython.

One that pyenv or uv has is taken; where there is none, uv installs one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from commonground.interfaces.rebuilding import OURS, add_ourselves
from commonground.structure.environment import capture

MINORS = tuple(f"3.{minor}" for minor in (12, 13, 11, 14) if minor != sys.version_info.minor)


def make_second_python(folder: Path) -> Path:
    """An environment of another minor version of CPython, with every package that is here at the same version."""
    _uv("venv", "--quiet", "--no-project", "--python", _find_interpreter(), str(folder))
    python = folder / "bin" / "python"
    pins = [f"{name}=={text}" for name, text in capture().packages.items() if name != OURS]
    (folder / "pins.txt").write_text("\n".join(pins))
    _uv("pip", "install", "--quiet", "--no-deps", "--python", str(python), "-r", str(folder / "pins.txt"))
    add_ourselves(folder)
    return python


def version_of(python: Path) -> str:
    """The version that an interpreter says it is of."""
    code = "import platform; print(platform.python_version())"
    return subprocess.run([python, "-I", "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def _find_interpreter() -> str:
    home = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for minor in MINORS:
        for kept in sorted(home.glob(f"{minor}.*/bin/python")):
            if version_of(kept).startswith(f"{minor}."):
                return str(kept)
        found = _uv("python", "find", "--no-project", "--no-python-downloads", f"cpython@{minor}", check=False)
        if found:
            return found
    _uv("python", "install", "--quiet", MINORS[0])
    return _uv("python", "find", "--no-project", f"cpython@{MINORS[0]}")


def _uv(*words: str, check: bool = True) -> str:
    done = subprocess.run(["uv", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout.strip() if done.returncode == 0 else ""
