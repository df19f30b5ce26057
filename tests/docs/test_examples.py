"""Every example of README.md and of docs/ runs, and prints what the page says it prints.

A page's `python` blocks share one namespace and one empty folder; its `console` blocks run their `$ ` lines there. A
`text` block right after a python block, and the other lines of a console block, are what is printed: `...` stands for
anything. A block after `<!-- not run: REASON -->` is left out; the pages may do that only for reasons listed here. A
block after `<!-- in an empty folder -->` begins in another folder. The folders hold the files of `files/PAGE/`.
"""

import contextlib
import dataclasses
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = Path(__file__).parent / "files"
ELSEWHERE = {ROOT / "docs" / "cli.md": "tests/interfaces/test_cli_docs.py runs it"}
LONG = {ROOT / "docs" / "tour.md"}
"""It tells the whole demonstration: one of the long runs."""
PAGES = sorted({ROOT / "README.md", *(ROOT / "docs").rglob("*.md")} - ELSEWHERE.keys())
KNOWN_COMMANDS = {
    "uv run pytest": "it is what runs this",
    "uv run cg demo": "the tour runs it, and tests/interfaces/test_demo_story.py",
}
FENCE = re.compile(
    r"^(?:<!-- (?:not run: (?P<reason>.+)|(?P<anew>in an empty folder)) -->\n)?```(?P<kind>[a-z]+)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
REASONS = {"installs a program", "needs a server of your own", "runs the tests", "needs a notebook", "needs torch"}
ANYTHING = "..."


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    kind: str
    body: str
    line: int
    reason: str | None
    anew: bool = False
    expected: str | None = None


def read_blocks(text):
    """The blocks of a page that can be run; a `text` block is what the python block right before it prints."""
    found = []
    end = 0
    for match in FENCE.finditer(text):
        line = text[: match.start()].count("\n") + 1
        kind, body = match["kind"], match["body"]
        if kind == "text" and found and found[-1].kind == "python" and not text[end : match.start()].strip():
            last = found.pop()
            found.append(dataclasses.replace(last, expected=body))
        elif kind in {"python", "console"}:
            found.append(Block(kind, body, line, match["reason"], match["anew"] is not None))
        end = match.end()
    return found


def matches(expected, printed):
    """Whether what was printed is what a page says, where a line `...` stands for any lines and `...` for any words."""
    parts = [re.escape(part.strip()) for part in expected.strip().split(ANYTHING)]
    return re.fullmatch(r"\s*" + r".*?".join(parts) + r"\s*", printed.strip(), re.DOTALL) is not None


def run_python(block, place, names):
    """Run a python block as if its lines stood in one file."""
    printed = io.StringIO()
    code = compile("\n" * block.line + block.body, str(place), "exec")
    with contextlib.redirect_stdout(printed):
        exec(code, names)  # noqa: S102 - the examples are ours
    if block.expected is not None:
        assert matches(block.expected, printed.getvalue()), f"{place}:{block.line} printed\n{printed.getvalue()}"


def run_console(block, place, folder, environment):
    """Run the commands of a console block; gives the folder that they end in."""
    for command, expected in read_commands(block.body):
        if command in KNOWN_COMMANDS:
            continue
        words = shlex.split(command, comments=True)
        if words[:2] == ["uv", "run"]:
            words = words[2:]
        if words[0] == "cd":
            folder = (folder / words[1]).resolve()
            continue
        done = subprocess.run(
            words, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, f"{place}:{block.line} $ {command}\n{done.stdout}\n{done.stderr}"
        if expected.strip():
            assert matches(expected, done.stdout), f"{place}:{block.line} $ {command} printed\n{done.stdout}"
    return folder


def read_commands(body):
    """Each command of a console block with the lines that follow it; a command goes on after a backslash."""
    body = body.replace("\\\n", " ")
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        yield command, expected


def make_place(folder, page):
    """A folder that looks like the root of a fresh clone, with the files that the page takes for granted."""
    shutil.copytree(ROOT / "docs" / "tutorial" / "data", folder / "docs" / "tutorial" / "data")
    if (FILES / page.stem).is_dir():
        shutil.copytree(FILES / page.stem, folder, dirs_exist_ok=True)
    return folder


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.soak] * (page in LONG), id=str(page.relative_to(ROOT))) for page in PAGES],
)
def test_examples_run(page, tmp_path, monkeypatch):
    """Every example of the page runs in the order of the page and prints what the page says."""
    scripts = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "100"}
    names = {"__name__": "__main__"}
    folder = make_place(tmp_path / "0", page)
    monkeypatch.chdir(folder)
    for number, block in enumerate(read_blocks(page.read_text(encoding="utf-8")), 1):
        if block.reason is not None:
            assert block.reason in REASONS, f"{page}:{block.line} is not run for a reason that is not listed"
            continue
        if block.anew:
            folder = make_place(tmp_path / str(number), page)
            monkeypatch.chdir(folder)
        if block.kind == "python":
            run_python(block, page, names)
        else:
            folder = run_console(block, page, folder, environment)
            monkeypatch.chdir(folder)


def test_reader_of_pages_finds_what_is_wrong(tmp_path):
    """The reader sees a wrong output, a failing command and a failing line; it does not pass over blocks."""
    page = "```python\nprint(6 * 7)\n```\n\n```text\n43\n```\n\n```console\n$ false\n```\n\n```python\n1 / 0\n```\n"
    wrong, failing, raising = read_blocks(page)
    with pytest.raises(AssertionError, match="42"):
        run_python(wrong, tmp_path, {})
    with pytest.raises(AssertionError, match="false"):
        run_console(failing, tmp_path, tmp_path, dict(os.environ))
    with pytest.raises(ZeroDivisionError):
        run_python(raising, tmp_path, {})


def test_dots_stand_for_anything():
    """Three dots match any words and any lines, and nothing else is left out."""
    assert matches("a ... c", "a b c")
    assert matches("...\nlast", "first\nsecond\nlast")
    assert not matches("a ... c", "a b d")
    assert not matches("a", "a b")
