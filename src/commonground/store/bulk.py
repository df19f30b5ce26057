"""Rows into a table, many at a time, by each engine's fastest safe way: long INSERTs on SQLite, COPY on PostgreSQL.

Numbers go to PostgreSQL in its binary form of COPY (https://www.postgresql.org/docs/current/sql-copy.html): a row is
the number of its columns (2 bytes), then of each column the length (4 bytes; -1 for null) and the bytes, big endian.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from commonground.late import np
from commonground.store.faults import point

COPY_FROM = 50
TOGETHER = 50
"""So many rows go to SQLite in one statement: it costs a third less than a statement for each."""
_BEGIN = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
_NULL = -1
_WIDTH = 8


@dataclass(frozen=True, slots=True)
class Cells:
    """One column of rows to insert."""

    values: np.ndarray[Any, Any] | Sequence[Any]
    """int64 or float64, or a list of anything else with None for null."""
    missing: np.ndarray[Any, np.dtype[np.bool_]] | None = None
    """Where an array is null; what stands there means nothing."""

    def as_list(self) -> Sequence[Any]:
        """The values as Python has them."""
        if not isinstance(self.values, np.ndarray):
            return self.values
        values: list[Any] = self.values.tolist()
        if self.missing is None:
            return values
        return [None if gone else value for value, gone in zip(values, self.missing.tolist(), strict=True)]


def insert_cells(
    connection: sa.Connection,
    table: sa.Table,
    cells: Mapping[str, Cells],
    constants: Sequence[tuple[str, int | None]] = (),
) -> None:
    """Insert columns of equal length; `constants` as in `insert_rows`."""
    rows = len(next(iter(cells.values())).values)
    arrays = all(isinstance(one.values, np.ndarray) for one in cells.values())
    if connection.dialect.name == "sqlite" and rows >= TOGETHER:
        _insert_together(connection, table, cells, rows, constants)
        return
    if not arrays or rows < COPY_FROM:
        tuples = list(zip(*(one.as_list() for one in cells.values()), strict=True))
        insert_rows(connection, table, list(cells), tuples, constants)
        return
    columns = (*cells, *(name for name, _ in constants))
    statement = f"COPY {_target(table, columns, connection.dialect)} FROM STDIN (FORMAT BINARY)"
    point("database.write")
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(statement.replace("%%", "%")) as copy:
        copy.write(_BEGIN + _binary(list(cells.values()), [value for _, value in constants], rows) + _END)


def _insert_together(
    connection: sa.Connection,
    table: sa.Table,
    cells: Mapping[str, Cells],
    rows: int,
    constants: Sequence[tuple[str, int | None]],
) -> None:
    """Insert columns into SQLite, many rows in one statement."""
    point("database.write")
    block = np.empty((rows, len(cells)), dtype=object)
    for place, one in enumerate(cells.values()):
        block[:, place] = one.values
        if one.missing is not None:
            block[one.missing, place] = None
    columns = (*cells, *(name for name, _ in constants))
    row = ", ".join([*"?" * len(cells), *_literals([value for _, value in constants])])
    driver: Any = connection.connection.driver_connection
    last = rows - rows % TOGETHER
    for part, together in ((block[:last], TOGETHER), (block[last:], 1)):
        statement = (
            f"INSERT INTO {_target(table, columns, connection.dialect)} VALUES {', '.join([f'({row})'] * together)}"
        )
        driver.executemany(statement, part.reshape(-1, len(cells) * together).tolist())


def _literals(values: Sequence[int | None]) -> list[str]:
    return ["NULL" if value is None else str(int(value)) for value in values]


def _binary(cells: Sequence[Cells], constants: Sequence[int | None], rows: int) -> bytes:
    """The rows in the binary form of COPY."""
    columns = [*cells, *(Cells(np.full(rows, value or 0), np.full(rows, value is None)) for value in constants)]
    kinds = [np.asarray(one.values).dtype.kind for one in columns]
    shape: list[tuple[str, str]] = [("count", ">i2")]
    for place, kind in enumerate(kinds):
        shape += [(f"length {place}", ">i4"), (f"value {place}", f">{kind}{_WIDTH}")]
    block = np.empty(rows, np.dtype(shape))
    block["count"] = len(columns)
    keep = np.ones((rows, block.itemsize), np.bool_)
    fields: Mapping[str, Any] = block.dtype.fields or {}
    for place, one in enumerate(columns):
        block[f"value {place}"] = one.values
        block[f"length {place}"] = _WIDTH
        if one.missing is not None:
            block[f"length {place}"][one.missing] = _NULL
            at = fields[f"value {place}"][1]
            keep[:, at : at + _WIDTH] = ~one.missing[:, None]
    whole = block.view(np.uint8).reshape(rows, block.itemsize)
    return (whole if keep.all() else whole[keep]).tobytes()


def insert_rows(
    connection: sa.Connection,
    table: sa.Table,
    names: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
    constants: Sequence[tuple[str, int | None]] = (),
) -> None:
    """Insert tuples in the order of `names`; `constants` are integer columns with one value for all rows.

    For many rows constants stand in the statement, so that they are not bound for each row; for few they are bound, so
    that the statement is one that the database has prepared before.
    """
    if not rows:
        return
    point("database.write")
    values = tuple(value for _, value in constants)
    columns = (*names, *(name for name, _ in constants))
    dialect = connection.dialect
    if dialect.name == "sqlite":
        # Straight to the driver: on top of it a statement costs as much again.
        driver: Any = connection.connection.driver_connection
        if len(rows) < COPY_FROM:
            driver.executemany(_inserting(table, columns, dialect), [(*row, *values) for row in rows])
        else:
            marks = ", ".join([*"?" * len(names), *_literals(values)])
            driver.executemany(f"INSERT INTO {_target(table, columns, dialect)} VALUES ({marks})", rows)
    elif len(rows) < COPY_FROM:
        connection.exec_driver_sql(_inserting(table, columns, dialect), [(*row, *values) for row in rows])
    else:
        _copy(connection, f"COPY {_target(table, columns, connection.dialect)} FROM STDIN", rows, values)


@functools.lru_cache(maxsize=1024)
def _inserting(table: sa.Table, columns: tuple[str, ...], dialect: sa.Dialect) -> str:
    """The statement that inserts one row, all of it bound."""
    mark = "?" if dialect.name == "sqlite" else "%s"
    return f"INSERT INTO {_target(table, columns, dialect)} VALUES ({', '.join([mark] * len(columns))})"


def _target(table: sa.Table, columns: Sequence[str], dialect: sa.Dialect) -> str:
    quote = dialect.identifier_preparer.quote
    return f"{quote(table.name)} ({', '.join(map(quote, columns))})"


def _copy(
    connection: sa.Connection,
    statement: str,
    rows: Iterable[tuple[Any, ...]],
    constants: tuple[int | None, ...],
) -> None:
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(statement.replace("%%", "%")) as copy:
        for row in rows:
            copy.write_row((*row, *constants))
