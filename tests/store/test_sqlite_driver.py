"""SQLite versions that can lose commits are refused, and one module only opens the file."""

from __future__ import annotations

import pytest

from commonground.errors import UnsafeEngine, UnsafePlace
from commonground.store import sqlite_driver


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ((3, 7, 0), False),
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 44, 9), True),
        ((3, 45, 3), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 52, 0), False),
        ((3, 52, 1), True),
        ((3, 53, 4), True),
        ((4, 0, 0), True),
    ],
)
def test_the_versions_that_lose_commits_are_known(version, safe):
    """Only releases with the repaired write-ahead log are taken, back-ports included, the withdrawn one not."""
    assert sqlite_driver.is_safe(version) is safe
    if not safe:
        with pytest.raises(UnsafeEngine) as caught:
            sqlite_driver.check_version(version)
        assert "pysqlite3" in caught.value.todo


def test_the_driver_of_this_machine_is_safe():
    """The module chosen here links a repaired SQLite."""
    assert sqlite_driver.is_safe(sqlite_driver.load_driver().sqlite_version_info)


def test_no_safe_driver_is_an_error(monkeypatch):
    """When every module at hand links an old SQLite, or none is there, the error names the remedy."""
    old = type("Old", (), {"sqlite_version_info": (3, 40, 1)})
    monkeypatch.setattr(sqlite_driver.importlib, "import_module", lambda _: old)
    with pytest.raises(UnsafeEngine, match=r"3\.40\.1"):
        sqlite_driver.load_driver()

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(sqlite_driver.importlib, "import_module", missing)
    with pytest.raises(UnsafeEngine, match="no SQLite"):
        sqlite_driver.load_driver()


def test_a_place_without_write_ahead_log_is_refused():
    """A database that cannot be put into write-ahead-log mode (here: one in memory) is refused."""
    with pytest.raises(UnsafePlace, match="write-ahead"):
        sqlite_driver.configure(sqlite_driver.load_driver().connect(":memory:"))
