"""What a spool that somebody brought may say: the form of each record, and that all of it is about its own execution.

A spool of this machine was written by this program. One that came in a pack may be anything, and its words become rows:
so ids, kinds and states are looked at, a file is one that came along, an output is bytes and never a path, and no edge
joins other things than the execution's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from commonground.errors import BrokenFile
from commonground.identity import MAX_RID, Rid, show_rid
from commonground.operations.run_spool import Gathered
from commonground.store.blobs import BlobStore
from commonground.structure.execution_states import ENDED, Status
from commonground.structure.executions import FIELDS
from commonground.structure.lineage import PRODUCED, USED
from commonground.structure.tables import asset, workflow

Form = Callable[[Any], bool]
_DIGEST = re.compile(r"[0-9a-f]{64}")
_OWN = frozenset({"pk", "salt", "since", "until"})
MOST_TOLD: Final = 5
LARGEST: Final = 1 << 63
NOT_SOUND: Final = (TypeError, KeyError, ValueError, AttributeError, IndexError)
"""What the reading of a record raises that has another form."""


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_whole(value: object) -> bool:
    return type(value) is int and -LARGEST <= value < LARGEST


def _is_rid(value: object) -> bool:
    return type(value) is int and 0 < value <= MAX_RID


def _is_number(value: object) -> bool:
    return isinstance(value, float) or _is_whole(value)


def _is_mapping(value: object) -> bool:
    return isinstance(value, dict)


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _or_none(form: Form) -> Form:
    return lambda value: value is None or form(value)


_LEASE: Final[Mapping[str, Form]] = {"process": _is_text, "spool": _is_text, "seen_at": _is_whole}
_EDGE: Final[Mapping[str, Form]] = {
    "rid": _is_rid,
    "src": _is_rid,
    "dst": _is_rid,
    "relation": lambda value: value in {USED, PRODUCED},
    "role": _or_none(_is_text),
    "details": _is_mapping,
}
_PARAM: Final[Sequence[Form]] = (_is_text, _is_text, _or_none(_is_number), _or_none(_is_text), _or_none(_is_text))
_END: Final[Mapping[str, Form]] = {
    "plan": _is_rid,
    "status": lambda value: value in {str(status) for status in ENDED},
    "reason": _or_none(_is_text),
    "ended_at": _is_whole,
    "why": _or_none(_is_text),
}
_VALUES: Final[Mapping[str, Form]] = {
    "plan": _is_rid,
    "edge": _is_rid,
    "type": _is_text,
    "feature": _is_text,
    "values": _is_list,
    "reasons": _or_none(_is_list),
}


def check_spool(gathered: Gathered, study: str, came: Mapping[str, str], blobs: BlobStore) -> None:
    """Raise BrokenFile, with what is wrong, unless a spool tells of one execution and of nothing else.

    `came` are the files that came with it: name and SHA-256. What it does not bring must lie in `blobs`.
    """
    try:
        faults = [*gathered.unsound, *_find_faults(gathered, study, came)]
        wanted = set(_named_files(gathered.start or {})) - set(came.values())
        if wanted - blobs.has_many(wanted):
            faults.append("its code or its environment did not come with it")
    except NOT_SOUND as error:
        faults = [f"a record has another form ({type(error).__name__})"]
    if faults:
        raise BrokenFile(
            f"The spool of execution {show_rid(gathered.execution)} is not sound.",
            faults=faults[:MOST_TOLD],
            todo="Ask whoever made the pack; it was not written by this program, or was changed since.",
        )


def is_sound(kind: str, payload: Mapping[str, Any]) -> bool:
    """Whether one record has the form in which this program writes it; a metric is looked at while it is read.

    Raises one of `NOT_SOUND` if it has quite another one.
    """
    match kind:
        case "start":
            return _begins(payload)
        case "edge" | "said":
            return _is_list(payload["files"]) and not any(_unlike(payload["edge"], _EDGE, kind))
        case "asset":
            return all(map(_is_text, (payload["file"], payload["asset"]["name"], payload["asset"]["kind"]))) and (
                _is_rid(payload["asset"]["rid"]) and not any(_unlike(payload["edge"], _EDGE, kind))
            )
        case "p":
            return not any(_in_params(payload["rows"]))
        case "values":
            return not any(_in_values(payload))
        case "close":
            return _END["status"](payload["status"]) and _is_whole(payload["ended_at"])
        case "final":
            return _is_mapping(payload.get("details", {})) and not any(_unlike(payload, _END, kind, more=True))
    return True


def _begins(told: Mapping[str, Any]) -> bool:
    args, fields = told["args"], told["args"]["execution"]
    return (
        _is_rid(told["plan"])
        and _is_whole(told["at"])
        and _is_list(told["files"])
        and fields["status"] in set(Status)
        and _is_whole(fields["started_at"])
        and _is_mapping(fields["details"])
        and not any(_in_params(args["params"]))
        and not any(fault for edge in args["edges"] for fault in _unlike(edge, _EDGE, "edge"))
    )


def _named_files(start: Mapping[str, Any]) -> Iterator[str]:
    """The digests of the code and the environment that a start names."""
    for told in (start, start.get("array") or {}):
        args = told.get("args", told)
        for digest in ((args.get("execution") or {}).get("environment"), (args.get("workflow") or {}).get("code")):
            if digest:
                yield str(digest)


def _find_faults(gathered: Gathered, study: str, came: Mapping[str, str]) -> Iterator[str]:
    rid = gathered.execution
    failed = False
    if gathered.start is not None:
        yield from _in_start(gathered.start, rid, study, came)
        failed = gathered.start["args"]["execution"]["status"] != Status.RUNNING
    if gathered.final is not None:
        yield from _unlike(gathered.final, _END, "the end", more=True)
        listed = [gathered.final[name] for name in ("log", "cells") if gathered.final.get(name)]
        yield from (fault for one in listed for fault in _in_output(one, rid))
        if not _is_mapping(gathered.final.get("details", {})):
            yield "the details of the end are no mapping"
    elif not failed:
        yield "it does not say how it ended"
    yield from (fault for one in gathered.assets for fault in _in_output(one, rid))
    for edge in (*gathered.edges.values(), *gathered.said.values()):
        yield from _in_edge(edge, rid)
    yield from _in_params(list(gathered.params.values()))
    for told in gathered.values:
        yield from _in_values(told)
    if any(name not in came for name in gathered.files):
        yield "it names a file that did not come with it"
    if not all(_is_text(key) and _is_whole(step) and _is_whole(at) for key, step, at, _ in gathered.points):
        yield "a metric has no name, step or time"


def _in_start(told: Mapping[str, Any], rid: Rid, study: str, came: Mapping[str, str]) -> Iterator[str]:
    if told.get("study", study) != study:
        yield "it is of another study"
    args = told["args"]
    if set(args) != {"execution", "workflow", "params", "edges", "lease"} or not _is_rid(told["plan"]):
        yield "its start has other parts than it should"
    fields = args["execution"]
    if fields.get("rid") != rid:
        yield "its start is of another execution"
    if fields.get("status") not in {str(Status.RUNNING), str(Status.FAILED)}:
        yield "its start begins nothing"
    yield from _in_execution(fields)
    if args["workflow"] is not None:
        code = args["workflow"]
        if not set(code) <= {column.name for column in workflow.columns} - _OWN or not _is_rid(code["rid"]):
            yield "its code is told in another form"
        forms = {"name": _is_text, "tree": _is_text, "code": lambda value: value == "" or _is_digest(value)}
        yield from _unlike(code, forms, "its code", more=True)
    if args["lease"] is not None:
        yield from _unlike(args["lease"], _LEASE, "its lease")
    yield from (fault for edge in args["edges"] for fault in _in_edge(edge, rid))
    yield from _in_params(args["params"])
    if any(name not in came for name in told["files"]):
        yield "it names a file that did not come with it"
    if not _or_none(_is_text)(told.get("why")) or not _or_none(_is_whole)(told.get("made_at")):
        yield "its reason is no text"
    if told.get("array") is not None:
        array = told["array"]
        if array["execution"]["rid"] != fields.get("parent") or not _is_rid(array["plan"]):
            yield "its array is not what it is a part of"
        if array["execution"].get("status") != Status.RUNNING:
            yield "its array has ended"
        yield from _in_execution(array["execution"])


def _in_execution(fields: Mapping[str, Any]) -> Iterator[str]:
    if not set(fields) <= {"rid", *FIELDS}:
        yield "its start has fields that no execution has"
    forms = {"rid": _is_rid, "name": _is_text, "scratch": _is_whole, "started_at": _is_whole, "details": _is_mapping}
    yield from _unlike(fields, forms, "its start", more=True)
    if not all(_or_none(_is_rid)(fields.get(name)) for name in ("parent", "person", "workflow")):
        yield "its start names something by no id"
    if not all(_is_text(word) for word in fields.get("argv", ())):
        yield "its command line is no text"
    if not all(_or_none(_is_text)(fields.get(name)) for name in ("reason", "place", "seed")):
        yield "its start holds what is no text"
    if not _or_none(_is_digest)(fields.get("environment")):
        yield "its environment is named by no digest"


def _in_edge(edge: Mapping[str, Any], rid: Rid) -> Iterator[str]:
    yield from _unlike(edge, _EDGE, "an edge")
    if rid != (edge["dst"] if edge["relation"] == USED else edge["src"]):
        yield "an edge joins things that are not its own"


def _in_output(told: Mapping[str, Any], rid: Rid) -> Iterator[str]:
    """An output is bytes that came along, or bytes that are missing; it is never somewhere else."""
    yield from _in_edge(told["edge"], rid)
    fields = told["asset"]
    if not set(fields) <= {column.name for column in asset.columns} - _OWN or not _is_rid(fields["rid"]):
        yield "an output is told in another form"
    forms = {"name": _is_text, "kind": _is_text, "size": _is_whole, "digest": _is_digest, "reference": _is_nothing}
    yield from _unlike(fields, forms, "an output", more=True)
    if told["edge"]["dst"] != fields["rid"]:
        yield "an output is not the one that its edge leads to"
    if not _is_text(told["file"]) or "/" in told["file"] or told["file"] in {"", ".", ".."}:
        yield "an output names a path"


def _in_params(rows: Sequence[Any]) -> Iterator[str]:
    for row in rows:
        if len(row) != len(_PARAM) or not all(form(cell) for form, cell in zip(_PARAM, row, strict=True)):
            yield "a parameter is told in another form"


def _in_values(told: Mapping[str, Any]) -> Iterator[str]:
    yield from _unlike(told, _VALUES, "computed values", more=True)
    named = told.get("keys", told.get("entities"))
    form = _is_text if "keys" in told else _is_rid
    if not _is_list(named) or len(named) != len(told["values"]) or not all(form(one) for one in named):
        yield "computed values are not of as many entities"


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _is_nothing(value: object) -> bool:
    return value is None


def _unlike(told: Mapping[str, Any], forms: Mapping[str, Form], what: str, *, more: bool = False) -> Iterator[str]:
    """What is not as `forms` say; `more` allows fields that they do not name."""
    if not more and set(told) != set(forms):
        yield f"{what} has other fields than it should"
    yield from (f"{what} has no sound {name}" for name, form in forms.items() if not form(told.get(name)))
