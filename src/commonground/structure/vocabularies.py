"""Vocabularies: words that a study shares, with definitions and synonyms.

A term has a position; in an ordered vocabulary the positions are a scale. A synonym belongs to a discipline or a
language, or is marked a false friend: the same word, elsewhere, for something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from commonground.errors import NotFound
from commonground.identity import Kind, Rid
from commonground.store.portions import portions
from commonground.store.text_index import Document, put
from commonground.store.transaction import Transaction
from commonground.store.view import View
from commonground.structure.former_names import find_named_rows, list_former_names
from commonground.structure.names import name_key
from commonground.structure.tables import synonym, term, vocabulary


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A list of words that mean the same to everybody here."""

    rid: Rid
    """Permanent id."""
    name: str
    """Its name."""
    description: str | None
    """What the words are for."""
    ordered: bool
    """Whether the terms are steps of a scale."""


@dataclass(frozen=True, slots=True)
class Term:
    """One word of a vocabulary."""

    rid: Rid
    """Permanent id."""
    vocabulary: Rid
    """The vocabulary it belongs to."""
    name: str
    """The word."""
    definition: str | None
    """What it means here."""
    position: int
    """Its place in the list, from 1."""
    outside_id: str | None
    """What other catalogues call it, such as a SNOMED code."""


@dataclass(frozen=True, slots=True)
class Synonym:
    """Another word for a term."""

    rid: Rid
    """Permanent id."""
    term: Rid
    """The term."""
    text: str
    """The word."""
    discipline: str | None
    """Whose word it is; None if everybody's."""
    language: str | None
    """The language it belongs to; None if that does not matter."""
    false_friend: bool
    """Whether it means another term to others."""


def get_vocabulary(view: View, name: str) -> Vocabulary:
    """One vocabulary by name, or by one it had before; raises NotFound."""
    rows = find_named_rows(view, vocabulary, name)
    if not rows:
        raise NotFound(f"There is no vocabulary {name!r}.", todo="`cg vocabulary list` names them.")
    return _vocabulary(rows[0])


def list_vocabularies(view: View) -> list[Vocabulary]:
    """All vocabularies."""
    return [_vocabulary(row) for row in view.list_rows(vocabulary)]


def list_terms(view: View, of: Rid) -> list[Term]:
    """The terms of a vocabulary, by position."""
    rows = view.list_rows(term, term.c.vocabulary == of)
    return [_term(row) for row in sorted(rows, key=lambda row: (row.position, row.rid))]


def find_terms(view: View, word: str) -> list[Term]:
    """All terms, in any vocabulary, with this name or this synonym; false friends are not among them."""
    key = name_key(word)
    named = sa.select(synonym.c.term).where(
        view.visible(synonym), synonym.c.text_key == key, synonym.c.false_friend == 0
    )
    return [_term(row) for row in view.list_rows(term, sa.or_(term.c.name_key == key, term.c.rid.in_(named)))]


def list_synonyms(view: View, *, word: str | None = None, terms: Sequence[Rid] | None = None) -> list[Synonym]:
    """Synonyms and false friends, of these terms, or with this word."""
    conditions = [] if word is None else [synonym.c.text_key == name_key(word)]
    if terms is not None:
        conditions.append(synonym.c.term.in_(list(terms)))
    return [
        Synonym(row.rid, row.term, row.text, row.discipline, row.language, bool(row.false_friend))
        for row in view.list_rows(synonym, *conditions)
    ]


def list_false_friends(view: View, of: Rid) -> dict[str, list[Synonym]]:
    """The words of a vocabulary that mean different terms to different disciplines, with all that they mean."""
    inside = sa.select(term.c.rid).where(view.visible(term), term.c.vocabulary == of)
    words = sa.select(synonym.c.text_key).where(
        view.visible(synonym), synonym.c.false_friend == 1, synonym.c.term.in_(inside)
    )
    found: dict[str, list[Synonym]] = {}
    for row in view.list_rows(synonym, synonym.c.false_friend == 1, synonym.c.text_key.in_(words)):
        told = Synonym(row.rid, row.term, row.text, row.discipline, row.language, false_friend=True)
        found.setdefault(row.text_key, []).append(told)
    return found


def index_terms(view: View, of: Rid, discipline: str | None = None) -> dict[str, Rid]:
    """Every word that stands for a term of a vocabulary, in the form in which twins are the same.

    A term's name goes before a synonym, and a synonym before a name that a term had before. A false friend stands for
    what it means to the discipline; to nobody's, only if it means one term here.
    """
    words = {name_key(one.name): one.rid for one in list_terms(view, of)}
    rows = view.rows(
        sa.select(synonym.c.text_key, synonym.c.term)
        .join(term, term.c.rid == synonym.c.term)
        .where(view.visible(synonym), view.visible(term), term.c.vocabulary == of, synonym.c.false_friend == 0)
    )
    for row in rows:
        words.setdefault(row.text_key, row.term)
    for rid, names in list_former_names(view, term, term.c.vocabulary == of).items():
        for name in names:
            words.setdefault(name_key(name), rid)
    here = set(words.values())
    for key, senses in list_false_friends(view, of).items():
        inside = [sense for sense in senses if sense.term in here]
        mine = [sense for sense in inside if discipline and name_key(sense.discipline or "") == name_key(discipline)]
        leads = mine or inside
        if len(leads) == 1:
            words.setdefault(key, leads[0].term)
    return words


def add_vocabulary(tx: Transaction, fields: dict[str, Any]) -> None:
    """A new vocabulary."""
    tx.register(Kind.VOCABULARY, [fields["rid"]])
    tx.insert(vocabulary, [{**fields, "name_key": name_key(fields["name"])}])
    put(tx.connection, [Document(fields["rid"], Kind.VOCABULARY, fields["name"], fields.get("description") or "")])


def add_terms(tx: Transaction, terms: Sequence[dict[str, Any]], synonyms: Sequence[dict[str, Any]] = ()) -> None:
    """New terms and synonyms."""
    if terms:
        tx.register(Kind.TERM, [one["rid"] for one in terms])
        tx.insert(term, [{**one, "name_key": name_key(one["name"])} for one in terms])
    tx.insert(synonym, [{**one, "text_key": name_key(one["text"])} for one in synonyms])
    index_words(tx, [one["rid"] for one in terms])


def add_synonyms(tx: Transaction, rows: Sequence[dict[str, Any]], ends: Sequence[Rid] = ()) -> None:
    """More words for terms, in place of those that end."""
    tx.end(synonym, ends)
    tx.insert(synonym, [{**one, "text_key": name_key(one["text"])} for one in rows])
    index_words(tx, sorted({one["term"] for one in rows}))


def index_words(tx: Transaction, terms: Sequence[Rid]) -> None:
    """Make terms findable by their names, of now and before, their definitions and their synonyms."""
    said: dict[Rid, dict[str, None]] = {}
    named: dict[Rid, str] = {}
    for part in portions(terms):
        rows = sa.select(term).where(term.c.rid.in_(part)).order_by(term.c.since)
        for row in tx.connection.execute(rows):
            said.setdefault(row.rid, {})[row.name] = None
            if row.until is None:
                named[row.rid] = row.name
                said[row.rid][row.description or ""] = None
        words = sa.select(synonym.c.term, synonym.c.text).where(synonym.c.term.in_(part), synonym.c.until.is_(None))
        for row in tx.connection.execute(words.order_by(synonym.c.rid)):
            said.setdefault(row.term, {})[row.text] = None
    put(
        tx.connection,
        [Document(rid, Kind.TERM, name, " ".join(w for w in said[rid] if w != name)) for rid, name in named.items()],
    )


def _vocabulary(row: sa.Row[Any]) -> Vocabulary:
    return Vocabulary(row.rid, row.name, row.description, bool(row.ordered))


def _term(row: sa.Row[Any]) -> Term:
    return Term(row.rid, row.vocabulary, row.name, row.description, row.position, row.outside_id)
