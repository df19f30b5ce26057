"""Peak memory of a new process that does one thing, at a size and at four times that size."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np

import commonground as cg
from bench.bench_place import Bench
from bench.measuring import ROOT, Row
from commonground.structure import entities

GROWTH = 1.25
"""So many times as much memory for four times the size counts as bounded."""


def memory(bench: Bench) -> list[Row]:
    """A large file, a CSV table, a release: each in a process of its own, at two sizes."""
    rows = []
    for task, (words, quick, usual) in {
        "file": ("add one file, MiB", 32, 128),
        "table": ("import a CSV table, rows", 5_000, 25_000),
        "release": ("release a dataset, values", 50_000, 250_000),
    }.items():
        small = bench.pick(quick, usual)
        peaks = [_peak(bench, task, size) for size in (small, 4 * small)]
        grown = [after - before for before, after in peaks]
        rows.append(
            Row(
                f"peak memory, {words}: {4 * small:,} beside {small:,}", "x", peaks[1][1] / peaks[0][1],
                "ratio of peaks", target="bounded", limit=GROWTH,
                note=f"peaks {peaks[0][1]:.0f} and {peaks[1][1]:.0f} MiB, of which the task {grown[0]:.0f} and "
                f"{grown[1]:.0f}",
            )
        )  # fmt: skip
    return rows


def _peak(bench: Bench, task: str, size: int) -> tuple[float, float]:
    folder = bench.folder / f"{task}-{size}"
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for step in ("prepare", "measure"):
        code = f"from bench.cases import memory; memory.{step}({task!r}, {size}, {str(folder)!r})"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1])
    before, after = json.loads(done.stdout.splitlines()[-1])
    return before, after


def prepare(task: str, size: int, place: str) -> None:
    """Make what the task needs, in a process of its own so that its memory does not count."""
    folder = Path(place)
    study = cg.init(folder / "study", name="study", person="Bench")
    draw = np.random.default_rng(0)
    if task == "file":
        with (folder / "large.bin").open("wb") as file:
            for _ in range(size):
                file.write(draw.bytes(1 << 20))
    elif task == "table":
        with (folder / "table.csv").open("w", encoding="utf-8") as file:
            file.write("id,a,b,c\n")
            file.writelines(f"k{row},{row * 0.5},{row % 7},text {row % 100}\n" for row in range(size))
    else:
        study.entities.declare("Item", [{"name": "size", "holds": "real"}])
        study.entities.upsert("Item", [f"k{row}" for row in range(1_000)], {"size": draw.random(1_000).tolist()})
        study.features.add("grade", type="Item", holds="int")
        with study.session.reading() as on:
            rids = np.array(entities.list_entities(on.view, entities.get_type(on.view, "Item"))["rid"])
        for first in range(0, size, 50_000):
            rows = min(50_000, size - first)
            study.features.annotate("grade", rids=draw.choice(rids, rows), values=draw.integers(0, 5, rows))
        study.datasets.create("items", type="Item", members=rids, features=["grade"])
    study.close()


def measure(task: str, size: int, place: str) -> None:
    """Do it, and print the peak before and after, in MiB."""
    folder = Path(place)
    with cg.open(folder / "study", person="Bench") as study:
        study.session.plan("dataset create", name="warm")
        before = _rss()
        if task == "file":
            study.assets.add(folder / "large.bin")
        elif task == "table":
            study.entities.import_table(folder / "table.csv", type="Row", key="id")
        else:
            study.datasets.release("items")
        print(json.dumps([before, _rss()]), flush=True)
    del size


def _rss() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
