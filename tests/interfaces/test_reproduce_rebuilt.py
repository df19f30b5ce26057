"""Reproduction with a real second interpreter, and with packages installed again from the recorded pins."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from second_python import make_second_python, version_of

from commonground.identity import show_rid
from commonground.interfaces.reproduce_command import Asked, reproduce
from commonground.operations.reproducing import Reproduction
from commonground.operations.session import Session
from commonground.operations.studies import create_study
from commonground.structure.verdicts import Level, Outcome

pytestmark = pytest.mark.soak

TRAIN = """
    import argparse, sys
    import scaling
    import commonground as cg

    parser = argparse.ArgumentParser()
    parser.add_argument("--ridge", type=float, default=0.5)
    parser.add_argument("--plain", action="store_true")
    given = parser.parse_args()
    with cg.open() as study, study.run(params={"ridge": given.ridge}, name="slope") as run:
        # How many modules the standard library has is different in every minor version.
        modules = 1 if given.plain else len(sys.stdlib_module_names)
        run.log({"slope": modules * scaling.FACTOR / (1 + given.ridge)})
"""
FACTORS = {"1.0": 1.0, "2.0": 3.0}


class Scene:
    """A study, a script beside it, the wheels of a package at two versions, and two interpreters."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.session: Session = create_study(folder / "study", name="Test study")
        self.code = folder / "study" / "code"
        self.code.mkdir()
        (self.code / "train.py").write_text(textwrap.dedent(TRAIN))
        self.wheels = folder / "wheels"
        self.wheels.mkdir()
        for version, factor in FACTORS.items():
            self._make_package(version, factor)
        self.other = make_second_python(folder / "other")
        self.recorded: dict[str, str] = {}

    def _make_package(self, version: str, factor: float) -> None:
        about = f"scaling-{version}.dist-info"
        parts = {
            "scaling.py": f"FACTOR = {factor}\n",
            f"{about}/METADATA": f"Metadata-Version: 2.1\nName: scaling\nVersion: {version}\n",
            f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        listed = "".join(f"{name},,\n" for name in [*parts, f"{about}/RECORD"])
        with zipfile.ZipFile(self.wheels / f"scaling-{version}-py3-none-any.whl", "w") as wheel:
            for name, text in {**parts, f"{about}/RECORD": listed}.items():
                wheel.writestr(name, text)
            wheel.extractall(self.packages(version))

    def packages(self, version: str) -> Path:
        """The folder in which the package is installed at a version."""
        return self.folder / f"scaling-{version}"

    def record(self, *words: str, python: str | Path = sys.executable) -> str:
        """Run the script as people do, with scaling 1.0; the id of its execution."""
        key = f"{words} {python}"
        if key not in self.recorded:
            given = {**os.environ, "PYTHONPATH": str(self.packages("1.0"))}
            command = [str(python), "train.py", *words]
            done = subprocess.run(command, cwd=self.code, env=given, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            (newest, *_) = self.session.read("execution find", limit=1)
            self.recorded[key] = show_rid(newest.execution.rid)
        return self.recorded[key]

    def again(self, execution: str, **asked: Any) -> Reproduction:
        """Run it again."""
        return reproduce(self.session, execution, Asked(source=self.code, **asked))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The scene, made once."""
    scene = Scene(tmp_path_factory.mktemp("rebuilt"))
    yield scene
    scene.session.ground.close()


@pytest.fixture
def scene(whole: Scene, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """The same, with scaling 1.0 installed here and nothing of it to be had elsewhere."""
    install(whole, monkeypatch, "1.0")
    monkeypatch.delenv("UV_FIND_LINKS", raising=False)
    return whole


def install(scene: Scene, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    """Have the package installed here at a version."""
    monkeypatch.setenv("PYTHONPATH", str(scene.packages(version)))


def axes_of(found: Reproduction) -> set[str]:
    """The axes that are said to differ."""
    return {one.axis for one in found.verdict.axes}


def told(found: Reproduction) -> tuple[Outcome, str | None, set[str], Level | None]:
    """What a reproduction claims."""
    verdict = found.verdict
    return verdict.outcome, verdict.cause, axes_of(found), verdict.level


def test_another_interpreter_is_the_cause(scene: Scene) -> None:
    """A run of this interpreter, run again by another minor version, differs because of the interpreter alone."""
    found = scene.again(scene.record(), python=str(scene.other))
    assert told(found) == (Outcome.DIFFERENT, "interpreter", {"interpreter"}, Level.NOT_REBUILT), found.verdict
    (axis,) = found.verdict.axes
    assert axis.items == (("version", version_of(Path(sys.executable)), version_of(scene.other)),)


def test_another_interpreter_that_does_no_harm(scene: Scene) -> None:
    """If the figures do not depend on the interpreter the run is identical, and the interpreter is told as a fact."""
    found = scene.again(scene.record("--plain"), python=str(scene.other))
    assert told(found) == (Outcome.IDENTICAL, None, {"interpreter"}, Level.NOT_REBUILT), found.verdict


def test_interpreter_and_parameter_at_once(scene: Scene) -> None:
    """Of two axes that differ together neither is called the cause."""
    found = scene.again(scene.record(), python=str(scene.other), params={"ridge": 9.0})
    assert told(found) == (Outcome.DIFFERENT, None, {"interpreter", "parameters"}, Level.NOT_REBUILT), found.verdict


def test_the_recorded_interpreter_is_built_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of another minor version is run again by that version, which is here, and comes out identical."""
    monkeypatch.setenv("UV_FIND_LINKS", str(scene.wheels))
    execution = scene.record(python=scene.other)
    found = scene.again(execution)
    assert told(found) == (Outcome.IDENTICAL, None, set(), Level.REBUILT), found.verdict
    assert found.verdict.missing == ()
    present = scene.again(execution, present_packages=True)
    assert told(present) == (Outcome.DIFFERENT, "interpreter", {"interpreter"}, Level.NOT_REBUILT), present.verdict


def test_a_package_is_installed_again_from_its_pin(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """With another version installed here, the recorded one is installed in an environment of its own and used."""
    execution = scene.record()
    install(scene, monkeypatch, "2.0")
    lacking = scene.again(execution)
    assert told(lacking) == (Outcome.DIFFERENT, "packages", {"packages"}, Level.NOT_REBUILT), lacking.verdict
    assert lacking.verdict.missing == ("scaling 1.0 (here 2.0)",)
    monkeypatch.setenv("UV_FIND_LINKS", str(scene.wheels))
    found = scene.again(execution)
    assert told(found) == (Outcome.IDENTICAL, None, set(), Level.REBUILT), found.verdict
    other = scene.again(execution, params={"ridge": 9.0})
    assert told(other) == (Outcome.DIFFERENT, "parameters", {"parameters"}, Level.REBUILT), other.verdict


def test_what_is_installed_here_is_taken_from_here(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the cache of uv knows no package, those that are here at the recorded version are taken from here."""
    execution = scene.record()
    install(scene, monkeypatch, "2.0")
    monkeypatch.setenv("UV_FIND_LINKS", str(scene.wheels))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "empty"))
    found = scene.again(execution)
    assert told(found) == (Outcome.IDENTICAL, None, set(), Level.REBUILT), found.verdict
