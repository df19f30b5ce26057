"""Rows into a table, many at a time, by each engine's fastest safe way: executemany on SQLite, COPY on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

COPY_FROM = 50


def insert_rows(
    connection: sa.Connection,
    table: sa.Table,
    names: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
    constants: Sequence[tuple[str, int | None]] = (),
) -> None:
    """Insert tuples in the order of `names`; `constants` are integer columns with one value for all rows.

    Constants stand in the statement as literals, so that they are not bound once for each row.
    """
    if not rows:
        return
    quote = connection.dialect.identifier_preparer.quote
    target = quote(table.name)
    columns = ", ".join(quote(name) for name in [*names, *(name for name, _ in constants)])
    literals = ["NULL" if value is None else str(int(value)) for _, value in constants]
    if connection.dialect.name == "sqlite":
        marks = ", ".join(["?"] * len(names) + literals)
        connection.exec_driver_sql(f"INSERT INTO {target} ({columns}) VALUES ({marks})", list(rows))
    elif len(rows) < COPY_FROM:
        marks = ", ".join(["%s"] * len(names) + literals)
        connection.exec_driver_sql(f"INSERT INTO {target} ({columns}) VALUES ({marks})", list(rows))
    else:
        _copy(connection, f"COPY {target} ({columns}) FROM STDIN", rows, tuple(value for _, value in constants))


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
