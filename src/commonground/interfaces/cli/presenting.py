"""How the answer of each reading verb is shown: by its own page where it has one, else as a table of what is in it."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from commonground.errors import count
from commonground.interfaces.cli.page import GAP_SIGN, Cell, Column, Page, Table, show_moment, show_number

PACKAGE = "commonground.interfaces.cli"
PAGES: Mapping[str, tuple[str, str]] = {
    "show": ("presenting_reading", "present_shown"),
    "log": ("presenting_reading", "present_log"),
    "why": ("presenting_reading", "present_reasons"),
    "find": ("presenting_reading", "present_results"),
    "status": ("presenting_overview", "present_overview"),
    "dataset list": ("presenting_overview", "present_datasets"),
    "diff": ("presenting_data", "present_difference"),
    "dataset diff": ("presenting_data", "present_difference"),
    "dataset status": ("presenting_data", "present_state"),
    "dataset files": ("presenting_data", "present_files"),
    "execution get": ("presenting_runs", "present_execution"),
    "execution find": ("presenting_runs", "present_found"),
    "execution reproductions": ("reproducing", "present_reproductions"),
    "execution compare": ("presenting_data", "present_difference"),
    "verify": ("presenting_checks", "present_verified"),
    "feature disagreements": ("presenting_checks", "present_disagreements"),
    "term find": ("presenting_declared", "present_senses"),
    "feature agreement": ("presenting_checks", "present_agreement"),
    "type list": ("presenting_declared", "present_types"),
    "impact": ("presenting_declared", "present_impact"),
    "backup": ("presenting_checks", "present_backup"),
    "gc": ("presenting_checks", "present_collected"),
    "dependents": ("presenting_runs", "present_dependents"),
}
HIDDEN = frozenset({"rid", "vocabulary", "type", "place", "active", "position"})
NOUNS = {
    "person list": ("person", "people"),
    "vocabulary list": ("vocabulary", "vocabularies"),
    "term list": ("term", "terms"),
    "backups": ("backup", "backups"),
    "feature list": ("feature", "features"),
}
MANY_COLUMNS = 7


def present(verb: str, answer: object, args: Mapping[str, Any]) -> Page:
    """The page of an answer."""
    own = PAGES.get(verb)
    if own is not None:
        page: Page = getattr(importlib.import_module(f"{PACKAGE}.{own[0]}"), own[1])(answer, args)
        return page
    if isinstance(answer, Mapping):
        return _columns(verb, answer)
    if isinstance(answer, Sequence) and not isinstance(answer, str):
        return _listed(verb, answer)
    return _single(verb, answer)


def _listed(verb: str, answer: Sequence[Any]) -> Page:
    one, many = NOUNS.get(verb, ("result", "results"))
    headline = f"{count(len(answer), one, many)}." if answer else f"No {many} yet."
    if not answer:
        return Page(headline)
    rows = [_fields(item) for item in answer]
    names = [
        name for name in rows[0] if name not in HIDDEN and any(row.get(name) not in (None, "", ()) for row in rows)
    ]
    names = names[:MANY_COLUMNS]
    columns = tuple(
        Column(
            name.replace("_", " "), right=_is_figures(rows, name), wraps=name in {"description", "definition", "why"}
        )
        for name in names
    )
    cells = tuple(tuple(_field(name, row.get(name)) for name in names) for row in rows)
    return Page(headline, blocks=(Table(columns, cells),))


def _single(verb: str, answer: object) -> Page:
    if isinstance(answer, str | int | float | bool) or answer is None:
        return Page(_cell(answer).text)
    fields = _fields(answer)
    rows = tuple(
        (Cell(name.replace("_", " "), "quiet"), _field(name, value)) for name, value in fields.items() if name != "rid"
    )
    title = str(fields.get("name") or verb)
    return Page(title, blocks=(Table((Column(""), Column("", wraps=True)), rows, heads=False),))


def _columns(verb: str, answer: Mapping[str, Any]) -> Page:
    columns = [
        list(values) if isinstance(values, Sequence) and not isinstance(values, str) else None
        for values in answer.values()
    ]
    lengths = {len(column) for column in columns if column is not None}
    if None in columns or len(lengths) != 1:
        rows = tuple((Cell(str(name), "quiet"), _cell(value)) for name, value in answer.items())
        return Page(verb, blocks=(Table((Column(""), Column("", wraps=True)), rows, heads=False),))
    listed = [dict(zip(answer, row, strict=True)) for row in zip(*[column or [] for column in columns], strict=True)]
    heads = tuple(Column(str(name), right=_is_figures(listed, name)) for name in answer)
    cells = tuple(tuple(_cell(row[name]) for name in answer) for row in listed)
    return Page(f"{count(len(listed), 'row')}.", blocks=(Table(heads, cells),) if listed else ())


def _fields(item: object) -> dict[str, Any]:
    if isinstance(item, Mapping):
        return dict(item)
    if dataclasses.is_dataclass(item) and not isinstance(item, type):
        return {field.name: getattr(item, field.name) for field in dataclasses.fields(item)}
    return {"result": item}


def _is_figures(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    if name.endswith("_at"):
        return False
    values = [row.get(name) for row in rows if row.get(name) is not None]
    return bool(values) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _field(name: str, value: object) -> Cell:
    return Cell(show_moment(value)) if name.endswith("_at") and isinstance(value, int) else _cell(value)


def _cell(value: object) -> Cell:
    if value is None or value in ("", (), []):
        return Cell(GAP_SIGN, "gap")
    if isinstance(value, bool):
        return Cell("yes" if value else "no")
    if isinstance(value, int | float):
        return Cell(show_number(value))
    if isinstance(value, list | tuple):
        return Cell(", ".join(_cell(one).text for one in value))
    if isinstance(value, Mapping):
        return Cell(", ".join(f"{key} {_cell(inner).text}" for key, inner in value.items()))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return Cell(str(getattr(value, "name", None) or getattr(value, "value", None) or type(value).__name__.lower()))
    return Cell(str(value))
