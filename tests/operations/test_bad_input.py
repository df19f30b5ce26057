"""Bad input gives a clear error and changes nothing: not a row, not a change, not a file."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from commonground.errors import (
    Ambiguous,
    CommonGroundError,
    Conflict,
    InvalidInput,
    NotFound,
    SchemaTooNew,
    UnsafeEngine,
    UnsafePath,
)
from commonground.identity import Mint, show_rid
from commonground.operations.session import Session
from commonground.operations.studies import create_study, open_study
from commonground.store import migrations, sqlite_driver
from commonground.store.view import find_prefix, identify
from whole_study import state_of


@pytest.fixture
def study(session: Session) -> Session:
    """A study with a vocabulary, two types, a feature and a dataset."""
    session.write("vocabulary add", name="Side", terms=["left", "right"])
    session.write("type add", name="Patient", columns=[{"name": "born", "holds": "date"}])
    session.write(
        "type add",
        name="Eye",
        columns=[
            {"name": "patient", "holds": "link", "target": "Patient"},
            {"name": "side", "holds": "term", "target": "Side"},
            {"name": "pressure", "holds": "real"},
            {"name": "note", "holds": "text"},
            {"name": "seen", "holds": "time"},
            {"name": "told", "holds": "instant"},
            {"name": "day", "holds": "date"},
            {"name": "scan", "holds": "asset"},
        ],
    )
    session.write("dataset create", name="none")
    session.write("dataset create", name="r\u00e9tine")
    session.write("execution start", name="r")
    session.write("entity upsert", type="Patient", keys=["p1"], columns={"born": ["1950"]})
    session.write("entity upsert", type="Eye", keys=["e1"], columns={"patient": ["p1"], "side": ["left"]})
    session.write("feature add", name="grade", type="Eye", holds="int", lowest=0, highest=4, ordered=True)
    session.write("dataset create", name="eyes", type="Eye", keys=["e1"], features=["grade"])
    return session


def upsert(column: str, value: Any) -> Callable[[Session, Path], object]:
    """One value for one column of one eye."""
    return lambda session, _: session.write("entity upsert", type="Eye", keys=["e1"], columns={column: [value]})


def table(text: str | bytes, **more: Any) -> Callable[[Session, Path], object]:
    """The import of a table."""

    def call(session: Session, folder: Path) -> object:
        path = folder / "table.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return session.write("import table", path=path, type="Visit", key="visit", **more)

    return call


def pictures(name: str, data: bytes, match: str = "{eye}.png") -> Callable[[Session, Path], object]:
    """The import of a folder with one picture."""

    def call(session: Session, folder: Path) -> object:
        (folder / "pictures").mkdir()
        (folder / "pictures" / name).write_bytes(data)
        return session.write("import pictures", path=folder / "pictures", match=match, type="Eye")

    return call


def unreadable(session: Session, folder: Path) -> object:
    """The import of a file that is a folder."""
    (folder / "table.csv").mkdir()
    return session.write("import table", path=folder / "table.csv", type="Visit", key="visit")


def annotate(value: Any, **more: Any) -> Callable[[Session, Path], object]:
    """One value of the feature."""
    return lambda session, _: session.write("feature annotate", feature="grade", keys=["e1"], values=[value], **more)


CASES: dict[str, tuple[type[CommonGroundError], str, Callable[[Session, Path], object]]] = {
    "unknown column": (InvalidInput, "no column", upsert("colour", "red")),
    "wrong type": (InvalidInput, "not a number", upsert("pressure", "high")),
    "dangling link": (InvalidInput, "key of no Patient", upsert("patient", "nobody")),
    "term not in vocabulary": (InvalidInput, "not in the vocabulary", upsert("side", "middle")),
    "NaN in a column": (InvalidInput, "NaN", upsert("pressure", math.nan)),
    "10 MB cell": (InvalidInput, "10,485,760", upsert("note", "x" * (10 << 20))),
    "NUL": (InvalidInput, "NUL", upsert("note", "a\0b")),
    "lone surrogate": (InvalidInput, "surrogate", upsert("note", "a\ud800")),
    "value out of range": (InvalidInput, "above 4", annotate(5)),
    "integer beyond 64 bits": (InvalidInput, "64 bits", annotate(1 << 63)),
    "no value and no reason": (InvalidInput, "no reason", annotate(None)),
    "NaN as a value": (InvalidInput, "not a whole number", annotate(math.nan)),
    "unknown key": (
        NotFound,
        "no Eye",
        lambda s, _: s.write("feature annotate", feature="grade", keys=["e9"], values=[1]),
    ),
    "unknown rater": (NotFound, "nobody", annotate(1, rater="Somebody Else")),
    "zero rows": (InvalidInput, "fault", table("visit,day\n")),
    "empty file": (InvalidInput, "is empty", table("")),
    "duplicate keys": (InvalidInput, "fault", table("visit,day\nv1,1\nv1,2\n")),
    "mixed types": (
        InvalidInput,
        "fault",
        table("visit,day\n" + "".join(f"v{n},{n}\n" for n in range(40)) + "v99,soon\n"),
    ),
    "missing key": (InvalidInput, "", table("visitor,day\nv1,1\n")),
    "case-colliding columns": (InvalidInput, "fault", table("visit,Day,day\nv1,1,2\n")),
    "unclosed quote": (InvalidInput, "fault", table('visit,day\nv1,"1\n')),
    "link column to nothing": (NotFound, "no such entity type", table("visit,ward\nv1,w\n", links=["ward"])),
    "file that is a folder": (CommonGroundError, "", unreadable),
    "no such file": (
        NotFound,
        "no file",
        lambda s, folder: s.write("import table", path=folder / "none.csv", type="Visit", key="visit"),
    ),
    "broken PNG": (InvalidInput, "fault", pictures("e1.png", b"\x89PNG\r\n\x1a\nrubbish")),
    "picture of nobody": (CommonGroundError, "", pictures("e7.png", b"not a picture")),
    "path with ..": (UnsafePath, "", pictures("e1.png", b"", match="../{eye}.png")),
    "Unicode twin": (Conflict, "already", lambda s, _: s.write("dataset create", name="re\u0301tine")),
    "case-colliding name": (Conflict, "already", lambda s, _: s.write("dataset create", name="EYES")),
    "name with @": (InvalidInput, "@", lambda s, _: s.write("dataset create", name="eyes@2")),
    "empty name": (InvalidInput, "empty", lambda s, _: s.write("dataset create", name="  ")),
    "unknown dataset": (NotFound, "eyes", lambda s, _: s.write("dataset release", dataset="ears")),
    "day for a time": (InvalidInput, "not a date and time", upsert("seen", "2024-03-05")),
    "week for a time": (InvalidInput, "not a date and time", upsert("seen", "2024-W10-1")),
    "moment outside the calendar": (InvalidInput, "no moment", upsert("told", 1 << 62)),
    "moment without a zone": (InvalidInput, "time zone", upsert("told", "2024-03-05T10:20:30")),
    "digits of another script in a date": (InvalidInput, "not a date", upsert("day", "\uff12\uff10\uff12\uff14")),
    "number with an underscore": (InvalidInput, "not a number", upsert("pressure", "1_000")),
    "file that is not there": (InvalidInput, "no file", upsert("scan", 123456789)),
    "limits the wrong way round": (
        InvalidInput,
        "between 5 and 1",
        lambda s, _: s.write("feature add", name="x", type="Eye", holds="int", lowest=5, highest=1),
    ),
    "limits of text": (
        InvalidInput,
        "no least",
        lambda s, _: s.write("feature add", name="x", type="Eye", holds="text", lowest=1),
    ),
    "unknown end of a run": (
        InvalidInput,
        "none of",
        lambda s, _: s.write("execution finish", execution="r", status="x"),
    ),
    "metric that is no number": (
        InvalidInput,
        "no number",
        lambda s, _: s.write("execution finish", execution="r", metrics={"auc": "high"}),
    ),
    "unknown role": (InvalidInput, "none of", lambda s, _: s.write("person add", name="Somebody", role="king")),
    "reason with a NUL": (InvalidInput, "NUL", lambda s, _: s.write("person add", name="Somebody", why="a\0b")),
    "reason of 2 MB": (
        InvalidInput,
        "2,097,152",
        lambda s, _: s.write("person add", name="Somebody", why="x" * (2 << 20)),
    ),
    "split of nothing": (
        InvalidInput,
        "no members",
        lambda s, _: s.write("dataset split", dataset="none", shares={"a": 0.5, "b": 0.5}),
    ),
    "shares above 1": (
        InvalidInput,
        "",
        lambda s, _: s.write("dataset split", dataset="eyes", shares={"a": 0.9, "b": 0.5}),
    ),
    "share that is not a number": (
        InvalidInput,
        "",
        lambda s, _: s.write("dataset split", dataset="eyes", shares={"a": math.nan, "b": 0.5}),
    ),
    "second column of one name": (
        InvalidInput,
        "already",
        lambda s, _: s.write("type extend", type="Eye", columns=[{"name": "Side", "holds": "text"}]),
    ),
    "unknown kind of column": (
        InvalidInput,
        "none of",
        lambda s, _: s.write("type extend", type="Eye", columns=[{"name": "x", "holds": "blob"}]),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_refused_and_changes_nothing(study: Session, tmp_path: Path, case: str) -> None:
    """The error is of the stated class, says what is wrong, and nothing was written on either engine."""
    kind, words, act = CASES[case]
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    before = state_of(study)
    with pytest.raises(kind) as caught:
        act(study, inbox)
    assert words.lower() in str(caught.value).lower()
    assert caught.value.kept
    assert caught.value.todo
    assert state_of(study) == before


def test_a_clock_before_2024_makes_no_ids() -> None:
    """A machine whose clock was never set says so, instead of giving the same ids as every other such machine."""
    with pytest.raises(InvalidInput, match="clock"):
        Mint(clock_ms=lambda: 0).one()


def test_keys_are_found_in_any_unicode_form(study: Session) -> None:
    """A key typed with combining letters, or with spaces around it, is the same key everywhere."""
    study.write("entity upsert", type="Eye", keys=["\u00e91"], columns={"note": ["x"]})
    study.write("feature annotate", feature="grade", keys=["e\u03011", " e1 "], values=[1, 2])
    study.write("dataset add", dataset="eyes", type="Eye", keys=["e\u03011", "\u00e91"])
    assert study.read("dataset status", dataset="eyes").rows["members"] == 2
    assert study.read("show", what="Eye:e\u03011").name == "Eye:\u00e91"


def test_a_column_that_is_there_is_read_as_what_it_holds_in_any_letters(study: Session, tmp_path: Path) -> None:
    """A second delivery that writes a header in other letters does not read codes as numbers."""
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    first.write_text("visit,Code\nv1,007\n")
    second.write_text("visit,code\nv2,8\n")
    study.write("import table", path=first, type="Visit", key="visit")
    study.write("import table", path=second, type="Visit", key="visit")
    facts = [study.read("show", what=f"Visit:{key}").facts[0].value for key in ("v1", "v2")]
    assert facts == ["007", "8"]


def test_unknown_and_ambiguous_ids_say_so(study: Session) -> None:
    """An id of nothing is not found; a beginning that several ids share names them."""
    with study.reading() as on:
        known = show_rid(study.actor.person or 0)
        with pytest.raises(NotFound):
            identify(on.view.connection, 12345)
        with pytest.raises(Ambiguous) as caught:
            find_prefix(on.view.connection, known[:3])
        assert caught.value.faults
        with pytest.raises(InvalidInput):
            find_prefix(on.view.connection, "not an id!")


def test_a_newer_schema_is_refused(study: Session) -> None:
    """A study that a newer release wrote is not opened."""
    with study.ground.database.write() as connection:
        migrations.write_meta(connection, "schema", str(migrations.NEWEST + 1))
    folder = study.ground.folder.parent
    with pytest.raises(SchemaTooNew, match="knows schemas up to"):
        open_study(folder, person="Tester")


def test_an_old_sqlite_is_refused() -> None:
    """A library that can lose commits is refused, and both remedies are named."""
    with pytest.raises(UnsafeEngine) as caught:
        sqlite_driver.check_version((3, 40, 1))
    assert "pysqlite3" in caught.value.todo
    assert "3.51.3" in caught.value.todo


def test_a_full_disk_is_said_and_keeps_everything(tmp_path: Path) -> None:
    """When the disk is full in the middle of an import, the error says so and the study is as it was."""
    session = create_study(tmp_path / "study", name="full", person="Tester")
    path = tmp_path / "table.csv"
    path.write_text("visit,day\nv1,1\n")
    before = state_of(session)
    session.ground.close()
    code = (
        "import sys; from pathlib import Path; from commonground.operations.studies import open_study;"
        "open_study(Path(sys.argv[1]), person='Tester').write("
        "'import table', path=Path(sys.argv[2]), type='Visit', key='visit')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "study"), str(path)],
        env={**os.environ, "CG_FAULT": "files.write:1:enospc!"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "StorageFull" in done.stderr
    assert state_of(open_study(tmp_path / "study", person="Tester")) == before


@pytest.mark.parametrize(
    "name", ["with space", "q?mode=memory", "50%20", "h#sh", "semi;colon", "quo'te\"s", "\u00fcn\u00ef", "b[r]*"]
)
def test_a_folder_of_any_name_holds_its_own_database(tmp_path: Path, name: str) -> None:
    """No character of a folder's name leads the database elsewhere: two studies side by side never share one."""
    folder = tmp_path / name
    folder.mkdir()
    create_study(folder, name="odd", person="Tester").ground.close()
    assert (folder / ".commonground" / "catalogue.sqlite").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    opened = open_study(folder, person="Tester")
    assert opened.ground.facts["name"] == "odd"
    opened.ground.close()
