"""Which executions were told something of some entities, and their record without it: names, reasons, details, params.

A key is taken out wherever no letter and no digit touches it, if it is too long to stand there by chance; all else that
the execution was told stays as it was. A shorter key stays, and is listed: `--seed 7` is about no patient.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from commonground.identity import Rid
from commonground.plain import Plain
from commonground.store.blobs import BlobStore
from commonground.store.portions import portions
from commonground.store.view import View
from commonground.structure.parameters import StoredParam, read_form, store_form
from commonground.structure.tables import asset, execution, param
from commonground.structure.telling_words import DISTINCT, GONE

LOG = "log"
"""The kind of the asset that holds what an execution printed."""
_SAID = ("name", "reason", "place")
_JSON = ("argv", "details", "seed")
_WORDED = ("text", "json")


def list_told_runs(view: View, keys: Collection[str]) -> list[Rid]:
    """The executions that were told of one of these keys, in any of their states or in a parameter."""
    named = _pattern(keys)
    if named is None:
        return []
    said = sa.select(execution.c.rid, *(execution.c[name] for name in (*_SAID, *_JSON)))
    worded = sa.select(param.c.execution, param.c.txt, param.c.long).where(param.c.kind.in_(_WORDED))
    return sorted(
        {
            rid
            for statement in (said, worded)
            for rid, *texts in view.connection.execute(statement)
            if any(text and named.search(text) for text in texts)
        }
    )


def list_telling_logs(view: View, blobs: BlobStore, keys: Collection[str]) -> dict[Rid, str]:
    """The files with what executions printed in which one of these keys stands, by id, with their names."""
    named = _pattern(keys)
    if named is None:
        return {}
    rows = view.list_rows(asset, asset.c.kind == LOG, asset.c.reference.is_(None))
    here = (row for row in rows if blobs.has(row.digest))
    return {row.rid: row.name for row in here if named.search(blobs.get_bytes(row.digest).decode(errors="replace"))}


def without_keys(row: Mapping[str, Any], keys: Collection[str]) -> dict[str, Any]:
    """A row of the table of executions that names none of these keys."""
    named, new = _pattern(keys), dict(row)
    if named is None:
        return new
    for name in _SAID:
        new[name] = _take_out(named, row[name])
    for name in _JSON:
        told = json.loads(row[name]) if row[name] else None
        if (left := _take_out(named, told)) != told:
            new[name] = json.dumps(left, sort_keys=True, ensure_ascii=False)
    return new


def rewrite_params(connection: sa.Connection, executions: Iterable[Rid], keys: Collection[str]) -> None:
    """Take these keys out of the values of the parameters of some executions."""
    named = _pattern(keys)
    if named is None:
        return
    columns = (param.c.key, param.c.kind, param.c.num, param.c.txt, param.c.long)
    for part in portions(sorted(executions)):
        worded = sa.select(param.c.execution, *columns).where(param.c.execution.in_(part), param.c.kind.in_(_WORDED))
        for rid, *stored in connection.execute(worded).all():
            told = read_form(StoredParam(*stored))
            if (left := _take_out(named, told)) != told:
                form = store_form(stored[0], left)
                one = sa.and_(param.c.execution == rid, param.c.key == stored[0])
                connection.execute(sa.update(param).where(one).values(txt=form.txt, long=form.long))


def _pattern(keys: Collection[str]) -> re.Pattern[str] | None:
    """What finds the keys that are long enough, as they are and as JSON writes them; None if none is."""
    forms = {form for key in keys if len(key) >= DISTINCT for form in (key, json.dumps(key)[1:-1])}
    listed = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
    return re.compile(rf"(?<![^\W_])(?:{listed})(?![^\W_])") if forms else None


def _take_out(named: re.Pattern[str], told: Plain) -> Plain:
    if isinstance(told, str):
        return named.sub(f"[{GONE}]", told)
    if isinstance(told, Mapping):
        return {named.sub(f"[{GONE}]", key): _take_out(named, value) for key, value in told.items()}
    if isinstance(told, list):
        return [_take_out(named, value) for value in told]
    return told
