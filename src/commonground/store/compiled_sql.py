"""Compiled SQL that all engines of a process share: to compile a statement often costs more than to run it.

SQLAlchemy keeps what it compiled with each engine, and under the dialect object of that engine. A study has engines for
readers, writers and drafts, and a process may open many studies: here one store serves them all, and dialects that
compile alike count as equal.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.util import LRUCache

STATEMENTS = 1_000
SQLITE = "sqlite+shared"
POSTGRES = "postgresql+shared"

registry.register("sqlite.shared", __name__, "SharedSqlite")
# In a file of its own: to load what it needs takes 40 ms.
registry.register("postgresql.shared", "commonground.store.postgres_dialect", "SharedPostgres")

_compiled: LRUCache[object, object] = LRUCache(STATEMENTS)


class SharedSqlite(SQLiteDialect_pysqlite):
    """SQLite through the one driver that is used: any two of these compile alike."""

    supports_statement_cache = True

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __hash__(self) -> int:
        return hash(type(self))


def share(engine: sa.Engine) -> sa.Engine:
    """The engine, with its compiled statements kept for all."""
    engine.update_execution_options(compiled_cache=_compiled)
    return engine
