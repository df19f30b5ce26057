"""`cg run` in a folder with 50 GB of other files: their names are kept, nothing of what is in them is read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from commonground.interfaces.run_command import supervise
from commonground.operations.studies import create_study, open_study
from commonground.structure.code_state import CodeState

GIB = 1 << 30
NAMES = [*(f"volume{n}.raw" for n in range(30)), *(f"scan{n}.py" for n in range(10)), *(f"t{n}.csv" for n in range(10))]
MOST_READ = 32 << 20
"""Bytes that a start may read: programs, libraries and code, whatever else lies there."""


def read_so_far() -> int:
    """Bytes that this process, and what it started and waited for, asked the system for by reading."""
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["rchar"])


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new study, and as the current folder code beside fifty files of 1 GiB each."""
    create_study(tmp_path / "study", name="Test study").ground.close()
    code = tmp_path / "code"
    (code / "data").mkdir(parents=True)
    for n, name in enumerate(NAMES):
        where = code / "data" / name if n % 2 else code / name
        with where.open("wb") as file:
            file.write(b"firstbytes")
            file.truncate(GIB)
    (code / "train.py").write_text("print('trained')\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.chdir(code)
    return tmp_path / "study"


@pytest.mark.parametrize("repository", [False, True])
def test_names_are_kept_and_no_content_is_read(study: Path, repository: bool) -> None:
    """Of 50 GiB hardly anything is read; each name is on record with its size, and nothing of what the file holds.

    What is read is counted, not how long it takes: it does not depend on the machine or on what else runs there.
    """
    if repository:
        subprocess.run(["git", "init", "-q"], check=True)
    before = read_so_far()
    assert supervise(study, [sys.executable, "train.py"]) == 0
    assert read_so_far() - before < MOST_READ
    session = open_study(study)
    (found,) = session.read("execution find")
    workflow = session.read("execution get", execution=found.execution.rid).workflow
    state = CodeState.from_json(session.ground.blobs.get_bytes(workflow.code).decode())
    session.ground.close()
    assert {Path(one.path).name: one.size for one in state.not_kept} == dict.fromkeys(NAMES, GIB)
    assert [file.path for file in state.kept] == ["train.py"]
    assert not any(b"firstbytes" in path.read_bytes() for path in study.rglob("*") if path.is_file())


def test_the_count_would_tell(study: Path) -> None:
    """Reading a tenth of one of the files shows in the count, in this process and in one that was waited for."""
    before = read_so_far()
    with Path("volume0.raw").open("rb") as file:
        file.read(GIB // 10)
    assert read_so_far() - before > MOST_READ
    before = read_so_far()
    subprocess.run([sys.executable, "-c", "open('volume0.raw', 'rb').read(100 << 20)"], check=True)
    assert read_so_far() - before > MOST_READ
    assert study.is_dir()
