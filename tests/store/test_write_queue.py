"""Writers wait in line: in the order in which they came, past those who stand still, and never two at once."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from commonground.errors import Busy
from commonground.store import write_queue
from commonground.store.write_queue import PLACES, turn

WAITER = """
import sys
from pathlib import Path
from commonground.store.write_queue import turn
with turn(Path(sys.argv[1]), 60):
    print("writes", flush=True)
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The file that is queued for; only the names beside it matter."""
    return tmp_path / "catalogue.sqlite"


def is_taken(path: Path) -> bool:
    """Whether somebody holds the lock of a file."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def wait_for(database: Path, place: int) -> None:
    """Wait until somebody stands at a place of the queue."""
    path = database.with_suffix(".queue") / str(place)
    end = time.monotonic() + 30
    while not is_taken(path):
        assert time.monotonic() < end
        time.sleep(0.01)


def stand(database: Path, name: str, served: list[str], place: int) -> threading.Thread:
    """A thread that waits for its turn, has come to its place, and then notes its name."""

    def wait() -> None:
        with turn(database, 60):
            served.append(name)

    thread = threading.Thread(target=wait)
    thread.start()
    wait_for(database, place)
    return thread


def test_who_came_first_writes_first(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many writers as there are places are served in the order in which they came, however they ask."""
    monkeypatch.setattr(write_queue, "PATIENCE_S", 60)
    served: list[str] = []
    with turn(database, 60):
        threads = [stand(database, str(place), served, place) for place in range(1, PLACES + 1)]
    for thread in threads:
        thread.join()
    assert served == [str(place) for place in range(1, PLACES + 1)]


def test_who_has_just_written_goes_last(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that gives back the lock and asks for it again at once comes after the one who waited."""
    monkeypatch.setattr(write_queue, "PATIENCE_S", 60)
    for _ in range(20):
        served: list[str] = []
        with turn(database, 60):
            thread = stand(database, "small", served, 1)
        with turn(database, 60):
            served.append("large")
        thread.join()
        assert served == ["small", "large"]


def test_more_writers_than_places_are_all_served(database: Path) -> None:
    """Three writers for each place: all get their turns, and never two at once."""
    inside, most, served = 0, 0, 0

    def write() -> None:
        nonlocal inside, most, served
        for _ in range(5):
            with turn(database, 60):
                inside += 1
                most = max(most, inside)
                time.sleep(0.0005)
                served += 1
                inside -= 1

    threads = [threading.Thread(target=write) for _ in range(3 * PLACES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, served) == (1, 15 * PLACES)


def test_a_process_that_stands_still_in_the_queue_holds_nobody_up_for_good(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped process keeps its place; others go past it when their patience ends, and it is served when it goes on.

    A killed one leaves its place at once.
    """
    monkeypatch.setattr(write_queue, "PATIENCE_S", 0.2)
    with turn(database, 60):
        waiter = subprocess.Popen([sys.executable, "-c", WAITER, str(database)], stdout=subprocess.PIPE, text=True)
        wait_for(database, 1)
        waiter.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    with turn(database, 60):
        assert time.monotonic() - began < 30
        assert is_taken(database.with_suffix(".queue") / "1")
    waiter.send_signal(signal.SIGCONT)
    assert waiter.communicate(timeout=60)[0] == "writes\n"
    with turn(database, 60):
        waiter = subprocess.Popen([sys.executable, "-c", WAITER, str(database)], stdout=subprocess.PIPE, text=True)
        wait_for(database, 1)
        waiter.kill()
        assert waiter.communicate(timeout=60)[0] == ""
        assert not is_taken(database.with_suffix(".queue") / "1")


def test_a_fork_made_while_writing_does_not_keep_the_lock(database: Path) -> None:
    """A process forked by another thread during a write has the open files; the lock ends with the write."""
    with turn(database, 60):
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
    try:
        with turn(database, 1):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_waiting_ends_with_the_time_allowed(database: Path) -> None:
    """Whoever waits too long is told, holds nothing afterwards, and the one who writes keeps the lock."""
    with turn(database, 60):
        began = time.monotonic()
        with pytest.raises(Busy, match="writing"), turn(database, 0.1):
            pass
        assert time.monotonic() - began < 10
        assert not any(is_taken(place) for place in database.with_suffix(".queue").iterdir())
        assert is_taken(database.with_suffix(".lock"))
    assert not is_taken(database.with_suffix(".lock"))
