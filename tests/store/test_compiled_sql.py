"""A statement is compiled once in a process, whichever engine runs it, and for no database that reads another SQL."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine.default import CacheStats

from commonground.operations.session import Session
from commonground.operations.studies import open_study
from commonground.store.compiled_sql import SharedSqlite
from commonground.store.postgres_dialect import SharedPostgres


def how_found(connection: sa.Connection, name: str) -> CacheStats:
    """Whether the SQL of a statement that nobody else runs was there."""
    found: CacheStats = connection.execute(sa.select(sa.literal(1).label(name))).context.cache_hit
    return found


def test_what_one_engine_compiled_serves_the_others(session: Session) -> None:
    """Writers, and the same study opened again, find what a reader compiled; another statement is compiled."""
    database = session.ground.database
    name = f"once_{database.dialect}"
    with database.read() as connection:
        assert how_found(connection, name) is CacheStats.CACHE_MISS
    with database.write() as connection:
        assert how_found(connection, name) is CacheStats.CACHE_HIT
        assert how_found(connection, f"{name}_more") is CacheStats.CACHE_MISS
    again = open_study(session.ground.folder)
    with again.ground.database.read() as connection:
        assert how_found(connection, name) is CacheStats.CACHE_HIT
    again.ground.close()


def test_servers_that_differ_share_nothing() -> None:
    """Dialects count as one only if kind, server version and the reading of backslashes are the same."""
    one, other = SharedPostgres(), SharedPostgres()
    one.server_version_info = other.server_version_info = (16, 2)
    assert one == other
    assert hash(one) == hash(other)
    other.server_version_info = (15, 9)
    assert one != other
    other.server_version_info, other._backslash_escapes = (16, 2), not one._backslash_escapes
    assert one != other
    assert SharedSqlite() == SharedSqlite()
    assert SharedSqlite() != one
