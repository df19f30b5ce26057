"""A notebook's cells, as they were run, are one scratch execution of each kernel session."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from commonground.interfaces import notebook
from commonground.interfaces.client.run import Run
from commonground.operations.session import Session
from commonground.operations.studies import create_study
from commonground.structure.tables import asset


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """A shell that runs cells as a kernel does, in a new study."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JPY_SESSION_NAME", "explore.ipynb")
    create_study(tmp_path, name="Test study").ground.close()
    monkeypatch.chdir(tmp_path)
    made = InteractiveShell()
    made.history_manager.enabled = False
    yield made
    notebook.unload(made)
    made.history_manager.end_session()


def run_cells(shell: InteractiveShell, *cells: tuple[str, str]) -> None:
    """Run cells as a kernel does: (name, source)."""
    for name, source in cells:
        shell.run_cell(source, store_history=True, silent=False, cell_id=name)


def cells_of(session: Session, rid: int) -> list[dict[str, Any]]:
    """The cells that are on record for an execution."""
    record = session.read("execution get", execution=rid)
    outputs = {named.rid for _, named in record.outputs}
    with session.ground.view() as view:
        (kept,) = [row for row in view.list_rows(asset, asset.c.kind == "cells") if row.rid in outputs]
    lines = session.ground.blobs.get_bytes(kept.digest).decode().splitlines()
    return [json.loads(line) for line in lines]


def recorder_of(shell: InteractiveShell) -> notebook.Recorder:
    """The recorder of a shell."""
    return notebook._recorders[id(shell)]


def test_cells_are_recorded_as_they_were_run(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    """Source, number, errors, and what ran again out of order are kept; secrets and output are not."""
    notebook.load(shell)
    run = recorder_of(shell).run
    run_cells(
        shell,
        ("a", "x = 1"),
        ("b", "print('a' * 5)\npassword = 'hunter2hunter2'"),
        ("c", "1 / 0"),
        ("a", "x = 2"),
    )
    capsys.readouterr()
    session = run._session
    notebook.unload(shell)
    cells = cells_of(session, run.rid)
    assert [cell["source"].splitlines()[0] for cell in cells] == ["x = 1", "print('a' * 5)", "1 / 0", "x = 2"]
    assert cells[2]["error"].startswith("ZeroDivisionError")
    assert [(cell["again"], cell["out_of_order"]) for cell in cells] == [(False, False)] * 3 + [(True, True)]
    assert "hunter2hunter2" not in json.dumps(cells)
    assert "aaaaa" not in json.dumps(cells)
    one = session.read("execution get", execution=run.rid).execution
    assert (one.scratch, one.status, one.details["notebook"]) == (True, "finished", "explore.ipynb")
    session.ground.close()


def test_a_run_in_a_cell_is_a_child_and_a_restart_is_another_execution(shell: InteractiveShell) -> None:
    """`study.run` in a cell belongs to the session; a second session of the same notebook names the one before it."""
    notebook.load(shell)
    first = recorder_of(shell).run
    session = first._session
    with Run(session, name="inside") as inside:
        pass
    notebook.unload(shell)
    notebook.load(shell)
    second = recorder_of(shell).run
    notebook.unload(shell)
    assert session.read("execution get", execution=inside.rid).execution.parent == first.rid
    names = session.read("execution get", execution=first.rid).execution.name
    assert session.read("execution get", execution=second.rid).execution.details["restart_of"] == names
    second._session.ground.close()
    session.ground.close()
