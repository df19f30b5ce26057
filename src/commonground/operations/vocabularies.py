"""Declaring vocabularies and their terms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commonground.errors import Conflict, InvalidInput
from commonground.operations.plans import Plan, Reading
from commonground.store.transaction import Transaction
from commonground.structure import tables, vocabularies
from commonground.structure.former_names import refuse_taken
from commonground.structure.names import clean_name, name_key
from commonground.structure.screen_told import screen_words


def plan_vocabulary(
    on: Reading,
    *,
    name: str,
    terms: Sequence[str | dict[str, Any]] = (),
    description: str | None = None,
    ordered: bool = False,
) -> Plan:
    """Make a vocabulary; a term is a word, or {"name", "definition", "outside_id", "synonyms": [words]}."""
    clean = clean_name(name)
    if any(name_key(one.name) == name_key(clean) for one in vocabularies.list_vocabularies(on.view)):
        raise Conflict(f"There is a vocabulary {clean!r} already.", todo="Add terms to it: `cg term add`.")
    refuse_taken(on.view, tables.vocabulary, clean, "vocabulary")
    (rid, plan_id) = on.mint(2)
    rows, synonyms = _terms(on, rid, terms, first=1, known=set())
    fields = {"rid": rid, "name": clean, "description": description, "ordered": int(ordered)}
    return Plan(
        id=plan_id,
        verb="vocabulary add",
        args={"vocabulary": fields, "terms": rows, "synonyms": synonyms},
        at=on.view.change,
        anchors=(rid,),
        effect={"adds": f"vocabulary {clean}", "terms": len(rows)},
    )


def apply_vocabulary(tx: Transaction, plan: Plan) -> None:
    """Write the vocabulary and its terms."""
    vocabularies.add_vocabulary(tx, plan.args["vocabulary"])
    vocabularies.add_terms(tx, plan.args["terms"], plan.args["synonyms"])


def plan_terms(on: Reading, *, vocabulary: str, terms: Sequence[str | dict[str, Any]]) -> Plan:
    """Add terms at the end of a vocabulary."""
    one = vocabularies.get_vocabulary(on.view, vocabulary)
    there = vocabularies.list_terms(on.view, one.rid)
    known = set(vocabularies.index_terms(on.view, one.rid))
    first = max((term.position for term in there), default=0) + 1
    rows, synonyms = _terms(on, one.rid, terms, first=first, known=known)
    return Plan(
        id=on.mint()[0],
        verb="term add",
        args={"vocabulary": one.rid, "terms": rows, "synonyms": synonyms},
        at=on.view.change,
        anchors=(one.rid, *(row["rid"] for row in rows)),
        reads=(one.rid,),
        effect={"adds": [row["name"] for row in rows], "vocabulary": one.name},
    )


def apply_terms(tx: Transaction, plan: Plan) -> None:
    """Write the terms."""
    vocabularies.add_terms(tx, plan.args["terms"], plan.args["synonyms"])


def read_vocabularies(on: Reading) -> list[vocabularies.Vocabulary]:
    """All vocabularies."""
    return vocabularies.list_vocabularies(on.view)


def read_terms(on: Reading, *, vocabulary: str) -> list[vocabularies.Term]:
    """The terms of a vocabulary."""
    return vocabularies.list_terms(on.view, vocabularies.get_vocabulary(on.view, vocabulary).rid)


def _terms(
    on: Reading,
    vocabulary: int,
    terms: Sequence[str | dict[str, Any]],
    *,
    first: int,
    known: set[str],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    told = [{"name": term} if isinstance(term, str) else term for term in terms]
    said = [text for term in told for text in term.get("synonyms", ())]
    if not all(isinstance(text, str) for text in said):
        raise InvalidInput("A synonym is a word.", todo="Give synonyms as a list of words.")
    rids = iter(on.mint(len(told) + len(said)) if told else ())
    rows: list[dict[str, Any]] = []
    synonyms: list[dict[str, Any]] = []
    for position, term in enumerate(told, start=first):
        name = clean_name(str(term["name"]), "term")
        if name_key(name) in known:
            raise Conflict(
                f"The vocabulary has a word for {name!r} already.",
                todo="Use that term, or add this word to it as a synonym.",
            )
        known.add(name_key(name))
        rows.append(
            {
                "rid": next(rids),
                "vocabulary": vocabulary,
                "name": name,
                "description": screen_words(str(term["definition"])) if term.get("definition") else None,
                "position": position,
                "outside_id": term.get("outside_id"),
            }
        )
        synonyms += [
            {"rid": next(rids), "term": rows[-1]["rid"], "text": clean_name(text, "synonym"), "false_friend": 0}
            for text in term.get("synonyms", ())
        ]
    return rows, synonyms
