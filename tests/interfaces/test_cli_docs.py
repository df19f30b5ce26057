"""The examples of docs/cli.md are run as they stand."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
FILES = {
    "patients.csv": "patient,born\np1,1950\np2,1961\np3,1972\n",
    "nodules.csv": "nodule,patient,diameter\nn1,p1,4.5\nn2,p1,11.25\nn3,p2,7\nn4,p3,5\n",
    "readings.csv": (
        "nodule,reader,malignancy\nn1,reader 1,2\nn1,reader 2,3\nn2,reader 1,5\nn3,reader 1,4\n"
        "n4,reader 1,3\nn4,reader 2,1\n"
    ),
    "kept.txt": "n1\nn2\nn3\n",
}


def read_examples() -> list[tuple[str, str]]:
    """The command lines of the page and what they are said to print."""
    found: list[tuple[str, str]] = []
    for block in re.findall(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        for example in block.split("$ ")[1:]:
            command, _, shown = example.partition("\n")
            found.append((command, shown))
    return found


@pytest.mark.soak
def test_the_examples_print_what_the_page_says(tmp_path: Path) -> None:
    """Every `$ cg ...` of the page works, in order, and prints what stands below it (`...` stands for anything)."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    programs = {"cg": str(Path(sys.executable).with_name("cg"))}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CG_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    given = {**kept, "CG_PERSON": "Reader One", "NO_COLOR": "1", "PATH": path}
    checker, wrong = doctest.OutputChecker(), []
    for command, shown in read_examples():
        words = shlex.split(command)
        words[0] = programs[words[0]]
        done = subprocess.run(words, cwd=tmp_path, env=given, capture_output=True, text=True, timeout=120, check=False)
        options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        if done.returncode != 0 or not checker.check_output(shown, done.stdout, options):
            wrong.append(f"$ {command}\n{done.stdout}{done.stderr}")
    assert not wrong, "\n".join(wrong)
