"""Which process this is, and whether the process that a record names is still alive.

A process is named by four things: the machine (`host`: host name, machine id and process namespace, joined by
slashes), the boot it runs in, its number, and when it started (clock ticks since that boot on Linux, seconds on
macOS). A number alone is given out again; the four together are not.
"""

from __future__ import annotations

import calendar
import os
import re
import socket
import subprocess
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_STARTED = 19  # the 22nd field of /proc/PID/stat, counted after the name, which may hold spaces
_MACOS = os.uname().sysname == "Darwin"
_PLAIN = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
_SECONDS = re.compile(r"(?:sec = )?(\d{6,})")


@dataclass(frozen=True, slots=True)
class ProcessMark:
    """What names one process for ever."""

    host: str
    """Host name, machine id and process namespace."""
    pid: int
    """The process number."""
    boot_id: str
    """The boot of the machine; empty if it cannot be told."""
    start: int
    """When the process started, in the unit of the machine; 0 if it cannot be told."""


def this_process() -> ProcessMark:
    """The mark of the process that asks."""
    return _own_mark(os.getpid())


@cache
def _own_mark(pid: int) -> ProcessMark:
    return ProcessMark(host_name(), pid, current_boot(), process_start(pid) or 0)


# The number of a process that is gone may be given to a child of its child.
os.register_at_fork(after_in_child=_own_mark.cache_clear)


@cache
def host_name() -> str:
    """The machine and the process namespace: two containers of one machine are two hosts."""
    return "/".join((socket.gethostname(), _first_line("/etc/machine-id"), _namespace()))


@cache
def current_boot() -> str:
    """The id of this boot; empty if the system does not tell."""
    told = _first_line("/proc/sys/kernel/random/boot_id")
    if told or not _MACOS:
        return told
    found = _SECONDS.search(_output("sysctl", "-n", "kern.boottime"))
    return found[1] if found else ""


def process_start(pid: int) -> int | None:
    """When a process started; None if there is no such process, 0 if the system does not tell.

    A process that has ended and whose parent has not asked for its status counts as gone.
    """
    if _MACOS:
        return _start_on_macos(pid)
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return _answers(pid)
    fields = stat[stat.rfind(b")") + 2 :].split()
    return None if fields[0] in {b"Z", b"X"} else int(fields[_STARTED])


def process_alive(pid: int, start_time: int, boot_id: str, host: str) -> bool | None:
    """Whether the process so marked still runs; None if it ran where this process cannot look.

    A machine without a machine id that has another boot id may be another machine of the same name: None.
    """
    here = host_name()
    name, machine, namespace = _parts(host)
    our_name, our_machine, our_namespace = _parts(here)
    if (name, machine) != (our_name, our_machine):
        return None
    now = current_boot()
    if boot_id and now and boot_id != now:
        return False if machine else None
    if namespace != our_namespace:
        return None
    started = process_start(pid) if pid > 0 else None
    if started is None:
        return False
    return start_time in {0, started} or started == 0


def list_with_variable(name: str, value: str) -> list[int]:
    """The processes of this machine that were started with a variable set to this value; none where nobody can tell."""
    wanted = f"{name}={value}".encode()
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (place / "environ").read_bytes().split(b"\0"):
                found.append(int(place.name))
        except OSError:
            continue
    return sorted(found)


def _parts(host: str) -> tuple[str, str, str]:
    parts = [*host.split("/"), "", ""]
    return parts[0], parts[1], parts[2]


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]")
    except OSError:
        return ""


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace").partition("\n")[0].strip()
    except OSError:
        return ""


def _answers(pid: int) -> int | None:
    """0 if a process of that number takes signals, None if there is none."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        return 0
    return 0


def _start_on_macos(pid: int) -> int | None:
    told = _output("ps", "-o", "stat=,lstart=", "-p", str(pid)).split()
    if not told:
        return _answers(pid)
    try:
        started = calendar.timegm(time.strptime(" ".join(told[1:]), "%a %b %d %H:%M:%S %Y"))
    except ValueError:
        return 0
    return None if told[0].startswith("Z") else started


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=2, check=False, env=_PLAIN)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout
