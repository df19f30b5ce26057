"""Where reading fails the answer is an error: never that nothing has changed, never a frame that lacks something."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from commonground.errors import CommonGroundError
from commonground.operations.frames import read_frame
from commonground.operations.session import Session
from commonground.operations.studies import open_study
from commonground.store import faults, sqlite_driver
from kept_studies import KeptStudy

KEYS = ["a", "b", "c", "d"]
UNKNOWN = "it cannot be told"
MOMENTS = 40
"""At how many moments of each question reading breaks off."""
CUTS = 12
"""And the connection to a server is cut."""


def frame(session: Session, state: str) -> list[dict[str, Any]]:
    """The rows of a state of the dataset."""
    with session.reading() as on:
        return read_frame(on, dataset=state, features={}).table.to_pylist()


def glance(session: Session) -> Any:
    """What the overview says of the dataset."""
    changed = session.read("status").datasets[0].changed
    return UNKNOWN if changed is None else changed


def proof(session: Session) -> Any:
    """Whether the whole study verifies."""
    return session.read("verify", full=True).intact or UNKNOWN


def differences(session: Session) -> Any:
    """What has changed since the release."""
    return [(one.table, one.changed) for one in session.read("dataset diff", old="all@1.0.0", new="all@dev").tables]


QUESTIONS: dict[str, Callable[[Session], Any]] = {
    "changed": lambda session: session.read("dataset status", dataset="all").dirty,
    "at a glance": glance,
    "verified": proof,
    "released": lambda session: frame(session, "all@1.0.0"),
    "now": lambda session: frame(session, "all@dev"),
    "difference": differences,
    "release": lambda session: session.plan("dataset release", dataset="all").effect,
}


def fill(session: Session) -> None:
    """A dataset that was released, and one of whose four nodules has another size since."""
    session.write("type add", name="Nodule", columns=[{"name": "size", "holds": "real"}])
    session.write("entity upsert", type="Nodule", keys=KEYS, columns={"size": [1.0] * 4})
    session.write("feature add", name="grade", type="Nodule", holds="int")
    session.write("feature annotate", feature="grade", keys=KEYS, values=[1, 2, 3, 4], slots=["reader 1"] * 4)
    session.write("dataset create", name="all", type="Nodule", keys=KEYS, features=["grade"])
    session.write("dataset release", dataset="all")
    session.write("entity upsert", type="Nodule", keys=["a"], columns={"size": [2.0]})


@contextlib.contextmanager
def interrupted(after: int) -> Iterator[list[int]]:
    """At one of its machine's steps SQLite cannot read, once; the list gives how many steps were taken."""
    taken = [0]

    def passing() -> int:
        taken[0] += 1
        return int(taken[0] == after)

    def watch(connection: sa.Connection, *_: object) -> None:
        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(passing, 1)
        watched.append(driver)

    watched: list[Any] = []
    sa.event.listen(sa.Engine, "before_cursor_execute", watch)
    try:
        yield taken
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", watch)
        for driver in watched:
            with contextlib.suppress(sqlite_driver.load_driver().Error):
                driver.set_progress_handler(None, 0)


@contextlib.contextmanager
def cut_off(address: str, nth: int) -> Iterator[list[str]]:
    """The connection to the server is cut before the nth statement; the list gives the statements that were asked."""
    asked: list[str] = []

    def cut(connection: sa.Connection, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)
        if len(asked) == nth:
            driver: Any = connection.connection.driver_connection
            with psycopg.connect(address, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", [driver.info.backend_pid])

    sa.event.listen(sa.Engine, "before_cursor_execute", cut)
    try:
        yield asked
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", cut)


def ask(session: Session, question: str) -> Any:
    """The answer to a question; UNKNOWN if it is an error that says so."""
    try:
        return QUESTIONS[question](session)
    except CommonGroundError:
        return UNKNOWN


def test_a_read_that_breaks_off_is_an_error(kept_lungs: Path) -> None:
    """Wherever in a question the database cannot be read for a moment, there is no answer to it."""
    session = open_study(kept_lungs)
    for question in QUESTIONS:
        right = ask(session, question)
        with interrupted(0) as taken:
            assert ask(session, question) == right != UNKNOWN
        # What was prepared already needs a few steps less.
        steps = taken[0] * 9 // 10
        assert steps > MOMENTS
        for number in range(MOMENTS):
            with interrupted(1 + number * steps // MOMENTS):
                assert ask(session, question) == UNKNOWN, (question, number)
        assert ask(session, question) == right
    session.ground.close()


# A cursor on a connection that was cut cannot be closed any more.
@pytest.mark.soak
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_server_that_goes_away_is_an_error(kept_server_study: KeptStudy, tmp_path: Path) -> None:
    """Before whichever statement of a question the connection to the server is cut, there is no answer to it."""
    session = kept_server_study.renew(tmp_path / "study")
    fill(session)
    address = session.ground.database.url.render_as_string(hide_password=False)
    for question in QUESTIONS:
        right = ask(session, question)
        with cut_off(address, 0) as asked:
            assert ask(session, question) == right != UNKNOWN
        for nth in range(1, len(asked) + 1, len(asked) // CUTS + 1):
            with cut_off(address, nth):
                assert ask(session, question) == UNKNOWN, (question, nth, asked[nth - 1])
        assert ask(session, question) == right
    session.ground.close()


@pytest.fixture(scope="module")
def kept_lungs(kept_file_study: KeptStudy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of such a study, in a file."""
    folder = tmp_path_factory.mktemp("lungs") / "study"
    session = kept_file_study.renew(folder)
    fill(session)
    assert QUESTIONS["changed"](session) is True
    assert QUESTIONS["at a glance"](session) is True
    assert QUESTIONS["verified"](session) is True
    assert QUESTIONS["difference"](session) == [("Nodule", 1)]
    assert [row["size"] for row in frame(session, "all@1.0.0")] == [1.0] * 4
    assert [row["size"] for row in frame(session, "all@dev")] == [2.0, 1.0, 1.0, 1.0]
    session.ground.close()
    return folder


@pytest.mark.parametrize("question", [name for name in QUESTIONS if name != "now"])
def test_a_part_that_cannot_be_read_is_an_error(kept_lungs: Path, question: str) -> None:
    """With a file of the release missing, cut, empty, flipped or on a broken disk, no answer is another than before."""
    session = open_study(kept_lungs)
    right = ask(session, question)
    silent: list[tuple[str, str]] = []
    failed = 0
    for digest in list(session.ground.blobs.iterate()):
        path = session.ground.blobs.path(digest)
        honest = path.read_bytes()
        path.chmod(0o644)
        wrong = {"missing": None, "cut": honest[:-1], "empty": b"", "flipped": bytes([honest[0] ^ 1]) + honest[1:]}
        for what, data in wrong.items():
            path.unlink()
            if data is not None:
                path.write_bytes(data)
            answer = ask(session, question)
            failed += answer == UNKNOWN
            if answer not in (right, UNKNOWN):
                silent.append((digest, what))
            path.write_bytes(honest)
    assert silent == []
    assert failed >= 4
    with faults.planned("blobs.read:1:eio!"):
        assert ask(session, question) == UNKNOWN
    assert ask(session, question) == right
    session.ground.close()


PAGE = 4096


def damaged(folder: Path, to: Path, damage: Callable[[bytearray], None]) -> Path:
    """A copy of a study whose database file is damaged."""
    shutil.copytree(folder, to)
    path = to / ".commonground" / "catalogue.sqlite"
    data = bytearray(path.read_bytes())
    damage(data)
    path.write_bytes(data)
    return to


def answer_of(folder: Path, question: str) -> Any:
    """The answer that a study in a folder gives; UNKNOWN if it does not open."""
    try:
        session = open_study(folder)
    except CommonGroundError:
        return UNKNOWN
    try:
        return ask(session, question)
    finally:
        session.ground.close()


@pytest.mark.parametrize("question", ["changed", "at a glance", "now"])
def test_a_damaged_page_is_an_error(kept_lungs: Path, tmp_path: Path, question: str) -> None:
    """With a page of the database lost, or its end cut off, an answer is right or there is none."""
    right = answer_of(kept_lungs, question)
    with contextlib.closing(
        sqlite_driver.load_driver().connect(str(kept_lungs / ".commonground" / "catalogue.sqlite"))
    ) as connection:
        roots = [
            row[0]
            for row in connection.execute(
                "SELECT rootpage FROM sqlite_master WHERE type = 'table' AND rootpage > 0"
                " AND (name LIKE 'entity%' OR name LIKE 'member%' OR name LIKE 'value_int%' OR name IN"
                " ('batch', 'change', 'change_table', 'dataset', 'version', 'feature', 'slot', 'dataset_feature'))"
            )
        ]
    told = []
    for number in roots:

        def lose(data: bytearray, number: int = number) -> None:
            data[(number - 1) * PAGE : number * PAGE] = bytes(PAGE)

        told.append(answer_of(damaged(kept_lungs, tmp_path / f"page {number}", lose), question))
    for share in (2, 3, 10):

        def cut(data: bytearray, share: int = share) -> None:
            del data[len(data) // PAGE * (share - 1) // share * PAGE :]

        told.append(answer_of(damaged(kept_lungs, tmp_path / f"cut {share}", cut), question))
    assert [answer for answer in told if answer not in (right, UNKNOWN)] == []
    assert told.count(UNKNOWN) > 5
