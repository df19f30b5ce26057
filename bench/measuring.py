"""What a measurement is, and how one is taken: wall time and CPU time of this process, with p50, p99 and max."""

from __future__ import annotations

import dataclasses
import gc
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
UNUSUAL = ("PYTHONDONTWRITEBYTECODE",)
"""Settings that a measured process does not inherit: without its byte code kept, each would compile all anew."""


@dataclass(slots=True)
class Row:
    """One line of the table."""

    task: str
    """What was done."""
    unit: str
    """s, ms, us, x, /s, MiB, syncs."""
    value: float
    """The figure that the target is about: a median unless `what` says otherwise."""
    what: str = "p50"
    """Which figure that is."""
    p50: float | None = None
    p99: float | None = None
    max: float | None = None
    n: int = 1
    """How many times it was done."""
    target: str = ""
    """The target in words; empty for a figure without one."""
    limit: float | None = None
    """The target as a number in the same unit."""
    more_is_better: bool = False
    beside: dict[str, str] = field(default_factory=dict)
    """What it was measured against in the same run."""
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.limit is None:
            return None
        return self.value >= self.limit if self.more_is_better else self.value <= self.limit

    @property
    def margin(self) -> float | None:
        """How many times better (above 1) or worse (below 1) than the target it is."""
        if self.limit is None or not self.value or not self.limit:
            return None
        return self.value / self.limit if self.more_is_better else self.limit / self.value

    def as_dict(self) -> dict[str, Any]:
        """The row as plain data."""
        return {**dataclasses.asdict(self), "met": self.met, "margin": self.margin}


@dataclass(frozen=True, slots=True)
class Timed:
    """Many takings of one thing, in seconds, ascending."""

    wall: tuple[float, ...]
    cpu: tuple[float, ...]

    def at(self, share: float, *, cpu: bool = False) -> float:
        """The quantile of the wall times, or of the CPU times."""
        times = self.cpu if cpu else self.wall
        return times[min(len(times) - 1, int(share * len(times)))]

    def figures(self, scale: float = 1.0, *, cpu: bool = False) -> dict[str, Any]:
        """p50, p99, max and n, for a row."""
        return {
            "p50": self.at(0.5, cpu=cpu) * scale,
            "p99": self.at(0.99, cpu=cpu) * scale,
            "max": self.at(1, cpu=cpu) * scale,
            "n": len(self.wall),
        }


def time_each(work: Callable[[int], object], times: int) -> Timed:
    """Do something several times and take each time by itself."""
    wall, cpu = [], []
    for number in range(times):
        started, begun = time.perf_counter(), time.process_time()
        work(number)
        wall.append(time.perf_counter() - started)
        cpu.append(time.process_time() - begun)
    return Timed(tuple(sorted(wall)), tuple(sorted(cpu)))


def time_once(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds of doing something once."""
    gc.collect()
    taken = time_each(lambda _: work(), 1)
    return taken.wall[0], taken.cpu[0]


def time_commands(command: Sequence[str], times: int, cwd: Path | None = None) -> Timed:
    """Wall and CPU seconds of a program, several times; raises if it fails."""
    wall, cpu = [], []
    for _ in range(times):
        before, started = os.times(), time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, cwd=cwd)
        wall.append(time.perf_counter() - started)
        after = os.times()
        cpu.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return Timed(tuple(sorted(wall)), tuple(sorted(cpu)))


def machine_facts() -> dict[str, Any]:
    """What the figures depend on."""
    memory = 0.0
    model = platform.processor()
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, ValueError, StopIteration):
        pass
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory GiB": round(memory, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load before": [round(one, 1) for one in os.getloadavg()],
        "at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "commit": _commit(),
    }


def _commit() -> str:
    def ask(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    return ask("rev-parse", "--short", "HEAD") + (" and changes since" if ask("status", "--porcelain", "src") else "")


def say(text: str) -> None:
    """Progress, for whoever waits."""
    print(f"[bench] {text}", file=sys.stderr, flush=True)
