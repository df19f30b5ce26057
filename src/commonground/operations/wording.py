"""What a word means to whoever writes it: synonyms, and false friends, which are said whenever one is met."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from commonground.identity import Rid
from commonground.operations.plans import Reading
from commonground.store.view import View
from commonground.structure import people, tables, vocabularies
from commonground.structure.column_types import Holds
from commonground.structure.entities import EntityType
from commonground.structure.names import name_key
from commonground.structure.vocabularies import Synonym


def index_words(on: Reading, vocabulary: Rid) -> dict[str, Rid]:
    """Every word that stands for a term of a vocabulary to whoever plans this."""
    return vocabularies.index_terms(on.view, vocabulary, _discipline(on))


def explain_word(on: Reading, vocabulary: Rid, word: str) -> str:
    """Why a word is not taken."""
    senses = vocabularies.list_false_friends(on.view, vocabulary).get(name_key(word))
    if senses:
        return f"is a false friend: {_tell(on.view, senses)}. Write the term"
    return "is not in the vocabulary"


def note_words(on: Reading, vocabulary: Rid, values: Iterable[Any]) -> list[str]:
    """A warning for each false friend among given words that was taken for a term."""
    friends = vocabularies.list_false_friends(on.view, vocabulary)
    if not friends:
        return []
    words = index_words(on, vocabulary)
    names = {term.rid: term.name for term in vocabularies.list_terms(on.view, vocabulary)}
    notes: dict[str, None] = {}
    for word in dict.fromkeys(str(value) for value in values if value is not None):
        senses = friends.get(name_key(word))
        if senses and name_key(word) in words:
            taken = names[words[name_key(word)]]
            notes[f"{word!r} was taken for {taken}; it is a false friend: {_tell(on.view, senses)}."] = None
    return list(notes)


def note_columns(on: Reading, kind: EntityType, columns: Mapping[str, Sequence[Any]]) -> list[str]:
    """A warning for each false friend in the columns of terms that are given."""
    notes = []
    for name, values in columns.items():
        column = kind.find_column(name)
        if column is not None and column.holds is Holds.TERM:
            notes += note_words(on, column.target or 0, values)
    return notes


def name_others(view: View, one: Synonym) -> str:
    """What a false friend means to others."""
    senses = vocabularies.list_synonyms(view, word=one.text)
    return _tell(view, [sense for sense in senses if sense.false_friend and sense.term != one.term])


def _tell(view: View, senses: Sequence[Synonym]) -> str:
    table = tables.term
    names = {row.rid: row.name for row in view.list_rows(table, table.c.rid.in_([sense.term for sense in senses]))}
    return ", ".join(f"{names.get(sense.term, 'a term')} in {sense.discipline}" for sense in senses)


def _discipline(on: Reading) -> str | None:
    if on.actor.person is None:
        return None
    return next((one.discipline for one in people.list_people(on.view) if one.rid == on.actor.person), None)
