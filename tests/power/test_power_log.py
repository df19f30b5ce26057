"""The log has all that happened to the files, in order: done again, it gives the same files."""

from __future__ import annotations

from pathlib import Path

import pytest
from power_log import CHANGES, MEANING, SYNCS, NotModelled, read_start, record
from power_model import Disk

WORKLOADS = Path(__file__).parent / "workloads"
pytestmark = pytest.mark.power


@pytest.fixture
def root(tmp_path):
    """A folder with something in it."""
    made = tmp_path / "root"
    (made / "kept").mkdir(parents=True)
    (made / "before").write_bytes(b"was here before")
    (made / "kept" / "old").write_bytes(b"old")
    return made


@pytest.mark.parametrize("workload", ["every_call", "blobs", "spool", "database"])
def test_the_log_done_again_gives_the_same_files(root, workload):
    """After the last operation the modelled disk shows exactly the names and bytes that are in the folder."""
    log = record(WORKLOADS / f"{workload}.py", root)
    disk = Disk(log)
    for operation in log.operations:
        disk.do(operation)
    found = {name: data for name, (_, data) in read_start(root).files.items() if not name.endswith("-shm")}
    assert disk.live() == found
    assert log.acknowledged


def test_every_kind_of_call_is_logged(root):
    """The workload with every call leaves at least one operation of each kind that is modelled."""
    kinds = set(record(WORKLOADS / "every_call.py", root).count())
    assert kinds == set(MEANING) - {"X"} == {*CHANGES, *SYNCS, "A"}


@pytest.mark.parametrize(
    "act",
    [
        "import mmap; f = open(root / 'before', 'r+b'); mmap.mmap(f.fileno(), 0)[:3] = b'new'",
        "(root / 'link').symlink_to('before')",
        "(root / 'before').rename(root.parent / 'outside')",
    ],
)
def test_what_is_not_modelled_is_refused(root, tmp_path, act):
    """A writable memory map, a symbolic link and a move out of the folder are not silently left out."""
    script = tmp_path / "script.py"
    script.write_text(f"import sys; from pathlib import Path; root = Path(sys.argv[1]); {act}")
    with pytest.raises(NotModelled):
        record(script, root)


def test_a_workload_that_fails_is_an_error(root, tmp_path):
    """A script that ends badly does not count as a recording."""
    script = tmp_path / "script.py"
    script.write_text("raise SystemExit(3)")
    with pytest.raises(RuntimeError, match="failed"):
        record(script, root)
