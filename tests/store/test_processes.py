"""The mark of a process, and whether the marked process still runs."""

import dataclasses
import subprocess
import sys
import time

import pytest

from commonground.store.processes import process_alive, process_start, this_process


def alive(mark, **changes):
    """What is said of the mark with some of its parts changed."""
    mark = dataclasses.replace(mark, **changes)
    return process_alive(mark.pid, mark.start, mark.boot_id, mark.host)


@pytest.fixture
def child():
    """Another process that waits."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_running_process_is_alive(child):
    """This process and a child of it are alive."""
    assert alive(this_process()) is True
    assert alive(this_process(), pid=child.pid, start=process_start(child.pid)) is True


def test_a_killed_process_is_dead(child):
    """A killed process is dead at once, also while its parent has not asked for its status."""
    mark = dataclasses.replace(this_process(), pid=child.pid, start=process_start(child.pid))
    child.kill()
    patience = time.monotonic() + 10
    while alive(mark) and time.monotonic() < patience:
        time.sleep(0.001)
    assert alive(mark) is False
    child.wait()
    assert alive(mark) is False
    assert process_start(child.pid) is None


def test_a_number_given_out_again_is_another_process():
    """The same number with another start, and numbers that are none, are not the marked process."""
    mark = this_process()
    assert alive(mark, start=mark.start + 1) is False
    assert alive(mark, pid=0) is False
    assert alive(mark, pid=-1) is False


def test_after_a_reboot_all_are_dead():
    """On the same machine in an earlier boot the process is dead, in whatever namespace it ran."""
    mark = this_process()
    name, machine, _ = mark.host.split("/")
    assert alive(mark, boot_id="before", host=f"{name}/{machine or 'x'}/1") is (False if machine else None)


def test_elsewhere_nothing_is_said():
    """Of a process on another machine, in another container, or on a twin without machine id, nothing is said."""
    mark = this_process()
    name, machine, _ = mark.host.split("/")
    assert alive(mark, host=f"other/{machine}/1") is None
    assert alive(mark, host=f"{name}/other/1") is None
    assert alive(mark, host=f"{name}/{machine}/1") is None
    assert alive(mark, host="nonsense") is None
