"""The benchmarks, one command: `uv run python -m bench [--quick | --full] [--only NAME] [--page]`.

Every case runs in a process of its own, so that neither memory nor a failure of one touches another. The result is
written as JSON to bench/results; with `--page` the table of docs/performance.md is made anew.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.bench_place import Bench
from bench.measuring import ROOT, UNUSUAL, machine_facts, say
from bench.report import print_rows, write_json, write_page

CASES = {
    "run-cost": ("executions", "run_cost"),
    "metrics": ("executions", "metric_calls"),
    "find": ("executions", "finding"),
    "files": ("files", "files"),
    "values": ("values", "values"),
    "scale": ("scale", "scale"),
    "lineage": ("lineage", "lineage"),
    "start": ("starting", "starting"),
    "memory": ("memory", "memory"),
    "writers": ("writers", "writers"),
}
SECONDS = 900


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="small sizes")
    size.add_argument("--full", action="store_true", help="100,000 files as well")
    parser.add_argument("--only", action="append", choices=sorted(CASES), help="only this case; may be repeated")
    parser.add_argument("--page", action="store_true", help="write the table into docs/performance.md")
    parser.add_argument("--case", nargs=3, metavar=("NAME", "FOLDER", "SIZE"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.case:
        return _one_case(*asked.case)
    return _all(asked)


def _all(asked: argparse.Namespace) -> int:
    size = "quick" if asked.quick else "full" if asked.full else "usual"
    started = time.monotonic()
    machine = machine_facts()
    rows: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    for name in asked.only or CASES:
        say(name)
        begun = time.monotonic()
        found, why = _in_child(name, size)
        rows += found
        if why:
            failed[name] = why
        print_rows(found)
        say(f"{name}: {time.monotonic() - begun:.0f} s{', ' + why if why else ''}")
    words = [f"--{size}" if size != "usual" else "", *(f"--only {name}" for name in asked.only or ())]
    result = {
        "command": " ".join(["uv run python -m bench", *filter(None, words)]),
        "machine": machine,
        "seconds": time.monotonic() - started,
        "rows": rows,
        "failed": failed,
    }
    say(f"written to {write_json(result).relative_to(ROOT)}")
    if asked.page:
        write_page(result)
    missed = sum(row["met"] is False for row in rows)
    say(f"{len(rows)} figures, {missed} targets missed, {len(failed)} cases failed")
    return 1 if failed else 0


def _in_child(name: str, size: str) -> tuple[list[dict[str, Any]], str]:
    folder = Path(tempfile.mkdtemp(prefix="cg-bench-"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for word in ("CG_TEST_RUN", *UNUSUAL):
        environment.pop(word, None)
    command = [sys.executable, "-m", "bench.run", "--case", name, str(folder), size]
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, timeout=SECONDS, check=False)
        answer = folder / "answer.json"
        if done.returncode or not answer.exists():
            return [], f"it ended with status {done.returncode}"
        found: list[dict[str, Any]] = json.loads(answer.read_text(encoding="utf-8"))
    except subprocess.TimeoutExpired:
        return [], f"it had not finished after {SECONDS} s"
    else:
        return found, ""
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _one_case(name: str, folder: str, size: str) -> int:
    module, function = CASES[name]
    place = Path(folder) / "work"
    place.mkdir()
    rows = getattr(importlib.import_module(f"bench.cases.{module}"), function)(Bench(place, size))
    (Path(folder) / "answer.json").write_text(json.dumps([row.as_dict() for row in rows]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
