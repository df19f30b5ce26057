"""What the machine can do at all: copying and hashing, one-row commits, inserts without an index, plain fetches."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

from commonground.store import sqlite_driver

COLUMNS = "batch, ordinal, entity, value, rater, at, reason, adjudicated"


def copy_and_hash(source: Path, target: Path) -> float:
    """Seconds to read, hash and copy every file of a folder, with one sync at the end."""
    started = time.perf_counter()
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            content = path.read_bytes()
            hashlib.sha256(content).hexdigest()
            place.write_bytes(content)
    os.sync()
    return time.perf_counter() - started


def open_sqlite(path: Path) -> Any:  # noqa: ANN401 - the driver is chosen at run time
    """A database of its own, opened as the study's is: WAL, a sync for each commit."""
    connection = sqlite_driver.load_driver().connect(str(path), isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def probe_commits(folder: Path, seconds: float = 1.0) -> float:
    """One-row commits a second, with nothing on top."""
    connection = open_sqlite(folder / "probe.sqlite")
    connection.execute("CREATE TABLE t(a INTEGER)")
    done, until = 0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        connection.execute("INSERT INTO t VALUES (1)")
        done += 1
    connection.close()
    return done / seconds


def insert_sqlite(path: Path, rows: Sequence[tuple[Any, ...]]) -> tuple[float, float]:
    """Wall and CPU seconds of inserting rows without an index, in one transaction, tuples ready made."""
    connection = open_sqlite(path)
    connection.execute(f"CREATE TABLE v({', '.join(name.strip() + ' INTEGER' for name in COLUMNS.split(','))})")
    started, begun = time.perf_counter(), time.process_time()
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(f"INSERT INTO v VALUES ({', '.join('?' * 8)})", rows)
    connection.execute("COMMIT")
    taken = time.perf_counter() - started, time.process_time() - begun
    connection.close()
    return taken


def insert_postgres(url: str, rows: Sequence[tuple[Any, ...]]) -> tuple[float, float]:
    """Wall and CPU seconds (of this side) of copying rows into a table without an index, in one transaction."""
    with psycopg.connect(url) as connection:
        connection.execute(
            f"CREATE TABLE bench_v({', '.join(name.strip() + ' BIGINT' for name in COLUMNS.split(','))})"
        )
        connection.commit()
        started, begun = time.perf_counter(), time.process_time()
        with connection.cursor().copy("COPY bench_v FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        connection.commit()
        taken = time.perf_counter() - started, time.process_time() - begun
        connection.execute("DROP TABLE bench_v")
    return taken
