"""Runs `cg` in forks of this process, which has all loaded and nothing open, on a disk that is as full as one wishes.

One order a line on standard input, one answer a line on standard output, both JSON; `do` names the order:

prepare  make the study that every try begins with
fresh    bring the work folder to that state
cg       run a command line in the work folder; `room` is how many bytes the disk still takes, -1 for no end
look     what is visible of the study in the work folder

The disk is one of two. By default `disk.c`, loaded before the C library, refuses what there is no room for. With
CG_DISK=tmpfs the work folder is a file system of its own in memory, nearly filled with a file; that needs a mount
namespace of our own. CG_DISK_ROOT is the folder with everything.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import traceback
from contextlib import closing
from pathlib import Path
from typing import Any

import kill_workloads

from commonground.interfaces.cli.program import build_program
from commonground.operations import doctor  # noqa: F401 - a fork need not load it
from commonground.store import schema, sqlite_driver, verify  # noqa: F401 - a fork need not load it
from commonground.store.ground import CATALOGUE, FOLDER

ROOT = Path(os.environ["CG_DISK_ROOT"])
BASE, WORK = ROOT / "base", ROOT / "work"
MOUNTED = os.environ.get("CG_DISK") == "tmpfs"
SIZE = 48 << 20
BALLAST = WORK / "ballast"
CAPABILITIES = 0x20080522
"""The version of the call that sets them."""
UNRECORDED = {"staging"}
"""Tables whose rows may stay when a verb was given up, until they are collected."""


def prepare(_: dict[str, Any]) -> object:
    """A study with an imported table, values and a version; beside it a new delivery, a folder and a backup."""
    kill_workloads.fill(BASE)
    kill_workloads.annotate(BASE)
    kill_workloads.back_up(BASE)
    inbox = BASE / "inbox"
    (inbox / "visits.csv").write_text("visit,patient,day\n" + "".join(f"v{n},p2,{n}\n" for n in range(400)))
    (inbox / "scan").mkdir()
    for number in range(3):
        (inbox / "scan" / f"slice-{number}").write_bytes(os.urandom(60_000))
    shutil.rmtree(BASE / "study" / FOLDER / "cache")
    (BASE / "study" / FOLDER / "cache").mkdir()
    return None


def fresh(_: dict[str, Any]) -> object:
    """The work folder as every try finds it."""
    if MOUNTED:
        if os.path.ismount(WORK):
            subprocess.run(["umount", str(WORK)], check=True)
        WORK.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(WORK)], check=True)
    else:
        shutil.rmtree(WORK, ignore_errors=True)
    shutil.copytree(BASE, WORK, dirs_exist_ok=True)
    return None


def cg(order: dict[str, Any]) -> object:
    """One command line."""
    told = [ROOT / "stdout", ROOT / "stderr"]
    with leaving(int(order["room"]), only_read=order["only_read"]), protected(order["protect"]):
        child = os.fork()
        if child == 0:
            leave_with(lambda: act(order, told))
        _, status = os.waitpid(child, 0)
    out, err = (path.read_text(encoding="utf-8", errors="replace") for path in told)
    return {"status": os.waitstatus_to_exitcode(status), "out": out, "err": err}


def act(order: dict[str, Any], told: list[Path]) -> int:
    """In the fork: take what is printed, let the disk be as told, run the command line."""
    for number, path in enumerate(told, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.chdir(WORK / "study" if (WORK / "study").is_dir() else WORK)
    drop_capabilities()
    room = -1 if MOUNTED else int(order["room"])
    set_disk(room, at_sync=order["at_sync"], only_read=order["only_read"])
    try:
        build_program().main(order["words"])
    except SystemExit as end:
        sys.stdout.flush()
        return int(end.code or 0)
    return 0


def drop_capabilities() -> None:
    """Be an account like any other: permissions hold for it, whoever runs the tests."""
    header = (ctypes.c_uint32 * 2)(CAPABILITIES, 0)
    if ctypes.CDLL(None, use_errno=True).capset(header, (ctypes.c_uint32 * 6)()):
        raise OSError(ctypes.get_errno(), "capset")


def set_disk(room: int, *, at_sync: bool, only_read: bool) -> None:
    """Tell the loaded disk what it is."""
    if "disk" in os.environ.get("LD_PRELOAD", ""):
        call = ctypes.CDLL(None).disk_set
        call.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_int]
        call(os.fsencode(WORK), room, at_sync, only_read)


@contextlib.contextmanager
def protected(name: str):
    """Take from everybody the right to write a file, or a folder and all in it, of the work folder."""
    top = WORK / name
    paths = [top, *top.rglob("*")] if name else []
    modes = [path.stat().st_mode for path in paths]
    for path, mode in zip(paths, modes, strict=True):
        path.chmod(mode & ~0o222)
    try:
        yield
    finally:
        for path, mode in zip(paths, modes, strict=True):
            if path.exists():
                path.chmod(mode)


@contextlib.contextmanager
def leaving(room: int, *, only_read: bool):
    """Leave so much room on the file system of the work folder, if it has one of its own, or let it be only read."""
    if MOUNTED and only_read:
        subprocess.run(["mount", "-o", "remount,ro", str(WORK)], check=True)
    elif MOUNTED and room >= 0:
        about = os.statvfs(WORK)
        free = about.f_bavail * about.f_frsize - room
        with BALLAST.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, free)
    try:
        yield
    finally:
        if MOUNTED:
            subprocess.run(["mount", "-o", "remount,rw", str(WORK)], check=True)
            BALLAST.unlink(missing_ok=True)


def look(order: dict[str, Any]) -> object:
    """The rows of each table of a study that are visible, as a digest, and the files that wait in its folders."""
    place = WORK / str(order.get("study", "study")) / FOLDER
    if not place.exists():
        return None
    with closing(sqlite_driver.load_driver().connect(str(place / CATALOGUE))) as connection:
        found = {}
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            columns = {row[1] for row in connection.execute(f"PRAGMA table_info('{table}')")}
            only = f" WHERE batch IN (SELECT rid FROM {schema.batch_header.name})" if "batch" in columns else ""
            if table not in UNRECORDED and not table.startswith("sqlite_"):
                rows = sorted(repr(row) for row in connection.execute(f"SELECT * FROM '{table}'{only}"))
                found[table] = f"{len(rows)} {hashlib.sha256(chr(10).join(rows).encode()).hexdigest()[:12]}"
        newest = connection.execute("SELECT max(id) FROM change").fetchone()[0]
    waiting = [place / "spool", place / "blobs" / "staging"]
    left = [str(path.relative_to(place)) for folder in waiting if folder.is_dir() for path in folder.iterdir()]
    left += [str(path.relative_to(WORK)) for path in WORK.glob("**/.cg-*")]
    left += [str(path.relative_to(WORK)) for path in place.glob("**/*") if path.name.endswith(".parquet")]
    return {"change": newest, "tables": found, "left": sorted(left), "marked": marked(place)}


def cut(_: dict[str, Any]) -> object:
    """Write in the study in a process that is killed, and remove the index of the log, as a copy of files may."""
    child = os.fork()
    if child == 0:
        leave_with(write_and_die)
    os.waitpid(child, 0)
    (WORK / "study" / FOLDER / f"{CATALOGUE}-shm").unlink()
    return None


def write_and_die() -> int:
    """One more change, and the end at once."""
    with kill_workloads.study(WORK) as session:
        session.write("type add", name="Left")
        os.kill(os.getpid(), signal.SIGKILL)
    return 0


def marked(place: Path) -> list[str]:
    """The files of a study in which the mark of what is erased still stands."""
    mark = kill_workloads.MARK.encode()
    return [str(path.relative_to(place)) for path in place.rglob("*") if path.is_file() and mark in path.read_bytes()]


def leave_with(call) -> None:
    """End this process with what the call gives, and never come back."""
    status = 99
    try:
        status = call()
    except BaseException:  # noqa: BLE001 - whatever it is, the test tells it
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def in_a_fork(call, order: dict[str, Any]) -> object:
    """What a call gives that is made in a fork, so that this process has no study open."""
    path = ROOT / "answer"
    child = os.fork()
    if child == 0:
        leave_with(lambda: path.write_text(json.dumps(call(order))) and 0)
    _, status = os.waitpid(child, 0)
    if status:
        raise RuntimeError(f"{order} ended with {os.waitstatus_to_exitcode(status)}")
    return json.loads(path.read_text())


def main() -> None:
    """Obey orders until there are no more."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "cg":
            answer = cg(order)
        else:
            call = {"prepare": prepare, "fresh": fresh, "look": look, "cut": cut}[order["do"]]
            answer = call(order) if call is fresh else in_a_fork(call, order)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
