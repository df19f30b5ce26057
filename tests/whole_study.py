"""The whole of a study as tests compare it: every row of every table, and every file beside the database."""

from __future__ import annotations

import hashlib

import sqlalchemy as sa

from commonground.operations.session import Session

DATABASE = "catalogue.sqlite"


def state_of(session: Session) -> dict[str, str]:
    """What each table and each file holds: for a table a digest of all its rows in their order, for a file its bytes'.

    The tables of the index are among them, and those that no change is recorded of.
    """
    with session.ground.view() as view:
        connection = view.connection
        tables = sa.inspect(connection).get_table_names()
        found = {name: _rows(connection, name) for name in tables}
    folder = session.ground.folder
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith(DATABASE):
            found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _rows(connection: sa.Connection, table: str) -> str:
    name = connection.dialect.identifier_preparer.quote(table)
    rows = sorted(repr(tuple(row)) for row in connection.exec_driver_sql(f"SELECT * FROM {name}"))
    return f"{len(rows)} rows {hashlib.sha256(chr(10).join(rows).encode('utf-8', 'backslashreplace')).hexdigest()}"
