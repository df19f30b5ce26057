"""The study at a glance: who, what, how much, what runs, what has changed since its release, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from commonground.errors import CommonGroundError
from commonground.operations.plans import Reading
from commonground.operations.reading import LogEntry, describe_changes
from commonground.operations.resolving import shorten_all
from commonground.structure import datasets, entities, executions, features, history, metrics
from commonground.structure.drift import is_drifted
from commonground.structure.executions import Execution
from commonground.structure.versions import load_manifest

NEWEST = 5
MANY = 20


@dataclass(frozen=True, slots=True)
class TypeCount:
    """An entity type, and how many there are."""

    name: str
    """The type."""
    count: int
    """How many live."""
    features: tuple[str, ...]
    """The features that are read of it."""


@dataclass(frozen=True, slots=True)
class DatasetLine:
    """Where a dataset stands."""

    name: str
    """The dataset."""
    newest: str | None
    """Its newest release; None if there is none."""
    members: int
    """Members of the newest release, or now if there is none."""
    why: str | None
    """What its newest release says is new; None if nobody said."""
    changed: bool | None
    """Whether it has changed since; None if that could not be told."""


@dataclass(frozen=True, slots=True)
class RunLine:
    """An execution in a list."""

    id: str
    """The beginning of its id."""
    name: str
    """What it is called."""
    status: str
    """Its state."""
    scratch: bool
    """Whether it is a try."""
    intent: str | None
    """What was asked; None if nobody said."""
    started_at: int
    """UTC microseconds."""
    metrics: tuple[tuple[str, float], ...]
    """A few figures."""


@dataclass(frozen=True, slots=True)
class Overview:
    """The study at a glance."""

    name: str
    """The study."""
    folder: Path
    """Where it lies."""
    change: int
    """The newest change."""
    people: int
    """How many take part."""
    types: tuple[TypeCount, ...]
    """Entity types."""
    datasets: tuple[DatasetLine, ...]
    """Datasets."""
    executions: int
    """How many executions there are."""
    running: int
    """How many have not ended."""
    failed: int
    """How many failed, were killed or are lost."""
    runs: tuple[RunLine, ...]
    """The newest executions."""
    changes: tuple[LogEntry, ...]
    """The newest changes."""
    silent: int
    """How many of the newest changes have no reason."""
    next: tuple[str, ...]
    """What to do next: a command, then what it does."""


def read_status(on: Reading) -> Overview:
    """The study at a glance."""
    view = on.view
    kinds = entities.list_types(view)
    named = features.list_features(view)
    types = tuple(
        TypeCount(
            kind.name, history.count_entities(view, kind), tuple(one.name for one in named if one.type == kind.rid)
        )
        for kind in kinds
    )
    lines = tuple(_dataset(on, one) for one in datasets.list_datasets(view)[:MANY])
    counts = history.count_all(view)
    total = sum(counts.executions.values())
    running = sum(counts.executions.get(state, 0) for state in ("created", "running"))
    rids = history.newest_executions(view, NEWEST)
    runs = executions.list_executions(view, rids)
    figures = metrics.list_summaries(view, rids)
    short = shorten_all(view, rids)
    recent = tuple(describe_changes(view, history.list_changes(view, limit=NEWEST)))
    return Overview(
        name=on.ground.facts["name"],
        folder=on.ground.folder.resolve().parent,
        change=view.change,
        people=counts.people,
        types=types,
        datasets=lines,
        executions=total,
        running=running,
        failed=sum(counts.executions.get(state, 0) for state in ("failed", "killed", "lost")),
        runs=tuple(
            _run(on, one, short[one.rid], [(key, float(found.value)) for key, found in figures[one.rid].items()])
            for one in runs
        ),
        changes=recent,
        silent=sum(one.silent for one in recent),
        next=tuple(_next(types, counts.features, lines, total)),
    )


def read_datasets(on: Reading) -> list[DatasetLine]:
    """All datasets, with their newest release and whether they have changed since."""
    return [_dataset(on, one) for one in datasets.list_datasets(on.view)]


def _dataset(on: Reading, one: datasets.Dataset) -> DatasetLine:
    view = on.view
    released = datasets.list_versions(view, one.rid)
    if not released:
        membership = datasets.read_members(view, datasets.list_inside(view, one.rid))
        return DatasetLine(one.name, None, len(set(membership.entity.tolist())), None, None)
    newest = released[0]
    changed: bool | None
    try:
        changed = is_drifted(view, newest, load_manifest(view, on.ground.blobs, newest.manifest))
    except CommonGroundError:
        # The line says that it could not be told; `cg dataset status` and `cg verify` say why.
        changed = None
    return DatasetLine(one.name, str(newest.number), newest.members, newest.description, changed)


def _run(on: Reading, one: Execution, short: str, figures: list[tuple[str, float]]) -> RunLine:
    began = history.first_change(on.view, one.rid)
    intent = one.details.get("intent") or (began.why if began else None)
    said = str(intent) if intent else None
    return RunLine(short, one.name, str(one.status), one.scratch, said, one.started_at, tuple(figures[:3]))


def _next(types: tuple[TypeCount, ...], read: int, lines: tuple[DatasetLine, ...], runs: int) -> list[str]:
    if not types:
        return ["cg import TABLE.csv --as Patient --key COLUMN --dry-run: see what a table would bring in"]
    found = []
    if not read:
        found.append(f"cg feature add NAME --type {types[-1].name} --holds int: declare what readers say of one")
    if not lines:
        found.append(f"cg dataset create NAME --type {types[-1].name} --keys KEY: gather some as a dataset")
    for line in lines:
        if line.newest is None and line.members:
            found.append(f"cg dataset release {line.name}: freeze its first version")
        elif line.changed:
            found.append(f"cg diff {line.name}@{line.newest} {line.name}@dev: see what has changed since its release")
    if lines and not runs:
        found.append("cg run -- python train.py: train on it, with everything on record")
    return found[:4]
