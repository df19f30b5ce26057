"""Executions: what one costs, what a metric costs, and finding one among many."""

from __future__ import annotations

import functools
import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from bench.bench_place import Bench, make_database, postgres
from bench.limits import probe_commits
from bench.measuring import ROOT, Row, Timed, time_each, time_once
from bench.peers import Absent, run_peer
from commonground.interfaces.client.study import Study
from commonground.store import changes
from commonground.store.bulk import insert_rows
from commonground.structure import tables
from commonground.structure.metrics import list_summaries

PARAMS = {f"p{key}": key * 0.1 for key in range(10)}


def one_run(study: Study, number: int, path: Path) -> None:
    """Open an execution, give it 10 parameters, 10 metrics and a file with new content, and close it."""
    path.write_bytes(os.urandom(10_000))
    with study.run(intent="bench", params={**PARAMS, "number": number}) as run:
        run.log({f"m{key}": key * 0.5 + number for key in range(10)}, step=0)
        run.save(path)


def run_cost(bench: Bench) -> list[Row]:
    """The cost of one execution: CPU, wall, syncs; beside MLflow and the bare commit."""
    path = bench.folder / "f.bin"
    os.chdir(bench.folder)
    study = bench.study()
    cold_wall, cold_cpu = time_once(lambda: one_run(study, 0, path))
    for number in range(5):
        one_run(study, number, path)
    taken = time_each(lambda number: one_run(study, number, path), bench.pick(60, 200))
    study.close()
    commits = probe_commits(bench.folder)
    rows = [
        Row(
            "open, fill (10 + 10 + 1 file) and close an execution: CPU, warm", "ms", taken.at(0.5, cpu=True) * 1e3,
            **taken.figures(1e3, cpu=True), target="<= 5 ms", limit=5.0,
        ),
        Row(
            "the same: wall", "ms", taken.at(0.5) * 1e3, **taken.figures(1e3),
            beside={"bare one-row commits": f"{commits:.0f}/s"},
        ),
        Row("the first one of a process: CPU", "ms", cold_cpu * 1e3, "once", note=f"wall {cold_wall * 1e3:.0f} ms"),
    ]  # fmt: skip
    syncs = count_syncs(bench)
    if syncs is not None:
        rows.append(Row("the same: syncs", "syncs", syncs, "mean", target="<= 4", limit=4.0, note="counted by strace"))
    else:
        rows.append(Row("the same: syncs", "syncs", 0.0, "not counted", note="there is no strace on this machine"))
    rows.append(_beside_mlflow(bench, taken))
    return rows


def _beside_mlflow(bench: Bench, taken: Timed) -> Row:
    try:
        told = run_peer("mlflow", "runs", bench.folder / "mlflow", times=bench.pick(30, 60))
    except Absent as reason:
        return Row("ratio to MLflow batched", "x", 0.0, "not measured", note=str(reason))
    wall, cpu = sorted(told["wall"]), sorted(told["cpu"])
    theirs = Timed(tuple(wall), tuple(cpu))
    return Row(
        "the same beside MLflow, in batches: wall", "x", theirs.at(0.5) / taken.at(0.5), "ratio of p50",
        n=len(wall), target=">= 5x", limit=5.0, more_is_better=True,
        beside={
            "MLflow": f"{theirs.at(0.5) * 1e3:.1f} ms wall, {theirs.at(0.5, cpu=True) * 1e3:.1f} ms CPU",
            "ratio of CPU": f"{theirs.at(0.5, cpu=True) / taken.at(0.5, cpu=True):.1f}x",
        },
        note="MLflow does not sync its file",
    )  # fmt: skip


def count_syncs(bench: Bench) -> float | None:
    """The mean number of syncs of one execution: those of a process with 30 of them less those of one with 10."""
    if shutil.which("strace") is None:
        return None
    counted = []
    for times in (10, 30):
        folder = bench.folder / f"strace-{times}"
        folder.mkdir()
        report = folder / "report"
        code = (
            "import sys; from pathlib import Path; import commonground as cg\n"
            "from bench.cases.executions import one_run\n"
            f"path = Path({str(bench.folder / 'f.bin')!r})\n"
            "study = cg.init(Path('study'), name='study', person='Bench')\n"
            f"for number in range({times}): one_run(study, number, path)\n"
            "study.close()\n"
        )
        command = ["strace", "-f", "-o", str(report), "-e", "trace=fsync,fdatasync,syncfs,sync_file_range,sync"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [*command, sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, check=False
        )
        if done.returncode or not report.exists():
            return None
        calls = re.findall(r"\b(?:fsync|fdatasync|syncfs|sync_file_range|sync)\(", report.read_text())
        counted.append(len(calls))
    return (counted[1] - counted[0]) / 20


def metric_calls(bench: Bench) -> list[Row]:
    """What a metric call costs inside the loop, and how fast the points reach the catalogue."""
    os.chdir(bench.folder)
    count = bench.pick(30_000, 100_000)
    rows = _metrics_on(bench, "SQLite", None, count, 80_000.0)
    with postgres() as server:
        rows += _metrics_on(bench, "PostgreSQL", make_database(server, "metrics"), count, 50_000.0)
    try:
        told = run_peer("mlflow", "metrics", bench.folder / "mlflow", single=bench.pick(50, 200), batched=10_000)
        beside = f"{told['single']:.0f}/s one by one, {told['batched']:.0f}/s in batches of 1,000"
    except Absent as reason:
        beside = str(reason)
    for row in rows:
        row.beside["MLflow"] = beside
    return rows


def _metrics_on(bench: Bench, engine: str, url: str | None, count: int, aim: float) -> list[Row]:
    study = bench.study(f"metrics-{engine.lower()}", url)
    run = study.run(intent="bench").start()
    for step in range(1_000):
        run.log({"warm": float(step)}, step=step)
    taken = time_each(lambda step: run.log({"loss": 1.0 / (step + 1)}, step=step), count)
    wall, cpu = time_once(run.end)
    with study.session.reading() as on:
        kept = sum(one.points for one in list_summaries(on.view, [run.rid])[run.rid].values())
    study.close()
    if kept != count + 1_000:
        raise RuntimeError(f"{kept} points arrived of {count + 1_000}")
    figures = taken.figures(1e6)
    return [
        Row(f"a metric call, {engine}", "us", taken.at(0.5) * 1e6, **figures, target="< 50 us", limit=50.0),
        Row(
            f"a metric call, {engine}: p99.9", "us", taken.at(0.999) * 1e6, "p99.9", **figures,
            target="< 5 ms", limit=5_000.0,
        ),
        Row(
            f"{count + 1_000:,} points of one run delivered, {engine}", "/s", kept / wall, "once",
            target=f">= {aim:,.0f}/s", limit=aim, more_is_better=True, note=f"{kept / cpu:,.0f} a second of CPU",
        ),
    ]  # fmt: skip


def finding(bench: Bench) -> list[Row]:
    """Finding executions by filter and by order only, among 10,000 and 100,000."""
    rows: list[Row] = []
    sizes = (2_000, 10_000) if bench.size == "quick" else (10_000, 100_000)
    known: dict[str, float] = {}
    for count in sizes:
        study = bench.study(f"find-{count}")
        fill_executions(study, count)
        for kind, asked in _searches().items():
            taken = time_each(functools.partial(_search, study, asked), 60)
            p95 = taken.at(0.95) * 1e3
            row = Row(f"find by {kind} among {count:,}", "ms", p95, "p95", **taken.figures(1e3))
            row.note = f"CPU p50 {taken.at(0.5, cpu=True) * 1e3:.1f}, p95 {taken.at(0.95, cpu=True) * 1e3:.1f} ms"
            if count == 10_000:
                row.target, row.limit = "<= 30 ms", 30.0
            if kind in known:
                growth = p95 / known[kind]
                row.note += f"; {growth:.1f} times the figure for {sizes[0]:,}, at {count // sizes[0]} times as many"
            known.setdefault(kind, p95)
            rows.append(row)
        study.close()
    try:
        told = run_peer("mlflow", "search", bench.folder / "mlflow", count=10_000, times=bench.pick(2, 5))
    except Absent as reason:
        rows[0].note = f"MLflow not measured: {reason}"
        return rows
    for row in rows:
        if "among 10,000" in row.task:
            theirs = sorted(told["order" if "order" in row.task else "filter"])
            middle = theirs[len(theirs) // 2] * 1e3
            row.beside["MLflow"] = f"{middle:,.0f} ms, {middle / (row.p50 or 1):,.0f}x"
    return rows


def _search(study: Study, asked: list[dict[str, str]], number: int) -> None:
    study.read("execution find", limit=100, **asked[number % len(asked)])


def _searches() -> dict[str, list[dict[str, str]]]:
    draw = random.Random(1)
    wide = [{"filter": f"metrics.m{draw.randrange(10)} > {draw.uniform(0.1, 0.5):.3f}"} for _ in range(10)]
    narrow = [{"filter": f"metrics.m{draw.randrange(10)} > {draw.uniform(0.995, 0.999):.4f}"} for _ in range(10)]
    both = [
        {"filter": f"params.p{draw.randrange(10)} = {draw.randrange(100)} and status = finished"} for _ in range(10)
    ]
    order = [{"order": f"-metrics.m{key}"} for key in range(10)]
    return {"a wide filter": wide, "a narrow filter": narrow, "parameter and status": both, "order only": order}


def fill_executions(study: Study, count: int) -> None:
    """So many ended executions with 10 parameters and 10 metrics each, in one change by the writers of the tables."""
    ground, draw = study.session.ground, random.Random(0)
    rids = ground.mint.many(count)
    now = time.time_ns() // 1000
    with ground.change() as tx:
        tx.register("execution", rids)  # type: ignore[arg-type]
        tx.insert(
            tables.execution,
            [
                {
                    "rid": rid, "person": study.session.actor.person, "name": f"run-{place}",
                    "status": "failed" if place % 7 == 0 else "finished", "reason": None, "scratch": 0,
                    "started_at": now + place, "ended_at": now + place,
                }
                for place, rid in enumerate(rids)
            ],
        )  # fmt: skip
        insert_rows(
            tx.connection, tables.param, ["execution", "key", "kind", "num", "txt", "long"],
            [(rid, f"p{key}", "int", float(draw.randrange(100)), None, None) for rid in rids for key in range(10)],
        )  # fmt: skip
        values = [(rid, f"m{key}", draw.random()) for rid in rids for key in range(10)]
        insert_rows(
            tx.connection, tables.metric, ["execution", "key", "step", "at", "value", "flag"],
            [(rid, key, 0, now, value, None) for rid, key, value in values],
        )  # fmt: skip
        insert_rows(
            tx.connection, tables.metric_last,
            ["execution", "key", "step", "at", "value", "flag", "lowest", "highest", "points"],
            [(rid, key, 0, now, value, None, value, value, 1) for rid, key, value in values],
        )  # fmt: skip
        changes.append(
            tx, plan=ground.mint.one(), verb="execution start", args={}, why="bench", actor=study.session.actor,
            recorded_at=now,
        )  # fmt: skip
