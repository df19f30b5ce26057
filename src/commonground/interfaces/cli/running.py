"""Carrying out a command: open the study, read or plan and commit, and show the answer. Loaded when a command runs."""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from commonground.errors import NOTHING_CHANGED, CommonGroundError, Corrupt, InvalidInput, MissingExtra, StorageError
from commonground.identity import Rid, show_rid
from commonground.interfaces.cli.confirming import describe_committed, describe_plan
from commonground.interfaces.cli.failing import AGAIN
from commonground.interfaces.cli.options import Common
from commonground.interfaces.cli.page import Cell, Page
from commonground.interfaces.cli.plain_data import as_plain
from commonground.interfaces.cli.presenting import present
from commonground.interfaces.cli.presenting_lineage import present_lineage
from commonground.interfaces.cli.printing import print_page
from commonground.interfaces.cli.stopping import StoppedAt
from commonground.operations.plans import Committed, Plan
from commonground.operations.resolving import resolve, shorten_all
from commonground.operations.session import Session
from commonground.operations.studies import create_study, open_study
from commonground.operations.verb import Verb
from commonground.operations.waiting import needs_sync

IDS = ("rid", "parent", "execution")
FULLER = {"dataset diff": "diff"}
"""Verbs that another one answers with names and reasons as well."""
SHOW_PROGRESS_FROM = 20_000


def run_verb(verb: Verb, args: dict[str, Any], common: Common) -> None:
    """Carry out a verb."""
    with opened(common) as session:
        resolved = _resolve_ids(session, args, common.at)
        if verb.writes:
            _write(session, verb, resolved, common)
            return
        answer = session.read(FULLER.get(verb.name, verb.name), at=common.at, **resolved)
        show(answer, lambda: present(verb.name, answer, resolved), common)
        if verb.name == "verify" and answer.faults:
            raise click.exceptions.Exit(Corrupt.exit_status)


def run_lineage(what: str, *, up: bool, down: bool, depth: int | None, common: Common) -> None:
    """Carry out `cg lineage`, in one direction or both."""
    with opened(common) as session:
        rid = _resolve_ids(session, {"rid": what}, common.at)["rid"]
        more = {} if depth is None else {"depth": depth}
        ways = [way for way, wanted in (("up", up), ("down", down)) if wanted]
        answers = [session.read("lineage", at=common.at, rid=rid, direction=way, **more) for way in ways]
        with session.reading(common.at) as on:
            things = [rid, *(thing.rid for answer in answers for thing in answer.things)]
            short = shorten_all(on.view, things[:200])
        show(answers, lambda: present_lineage(answers, short), common)


def make_study(folder: str, name: str | None, database: str | None, common: Common) -> None:
    """Make a study and say what to do next."""
    place = Path(folder)
    session = create_study(place, name=name, person=common.person, url=database)
    try:
        facts = session.ground.facts
        told = {
            "name": facts["name"],
            "folder": str(place.resolve()),
            "study": facts["study"],
            "owner": session.actor.name,
        }
        page = Page(
            f"Made the study {facts['name']}.",
            look="holds",
            below=(Cell(f"in {place.resolve()}, with {session.actor.name} as its owner", "quiet"),),
            hints=(
                "cg import TABLE.csv --as Patient --key COLUMN --dry-run: see what a table would bring in",
                "cg status: see where the study stands",
            ),
        )
        show(told, lambda: page, common)
    finally:
        session.ground.close()


def show_demo(folder: str | None, seed: int, common: Common) -> None:
    """Tell the story of the demonstration study."""
    story = _part("commonground.interfaces.demo.story", "The demonstration")
    place = {"folder": Path(folder)} if folder else {}
    raise click.exceptions.Exit(int(story.run(**place, seed=seed, person=common.person)))


def run_program(command: list[str], given: Mapping[str, Any], common: Common) -> None:
    """Run a program as an execution; leaves with the program's own status.

    With `--json` the answer is the execution, as `cg execution get` gives it; what the program prints goes to stderr.
    """
    supervise = _part("commonground.interfaces.run_command", "`cg run`").supervise
    more = {"shown": sys.stderr, "ended": _tell_execution} if common.json else {}
    status = supervise(Path(common.study or "."), command, person=common.person, **given, **more)
    raise click.exceptions.Exit(int(status))


def _tell_execution(session: Session, execution: Rid) -> None:
    try:
        answer = session.read("execution get", execution=execution)
    except CommonGroundError:
        answer = {"execution": {"rid": show_rid(execution)}, "waits": "`cg sync` delivers it."}
    click.echo(json.dumps(as_plain(answer), ensure_ascii=False, indent=2))


@contextlib.contextmanager
def opened(common: Common) -> Iterator[Session]:
    """The study that a command is about."""
    session = open_study(Path(common.study or "."), person=common.person, via="cli")
    try:
        # A run whose process was killed is closed, truthfully, by whatever command comes next that can write.
        if needs_sync(session):
            with contextlib.suppress(StorageError):
                importlib.import_module("commonground.operations.delivery").sync(session)
        yield session
    finally:
        session.ground.close()


def show(answer: object, page: Callable[[], Page], common: Common) -> None:
    """Print an answer, as JSON or as a page."""
    if common.json:
        click.echo(json.dumps(as_plain(answer), ensure_ascii=False, indent=2))
    else:
        print_page(page())


def _write(session: Session, verb: Verb, args: Mapping[str, Any], common: Common) -> None:
    with _waiting(verb):
        plan = session.plan(verb.name, **args)
    if common.dry_run:
        show({**_told(plan), "dry_run": True}, lambda: describe_plan(plan), common)
        return
    with _telling_if_stopped(session, verb, plan):
        with _progress(plan) as progress:
            done = session.commit(plan, common.why, progress=progress)
        short = _short(session, plan) if done.change else None
        show(_told(plan, done), lambda: describe_committed(done, short), common)


@contextlib.contextmanager
def _telling_if_stopped(session: Session, verb: Verb, plan: Plan) -> Iterator[None]:
    """Whoever stops a change is told whether it was written: the commit may have come just before."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as error:
        done = session.find_done(plan)
        if done is None or done.change is None:
            raise StoppedAt(NOTHING_CHANGED, AGAIN) from error
        rest = "`cg sync` finishes what it destroys." if verb.finishes else "There is nothing to be done again."
        raise StoppedAt(f"Change {done.change.id}, `{verb.name}`, was written before that.", rest) from error


def _told(plan: Plan, done: Committed | None = None) -> dict[str, Any]:
    change = done.change if done else None
    return {
        "verb": plan.verb,
        "plan": show_rid(plan.id),
        "nothing": plan.nothing,
        "effect": dict(plan.effect),
        "ids": [show_rid(rid) for rid in plan.anchors],
        "change": change.id if change else None,
        "why": change.why if change else None,
        "again": bool(done and done.again),
        "kept": NOTHING_CHANGED if change is None else "",
    }


def _short(session: Session, plan: Plan) -> str | None:
    if not plan.anchors:
        return None
    wanted = plan.anchors[-1] if plan.verb == "dataset release" else plan.anchors[0]
    with session.reading() as on:
        return shorten_all(on.view, [wanted])[wanted]


def _resolve_ids(session: Session, args: Mapping[str, Any], at: int | None) -> dict[str, Any]:
    """Arguments that are ids may be given as names or beginnings of ids."""
    texts = {name: args[name] for name in IDS if isinstance(args.get(name), str)}
    several = args.get("executions")
    if not texts and not several:
        return dict(args)
    with session.reading(at) as on:
        found: dict[str, Any] = {name: resolve(on.view, text).rid for name, text in texts.items()}
        if several:
            found["executions"] = [resolve(on.view, text).rid for text in several]
    return {**args, **found}


def _part(module: str, what: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("commonground"):
            raise InvalidInput(f"{what} is not in this release.", todo="`cg version` names the release.") from error
        raise MissingExtra(
            f"{what} needs the package {error.name}.", todo="Install commonground with its extras: commonground[demo]."
        ) from error


@contextlib.contextmanager
def _waiting(verb: Verb) -> Iterator[None]:
    """A sign of life while a file is read, in a terminal."""
    if not verb.stages or not sys.stderr.isatty():
        yield
        return
    console = importlib.import_module("rich.console").Console(stderr=True)
    with console.status("Reading ..." if verb.name.startswith("import") else "Planning ..."):
        yield


@contextlib.contextmanager
def _progress(plan: Plan) -> Iterator[Callable[[int], None]]:
    """A bar for many rows, in a terminal."""
    total = sum(len(next(iter(bulk.columns.values()), ())) for bulk in plan.bulk)
    if total < SHOW_PROGRESS_FROM or not sys.stderr.isatty():
        yield lambda _: None
        return
    rich: Any = importlib.import_module("rich.progress")
    console = importlib.import_module("rich.console").Console(stderr=True)
    with rich.Progress(console=console, transient=True) as bar:
        task = bar.add_task("Writing", total=total)
        yield lambda rows: bar.advance(task, rows)
