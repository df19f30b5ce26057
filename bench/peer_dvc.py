"""DVC's part: a folder of files added, added again, compared and checked out, in one process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from dvc.repo import Repo


def files(source: str, changed: list[str], size: int) -> dict[str, dict[str, float]]:
    """Wall and CPU seconds of each step; `changed` are the files that get other bytes."""
    git = ["git", "-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    subprocess.run(["git", "init", "-q", "."], check=True)
    repo = Repo.init(".")
    data = Path("data")
    shutil.copytree(source, data)
    time.sleep(1.1)
    taken: dict[str, dict[str, float]] = {"wall": {}, "cpu": {}}

    def take(step: str, work: Callable[[], object]) -> None:
        started, before = time.perf_counter(), sum(os.times()[:4])
        work()
        taken["wall"][step] = time.perf_counter() - started
        taken["cpu"][step] = sum(os.times()[:4]) - before

    take("add", lambda: repo.add("data"))
    subprocess.run(["git", "add", "-A", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "one"], check=True)
    take("nothing", lambda: Repo(".").add("data"))
    for name in changed:
        (data / name).unlink()
        (data / name).write_bytes(os.urandom(size))
    time.sleep(1.1)
    take("some", lambda: Repo(".").add("data"))
    subprocess.run(["git", "add", "-A", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "two"], check=True)
    take("diff", lambda: Repo(".").diff("HEAD~1", "HEAD"))
    for name in changed:
        (data / name).unlink()
    take("check out some", lambda: Repo(".").checkout(force=True))
    shutil.rmtree(data)
    take("check out all", lambda: Repo(".").checkout(force=True))
    if sum(1 for path in data.rglob("*") if path.is_file()) < len(changed):
        raise RuntimeError("the files did not come back")
    return taken


if __name__ == "__main__":
    print(json.dumps({"files": files}[sys.argv[1]](**json.loads(sys.argv[2]))))
