"""Bad input at the command line: what happened, that nothing was changed, what to do, a code; and no row is another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from test_cli import CG, Done, environment, ok, run, run_apart

from commonground.identity import show_rid
from commonground.operations.studies import open_study
from commonground.store import migrations
from whole_study import state_of

Case = tuple[str, int, str, Callable[[Path], tuple[str, ...]]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study made at the command line, with one of everything that the cases need."""
    place = tmp_path_factory.mktemp("bad")
    ok(place, "init", ".", "--name", "Bad input")
    ok(place, "vocabulary", "add", "Side", "--term", "left", "--term", "right")
    ok(place, "type", "add", "Patient", "--column", "born:date")
    columns = ("patient:link:Patient", "side:term:Side", "pressure:real", "note:text")
    ok(place, "type", "add", "Eye", *(word for column in columns for word in ("--column", column)))
    ok(place, "entity", "upsert", "--type", "Eye", "--key", "e1", "--columns", '{"side": ["left"]}')
    ok(place, "feature", "add", "grade", "--type", "Eye", "--holds", "real")
    ok(place, "dataset", "create", "r\u00e9tine", "--type", "Eye", "--key", "e1")
    return place


def state(place: Path) -> dict[str, str]:
    """All rows of all tables, and all files of the study."""
    session = open_study(place, person="Reader One")
    try:
        return state_of(session)
    finally:
        session.ground.close()


def upsert(columns: str) -> Callable[[Path], tuple[str, ...]]:
    """The command that gives one eye these values."""
    return lambda _: ("entity", "upsert", "--type", "Eye", "--key", "e1", "--columns", columns)


def table(text: str) -> Callable[[Path], tuple[str, ...]]:
    """The import of a table."""

    def call(inbox: Path) -> tuple[str, ...]:
        (inbox / "table.csv").write_text(text)
        return ("import", "table", str(inbox / "table.csv"), "--as", "Visit", "--key", "visit")

    return call


def pictures(match: str) -> Callable[[Path], tuple[str, ...]]:
    """The import of a folder with one broken picture."""

    def call(inbox: Path) -> tuple[str, ...]:
        (inbox / "e1.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
        return ("import", "pictures", str(inbox), "--match", match, "--as", "Eye")

    return call


def large(inbox: Path) -> tuple[str, ...]:
    """The import of a table with a cell of 10 MB."""
    return table(f"visit,note\nv1,{'x' * (10 << 20)}\n")(inbox)


def synced(inbox: Path) -> tuple[str, ...]:
    """A new study in a folder that a program keeps on a server."""
    (inbox / "Dropbox").mkdir()
    return ("init", str(inbox / "Dropbox" / "study"))


CASES: dict[str, Case] = {
    "unknown column": ("invalid-input", 2, "no column", upsert('{"colour": ["red"]}')),
    "wrong type": ("invalid-input", 2, "not a number", upsert('{"pressure": ["high"]}')),
    "dangling link": ("invalid-input", 2, "key of no patient", upsert('{"patient": ["nobody"]}')),
    "term not in vocabulary": ("invalid-input", 2, "not in the vocabulary", upsert('{"side": ["middle"]}')),
    "NaN in a column": ("invalid-input", 2, "nan", upsert('{"pressure": [NaN]}')),
    "10 MB cell": ("invalid-input", 2, "", large),
    "broken PNG": ("invalid-input", 2, "fault", pictures("{eye}.png")),
    "path with ..": ("unsafe-path", 2, "", pictures("../{eye}.png")),
    "empty file": ("broken-file", 2, "is empty", table("")),
    "network folder": ("unsafe-place", 7, "dropbox", synced),
    "unknown rid": ("not-found", 3, "", lambda _: ("show", "0000000000000")),
    "table of too long a name": (
        "not-found",
        3,
        "there is no file",
        lambda _: ("import", "table", f"{'x' * 300}.csv", "--as", "Visit", "--key", "visit"),
    ),
    "file of too long a name": ("not-found", 3, "there is no file", lambda _: ("asset", "add", "x" * 300)),
    "unknown name": ("not-found", 3, "nothing", lambda _: ("show", "nothing")),
    "Unicode twin": ("conflict", 4, "already", lambda _: ("dataset", "create", "re\u0301tine")),
    "case-colliding name": ("conflict", 4, "already", lambda _: ("dataset", "create", "R\u00c9TINE")),
    "case-colliding columns": ("invalid-input", 2, "", table("visit,Day,day\nv1,1,2\n")),
    "zero rows": ("invalid-input", 2, "", table("visit,day\n")),
}


def check(done: Done, place: Path, before: dict[str, str], words: str) -> None:
    """What people read: what happened, that nothing was changed, what to do; no traceback; the study is as it was."""
    told = done.stderr
    assert words in told.lower()
    assert "Nothing was changed." in told
    lines = told[told.index("Nothing was changed.") :].splitlines()
    assert len(lines) > 1, f"it does not say what to do: {told}"
    assert "Traceback" not in told
    assert done.stdout == ""
    assert state(place) == before


@pytest.mark.parametrize("case", CASES)
def test_a_command_refuses_it_and_changes_nothing(place: Path, tmp_path: Path, case: str) -> None:
    """Each case: its exit status, and its code in JSON, with what happened, what was kept and what to do."""
    code, status, words, command = CASES[case]
    before = state(place)
    (tmp_path / "inbox").mkdir()
    line = command(tmp_path / "inbox")
    done = run(place, *line)
    assert done.returncode == status, done.stderr
    check(done, place, before, words)
    told = json.loads(run(place, *line, "--json").stderr)
    assert (told["code"], told["kept"]) == (code, "Nothing was changed.")
    assert told["what"]
    assert told["todo"]
    assert state(place) == before


def test_an_ambiguous_beginning_names_what_it_could_mean(place: Path) -> None:
    """The shared beginning of two ids is refused at the command line, with both."""
    session = open_study(place, person="Reader One")
    person = show_rid(session.actor.person or 0)
    session.ground.close()
    before = state(place)
    done = run(place, "show", person[:4])
    assert done.returncode == 2, done.stderr
    check(done, place, before, "more than one")
    assert json.loads(run(place, "show", person[:4], "--json").stderr)["code"] == "ambiguous"


AS_ANYBODY = """
import ctypes, os, sys
if sys.platform == "linux":
    # Whoever may read every file (the administrator of a container) gives that right up.
    for right in (1, 2):
        ctypes.CDLL(None).prctl(24, right, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_an_unreadable_file_at_the_command_line(place: Path, tmp_path: Path) -> None:
    """A file that nobody may read: it says so, and the study is as it was."""
    line = table("visit,day\nv1,1\n")(tmp_path)
    (tmp_path / "table.csv").chmod(0)
    before = state(place)
    known = {name: value for name, value in environment("Reader One").items() if value is not None}
    words = [sys.executable, "-c", AS_ANYBODY, CG, *line]
    done = subprocess.run(words, cwd=place, env={**os.environ, **known}, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    check(Done(done.returncode, done.stdout, done.stderr), place, before, "cannot be read: permission denied")


def test_a_full_disk_at_the_command_line(place: Path, tmp_path: Path) -> None:
    """No room in the middle of an import: it says so, and the study is as it was."""
    line = table("visit,day\nv1,1\n")(tmp_path)
    before = state(place)
    done = run_apart(place, *line, CG_FAULT="files.write:1:enospc!")
    assert done.returncode == 7, done.stderr
    check(done, place, before, "room")


def test_an_old_sqlite_at_the_command_line(place: Path, tmp_path: Path) -> None:
    """Where the only libraries are old ones no command opens the study, and both ways out are named."""
    for name in ("sqlite3", "pysqlite3"):
        (tmp_path / f"{name}.py").write_text("sqlite_version_info = (3, 40, 1)\nsqlite_version = '3.40.1'\n")
    before = state(place)
    done = run_apart(place, "status", PYTHONPATH=str(tmp_path))
    assert done.returncode == 7, done.stderr
    check(done, place, before, "3.40.1")
    assert "pysqlite3" in done.stderr


def test_a_newer_schema_at_the_command_line(tmp_path: Path) -> None:
    """A study that a newer release wrote is neither read nor written, and stays as it is."""
    ok(tmp_path, "init", ".", "--name", "New")
    session = open_study(tmp_path, person="Reader One")
    with session.ground.database.write() as connection:
        migrations.write_meta(connection, "schema", str(migrations.NEWEST + 1))
    before = state_of(session)
    for line in (("status",), ("dataset", "create", "x")):
        done = run(tmp_path, *line)
        assert done.returncode == 7, done.stderr
        assert "Nothing was changed." in done.stderr
        assert "newer" in done.stderr
        assert state_of(session) == before
    session.ground.close()


def test_what_is_compared_is_the_whole_study(place: Path) -> None:
    """Every table is compared, those of the index too, and one row more or one file more is seen."""
    before = state(place)
    assert {"change", "dataset", "edge", "meta", "staging", "text_stem", "text_part", "study.toml"} <= set(before)
    session = open_study(place, person="Reader One")
    left = session.ground.folder / "left over"
    left.write_text("x")
    assert set(state(place)) - set(before) == {"left over"}
    left.unlink()
    ok(place, "person", "add", "Somebody")
    assert {name for name, held in state(place).items() if before.get(name) != held} >= {"change", "person"}
    session.ground.close()
