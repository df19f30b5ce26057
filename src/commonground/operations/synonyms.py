"""Other words for terms: synonyms of a discipline or a language, false friends, and what a word means to whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from commonground.errors import Conflict, InvalidInput, NotFound
from commonground.identity import Kind
from commonground.operations.plans import Plan, Reading
from commonground.operations.schema_things import SchemaThing, resolve_thing
from commonground.store.transaction import Transaction
from commonground.structure import tables, vocabularies
from commonground.structure.names import clean_name, name_key

FEWEST = 2


@dataclass(frozen=True, slots=True)
class Sense:
    """What a word means to somebody."""

    term: str
    """The term, with its vocabulary: texture.part-solid."""
    definition: str | None
    """What the term means."""
    how: str
    """name, synonym or false friend."""
    discipline: str | None
    """Whose word it is; None if everybody's."""
    language: str | None
    """The language it belongs to."""


@dataclass(frozen=True, slots=True)
class Senses:
    """All that a word means here."""

    word: str
    """The word."""
    senses: tuple[Sense, ...]
    """What it means, to whom."""
    warning: str | None
    """Said if it means different things to different people."""


def plan_synonym(
    on: Reading, *, what: str, words: Sequence[str], discipline: str | None = None, language: str | None = None
) -> Plan:
    """Add synonyms to a term, of a discipline or a language, or everybody's.

    Raises Conflict if a word stands for another term of the vocabulary: then it is a false friend.
    """
    one = _term(on, what)
    known = vocabularies.index_terms(on.view, one.holder or 0)
    friends = vocabularies.list_false_friends(on.view, one.holder or 0)
    clean = list(dict.fromkeys(clean_name(word, "synonym") for word in words))
    others = [word for word in clean if name_key(word) in friends or known.get(name_key(word), one.rid) != one.rid]
    if others:
        raise Conflict(
            f"{', '.join(map(repr, others))} stands for something else in this vocabulary.",
            todo="If it means different things to different disciplines, say so: `cg term false-friend`.",
        )
    fresh = [word for word in clean if name_key(word) not in known]
    rids = on.mint(1 + len(fresh))
    told = {"term": one.rid, "discipline": discipline, "language": language, "false_friend": 0}
    return Plan(
        id=rids[0],
        verb="term synonym",
        args={"adds": [{**told, "rid": rid, "text": word} for rid, word in zip(rids[1:], fresh, strict=True)]},
        at=on.view.change,
        anchors=(one.rid,),
        reads=(one.rid, one.holder or 0),
        effect={
            "adds": f"{', '.join(fresh)} for {one.full_name}",
            "there already": len(clean) - len(fresh),
            "discipline": discipline,
            "language": language,
        },
        nothing=not fresh,
    )


def apply_synonym(tx: Transaction, plan: Plan) -> None:
    """Write the words."""
    vocabularies.add_synonyms(tx, plan.args["adds"])


def plan_false_friend(on: Reading, *, word: str, means: Mapping[str, str]) -> Plan:
    """Mark a word as a false friend: `means` says for each discipline which term it stands for.

    Whoever writes the word from then on gets the term of their own discipline, and is warned; whoever belongs to none
    of them must write the term, unless the vocabulary has only one of these.
    Raises InvalidInput for fewer than two terms.
    """
    text = clean_name(word, "word")
    senses = {clean_name(discipline, "discipline"): _term(on, what) for discipline, what in means.items()}
    if len({one.rid for one in senses.values()}) < FEWEST:
        raise InvalidInput(
            f"{text!r} would mean one thing to everybody: that is a synonym.",
            todo="Name two disciplines with different terms; or add it as a synonym: `cg term synonym`.",
        )
    doubled = sorted({one.full_name for one in senses.values() if list(senses.values()).count(one) > 1})
    if doubled:
        raise InvalidInput(
            f"{', '.join(doubled)} is named for two disciplines.", todo="Name the one that it belongs to."
        )
    ends = [one.rid for one in vocabularies.list_synonyms(on.view, word=text)]
    rids = on.mint(1 + len(senses))
    rows = [
        {"rid": rid, "term": one.rid, "text": text, "discipline": discipline, "language": None, "false_friend": 1}
        for rid, (discipline, one) in zip(rids[1:], senses.items(), strict=True)
    ]
    terms = tuple(one.rid for one in senses.values())
    return Plan(
        id=rids[0],
        verb="term false-friend",
        args={"word": text, "ends": ends, "adds": rows},
        at=on.view.change,
        anchors=terms,
        reads=(*terms, *{one.holder or 0 for one in senses.values()}),
        effect={
            "marks": f"{text} as a false friend",
            "means": {discipline: one.full_name for discipline, one in senses.items()},
        },
    )


def apply_false_friend(tx: Transaction, plan: Plan) -> None:
    """Write what the word means to whom, in place of what was said of it before."""
    vocabularies.add_synonyms(tx, plan.args["adds"], plan.args["ends"])


def read_senses(on: Reading, *, word: str) -> Senses:
    """All that a word means, to whom; with a warning if that is not the same for all."""
    view = on.view
    table = tables.term
    said = vocabularies.list_synonyms(view, word=word)
    rows = {row.rid: row for row in view.list_rows(table, table.c.rid.in_([one.term for one in said]))}
    friends = {one.term for one in said if one.false_friend}
    called = view.list_rows(table, table.c.name_key == name_key(word))
    senses = [(row.rid, _sense(on, row, "name", None, None)) for row in called if row.rid not in friends]
    for one in said:
        how = "false friend" if one.false_friend else "synonym"
        senses.append((one.term, _sense(on, rows[one.term], how, one.discipline, one.language)))
    if not senses:
        raise NotFound(f"No term is called {word!r}.", todo="`cg find` searches names, definitions and parts of words.")
    told = [f"{sense.term} in {sense.discipline}" if sense.discipline else sense.term for _, sense in senses]
    differ = len({rid for rid, _ in senses}) > 1
    warning = f"{word!r} means different things: {', '.join(told)}." if differ else None
    return Senses(word, tuple(sense for _, sense in senses), warning)


def _sense(on: Reading, row: sa.Row[Any], how: str, discipline: str | None, language: str | None) -> Sense:
    table = tables.vocabulary
    of = on.view.list_rows(table, table.c.rid == row.vocabulary)[0].name
    return Sense(f"{of}.{row.name}", row.description, how, discipline, language)


def _term(on: Reading, what: str) -> SchemaThing:
    one = resolve_thing(on.view, what)
    if one.kind != Kind.TERM:
        raise InvalidInput(f"{what} is a {one.kind}, not a term.", todo="Name it as vocabulary.term: texture.solid.")
    return one
