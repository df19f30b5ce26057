"""How a recorded command line is started again: where it runs, what is replaced, what is put in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from commonground.errors import InvalidInput
from commonground.interfaces.rerun import build_command, build_variables, find_paths, merge_params, pick_attempt
from commonground.operations.execution_reading import ExecutionRecord
from commonground.operations.recipes import Recipe
from commonground.structure.code_state import CodeState, EntryPoint
from commonground.structure.environment import capture
from commonground.structure.execution_states import Status
from commonground.structure.executions import Execution
from commonground.structure.workflows import Workflow

CODE = Path("/fresh/code")
PYTHON = "/usr/bin/python3"


def make_record(*argv: str, name: str = "train", told: str | None = None, **more: Any) -> ExecutionRecord:
    """An execution with this command line."""
    one = Execution(
        rid=7,
        workflow=8,
        person=9,
        name=name,
        status=Status.FINISHED,
        reason=None,
        scratch=False,
        parent=None,
        place="here",
        environment=None,
        argv=argv,
        seed=None,
        started_at=0,
        ended_at=1,
        details={},
    )
    code = Workflow(8, "train", None, None, "t", told, dirty=False, code="c")
    found = ExecutionRecord(one, None, None, code, {"trees": 3, "min_leaf": 1}, {}, (), (), ())
    return replace(found, **more)


def make_recipe(entry: str | None, *argv: str, told: str | None = None, launched: bool = False) -> Recipe:
    """The recipe of a command line whose script lies at `entry` below the code."""
    point = EntryPoint(entry, None, inside=True) if entry else None
    state = CodeState(
        repository=None,
        commit=None,
        branch=None,
        dirty=False,
        tree="t",
        entry=point,
        diff="",
        diff_removed=(),
        kept=(),
        not_kept=(),
        not_kept_count=0,
        counted_all=True,
        notes=(),
    )
    record = make_record(*argv, told=told or entry)
    return Recipe(record, launched, (), {}, (), state, None, (), ())


@pytest.mark.parametrize(
    ("entry", "argv", "words", "where"),
    [
        ("train.py", ["python", "train.py", "--a"], [PYTHON, "train.py", "--a"], CODE),
        ("a/train.py", ["python", "train.py"], [PYTHON, "train.py"], CODE / "a"),
        ("a/b/train.py", ["python3.11", "b/train.py"], [PYTHON, "b/train.py"], CODE / "a"),
        ("a/train.py", ["/old/bin/python3", "/old/a/train.py"], [PYTHON, "/fresh/code/a/train.py"], CODE / "a"),
        ("run.sh", ["./run.sh", "x"], ["/fresh/code/run.sh", "x"], CODE),
        ("run.sh", ["bash", "run.sh"], ["bash", "run.sh"], CODE),
    ],
)
def test_a_script_is_found_in_the_fresh_code(entry: str, argv: list[str], words: list[str], where: Path) -> None:
    """The interpreter is replaced and the script is the fresh one, started from the folder it was started from."""
    assert build_command(make_recipe(entry, *argv), CODE, PYTHON, {}) == (words, where)


def test_a_module_stays_a_module(tmp_path: Path) -> None:
    """`-m package.train` is started as that, from where its outermost package lies, by itself and under `cg run`."""
    recipe = make_recipe("src/pkg/fit.py", "python", "/old/src/pkg/fit.py", "--a", told="src/pkg/fit.py -m pkg.fit")
    assert build_command(recipe, CODE, PYTHON, {}) == ([PYTHON, "-m", "pkg.fit", "--a"], CODE / "src")
    (tmp_path / "src" / "pkg").mkdir(parents=True)
    (tmp_path / "src" / "pkg" / "__main__.py").touch()
    launched = make_recipe(None, "python", "-m", "pkg", "--a", told="-m pkg", launched=True)
    assert build_command(launched, tmp_path, PYTHON, {}) == ([PYTHON, "-m", "pkg", "--a"], tmp_path / "src")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--trees", "3"], ["--trees", "5"]),
        (["--trees=3", "--other"], ["--trees=5", "--other"]),
        (["trees=3"], ["trees=5"]),
        (["-trees", "3"], ["-trees", "5"]),
        (["--other", "trees"], ["--other", "trees", "--trees", "5"]),
        ([], ["--trees", "5"]),
    ],
)
def test_parameters_are_put_in(given: list[str], expected: list[str]) -> None:
    """A parameter is set in the form in which it stands, and added where it does not stand."""
    recipe = make_recipe("train.py", "python", "train.py", *given)
    assert build_command(recipe, CODE, PYTHON, {"trees": 5})[0] == [PYTHON, "train.py", *expected]


def test_parameters_with_underscores() -> None:
    """`min_leaf` is `--min-leaf` on a command line; a text is given without quotes."""
    recipe = make_recipe("train.py", "python", "train.py", "--min-leaf", "1")
    assert build_command(recipe, CODE, PYTHON, {"min_leaf": "two"})[0][2:] == ["--min-leaf", "two"]


def test_files_of_the_source_are_those_of_the_fresh_code(tmp_path: Path) -> None:
    """A word that names a file of the source names the fresh one; files that are not in the code stay as they are."""
    source, code = tmp_path / "source", tmp_path / "code"
    code.mkdir()
    (code / "conf.json").touch()
    words = [str(source / "conf.json"), f"--conf={source / 'conf.json'}", str(source / "data.csv"), "/etc/hosts"]
    argv, _ = build_command(make_recipe("train.py", "python", "train.py", *words), code, PYTHON, {}, source)
    assert argv[2:] == [str(code / "conf.json"), f"--conf={code / 'conf.json'}", words[2], "/etc/hosts"]


def test_modules_of_the_source_are_found_in_the_fresh_code() -> None:
    """Folders of modules below the source are named relative to it, each once; others are left alone."""
    assert find_paths(["/repo/src", "/repo", "/usr/lib", "/repo/src"], Path("/repo")) == ("src", ".")
    assert find_paths(["/repo/src"], None) == ()


def test_recorded_variables_are_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorded variable has its recorded value, one that was not set is not set, and we are under no launcher."""
    recorded = replace(capture(), variables={"OMP_NUM_THREADS": "3"})
    for name, text in (("OMP_NUM_THREADS", "1"), ("TZ", "UTC"), ("CG_EXECUTION", "x"), ("ELSE", "y")):
        monkeypatch.setenv(name, text)
    found = build_variables(replace(make_recipe("a", "python", "a"), environment=recorded))
    assert (found["OMP_NUM_THREADS"], found["ELSE"]) == ("3", "y")
    assert not {"TZ", "CG_EXECUTION"} & found.keys()


def test_a_parameter_that_is_not_on_record_is_refused() -> None:
    """Only parameters that the recorded run has can be set otherwise, and it is said which these are."""
    recipe = make_recipe("a", "python", "a")
    assert merge_params(recipe, {"trees": 9}) == {"trees": 9, "min_leaf": 1}
    with pytest.raises(InvalidInput) as error:
        merge_params(recipe, {"tree": 9})
    assert "trees, min_leaf" in error.value.todo


def test_of_several_executions_the_one_that_was_asked_for_counts() -> None:
    """A script that makes several runs is told by parameters, then by name; if that does not tell, none is taken."""
    recorded = make_record("python", "a")
    one, other = make_record(name="train again 1"), make_record(name="other again 2")
    assert pick_attempt([], recorded, recorded.params) is None
    assert pick_attempt([other], recorded, recorded.params) is other
    assert pick_attempt([one, other], recorded, recorded.params) is one
    assert pick_attempt([one, make_record(name="train again 3", params={})], recorded, recorded.params) is one
    assert pick_attempt([one, make_record(name="train again 3")], recorded, recorded.params) is None
