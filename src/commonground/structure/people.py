"""People, and rater slots: readers who are known only within one scan or case.

A person may have several logins (git mail, operating-system user, server account), linked at any time. A slot is
"reader 2 of this scan": the same label under another scope is another slot, and never one person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from commonground.errors import NotFound
from commonground.identity import Kind, Rid
from commonground.store.column_rows import ColumnRows
from commonground.store.portions import portions
from commonground.store.text_index import Document, put
from commonground.store.transaction import Transaction
from commonground.store.view import View
from commonground.structure.names import name_key
from commonground.structure.tables import login, person, slot


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who acts in a study."""

    rid: Rid
    """Permanent id."""
    name: str
    """The name that is shown."""
    discipline: str | None
    """What they are: radiology, data engineering, machine learning."""
    role: str
    """reader, contributor, curator or owner."""
    description: str | None
    """What else others should know."""
    active: bool
    """Whether they still take part."""


@dataclass(frozen=True, slots=True)
class Slot:
    """An anonymous reader, local to one scan or case."""

    rid: Rid
    """Permanent id."""
    scope: Rid
    """The entity within which the reader is one and the same."""
    label: str
    """What the source calls them: "reader 2"."""


def get_person(view: View, name: str) -> Person:
    """One person by name or login; raises NotFound."""
    found = find_person(view, name)
    if found is None:
        raise NotFound(f"There is nobody here called {name!r}.", todo="`cg person list` names everybody.")
    return found


def find_person(view: View, name: str) -> Person | None:
    """The person with this name or login, if there is one."""
    rows = view.list_rows(person, person.c.name_key == name_key(name))
    if not rows:
        holder = sa.select(login.c.person).where(view.visible(login), login.c.login == name)
        rows = view.list_rows(person, person.c.rid.in_(holder))
    return _person(rows[0]) if rows else None


def list_people(view: View) -> list[Person]:
    """Everybody, in the order in which they came."""
    return [_person(row) for row in view.list_rows(person)]


def name_raters(view: View, rids: Sequence[Rid]) -> dict[Rid, str]:
    """What to call each rater: a person's name, or a slot's label."""
    names: dict[Rid, str] = {}
    for part in portions(rids):
        names.update((row.rid, row.name) for row in view.list_rows(person, person.c.rid.in_(part)))
        names.update((row.rid, row.label) for row in view.list_rows(slot, slot.c.rid.in_(part)))
    return names


def list_slots(view: View, scopes: Sequence[Rid]) -> dict[tuple[Rid, str], Rid]:
    """The slots within these scopes: (scope, label) to rid."""
    found: dict[tuple[Rid, str], Rid] = {}
    for part in portions(scopes):
        found.update(((row.scope, row.label), row.rid) for row in view.list_rows(slot, slot.c.scope.in_(part)))
    return found


def list_slot_rids(view: View, rids: Sequence[Rid]) -> list[Rid]:
    """Those of the raters who are known only within one scan or case."""
    found: list[Rid] = []
    for part in portions(rids):
        found += [row.rid for row in view.rows(sa.select(slot.c.rid).where(view.visible(slot), slot.c.rid.in_(part)))]
    return found


def add_person(tx: Transaction, fields: dict[str, Any], logins: Sequence[tuple[Rid, str]] = ()) -> None:
    """A new person, with logins."""
    tx.register(Kind.PERSON, [fields["rid"]])
    tx.insert(person, [{**fields, "name_key": name_key(fields["name"]), "active": 1}])
    tx.insert(login, [{"rid": rid, "person": fields["rid"], "login": text} for rid, text in logins])
    put(tx.connection, [Document(fields["rid"], Kind.PERSON, fields["name"], fields.get("description") or "")])


def add_slots(tx: Transaction, slots: Sequence[Slot]) -> None:
    """New slots."""
    if slots:
        columns = {name: [getattr(one, name) for one in slots] for name in ("rid", "scope", "label")}
        tx.register(Kind.SLOT, columns["rid"])
        tx.insert(slot, ColumnRows(columns))


def _person(row: sa.Row[Any]) -> Person:
    return Person(row.rid, row.name, row.discipline, row.role, row.description, bool(row.active))
