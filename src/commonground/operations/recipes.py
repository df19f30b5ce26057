"""What is needed to run an execution again: code, command line, inputs and environment, each checked to be there.

A recipe is read from the record alone. `missing` names all that is not there, at once; while it names anything, nothing
is run. An input is there if what is stored now is, byte for byte, what the execution used.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import sqlalchemy as sa

from commonground.errors import CommonGroundError, Conflict, InvalidInput, NotFound
from commonground.identity import Kind, Rid
from commonground.operations.execution_reading import ExecutionRecord, read_execution
from commonground.operations.executions import pick_execution
from commonground.operations.inputs import resolve_input
from commonground.operations.plans import Reading
from commonground.operations.recorded_inputs import RecordedInput, describe_input, recorded_pin
from commonground.operations.releases import load_state
from commonground.plain import Plain
from commonground.store.changes import list_changes
from commonground.structure import executions, tables
from commonground.structure.assets import get_asset, list_files
from commonground.structure.code_state import CodeState
from commonground.structure.environment import Environment
from commonground.structure.lineage import USED, list_edges
from commonground.structure.parameters import StoredParam, read_form
from commonground.structure.references import pin
from commonground.structure.screen import is_withheld
from commonground.structure.versions import load_manifest

_REMOVED = re.compile(r"\[removed: [^\]]+\]")
_KEPT_CELLS = "cells"
_CHUNK = 1 << 20
_MOST_KIN = 1000


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that is needed to run an execution again."""

    record: ExecutionRecord
    """The execution."""
    launched: bool
    """Whether `cg run` started the program; otherwise it recorded itself."""
    given_inputs: tuple[str, ...]
    """The inputs that were named to `cg run`."""
    given_params: Mapping[str, Plain]
    """The parameters that were given to `cg run`."""
    inputs: tuple[RecordedInput, ...]
    """What may be used: the inputs of the execution, and of those that are part of it or ran in the same process."""
    state: CodeState | None
    """Its code; None if it is not on record."""
    environment: Environment | None
    """What it ran in; None if it is not on record."""
    missing: tuple[str, ...]
    """What is not there, as sentences; code is looked at when it is laid out."""
    facts: tuple[str, ...]
    """What else is to be known, as sentences."""


def read_recipe(on: Reading, *, execution: Rid | str, data: Sequence[str] = ()) -> Recipe:
    """What is needed to run an execution again; `data` names other states to use in place of the recorded ones.

    Raises Conflict for an execution that still runs, InvalidInput or NotFound for data that cannot take a place.
    """
    record = read_execution(on, execution=pick_execution(on, execution).rid)
    one = record.execution
    if not one.ended:
        raise Conflict(f"{one.name} still runs.", todo="Wait for its end, or `cg sync` if its process is gone.")
    state, environment, missing = _read_blobs(on, record)
    missing += _find_gaps(record)
    inputs = _replace(on, [item for rid in _kin(on, record) for item in _inputs(on, rid)], data)
    missing += [fault for item in inputs for fault in check_input(on, item)]
    started = next(
        (
            change.args
            for change in list_changes(on.view.connection, about=one.rid, until=on.view.change)
            if change.verb == "execution start"
        ),
        {},
    )
    facts = []
    if withheld := [key for key, value in record.params.items() if is_withheld(json.dumps(value))]:
        facts.append(
            f"Not kept, because of what was in them: the parameters {', '.join(withheld)}. They are not compared."
        )
    if not record.inputs:
        facts.append("No input is on record: data that was read past the catalogue would not be seen.")
    if state is not None and any(not item.tracked for item in state.not_kept):
        facts.append(f"{state.not_kept_count} files that lay beside the code were not kept and are not there.")
    if str(one.status) != "finished":
        facts.append(f"The recorded run is {one.status}: {one.reason or 'no reason on record'}")
    return Recipe(
        record=record,
        launched="exit_status" in one.details,
        given_inputs=tuple(
            edge["details"].get("asked") or edge["details"].get("reference") for edge in started.get("edges", ())
        ),
        given_params={row[0]: read_form(StoredParam(*row)) for row in started.get("params", ())},
        inputs=tuple(inputs),
        state=state,
        environment=environment,
        missing=tuple(dict.fromkeys(missing)),
        facts=tuple(facts),
    )


def check_input(on: Reading, item: RecordedInput) -> list[str]:
    """What keeps an input from being used as it was; empty if it is there as recorded."""
    try:
        if item.kind == Kind.ASSET:
            return _check_asset(on, item)
        pinned = pin(on.view, item.reference)
        if pinned.version is None:
            load_state(on, pinned)
            return []
        if item.digest is not None and pinned.version.digest != item.digest:
            return [f"{item.reference}: it is not what was used, its digest differs"]
        parts = load_manifest(on.view, on.ground.blobs, pinned.version.manifest).parts
        erased = sum(part.erased for part in parts)
        if erased:
            return [f"{item.reference}: {erased} of its rows were erased since"]
        for part in parts:
            on.ground.blobs.open_verified(part.blob).close()
    except CommonGroundError as error:
        return [f"{item.reference}: {error.what}"]
    return []


def _check_asset(on: Reading, item: RecordedInput) -> list[str]:
    found = get_asset(on.view, resolve_input(on.view, item.reference).rid)
    if found.digest != item.digest:
        return [f"{item.name}: it is not the file that was used, its digest differs"]
    if found.series:
        wanted = {digest for _, digest, _ in list_files(on.view, found.rid)} if found.stored else set()
        missing = wanted - on.ground.blobs.has_many(wanted)
        return [f"{item.name}: {len(missing)} of its files are not in the store"] if missing else []
    if found.stored:
        on.ground.blobs.open_verified(found.digest).close()
        return []
    digest = hashlib.sha256()
    try:
        with Path(found.reference or "").open("rb") as file:
            while data := file.read(_CHUNK):
                digest.update(data)
    except OSError as error:
        return [f"{item.name}: {found.reference} cannot be read ({error.strerror})"]
    return [] if digest.hexdigest() == found.digest else [f"{item.name}: {found.reference} has changed since"]


def _read_blobs(on: Reading, record: ExecutionRecord) -> tuple[CodeState | None, Environment | None, list[str]]:
    missing: list[str] = []
    state: CodeState | None = None
    environment: Environment | None = None
    blobs = on.ground.blobs
    if record.workflow is None or not record.workflow.code:
        missing.append(f"its code: {record.execution.details.get('code_not_recorded', 'it is not on record')}")
    else:
        try:
            state = CodeState.from_json(blobs.get_bytes(record.workflow.code).decode())
        except CommonGroundError as error:
            missing.append(f"its code: {error.what}")
    if record.execution.environment:
        try:
            environment = Environment.from_json(blobs.get_bytes(record.execution.environment).decode())
        except CommonGroundError:
            environment = None
    return state, environment, missing


def _find_gaps(record: ExecutionRecord) -> list[str]:
    """What the record of the start does not hold."""
    one = record.execution
    gaps = []
    if not any(one.argv[1:2]) or any(named.state == _KEPT_CELLS for _, named in record.outputs):
        gaps.append("a program to start: it was run at a prompt, in a notebook or by hand")
    gaps += [
        f"word {place} of its command line: {word}, because it looked like a secret"
        for place, word in enumerate(one.argv)
        if _REMOVED.search(word)
    ]
    if one.details.get("world_size", 1) > 1:
        gaps.append(f"a launcher: it was one of {one.details['world_size']} processes")
    return gaps


def _kin(on: Reading, record: ExecutionRecord) -> Iterator[Rid]:
    """The execution, those that are part of it, and those that the same process made."""
    one = record.execution
    yield one.rid
    waiting, seen = [one.rid], {one.rid}
    while waiting and len(seen) < _MOST_KIN:
        for child in executions.list_children(on.view, waiting.pop()):
            if child.rid not in seen and "act" not in child.details:
                seen.add(child.rid)
                waiting.append(child.rid)
                yield child.rid
    if one.workflow is None or "pid" not in one.details:
        return
    table = tables.execution
    same = on.view.rows(
        sa.select(table.c.rid)
        .where(on.view.visible(table), table.c.workflow == one.workflow, table.c.place.is_not_distinct_from(one.place))
        .order_by(table.c.rid)
        .limit(_MOST_KIN)
    )
    for other in executions.list_executions(on.view, [row.rid for row in same]):
        if other.rid not in seen and other.details.get("pid") == one.details["pid"] and other.argv == one.argv:
            yield other.rid


def _inputs(on: Reading, execution: Rid) -> list[RecordedInput]:
    return [describe_input(edge) for edge in list_edges(on.view, dst=execution) if edge.relation == USED]


def _replace(on: Reading, recorded: Sequence[RecordedInput], data: Sequence[str]) -> list[RecordedInput]:
    """The recorded inputs with others in the places that `data` names: REFERENCE, or NAME=REFERENCE."""
    found = list(dict.fromkeys(recorded))
    for text in data:
        name, sign, reference = text.partition("=")
        pinned = resolve_input(on.view, reference if sign else text)
        wanted = name if sign else pinned.name
        places = [place for place, item in enumerate(found) if wanted in {item.name, item.reference, item.asked}]
        if len(places) != 1:
            raise (NotFound if not places else InvalidInput)(
                f"{'No' if not places else 'More than one'} recorded input is called {wanted!r}.",
                faults=sorted({f"{item.name} ({item.reference})" for item in recorded}),
                todo="Name the one that is to be replaced: --data NAME=REFERENCE.",
            )
        old = found[places[0]]
        found[places[0]] = replace(recorded_pin(pinned), name=old.name, asked=old.asked, replaces=old.reference)
    return found
