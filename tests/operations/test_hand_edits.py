"""What somebody changes by hand in a study is named by `cg verify`: what is wrong, and where.

Rows are changed on both engines, in a transaction that is given up afterwards; files in place, and then put back. What
verify does not see is tested too, so that the list in docs/store/verify.md stays true.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from commonground.operations.session import Session
from commonground.store import tables as stored
from commonground.store.verify import Verification, check_files, verify_record
from commonground.structure.stored_files import list_file_uses
from kept_studies import KeptStudy

KEYS = [f"n{number:02}" for number in range(12)]


def fill(session: Session, folder: Path) -> None:
    """Terms, linked entities with later states, values, two versions, a file, a run, and somebody erased."""
    session.write("vocabulary add", name="Side", terms=["left", "right"])
    session.write("type add", name="Patient", columns=[{"name": "age", "holds": "int"}])
    columns = [{"name": "patient", "holds": "link", "target": "Patient"}, {"name": "size", "holds": "real"}]
    session.write("type add", name="Nodule", columns=columns)
    session.write("entity upsert", type="Patient", keys=["p1", "p2", "p3"], columns={"age": [40, 50, 60]})
    owners = [("p1", "p2", "p3")[number % 3] for number in range(len(KEYS))]
    sizes = [float(number) for number in range(len(KEYS))]
    session.write("entity upsert", type="Nodule", keys=KEYS, columns={"patient": owners, "size": sizes})
    session.write("entity upsert", type="Nodule", keys=KEYS[:2], columns={"size": [9.5, 8.5]}, why="measured again")
    session.write("feature add", name="grade", type="Nodule", holds="int", ordered=True)
    session.write("feature annotate", feature="grade", keys=KEYS, values=[1] * len(KEYS))
    session.write("dataset create", name="nodules", type="Nodule", keys=KEYS, features=["grade"])
    session.write("dataset release", dataset="nodules", why="the first")
    session.write("feature annotate", feature="grade", keys=KEYS[:3], values=[2] * 3)
    session.write("dataset release", dataset="nodules", why="the second")
    (folder / "scan.bin").write_bytes(os.urandom(5000))
    session.write("asset add", path=folder / "scan.bin", name="scan")
    started = session.write("execution start", name="training", inputs=["nodules@1.0.0"], params={"trees": 3})
    rid = started.plan.anchors[0]
    session.write("execution finish", execution=rid, status="finished")
    session.write("erase", type="Patient", key="p3", basis="withdrawn consent")


@pytest.fixture(scope="module", params=["kept_file_study", "kept_server_study"])
def study(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A study of each engine."""
    kept: KeptStudy = request.getfixturevalue(request.param)
    folder = tmp_path_factory.mktemp("edited")
    session = kept.renew(folder / "study")
    fill(session, folder)
    yield session
    session.ground.close()


class GivenUp(Exception):
    """Ends the transaction in which a row was changed by hand."""


def verify_with(session: Session, *statements: str) -> Verification:
    """What verify finds with the statements run, which are undone."""
    found = Verification()
    with contextlib.suppress(GivenUp), session.ground.database.write() as connection:
        for statement in statements:
            done = connection.exec_driver_sql(named(connection, statement))
            assert done.rowcount != 0, f"nothing was changed by {statement}"
        verify_record(connection, found, lambda _what, _more: None)
        check_files(session.ground.blobs, list_file_uses(connection, session.ground.blobs), 0.0, found)
        raise GivenUp
    return found


def named(connection: sa.Connection, statement: str) -> str:
    """The statement with the names of declared tables and columns in it, and one zero byte as the engine writes it."""
    for table in stored.list_temporal(connection):
        if table.name.startswith(("e_patient_", "e_nodule_")):
            statement = statement.replace(f"<{table.name.split('_')[1]}>", table.name)
            for column in table.columns:
                statement = statement.replace(f"<{table.name.split('_')[1]}.{column.name.split('_')[0]}>", column.name)
    other = "x'00'" if connection.dialect.name == "sqlite" else "'\\x00'::bytea"
    return statement.replace("<byte>", other)


LAST = "(SELECT max(id) FROM change)"
ONE_VERSION = "rid = (SELECT min(rid) FROM version)"
ROW_EDITS: dict[str, tuple[str, tuple[str, ...]]] = {
    "a value of an entity": (
        "e_nodule",
        ("UPDATE <nodule> SET <nodule.size> = <nodule.size> + 1 WHERE <nodule.size> = 7.0",),
    ),
    "a state that ended": ("e_nodule", ("UPDATE <nodule> SET <nodule.size> = 7.25 WHERE until IS NOT NULL",)),
    "a salt": ("e_nodule", ("UPDATE <nodule> SET salt = <byte> WHERE <nodule.size> = 4.0",)),
    "a deleted row": ("e_nodule", ("DELETE FROM <nodule> WHERE <nodule.size> = 3.0",)),
    "a moved beginning": ("e_nodule", ("UPDATE <nodule> SET since = since + 1 WHERE <nodule.size> = 4.0",)),
    "a moved end": ("e_nodule", ("UPDATE <nodule> SET until = until + 1 WHERE until IS NOT NULL",)),
    "an end taken away": (
        "e_nodule",
        ("UPDATE <nodule> SET <nodule.size> = 0.5, key = key || 'x', until = NULL WHERE until IS NOT NULL",),
    ),
    "a link to somebody else": (
        "e_nodule",
        ("UPDATE <nodule> SET <nodule.patient> = (SELECT max(rid) FROM <patient>) WHERE <nodule.size> = 9.5",),
    ),
    "an added person": (
        "person",
        (
            """INSERT INTO person (rid, name, name_key, role, active, salt, since)
            SELECT rid + 1, 'Somebody', 'somebody', 'owner', 1, salt, since FROM person""",
        ),
    ),
    "a role": ("person", ("UPDATE person SET role = 'reader'",)),
    "a term's name": ("term", ("UPDATE term SET name = 'middle' WHERE name = 'left'",)),
    "a type's name": ("entity_type", ("UPDATE entity_type SET name = 'Lesion' WHERE name = 'Nodule'",)),
    "a removed edge": ("edge", ("DELETE FROM edge",)),
    "an edge to something else": ("edge", ("UPDATE edge SET dst = dst + 1",)),
    "an execution's status": ("execution", ("UPDATE execution SET status = 'failed' WHERE status = 'finished'",)),
    "a version's manifest": (
        "version",
        ("UPDATE version SET manifest = (SELECT max(blob) FROM part)",),
    ),
    "a version's number": ("version", (f"UPDATE version SET number = '7.0.0' WHERE {ONE_VERSION}",)),
    "a file's digest": (
        "asset",
        ("UPDATE asset SET digest = substr(digest, 64) || substr(digest, 1, 63) WHERE name = 'scan'",),
    ),
    "a bulk value": ("value_int", ("UPDATE value_int SET value = 4 WHERE ordinal = 4",)),
    "a deleted bulk value": ("value_int", ("DELETE FROM value_int WHERE ordinal = 4",)),
    "bulk values swapped between entities": (
        "value_int",
        ("UPDATE value_int SET entity = entity + 1 WHERE ordinal = 1",),
    ),
    "an added bulk value": (
        "value_int",
        ("INSERT INTO value_int (batch, ordinal, entity, value) SELECT max(batch), 4000, 1, 1 FROM value_int",),
    ),
    "salts of bulk values": ("value_int", ("UPDATE batch_chunk SET salts = <byte>",)),
    "a batch's subject": ("batch", ("UPDATE batch SET subject = subject + 1 WHERE name = 'value_int'",)),
    "a batch that is gone": ("batch", ("DELETE FROM batch WHERE name = 'value_int'",)),
    "a change's reason": (
        "what change",
        ("UPDATE change SET words = replace(words, 'the first', 'the 1st')",),
    ),
    "a change's verb": ("change 3", ("UPDATE change SET verb = 'look' WHERE id = 3",)),
    "a change's time": ("change 3", ("UPDATE change SET recorded_at = recorded_at - 1 WHERE id = 3",)),
    "who made a change": ("change 4", ("UPDATE change SET actor = 1 WHERE id = 4",)),
    "a link of the chain": ("change 5", ("UPDATE change SET digest = <byte> WHERE id = 5",)),
    "a change that is gone": ("change 6 is missing", ("DELETE FROM change WHERE id = 6",)),
    "the newest change cut off": (
        "change",
        (f"DELETE FROM change WHERE id = {LAST}",),
    ),
    "what a change touched": ("change 4", ("UPDATE change_table SET added = added + 1 WHERE change = 4",)),
    "what a change was about": ("change 7", ("DELETE FROM change_anchor WHERE change = 7",)),
    "a shell of what was erased": ("erased rows of change", ("UPDATE erased SET digest = <byte>",)),
    "a shell that is gone": ("erased rows of change", ("DELETE FROM erased",)),
    "a part's row": ("the table of parts", ("DELETE FROM part",)),
    "a part's nonce": ("the table of parts", ("UPDATE part SET nonce = <byte>",)),
    "a redaction": ("is missing", ("DELETE FROM redaction",)),
}


@pytest.mark.parametrize("edit", ROW_EDITS)
def test_a_row_changed_by_hand_is_named(study: Session, edit: str) -> None:
    """Whatever row of the record is changed, added or taken away by hand: verify names its table or its change."""
    words, statements = ROW_EDITS[edit]
    found = verify_with(study, *statements)
    assert any(words in fault for fault in found.faults), found.faults


def test_a_dropped_index_is_named(study: Session) -> None:
    """An index that is gone is named, since some indexes keep out what may be there only once."""
    found = verify_with(study)
    assert found.faults == []
    found = Verification()
    with contextlib.suppress(GivenUp), study.ground.database.write() as connection:
        connection.exec_driver_sql("DROP INDEX ux_change_plan")
        verify_record(connection, found, lambda _what, _more: None)
        raise GivenUp
    assert found.faults == ["change: its index ux_change_plan is not there"]


UNSEEN = {
    "a range of ids": "UPDATE identity SET kind = 'asset'",
    "the study's name": "UPDATE meta SET value = 'Other' WHERE key = 'name'",
    "a parameter": "UPDATE param SET num = num + 1",
}


@pytest.mark.parametrize("edit", UNSEEN)
def test_what_verify_does_not_see_is_known(study: Session, edit: str) -> None:
    """Rows of working tables and of streams are not in the chain: verify says nothing, and its page says so."""
    assert verify_with(study, UNSEEN[edit]).faults == []


def test_an_emptied_text_index_is_not_seen(study: Session) -> None:
    """The text index decides nothing and is not looked at."""
    sqlite = study.ground.database.path is not None
    statements = ["DELETE FROM text_stem", "DELETE FROM text_part"] if sqlite else ["DELETE FROM text_doc"]
    assert verify_with(study, *statements).faults == []


def flip(path: Path, _: Path) -> None:
    """One bit of the file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path, _: Path) -> None:
    """Half of the file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path, _: Path) -> None:
    """Nothing of the file."""
    path.write_bytes(b"")


def remove(path: Path, _: Path) -> None:
    """No file."""
    path.unlink()


def rename(path: Path, _: Path) -> None:
    """Another name."""
    path.rename(path.with_name("0" * 62))


def swap(path: Path, other: Path) -> None:
    """The bytes of another file of the study."""
    path.write_bytes(other.read_bytes())


FILES = {
    "a file": "SELECT digest FROM asset WHERE name = 'scan'",
    "a manifest": f"SELECT manifest FROM version WHERE {ONE_VERSION}",
    "a part": "SELECT max(blob) FROM part",
}


@pytest.mark.parametrize("what", FILES)
@pytest.mark.parametrize("edit", [flip, cut, empty, remove, rename, swap])
def test_a_file_changed_by_hand_is_named(
    study: Session, tmp_path: Path, what: str, edit: Callable[[Path, Path], None]
) -> None:
    """Whatever is done to a file of the store: a full verification names its digest, and what needs it."""
    with study.ground.database.read() as connection:
        digest = connection.exec_driver_sql(FILES[what]).scalar_one()
        other = connection.exec_driver_sql("SELECT min(blob) FROM part").scalar_one()
    path, donor = study.ground.blobs.path(digest), study.ground.blobs.path(other)
    shutil.copy2(path, tmp_path / "kept")
    path.chmod(0o644)
    try:
        edit(path, donor)
        found = study.read("verify", full=True)
    finally:
        path.with_name("0" * 62).unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        shutil.copy2(tmp_path / "kept", path)
    assert any(digest in fault and "needed by" in fault for fault in found.faults), found.faults
    assert study.read("verify", full=True).intact
