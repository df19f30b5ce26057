"""Reproductions: what repeated runs came to, kept as an execution of its own beside the one that was repeated.

The act is one change: a new execution that holds the verdict, linked from the old one by `reproduces`, and the re-runs
as its parts. The old execution is not touched. `details` of the act: verdict (see structure/verdicts.py), asked (what
was changed on purpose).
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from commonground.errors import InvalidInput
from commonground.identity import Kind, Rid, read_rid, show_rid
from commonground.operations.execution_reading import ExecutionRecord, read_execution
from commonground.operations.executions import pick_execution
from commonground.operations.plans import Plan, Reading
from commonground.operations.recorded_inputs import describe_input
from commonground.store.changes import list_changes
from commonground.store.text_index import Document, put
from commonground.store.transaction import Transaction
from commonground.structure import executions, tables
from commonground.structure.assets import list_assets
from commonground.structure.environment import Environment
from commonground.structure.execution_states import Status
from commonground.structure.executions import Execution
from commonground.structure.features import get_feature, read_values
from commonground.structure.lineage import REPRODUCES, Edge, add_edges, list_edges
from commonground.structure.parameters import find_seeds
from commonground.structure.people import name_raters
from commonground.structure.verdicts import Conditions, Figures, Scalar, Verdict

VALUES = "values"
NOT_COMPARED = frozenset({"log", "cells"})
HASH_SEED = "PYTHONHASHSEED"


@dataclass(frozen=True, slots=True)
class Reproduction:
    """One time that an execution was run again."""

    rid: Rid
    """The execution that holds the verdict."""
    of: Rid
    """The execution that was run again."""
    verdict: Verdict
    """What it shows."""
    person: str | None
    """By whom."""
    at: int
    """When it ended, UTC microseconds."""
    why: str | None
    """The words given for it."""
    asked: Mapping[str, Any]
    """What was changed on purpose; empty if nothing was."""
    runs: tuple[Execution, ...]
    """The re-runs, in the order in which they began."""


def plan_reproduced(
    on: Reading,
    *,
    execution: Rid | str,
    verdict: Mapping[str, Any],
    runs: Sequence[Rid | str] = (),
    asked: Mapping[str, Any] | None = None,
    act: Rid | str | None = None,
    started_at: int | None = None,
) -> Plan:
    """Keep what a reproduction came to; `verdict` is what `Verdict.as_plain` gives."""
    found = pick_execution(on, execution)
    try:
        told = Verdict.from_plain(verdict)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"This is no verdict: {error}.", todo="`cg reproduce` makes one.") from error
    reruns = [pick_execution(on, run).rid for run in runs]
    minted = on.mint(3)
    rid = minted[0] if act is None else read_rid(act) if isinstance(act, str) else act
    now = on.ground.clock()
    fields = {
        "rid": rid,
        "workflow": None,
        "person": on.actor.person,
        "name": f"reproduction-{show_rid(rid)[-6:].lower()}",
        "status": str(Status.FINISHED),
        "scratch": 0,
        "argv": ["cg", "reproduce", show_rid(found.rid)],
        "started_at": now if started_at is None else started_at,
        "ended_at": now,
        "details": {"verdict": told.as_plain(), "asked": dict(asked or {})},
    }
    said = {"outcome": str(told.outcome), "level": str(told.level) if told.level else None, "cause": told.cause}
    return Plan(
        id=minted[2],
        verb="execution reproduced",
        args={"execution": fields, "of": found.rid, "edge": minted[1], "said": said, "runs": reruns},
        at=on.view.change,
        anchors=(rid, found.rid),
        effect={"reproduces": found.name, "outcome": str(told.outcome), "runs": len(reruns)},
    )


def apply_reproduced(tx: Transaction, plan: Plan) -> None:
    """Write the act, its link, and whose parts the re-runs are."""
    args = plan.args
    act = args["execution"]["rid"]
    executions.add_execution(tx, args["execution"])
    add_edges(tx, [Edge(args["edge"], args["of"], act, REPRODUCES, args["said"]["outcome"], args["said"])])
    for run in args["runs"]:
        executions.change_execution(tx, run, {"parent": act})
    name = args["execution"]["name"]
    put(tx.connection, [Document(act, Kind.EXECUTION, name, f"reproduction: {args['said']['outcome']}")])


def read_reproductions(on: Reading, *, execution: Rid | str) -> list[Reproduction]:
    """Every time that an execution was run again, the oldest first; of a reproduction itself, that one."""
    found = pick_execution(on, execution)
    edges = [edge for edge in list_edges(on.view, src=found.rid) if edge.relation == REPRODUCES]
    if "verdict" in found.details:
        edges += [edge for edge in list_edges(on.view, dst=found.rid) if edge.relation == REPRODUCES]
    return [_reproduction(on, edge) for edge in edges]


def _reproduction(on: Reading, edge: Edge) -> Reproduction:
    act = executions.get_execution(on.view, edge.dst)
    person = name_raters(on.view, [act.person]).get(act.person) if act.person else None
    changes = list_changes(on.view.connection, about=act.rid, until=on.view.change)
    return Reproduction(
        rid=act.rid,
        of=edge.src,
        verdict=Verdict.from_plain(act.details["verdict"]),
        person=person,
        at=act.ended_at or act.started_at,
        why=next((change.why for change in changes if change.verb == "execution reproduced"), None),
        asked=act.details.get("asked", {}),
        runs=tuple(executions.list_children(on.view, act.rid)),
    )


def list_attempts(on: Reading, act: str, since: Rid, *, run: int) -> list[ExecutionRecord]:
    """The executions that the re-run with this number made, by what they say of themselves."""
    table = tables.execution
    rows = on.view.list_rows(table, table.c.rid > since)
    found = executions.list_executions(on.view, [row.rid for row in rows])
    return [
        read_execution(on, execution=one.rid)
        for one in found
        if one.details.get("act") == act and one.details.get("run") == run
    ]


def read_figures(on: Reading, record: ExecutionRecord, ignored: Sequence[str] = ()) -> Figures:
    """What an execution came to: last values of metrics, computed values, digests of saved files."""
    metrics = {key: one.value for key, one in record.metrics.items() if key not in ignored}
    values: dict[str, dict[int, Scalar]] = {}
    outputs: dict[str, str] = {}
    assets = {asset.rid: asset for asset in list_assets(on.view, [edge.dst for edge, _ in record.outputs])}
    for edge, _ in record.outputs:
        asset = assets.get(edge.dst)
        if asset is None:
            if "batch" in edge.details:
                values.setdefault(_feature_name(edge), {}).update(_stored_values(on, edge))
        elif asset.kind == VALUES and "feature" in edge.details:
            values.setdefault(_feature_name(edge), {}).update(_kept_values(on, asset.digest))
        elif asset.kind not in NOT_COMPARED:
            name, number = edge.role or asset.name, 2
            while name in outputs:
                name, number = f"{edge.role or asset.name} ({number})", number + 1
            outputs[name] = asset.digest
    return Figures(metrics, values, {name: digest for name, digest in outputs.items() if name not in ignored})


def _feature_name(edge: Edge) -> str:
    return f"{edge.details['type']}.{edge.details['feature']}"


def _stored_values(on: Reading, edge: Edge) -> dict[int, Scalar]:
    found = read_values(on.view, get_feature(on.view, edge.dst))
    rows = found.take((found.batch == edge.details["batch"]).nonzero()[0])
    told: list[Scalar] = rows.value.tolist()
    return {
        int(entity): None if missing else value
        for entity, value, missing in zip(rows.entity.tolist(), told, rows.missing.tolist(), strict=True)
    }


def _kept_values(on: Reading, digest: str) -> dict[int, Scalar]:
    table = pq.read_table(io.BytesIO(on.ground.blobs.get_bytes(digest)))
    return dict(zip(table["entity"].to_pylist(), table["value"].to_pylist(), strict=True))


def read_conditions(on: Reading, record: ExecutionRecord) -> Conditions:
    """Under which conditions an execution ran, axis by axis; an axis that is not on record is None."""
    seeds = find_seeds(record.params)
    environment = _read_environment(on, record.execution.environment)
    code = record.workflow
    found: dict[str, dict[str, str] | None] = {
        "code": None if code is None else {"files": code.tree, "entry point": code.entry or ""},
        "data": _describe_data(record),
        "parameters": {key: json.dumps(value) for key, value in record.params.items() if key not in seeds},
        "seed": {key: json.dumps(value) for key, value in seeds.items()},
        "packages": None,
        "interpreter": None,
        "platform": None,
        "variables": None,
    }
    if environment is None:
        return found
    found["seed"] = {**(found["seed"] or {}), HASH_SEED: environment.seeds.get(HASH_SEED, "")}
    return {**found, **describe_environment(environment)}


def describe_environment(environment: Environment) -> dict[str, dict[str, str]]:
    """The axes of an environment: packages, interpreter, platform, variables.

    Memory, the kernel's release, lock files and whether the interpreter is isolated are left out: they change nothing
    that the others do not show.
    """
    platform = {f"system {name}": environment.system.get(name, "") for name in ("name", "machine", "libc")}
    platform |= {f"processor {name}": str(environment.cpu.get(name)) for name in ("model", "usable")}
    platform |= {f"graphics {place}": text for place, text in enumerate(environment.gpus)}
    platform |= {f"container {name}": text for name, text in environment.container.items()}
    return {
        "packages": dict(environment.packages),
        "interpreter": {name: environment.python.get(name, "") for name in ("version", "implementation")},
        "platform": platform,
        "variables": {name: text for name, text in environment.variables.items() if name != HASH_SEED},
    }


def _read_environment(on: Reading, digest: str | None) -> Environment | None:
    if digest is None or not on.ground.blobs.has(digest):
        return None
    return Environment.from_json(on.ground.blobs.get_bytes(digest).decode())


def _describe_data(record: ExecutionRecord) -> dict[str, str]:
    """Each input with what pins it, and each table that was read of it with the digests of its rows and values."""
    told: dict[str, str] = {}
    for edge, _ in record.inputs:
        item = describe_input(edge)
        name = edge.role or item.name
        told[name] = f"{item.reference} {item.digest}" if item.kind != Kind.ASSET else str(item.digest)
        for place, frame in enumerate(edge.details.get("frames", ()), 1):
            told[f"{name}, table {place}"] = json.dumps(
                {key: frame.get(key) for key in ("grain", "columns", "missing", "rows_digest", "features")},
                sort_keys=True,
                default=str,
            )
    return told
