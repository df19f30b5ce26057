"""An environment built again from what a run recorded: the interpreter and every package at its exact version.

Nothing is fetched: interpreters are those that uv or pyenv has, packages come from the cache of uv or from a folder
named by UV_FIND_LINKS. The cache of uv knows no package by its version alone if it was filled from a lock file; then
those that are installed here at the recorded version are taken from here. If that is not enough it is said what is
missing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

import commonground
from commonground.structure.environment import Environment

OURS: Final = "commonground"
PATIENCE_S: Final = 300
MOST_NAMED: Final = 20
_PINNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")
_VERSION = re.compile(r"\d[A-Za-z0-9.+]*")


@dataclass(frozen=True, slots=True)
class Built:
    """What came of building."""

    python: Path | None
    """The interpreter; None if it could not be built."""
    missing: tuple[str, ...]
    """What is not there."""


def build(recorded: Environment, present: Environment, folder: Path, paths: Sequence[str] = ()) -> Built:
    """Build the recorded environment in a folder, without the network.

    `present` says what there is instead, so that what is missing can be named; `paths` are where it has its modules.
    """
    version = recorded.python.get("version", "")
    tool = shutil.which("uv")
    if tool is None:
        return Built(None, ("uv, which builds an environment", *name_differences(recorded, present)))
    wanted = find_interpreter(recorded)
    made = wanted is not None and _run(tool, "venv", "--quiet", "--no-project", "--python", wanted, str(folder))
    python = folder / "bin" / "python"
    if not made or not python.exists():
        return Built(None, (f"Python {version} (not found)", *_packages(recorded, present)))
    loose = {name: text for name, text in recorded.packages.items() if not _PINNED.fullmatch(text)}
    foreign = tuple(f"{name} {text}" for name, text in loose.items() if name != OURS)
    if foreign:
        return Built(None, (*foreign[:MOST_NAMED], *_packages(recorded, present)))
    pins = {name: text for name, text in recorded.packages.items() if name not in loose}
    if not _install(tool, python, pins):
        left = _take_from_here(pins, recorded, present, paths, folder)
        if not _install(tool, python, left):
            return Built(None, name_differences(recorded, present) or ("packages that are not in the cache of uv",))
    if OURS in loose:
        add_ourselves(folder)
    return Built(python, ())


def find_interpreter(recorded: Environment) -> str | None:
    """How uv is asked for the recorded interpreter: where pyenv has it, else by implementation and version."""
    version, kind = recorded.python.get("version", ""), recorded.python.get("implementation", "CPython")
    if not _VERSION.fullmatch(version) or not kind.isalnum():
        return None
    home = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    kept = home / "versions" / version / "bin" / "python"
    return str(kept) if kind == "CPython" and kept.exists() else f"{kind.lower()}@{version}"


def _install(tool: str, python: Path, pins: Mapping[str, str]) -> bool:
    if not pins:
        return True
    listed = python.parents[1] / "pins.txt"
    listed.write_text("\n".join(f"{name}=={text}" for name, text in pins.items()), encoding="utf-8")
    return _run(tool, "pip", "install", "--quiet", "--no-deps", "--python", str(python), "-r", str(listed))


def _take_from_here(
    pins: Mapping[str, str], recorded: Environment, present: Environment, paths: Sequence[str], folder: Path
) -> dict[str, str]:
    """Put the packages that are here at their recorded version into the new environment; the others are returned."""
    if _abi(recorded) != _abi(present):
        return dict(pins)
    (site,) = folder.glob("lib/python*/site-packages")
    left = dict(pins)
    for package in metadata.distributions(path=list(paths)):
        # A folder that an uninstall left half behind has metadata without a name.
        name = re.sub(r"[-_.]+", "-", package.metadata["Name"] or "").lower()
        if left.get(name) == package.version == present.packages.get(name) and package.files:
            del left[name]
            for file in package.files:
                _link(Path(str(package.locate_file(file))), site / file, inside=site)
    return left


def _abi(environment: Environment) -> tuple[str, ...]:
    """What compiled packages are made for."""
    version = environment.python.get("version", "").split(".")
    return (environment.python.get("implementation", ""), *version[:2], environment.system.get("machine", ""))


def _link(source: Path, target: Path, *, inside: Path) -> None:
    target = Path(os.path.normpath(target))
    if not target.is_relative_to(inside) or target.exists() or not source.is_file():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


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


def add_ourselves(folder: Path) -> None:
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
