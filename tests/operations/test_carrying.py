"""Runs made where no catalogue could be told of them are carried home in one file, and are on record once."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from commonground.errors import BrokenFile, InvalidInput, NotFound
from commonground.identity import show_rid
from commonground.interfaces.client.run import Run
from commonground.operations import carrying, run_spool
from commonground.operations.delivery import sync
from commonground.operations.session import Session
from commonground.operations.studies import create_study
from commonground.store import faults, packs
from commonground.store.spool_lines import SpoolRecord, read_line, render, write_line
from commonground.store.verify import verify

AWAY = "run.start:1:eio!,run.finish:1:eio!"
"""The catalogue can be told neither of the start nor of the end."""
TOLD_OF_THE_START = "run.finish:1:eio!"


class Node:
    """A machine from which the study cannot be reached: the spools of its runs lie with the person."""

    def __init__(self, session: Session, place: Path) -> None:
        self.session = session
        self.place = place
        self.spools = run_spool.away_folder(session.ground.facts["study"])
        self.spools.mkdir(parents=True)

    def run(self, name: str, fault: str = AWAY, **given: Any) -> int:
        """A run that is made there."""
        with faults.planned(fault), Run(self.session, intent="far away", name=name, **given) as run:
            run.log({"auc": 0.5}, step=0)
            run.save(b"weights", name="model.bin", kind="model")
        shutil.move(run.folder, self.spools / run.folder.name)
        return run.rid

    def pack(self, name: str = "runs.cgpack") -> Path:
        """What waits there, in a pack."""
        path = self.place / name
        carrying.pack_runs(self.place, path, by="Tester")
        return path

    def change(self, rid: int, edit: Callable[[str, dict[str, Any]], None]) -> None:
        """Change what a spool says."""
        for path in run_spool.folder_of(self.spools, rid).glob("*.spool"):
            lines = path.read_bytes().splitlines(keepends=True)
            records = [record for line in lines if isinstance(record := read_line(line), SpoolRecord)]
            for record in records:
                edit(record.kind, record.payload)
            path.write_bytes(b"".join(write_line(one.seq, *render(one.kind, one.payload)) for one in records))


@pytest.fixture
def node(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    """Such a machine; its person's folder is there for this test only."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    place = tmp_path / "node"
    place.mkdir()
    return Node(session, place)


@contextlib.contextmanager
def at_home(node: Node) -> Iterator[Session]:
    """On the machine with the study, where nobody has that folder."""
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("XDG_STATE_HOME", str(node.place / "other"))
        yield node.session


def newest(session: Session) -> int:
    """The newest change."""
    with session.ground.view() as view:
        return view.change


def look(session: Session, rid: int) -> Any:
    """An execution, with all that belongs to it."""
    return session.read("execution get", execution=rid)


def left(session: Session) -> list[str]:
    """What lies among the spools."""
    return [path.name for path in session.ground.spool_folder.iterdir()]


def test_runs_are_carried_home_once(node: Node) -> None:
    """What was run, logged and saved is on record as it was; the second time the same pack changes nothing."""
    first, second = node.run("one", params={"a": 1}), node.run("two", TOLD_OF_THE_START)
    path = node.pack()
    with at_home(node) as home:
        done = carrying.take_in(home, path)
        assert {one.execution: (one.status, one.outcome) for one in done.runs} == {
            first: ("finished", "delivered"),
            second: ("finished", "delivered"),
        }
        for rid in (first, second):
            record = look(home, rid)
            assert (record.execution.status, record.intent) == ("finished", "far away")
            assert record.metrics["auc"].points == 1
            assert "model.bin" in {named.name for _, named in record.outputs}
        before = newest(home), list(home.ground.blobs.iterate())
        again = carrying.take_in(home, path)
        assert {one.outcome for one in again.runs} == {"was delivered before"}
        assert (newest(home), list(home.ground.blobs.iterate())) == before
        assert left(home) == []
        assert sync(home) == []
        assert verify(home.ground, full=True).intact
    assert len(run_spool.list_folders(node.spools)) == 2


def test_spools_stay_until_a_receipt_says_that_they_were_delivered(node: Node) -> None:
    """The receipt removes just what was delivered: not a run that came later, and not a spool that has more."""
    delivered, grown = node.run("one"), node.run("two")
    path = node.pack()
    later = node.run("three")
    (run_spool.folder_of(node.spools, grown) / "out-more").write_bytes(b"more")
    with at_home(node) as home:
        receipt = carrying.take_in(home, path).receipt
    assert receipt is not None
    gone = carrying.let_go(node.place, Path(receipt))
    assert (gone.removed, gone.kept) == ((delivered,), (grown,))
    assert {rid for rid, _ in run_spool.list_folders(node.spools)} == {grown, later}
    assert carrying.let_go(node.place, Path(receipt)).removed == ()
    with pytest.raises(BrokenFile):
        carrying.let_go(node.place, node.place / "nothing")


def test_what_the_origin_delivers_itself_comes_once(node: Node) -> None:
    """If the study comes back into reach, or another pack has the same run, there is still one execution."""
    rid = node.run("one")
    path, again = node.pack(), node.pack("again.cgpack")
    sync(node.session)
    with at_home(node) as home:
        before = newest(home)
        assert [one.outcome for one in carrying.take_in(home, path).runs] == ["was delivered before"]
        assert [one.outcome for one in carrying.take_in(home, again).runs] == ["was delivered before"]
        assert newest(home) == before
    assert look(node.session, rid).execution.status == "finished"


def test_a_pack_of_another_study_is_refused(node: Node, tmp_path: Path) -> None:
    """Neither a pack for another study nor one that only claims to be for this one is taken."""
    rid = node.run("one")
    path = node.pack()
    other = create_study(tmp_path / "other study", name="Other")
    try:
        with pytest.raises(InvalidInput, match="another study"):
            carrying.take_in(other, path)
        claiming = tmp_path / "claiming.cgpack"
        folders = {rid: run_spool.folder_of(node.spools, rid)}
        packs.write_pack(claiming, study=other.ground.facts["study"], folders=folders, about={})
        with pytest.raises(BrokenFile, match="not sound"):
            carrying.take_in(other, claiming)
        assert (newest(other), left(other)) == (1, [])
    finally:
        other.ground.close()


def test_a_cut_or_altered_pack_changes_nothing(node: Node) -> None:
    """It is refused as a whole: no change, no spool, no file."""
    node.run("one")
    path = node.pack()
    honest = path.read_bytes()
    with at_home(node) as home:
        before = newest(home), list(home.ground.blobs.iterate())
        for data in (honest[:-40], honest[:200], honest[:-100] + b"x" + honest[-99:], honest + b"x", b""):
            path.write_bytes(data)
            with pytest.raises(BrokenFile):
                carrying.take_in(home, path)
        assert (newest(home), list(home.ground.blobs.iterate()), left(home)) == (*before, [])


def outside(kind: str, payload: dict[str, Any]) -> None:
    """An output that is a file of the machine."""
    if kind == "asset":
        payload["file"] = "../../../study.toml"


def referred(kind: str, payload: dict[str, Any]) -> None:
    """An output that lies somewhere else."""
    if kind == "asset":
        payload["asset"]["reference"] = "/etc/passwd"


def captured(kind: str, payload: dict[str, Any]) -> None:
    """Code that is a file of the machine."""
    if kind == "start":
        payload["files"] = ["../../study.toml"]


def meddling(kind: str, payload: dict[str, Any]) -> None:
    """An edge between other things."""
    if kind == "asset":
        payload["edge"]["src"] = 77


def posing(kind: str, payload: dict[str, Any]) -> None:
    """The start of another execution."""
    if kind == "start":
        payload["args"]["execution"]["rid"] = 77


def odd(kind: str, payload: dict[str, Any]) -> None:
    """Rows that are none."""
    if kind == "final":
        payload["ended_at"] = "soon"


def missing(kind: str, payload: dict[str, Any]) -> None:
    """An environment that is nowhere."""
    if kind == "start":
        payload["args"]["execution"]["environment"] = "0" * 64


def shapeless(kind: str, payload: dict[str, Any]) -> None:
    """A metric without its fields."""
    if kind == "m":
        payload.clear()


def strange(kind: str, payload: dict[str, Any]) -> None:
    """A column that no table has."""
    if kind == "start":
        payload["args"]["execution"]["pk"] = 1


@pytest.mark.parametrize(
    "edit",
    [outside, referred, captured, meddling, posing, odd, missing, shapeless, strange],
    ids=lambda one: one.__name__,
)
def test_a_spool_that_says_what_it_may_not_is_refused(node: Node, edit: Callable[[str, dict[str, Any]], None]) -> None:
    """With a right sum too: paths, edges of others, other executions and other forms are no words of a run."""
    node.run("good")
    rid = node.run("one")
    node.change(rid, edit)
    path = node.place / "forged.cgpack"
    folders = dict(run_spool.list_folders(node.spools))
    packs.write_pack(
        path, study=node.session.ground.facts["study"], folders=folders, about={}, leave_out=frozenset({"room"})
    )
    with at_home(node) as home:
        before = newest(home), list(home.ground.blobs.iterate())
        with pytest.raises(BrokenFile, match=show_rid(rid)):
            carrying.take_in(home, path)
        assert (newest(home), list(home.ground.blobs.iterate()), left(home)) == (*before, [])


def test_a_lost_run_brings_what_it_had(node: Node) -> None:
    """How a run ended that left no last word is decided where it ran; also if it is known as lost already."""
    rid = node.run("one", TOLD_OF_THE_START)
    folder = run_spool.folder_of(node.spools, rid)
    (spool,) = folder.glob("run-*.spool")
    lines = spool.read_bytes().splitlines(keepends=True)
    spool.write_bytes(b"".join(line for line in lines if b" final {" not in line))
    path = node.pack()
    assert node.pack("again.cgpack").stat().st_size == path.stat().st_size
    with at_home(node) as home:
        home.write("execution finish", execution=rid, status="lost", reason="nothing was heard of it")
        (done,) = carrying.take_in(home, path).runs
        assert (done.status, done.outcome) == ("lost", "delivered")
        record = look(home, rid)
        assert record.metrics["auc"].points == 1
        assert "model.bin" in {named.name for _, named in record.outputs}
        assert record.execution.reason


def test_a_run_that_goes_on_is_not_packed(node: Node) -> None:
    """It is told, and waits; with nothing else there is no pack."""
    with faults.planned(AWAY):
        run = Run(node.session, name="now").start()
        with pytest.raises(NotFound) as told:
            carrying.pack_runs(node.session.ground.folder.parent, node.place / "x.cgpack", by="Tester")
        assert f"{run.id} still runs" in told.value.faults
        assert not (node.place / "x.cgpack").exists()
        run.end()
    packed = carrying.pack_runs(node.session.ground.folder.parent, node.place / "x.cgpack", by="Tester")
    assert (packed.runs, packed.study) == ((run.rid,), node.session.ground.facts["study"])


def test_a_failed_start_is_carried_home(node: Node) -> None:
    """A run that could not start is on record as failed, with its reason."""
    with faults.planned(AWAY), pytest.raises(NotFound), Run(node.session, name="x", inputs=["nothing@1.0.0"]):
        pass
    ((rid, folder),) = run_spool.list_folders(node.session.ground.spool_folder)
    shutil.move(folder, node.spools / folder.name)
    path = node.pack()
    with at_home(node) as home:
        for outcome in ("delivered", "was delivered before"):
            assert [one.outcome for one in carrying.take_in(home, path).runs] == [outcome]
        assert look(home, rid).execution.status == "failed"


def test_runs_of_several_studies_are_packed_one_study_at_a_time(node: Node) -> None:
    """It is asked which, and the pack has that study's only."""
    rid = node.run("one")
    study = node.session.ground.facts["study"]
    shutil.copytree(node.spools, node.spools.with_name("X" * 13))
    with pytest.raises(InvalidInput) as told:
        node.pack()
    assert study in told.value.faults
    packed = carrying.pack_runs(node.place, node.place / "x.cgpack", by="Tester", study=study)
    assert (packed.runs, packed.study) == ((rid,), study)


def test_another_spool_of_the_same_execution_is_left_alone(node: Node) -> None:
    """If the study has one that says something else, neither is touched, and that is told."""
    rid = node.run("one")
    path = node.pack()
    with at_home(node) as home:
        there = run_spool.folder_of(home.ground.spool_folder, rid)
        shutil.copytree(run_spool.folder_of(node.spools, rid), there)
        (there / "out-more").write_bytes(b"more")
        done = carrying.take_in(home, path)
        assert [one.status for one in done.runs] == [None]
        assert "another one" in done.runs[0].outcome
        assert json.loads(Path(str(done.receipt)).read_text())["delivered"] == []
        (there / "out-more").unlink()
        assert [one.outcome for one in carrying.take_in(home, path).runs] == ["delivered"]
