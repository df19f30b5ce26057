"""`cg sync` with a file: runs leave a machine without a study, and come in where it is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from commonground.interfaces.cli.program import build_program
from commonground.interfaces.client.run import Run
from commonground.operations import run_spool
from commonground.operations.studies import create_study
from commonground.store import faults


def cg(*words: str) -> Result:
    """One command line."""
    return CliRunner().invoke(build_program(), list(words), prog_name="cg")


def test_runs_leave_as_one_file_and_come_in_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pack, take in, let go: each command says what it did and what comes next, and changes nothing when repeated."""
    state, study = tmp_path / "state", tmp_path / "study"
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    monkeypatch.chdir(tmp_path)
    session = create_study(study, name="Test study")
    with faults.planned("run.start:1:eio!,run.finish:1:eio!"), Run(session, name="far") as run:
        run.log({"auc": 0.5})
    spools = run_spool.away_folder(session.ground.facts["study"])
    session.ground.close()
    spools.mkdir(parents=True)
    shutil.move(run.folder, spools / run.folder.name)

    packed = cg("sync", "--pack", "runs.cgpack")
    assert packed.exit_code == 0, packed.output
    assert "Packed 1 run" in packed.output
    assert "cg sync runs.cgpack.receipt" in packed.output
    assert cg("sync", "--pack", "runs.cgpack").exit_code == 2
    assert cg("sync", "--pack", "x.cgpack", "runs.cgpack").exit_code == 2
    assert cg("sync", "nowhere.cgpack").exit_code == 3

    state.rename(tmp_path / "elsewhere")
    taken = json.loads(cg("sync", "runs.cgpack", "--study", "study", "--json").output)
    assert [one["outcome"] for one in taken["runs"]] == ["delivered"]
    again = cg("sync", "runs.cgpack", "--study", "study")
    assert "was delivered before" in again.output
    assert "far" in cg("execution", "find", "--study", "study").output

    (tmp_path / "elsewhere").rename(state)
    assert "Removed 1 run that was delivered" in cg("sync", "runs.cgpack.receipt").output
    assert not any(spools.iterdir())
    assert "Removed 0 runs" in cg("sync", "runs.cgpack.receipt").output
    assert cg("sync", "--pack", "more.cgpack").exit_code == 3
