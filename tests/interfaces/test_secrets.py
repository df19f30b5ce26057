"""Secrets and identifiers of persons that are planted where a run looks: none is in the study, in no byte of it.

Beside each of them stands a word of control, which must be found: a search that finds nothing at all proves nothing.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from IPython.core.interactiveshell import InteractiveShell

from commonground.interfaces import notebook
from commonground.operations.delivery import sync
from commonground.operations.studies import create_study, open_study
from commonground.store import sqlite_driver, text_index
from commonground.store.text_index import Document
from planted import CANARIES

CG = str(Path(sys.executable).with_name("cg"))
TEXTS = [text for text, _ in CANARIES.values()]
PARTS = {name: part for name, (_, part) in CANARIES.items()}
PLACES = ("diff", "untracked", "argv", "output", "cells")
TOLD = ("intent", "param", "name", "late", "metric", "detail")
"""What a run is told on purpose."""


def control(place: str, number: int) -> str:
    """A word that nothing takes for a secret, another one beside each planted text."""
    letters = "abcdefghij"
    return f"ctl{place}{letters[number // 10]}{letters[number % 10]}z"


def beside(place: str) -> list[str]:
    """Each planted text as lines with its control before and after."""
    return [f"{control(place, n)} \n{text}\n {control(place, n)}\n" for n, text in enumerate(TEXTS)]


def commented(text: str) -> str:
    """The text as comments of a program that still runs."""
    return "".join(f"# {line}\n" for line in text.splitlines())


def git(folder: Path, *words: str) -> None:
    """One call of git that must work."""
    name = ("-c", "user.name=Tester", "-c", "user.email=t@localhost", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *name, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new study, and beside it a repository with planted texts in its differences and in its untracked files."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.setenv("CG_STUDY", str(tmp_path / "study"))
    create_study(tmp_path / "study", name="Test study").ground.close()
    code = tmp_path / "code"
    code.mkdir()
    git(code, "init")
    for n in range(len(TEXTS)):
        (code / f"tracked{n}.py").write_text("x = 1\n")
    git(code, "add", ".")
    git(code, "commit", "-m", "first")
    for n, text in enumerate(beside("diff")):
        (code / f"tracked{n}.py").write_text(f"x = 1\n{commented(text)}")
    for n, text in enumerate(beside("untracked")):
        (code / f"new{n}{('.py', '.txt', '.yaml', '.sh')[n % 4]}").write_text(text)
    cells = [{"cell_type": "code", "source": text.splitlines(keepends=True), "outputs": []} for text in TEXTS]
    (code / "explore.ipynb").write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}, indent=1))
    monkeypatch.chdir(code)
    return tmp_path


def forms_of(word: str) -> set[bytes]:
    """The bytes of a text as it would be written plainly, in JSON, and in a program, in any letters."""
    escaped = json.dumps(word)[1:-1]
    return {form.lower().encode() for form in (word, escaped, json.dumps(escaped)[1:-1], repr(word)[1:-1])}


def everything_in(study: Path) -> bytes:
    """Every byte of the study's folder, names of files, and what is packed in tables and in the index, plainly."""
    pieces: list[bytes] = []
    for path in sorted(study.rglob("*")):
        pieces.append(str(path.relative_to(study)).encode())
        if not path.is_file():
            continue
        data = path.read_bytes()
        pieces.append(data)
        if data[:4] == b"PAR1":
            pieces.append(json.dumps(pq.read_table(path).to_pylist(), default=str).encode())
    pieces.extend(dump(path) for path in study.rglob("catalogue.sqlite"))
    return b"\n".join(pieces).lower()


def dump(path: Path) -> bytes:
    """All rows of all tables of a database, those that hold an index among them, and all words of the index."""
    connection = sqlite_driver.load_driver().connect(path)
    try:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert "text_stem" in tables
        rows = [row for name in tables for row in connection.execute(f'SELECT * FROM "{name}"')]
        for index in ("text_stem", "text_part"):
            connection.execute(f"CREATE VIRTUAL TABLE temp.words_{index} USING fts5vocab(main, {index}, row)")
            rows += connection.execute(f"SELECT term FROM temp.words_{index}")
    finally:
        connection.close()
    cells = (cell for row in rows for cell in row)
    return b"\n".join(cell if isinstance(cell, bytes) else str(cell).encode() for cell in cells)


def leaks(study: Path) -> list[str]:
    """The planted texts of which something is anywhere in the study."""
    held = everything_in(study)
    return [name for name, part in PARTS.items() if any(form in held for form in forms_of(part))]


def found_controls(study: Path, place: str) -> int:
    """How many of the words of control of one place are in the study."""
    held = everything_in(study)
    return sum(control(place, n).encode() in held for n in range(len(TEXTS)))


PRINTS = """
    import json, os, sys
    from pathlib import Path
    texts = json.loads(Path(sys.argv[1]).read_text())
    for number, text in enumerate(texts):
        stream = (sys.stdout, sys.stderr)[number % 2]
        half = len(text) // 2
        stream.write(text[:half])
        stream.flush()
        stream.write(text[half:])
        stream.flush()
"""


def printing(place: Path, more: str = "") -> list[str]:
    """A program that prints all planted texts, each in two pieces, and the command that starts it with them all."""
    (place / "texts.json").write_text(json.dumps(beside("output")))
    body = textwrap.dedent(PRINTS) + textwrap.dedent(more)
    Path("train.py").write_text(body)
    words = [word for n, text in enumerate(TEXTS) for word in (control("argv", n), text, control("argv", n))]
    return [sys.executable, "train.py", str(place / "texts.json"), *words]


def test_the_search_would_find_each_of_them(place: Path) -> None:
    """There are thirty kinds and more, and each, put into a file, a packed table or the index, is found there."""
    assert len(CANARIES) >= 30
    folder = place / "study"
    assert leaks(folder) == []
    for plant in (in_a_file, in_json, in_a_packed_table, in_the_index):
        plant(folder, TEXTS)
        assert set(leaks(folder)) == set(PARTS), plant.__name__
        plant(folder, ["nothing"])
        assert leaks(folder) == []


def in_a_file(folder: Path, texts: list[str]) -> None:
    """The texts in a file of their own."""
    (folder / "left").write_text("\n".join(texts))


def in_json(folder: Path, texts: list[str]) -> None:
    """The texts in JSON that is a text in JSON."""
    (folder / "left").write_text(json.dumps(json.dumps(texts)))


def in_a_packed_table(folder: Path, texts: list[str]) -> None:
    """The texts in a compressed table."""
    pq.write_table(pa.table({"x": texts * 50}), folder / "left", compression="zstd")


def in_the_index(folder: Path, texts: list[str]) -> None:
    """The texts in the index of words, and what the database left in its file swept out."""
    (folder / "left").unlink(missing_ok=True)
    session = open_study(folder)
    with session.ground.database.write() as connection:
        text_index.put(connection, [Document(7, "dataset", "x", "\n".join(texts))])
    session.ground.close()


def test_nothing_planted_is_in_the_store_after_cg_run(place: Path) -> None:
    """`cg run` of a program that prints them, is given them, and stands among them: all controls, none of them."""
    command = printing(place, 'raise ValueError(texts[0] + "password=hunter2hunter2")')
    words = [word for n, text in enumerate(TEXTS) for word in ("--param", f"{control('param', n)}=x {text}")]
    asked = ["--why", "".join(beside("intent")), *words]
    done = subprocess.run([CG, "run", *asked, "--", *command], capture_output=True, check=False, text=True)
    assert done.returncode == 1, done.stderr
    assert PARTS["github"] in done.stdout + done.stderr
    folder = place / "study"
    assert leaks(folder) == []
    for name in ("diff", "untracked", "argv", "output", "intent", "param"):
        assert found_controls(folder, name) == len(TEXTS), name


INSIDE = """
    from commonground.operations.studies import open_study
    from commonground.interfaces.client.run import Run
    planted = json.loads(Path(sys.argv[1]).with_name("told.json").read_text())
    with Run(open_study(Path(os.environ["CG_STUDY"])), **planted["asked"]) as run:
        run.log_params(planted["late"])
        run.log(planted["metric"])
"""


def told() -> dict[str, Any]:
    """All planted texts in each thing that a run is told, with their controls."""
    named = {
        name: {f"{control(name, n)} {' '.join(text.splitlines())}": n for n, text in enumerate(TEXTS)}
        for name in ("name", "metric", "late")
    }
    values = {control("param", n): text for n, text in enumerate(TEXTS)}
    lists = {control("late", n): [{control("late", n): [text]}] for n, text in enumerate(TEXTS)}
    details = {control("detail", n): [text] for n, text in enumerate(TEXTS)}
    asked = {"intent": "".join(beside("intent")), "params": {**values, **named["name"]}, "details": details}
    return {"asked": asked, "late": {**lists, **named["late"]}, "metric": named["metric"]}


@pytest.mark.parametrize("killed", [False, True])
def test_nothing_planted_is_in_the_store_or_the_spool_of_a_run_inside(place: Path, killed: bool) -> None:
    """`with study.run`, also killed, when all is still in its spool, and after the spool was delivered."""
    prints = textwrap.indent(textwrap.dedent(PRINTS), "    ")
    end = "    os.kill(os.getpid(), 9)\n" if killed else "    raise ValueError('password=hunter2hunter2')\n"
    command = printing(place)
    (place / "told.json").write_text(json.dumps(told()))
    begin = textwrap.dedent("import json, os, sys\nfrom pathlib import Path\n") + textwrap.dedent(INSIDE)
    Path("train.py").write_text(begin + prints + end)
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert done.returncode == (-signal.SIGKILL if killed else 1), done.stderr
    folder = place / "study"
    for delivered in (False, True):
        assert leaks(folder) == []
        for name in ("diff", "untracked", "argv", "output", *TOLD):
            assert found_controls(folder, name) == len(TEXTS), (name, delivered)
        session = open_study(folder)
        assert len(sync(session)) == (1 if killed and not delivered else 0)
        session.ground.close()


@pytest.fixture
def shell(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """A shell that runs cells as a kernel does, and records them."""
    monkeypatch.setenv("IPYTHONDIR", str(place / "ipython"))
    monkeypatch.setenv("JPY_SESSION_NAME", "explore.ipynb")
    made = InteractiveShell()
    made.history_manager.enabled = False
    notebook.load(made)
    yield made
    made.history_manager.end_session()


def test_nothing_planted_is_in_the_store_or_the_spool_of_a_notebook(
    place: Path, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cells that hold them, as comments, as text, and in the error that they raise, while they run and afterwards."""
    recorder = notebook._recorders[id(shell)]
    for n, text in enumerate(TEXTS):
        source = f"{commented(text)}{control('cells', n)} = {text!r}\nraise ValueError({text!r})"
        shell.run_cell(source, store_history=True, cell_id=str(n))
    capsys.readouterr()
    folder = place / "study"
    assert leaks(folder) == []
    assert found_controls(folder, "cells") == len(TEXTS)
    notebook.unload(shell)
    recorder._session.ground.close()
    assert leaks(folder) == []
    for name in ("cells", "diff", "untracked"):
        assert found_controls(folder, name) == len(TEXTS), name
    told = re.findall(rb"valueerror: [^\n]{0,60}removed", everything_in(folder))
    assert len(told) >= 30


def test_names_of_files_are_searched_as_well(place: Path) -> None:
    """An identifier in the name of a changed file, a new one, a link's end, or the script itself is not kept."""
    name = "scan DOE^JOHN.py"
    for path in (f"tracked {name}", f"started {name}"):
        Path(path).write_text("x = 1\n")
    git(Path(), "add", f"tracked {name}")
    git(Path(), "commit", "-m", "second")
    Path(f"tracked {name}").write_text(f"x = 1\n{commented(TEXTS[0])}")
    Path(f"new {name}").write_text(TEXTS[0])
    Path("link.py").symlink_to(f"new {name}")
    done = subprocess.run([CG, "run", "--", sys.executable, f"started {name}"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    held = everything_in(place / "study")
    assert b"link.py" in held
    assert b"started scan [removed: person name]" in held
    assert b"doe^john" not in held


def test_what_is_taken_out_is_told(place: Path) -> None:
    """In the place of each stands what kind of thing it was, and the folder beside the study was left as it is."""
    before = {path.name: path.read_bytes() for path in Path().iterdir() if path.is_file()}
    subprocess.run([CG, "run", "--", sys.executable, "-c", "pass"], capture_output=True, check=True)
    assert {path.name: path.read_bytes() for path in Path().iterdir() if path.is_file()} == before
    kinds = set(re.findall(rb"\[removed: ([a-z 0-9-]+)\]", everything_in(place / "study")))
    assert len(kinds) >= 20


def test_work_told_by_hand_is_screened_as_well(place: Path) -> None:
    """`execution start` and `finish`, at this door: parameters, command line, metrics, reasons, and why."""
    session = open_study(place / "study")
    started = session.write(
        "execution start",
        why="".join(beside("intent")),
        params={control("param", n): text for n, text in enumerate(TEXTS)},
        argv=[word for n, text in enumerate(TEXTS) for word in (control("argv", n), text)],
    )
    session.write(
        "execution finish",
        why="".join(beside("output")),
        execution=started.plan.anchors[0],
        status="failed",
        reason="".join(beside("diff")),
        params={control("late", n): text for n, text in enumerate(TEXTS)},
        metrics={
            f"{control('metric', n)} {'' if '@' in text else ' '.join(text.splitlines())}": n
            for n, text in enumerate(TEXTS)
        },
    )
    session.ground.close()
    assert leaks(place / "study") == []
    for name in ("intent", "param", "argv", "output", "diff", "late", "metric"):
        assert found_controls(place / "study", name) == len(TEXTS), name


def test_words_of_any_change_are_screened(place: Path) -> None:
    """Why something was done, and how a dataset, a column or a term is described, is kept without what was planted."""
    session = open_study(place / "study")
    description, why = "".join(beside("cells")), "".join(beside("intent"))
    session.write("dataset create", name="empty", description=description, why=why)
    column = {"name": "size", "holds": "real", "description": "".join(beside("diff"))}
    session.write("type add", name="Nodule", columns=[column])
    session.write("vocabulary add", name="side", terms=[{"name": "left", "definition": "".join(beside("late"))}])
    session.ground.close()
    assert leaks(place / "study") == []
    for name in ("cells", "intent", "diff", "late"):
        assert found_controls(place / "study", name) == len(TEXTS), name
