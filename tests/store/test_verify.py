"""Whatever is changed behind the back of the record is found, and nothing is called wrong that is right."""

from __future__ import annotations

import contextlib

import pytest
import sqlalchemy as sa

from commonground.errors import InvalidInput
from commonground.store import batches, changes, schema, tables, verify, verify_rows
from commonground.store.blobs import DirectoryBlobs
from commonground.store.ground import Ground
from commonground.store.transaction import digest_of
from commonground.store.verify import FileUse, Verification
from commonground.structure.tables import value_int, value_text


@pytest.fixture
def ground(database, tmp_path, monkeypatch):
    """A place with its database and files; chunks are small, so that a batch of many chunks is quick to check."""
    monkeypatch.setattr(batches, "CHUNK_ROWS", 50)
    monkeypatch.setattr(verify_rows, "CHUNK_ROWS", 50)
    return Ground(tmp_path, database, DirectoryBlobs(tmp_path / "blobs"), {})


@pytest.fixture
def study(ground, thing, change):
    """Nine changes: rows added, replaced, ended, erased; bulk rows small, large, retired, erased; three files."""
    digests = [ground.blobs.put_bytes(word).digest for word in (b"one", b"two", b"three")]
    with change(why="first", args={"a": 1}) as tx:
        tx.insert(thing, [{"rid": n, "count": n, "size": n / 3, "label": digests[n % 3]} for n in range(1, 40)])
        tx.touch(1, 2)
    with change(why="second") as tx:
        tx.replace(thing, [{"rid": n, "label": digests[0], "raw": b"\x01"} for n in (1, 2, 3)])
        tx.touch(2)
    with change() as tx:
        tx.end(thing, [3, 4])
        batches.publish(tx, batches.write(tx, value_text, 700, {"entity": [1, 2, 3], "value": list("abc")}), 9, None)
        batches.publish(tx, batches.write(tx, value_text, 701, {"entity": [], "value": []}), 9, None)
        batches.publish(tx, batches.write(tx, value_text, 702, {"entity": [5], "value": ["e"]}), 9, 77)
    rows = batches.CHUNK_ROWS + 3
    staged = batches.stage(ground.database, value_int, 703, {"entity": list(range(rows)), "value": [7] * rows})
    batches.stage(ground.database, value_int, STAGED, {"entity": [1], "value": [1]})
    with change() as tx:
        batches.publish(tx, staged, 9, None)
        batches.retire(tx, [800], [(700, 2)])
    with change() as tx:
        wider = tables.add_fields(tx.connection, thing.name, [schema.Field("colour", "text")])
        tx.replace(wider, [{"rid": 9, "colour": "red", "label": digests[1]}])
    with change() as tx:
        tx.end(schema.retired, [800])
        tx.insert(wider, [])
    with change(why="asked for") as tx:
        tx.erase(wider, [2, 30])
        batches.erase(tx, value_text, [(700, 1)])
        batches.erase(tx, value_int, [(703, batches.CHUNK_ROWS + 1)])
        changes.erase_words(tx, [2])
    with change() as tx:
        tx.erase(wider, [31])
    with change():
        pass
    return ground


def uses(connection, _blobs=None):
    """Every file that a row of any time names."""
    table = tables.load_one(connection, "t_thing")
    for rid, digest in connection.execute(sa.select(table.c.rid, table.c.label)):
        if digest:
            yield FileUse(digest, f"thing {rid}")


def check(connection):
    """The verification of what a connection sees."""
    found = Verification()
    verify.verify_record(connection, found, lambda _what, _more: None)
    return found


@contextlib.contextmanager
def tampered(ground):
    """A connection on which something can be changed behind the record's back, and is put back afterwards."""

    class Back(Exception):
        pass

    with contextlib.suppress(Back), ground.database.write() as connection:
        yield connection
        raise Back


def test_an_honest_history_is_intact_except_what_was_erased(study):
    """Replaced, ended, retired, erased and staged rows and a widened table verify; the erased rows are counted."""
    told = []
    found = verify.verify(study, full=True, files=uses, progress=lambda what, more: told.append((what, more)))
    assert found.faults == []
    assert found.erased == {7: 6, 8: 1}
    assert found.sentence == "intact except 6 erased rows (change 7), 1 erased row (change 8)"
    assert (found.files, found.files_read, found.change) == (3, 3, 9)
    assert found.rows > batches.CHUNK_ROWS + 40
    assert sum(more for what, more in told if what == "bytes") == len(b"onetwothree")


def test_an_empty_study_is_intact(ground):
    """No change, no row, no file: intact."""
    assert verify.verify(ground, full=True, files=lambda *_: []).sentence == "intact"


def test_the_answer_says_what_was_not_read(study):
    """Without `full` the sentence says how many files were read, and without a list of files that none was sought."""
    assert verify.verify(study, files=uses).sentence.endswith("of 3 files, all there, 0 were read")
    assert verify.verify(study).sentence.endswith("files were not looked for")
    assert verify.verify(study, sample=1.0, files=uses).files_read == 3
    for wrong in (0.0, -1.0, 1.01, float("nan")):
        with pytest.raises(InvalidInput):
            verify.verify(study, sample=wrong, files=uses)


STAGED = 799
"""A batch that no change has published: not part of the record yet."""
CELLS = [
    schema.change,
    schema.change_table,
    schema.change_anchor,
    schema.erased,
    schema.batch_header,
    schema.batch_chunk,
    schema.retired,
    value_int,
    value_text,
]


def other(value, kind):
    """A value of the same type that differs."""
    if value is None:
        return {"int": 1, "real": 0.5, "text": "x", "bytes": b"x"}[kind]
    if kind == "text":
        return value[:-1] + ("y" if value[-1:] == "x" else "x")
    if kind == "bytes":
        return bytes([value[0] ^ 1]) + bytes(value[1:]) if value else b"x"
    return value + 1000 if value < 1 << 62 else value - 1000


def test_no_cell_of_the_record_can_be_changed_unseen(study):
    """For every table of the record, each column of some of its rows set to another value gives a fault."""
    unseen = []
    with study.database.read() as connection:
        wider = tables.load_one(connection, "t_thing")
        targets = [
            (table, row, column)
            for table in (*CELLS, wider)
            for row in _some_rows(connection, table)
            for column in table.columns
            if column.name != "pk"
        ]
    assert len(targets) > 60
    for table, row, column in targets:
        with tampered(study) as connection:
            keys = list(table.primary_key)
            changed = connection.execute(
                sa.update(table)
                .where(*(key == row[key.name] for key in keys))
                .values({column.name: other(row[column.name], schema.field_type(column))})
            )
            assert changed.rowcount == 1
            if check(connection).intact:
                unseen.append((table.name, column.name))
    assert unseen == []


def _some_rows(connection, table):
    found = connection.execute(sa.select(table).order_by(*table.primary_key)).mappings()
    rows = [row for row in found if row.get("batch") != STAGED]
    wanted = {0, len(rows) // 2, len(rows) - 1} if connection.dialect.name == "sqlite" else {len(rows) // 2}
    return [rows[place] for place in sorted(wanted)]


STATEMENTS = [
    "DELETE FROM t_thing WHERE rid = 20",
    "DELETE FROM t_thing WHERE rid = 1 AND until IS NOT NULL",
    "INSERT INTO t_thing (rid, label, salt, since) SELECT 99, label, salt, 1 FROM t_thing WHERE rid = 20",
    "INSERT INTO t_thing (rid, label, salt, since) SELECT 99, label, salt, 6 FROM t_thing WHERE rid = 20",
    "INSERT INTO t_thing (rid, label, salt, since) SELECT 99, label, salt, 50 FROM t_thing WHERE rid = 20",
    "UPDATE t_thing SET until = 5 WHERE rid = 20",
    "UPDATE t_thing SET until = NULL WHERE rid = 4",
    "UPDATE t_thing SET rid = CASE rid WHEN 20 THEN 121 ELSE 20 END WHERE rid IN (20, 21)",
    "UPDATE t_thing SET colour = 'blue' WHERE rid = 21",
    "DELETE FROM value_text WHERE batch = 700 AND ordinal = 0",
    "DELETE FROM value_text WHERE batch = 702",
    "INSERT INTO value_text (batch, ordinal, entity, value) VALUES (700, 3, 9, 'z')",
    "INSERT INTO value_text (batch, ordinal, entity, value) VALUES (700, 1, 2, 'b')",
    "INSERT INTO value_text (batch, ordinal, entity, value) VALUES (700, 900000, 9, 'z')",
    "INSERT INTO value_text (batch, ordinal, entity, value) VALUES (700, -1, 9, 'z')",
    "INSERT INTO value_text (batch, ordinal, entity, value) VALUES (701, 0, 9, 'z')",
    "INSERT INTO value_text (batch, ordinal, entity, value) VALUES (703, 0, 9, 'z')",
    "INSERT INTO value_text (batch, ordinal, entity, value) VALUES (12345, 0, 9, 'z')",
    "UPDATE value_text SET ordinal = ordinal + 10 WHERE batch = 700",
    "UPDATE value_int SET ordinal = 900000 WHERE batch = 703 AND ordinal = 5",
    "UPDATE value_int SET entity = CASE ordinal WHEN 5 THEN 6 ELSE 5 END WHERE batch = 703 AND ordinal IN (5, 6)",
    "DELETE FROM value_int WHERE batch = 703 AND ordinal = 52",
    "DELETE FROM batch_chunk WHERE batch = 703 AND first = 0",
    "DELETE FROM batch WHERE rid = 702",
    "DELETE FROM retired",
    "DELETE FROM erased WHERE rid = 2",
    "UPDATE erased SET by = 8 WHERE rid = 30",
    "DELETE FROM change WHERE id = 4",
    "DELETE FROM change_table WHERE change = 3",
    "DELETE FROM change_anchor WHERE rid = 2",
    "INSERT INTO change_anchor (rid, change) VALUES (5, 3)",
    "UPDATE change SET words = NULL, salt = NULL WHERE id = 1",
    "UPDATE change SET id = id + 100 WHERE id = 9",
    "DROP TABLE t_thing",
    "ALTER TABLE t_thing DROP COLUMN colour",
]


def test_rows_dropped_added_moved_and_swapped_are_found(study):
    """Each way to drop, add, move, swap or bring back rows, changes and shells gives a fault."""
    unseen = []
    for statement in STATEMENTS:
        with tampered(study) as connection:
            connection.exec_driver_sql(statement)
            if check(connection).intact:
                unseen.append(statement)
    assert unseen == []
    with study.database.read() as connection:
        assert check(connection).intact


def test_a_row_hidden_as_erased_is_found(study):
    """Moving a row into the shells, with its right digest, does not pass for an erasure."""
    with tampered(study) as connection:
        table = tables.load_one(connection, "t_thing")
        row = connection.execute(sa.select(table).where(table.c.rid == 20)).mappings().one()
        names, types = schema.names_and_types(table)
        digest = digest_of(names, types, [row[name] for name in names], bytes(row["salt"]))
        connection.execute(sa.delete(table).where(table.c.rid == 20))
        connection.execute(
            sa.insert(schema.erased).values(name="t_thing", rid=20, ordinal=0, since=1, until=None, digest=digest, by=7)
        )
        assert "the erased rows of change 7 are not those that it erased" in check(connection).faults


def cut_off(connection, number):
    """Remove everything after a change, as somebody would who knows the tables."""
    table = tables.load_one(connection, "t_thing")
    for temporal in (table, schema.batch_header, schema.retired):
        connection.execute(sa.delete(temporal).where(temporal.c.since > number))
        connection.execute(sa.update(temporal).where(temporal.c.until > number).values(until=None))
    for of_change in (schema.change_table, schema.change_anchor):
        connection.execute(sa.delete(of_change).where(of_change.c.change > number))
    connection.execute(sa.delete(schema.erased).where(schema.erased.c.by > number))
    connection.execute(sa.delete(schema.change).where(schema.change.c.id > number))


def test_a_cut_tail_is_found_with_an_older_checkpoint(study):
    """The end of the chain removed without a trace verifies by itself, and fails against a checkpoint elsewhere."""
    kept = verify.checkpoint(study)
    assert verify.verify(study, checkpoint=kept).intact
    with study.database.write() as connection:
        cut_off(connection, 8)
    assert verify.verify(study).intact
    found = verify.verify(study, checkpoint=kept)
    assert any("cut off" in fault for fault in found.faults)


def test_a_chain_written_anew_is_found_with_an_older_checkpoint(study, change):
    """A chain cut and continued with other changes verifies by itself, and fails against the checkpoint."""
    kept = verify.checkpoint(study)
    with study.database.write() as connection:
        cut_off(connection, 8)
    with change(why="another ninth"):
        pass
    assert verify.verify(study).intact
    assert any("written anew" in fault for fault in verify.verify(study, checkpoint=kept).faults)
    with pytest.raises(InvalidInput):
        verify.verify(study, checkpoint="change 9")


def test_a_flipped_bit_of_a_file_is_found(study):
    """A bit flipped anywhere in a stored file, a cut end, added bytes and zeros of the same size are found."""
    digest = next(use.digest for use in uses_of(study))
    path = study.blobs.path(digest)
    honest = path.read_bytes()
    wrong = [honest[:k] + bytes([honest[k] ^ (1 << bit)]) + honest[k + 1 :] for k, bit in enumerate((0, 3, 7))]
    wrong += [honest[:-1], honest + b"\0", bytes(len(honest)), b""]
    path.chmod(0o644)
    for data in wrong:
        path.write_bytes(data)
        (fault,) = verify.verify(study, full=True, files=uses).faults
        assert digest in fault
        assert "thing" in fault
    path.write_bytes(honest)
    assert verify.verify(study, full=True, files=uses).intact


def uses_of(study):
    """The files that the study's rows need."""
    with study.database.read() as connection:
        return list(uses(connection))


def test_swapped_and_missing_files_are_found(study):
    """Two files that changed places are both found; a missing one is found without reading any."""
    first, second, *_ = sorted({use.digest for use in uses_of(study)})
    one, two = study.blobs.path(first), study.blobs.path(second)
    held = one.read_bytes(), two.read_bytes()
    for path, data in ((one, held[1]), (two, held[0])):
        path.chmod(0o644)
        path.write_bytes(data)
    assert len(verify.verify(study, full=True, files=uses).faults) == 2
    one.unlink()
    (fault,) = verify.verify(study, files=uses).faults
    assert "missing" in fault


def test_a_name_that_is_no_digest_is_a_fault_and_not_a_path(study):
    """A row that names something else than a digest is reported, and no file of that name is looked for."""
    found = verify.verify(study, files=lambda *_: [FileUse("../../etc/passwd", "thing 1"), FileUse("", "thing 2")])
    assert len(found.faults) == 2


def test_many_faults_are_counted_and_the_first_hundred_kept():
    """A report stays short however much is wrong."""
    found = Verification()
    for number in range(250):
        found.add(f"fault {number}")
    assert (len(found.faults), found.more_faults, found.sentence) == (100, 150, "damaged: 250 faults")
