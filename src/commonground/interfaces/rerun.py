"""One re-run: recorded code in a fresh folder, the recorded command line, and a process that records itself.

The folder is new for each re-run, so that what one leaves behind is not there for the next. The recorded variables are
set as they were. The program runs as the person who asks for it, with all that this person may do: it is no sandbox.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from commonground.errors import InvalidInput, NotReproducible
from commonground.identity import Rid, show_rid
from commonground.interfaces.client import ranks
from commonground.interfaces.client.repeating import REPRODUCE, REPRODUCE_FILE
from commonground.operations.execution_reading import ExecutionRecord
from commonground.operations.recipes import Recipe
from commonground.plain import Plain
from commonground.structure import git
from commonground.structure.code_restore import restore
from commonground.structure.code_state import CodeState, capture
from commonground.structure.environment import VARIABLES, Environment
from commonground.structure.screen_told import screen_params

LAST_WORDS: Final = 500
_PYTHON: Final = re.compile(r"python[\d.]*(?:\.exe)?")
_OF_THE_MACHINE: Final = frozenset(
    {"WORLD_SIZE", "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"}
)
_OF_A_LAUNCHER: Final = frozenset({ranks.EXECUTION, ranks.STUDY, ranks.STANDING})
_ASK: Final = (
    "import json, sys; from commonground.structure.environment import capture;"
    "print(json.dumps([sys.path, capture().to_json()]))"
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What every re-run of one reproduction has in common."""

    recipe: Recipe
    """What is on record."""
    state: CodeState
    """The code to lay out: the recorded one, or the present."""
    source: Path | None
    """A local repository with the commit; None if all files are on record."""
    params: Mapping[str, Plain]
    """Parameters to be set otherwise than recorded."""
    python: str
    """The interpreter."""
    study: Path
    """The study's folder."""
    study_id: str
    """Its id."""
    person: str
    """Who is at work."""
    act: Rid
    """The execution that will hold the verdict."""
    paths: tuple[str, ...] = ()
    """Folders of modules below the source, which are to be taken from the fresh code."""
    pinned: bool = False
    """Whether the interpreter has exactly the recorded packages, which no folder may override."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended."""

    status: int
    """Its exit status."""
    said: str
    """The last line that it said."""


def find_source(recipe: Recipe, named: Path | None, study: Path) -> Path | None:
    """A folder with the repository of the code: the one named, else where the script was, else here, else the study's.

    None if the code is not in a repository and none was named. Raises NotReproducible if none of them has the commit.
    """
    state = recipe.state
    script = Path(recipe.record.execution.argv[1]) if len(recipe.record.execution.argv) > 1 else Path()
    places = [named] if named else [*([script.parent] if script.is_absolute() else []), Path.cwd(), study]
    if state is None or state.commit is None:
        known = [place for place in places if place and _has_entry(place, state)]
        return known[0].resolve() if known else None
    for place in places:
        with contextlib.suppress(git.GitSilent, OSError):
            found = git.find_repository(place.resolve()) if place.is_dir() else None
            if found is not None and git.ask_all(found.root, "cat-file", "-t", state.commit).strip() == b"commit":
                return found.root
    raise NotReproducible(
        "No repository here has the commit that was run.",
        faults=[f"commit {state.commit} of {state.repository or 'a repository without an address'}"],
        todo="Fetch it, and name the folder: cg reproduce X --source FOLDER",
    )


def _has_entry(place: Path, state: CodeState | None) -> bool:
    return state is not None and state.entry is not None and (place / state.entry.path).is_file()


def read_present_code(recipe: Recipe, source: Path | None) -> CodeState:
    """The code as it is now where the recorded code came from."""
    recorded = recipe.state
    if source is None or recorded is None:
        raise NotReproducible("It is not known where the present code is.", todo="Name its folder: --source FOLDER")
    entry = source / recorded.entry.path if recorded.entry is not None and recorded.entry.inside else None
    return capture(source, entry)


def lay_out(plan: Plan, number: int, work: Path) -> Path:
    """The code in the new folder of a re-run, its tree digest checked; raises NotReproducible, naming what is missing.

    A re-run that has its folder already keeps it.
    """
    folder = work / f"{number}" / "code"
    if not folder.exists():
        restore(plan.state, folder, source=plan.source, tolerate_untracked=True)
    return folder


def build_command(
    recipe: Recipe, code: Path, python: str, params: Mapping[str, Plain], source: Path | None = None
) -> tuple[list[str], Path]:
    """The command line in its new place, and the folder in which it is to be run.

    The interpreter is replaced; a script is found below the code, `-m module` stays; other words that name files of the
    source name those of the fresh code; parameters are put in.
    """
    argv = list(recipe.record.execution.argv)
    told = recipe.record.workflow.entry if recipe.record.workflow else None
    module = re.search(r"(?:^| )-m (\S+)$", told or "")
    state = recipe.state
    entry = state.entry if state is not None and state.entry is not None and state.entry.inside else None
    where = code
    if _PYTHON.fullmatch(Path(argv[0]).name):
        argv[0] = python
    if module:
        where = _folder_of_module(code, entry.path if entry is not None else None, module[1])
        if not recipe.launched:
            argv[1:2] = ["-m", module[1]]
    elif entry is not None:
        place = next((at for at, word in enumerate(argv) if Path(word).name == Path(entry.path).name), None)
        if place is not None:
            given = PurePosixPath(argv[place])
            where = code / _folder_of(PurePosixPath(entry.path), given)
            argv[place] = str(given) if place and not given.is_absolute() else str(code / entry.path)
    start = 3 if module else 2
    argv = [argv[0], *(_map_word(word, source, code) for word in argv[1:])]
    for key, value in params.items():
        argv = _set_option(argv, key, value, start)
    return argv, where


def _map_word(word: str, source: Path | None, code: Path) -> str:
    """A word of the command line; a file of the source becomes the same file of the fresh code, if it is there."""
    name, sign, text = word.partition("=")
    path = Path(text if sign else word)
    if source is None or not path.is_absolute() or not path.is_relative_to(source):
        return word
    mapped = code / path.relative_to(source)
    return f"{name}{sign}{mapped}" if sign and mapped.exists() else str(mapped) if mapped.exists() else word


def _folder_of_module(code: Path, entry: str | None, module: str) -> Path:
    """The folder in which `-m module` finds the module: where its outermost package lies."""
    names = module.split(".")
    for parts in ((*names[:-1], f"{names[-1]}.py"), (*names, "__main__.py")):
        if entry is not None and PurePosixPath(entry).parts[-len(parts) :] == parts:
            return code.joinpath(*PurePosixPath(entry).parts[: -len(parts)])
        found = sorted(code.rglob("/".join(parts)), key=lambda path: len(path.parts))
        if entry is None and found:
            return found[0].parents[len(parts) - 1]
    return code


def _folder_of(entry: PurePosixPath, given: PurePosixPath) -> PurePosixPath:
    """The folder from which a script was started: `code/train.py` started as `train.py` was started in `code`."""
    depth = len(given.parts)
    if not given.is_absolute() and entry.parts[-depth:] == given.parts:
        return PurePosixPath(*entry.parts[:-depth])
    return entry.parent


def _set_option(argv: list[str], key: str, value: Plain, start: int) -> list[str]:
    """The command line with one option set: --key value, --key=value or key=value; one that is not there is added."""
    text = value if isinstance(value, str) else json.dumps(value)
    forms = {f"{dashes}{name}" for dashes in ("--", "-", "") for name in (key, key.replace("_", "-"))}
    for place, word in enumerate(argv):
        name, sign, _ = word.partition("=")
        if place < start or name not in forms:
            continue
        if sign:
            return [*argv[:place], f"{name}={text}", *argv[place + 1 :]]
        if name.startswith("-") and place + 1 < len(argv):
            return [*argv[: place + 1], text, *argv[place + 2 :]]
    return [*argv, f"--{key.replace('_', '-')}", text]


def merge_params(recipe: Recipe, params: Mapping[str, Plain]) -> dict[str, Plain]:
    """The parameters that a re-run must have on record; raises InvalidInput for one that the recorded run has not."""
    recorded = recipe.record.params
    unknown = [key for key in params if key not in recorded]
    if unknown:
        raise InvalidInput(
            f"The recorded run has no parameter {', '.join(unknown)}.",
            todo=f"It has {', '.join(recorded)}." if recorded else "It has none.",
        )
    return {**recorded, **screen_params(params)[0]}


def ask_interpreter(python: str, where: Path, environment: Mapping[str, str]) -> tuple[list[str], Environment]:
    """Where an interpreter looks for modules, and the environment it would run in; raises NotReproducible."""
    try:
        done = subprocess.run(
            [python, "-c", _ASK], cwd=where, env=dict(environment), capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise NotReproducible(
            f"{python} cannot be started: {error.strerror}.", todo="Name another: --python"
        ) from error
    if done.returncode:
        raise NotReproducible(
            f"{python} cannot load Common Ground, which the run needs to be recorded.",
            faults=done.stderr.strip().splitlines()[-1:],
            todo="Install commonground for it, or name another: --python",
        )
    paths, told = json.loads(done.stdout)
    return [path or str(where) for path in paths], Environment.from_json(told)


def build_variables(recipe: Recipe, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables of a re-run: those of this process, with the recorded ones as they were."""
    found = {name: text for name, text in os.environ.items() if name not in _OF_A_LAUNCHER}
    if recipe.environment is not None:
        found = {name: text for name, text in found.items() if name not in VARIABLES or name in _OF_THE_MACHINE}
        kept = recipe.environment.variables.items()
        found |= {name: text for name, text in kept if name not in _OF_THE_MACHINE}
    return found | dict(extra or {})


def find_paths(paths: Sequence[str], source: Path | None) -> tuple[str, ...]:
    """The folders of modules that lie in the source of the code, relative to it.

    A package that is worked on in that repository would otherwise be loaded from there, as it is now.
    """
    if source is None:
        return ()
    inside = [Path(path).relative_to(source) for path in paths if Path(path).is_relative_to(source)]
    return tuple(dict.fromkeys(str(path) for path in inside))


def run_once(plan: Plan, number: int, work: Path, told: Sequence[Mapping[str, Any]]) -> Ended:
    """Lay out the code and run the program to its end; `told` are the inputs that it may use."""
    code = lay_out(plan, number, work)
    recipe = plan.recipe
    argv, where = build_command(recipe, code, plan.python, plan.params, plan.source)
    variables = build_variables(recipe)
    mapped = [str(code / path) for path in plan.paths if (code / path).is_dir()]
    given = list(filter(None, variables.get("PYTHONPATH", "").split(os.pathsep)))
    if plan.pinned:
        given = [path for path in given if not any(Path(path).glob("*.dist-info"))]
    variables["PYTHONPATH"] = os.pathsep.join([*mapped, *given])
    shared = {
        "study": plan.study_id,
        "folder": str(plan.study),
        "act": show_rid(plan.act),
        "run": number,
        "inputs": list(told),
    }
    file = work / f"{number}" / "recipe.json"
    file.write_text(json.dumps(shared), encoding="utf-8")
    variables |= {
        REPRODUCE: show_rid(recipe.record.execution.rid),
        REPRODUCE_FILE: str(file),
        "CG_PERSON": plan.person,
    }
    if recipe.launched:
        argv = _under_supervision(plan, argv, work / f"{number}" / "command.json")
    return _start(argv, where, variables, work / f"{number}" / "output.txt")


def _under_supervision(plan: Plan, argv: Sequence[str], file: Path) -> list[str]:
    """The command line by which `cg run` starts the program again."""
    recipe = plan.recipe
    given = {key: value for key, value in plan.params.items() if key in recipe.given_params}
    job = {
        "study": str(plan.study),
        "argv": list(argv),
        "name": recipe.record.execution.name,
        "inputs": list(recipe.given_inputs),
        "params": {**recipe.given_params, **given},
        "person": plan.person,
    }
    file.write_text(json.dumps(job), encoding="utf-8")
    return [plan.python, "-m", "commonground.interfaces.run_again", str(file)]


def _start(argv: Sequence[str], where: Path, variables: Mapping[str, str], output: Path) -> Ended:
    with output.open("wb") as said:
        try:
            done = subprocess.run(
                list(argv),
                cwd=where,
                env=dict(variables),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                check=False,
            )
        except OSError as error:
            return Ended(127, f"{argv[0]} cannot be started: {error.strerror}")
    lines = output.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return Ended(done.returncode, lines[-1][:LAST_WORDS] if lines else "")


def pick_attempt(
    attempts: Sequence[ExecutionRecord], recorded: ExecutionRecord, wanted: Mapping[str, Plain]
) -> ExecutionRecord | None:
    """The execution of a re-run that stands for the recorded one, if it made several; None if it cannot be told."""
    left = list(attempts)
    for fits in (
        lambda one: dict(one.params) == dict(wanted),
        lambda one: one.execution.name.rpartition(" again ")[0] == recorded.execution.name,
        lambda one: (one.execution.parent is None) == (recorded.execution.parent is None),
        lambda one: one.intent == recorded.intent,
    ):
        if len(left) > 1:
            left = [one for one in left if fits(one)] or left
    return left[0] if len(left) == 1 else None


def plain_inputs(recipe: Recipe) -> list[dict[str, Any]]:
    """The inputs that a re-run may use, as plain data."""
    return [asdict(item) for item in recipe.inputs]


def make_work_folder() -> Path:
    """A folder that only this person can look into."""
    return Path(tempfile.mkdtemp(prefix="cg-reproduce-")).resolve()


PRESENT: Final = sys.executable
