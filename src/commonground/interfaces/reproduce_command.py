"""`cg reproduce EXECUTION`: runs recorded code again with the recorded data and parameters, and keeps the verdict.

Every re-run is a process of its own in a fresh checkout, and an execution of its own. One re-run is enough to say
"identical"; before "different" is said it is repeated, so that a run that varies by itself is told as that. "Run it
again but with X changed" is asked for by naming X: other data, parameters, code, packages or interpreter.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from commonground.errors import InvalidInput, NotReproducible
from commonground.identity import Rid, show_rid
from commonground.interfaces import rebuilding, rerun
from commonground.operations.delivery import sync
from commonground.operations.execution_reading import ExecutionRecord
from commonground.operations.recipes import Recipe, read_recipe
from commonground.operations.reproducing import (
    Reproduction,
    describe_environment,
    list_attempts,
    read_conditions,
    read_figures,
    read_reproductions,
)
from commonground.operations.session import Session
from commonground.plain import Plain
from commonground.structure.environment import Environment
from commonground.structure.execution_states import Status
from commonground.structure.screen_told import screen_params
from commonground.structure.verdicts import (
    TOLERANCE,
    AxisDifference,
    Conditions,
    Figures,
    Level,
    Outcome,
    Verdict,
    compare_conditions,
    judge,
    needs_another,
)

MOST_RUNS = 50
ENVIRONMENT_AXES = ("packages", "interpreter", "platform")


@dataclass(frozen=True, slots=True)
class Asked:
    """How an execution is to be run again; by default exactly as it was."""

    data: Sequence[str] = ()
    """Other states in place of recorded inputs: nodules@2.0.0, or NAME=REFERENCE."""
    params: Mapping[str, Plain] = field(default_factory=dict)
    """Parameters to be set otherwise."""
    present_code: bool = False
    """Whether to take the code as it is now."""
    present_packages: bool = False
    """Whether to run in the environment that is here, without trying to build the recorded one."""
    python: str | None = None
    """Another interpreter."""
    source: Path | None = None
    """A local folder with the repository of the code."""
    times: int = 1
    """How many re-runs at least."""
    tolerance: float = TOLERANCE
    """The relative difference up to which figures count as the same."""
    ignored: Sequence[str] = ()
    """Metrics and files that are not compared, such as times."""
    keep: bool = False
    """Whether to leave the folders of the re-runs where they are."""

    def as_plain(self) -> dict[str, Any]:
        """What was changed on purpose, as plain data for the record."""
        told: dict[str, Any] = {
            "data": list(self.data),
            "params": screen_params(self.params)[0],
            "present_code": self.present_code,
            "present_packages": self.present_packages,
            "python": self.python,
            "ignored": list(self.ignored),
        }
        return {name: value for name, value in told.items() if value}


@dataclass(frozen=True, slots=True)
class _Setting:
    """In what the re-runs run."""

    level: Level
    missing: tuple[str, ...]
    python: str


@dataclass(slots=True)
class _Progress:
    """What the re-runs came to so far."""

    figures: list[Figures] = field(default_factory=list)
    runs: list[Rid] = field(default_factory=list)
    axes: tuple[AxisDifference, ...] = ()
    unknown: tuple[str, ...] = ()


def reproduce(
    session: Session,
    execution: Rid | str,
    asked: Asked | None = None,
    *,
    why: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Reproduction:
    """Run an execution again and keep the verdict, whatever it is.

    Raises NotFound, Ambiguous, Conflict or InvalidInput for a request that cannot be carried out at all; what is
    missing, or a program that fails, is a verdict.
    """
    wanted = asked or Asked()
    if not 1 <= wanted.times <= MOST_RUNS or wanted.tolerance < 0:
        raise InvalidInput(
            f"There are 1 to {MOST_RUNS} re-runs, and a tolerance is not below 0.", todo="Give numbers in these bounds."
        )
    began = session.ground.clock()
    with session.reading() as on:
        recipe = read_recipe(on, execution=execution, data=wanted.data)
    rerun.merge_params(recipe, wanted.params)
    act = session.ground.mint.one()
    work = rerun.make_work_folder()
    progress = _Progress()
    try:
        verdict = _try(session, recipe, wanted, act, work, progress, tell)
    finally:
        if not wanted.keep:
            shutil.rmtree(work, ignore_errors=True)
    if wanted.keep:
        verdict = replace(verdict, facts=(*verdict.facts, f"The folders of the re-runs are in {work}."))
    session.write(
        "execution reproduced",
        why=why,
        execution=recipe.record.execution.rid,
        verdict=verdict.as_plain(),
        runs=progress.runs,
        asked=wanted.as_plain(),
        act=act,
        started_at=began,
    )
    with session.reading() as on:
        return read_reproductions(on, execution=act)[0]


def _try(
    session: Session,
    recipe: Recipe,
    asked: Asked,
    act: Rid,
    work: Path,
    progress: _Progress,
    tell: Callable[[str], None],
) -> Verdict:
    """The verdict, whatever happens."""
    facts = recipe.facts
    if recipe.missing:
        return Verdict(Outcome.NOT_POSSIBLE, None, missing=recipe.missing, facts=facts, tolerance=asked.tolerance)
    try:
        plan, setting = _prepare(session, recipe, asked, act, work)
    except NotReproducible as error:
        missing = error.faults or (error.what,)
        return Verdict(
            Outcome.NOT_POSSIBLE, None, missing=missing, facts=(*facts, error.what), tolerance=asked.tolerance
        )
    tell(_describe(setting))
    with session.reading() as on:
        recorded = read_figures(on, recipe.record, asked.ignored)
        conditions = read_conditions(on, recipe.record)
    while len(progress.figures) < asked.times or needs_another(recorded, progress.figures, asked.tolerance):
        number = len(progress.figures) + 1
        tell(f"Re-run {number} of {recipe.record.execution.name} ...")
        found, reason = _run(session, plan, number, work)
        if found is not None:
            progress.runs.append(found.execution.rid)
            with session.reading() as on:
                now = read_conditions(on, found)
                progress.axes, progress.unknown = compare_conditions(conditions, now)
                progress.figures.append(read_figures(on, found, asked.ignored))
            setting = _settle(setting, conditions, now)
        if reason is not None:
            return Verdict(
                outcome=Outcome.FAILED,
                level=setting.level,
                missing=setting.missing,
                axes=progress.axes,
                unknown=progress.unknown,
                reason=reason,
                runs=len(progress.runs),
                tolerance=asked.tolerance,
                facts=facts,
            )
    return judge(
        recorded,
        progress.figures,
        progress.axes,
        progress.unknown,
        level=setting.level,
        missing=setting.missing,
        tolerance=asked.tolerance,
        facts=facts,
    )


def _prepare(session: Session, recipe: Recipe, asked: Asked, act: Rid, work: Path) -> tuple[rerun.Plan, _Setting]:
    """What to run and in what; raises NotReproducible, naming what is missing."""
    study = session.ground.folder.parent.resolve()
    source = rerun.find_source(recipe, asked.source, study)
    state = rerun.read_present_code(recipe, source) if asked.present_code else recipe.state
    if state is None:
        raise NotReproducible(
            "The code of this run is not on record.", todo="Run the present code instead: `--with-present-code`."
        )
    plan = rerun.Plan(
        recipe=recipe,
        state=state,
        source=source,
        params=dict(asked.params),
        python=asked.python or rerun.PRESENT,
        study=study,
        study_id=session.ground.facts["study"],
        person=session.actor.name,
        act=act,
    )
    code = rerun.lay_out(plan, 1, work)
    _, where = rerun.build_command(recipe, code, plan.python, plan.params, source)
    paths, present = rerun.ask_interpreter(plan.python, where, rerun.build_variables(recipe))
    setting = _choose(recipe.environment, present, asked, plan.python, work / "environment", paths)
    return replace(
        plan,
        python=setting.python,
        paths=rerun.find_paths(paths, source),
        pinned=setting.level is Level.REBUILT,
    ), setting


def _choose(
    recorded: Environment | None,
    present: Environment,
    asked: Asked,
    python: str,
    folder: Path,
    paths: Sequence[str],
) -> _Setting:
    """The environment to run in: the present one if it is the same, else one built from the recorded packages."""
    if recorded is None:
        return _Setting(Level.NOT_REBUILT, ("a record of the environment",), python)
    differing = _environment_axes(describe_environment(recorded), describe_environment(present))
    if not differing:
        return _Setting(Level.SAME, (), python)
    chosen = asked.present_packages or asked.python is not None
    if chosen or not {"packages", "interpreter"} & {one.axis for one in differing}:
        return _Setting(Level.NOT_REBUILT, _name(differing), python)
    built = rebuilding.build(recorded, present, folder, paths)
    if built.python is None:
        return _Setting(Level.NOT_REBUILT, built.missing, python)
    return _Setting(Level.REBUILT, (), str(built.python))


def _settle(setting: _Setting, recorded: Conditions, now: Conditions) -> _Setting:
    """The level as it turned out to be, when the re-run has said what it ran in."""
    if any(recorded.get(axis) is None or now.get(axis) is None for axis in ENVIRONMENT_AXES):
        return setting
    differing = _environment_axes(recorded, now)
    if not differing:
        return setting if setting.level is Level.REBUILT else replace(setting, level=Level.SAME, missing=())
    rebuilt = {one.axis for one in differing} == {"platform"} and setting.level is Level.REBUILT
    if rebuilt or setting.level is Level.NOT_REBUILT:
        return setting
    return replace(setting, level=Level.NOT_REBUILT, missing=_name(differing))


def _environment_axes(recorded: Conditions, now: Conditions) -> tuple[AxisDifference, ...]:
    differing, _ = compare_conditions(recorded, now)
    return tuple(one for one in differing if one.axis in ENVIRONMENT_AXES)


def _name(differing: Sequence[AxisDifference]) -> tuple[str, ...]:
    return tuple(
        f"{name if one.axis != 'interpreter' else 'Python'} {old or 'nothing'} (here {new or 'nothing'})"
        for one in differing
        for name, old, new in one.items
    )


def _run(session: Session, plan: rerun.Plan, number: int, work: Path) -> tuple[ExecutionRecord | None, str | None]:
    """Run once; the execution that it made, and why it does not count if it does not."""
    try:
        ended = rerun.run_once(plan, number, work, rerun.plain_inputs(plan.recipe))
    except NotReproducible as error:
        return None, "; ".join((error.what, *error.faults))
    recorded = plan.recipe.record
    wanted = rerun.merge_params(plan.recipe, plan.params)
    attempts = _list_attempts(session, plan, number)
    if any(not one.execution.ended for one in attempts):
        # Its process is gone without a last word.
        sync(session)
        attempts = _list_attempts(session, plan, number)
    found = rerun.pick_attempt(attempts, recorded, wanted)
    if found is None:
        made = "no execution" if not attempts else f"{len(attempts)} executions, of which none can be told to be it"
        last = f"; its last words: {ended.said}" if ended.said else ""
        return None, f"The program ended with status {ended.status} and recorded {made}{last}"
    if found.execution.status is not Status.FINISHED:
        if str(found.execution.status) == str(recorded.execution.status):
            return found, f"As on record: {found.execution.reason}"
        return found, found.execution.reason or f"It is {found.execution.status}."
    return found, _find_disobedience(found, plan, wanted)


def _list_attempts(session: Session, plan: rerun.Plan, number: int) -> list[ExecutionRecord]:
    with session.reading() as on:
        return list_attempts(on, show_rid(plan.act), plan.act, run=number)


def _find_disobedience(found: ExecutionRecord, plan: rerun.Plan, wanted: Mapping[str, Plain]) -> str | None:
    """What a re-run did otherwise than it was asked to on purpose; None if nothing."""
    for key in plan.params:
        told = found.params.get(key)
        if told != wanted[key]:
            return f"The parameter {key} is {told!r} and not {wanted[key]!r}: it cannot be set from outside."
    used = {str(edge.details.get("reference")) for edge, _ in found.inputs} | {show_rid(e.src) for e, _ in found.inputs}
    for item in plan.recipe.inputs:
        if item.replaces is not None and item.reference not in used:
            return f"It did not use {item.reference}."
    return None


def _describe(setting: _Setting) -> str:
    missing = f": missing {', '.join(setting.missing)}" if setting.missing else ""
    return f"{setting.level.capitalize()}{missing}."
