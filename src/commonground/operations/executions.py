"""Starting, filling, ending and keeping executions.

A start is one change: the execution, its code, parameters and the inputs known so far. An end is one change: outputs,
the parameters and inputs that came later, metrics, state. Both plans are made of plain data by functions that need no
catalogue, so that a run that has lost it can write them to its spool and deliver them later, once.

    arguments of `execution start`    execution {FIELDS}, workflow {fields} or None, params [[key, kind, num, txt,
                                      long]], edges [{fields}], lease {process, spool, seen_at}
    arguments of `execution finish`   execution, changes {status, reason, ended_at, seed, details}, params, edges (new),
                                      said (edges again, with more details), assets [{fields}], metrics {points, digest}
    payload of either                 files: paths to take into the blob store; of `finish` also points
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from commonground.errors import Conflict, Corrupt, InvalidInput, NotFound
from commonground.identity import Kind, Mint, Rid, show_rid
from commonground.operations.inputs import Pin, resolve_input
from commonground.operations.plans import Plan, Reading
from commonground.operations.resolving import resolve
from commonground.store.faults import point
from commonground.store.ground import Ground
from commonground.store.text_index import Document, put
from commonground.store.transaction import Transaction
from commonground.structure import executions, metrics, workflows
from commonground.structure.assets import add_assets
from commonground.structure.execution_states import ENDED, Status
from commonground.structure.executions import Execution
from commonground.structure.lineage import PRODUCED, USED, Edge, add_edges, replace_edges
from commonground.structure.metrics import Point, digest_of_points
from commonground.structure.names import clean_name
from commonground.structure.parameters import add_params, as_rows, find_seeds
from commonground.structure.screen_told import WITHHELD, KeyNames, flatten_screened, screen_argv, screen_words
from commonground.structure.storable_text import storable

# ---------------------------------------------------------------- plans, made without a catalogue


def start_plan(
    mint: Mint,
    *,
    execution: Mapping[str, Any],
    workflow: Mapping[str, Any] | None,
    params: Sequence[Sequence[Any]],
    edges: Sequence[Mapping[str, Any]] = (),
    lease: Mapping[str, Any] | None = None,
    files: Sequence[Path] = (),
    at: int = 0,
    plan: Rid | None = None,
) -> Plan:
    """The plan of a start; with the same `plan` id it is the same plan."""
    return Plan(
        id=mint.one() if plan is None else plan,
        verb="execution start",
        args={
            "execution": storable(dict(execution)),
            "workflow": storable(dict(workflow)) if workflow else None,
            "params": storable([list(row) for row in params]),
            "edges": [dict(edge) for edge in edges],
            "lease": dict(lease) if lease else None,
        },
        at=at,
        anchors=(execution["rid"],),
        effect={"starts": execution["name"], "inputs": len(edges), "params": len(params)},
        payload={"files": [str(path) for path in files]},
    )


def finish_plan(
    mint: Mint,
    *,
    execution: Rid,
    changes: Mapping[str, Any],
    params: Sequence[Sequence[Any]] = (),
    edges: Sequence[Mapping[str, Any]] = (),
    said: Sequence[Mapping[str, Any]] = (),
    assets: Sequence[Mapping[str, Any]] = (),
    points: Sequence[Point] = (),
    files: Sequence[Path] = (),
    spool: Mapping[str, int] | None = None,
    at: int = 0,
    plan: Rid | None = None,
) -> Plan:
    """The plan of an end; with the same `plan` id it is the same plan.

    `spool` says how far it has what the run wrote: the number of the last record of each spool file.
    """
    return Plan(
        id=mint.one() if plan is None else plan,
        verb="execution finish",
        args={
            "execution": execution,
            "changes": storable(dict(changes)),
            "params": storable([list(row) for row in params]),
            "edges": [dict(edge) for edge in edges],
            "said": [dict(edge) for edge in said],
            "assets": [dict(asset) for asset in assets],
            "metrics": {"points": len(points), "digest": digest_of_points(points) if points else None},
            "spool": dict(spool or {}),
        },
        at=at,
        anchors=(execution,),
        effect={"ends": str(changes["status"]), "outputs": len(assets), "points": len(points)},
        payload={"points": list(points), "files": [str(path) for path in files]},
    )


def pick_execution(on: Reading, given: Rid | str) -> Execution:
    """The execution that a rid, the beginning of one, or a name means; raises NotFound or Ambiguous."""
    if isinstance(given, int):
        return executions.get_execution(on.view, given)
    found = resolve(on.view, given)
    if found.kind is not Kind.EXECUTION:
        raise NotFound(f"{given!r} is no execution but a {found.kind}.", todo="`cg execution find` lists executions.")
    return executions.get_execution(on.view, found.rid)


def used_edge(rid: Rid, execution: Rid, pin: Pin, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The edge from an input to the execution that uses it, as plain data."""
    details = {**pin.details(), **(more or {})}
    return {"rid": rid, "src": pin.rid, "dst": execution, "relation": USED, "role": pin.name, "details": details}


def produced_edge(rid: Rid, execution: Rid, thing: Rid, role: str, details: Mapping[str, Any]) -> dict[str, Any]:
    """The edge from an execution to what it made, as plain data."""
    return {"rid": rid, "src": execution, "dst": thing, "relation": PRODUCED, "role": role, "details": dict(details)}


# ---------------------------------------------------------------- start


def plan_start(
    on: Reading,
    *,
    name: str | None = None,
    inputs: Sequence[str] = (),
    params: Mapping[str, Any] | None = None,
    scratch: bool = False,
    parent: Rid | str | None = None,
    argv: Sequence[str] = (),
    place: str | None = None,
    started_at: int | None = None,
) -> Plan:
    """Begin an execution by hand: for work that no program of ours runs."""
    flat, withheld = flatten_screened(params or {})
    pins = [resolve_input(on.view, text) for text in inputs]
    rids = on.mint(1 + len(pins))
    seeds = find_seeds(flat)
    execution = {
        "rid": rids[0],
        "workflow": None,
        "person": on.actor.person,
        "name": clean_name(screen_words(name or f"run-{show_rid(rids[0])[-6:].lower()}"), "run's name"),
        "status": str(Status.RUNNING),
        "scratch": int(scratch),
        "parent": pick_execution(on, parent).rid if parent is not None else None,
        "argv": screen_argv(argv),
        "place": place,
        "details": {WITHHELD: withheld} if withheld else {},
        "seed": json.dumps(seeds, sort_keys=True) if seeds else None,
        "started_at": on.ground.clock() if started_at is None else started_at,
    }
    edges = [used_edge(rid, rids[0], pin) for rid, pin in zip(rids[1:], pins, strict=True)]
    return start_plan(
        on.ground.mint,
        execution=execution,
        workflow=None,
        params=as_rows(flat),
        edges=edges,
        at=on.view.change,
    )


def stage_start(ground: Ground, plan: Plan) -> None:
    """Take captured code and environment into the blob store."""
    _take_files(ground, plan)


def apply_start(tx: Transaction, plan: Plan, staged: None = None) -> None:
    """Write the execution with its code, parameters and inputs."""
    del staged
    point("run.start")
    fields = dict(plan.args["execution"])
    workflow = plan.args["workflow"]
    if workflow is not None:
        fields["workflow"] = workflows.add_workflow(tx, workflow)
    executions.add_execution(tx, fields)
    add_params(tx.connection, fields["rid"], plan.args["params"], new=True)
    add_edges(tx, [Edge(**edge) for edge in plan.args["edges"]])
    lease = plan.args["lease"]
    if lease is not None and Status(fields["status"]) not in ENDED:
        executions.hold_lease(tx.connection, fields["rid"], lease["process"], lease["spool"], lease["seen_at"])
    title = " ".join(str(part) for part in (fields["name"], (workflow or {}).get("name")) if part)
    put(tx.connection, [Document(fields["rid"], Kind.EXECUTION, title, "")], new=True)


# ---------------------------------------------------------------- inputs that come later


def plan_input(on: Reading, *, execution: Rid | str, input: str) -> Plan:
    """Say that an execution that runs uses something more."""
    found = pick_execution(on, execution)
    if found.ended:
        raise Conflict(f"{found.name} has ended; what it used is settled.", todo="Write a note, or run it again.")
    pin = resolve_input(on.view, input)
    rids = on.mint(2)
    return Plan(
        id=rids[1],
        verb="execution input",
        args={"edge": used_edge(rids[0], found.rid, pin)},
        at=on.view.change,
        anchors=(found.rid,),
        reads=(found.rid,),
        effect={"uses": pin.reference},
    )


def apply_input(tx: Transaction, plan: Plan) -> None:
    """Write the edge."""
    add_edges(tx, [Edge(**plan.args["edge"])])


# ---------------------------------------------------------------- end


def plan_finish(
    on: Reading,
    *,
    execution: Rid | str,
    status: str = "finished",
    reason: str | None = None,
    params: Mapping[str, Any] | None = None,
    metrics: Mapping[str, float] | None = None,
    ended_at: int | None = None,
) -> Plan:
    """End an execution that was begun by hand."""
    found = pick_execution(on, execution)
    now = on.ground.clock()
    if status not in set(Status):
        raise InvalidInput(f"{status!r} is none of {', '.join(Status)}.", todo="Give one of these.")
    points = _points(metrics or {}, now)
    flat, withheld = flatten_screened(params or {})
    changes: dict[str, Any] = {"status": status, "reason": reason, "ended_at": now if ended_at is None else ended_at}
    if withheld:
        changes["details"] = {WITHHELD: {**found.details.get(WITHHELD, {}), **withheld}}
    return finish_plan(
        on.ground.mint,
        execution=found.rid,
        changes=changes,
        params=as_rows(flat),
        points=points,
        at=on.view.change,
    )


def _points(metrics: Mapping[str, float], now: int) -> list[Point]:
    """Metrics as points; raises InvalidInput with everything that is wrong with them."""
    points: list[Point] = []
    faults: list[str] = []
    names = KeyNames()
    for key, value in metrics.items():
        try:
            points.append((clean_name(names.clean(key), "metric's name"), 0, now, float(value)))
        except InvalidInput as error:
            faults.append(f"{key!r}: {error.what}")
        except (TypeError, ValueError):
            faults.append(f"{key!r} is no number: {value!r}")
    if faults:
        raise InvalidInput("These metrics cannot be taken.", faults=faults, todo="Give a name and a number for each.")
    return points


def stage_finish(ground: Ground, plan: Plan) -> None:
    """Before the lock is taken: check the points, and take the outputs into the blob store, all with one sync."""
    points, told = plan.payload.get("points", ()), plan.args["metrics"]
    if len(points) != told["points"] or (points and digest_of_points(points) != told["digest"]):
        raise Corrupt("The metrics are not the ones that were recorded.", todo="Deliver the run's spool again.")
    _take_files(ground, plan)


def apply_finish(tx: Transaction, plan: Plan, staged: None = None) -> None:
    """Write outputs, metrics, what came later, and the state."""
    del staged
    point("run.finish")
    args = plan.args
    rid = args["execution"]
    executions.change_execution(tx, rid, args["changes"])
    add_params(tx.connection, rid, args["params"], new=False)
    if args["assets"]:
        add_assets(tx, args["assets"])
    add_edges(tx, [Edge(**edge) for edge in args["edges"]])
    replace_edges(tx, [Edge(**edge) for edge in args["said"]])
    metrics.add_points(tx.connection, rid, plan.payload.get("points", ()), all_there_are=True)
    executions.drop_lease(tx.connection, rid)


# ---------------------------------------------------------------- keeping a try


def plan_promote(on: Reading, *, execution: Rid | str, name: str | None = None) -> Plan:
    """Keep a scratch execution: what it was is recorded already, so nothing is run again."""
    found = pick_execution(on, execution)
    if not found.scratch:
        raise InvalidInput(f"{found.name} is not a scratch run; it is kept already.", todo="Nothing is to be done.")
    changes: dict[str, Any] = {"scratch": 0}
    if name is not None:
        changes["name"] = clean_name(screen_words(name), "run's name")
    return on.plan(
        verb="execution promote",
        args={"execution": found.rid, "changes": changes},
        about=(found.rid,),
        effect={"keeps": changes.get("name", found.name)},
    )


def apply_promote(tx: Transaction, plan: Plan) -> None:
    """Take the mark away."""
    executions.change_execution(tx, plan.args["execution"], plan.args["changes"])
    if "name" in plan.args["changes"]:
        document = Document(plan.args["execution"], Kind.EXECUTION, plan.args["changes"]["name"], "")
        put(tx.connection, [document])


def _take_files(ground: Ground, plan: Plan) -> None:
    paths = [Path(text) for text in plan.payload.get("files", ())]
    if not paths:
        return
    stored = {info.digest for info in ground.blobs.put_files(paths)}
    wanted = {asset["digest"] for asset in plan.args.get("assets", ()) if not asset.get("reference")}
    if missing := wanted - stored:
        raise Corrupt(
            f"{len(missing)} of the outputs are not what was saved.",
            todo="The spool of the run keeps them: `cg sync` tries again.",
        )
