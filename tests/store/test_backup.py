"""A backup holds the whole study, is verified, and restores to either engine; what was erased stays erased."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from commonground.errors import BrokenFile, Corrupt, InvalidInput, NotFound, SchemaTooNew
from commonground.store import backup, batches, changes, ground, migrations, schema, tables, text_index
from commonground.store.blobs import DirectoryBlobs
from commonground.store.ground import Ground
from commonground.store.text_index import Document
from commonground.store.verify import FileUse
from commonground.structure.tables import value_real, value_text


def uses(connection, _blobs):
    """Every file that a row of any time names."""
    table = tables.load_one(connection, "t_thing")
    return [FileUse(digest, "a thing") for (digest,) in connection.execute(sa.select(table.c.label)) if digest]


@pytest.fixture
def study(database, thing, change, tmp_path):
    """A place with six changes, an erasure among them, two files, an index and a staged batch."""
    place = Ground(tmp_path / "from", database, DirectoryBlobs(tmp_path / "from" / "blobs"), {})
    digests = [place.blobs.put_bytes(word).digest for word in (b"one", b"two")]
    with database.write() as connection:
        migrations.write_meta(connection, "study", "STUDY")
        migrations.write_meta(connection, "name", "Lung nodules")
        text_index.put(connection, [Document(1, "thing", "Röntgen", "a body")])
    with change(why="é") as tx:
        tx.insert(thing, [{"rid": n, "label": digests[n % 2], "size": n / 3, "raw": bytes([n])} for n in range(1, 30)])
        tx.touch(1)
    with change() as tx:
        tx.replace(thing, [{"rid": 1, "count": -(1 << 63), "size": float("-inf")}])
        batches.publish(tx, batches.write(tx, value_text, 70, {"entity": [1, 2], "value": ["a", "b"]}), 9, None)
        batches.publish(tx, batches.write(tx, value_real, 71, {"entity": [1], "value": [5e-324]}), 9, None)
    with change() as tx:
        tx.erase(thing, [2])
        batches.erase(tx, value_text, [(70, 1)])
    batches.stage(database, value_text, 79, {"entity": [1], "value": ["unfinished"]})
    return place


def dump(opened):
    """All rows of all tables of the record, by table, without what each database counts for itself."""
    found = {}
    with opened.read() as connection:
        for table in [*schema.metadata.tables.values(), *tables.load(connection).values()]:
            if table.name == "staging":
                continue
            columns = [column for column in table.columns if column.name != "pk"]
            rows = connection.execute(sa.select(*columns)).all()
            if table.name in {"value_text", "batch_chunk"}:
                rows = [row for row in rows if row.batch != 79]
            found[table.name] = sorted((tuple(map(_plain, row)) for row in rows), key=repr)
        found["text"] = list(text_index.dump(connection))
    return found


def _plain(value):
    return bytes(value) if isinstance(value, memoryview) else value


@pytest.mark.parametrize("to", ["sqlite", "postgresql"])
def test_a_backup_restores_to_either_engine_with_every_row(study, tmp_path, request, to):
    """From each engine to each: every row of every table, the files, the index and the head of the chain are equal."""
    url = request.getfixturevalue("postgres_url") if to == "postgresql" else None
    made = backup.backup(study, tmp_path / "copy", files_used=uses)
    assert made.verified
    assert made.finding == "intact except 2 erased rows (change 3)"
    assert (made.study, made.name, made.change) == ("STUDY", "Lung nodules", 3)
    done = backup.restore(tmp_path / "copy", tmp_path / "to", url=url, files_used=uses)
    assert done.verification.faults == []
    assert (done.change, done.digest) == (3, made.digest)
    opened = ground.open_folder(tmp_path / "to")
    assert opened.database.dialect == to
    assert dump(opened.database) == dump(study.database)
    assert list(opened.blobs.iterate()) == list(study.blobs.iterate())
    with opened.database.write() as connection:
        tx = changes.begin(connection)
        tx.insert(tables.load_one(connection, "t_thing"), [{"rid": 500}])
        tx.connection.rollback()
    opened.close()


def test_a_backup_is_one_moment(study, tmp_path, change, thing):
    """What is committed while the copy is made is wholly in it or wholly out of it."""
    wrote = []

    def while_copying(what, _more):
        if what == "batch" and not wrote:
            with change() as tx:
                tx.insert(thing, [{"rid": 900}])
                wrote.append(tx.change)

    made = backup.backup(study, tmp_path / "copy", files_used=uses, progress=while_copying)
    assert wrote == [4]
    assert (made.change, made.verified) == (3, True)


def test_an_unverified_backup_is_called_so(study, tmp_path):
    """A copy that nobody verified says so; once verified it says when; a changed manifest makes it unverified again."""
    made = backup.backup(study, tmp_path / "copy", check=False)
    assert (made.verified, made.verified_at, made.finding) == (False, None, "unverified")
    assert backup.verify_backup(tmp_path / "copy", files_used=uses).intact
    assert backup.get_backup(tmp_path / "copy").verified
    manifest = tmp_path / "copy" / backup.MANIFEST
    manifest.write_text(manifest.read_text() + "\n")
    assert not backup.get_backup(tmp_path / "copy").verified


def test_a_damaged_table_of_a_backup_is_refused(study, tmp_path):
    """A flipped bit, a missing or a swapped table file stops the restore before anything is made."""
    backup.backup(study, tmp_path / "copy", check=False)
    path = tmp_path / "copy" / "tables" / "t_thing.parquet"
    honest = path.read_bytes()
    for data in (honest[:99] + bytes([honest[99] ^ 1]) + honest[100:], b"", None):
        path.unlink() if data is None else path.write_bytes(data)
        with pytest.raises(Corrupt):
            backup.restore(tmp_path / "copy", tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_a_damaged_file_of_a_backup_is_told(study, tmp_path):
    """A file with a flipped bit makes the backup's finding `damaged`, and so does a lost one."""
    backup.backup(study, tmp_path / "copy", check=False)
    copies = DirectoryBlobs(tmp_path / "copy" / "blobs")
    path = copies.path(next(iter(copies.iterate())))
    path.chmod(0o644)
    path.write_bytes(b"xxx")
    assert not backup.verify_backup(tmp_path / "copy", files_used=uses).intact
    assert not backup.get_backup(tmp_path / "copy").verified
    path.unlink()
    done = backup.restore(tmp_path / "copy", tmp_path / "to", files_used=uses)
    assert "missing" in done.verification.faults[0]


def test_a_forged_head_is_told(study, tmp_path):
    """A manifest that names another head of the chain than the tables have is a fault."""
    backup.backup(study, tmp_path / "copy", check=False)
    path = tmp_path / "copy" / backup.MANIFEST
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "digest": "0" * 64}))
    assert not backup.verify_backup(tmp_path / "copy").intact


@pytest.mark.parametrize(
    "spoil",
    [
        lambda told: {**told, "format": "other"},
        lambda told: {**told, "tables": {"../../x": {"rows": 1, "sha256": "0"}}},
        lambda told: {**told, "tables": []},
        lambda told: {key: value for key, value in told.items() if key != "schema"},
        lambda _: [],
    ],
)
def test_a_strange_manifest_is_refused(study, tmp_path, spoil):
    """A manifest of another format, with a path for a table, or with parts missing leads nowhere."""
    backup.backup(study, tmp_path / "copy", check=False)
    path = tmp_path / "copy" / backup.MANIFEST
    path.write_text(json.dumps(spoil(json.loads(path.read_text()))))
    with pytest.raises(BrokenFile):
        backup.restore(tmp_path / "copy", tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_places_in_use_and_absent_backups_are_refused(study, tmp_path):
    """No backup into a filled folder, no restore over a study, none from nowhere, none of a newer schema."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("theirs")
    with pytest.raises(InvalidInput):
        backup.backup(study, tmp_path / "full")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["x"]
    with pytest.raises(NotFound):
        backup.restore(tmp_path / "full", tmp_path / "to")
    backup.backup(study, tmp_path / "copy", check=False)
    backup.restore(tmp_path / "copy", tmp_path / "to")
    with pytest.raises(InvalidInput):
        backup.restore(tmp_path / "copy", tmp_path / "to")
    path = tmp_path / "copy" / backup.MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": migrations.NEWEST + 1}))
    with pytest.raises(SchemaTooNew):
        backup.restore(tmp_path / "copy", tmp_path / "other")


def test_the_list_of_erasures_goes_with_the_study(study, tmp_path):
    """The list that lies beside a study lies beside its backup and beside what is restored from it."""
    study.folder.mkdir(exist_ok=True)
    (study.folder / "erased.jsonl").write_text("{}\n")
    backup.backup(study, tmp_path / "copy", check=False)
    backup.restore(tmp_path / "copy", tmp_path / "to")
    assert (tmp_path / "to" / ground.FOLDER / "erased.jsonl").read_text() == "{}\n"
