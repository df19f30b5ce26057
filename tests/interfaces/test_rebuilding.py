"""A recorded environment is built again without the network, or what is missing is named."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from commonground.interfaces.rebuilding import build
from commonground.structure.environment import Environment, capture


@pytest.fixture(scope="module")
def present() -> Environment:
    """The environment of the tests."""
    return capture()


def test_the_recorded_interpreter_without_packages(present: Environment, tmp_path: Path) -> None:
    """An environment of the recorded interpreter is made that has none of the packages that are here."""
    built = build(replace(present, packages={}), present, tmp_path / "bare")
    assert built.missing == ()
    assert built.python is not None
    code = "import platform, importlib.metadata as m; print(platform.python_version(), len(list(m.distributions())))"
    said = subprocess.run([built.python, "-I", "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == [present.python["version"], "0"]


@pytest.mark.parametrize(
    ("name", "version", "told"),
    [
        ("commonground-no-such", "1.0", "commonground-no-such 1.0 (here not installed)"),
        ("numpy", "0.0.99", "numpy 0.0.99 (here {numpy})"),
        ("ours", "1.0 @ 0123abcd", "ours 1.0 @ 0123abcd"),
        ("theirs", "1.0 (editable)", "theirs 1.0 (editable)"),
    ],
)
def test_a_package_that_cannot_be_had_is_named(
    present: Environment, tmp_path: Path, name: str, version: str, told: str
) -> None:
    """A package that is nowhere, or that was no release, is named with what is here instead."""
    built = build(replace(present, packages={name: version}), present, tmp_path / "env")
    assert built.python is None
    assert built.missing[0] == told.format(numpy=present.packages["numpy"])


def test_an_interpreter_that_is_not_here_is_named(present: Environment, tmp_path: Path) -> None:
    """No other interpreter is taken in its place."""
    built = build(replace(present, python={**present.python, "version": "3.99.0"}), present, tmp_path / "env")
    assert (built.python, built.missing) == (None, ("Python 3.99.0 (not found)",))


def test_without_the_tool_that_is_told(present: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where uv is not installed, nothing is built and that is said."""
    monkeypatch.setenv("PATH", str(tmp_path))
    built = build(replace(present, packages={"scaling": "1.0"}), present, tmp_path / "env")
    assert built.python is None
    assert built.missing == ("uv, which builds an environment", "scaling 1.0 (here not installed)")
