"""Work in between has a folder of its own, which goes with it or with whoever comes next."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys

import pytest

from commonground.errors import StorageError
from commonground.store.workspaces import filling, sweep, workspace

LEAVING = """
import os, sys, time
from pathlib import Path
from commonground.store.workspaces import workspace
with workspace(Path(sys.argv[1])) as place:
    (place / "half").write_bytes(b"half")
    print(place, flush=True)
    time.sleep(600)
"""


def test_a_workspace_goes_with_its_work(tmp_path):
    """It is there inside the block, for its owner alone, and gone after it, also after an error."""
    with workspace(tmp_path / "cache") as place:
        (place / "deep").mkdir()
        assert place.stat().st_mode & 0o077 == 0
    with pytest.raises(KeyError), workspace(tmp_path / "cache"):
        raise KeyError
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_folder_to_be_filled_goes_again_if_nothing_came(tmp_path):
    """One that was made goes with the work; one that was there, or into which something came, stays."""
    (tmp_path / "old").mkdir()
    for name in ("old", "new"):
        with pytest.raises(FileNotFoundError), filling(tmp_path / name) as place:
            (place / "deep" / "half").write_bytes(b"half")
    with filling(tmp_path / "filled") as place:
        (place / "whole").write_bytes(b"whole")
        (place / "whole").rename(tmp_path / "filled" / "whole")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["filled", "old", "whole"]


def test_a_disk_without_locks_has_workspaces_that_nobody_sweeps(tmp_path, monkeypatch):
    """Where folders cannot be locked the work is done all the same, and nothing is taken for left over."""

    def refuse(_descriptor, _how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with workspace(tmp_path) as place:
        assert sweep(tmp_path) == 0
        assert place.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_only_what_nobody_uses_is_swept(tmp_path):
    """One in use stays, nested ones too; one of a killed process goes, and other folders are left alone."""
    (tmp_path / "other").mkdir()
    with (
        workspace(tmp_path) as mine,
        subprocess.Popen([sys.executable, "-c", LEAVING, str(tmp_path)], stdout=subprocess.PIPE, text=True) as child,
    ):
        assert child.stdout is not None
        left = child.stdout.readline().strip()
        assert sweep(tmp_path) == 0
        with workspace(mine):
            assert sweep(mine) == 0
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert sweep(tmp_path) == 1
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([mine.name, "other"])
        assert not os.path.exists(left)  # noqa: PTH110 - a name as it was printed


def test_where_no_folder_can_be_made_it_is_told(tmp_path):
    """A file where the folder should be is an error of the house."""
    (tmp_path / "file").touch()
    with pytest.raises(StorageError), workspace(tmp_path / "file" / "below"):
        pass
