"""A study with real nouns in it is verified, backed up, restored, collected, examined and migrated."""

from __future__ import annotations

import fcntl
import json
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from commonground.errors import InvalidInput, NotAllowed, NotFound, UnsafePlace
from commonground.operations import collecting, doctor, restoring
from commonground.operations.frames import read_frame
from commonground.operations.plans import Role
from commonground.operations.session import Session
from commonground.operations.studies import create_study, open_study
from commonground.store import batches, migrations, schema, workspaces
from commonground.store.migrations import Step
from commonground.structure.stored_files import find_named, list_file_uses
from commonground.structure.tables import value_int


@pytest.fixture
def filled(session, tmp_path):
    """A session in a study with an imported table, a feature, values and a released dataset."""
    table = tmp_path / "patients.csv"
    table.write_text("patient,age\na,40\nb,51\nc,62\n")
    session.write("import table", path=table, type="Patient", key="patient")
    session.write("feature add", name="finding", type="Patient", holds="text")
    session.write("feature annotate", feature="finding", keys=["a", "b"], values=["yes", "no"])
    session.write("dataset create", name="all", type="Patient", keys=["a", "b", "c"], features=["finding"])
    session.write("dataset release", dataset="all", why="first")
    return session


def uses(session):
    """The digests of the files that the study needs."""
    with session.ground.database.read() as connection:
        return {use.digest for use in list_file_uses(connection, session.ground.blobs)}


def test_a_study_with_a_release_is_intact_with_all_its_files(filled):
    """Rows, chain, the imported file, the manifest and every part verify; each stored file is known to be needed."""
    found = filled.read("verify", full=True)
    assert found.faults == []
    assert found.sentence == "intact"
    assert found.files == found.files_read == len(uses(filled)) > 3
    assert uses(filled) == set(filled.ground.blobs.iterate())


def test_a_lost_part_of_a_release_is_told_with_its_version(filled):
    """A part that is gone is a fault that names the version and the table it belongs to."""
    with filled.ground.database.read() as connection:
        part = next(use for use in list_file_uses(connection, filled.ground.blobs) if "," in use.by)
    filled.ground.blobs.path(part.digest).unlink()
    (fault,) = filled.read("verify").faults
    assert part.by in fault


def test_a_lost_manifest_is_told(filled):
    """A manifest that is gone is a fault, and the rest is still looked at."""
    with filled.ground.database.read() as connection:
        (manifest,) = connection.exec_driver_sql("SELECT manifest FROM version").scalars()
    filled.ground.blobs.path(manifest).unlink()
    faults = filled.read("verify").faults
    assert any(manifest in fault for fault in faults)


def test_a_checkpoint_from_a_file_is_taken(filled, tmp_path):
    """What `checkpoint` printed, kept in a file, verifies later; a missing file is bad input."""
    kept = tmp_path / "checkpoint.txt"
    kept.write_text(filled.read("checkpoint"))
    filled.write("person add", name="Somebody")
    assert filled.read("verify", checkpoint=str(kept)).intact
    with pytest.raises(InvalidInput):
        filled.read("verify", checkpoint=str(tmp_path / "no.txt"))


def test_a_backup_is_listed_and_restores_to_a_working_study(filled, tmp_path):
    """A backup is verified and remembered; what is restored reads the same release and takes new changes."""
    made = filled.read("backup", folder=str(tmp_path / "copy"))
    assert made.verified
    assert [one.folder for one in filled.read("backups")] == [tmp_path / "copy"]
    done = restoring.restore_study(tmp_path / "copy", tmp_path / "to")
    assert (done.restored.digest, done.erased_again) == (made.digest, 0)
    assert done.restored.verification.sentence == "intact"
    opened = open_study(tmp_path / "to")
    for session in (filled, opened):
        with session.reading() as on:
            assert read_frame(on, dataset="all@1.0.0").table["key"].to_pylist() == ["a", "b", "c"]
    opened.write("feature annotate", feature="finding", keys=["c"], values=["late"])
    assert opened.read("verify", full=True).intact
    opened.ground.close()


def test_a_backup_may_lie_where_a_study_may_not(filled, tmp_path):
    """A copy in a synced folder is made and verified; a restore there is refused and leaves nothing."""
    shared = tmp_path / "Dropbox"
    made = filled.read("backup", folder=str(shared / "copy"))
    assert (made.verified, made.finding) == (True, "intact")
    assert not list(shared.glob(f"**/{workspaces.PREFIX}*")) + list(filled.ground.folder.glob(f"{workspaces.PREFIX}*"))
    with pytest.raises(UnsafePlace, match="syncs"):
        restoring.restore_study(shared / "copy", shared / "study")
    assert [path.name for path in shared.iterdir()] == ["copy"]
    assert restoring.restore_study(shared / "copy", tmp_path / "local").restored.verification.intact


def test_a_study_is_not_begun_where_a_sync_program_would_copy_it(tmp_path):
    """The refusal comes before anything is made."""
    (tmp_path / "Dropbox").mkdir()
    with pytest.raises(UnsafePlace, match="syncs"):
        create_study(tmp_path / "Dropbox" / "new" / "study", name="s", person="Tester")
    assert not list((tmp_path / "Dropbox").iterdir())


def test_the_files_of_a_study_on_a_server_may_lie_on_a_shared_disk(postgres_url, tmp_path):
    """With its database on PostgreSQL a study may be in such a folder, and the doctor finds nothing bad in that."""
    folder = tmp_path / "Dropbox" / "study"
    create_study(folder, name="s", person="Tester", url=postgres_url).ground.close()
    (about,) = (one for one in doctor.examine(folder) if one.about == "place")
    assert (about.state, about.what) == (doctor.GOOD, "not a local disk; the database is on a server")


def test_a_backup_inside_the_study_is_refused(filled):
    """A copy in the folder that it is a copy of would be lost with it; a reader may make none."""
    with pytest.raises(InvalidInput):
        filled.read("backup", folder=str(filled.ground.folder / "copy"))
    with pytest.raises(NotAllowed):
        Session(filled.ground, filled.actor, Role.READER).read("backup", folder="x")


def test_an_erasure_made_after_the_backup_is_made_again(filled, tmp_path):
    """Restored with today's list of erasures, a patient erased since is erased again, and the rest is whole."""
    filled.read("backup", folder=str(tmp_path / "copy"), check=False)
    filled.write("erase", type="Patient", key="b", basis="withdrawn consent")
    listed = filled.ground.folder / restoring.DENY_LIST
    assert listed.exists()
    done = restoring.restore_study(tmp_path / "copy", tmp_path / "to", erased=listed)
    assert done.erased_again == 1
    assert done.restored.verification.intact
    assert done.restored.verification.erased
    opened = open_study(tmp_path / "to")
    with opened.reading() as on:
        assert read_frame(on, dataset="all@1.0.0").table["key"].to_pylist() == ["a", "c"]
    with pytest.raises(NotFound):
        opened.write("erase", type="Patient", key="b", basis="again")
    opened.ground.close()


def test_gc_takes_what_nothing_names_and_nothing_else(filled):
    """A dry run says how much and removes nothing; a collection removes it, and the study stays whole."""
    stray = filled.ground.blobs.put_bytes(b"put by a program that died").digest
    before = set(filled.ground.blobs.iterate())
    told = filled.read("gc", dry_run=True)
    assert (told.done, told.files, told.bytes) == (False, 1, 26)
    assert set(filled.ground.blobs.iterate()) == before
    done = filled.read("gc")
    assert (done.done, done.files, done.bytes) == (True, 1, 26)
    assert set(filled.ground.blobs.iterate()) == before - {stray}
    assert filled.read("verify", full=True).sentence == "intact"


def test_gc_leaves_what_is_being_put(filled):
    """A file put by somebody who has not recorded it yet is kept until that work has ended."""
    with filled.ground.blobs.holding():
        digest = filled.ground.blobs.put_bytes(b"about to be recorded").digest
        assert filled.read("gc").files == 0
        assert filled.ground.blobs.has(digest)
    assert filled.read("gc").files == 1


def test_gc_keeps_every_digest_that_stands_anywhere(filled):
    """What a collection keeps is at least what verification needs."""
    with filled.ground.database.read() as connection:
        assert uses(filled) <= find_named(connection, filled.ground.blobs)


def test_gc_removes_batches_of_dead_processes_only(filled):
    """Rows staged by a process that has ended go; rows staged by a living one, or not known to be dead, stay."""
    for batch in (71, 72, 73):
        batches.stage(filled.ground.database, value_int, batch, {"entity": [1], "value": [1]})
    dead = json.dumps({"host": "", "pid": 0, "boot_id": "", "start": 1})
    with filled.ground.database.write() as connection:
        (mark,) = connection.execute(sa.select(schema.staging.c.process).where(schema.staging.c.batch == 71)).scalars()
        dead = json.dumps({**json.loads(mark), "pid": 2**22 + 7, "start": 12345})
        away = json.dumps({**json.loads(mark), "host": "elsewhere/0/0"})
        for batch, text in ((72, dead), (73, away)):
            statement = sa.update(schema.staging).where(schema.staging.c.batch == batch).values(process=text)
            connection.execute(statement)
    assert [(one.batch, one.alive) for one in collecting.list_orphans(filled.ground)] == [
        (71, True), (72, False), (73, None),
    ]  # fmt: skip
    assert filled.read("gc").batches == 1
    assert [one.batch for one in collecting.list_orphans(filled.ground)] == [71, 73]


def states(folder):
    """What the doctor finds, by what it is about."""
    found = {}
    for finding in doctor.examine(folder):
        found.setdefault(finding.about, []).append(finding)
    return found


def test_the_doctor_tells_what_to_do(filled, tmp_path):
    """No backup, an unverified one, a staged batch left behind, a held lock, writers that wait: each is told."""
    folder = filled.ground.folder.parent
    found = states(folder)
    assert {finding.state for listed in found.values() for finding in listed} == {doctor.GOOD, doctor.LOOK}
    assert "cg backup" in found["backup"][0].todo
    filled.read("backup", folder=str(tmp_path / "copy"), check=False)
    assert [finding.state for finding in states(folder)["backup"]] == [doctor.GOOD, doctor.LOOK]
    path = filled.ground.database.path
    if path is not None:
        with path.with_suffix(".lock").open("r+") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            (lock,) = states(folder)["lock"]
        assert lock.state == doctor.LOOK
        assert "writing" in lock.what
        assert states(folder)["queue"][0].state == doctor.GOOD
        places = path.with_suffix(".queue")
        places.mkdir(exist_ok=True)
        with (places / "1").open("w") as first, (places / "2").open("w") as second:
            fcntl.flock(first, fcntl.LOCK_EX)
            fcntl.flock(second, fcntl.LOCK_EX)
            (queue,) = states(folder)["queue"]
        assert (queue.state, queue.what) == (doctor.LOOK, "2 processes wait to write")
        sizes = states(folder)["room"][0].what + states(folder)["database"][0].what
        assert "iB" not in sizes
    filled.ground.clock = lambda: time.time_ns() // 1000 + 3_600_000_000
    filled.write("person add", name="From the future")
    assert states(folder)["clock"][0].state == doctor.LOOK
    assert doctor.BAD not in {finding.state for finding in doctor.examine(folder)}


def test_the_doctor_tells_where_no_study_is(tmp_path):
    """In a folder without a study the machine is looked at, and the missing study is told, not raised."""
    found = states(tmp_path)
    assert found["study"][0].state == doctor.BAD
    assert found["SQLite"][0].state == doctor.GOOD


def test_a_migration_makes_a_backup_first(filled, monkeypatch):
    """A dry run names the steps; the run makes a backup, runs them, and the study opens again."""
    folder = filled.ground.folder.parent

    def add_colour(connection):
        connection.exec_driver_sql("ALTER TABLE meta ADD COLUMN colour TEXT")

    assert restoring.migrate_study(folder).steps == ()
    monkeypatch.setattr(migrations, "STEPS", (Step(migrations.NEWEST + 1, "a colour", add_colour),))
    before = migrations.NEWEST
    monkeypatch.setattr(migrations, "NEWEST", before + 1)
    told = restoring.migrate_study(folder, dry_run=True)
    assert (told.done, told.steps, told.backup) == (False, ("a colour",), None)
    done = restoring.migrate_study(folder)
    assert (done.done, done.before, done.after) == (True, before, before + 1)
    assert (Path(str(done.backup)) / "manifest.json").exists()
    opened = open_study(folder)
    assert opened.ground.facts["schema"] == str(before + 1)
    opened.ground.close()
