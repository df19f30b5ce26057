"""What is killed: for each verb that acknowledges, how a study is prepared for it, and its steps.

A step opens what it needs below `root`, does one thing, and returns when that is saved. It may be done again: it then
does what is left, so that the same steps are run once more after a kill. Bulk rows are staged from 8 rows on.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from kill_engines import address_of
from PIL import Image

from commonground.errors import Conflict, InvalidInput
from commonground.interfaces.client.run import Run
from commonground.operations import (  # noqa: F401 - a fork of a process that has loaded them need not load them
    agreement,
    assets,
    carrying,
    collecting,
    completing,
    datasets,
    delivery,
    entities,
    erasing,
    executions,
    features,
    importing,
    pictures,
    readings,
    releases,
    restoring,
    reverting,
    upkeep,
    vocabularies,
)
from commonground.operations.session import Session
from commonground.operations.studies import create_study, open_study
from commonground.store import backup, batches, faults, migrations
from commonground.store.ground import FOLDER
from commonground.store.migrations import Step
from commonground.store.stat_cache import SETTLED_NS

batches.CHUNK_ROWS = 8
KEYS = [f"n{number:02}" for number in range(12)]
MARK = "ZQX-4711-secret"
"""What stands in everything that is erased."""


@contextlib.contextmanager
def study(root: Path) -> Iterator[Session]:
    """The prepared study, open."""
    session = open_study(root / "study", person="Tester")
    try:
        yield session
    finally:
        session.ground.close()


def head(root: Path) -> int:
    """The newest change."""
    with study(root) as session, session.reading() as on:
        return on.view.change


def fill(root: Path) -> None:
    """A study with an imported table, linked entities, values, a file and a released dataset."""
    inbox = root / "inbox"
    inbox.mkdir(parents=True)
    table = inbox / "patients.csv"
    table.write_text(f"patient,age\n{MARK},40\np2,51\np3,62\n")
    session = create_study(root / "study", name="Kill study", person="Tester", url=address_of(root))
    session.write("import table", path=table, type="Patient", key="patient")
    columns = [{"name": "patient", "holds": "link", "target": "Patient"}, {"name": "size", "holds": "real"}]
    session.write("type add", name="Nodule", columns=columns)
    owners = [(MARK, "p2", "p3")[number % 3] for number in range(len(KEYS))]
    given = {"patient": owners, "size": [float(number) for number in range(len(KEYS))]}
    session.write("entity upsert", type="Nodule", keys=KEYS, columns=given)
    session.write("feature add", name="grade", type="Nodule", holds="int", ordered=True)
    session.write("feature annotate", feature="grade", keys=KEYS, values=[number % 5 for number in range(len(KEYS))])
    session.write("dataset create", name="nodules", type="Nodule", keys=KEYS, features=["grade"])
    session.write("dataset release", dataset="nodules", why=f"as {MARK} asked")
    session.ground.close()


def release_changed(root: Path) -> None:
    """Release what is new, twice at once: the second is refused."""
    with study(root) as session:
        first, second = (session.plan("dataset release", dataset="nodules", part="minor") for _ in range(2))
        session.commit(first)
        with contextlib.suppress(Conflict):
            session.commit(second)


def annotate(root: Path) -> None:
    """Values that are staged in two chunks."""
    with study(root) as session:
        session.write("feature annotate", feature="grade", keys=KEYS, values=[5] * len(KEYS), why="second look")


def import_new(root: Path) -> None:
    """A table that declares its type, with its file."""
    path = root / "inbox" / "visits.csv"
    path.write_text("visit,patient,day\n" + "".join(f"v{number},p2,{number}\n" for number in range(20)))
    with study(root) as session:
        session.write("import table", path=path, type="Visit", key="visit", links={"patient": "Patient"})


def import_changed(root: Path) -> None:
    """The next delivery of a table: a new column, changed and new rows."""
    path = root / "inbox" / "patients-2.csv"
    path.write_text(f"patient,age,town\n{MARK},41,Ulm\np2,51,Bonn\np4,70,Kiel\n")
    with study(root) as session:
        session.write("import table", path=path, type="Patient", key="patient")


def import_pictures(root: Path) -> None:
    """A folder of pictures, enough for one sync of them all."""
    folder = root / "inbox" / "pictures"
    folder.mkdir(exist_ok=True)
    for number, key in enumerate(KEYS):
        if not (folder / f"{key}.png").exists():
            Image.fromarray(np.full((8, 8), number, dtype=np.uint8)).save(folder / f"{key}.png")
    with study(root) as session:
        session.write("import pictures", path=folder, match="{nodule}.png", type="Nodule")


def import_readings(root: Path) -> None:
    """An annotator's export with two new features, staged."""
    path = root / "inbox" / "readings.csv"
    path.write_text("nodule,reader,spiculation,note\n" + "".join(f"{key},A,{len(key)},of {key}\n" for key in KEYS))
    with study(root) as session:
        session.write("import readings", path=path, type="Nodule", entity="nodule", rater="reader", slots=True)


def erase(root: Path) -> None:
    """A patient with nodules, values, a released part and the file that names them."""
    with study(root) as session:
        session.write("erase", type="Patient", key=MARK, basis="withdrawn consent", why="consent withdrawn")


def begin_work_on_the_erased(root: Path) -> None:
    """Programs that were killed while they held what is erased later: a release, and values that were being staged."""
    fill(root)
    annotate(root)
    for plan in ("blobs.synced:1:kill", "parts.manifest:1:kill", "database.after_commit:3:kill"):
        _in_a_fork(root, plan, _release_and_import)


def _release_and_import(root: Path) -> None:
    with study(root) as session:
        path = root / "inbox" / "readings.csv"
        path.write_text("nodule,reader,note\n" + "".join(f"{key},A,of {MARK}\n" for key in KEYS))
        with contextlib.suppress(InvalidInput):
            session.write("dataset release", dataset="nodules")
        session.write("import readings", path=path, type="Nodule", entity="nodule", rater="reader", slots=True)


def _in_a_fork(root: Path, plan: str, act: Callable[[Path], None]) -> None:
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException), faults.planned(plan):
            act(root)
        os._exit(3)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, plan


def revert(root: Path) -> None:
    """Undo the values that were given last."""
    with study(root) as session, session.reading() as on:
        given = on.view.change
    with study(root) as session:
        session.write("revert", change=given)


def prepare_revert(root: Path) -> None:
    """A study whose newest change can be undone."""
    fill(root)
    annotate(root)


def merge(root: Path) -> None:
    """A nodule that was there twice."""
    with study(root) as session:
        session.write("entity merge", type="Nodule", duplicate=KEYS[0], into=KEYS[3])


def back_up(root: Path) -> None:
    """A copy in a new folder; one that was killed between its last renames is deleted first, as its error says."""
    copy = root / "copy"
    with study(root) as session:
        try:
            session.read("backup", folder=str(copy))
        except InvalidInput as error:
            if "not finished" in error.what:
                shutil.rmtree(copy)
                session.read("backup", folder=str(copy))
            elif not (copy / backup.MANIFEST).exists():
                raise


def prepare_restore(root: Path) -> None:
    """A backup that holds somebody who was erased afterwards."""
    fill(root)
    back_up(root)
    erase(root)


def restore(root: Path) -> None:
    """Bring the backup back, with today's list of erasures."""
    if not (root / "to" / FOLDER).exists():
        restoring.restore_study(root / "copy", root / "to", erased=root / "study" / FOLDER / completing.DENY_LIST)


def prepare_collection(root: Path) -> None:
    """Files that nothing names, in several folders of the store, and what killed programs left."""
    begin_work_on_the_erased(root)
    with study(root) as session:
        for number in range(4):
            session.ground.blobs.put_bytes(f"stray {number}".encode())


def collect(root: Path) -> None:
    """Remove what nothing names."""
    with study(root) as session:
        session.read("gc")


def migrate(root: Path) -> None:
    """Two steps to a newer schema, with a backup before them."""
    steps = (
        Step(2, "a colour", lambda connection: connection.exec_driver_sql("ALTER TABLE meta ADD COLUMN colour TEXT")),
        Step(3, "a shape", lambda connection: connection.exec_driver_sql("ALTER TABLE meta ADD COLUMN shape TEXT")),
    )
    before = migrations.STEPS, migrations.NEWEST
    migrations.STEPS, migrations.NEWEST = steps, 3
    try:
        restoring.migrate_study(root / "study")
    finally:
        migrations.STEPS, migrations.NEWEST = before


def tracked(root: Path) -> None:
    """A run with parameters, metrics and an output."""
    with (
        study(root) as session,
        Run(session, intent="why", params={"a": 1}, name="cut", inputs=["nodules@1.0.0"]) as run,
    ):
        for number in range(3):
            run.log({"auc": number / 10}, step=number)
        run.save(b"weights", name="model.bin", kind="model")


def prepare_delivery(root: Path) -> None:
    """Three runs that were killed: without a last word, before the catalogue had its end, and before its start."""
    fill(root)
    _in_a_fork(root, "spool.append:6:kill", tracked)
    _in_a_fork(root, "run.finish:1:kill", tracked)
    _in_a_fork(root, "run.start:1:eio,run.finish:1:kill", tracked)


def deliver(root: Path) -> None:
    """Deliver what the killed runs had written."""
    with study(root) as session:
        delivery.sync(session)


def prepare_files(root: Path) -> None:
    """A folder that all copies share, old enough for its digests to be remembered, and one file that is there already.

    The collection begins a new generation, so that the file is marked anew.
    """
    fill(root)
    folder = scan_of(root)
    folder.mkdir()
    (folder / "known.csv").write_bytes((root / "inbox" / "patients.csv").read_bytes())
    (folder / "large").write_bytes(os.urandom(1024) * 2100)
    with study(root) as session:
        session.read("gc")
    time.sleep(SETTLED_NS / 1e9 + 0.1)


def scan_of(root: Path) -> Path:
    """Where the folder to be added lies."""
    return root.parent / "scan"


def add_files(root: Path) -> None:
    """A folder as a series, with a large file."""
    with study(root) as session:
        session.write("asset add", path=scan_of(root), name="scan")


def check_out(root: Path) -> None:
    """The files of the series, in a new folder."""
    shutil.rmtree(root / "out", ignore_errors=True)
    with study(root) as session:
        session.read("asset check-out", asset="scan", folder=root / "out")


def prepare_carrying(root: Path) -> None:
    """Three runs of a machine that cannot reach the study: two that ended, one that was killed."""
    fill(root)
    for plan in ("run.finish:1:kill", "run.start:1:eio,run.finish:1:kill", "run.start:1:eio,spool.append:6:kill"):
        _in_a_fork(root, plan, tracked)
    with study(root) as session:
        state = root / "state" / "commonground" / "spool" / session.ground.facts["study"]
        state.parent.mkdir(parents=True)
        session.ground.spool_folder.rename(state)
        session.ground.spool_folder.mkdir()


def carry(root: Path) -> None:
    """Pack them there, take them in here, and let go of them there."""
    path = root / "runs.cgpack"
    before = os.environ.get("XDG_STATE_HOME")
    os.environ["XDG_STATE_HOME"] = str(root / "state")
    try:
        if not path.exists() and carrying.find_waiting(root):
            carrying.pack_runs(root, path, by="Tester")
        with study(root) as session:
            done = carrying.take_in(session, path)
        if done.receipt is not None:
            carrying.let_go(root, Path(done.receipt))
    finally:
        os.environ.pop("XDG_STATE_HOME")
        if before is not None:
            os.environ["XDG_STATE_HOME"] = before


def make(root: Path) -> None:
    """A new study, with its owner."""
    if not (root / "study" / FOLDER).exists():
        create_study(root / "study", name="Kill study", person="Tester").ground.close()


@dataclass(frozen=True)
class Workload:
    """Something that acknowledges."""

    prepare: Callable[[Path], None]
    """Makes what it begins with."""
    steps: tuple[Callable[[Path], None], ...]
    """What is done, one after the other; each that has returned is acknowledged."""
    changes: bool = True
    """Whether every step makes at least one change of the study."""


WORKLOADS = {
    "release": Workload(fill, (annotate, release_changed)),
    "import table": Workload(fill, (import_new, import_changed)),
    "import pictures": Workload(fill, (import_pictures,)),
    "import readings": Workload(fill, (import_readings,)),
    "erase": Workload(begin_work_on_the_erased, (erase,)),
    "revert": Workload(prepare_revert, (revert,)),
    "merge": Workload(fill, (merge,)),
    "backup": Workload(fill, (back_up,), changes=False),
    "restore": Workload(prepare_restore, (restore,), changes=False),
    "gc": Workload(prepare_collection, (collect,), changes=False),
    "migrate": Workload(fill, (migrate,), changes=False),
    "run": Workload(fill, (tracked,)),
    "sync": Workload(prepare_delivery, (deliver,)),
    "files": Workload(prepare_files, (add_files, check_out), changes=False),
    "carry": Workload(prepare_carrying, (carry,), changes=False),
    "init": Workload(lambda root: root.mkdir(exist_ok=True), (make,), changes=False),
}
