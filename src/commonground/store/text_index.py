"""Search over names and descriptions: stemmed words, and trigrams for parts of names and other languages.

Texts and queries are folded alike before they reach an engine: no case, no accents, compatible letters.

FTS5 on SQLite, tsvector and pg_trgm on PostgreSQL. A working table: it may speed up, never decide, and can be rebuilt.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from commonground.identity import Rid

RANK_DAMPING = 60
TRIGRAM = 3
"""Parts of words are looked up by so many characters; what is shorter has none."""
_SQLITE = (
    "CREATE VIRTUAL TABLE text_stem USING fts5(title, body, kind UNINDEXED, tokenize='porter unicode61')",
    "CREATE VIRTUAL TABLE text_part USING fts5(title, body, kind UNINDEXED, tokenize='trigram')",
    "INSERT INTO text_stem(text_stem, rank) VALUES('secure-delete', 1)",
    "INSERT INTO text_part(text_part, rank) VALUES('secure-delete', 1)",
)
_POSTGRES = (
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    (
        "CREATE TABLE text_doc (rid BIGINT PRIMARY KEY, kind TEXT NOT NULL, title TEXT NOT NULL, body TEXT NOT NULL,"
        " words tsvector GENERATED ALWAYS AS (setweight(to_tsvector('english', title), 'A')"
        " || setweight(to_tsvector('english', body), 'B')) STORED)"
    ),
    "CREATE INDEX ix_text_doc_words ON text_doc USING gin (words)",
    "CREATE INDEX ix_text_doc_part ON text_doc USING gin ((title || ' ' || body) gin_trgm_ops)",
)


@dataclass(frozen=True, slots=True)
class Document:
    """What the index keeps of one thing."""

    rid: Rid
    """The thing."""
    kind: str
    """Its kind, for narrowing a search."""
    title: str
    """Its name."""
    body: str
    """Its description and synonyms."""


def fold(text: str) -> str:
    """The text without case and accents, in compatible letters."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in plain if not unicodedata.combining(character))


def create(connection: sa.Connection) -> None:
    """Make the index tables in a new study."""
    for statement in _SQLITE if connection.dialect.name == "sqlite" else _POSTGRES:
        connection.exec_driver_sql(statement)


def put(connection: sa.Connection, documents: Iterable[Document], *, new: bool = False) -> None:
    """Add or replace documents; `new` says that none of them can be there, so that nothing is looked for."""
    entries = [(one.rid, fold(one.title), fold(one.body), str(one.kind)) for one in documents]
    if not entries:
        return
    if not new:
        remove(connection, [rid for rid, *_ in entries])
    if connection.dialect.name == "sqlite":
        # Straight to the driver, as bulk rows go: every run writes its name.
        driver: Any = connection.connection.driver_connection
        for table in ("text_stem", "text_part"):
            driver.executemany(f"INSERT INTO {table}(rowid, title, body, kind) VALUES (?, ?, ?, ?)", entries)
    else:
        connection.exec_driver_sql("INSERT INTO text_doc(rid, title, body, kind) VALUES (%s, %s, %s, %s)", entries)


def remove(connection: sa.Connection, rids: Sequence[Rid]) -> None:
    """Take documents out, leaving no trace of their text."""
    rows = [{"rid": rid} for rid in rids]
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        for table in ("text_stem", "text_part"):
            connection.execute(sa.text(f"DELETE FROM {table} WHERE rowid = :rid"), rows)
    else:
        connection.execute(sa.text("DELETE FROM text_doc WHERE rid = :rid"), rows)


def dump(connection: sa.Connection) -> Iterator[tuple[Rid, str, str, str]]:
    """Every document as it was folded: rid, kind, title, body; by rid."""
    source = (
        "rowid AS rid, kind, title, body FROM text_stem" if connection.dialect.name == "sqlite" else "* FROM text_doc"
    )
    for row in connection.execute(sa.text(f"SELECT {source} ORDER BY rid")):
        yield row.rid, row.kind, row.title, row.body


def search(connection: sa.Connection, query: str, *, kind: str | None = None, limit: int = 20) -> list[Rid]:
    """Rids whose title or body match the query's words or their parts, best first.

    Both lists are joined by reciprocal rank fusion (Cormack, Clarke, Buettcher 2009) with the usual constant 60.
    """
    words = [word for word in "".join(c if c.isalnum() else " " for c in fold(query)).split() if word]
    if not words:
        return []
    lists = _search_sqlite if connection.dialect.name == "sqlite" else _search_postgres
    scores: dict[Rid, float] = {}
    for found in lists(connection, words, kind, limit):
        for position, rid in enumerate(found):
            scores[rid] = scores.get(rid, 0.0) + 1.0 / (RANK_DAMPING + position + 1)
    return sorted(scores, key=lambda rid: (-scores[rid], rid))[:limit]


def _search_sqlite(connection: sa.Connection, words: list[str], kind: str | None, limit: int) -> list[list[Rid]]:
    found = []
    for table, terms in (("text_stem", words), ("text_part", [word for word in words if len(word) >= TRIGRAM])):
        if not terms:
            continue
        match = " OR ".join(f'"{term}"' for term in terms)
        statement = sa.text(
            f"SELECT rowid FROM {table} WHERE {table} MATCH :match AND (:kind IS NULL OR kind = :kind)"
            f" ORDER BY bm25({table}, 4.0, 1.0), rowid LIMIT :limit"
        )
        rows = connection.execute(statement, {"match": match, "kind": kind, "limit": limit})
        found.append([row.rowid for row in rows])
    return found


def _search_postgres(connection: sa.Connection, words: list[str], kind: str | None, limit: int) -> list[list[Rid]]:
    narrow = "" if kind is None else " AND kind = :kind"
    values = {"words": " OR ".join(words), "part": " ".join(words), "kind": kind, "limit": limit}
    stem = sa.text(
        "SELECT rid FROM text_doc, websearch_to_tsquery('english', :words) AS query"
        f" WHERE words @@ query{narrow} ORDER BY ts_rank(words, query) DESC, rid LIMIT :limit"
    )
    part = sa.text(
        "SELECT rid FROM text_doc WHERE (title || ' ' || body) ILIKE ANY (:patterns)"
        f"{narrow} ORDER BY 4 * word_similarity(:part, title) + word_similarity(:part, body) DESC, rid LIMIT :limit"
    )
    patterns = ["%" + word + "%" for word in words if len(word) >= TRIGRAM]
    lists = [[row.rid for row in connection.execute(stem, values)]]
    if patterns:
        lists.append([row.rid for row in connection.execute(part, {**values, "patterns": patterns})])
    return lists
