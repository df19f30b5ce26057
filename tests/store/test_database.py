"""Writers queue, readers keep their snapshot, and failures leave nothing half done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading

import pytest
import sqlalchemy as sa

from commonground.errors import Busy, Conflict, Corrupt, StorageError, StorageFull
from commonground.store import changes, faults, schema, tables
from commonground.store.bulk import insert_rows
from commonground.store.database import Database
from commonground.store.schema import Field
from commonground.structure.tables import value_int

# One process loads everything and then forks, so that the writers are there at once and begin together.
WRITERS = textwrap.dedent("""
    import json, os, sys, time, traceback
    import sqlalchemy as sa
    from commonground.identity import Actor
    from commonground.store import changes, tables
    from commonground.store.database import Database

    def write(address, number, begin, seconds):
        time.sleep(max(0.0, begin - time.monotonic()))
        database = Database(address)
        with database.read() as connection:
            thing = tables.load_one(connection, "t_thing")
        told, longest, n, end = [], 0.0, 0, time.monotonic() + seconds
        while time.monotonic() < end:
            rid = number * 1_000_000 + n
            began = time.monotonic()
            with database.write() as connection:
                tx = changes.begin(connection)
                tx.insert(thing, [{"rid": rid, "count": number}])
                done = changes.append(tx, plan=rid, verb="w", args={}, why=None, actor=Actor(), recorded_at=1)
                told.append((done.id, rid))
            longest = max(longest, time.monotonic() - began)
            with database.read() as connection:
                found = connection.execute(sa.select(thing.c.since).where(thing.c.rid == rid)).scalar()
            assert found == told[-1][0], (found, told[-1])
            n += 1
        with open(f"{number}.json", "w") as report:
            json.dump({"told": told, "longest": longest}, report)

    address, processes, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    begin = time.monotonic() + 0.3
    children = []
    for number in range(1, processes + 1):
        child = os.fork()
        if not child:
            failed = 1
            try:
                write(address, number, begin, seconds)
                failed = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(failed)
        children.append(child)
    sys.exit(max(os.waitpid(child, 0)[1] for child in children) > 0)
""")


def count(opened, table):
    """How many rows a table has."""
    with opened.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def queue_of_writers(opened, folder, thing, processes, seconds):
    """Let processes write side by side; what each was told must be what is there. Returns the longest wait."""
    address = opened.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", WRITERS, address, str(processes), str(seconds)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds * 4 + 60, check=False)
    assert done.returncode == 0, done.stderr
    told, longest = [], 0.0
    for number in range(1, processes + 1):
        report = json.loads((folder / f"{number}.json").read_text())
        assert report["told"], "every writer got its turn"
        told += [tuple(pair) for pair in report["told"]]
        longest = max(longest, report["longest"])
    with opened.read() as connection:
        found = [
            tuple(row) for row in connection.execute(sa.select(thing.c.since, thing.c.rid).order_by(thing.c.since))
        ]
        previous = changes.GENESIS
        for number, recorded in enumerate(changes.walk(connection), start=1):
            assert recorded.row["id"] == number
            assert bytes(recorded.row["previous"]) == previous
            previous = bytes(recorded.row["digest"])
            assert changes.link(recorded.row, recorded.tables, recorded.anchors) == previous
    assert found == sorted(told)
    assert [number for number, _ in found] == list(range(1, len(found) + 1))
    return longest


def test_eight_processes_write_in_a_queue(database, tmp_path, thing):
    """Eight processes write together for 2 s: what each was told is there, numbers have no gap, the chain holds."""
    queue_of_writers(database, tmp_path, thing, 8, 2.0)


@pytest.mark.soak
def test_eight_processes_write_for_a_minute(database, tmp_path, thing):
    """The same for a minute."""
    queue_of_writers(database, tmp_path, thing, 8, 60.0)


def test_a_reader_keeps_its_snapshot(database, thing, change):
    """All statements of one read see the state at its first, whatever is committed meanwhile."""
    with change() as tx:
        tx.insert(thing, [{"rid": 1, "label": "old"}])
    with database.read() as connection:
        assert changes.head(connection)[0] == 1
        with change() as tx:
            tx.replace(thing, [{"rid": 1, "label": "new"}])
            tx.insert(thing, [{"rid": 2}])
        assert changes.head(connection)[0] == 1
        assert connection.execute(sa.select(thing.c.label, thing.c.until)).all() == [("old", None)]
    assert count(database, thing) == 3


def test_nothing_is_visible_before_the_commit(database, thing, change):
    """A second connection sees none of a change's rows until the change is committed, then all of them."""
    with change() as tx:
        tx.insert(thing, [{"rid": n} for n in range(1, 200)])
        assert count(database, thing) == 0
    assert (count(database, thing), count(database, schema.change)) == (199, 1)


def test_a_new_table_is_rolled_back_with_its_change(database, change):
    """A table made in a change that fails is not there afterwards, and can then be made."""
    with pytest.raises(RuntimeError), change() as tx:  # noqa: PT012 - what is done before the fault is the point
        tables.declare(tx.connection, "t_new", [Field("name", "text")])
        raise RuntimeError
    with database.read() as connection:
        assert "t_new" not in sa.inspect(connection).get_table_names()
        assert "t_new" not in tables.load(connection)
    with change() as tx:
        made = tables.declare(tx.connection, "t_new", [Field("name", "text")])
        tx.insert(made, [{"rid": 1, "name": "x"}])
    assert count(database, made) == 1


@pytest.mark.parametrize("point", ["database.begin", "changes.lock", "database.before_commit"])
def test_a_fault_before_the_commit_changes_nothing(database, thing, change, point):
    """A disk error at any point before the commit is told as such and leaves no row."""
    with faults.planned(f"{point}:1:eio"), pytest.raises(StorageError), change() as tx:
        tx.insert(thing, [{"rid": 1}])
    with faults.planned(f"{point}:1:enospc"), pytest.raises(StorageFull), change() as tx:
        tx.insert(thing, [{"rid": 1}])
    assert (count(database, thing), count(database, schema.change)) == (0, 0)
    with change() as tx:
        tx.insert(thing, [{"rid": 1}])
    assert count(database, thing) == 1


def test_another_ones_error_stays_what_it_is(database):
    """An OSError of the caller's own file is not told as a fault of the study."""
    with pytest.raises(FileNotFoundError), database.write():
        open("/no/such/file")  # noqa: PTH123, SIM115 - raises


def test_waiting_too_long_is_told(database, monkeypatch):
    """A writer that waits longer than the limit is told that another process holds the study."""
    address = database.url.render_as_string(hide_password=False)
    monkeypatch.setattr("commonground.store.database.LOCK_TIMEOUT_S", 0.2)
    other = Database(address)
    caught = []

    def second():
        try:
            with other.write():
                pass
        except Busy as error:
            caught.append(error)

    with database.write():
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(30)
    other.close()
    assert len(caught) == 1
    assert "doctor" in caught[0].todo or "Try again" in caught[0].todo


def test_a_unique_rule_is_a_conflict(database):
    """A row that may be there once only, written twice, is a Conflict."""
    with pytest.raises(Conflict), database.write() as connection:
        connection.execute(sa.insert(schema.meta), [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}])


def test_a_damaged_file_is_told_as_damaged(tmp_path):
    """A file that is no database, and one whose pages were overwritten, raise Corrupt."""
    path = tmp_path / "no.sqlite"
    path.write_bytes(b"this is no database at all, but long enough to be looked at" * 50)
    opened = Database(f"sqlite:///{path}")
    with pytest.raises(Corrupt), opened.read() as connection:
        connection.exec_driver_sql("SELECT 1 FROM sqlite_master")
    opened.close()


def test_a_fork_may_not_use_the_study(database):
    """A forked process that uses the study's connections is refused with the way out."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        answer = b"used"
        try:
            with database.read():
                pass
        except StorageError as error:
            answer = b"refused" if "spawn" in error.todo else b"unclear"
        finally:
            os.write(write, answer)
            os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        assert stream.read() == b"refused"
    assert count(database, schema.change) == 0


def test_every_connection_is_durable_and_safe(database):
    """SQLite: write-ahead log, full sync, secure delete, no map. PostgreSQL: no JIT, one time zone, snapshots."""
    with database.read() as connection:
        if database.dialect == "sqlite":
            wanted = {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "foreign_keys": 1, "mmap_size": 0}
            found = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in wanted}
        else:
            wanted = {"jit": "off", "timezone": "UTC", "transaction_isolation": "repeatable read"}
            found = {name: connection.exec_driver_sql(f"SHOW {name}").scalar() for name in wanted}
    assert found == wanted


def test_only_drafts_do_not_wait_for_the_disk(database):
    """A draft is committed without its own sync, and no connection of drafts is ever one of changes."""
    for _ in "12":
        with database.draft() as connection:
            assert waits(connection) is False
        with database.write() as connection:
            assert waits(connection) is True


def waits(connection: sa.Connection) -> bool:
    """Whether a commit on this connection waits for the disk; the tests' server waits for nobody unless told here."""
    if connection.dialect.name == "sqlite":
        return bool(connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2)
    told = "SELECT source FROM pg_settings WHERE name = 'synchronous_commit'"
    return bool(connection.exec_driver_sql(told).scalar() != "session")


def test_drafts_wait_for_a_change_on_sqlite_alone(database):
    """While a change holds the lock a draft is committed beside it on PostgreSQL, and on SQLite right after it."""
    done = threading.Event()

    def write_draft():
        with database.draft() as connection:
            insert_rows(connection, schema.meta, ["key", "value"], [("draft", "1")])
        done.set()

    drafting = threading.Thread(target=write_draft)
    with database.write():
        drafting.start()
        assert done.wait(0.5 if database.dialect == "sqlite" else 10) is (database.dialect == "postgresql")
    drafting.join(10)
    assert done.is_set()


def test_moving_drafts_out_of_the_log_keeps_no_change_waiting(database):
    """When drafts are moved from SQLite's write-ahead log into the file, a change can be written beside that."""
    written = []

    def write_beside(name):
        if name == "database.fold":
            with database.write() as connection:
                insert_rows(connection, schema.meta, ["key", "value"], [(f"change {len(written)}", "told")])
            written.append(name)

    with faults.recording(write_beside):
        for number in range(3):
            with database.draft() as connection:
                insert_rows(connection, schema.meta, ["key", "value"], [(f"draft {number}", "told")])
    assert len(written) == (3 if database.dialect == "sqlite" else 0)
    with database.read() as connection:
        keys = connection.execute(sa.select(schema.meta.c.key).where(schema.meta.c.value == "told")).scalars().all()
    assert len(keys) == 3 + len(written)


def test_many_drafts_do_not_make_the_log_long(database):
    """The write-ahead log is used again while drafts are written: it does not grow with the number of them."""
    for batch in range(40):
        rows = [(batch, place, batch * 4_000 + place) for place in range(4_000)]
        with database.draft() as connection:
            insert_rows(connection, value_int, ["batch", "ordinal", "entity"], rows)
    with database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(value_int)).scalar() == 160_000
    if database.path is not None:
        assert database.path.with_name(f"{database.path.name}-wal").stat().st_size < 2 << 20
        assert database.path.stat().st_size > 4 << 20


def test_a_password_is_not_shown():
    """The address of a database prints without its password."""
    opened = Database("postgresql://somebody:open-sesame@localhost/x")
    assert "open-sesame" not in str(opened.url)
    opened.close()
