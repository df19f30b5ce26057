"""Real git repositories for the tests of captured code."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from code_repositories import CODE, Repository


@pytest.fixture
def make_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Repository]:
    """Makes or opens a repository below the folder of the test; settings of the machine play no part."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    return lambda name: Repository(tmp_path / name)


@pytest.fixture
def repository(make_repository: Callable[[str], Repository]) -> Repository:
    """A repository with three committed files."""
    made = make_repository("study")
    made.commit(CODE)
    return made
