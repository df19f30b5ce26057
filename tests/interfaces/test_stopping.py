"""A command that is stopped, by Ctrl-C or by a signal, says so in one line, leaves nothing half done, goes again."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from commonground.interfaces.cli.failing import AGAIN, KEPT
from commonground.interfaces.cli.program import build_program
from commonground.operations.doctor import GOOD, examine
from commonground.operations.studies import create_study, open_study
from commonground.store.ground import CATALOGUE, FOLDER
from commonground.store.parallel import in_threads
from commonground.store.sqlite_driver import load_driver

CG = str(Path(sys.executable).with_name("cg"))
ANYTHING = f"Stopped. {KEPT} {AGAIN}"
NOTHING = f"Stopped. Nothing was changed. {AGAIN}"
STATUS = {"interrupt": 128 + signal.SIGINT, "end": 128 + signal.SIGTERM, "hang-up": 128 + signal.SIGHUP}
KEYS = ["n1", "n2", "n3"]


class Case(NamedTuple):
    """A command, where it is stopped, and how."""

    words: str
    plan: str
    said: str


CASES = {
    "file": Case("asset add new --name new", "blobs.staged:1:interrupt", NOTHING),
    "member": Case("dataset add nodules --type Nodule --keys n3", "database.before_commit:1:end", NOTHING),
    "release": Case("dataset release nodules", "parts.manifest:1:interrupt", NOTHING),
    "import": Case("import table new/0.csv --as Visit --key visit", "database.before_commit:1:end", NOTHING),
    "verify": Case("verify --full", "blobs.read:3:end", ANYTHING),
    "backup, copying": Case("backup to", "blobs.staged:1:interrupt", ANYTHING),
    "backup, verifying": Case("backup to", "blobs.read:2:end", ANYTHING),
    "backup, moving in": Case("backup to", "backup.finish:1:hang-up", ANYTHING),
    "restore, filling": Case("restore copy to", "blobs.staged:1:end", ANYTHING),
    "restore, moving in": Case("restore copy to", "restore.swap:1:interrupt", ANYTHING),
    "collection": Case("gc", "gc.sweep:2:interrupt", ANYTHING),
    "erasure": Case("erase --type Nodule --key n1 --basis consent", "database.before_commit:1:end", NOTHING),
    "check-out": Case("asset check-out scan to", "blobs.check_out:3:interrupt", ANYTHING),
    "init": Case("init to", "database.after_commit:1:end", ANYTHING),
}
QUICK = {"backup, verifying", "check-out"}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with a dataset that has changed since its release, a series of files and stray ones; and a backup."""
    root = tmp_path_factory.mktemp("prepared")
    for name in ("scan", "new"):
        (root / name).mkdir()
        for number in range(4):
            text = f"visit,day\n{name}{number},{number}\n" + f"{name}x{number},7\n" * (20_000 * (number % 2))
            (root / name / f"{number}.csv").write_text(text)
    session = create_study(root / "study", name="Stopped", person="Tester")
    session.write("type add", name="Nodule", columns=[{"name": "size", "holds": "real"}])
    session.write("entity upsert", type="Nodule", keys=KEYS, columns={"size": [1.0, 2.0, 3.0]})
    session.write("dataset create", name="nodules", type="Nodule", keys=KEYS[:1])
    session.write("dataset release", dataset="nodules")
    session.write("dataset add", dataset="nodules", type="Nodule", keys=KEYS[1:2])
    session.write("asset add", path=root / "scan", name="scan")
    session.read("backup", folder=str(root / "copy"))
    for number in range(4):
        session.ground.blobs.put_bytes(f"stray {number}".encode())
    session.ground.close()
    return root


@pytest.fixture
def place(prepared: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(prepared, tmp_path / "place"))


def split(words: str) -> list[str]:
    """The arguments of a command on the study."""
    return [*words.split(), *([] if words.split(maxsplit=1)[0] in {"restore", "init"} else ["--study", "study"])]


def stop(place: Path, words: str, plan: str) -> subprocess.CompletedProcess[str]:
    """Carry out a command in a process of its own, which gets a signal on its way."""
    given = {**os.environ, "CG_PERSON": "Tester", "CG_FAULT": plan}
    return subprocess.run(
        [CG, *split(words)], cwd=place, env=given, capture_output=True, text=True, timeout=100, check=False
    )


def carry_out(place: Path, words: str) -> int:
    """Carry out a command here; its exit status."""
    with contextlib.chdir(place), pytest.raises(SystemExit) as left:
        build_program().main(split(words))
    assert isinstance(left.value.code, int)
    return left.value.code


def list_files(place: Path) -> set[str]:
    """Everything that is there, without files of the store that nobody names and what the database keeps for itself."""
    found = (path.relative_to(place).as_posix() for path in place.rglob("*"))
    store = f"study/{FOLDER}/blobs/"
    return {
        name
        for name in found
        if not name.endswith(("-wal", "-shm")) and (not name.startswith(store) or name.startswith(f"{store}staging/"))
    }


def list_changes(place: Path) -> list[str]:
    """The verbs of all changes of the study."""
    with contextlib.closing(load_driver().connect(str(place / "study" / FOLDER / CATALOGUE))) as connection:
        return [row[0] for row in connection.execute("SELECT verb FROM change ORDER BY id")]


@pytest.mark.parametrize(
    "case", [pytest.param(name, marks=() if name in QUICK else pytest.mark.soak) for name in CASES]
)
def test_a_stopped_command_leaves_nothing_and_goes_again(place: Path, case: str) -> None:
    """It leaves with 128 and the signal and one line; no file, folder or change is left; again, it succeeds."""
    words, plan, said = CASES[case]
    before = list_files(place), list_changes(place)
    stopped = stop(place, words, plan)
    assert (stopped.returncode, stopped.stdout, stopped.stderr.strip()) == (STATUS[plan.split(":")[2]], "", said)
    left = list_files(place)
    assert (left - {"to"}, list_changes(place)) == before
    assert "to" not in left or case == "check-out"
    assert carry_out(place, words) == 0
    assert [path for path in place.rglob("*") if path.name.startswith(".cg-")] == []
    assert list(place.glob("**/blobs/staging/*")) == []


@pytest.mark.soak
def test_what_was_written_before_is_told(place: Path) -> None:
    """An erasure that is stopped after its change says so, in JSON too; `cg sync` destroys the rest."""
    words = "erase --type Nodule --key n1 --basis consent --json"
    stopped = stop(place, words, "gc.sweep:1:interrupt")
    told = json.loads(stopped.stderr)
    assert (stopped.returncode, stopped.stdout, told["code"]) == (130, "", "stopped")
    number = len(list_changes(place))
    assert told["kept"] == f"Change {number}, `erase`, was written before that."
    assert "`cg sync`" in told["todo"]
    assert [one.state for one in examine(place / "study") if one.about == "erasure"] != []
    assert carry_out(place, "sync") == 0
    assert [one.state for one in examine(place / "study") if one.about == "erasure" and one.state != GOOD] == []
    assert carry_out(place, "verify --full") == 0
    session = open_study(place / "study", person="Tester")
    with session.ground.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM doomed").scalar_one() == 0
    session.ground.close()


def test_nothing_is_at_work_after_an_interrupt() -> None:
    """A thread that was being started when Ctrl-C came is waited for: what it does is done before others clean up."""
    begun: list[int] = []
    done: list[int] = []

    def work(item: int) -> None:
        begun.append(item)
        if item == 0:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)
        done.append(item)

    def all_items() -> Iterator[int]:
        yield from range(50)

    with pytest.raises(KeyboardInterrupt):
        for _ in in_threads(work, all_items()):
            pass
    assert sorted(begun) == sorted(done)
    assert len(begun) < 50


def test_a_restore_that_finds_damage_says_so(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is restored from a backup with a lost file is there, and is called damaged, with the fault and a status."""
    next((place / "copy" / "blobs").glob("[0-9a-f][0-9a-f]/*")).unlink()
    assert carry_out(place, "restore copy to") == 7
    told = capsys.readouterr().out
    assert "Restored to to, but it is damaged: 1 fault." in told
    assert "verified" not in told
    assert (place / "to" / FOLDER).is_dir()
