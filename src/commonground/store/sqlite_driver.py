"""The only module that opens an SQLite file.

Two SQLite libraries in one process lose each other's locks, so everything else asks here. Versions before 3.51.3
(but for the fixed 3.44.6 and 3.50.7 lines, and without the withdrawn 3.52.0) can lose commits when the write-ahead
log is reset under two connections (https://sqlite.org/changes.html, 3.51.3), and are refused.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from sqlalchemy.engine.interfaces import DBAPIConnection

from commonground.errors import UnsafeEngine, UnsafePlace

FIXED_SINCE = (3, 51, 3)
FIXED_LINES = ((3, 44, 6), (3, 50, 7))
WITHDRAWN = (3, 52, 0)
PRAGMAS = (
    "PRAGMA busy_timeout=30000",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA cache_size=-65536",
    "PRAGMA mmap_size=0",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA secure_delete=ON",
)


def is_safe(version: tuple[int, int, int]) -> bool:
    """Whether this SQLite version has the fix for the write-ahead-log reset."""
    if version == WITHDRAWN:
        return False
    return version >= FIXED_SINCE or any(version[:2] == line[:2] and version >= line for line in FIXED_LINES)


def check_version(version: tuple[int, int, int]) -> None:
    """Raise UnsafeEngine if this SQLite version can lose commits."""
    if not is_safe(version):
        raise UnsafeEngine(
            f"SQLite {'.'.join(map(str, version))} can lose saved work when two programs use one study.",
            todo="Install the package pysqlite3 (0.6.1 or newer), or a Python with SQLite 3.51.3 or newer.",
        )


def load_driver() -> ModuleType:
    """The module that speaks SQLite in this process: the standard library's if it is safe, else pysqlite3."""
    # By name, because which of the two is imported depends on what this machine has, and never both may be used.
    newest: tuple[int, int, int] | None = None
    for name in ("sqlite3", "pysqlite3"):
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        if is_safe(module.sqlite_version_info):
            return _prepared(module)
        newest = module.sqlite_version_info
    if newest is not None:
        check_version(newest)
    raise UnsafeEngine("There is no SQLite on this machine.", todo="Install the package pysqlite3.")


def _prepared(module: ModuleType) -> ModuleType:
    # Without an adapter the driver looks one up, and fails, for each None, bool and bytes: 3 to 5 times slower.
    module.register_adapter(type(None), lambda value: value)
    module.register_adapter(bool, int)
    module.register_adapter(bytes, memoryview)
    return module


def configure(connection: DBAPIConnection) -> None:
    """Set durability, locking and cache for a new connection."""
    connection.isolation_level = None
    for pragma in PRAGMAS:
        connection.execute(pragma)
    (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        raise UnsafePlace(
            f"The disk of this folder cannot hold a write-ahead log (SQLite chose `{mode}`).",
            todo="Move the study to a local disk, or keep it on PostgreSQL.",
        )
