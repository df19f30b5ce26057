"""Files: added, added again, compared and checked out; beside DVC and beside copying and hashing alone."""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

from bench.bench_place import Bench
from bench.limits import copy_and_hash
from bench.measuring import Row, say, time_once
from bench.peers import Absent, run_peer

TARGETS = {
    "add": (4.0, "add {n} files of {size} KiB"),
    "nothing": (10.0, "add them again, nothing changed"),
    "some": (10.0, "add them again, 1 % changed"),
    "diff": (50.0, "difference of the two series"),
    "check out some": (6.0, "restore 1 % that is missing from the folder"),
    "check out all": (6.0, "check out all"),
}


def files(bench: Bench) -> list[Row]:
    """10,000 files of 10 KiB; in full form 100,000 of 1 KiB as well."""
    rows = _files(bench, bench.pick(2_000, 10_000), 10)
    return rows + (_files(bench, 100_000, 1) if bench.size == "full" else [])


def _files(bench: Bench, count: int, kibibytes: int) -> list[Row]:
    folder = bench.folder / f"{count}"
    source, size = folder / "source", kibibytes * 1024
    draw = random.Random(count)
    for number in range(count):
        path = source / f"{number // 1000:03}" / f"{number:06}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(draw.randbytes(size))
    names = [f"{number // 1000:03}/{number:06}.bin" for number in range(0, count, 100)]
    raw = copy_and_hash(source, folder / "copied")
    ours, cpu = _ours(bench, folder, source, names, size)
    try:
        theirs = run_peer(
            "dvc", "files", folder / "dvc", source=str(folder / "copied"), changed=names, size=size, seconds=900
        )
        why = ""
    except Absent as reason:
        theirs, why = {"wall": {}, "cpu": {}}, f"DVC not measured: {reason}"
    rows = []
    for step, (times, words) in TARGETS.items():
        task = words.format(n=f"{count:,}", size=kibibytes) + ("" if step == "add" else f" ({count:,})")
        note = f"{ours[step]:.2f} s wall, {cpu[step]:.2f} s CPU"
        if step not in theirs["wall"]:
            rows.append(Row(task, "s", ours[step], "once", note=f"{note}; {why}"))
            continue
        their_wall, their_cpu = theirs["wall"][step], theirs["cpu"][step]
        beside = {
            "DVC": f"{their_wall:.2f} s wall, {their_cpu:.2f} s CPU",
            "ratio of CPU": f"{their_cpu / max(cpu[step], 0.001):.1f}x",
        }
        rows.append(
            Row(
                f"{task}: times as fast as DVC", "x", their_wall / ours[step], "once", target=f">= {times:.0f}x",
                limit=times, more_is_better=True, beside=beside, note=note,
            )
        )  # fmt: skip
    rows.insert(
        1,
        Row(
            f"add {count:,} files beside copying and hashing", "x", ours["add"] / raw, "once", target="<= 2x",
            limit=2.0, beside={"copy, hash and one sync": f"{raw:.2f} s"}, note=f"{ours['add']:.2f} s",
        ),
    )  # fmt: skip
    rows.append(Row(f"check out 1 % alone ({count:,})", "s", ours["check out part"], "once"))
    return rows


def _ours(
    bench: Bench, folder: Path, source: Path, names: list[str], size: int
) -> tuple[dict[str, float], dict[str, float]]:
    study = bench.study(f"files-{folder.name}")
    wall: dict[str, float] = {}
    cpu: dict[str, float] = {}

    def take(step: str, work: object) -> None:
        wall[step], cpu[step] = time_once(work)  # type: ignore[arg-type]
        say(f"{step}: {wall[step]:.2f} s")

    time.sleep(2.1)  # a file is believed to be unchanged only when it is two seconds old
    take("add", lambda: study.assets.add(source, name="data"))
    take("nothing", lambda: study.assets.add(source, name="data"))
    for name in names:
        (source / name).write_bytes(os.urandom(size))
    time.sleep(2.1)
    take("some", lambda: study.assets.add(source, name="data"))
    take("diff", lambda: study.assets.diff("data"))
    if len(study.assets.diff("data").changed) != len(names):
        raise RuntimeError("the difference is not what was changed")
    target = folder / "out"
    take("check out all", lambda: study.assets.check_out("data", target))
    for name in names:
        (source / name).unlink()
    take("check out some", lambda: study.assets.check_out("data", source))
    take("check out part", lambda: study.assets.check_out("data", folder / "part", match=names))
    study.close()
    shutil.rmtree(target)
    return wall, cpu
