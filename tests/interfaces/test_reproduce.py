"""`cg reproduce`: one changed axis at a time, two at once, harmless changes and chance; every verdict must be right."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from commonground.errors import Conflict, InvalidInput, NotFound
from commonground.identity import show_rid
from commonground.interfaces.client.study import Study
from commonground.interfaces.reproduce_command import Asked, reproduce
from commonground.operations.reproducing import Reproduction
from commonground.operations.session import Session
from commonground.operations.studies import create_study, open_study
from commonground.structure import tables
from commonground.structure.screen import is_withheld
from commonground.structure.verdicts import Level, Outcome

TRAIN = """
    import argparse, platform
    import numpy as np
    import scaling
    import commonground as cg

    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="nodules")
    parser.add_argument("--ridge", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with cg.open() as study:
        params = {"ridge": given.ridge, "seed": given.seed}
        with study.run(intent="Does size tell?", inputs=[given.data], params=params, name="slope") as run:
            table = run.input(given.data).frame(features={"malignancy": cg.newest()}, columns=["size"])
            size, target = table["size"].to_numpy(), table["malignancy"].to_numpy()
            random = np.random.default_rng(None if given.seed < 0 else given.seed)
            weight = random.random(len(size))
            slope = (weight * size * target).sum() / ((weight * size * size).sum() + given.ridge)
            slope = slope * scaling.FACTOR
            if platform.python_version() == "3.99.0":
                slope = slope + 1
            run.log({"slope": slope, "rows": len(size)})
            run.annotate("Nodule", "predicted", (table["rid"], slope * size))
            run.save(np.float64(slope).tobytes(), name="slope.bin", kind="model")
"""
OLDER_PYTHON = """
    import platform
    platform.python_version = lambda: "3.99.0"
"""
KEYS = [f"n{number}" for number in range(12)]


@dataclass
class Scene:
    """A study, and beside it a repository with a training script and a package at two versions."""

    folder: Path
    session: Session
    recorded: dict[str, str] = field(default_factory=dict)

    @property
    def code(self) -> Path:
        """The repository."""
        return self.folder / "code"

    def git(self, *words: str) -> None:
        """Run git in the repository."""
        named = {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        given = {**os.environ, **named, "GIT_CONFIG_GLOBAL": os.devnull}
        subprocess.run(["git", *words], cwd=self.code, env=given, check=True, capture_output=True)

    def commit(self, name: str, text: str) -> None:
        """Write a file and commit it."""
        (self.code / name).write_text(textwrap.dedent(text))
        self.git("add", name)
        self.git("commit", "-qm", "a change")

    def record(self, *words: str, paths: Sequence[str] = ("scaling-1.0",)) -> str:
        """Run the script as people do; the id of its execution."""
        key = f"{words} {paths}"
        if key not in self.recorded:
            where = os.pathsep.join(str(self.folder / "packages" / path) for path in paths)
            done = subprocess.run(
                [sys.executable, "train.py", *words],
                cwd=self.code,
                env={**os.environ, "PYTHONPATH": where},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            (newest, *_) = self.session.read("execution find", filter="", limit=1)
            self.recorded[key] = show_rid(newest.execution.rid)
        return self.recorded[key]

    def again(self, execution: str, **asked: Any) -> Reproduction:
        """Run it again."""
        return reproduce(self.session, execution, Asked(source=self.code, **asked))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Two releases of a dataset, a committed script, and scaling 1.0 and 2.0."""
    folder = tmp_path_factory.mktemp("again")
    session = create_study(folder / "study", name="Test study")
    session.write("type add", name="Nodule", columns=[{"name": "size", "holds": "real"}])
    sizes = [float(number + 1) for number in range(len(KEYS))]
    session.write("entity upsert", type="Nodule", keys=KEYS, columns={"size": sizes})
    session.write("feature add", name="malignancy", type="Nodule", holds="int")
    grades = [1, 5, 2, 4, 3, 3, 1, 2, 5, 4, 2, 1]
    session.write("feature annotate", feature="malignancy", type="Nodule", keys=KEYS, values=grades)
    session.write("dataset create", name="nodules", type="Nodule", keys=KEYS[:8], features=["malignancy"])
    session.write("dataset release", dataset="nodules")
    scene = Scene(folder / "study", session)
    scene.code.mkdir()
    scene.git("init", "-q", "-b", "main")
    scene.commit("train.py", TRAIN)
    for version, factor in (("1.0", 1.0), ("2.0", 3.0)):
        place = scene.folder / "packages" / f"scaling-{version}"
        (place / f"scaling-{version}.dist-info").mkdir(parents=True)
        (place / "scaling.py").write_text(f"FACTOR = {factor}\n")
    other = scene.folder / "packages" / "other-python"
    other.mkdir()
    (other / "sitecustomize.py").write_text(textwrap.dedent(OLDER_PYTHON))
    scene.record()
    session.write("dataset add", dataset="nodules", type="Nodule", keys=KEYS[8:])
    session.write("dataset release", dataset="nodules")
    yield scene
    session.ground.close()


@pytest.fixture
def scene(whole: Scene, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """The same, with scaling 1.0 installed and the repository as committed."""
    monkeypatch.setenv("PYTHONPATH", str(whole.folder / "packages" / "scaling-1.0"))
    yield whole
    whole.git("checkout", "-q", "--force", "main")
    whole.git("clean", "-qfd")


def use_scaling_2(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the other version of the package."""
    monkeypatch.setenv("PYTHONPATH", str(scene.folder / "packages" / "scaling-2.0"))


def change_harmlessly(scene: Scene, _: pytest.MonkeyPatch) -> None:
    """A comment, an empty line and a file that nothing reads."""
    edit(scene, "import numpy as np", "import numpy as np  # for the sums\n\n")
    (scene.code / "notes.md").write_text("Nothing.")


def edit(scene: Scene, old: str, new: str) -> None:
    """Change the script without committing."""
    path = scene.code / "train.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def axes_of(found: Reproduction) -> set[str]:
    """The axes that are said to differ."""
    return {one.axis for one in found.verdict.axes}


CASES: dict[str, tuple[dict[str, Any], Callable[[Scene, pytest.MonkeyPatch], None] | None, Outcome, set[str]]] = {
    "code edited, recorded code": (
        {},
        lambda scene, _: edit(scene, "slope * scaling.FACTOR", "slope * 7"),
        Outcome.IDENTICAL,
        set(),
    ),
    "code": (
        {"present_code": True},
        lambda scene, _: edit(scene, "slope * scaling.FACTOR", "slope * 7"),
        Outcome.DIFFERENT,
        {"code"},
    ),
    "data": ({"data": ["nodules@2.0.0"]}, None, Outcome.DIFFERENT, {"data"}),
    "parameter": ({"params": {"ridge": 5.0}}, None, Outcome.DIFFERENT, {"parameters"}),
    "seed": ({"params": {"seed": 1}}, None, Outcome.DIFFERENT, {"seed"}),
    "package": ({}, use_scaling_2, Outcome.DIFFERENT, {"packages"}),
    "two at once": (
        {"params": {"ridge": 5.0}, "data": ["nodules@2.0.0"]},
        None,
        Outcome.DIFFERENT,
        {"parameters", "data"},
    ),
    "harmless comment and file": (
        {"present_code": True},
        change_harmlessly,
        Outcome.IDENTICAL,
        {"code"},
    ),
}  # fmt: skip
LONG = {"package", "code edited, recorded code", "two at once"}
"""They run the script more often than the others."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.soak] * (name in LONG)) for name in CASES])
def test_one_axis_at_a_time(scene: Scene, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Each changed axis is named; it is the cause only of a difference, and only if it is alone."""
    asked, change, outcome, axes = CASES[name]
    execution = scene.record()
    if change is not None:
        change(scene, monkeypatch)
    found = scene.again(execution, **asked)
    assert (found.verdict.outcome, axes_of(found)) == (outcome, axes), found.verdict
    alone = outcome is Outcome.DIFFERENT and len(axes) == 1
    assert found.verdict.cause == (next(iter(axes)) if alone else None)
    assert found.verdict.runs == (2 if outcome is Outcome.DIFFERENT else 1)
    if name == "package":
        assert found.verdict.level is Level.NOT_REBUILT
        assert found.verdict.missing == ("scaling 1.0 (here 2.0)",)


@pytest.mark.soak
def test_another_interpreter(scene: Scene) -> None:
    """A run of another interpreter is told as not rebuildable, and the interpreter as the cause of the difference."""
    found = scene.again(scene.record("--data", "nodules@1.0.0", paths=("scaling-1.0", "other-python")))
    assert (found.verdict.outcome, found.verdict.cause) == (Outcome.DIFFERENT, "interpreter")
    assert found.verdict.level is Level.NOT_REBUILT
    assert found.verdict.missing[0].startswith("Python 3.99.0")


@pytest.mark.soak
def test_unseeded_training_varies_by_itself(scene: Scene) -> None:
    """A run without a seed is not called different: the re-runs differ from one another, and by how much is told."""
    found = scene.again(scene.record("--seed", "-1"))
    assert (found.verdict.outcome, found.verdict.cause, axes_of(found)) == (Outcome.VARIES, None, set())
    (slope,) = [one for one in found.verdict.spread if one.name == "slope"]
    assert slope.lowest < slope.highest
    assert found.verdict.runs == 2


def test_nothing_changed_and_nothing_is_overwritten(scene: Scene) -> None:
    """All figures and bytes come out again although a newer release is current, and names mean what they meant.

    The verdict is an execution of its own, with who and when, listed with the old one, also for another process.
    """
    execution = scene.record()
    before = look(scene.session, execution)
    found = scene.again(execution)
    assert (found.verdict.outcome, found.verdict.level, axes_of(found)) == (Outcome.IDENTICAL, Level.SAME, set())
    assert (found.verdict.departures, found.verdict.runs, found.person) == ((), 1, "Tester")
    assert look(scene.session, execution) == before
    (run,) = found.runs
    record = scene.session.read("execution get", execution=run.rid)
    assert [edge.details["reference"] for edge, _ in record.inputs] == ["nodules@1.0.0"]
    assert (run.parent, run.details["reproduces"]) == (found.rid, execution)
    other = open_study(scene.folder)
    try:
        assert found in other.read("execution reproductions", execution=execution)
    finally:
        other.ground.close()


def look(session: Session, execution: str) -> tuple[Any, ...]:
    """What a reproduction must leave alone."""
    record = session.read("execution get", execution=execution)
    with session.ground.view() as view:
        values = view.rows(tables.value_real.select())
        named = view.list_rows(tables.asset, tables.asset.c.name == "slope.bin")
        inputs = view.list_rows(tables.execution, tables.execution.c.name == "slope")
    return record.execution, record.metrics, len(values), [row.rid for row in named], len(inputs)


def test_missing_inputs_are_refused_by_name(scene: Scene) -> None:
    """Data whose bytes are gone is named, nothing is run, and the refusal is on record."""
    execution = scene.record()
    files = scene.session.read("dataset files", version="nodules@1.0.0")
    path = Path(files[0]["path"])
    kept, mode = path.read_bytes(), path.stat().st_mode
    path.chmod(0o600)
    path.write_bytes(b"x" + kept[1:])
    try:
        found = scene.again(execution)
    finally:
        path.write_bytes(kept)
        path.chmod(mode)
    assert (found.verdict.outcome, found.runs) == (Outcome.NOT_POSSIBLE, ())
    assert found.verdict.missing[0].startswith("nodules@1.0.0: ")


def test_requests_that_cannot_be_carried_out(scene: Scene) -> None:
    """An unknown parameter, data in nobody's place and a run that still runs are refused, and nothing is recorded."""
    execution = scene.record()
    before = len(scene.session.read("execution find", limit=1000))
    with pytest.raises(InvalidInput, match="no parameter trees"):
        scene.again(execution, params={"trees": 3})
    with pytest.raises(NotFound):
        scene.again(execution, data=["slope.bin"])
    running = scene.session.write("execution start", name="by hand").plan.args["execution"]["rid"]
    with pytest.raises(Conflict, match="still runs"):
        scene.again(show_rid(running))
    scene.session.write("execution finish", execution=running)
    assert len(scene.session.read("execution find", limit=1000)) == before + 1


def test_the_client_and_the_pages_of_an_execution_tell_of_it(scene: Scene) -> None:
    """`study.reproduce` does what the command does; `show` and `why` of the execution list the verdicts."""
    study = Study(scene.session)
    execution = scene.record("--ridge", "0.2")
    found = study.reproduce(execution, params={"ridge": 5.0}, source=str(scene.code), why="What if?")
    assert (found.verdict.cause, found.why) == ("parameters", "What if?")
    told = "different because of the parameters (same environment)"
    assert told in [fact.value for fact in study.show(execution).facts]
    assert told in [point.answer for point in study.why(execution).points]
    with pytest.raises(InvalidInput, match="no seeds"):
        study.reproduce(execution, seeds=3)


@pytest.mark.soak
def test_a_parameter_that_was_not_kept_is_no_obstacle(scene: Scene) -> None:
    """A run with a withheld parameter is run again, and it is said that this parameter could not be compared.

    Given on purpose, it reaches the program and no record.
    """
    train = textwrap.dedent(TRAIN).replace('"--seed"', '"--password", default="sesame")\nparser.add_argument("--seed"')
    scene.commit("train.py", train.replace('"seed": given.seed}', '"seed": given.seed, "password": given.password}'))
    execution = scene.record("--ridge", "0.375")
    record = scene.session.read("execution get", execution=execution)
    assert is_withheld(record.params["password"])
    assert record.execution.details["withheld"] == {"parameter password": "secret"}
    found = scene.again(execution)
    assert (found.verdict.outcome, found.verdict.axes, found.verdict.unknown) == (
        Outcome.IDENTICAL,
        (),
        ("parameters",),
    )
    assert any("the parameters password" in fact for fact in found.verdict.facts)
    found = scene.again(execution, params={"password": "open-barley"})
    assert found.verdict.outcome is Outcome.IDENTICAL
    assert found.asked == {"params": {"password": "[removed: secret]"}}
    # In a process of its own: to close a database's file that is open here would let go of SQLite's locks on it.
    catalogue = sorted(str(path) for path in scene.folder.rglob("catalogue.sqlite*"))
    assert b"open-barley" not in subprocess.run(["cat", *catalogue], check=True, capture_output=True).stdout


def test_code_that_asks_for_other_data_is_refused(scene: Scene) -> None:
    """Inside a reproduction an input that was not recorded is refused, by name, and the start that failed is kept."""
    execution = scene.record()
    edit(scene, "inputs=[given.data]", 'inputs=["nodules@2.0.0"]')
    found = scene.again(execution, present_code=True)
    assert found.verdict.outcome is Outcome.FAILED
    assert found.verdict.reason is not None
    assert "nodules@2.0.0 was not used" in found.verdict.reason


def supervise(scene: Scene, *words: str) -> str:
    """Run a script under `cg run`; the id of its execution."""
    job = "from pathlib import Path; import sys; from commonground.interfaces.run_command import supervise;"
    command = f"{job} supervise(Path({str(scene.folder)!r}), [sys.executable, *{words!r}])"
    subprocess.run([sys.executable, "-c", command], check=True, capture_output=True, cwd=scene.code)
    (newest, *_) = scene.session.read("execution find", limit=1)
    return show_rid(newest.execution.rid)


def test_a_program_started_by_cg_run(scene: Scene) -> None:
    """A script that knows nothing of us is started again as `cg run` did, and a crash is told with its reason."""
    scene.commit("plain.py", "import sys\nprint('done')\nsys.exit(int(sys.argv[1]))\n")
    assert scene.again(supervise(scene, "plain.py", "0")).verdict.outcome is Outcome.IDENTICAL
    found = scene.again(supervise(scene, "plain.py", "3"))
    assert found.verdict.outcome is Outcome.FAILED
    assert found.verdict.reason is not None
    assert "exit status 3" in found.verdict.reason


@pytest.mark.soak
def test_a_script_with_a_run_of_its_own_under_cg_run(scene: Scene) -> None:
    """What the script recorded of itself is compared, and it uses the version it used."""
    found = scene.again(supervise(scene, "train.py", "--data", "nodules@1.0.0"))
    assert (found.verdict.outcome, axes_of(found)) == (Outcome.IDENTICAL, set())
    (run,) = found.runs
    record = scene.session.read("execution get", execution=run.rid)
    assert [edge.details["reference"] for edge, _ in record.inputs] == ["nodules@1.0.0"]
    assert set(record.metrics) == {"slope", "rows"}
