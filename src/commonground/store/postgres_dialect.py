"""PostgreSQL through psycopg, with compiled statements that all connections to servers of one version share."""

from __future__ import annotations

from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg


class SharedPostgres(PGDialect_psycopg):
    """Two of these compile alike if their servers are of one version and read backslashes alike."""

    supports_statement_cache = True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SharedPostgres) and other._compiles_for() == self._compiles_for()

    def __hash__(self) -> int:
        return hash(type(self))

    def _compiles_for(self) -> tuple[object, ...]:
        # Neither is known before the first connection, and until then nothing is compiled.
        return self.server_version_info, self._backslash_escapes
