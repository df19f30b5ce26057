"""Whatever cuts a run off, and wherever: one truthful execution, delivered once, with all that it had recorded."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from commonground.identity import show_rid
from commonground.interfaces.client.run import Run
from commonground.operations import restoring, run_spool
from commonground.operations.delivery import WHO_MAY, sync
from commonground.operations.doctor import examine
from commonground.operations.plans import Role
from commonground.operations.session import Session
from commonground.operations.studies import create_study, open_study
from commonground.operations.waiting import needs_sync
from commonground.store.faults import MARK, PLAN, planned
from commonground.store.spool_lines import SpoolRecord, read_line, render, write_line
from commonground.structure import executions

SCRIPT = """
    import os
    from pathlib import Path
    from commonground.interfaces.client.run import Run
    from commonground.operations.studies import open_study
    study = open_study(Path(os.environ["STUDY"]))
    with Run(study, intent="why", params={"a": 1}, name="cut") as run:
        for step in range(3):
            run.log({"auc": step / 10}, step=step)
        run.save(b"weights", name="model.bin", kind="model")
        Path("logged").touch()
    Path("ended").touch()
"""
POINTS = [
    "run.start:1",
    "run.finish:1",
    "changes.lock:1",
    "changes.lock:2",
    "changes.link:1",
    "changes.link:2",
    "database.before_commit:1",
    "database.before_commit:2",
    "database.after_commit:1",
    "database.after_commit:2",
    "spool.open:1",
    "spool.append:2",
    "spool.append:4",
    "spool.append:7",
    "files.open:1",
    "blobs.stage:1",
    "blobs.staged:1",
    "blobs.synced:1",
    "blobs.publish:1",
    "blobs.published:1",
    "files.sync_folder:1",
    "blobs.published:2",
]


def two_places(tmp_path: Path) -> tuple[Path, Path]:
    """A new study, closed, and a folder to work in."""
    study, work = tmp_path / "study", tmp_path / "work"
    work.mkdir()
    create_study(study, name="Test study").ground.close()
    return study, work


def run_script(folder: Path, study: Path, fault: str = "") -> int:
    """Run the script in a process of its own, with a planned fault; returns its exit status."""
    environment = {**os.environ, "STUDY": str(study), MARK: "1"}
    environment.pop(PLAN, None)
    if fault:
        environment[PLAN] = fault
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)], cwd=folder, env=environment, check=False, capture_output=True
    )
    return done.returncode


def records_of(session: Session) -> list[Any]:
    """All executions, with all that belongs to them."""
    found = session.read("execution find")
    return [session.read("execution get", execution=one.execution.rid) for one in found]


def killed_at(tmp_path: Path, fault: str) -> tuple[Path, int, Path]:
    """A new study, the execution in it that was killed at `fault`, and the one spool that it left."""
    study, work = two_places(tmp_path)
    assert run_script(work, study, fault) == -signal.SIGKILL
    ((rid, folder),) = run_spool.list_folders(study / ".commonground" / "spool")
    (path,) = folder.glob("run-*.spool")
    return study, rid, path


@pytest.mark.soak
@pytest.mark.parametrize("place", POINTS)
def test_kill_at_any_point_leaves_one_truthful_execution(tmp_path: Path, place: str) -> None:
    """There is at most one execution; once it had logged, nothing of it is missing; a second sync does nothing."""
    study, work = two_places(tmp_path)
    assert run_script(work, study, f"{place}:kill") in {-signal.SIGKILL, 0}
    session = open_study(study)
    try:
        sync(session)
        assert sync(session) == []
        records = records_of(session)
        with session.ground.view() as view:
            assert executions.list_leases(view) == []
            assert executions.list_running(view) == []
        if (work / "logged").exists():
            (record,) = records
            assert record.metrics["auc"].points == 3
            assert "model.bin" in {named.name for _, named in record.outputs}
            assert record.params == {"a": 1}
            assert record.intent == "why"
        else:
            assert len(records) <= 1
        for record in records:
            wanted = {"finished"} if (work / "ended").exists() else {"finished", "lost"}
            assert record.execution.status in wanted
            assert record.execution.status == "finished" or record.execution.reason
    finally:
        session.ground.close()


@pytest.mark.parametrize("fault", ["database.before_commit:1:eio!", "changes.link:2:enospc!", "blobs.publish:1:eio!"])
def test_faults_of_the_disk_do_not_stop_the_work(tmp_path: Path, fault: str) -> None:
    """If the catalogue cannot be written, at the start or the end, the program ends well; all is delivered later."""
    study, work = two_places(tmp_path)
    assert run_script(work, study, fault) == 0
    session = open_study(study)
    try:
        (done,) = sync(session)
        assert (done.status, done.outcome) == ("finished", "delivered")
        (record,) = records_of(session)
        assert record.metrics["auc"].points == 3
        assert record.intent == "why"
    finally:
        session.ground.close()


def test_the_last_word_has_room_on_a_full_disk(tmp_path: Path) -> None:
    """With the disk full for the spool and the catalogue at the end, the end itself is still told as it was."""
    study, work = two_places(tmp_path)
    # The 7th write is the last word; the next one finds the room that was kept.
    assert run_script(work, study, "spool.append:7:enospc,changes.link:2:enospc!") == 0
    session = open_study(study)
    try:
        (done,) = sync(session)
        assert (done.status, done.outcome) == ("finished", "delivered")
        (record,) = records_of(session)
        assert "model.bin" in {named.name for _, named in record.outputs}
    finally:
        session.ground.close()


def test_a_run_in_a_study_brought_back_is_closed(tmp_path: Path) -> None:
    """A backup that is made while a run goes on does not leave it running for ever in what is restored from it."""
    session = create_study(tmp_path / "study", name="Test study")
    run = Run(session, name="meanwhile").start()
    by_hand = session.write("execution start", name="by hand").plan.anchors[0]
    session.read("backup", folder=str(tmp_path / "copy"))
    run.end()
    restoring.restore_study(tmp_path / "copy", tmp_path / "to")
    restored = open_study(tmp_path / "to")
    try:
        (closed,) = sync(restored)
        assert (closed.execution, closed.status) == (run.rid, "lost")
        assert "backup" in (restored.read("execution get", execution=run.rid).execution.reason or "")
        assert restored.read("execution get", execution=by_hand).execution.status == "running"
        assert session.read("execution get", execution=run.rid).execution.status == "finished"
    finally:
        restored.ground.close()
        session.ground.close()


def begin_elsewhere(session: Session, *, seen_at: int) -> int:
    """An execution of a process on another machine."""
    done = session.write("execution start", name="far away")
    rid = int(done.plan.args["execution"]["rid"])
    mark = {"host": "elsewhere/0/0", "pid": 1, "boot_id": "b", "start": 1}
    with session.ground.database.write() as connection:
        executions.hold_lease(connection, rid, json.dumps(mark), "/nowhere", seen_at)
    return rid


def test_a_silent_run_elsewhere_is_lost_only_after_its_lease(session: Session) -> None:
    """Nobody can see whether a process on another machine lives; it counts as lost when it was silent for too long."""
    now = session.ground.clock()
    begin_elsewhere(session, seen_at=now)
    assert needs_sync(session)
    assert sync(session) == []
    rid = begin_elsewhere(session, seen_at=now - 3_600_000_000)
    (closed,) = sync(session)
    assert (closed.execution, closed.status) == (rid, "lost")
    assert "15 minutes" in session.read("execution get", execution=rid).execution.reason


def test_a_damaged_spool_is_delivered_with_its_holes_told(tmp_path: Path) -> None:
    """A line that was overwritten is left out and told; all others are kept."""
    study, _, path = killed_at(tmp_path, "run.finish:1:kill")
    lines = path.read_bytes().splitlines(keepends=True)
    broken = next(place for place, line in enumerate(lines) if b" m {" in line)
    lines[broken] = b"x" * (len(lines[broken]) - 1) + b"\n"
    path.write_bytes(b"".join(lines))
    session = open_study(study)
    try:
        (done,) = sync(session)
        assert done.outcome == "delivered"
        (record,) = records_of(session)
        assert record.metrics["auc"].points == 2
        assert any("damaged" in note for note in record.execution.details["holes"])
    finally:
        session.ground.close()


def left_behind(session: Session, name: str) -> Path:
    """A run that has ended, of which the catalogue knows nothing yet; its spool."""
    with planned("run.start:1:eio!,run.finish:1:eio!"), Run(session, name=name) as run:
        run.log({"auc": 0.5}, step=1)
    (path,) = run.folder.glob("run-*.spool")
    return path


def rewrite(path: Path, kind: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Write a record of a spool in another form, with a sound checksum."""
    lines = path.read_bytes().splitlines(keepends=True)
    place = next(place for place, line in enumerate(lines) if line.split(b" ")[2] == kind.encode())
    told = read_line(lines[place])
    assert isinstance(told, SpoolRecord)
    change(told.payload)
    lines[place] = write_line(told.seq, *render(told.kind, told.payload))
    path.write_bytes(b"".join(lines))


@pytest.mark.parametrize(
    ("kind", "change", "status"),
    [
        ("m", lambda told: told.pop("s"), "finished"),
        ("m", lambda told: told.update(v=[1]), "finished"),
        ("final", lambda told: told.pop("ended_at"), "lost"),
        ("final", lambda told: told.update(status="grand"), "lost"),
        ("start", lambda told: told.pop("args"), None),
        ("start", lambda told: told["args"]["execution"].pop("status"), None),
        ("start", lambda told: told["args"].pop("workflow"), None),
        ("header", lambda told: told["process"].update(pid="x"), "finished"),
        ("header", lambda told: told.update(format="x"), "finished"),
        ("end", lambda told: told.pop("dropped"), "finished"),
    ],
)
def test_a_record_of_another_form_holds_only_itself_back(
    session: Session, kind: str, change: Callable[[dict[str, Any]], object], status: str | None
) -> None:
    """What cannot be read is told, with the name of the spool; the rest of it and all others are delivered."""
    path = left_behind(session, "strange")
    left_behind(session, "sound")
    rewrite(path, kind, change)
    hindrance = [one.what for one in examine(session.ground.folder) if one.about == "spool" and path.name in one.what]
    strange, sound = sync(session)
    assert (sound.status, sound.outcome) == ("finished", "delivered")
    assert strange.status == status, strange
    if status is None:
        assert str(path.parent) in strange.outcome
        assert path.is_file()
    elif kind in {"m", "final"}:
        (holes,) = [one.execution.details["holes"] for one in records_of(session) if one.execution.name == "strange"]
        assert any(path.name in hole for hole in holes)
        assert len(hindrance) == 1
    assert (sync(session) != []) == (status is None)


def test_a_run_that_somebody_may_not_deliver_waits_for_who_may(session: Session) -> None:
    """A reader is told that the spool stays and who delivers it; then it is delivered, and nothing of it is missing."""
    path = left_behind(session, "waiting")
    (told,) = sync(Session(session.ground, session.actor, Role.READER))
    assert told.status is None
    assert told.outcome.splitlines() == [
        f"`execution start` needs the role contributor; yours is reader. It stays in its spool. {WHO_MAY}"
    ]
    assert path.is_file()
    (done,) = sync(session)
    assert (done.status, done.points) == ("finished", 1)


@pytest.mark.parametrize("content", [None, b"", b"weighty", b"weights and more"])
def test_an_output_whose_bytes_are_gone_holds_nothing_else_back(tmp_path: Path, content: bytes | None) -> None:
    """After a power cut the spool may name a file that is missing or other: the rest is delivered, the loss told."""
    study, work = two_places(tmp_path)
    assert run_script(work, study, "run.finish:1:kill") == -signal.SIGKILL
    (kept,) = study.rglob("out-*")
    kept.unlink() if content is None else kept.write_bytes(content)
    session = open_study(study)
    try:
        (done,) = sync(session)
        assert done.outcome == "delivered"
        (record,) = records_of(session)
        assert record.metrics["auc"].points == 3
        assert "model.bin" not in {named.name for _, named in record.outputs}
        assert record.execution.details["lost_outputs"] == ["model.bin"]
        assert sync(session) == []
    finally:
        session.ground.close()


@pytest.mark.parametrize("left", [None, 0, 1, 2, 4])
def test_an_end_that_outlived_its_spool_is_known(tmp_path: Path, left: int | None) -> None:
    """After a power cut the end may be in the catalogue, and the spool have no last word, few lines or no file."""
    study, _, path = killed_at(tmp_path, "spool.discard:1:kill")
    lines = path.read_bytes().splitlines(keepends=True)
    path.unlink() if left is None else path.write_bytes(b"".join(lines[:left]))
    for kept in path.parent.glob("out-*"):
        kept.unlink()
    session = open_study(study)
    try:
        before = records_of(session)
        (done,) = sync(session)
        assert (done.outcome, done.status) == ("delivered", "finished")
        (record,) = records_of(session)
        assert [record] == before
        assert record.metrics["auc"].points == 3
        assert "model.bin" in {named.name for _, named in record.outputs}
        assert not path.parent.exists()
        assert sync(session) == []
    finally:
        session.ground.close()


def test_what_an_end_by_hand_does_not_have_stays(tmp_path: Path) -> None:
    """A spool with records that the end in the catalogue was not made from is not taken for delivered."""
    study, rid, path = killed_at(tmp_path, "run.finish:1:kill")
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    session = open_study(study)
    try:
        session.write("execution finish", execution=rid, status="finished")
        (told,) = sync(session)
        assert told.status is None
        assert path.is_file()
    finally:
        session.ground.close()


def test_a_spool_of_another_study_stays(tmp_path: Path) -> None:
    """A spool without its start, in a study that does not know the execution, is told and left as it is."""
    session = create_study(tmp_path / "study", name="Test study")
    try:
        folder = run_spool.folder_of(session.ground.spool_folder, session.ground.mint.one())
        folder.mkdir()
        rid = run_spool.list_folders(session.ground.spool_folder)[0][0]
        writer = run_spool.RunWriter(folder / "run-1.spool", execution=rid)
        writer.append(run_spool.METRIC, {"s": 0, "a": 1, "v": {"auc": 0.5}})
        writer.close()
        (told,) = sync(session)
        assert told.status is None
        assert show_rid(rid) in told.outcome
        assert [path.name for path in folder.iterdir()] == ["run-1.spool"]
    finally:
        session.ground.close()
