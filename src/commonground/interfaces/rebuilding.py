"""An environment built again from what a run recorded: the interpreter and every package at its exact version.

Nothing is fetched: what lies in the cache of uv is used, and if that is not enough it is said what is missing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import commonground
from commonground.structure.environment import Environment

OURS: Final = "commonground"
PATIENCE_S: Final = 300
MOST_NAMED: Final = 20
_PINNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")


@dataclass(frozen=True, slots=True)
class Built:
    """What came of building."""

    python: Path | None
    """The interpreter; None if it could not be built."""
    missing: tuple[str, ...]
    """What is not there."""


def build(recorded: Environment, present: Environment, folder: Path) -> Built:
    """Build the recorded environment in a folder, without the network.

    `present` says what there is instead, so that what is missing can be named.
    """
    version = recorded.python.get("version", "")
    tool = shutil.which("uv")
    if tool is None:
        return Built(None, ("uv, which builds an environment", *name_differences(recorded, present)))
    made = _run(tool, "venv", "--quiet", "--no-project", "--python", version, str(folder))
    python = folder / "bin" / "python"
    if not made or not python.exists():
        return Built(None, (f"Python {version} (not found)", *_packages(recorded, present)))
    loose = {name: text for name, text in recorded.packages.items() if not _PINNED.fullmatch(text)}
    foreign = tuple(f"{name} {text}" for name, text in loose.items() if name != OURS)
    if foreign:
        return Built(None, (*foreign[:MOST_NAMED], *_packages(recorded, present)))
    pins = [f"{name}=={text}" for name, text in recorded.packages.items() if name not in loose]
    listed = folder / "pins.txt"
    listed.write_text("\n".join(pins), encoding="utf-8")
    installed = not pins or _run(
        tool, "pip", "install", "--quiet", "--no-deps", "--python", str(python), "-r", str(listed)
    )
    if not installed:
        return Built(None, name_differences(recorded, present) or ("packages that are not in the cache of uv",))
    if OURS in loose:
        _add_ourselves(folder)
    return Built(python, ())


def name_differences(recorded: Environment, present: Environment) -> tuple[str, ...]:
    """The interpreter and the packages that are not here as they were, with what is here instead."""
    version, here = recorded.python.get("version"), present.python.get("version")
    interpreter = (f"Python {version} (here {here})",) if version != here else ()
    return interpreter + _packages(recorded, present)


def _packages(recorded: Environment, present: Environment) -> tuple[str, ...]:
    wanted: Mapping[str, str] = recorded.packages
    names = [name for name, text in wanted.items() if present.packages.get(name) != text]
    told = [f"{name} {wanted[name]} (here {present.packages.get(name, 'not installed')})" for name in names]
    more = [f"{len(told) - MOST_NAMED} more packages"] if len(told) > MOST_NAMED else []
    return (*told[:MOST_NAMED], *more)


def _add_ourselves(folder: Path) -> None:
    """Make this package known in an environment, where it is worked on from its sources."""
    source = Path(commonground.__file__).resolve().parents[1]
    for site in folder.glob("lib/python*/site-packages"):
        (site / f"{OURS}.pth").write_text(f"{source}\n", encoding="utf-8")
        for told in Path(sysconfig.get_path("purelib")).glob(f"{OURS}-*.dist-info"):
            shutil.copytree(told, site / told.name)


def _run(*words: str) -> bool:
    command: Sequence[str] = (words[0], *words[1:])
    environment = {**os.environ, "UV_OFFLINE": "1", "UV_PYTHON_DOWNLOADS": "never", "UV_NO_CONFIG": "1"}
    try:
        done = subprocess.run(
            command, capture_output=True, env=environment, timeout=PATIENCE_S, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
