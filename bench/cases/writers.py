"""Writers beside one another: small writes while another process imports a million values, and eight small writers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import commonground as cg
from bench.bench_place import Bench, make_database, postgres
from bench.cases.values import make_entities
from bench.measuring import ROOT, Row, Timed

WRITERS = 8
PAUSE_S = 0.02
"""Between small writes beside an import, so that the import has the disk too."""
IMPORT = """
import sys
from pathlib import Path
import numpy as np
import commonground as cg
from commonground.structure import entities
folder, url, count = Path(sys.argv[1]), sys.argv[2] or None, int(sys.argv[3])
with cg.open(folder, person="Bench") as study:
    with study.session.reading() as on:
        rids = np.array(entities.list_entities(on.view, entities.get_type(on.view, "Item"))["rid"])
    draw = np.random.default_rng(1)
    chosen, grades = draw.choice(rids, count), draw.integers(1, 6, count)
    study.session.plan("dataset create", name="warm")
    print("ready", flush=True)
    sys.stdin.readline()
    study.features.annotate("grade", rids=chosen, values=grades)
"""
SMALL = """
import json, sys, time
from pathlib import Path
import commonground as cg
folder, own, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with cg.open(folder, person="Bench") as study:
    study.datasets.create(f"warm-{own}")
    print("ready", flush=True)
    sys.stdin.readline()
    taken = []
    for number in range(count):
        started = time.perf_counter()
        study.datasets.create(f"set-{own}-{number}")
        taken.append(time.perf_counter() - started)
print(json.dumps(taken))
"""


def writers(bench: Bench) -> list[Row]:
    """On SQLite, then on PostgreSQL."""
    rows = _on(bench, "SQLite", None)
    with postgres() as server:
        rows += _on(bench, "PostgreSQL", make_database(server, "writers"))
    return rows


def _on(bench: Bench, engine: str, url: str | None) -> list[Row]:
    count = bench.pick(300_000, 1_000_000)
    study, _ = make_entities(bench, f"writers-{engine.lower()}", url, count // 10)
    folder = study.folder
    alone = _timed(_write(study, f"alone-{number}") for number in range(60))
    beside, seconds = _beside_import(study, folder, url, count)
    study.close()
    together = _together(folder, bench.pick(20, 60))
    told = {"alone": f"p50 {alone.at(0.5) * 1e3:.1f} ms, p99 {alone.at(0.99) * 1e3:.0f} ms"}
    note = f"the import took {seconds:.0f} s"
    small = f"a small write beside an import of {count:,} values, {engine}"
    return [
        Row(
            f"{small}: p99", "ms", beside.at(0.99) * 1e3, "p99", **beside.figures(1e3), target="< 200 ms", limit=200.0,
            beside=told, note=note,
        ),
        Row(
            f"{small}: longest", "ms", beside.at(1) * 1e3, "max", **beside.figures(1e3), target="< 1 s",
            limit=1_000.0, beside=told, note=note,
        ),
        Row(
            f"a small write, {WRITERS} processes at once, {engine}", "ms", together.at(0.99) * 1e3, "p99",
            **together.figures(1e3), target="< 1 s", limit=1_000.0, beside=told,
            note=f"{len(together.wall)} changes, none lost",
        ),
    ]  # fmt: skip


def _write(study: cg.Study, name: str) -> float:
    started = time.perf_counter()
    study.datasets.create(name)
    return time.perf_counter() - started


def _timed(taken: Iterable[float]) -> Timed:
    return Timed(tuple(sorted(taken)), ())


def _start(code: str, *words: str) -> subprocess.Popen[str]:
    """A process that has said that it is ready, and waits for a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    if process.stdout is None or process.stdout.readline() != "ready\n":
        raise RuntimeError("a process could not begin")
    return process


def _go(process: subprocess.Popen[str]) -> None:
    if process.stdin is not None:
        process.stdin.write("\n")
        process.stdin.flush()


def _beside_import(study: cg.Study, folder: Path, url: str | None, count: int) -> tuple[Timed, float]:
    importer = _start(IMPORT, str(folder), url or "", str(count))
    started = time.perf_counter()
    _go(importer)
    taken: list[float] = []
    while importer.poll() is None:
        taken.append(_write(study, f"beside-{len(taken)}"))
        time.sleep(PAUSE_S)
    seconds = time.perf_counter() - started
    importer.communicate()
    if importer.returncode:
        raise RuntimeError("the import failed")
    return _timed(taken), seconds


def _together(folder: Path, each: int) -> Timed:
    with cg.open(folder, person="Bench") as study, study.session.reading() as on:
        before = on.view.change
    processes = [_start(SMALL, str(folder), str(own), str(each)) for own in range(WRITERS)]
    for process in processes:
        _go(process)
    answers = [process.communicate()[0] for process in processes]
    with cg.open(folder, person="Bench") as study, study.session.reading() as on:
        made = on.view.change - before
    if made != WRITERS * (each + 1):
        raise RuntimeError(f"{made} changes were made of {WRITERS * (each + 1)}")
    return _timed(second for answer in answers for second in json.loads(answer))
