"""MLflow's part: runs with batches, single metric calls, searching. Runs in MLflow's own environment."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import time
import uuid
from pathlib import Path

import mlflow
from mlflow.entities import Metric, Param

STORE = f"sqlite:///{Path.cwd()}/mlflow.db"


def client() -> mlflow.MlflowClient:
    """A client of the store in this folder."""
    mlflow.set_tracking_uri(STORE)
    return mlflow.MlflowClient(STORE)


def runs(times: int) -> dict[str, list[float]]:
    """Wall and CPU seconds of one run each: 10 parameters and 10 metrics in one batch, one file."""
    talk = client()
    experiment = talk.create_experiment("bench", artifact_location=f"file://{Path.cwd()}/artifacts")
    wall, cpu = [], []
    for number in range(times + 3):
        started, begun = time.perf_counter(), time.process_time()
        Path("f.bin").write_bytes(os.urandom(10_000))
        run = talk.create_run(experiment)
        now = int(time.time() * 1000)
        talk.log_batch(
            run.info.run_id,
            params=[Param(f"p{i}", str(i * 0.1 + number)) for i in range(10)],
            metrics=[Metric(f"m{i}", i * 0.5, now, 0) for i in range(10)],
        )
        talk.log_artifact(run.info.run_id, "f.bin")
        talk.set_terminated(run.info.run_id)
        wall.append(time.perf_counter() - started)
        cpu.append(time.process_time() - begun)
    return {"wall": wall[3:], "cpu": cpu[3:]}


def metrics(single: int, batched: int) -> dict[str, float]:
    """Metrics a second: one call each, and in batches of 1,000."""
    talk = client()
    run = talk.create_run(talk.create_experiment("metrics")).info.run_id
    started = time.perf_counter()
    for step in range(single):
        talk.log_metric(run, "loss", 1.0 / (step + 1), step=step)
    alone = single / (time.perf_counter() - started)
    started = time.perf_counter()
    for first in range(0, batched, 1000):
        now = int(time.time() * 1000)
        talk.log_batch(run, metrics=[Metric("batch", step * 0.5, now, step) for step in range(first, first + 1000)])
    return {"single": alone, "batched": batched / (time.perf_counter() - started)}


def search(count: int, times: int) -> dict[str, list[float]]:
    """Seconds of searching `count` runs, whose rows are put straight into its tables, by filter and by order only."""
    talk = client()
    experiment = talk.create_experiment("many")
    draw = random.Random(0)
    base = sqlite3.connect("mlflow.db")
    ids = [uuid.uuid4().hex for _ in range(count)]
    now = int(time.time() * 1000)
    base.executemany(
        "INSERT INTO runs(run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time,"
        " end_time, source_version, lifecycle_stage, artifact_uri, experiment_id, deleted_time)"
        " VALUES (?, ?, 'LOCAL', '', '', 'me', 'FINISHED', ?, ?, '', 'active', 'file:///none', ?, NULL)",
        [(one, one[:8], now + place, now + place, int(experiment)) for place, one in enumerate(ids)],
    )
    base.executemany(
        "INSERT INTO params(run_uuid, key, value) VALUES (?, ?, ?)",
        [(one, f"p{key}", str(draw.randrange(100))) for one in ids for key in range(10)],
    )
    rows = [(one, f"m{key}", draw.random(), now, 0, False) for one in ids for key in range(10)]
    for table in ("metrics", "latest_metrics"):
        base.executemany(
            f"INSERT INTO {table}(run_uuid, key, value, timestamp, step, is_nan) VALUES (?, ?, ?, ?, ?, ?)", rows
        )
    base.commit()
    base.close()
    found: dict[str, list[float]] = {"filter": [], "order": []}
    for number in range(times):
        started = time.perf_counter()
        hits = talk.search_runs([experiment], filter_string=f"metrics.m{number % 10} > 0.99", max_results=100)
        found["filter"].append(time.perf_counter() - started)
        if len(hits) != min(100, len(hits)) or not hits:
            raise RuntimeError("the search found nothing")
        started = time.perf_counter()
        hits = talk.search_runs([experiment], order_by=[f"metrics.m{number % 10} DESC"], max_results=100)
        found["order"].append(time.perf_counter() - started)
        if len(hits) != 100:
            raise RuntimeError("the search found too little")
    return found


def start(times: int) -> list[float]:
    """Seconds of `import mlflow` in a new process, less those of a bare interpreter."""
    found = []
    for _ in range(times):
        taken = []
        for code in ("pass", "import mlflow"):
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            taken.append(time.perf_counter() - started)
        found.append(taken[1] - taken[0])
    return found


if __name__ == "__main__":
    task, given = sys.argv[1], json.loads(sys.argv[2])
    print(json.dumps({"runs": runs, "metrics": metrics, "search": search, "start": start}[task](**given)))
