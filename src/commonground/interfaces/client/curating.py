"""People, vocabularies, entities and features of an open study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from commonground.identity import Rid
from commonground.operations.adjudicating import Disagreement
from commonground.operations.agreement import Agreement
from commonground.operations.plans import Committed
from commonground.operations.session import Session
from commonground.operations.synonyms import Senses
from commonground.structure.agreement import Figure
from commonground.structure.entities import EntityType
from commonground.structure.features import Feature
from commonground.structure.people import Person
from commonground.structure.vocabularies import Term, Vocabulary


class People:
    """Everybody who takes part."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list(self) -> list[Person]:
        """Everybody, in the order in which they came."""
        people: list[Person] = self._session.read("person list")
        return people

    def add(
        self,
        name: str,
        *,
        role: str = "contributor",
        discipline: str | None = None,
        description: str | None = None,
        logins: Sequence[str] = (),
        why: str | None = None,
    ) -> Committed:
        """Add somebody with a role: reader, contributor, curator or owner."""
        return self._session.write(
            "person add",
            why=why,
            name=name,
            role=role,
            discipline=discipline,
            description=description,
            logins=[*logins],
        )


class Vocabularies:
    """Words that mean the same to everybody here."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list(self) -> list[Vocabulary]:
        """All vocabularies."""
        found: list[Vocabulary] = self._session.read("vocabulary list")
        return found

    def terms(self, vocabulary: str) -> Sequence[Term]:
        """The terms of a vocabulary, by position."""
        found: Sequence[Term] = self._session.read("term list", vocabulary=vocabulary)
        return found

    def add(
        self,
        name: str,
        terms: Sequence[str | dict[str, Any]] = (),
        *,
        description: str | None = None,
        ordered: bool = False,
        why: str | None = None,
    ) -> Committed:
        """Make a vocabulary; a term is a word, or {"name", "definition", "outside_id", "synonyms"}."""
        return self._session.write(
            "vocabulary add", why=why, name=name, terms=terms, description=description, ordered=ordered
        )

    def add_terms(self, vocabulary: str, terms: Sequence[str | dict[str, Any]], *, why: str | None = None) -> Committed:
        """Add terms at the end of a vocabulary."""
        return self._session.write("term add", why=why, vocabulary=vocabulary, terms=terms)

    def add_synonyms(
        self,
        term: str,
        words: Sequence[str],
        *,
        discipline: str | None = None,
        language: str | None = None,
        why: str | None = None,
    ) -> Committed:
        """Add other words for a term (`texture.solid`), of a discipline or a language, or everybody's."""
        told = {"what": term, "words": words, "discipline": discipline, "language": language}
        return self._session.write("term synonym", why=why, **told)

    def mark_false_friend(self, word: str, means: Mapping[str, str], *, why: str | None = None) -> Committed:
        """Mark a word that means different terms to different disciplines: {"radiology": "texture.solid", ...}."""
        return self._session.write("term false-friend", why=why, word=word, means=means)

    def senses(self, word: str) -> Senses:
        """All that a word means, to whom; with a warning if that is not the same for all."""
        found: Senses = self._session.read("term find", word=word)
        return found


class Entities:
    """Entity types, and the entities of each."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def types(self) -> list[EntityType]:
        """All entity types with their columns."""
        found: list[EntityType] = self._session.read("type list")
        return found

    def declare(
        self,
        name: str,
        columns: Sequence[dict[str, Any]] = (),
        *,
        key_label: str | None = None,
        description: str | None = None,
        why: str | None = None,
    ) -> Committed:
        """Declare an entity type; a column is {"name", "holds", "target", "unit", "description"}."""
        return self._session.write(
            "type add", why=why, name=name, columns=columns, key_label=key_label, description=description
        )

    def extend(self, type: str, columns: Sequence[dict[str, Any]], *, why: str | None = None) -> Committed:
        """Add columns to an entity type."""
        return self._session.write("type extend", why=why, type=type, columns=columns)

    def upsert(
        self,
        type: str,
        keys: Sequence[str],
        columns: Mapping[str, Sequence[Any]],
        *,
        why: str | None = None,
    ) -> Committed:
        """Bring entities in by natural key: new ones are added, changed ones get a new state."""
        return self._session.write("entity upsert", why=why, type=type, keys=keys, columns=columns)

    def merge(self, type: str, *, duplicate: str, into: str, why: str | None = None) -> Committed:
        """Merge a duplicate into the entity it duplicates."""
        return self._session.write("entity merge", why=why, type=type, duplicate=duplicate, into=into)

    def withdraw(
        self,
        type: str,
        keys: Sequence[str],
        *,
        reason: str,
        linked: bool = False,
        why: str | None = None,
    ) -> Committed:
        """Take entities out of the living state because they are no longer valid; `linked`: and what links to them."""
        return self._session.write("entity withdraw", why=why, type=type, keys=keys, reason=reason, linked=linked)

    def import_table(
        self,
        path: str | Path,
        *,
        type: str,
        key: str,
        links: Mapping[str, str] | Sequence[str] = (),
        terms: Mapping[str, str] | None = None,
        units: Mapping[str, str] | None = None,
        descriptions: Mapping[str, str] | None = None,
        types: Mapping[str, str] | None = None,
        description: str | None = None,
        sensitive: Sequence[str] = (),
        why: str | None = None,
    ) -> Committed:
        """Import a CSV, Parquet or Excel table; all faults are listed at once and nothing is taken in part."""
        return self._session.write(
            "import table",
            why=why,
            path=Path(path),
            type=type,
            key=key,
            links=links,
            terms=terms,
            units=units,
            descriptions=descriptions,
            types=types,
            description=description,
            sensitive=sensitive,
        )

    def import_pictures(
        self,
        folder: str | Path,
        *,
        match: str,
        type: str,
        column: str = "picture",
        key: str | None = None,
        why: str | None = None,
    ) -> Committed:
        """Import a folder of pictures, each tied to the entity that its name says."""
        return self._session.write(
            "import pictures", why=why, path=Path(folder), match=match, type=type, column=column, key=key
        )


class Features:
    """Typed, many-valued annotations of entities."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list(self, type: str | None = None) -> list[Feature]:
        """All features, or those of an entity type."""
        found: list[Feature] = self._session.read("feature list", type=type)
        return found

    def add(
        self,
        name: str,
        *,
        type: str,
        holds: str = "real",
        vocabulary: str | None = None,
        lowest: float | None = None,
        highest: float | None = None,
        ordered: bool = False,
        unit: str | None = None,
        description: str | None = None,
        why: str | None = None,
    ) -> Committed:
        """Declare a feature of an entity type."""
        return self._session.write(
            "feature add",
            why=why,
            name=name,
            type=type,
            holds=holds,
            vocabulary=vocabulary,
            lowest=lowest,
            highest=highest,
            ordered=ordered,
            unit=unit,
            description=description,
        )

    def annotate(
        self,
        feature: str,
        *,
        keys: Sequence[str] | None = None,
        rids: Sequence[Rid] | np.ndarray[Any, Any] | None = None,
        values: Sequence[Any] | np.ndarray[Any, Any],
        rater: str | None = None,
        slots: Sequence[str] | None = None,
        slot_scope: str | None = None,
        reasons: Sequence[str | None] | None = None,
        why: str | None = None,
    ) -> Committed:
        """Write values; earlier ones stay. `slots` names each value's reader, local to what `slot_scope` leads to."""
        return self._session.write(
            "feature annotate",
            why=why,
            feature=feature,
            keys=keys,
            entities_=rids,
            values=values,
            rater=rater,
            slots=slots,
            slot_scope=slot_scope,
            reasons=reasons,
        )

    def adjudicate(
        self,
        feature: str,
        *,
        keys: Sequence[str],
        values: Sequence[Any],
        reasons: Sequence[str | None] | None = None,
        by: str | None = None,
        agreed: bool = False,
        why: str | None = None,
    ) -> Committed:
        """Settle what readers disagree on, by a person; their readings stay. `agreed`: also what all agree on."""
        told = {"feature": feature, "keys": keys, "values": values, "reasons": reasons, "by": by, "agreed": agreed}
        return self._session.write("feature adjudicate", why=why, **told)

    def disagreements(
        self, feature: str, *, dataset: str | None = None, unsettled: bool = False
    ) -> Sequence[Disagreement]:
        """The entities on which readers say different things, and what was settled."""
        found: Sequence[Disagreement] = self._session.read(
            "feature disagreements", feature=feature, dataset=dataset, unsettled=unsettled
        )
        return found

    def import_readings(
        self,
        path: str | Path,
        *,
        entity: str,
        type: str,
        rater: str | None = None,
        match: str | None = None,
        values: Sequence[str] | None = None,
        slot_scope: str | None = None,
        slots: bool = False,
        cannot: Mapping[str, str] | None = None,
        why: str | None = None,
    ) -> Committed:
        """Import an annotator's export: one column names the entity, one the rater, the others are features.

        With a column for each feature and rater, `match` says how these are named: `{feature}_{rater}`.
        """
        return self._session.write(
            "import readings",
            why=why,
            path=Path(path),
            entity=entity,
            type=type,
            rater=rater,
            match=match,
            values=values,
            slot_scope=slot_scope,
            slots=slots,
            cannot=cannot,
        )

    def agreement(self, feature: str, *, dataset: str | None = None, resamples: int = 200, seed: int = 0) -> Agreement:
        """Krippendorff's alpha with its interval, and which values meet which."""
        found: Agreement = self._session.read(
            "feature agreement", feature=feature, dataset=dataset, resamples=resamples, seed=seed
        )
        return found

    def kappa(
        self, feature: str, first: str, second: str, *, weights: str = "none", dataset: str | None = None
    ) -> Figure:
        """Cohen's kappa of two people over the entities that both read."""
        found: Figure = self._session.read(
            "feature kappa", feature=feature, first=first, second=second, weights=weights, dataset=dataset
        )
        return found
