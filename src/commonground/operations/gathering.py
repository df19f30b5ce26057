"""Reading all that the spool files of an execution say; what is damaged or has another form is noted and left out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from commonground.identity import Rid
from commonground.operations import run_spool
from commonground.operations.run_spool import Gathered
from commonground.operations.spool_forms import NOT_SOUND, is_sound
from commonground.store.collection import without_collection
from commonground.store.processes import ProcessMark
from commonground.store.spool import SpoolHeader, read
from commonground.store.spool_lines import SpoolRecord
from commonground.structure.screen_told import WITHHELD

LARGEST: Final = 2**63


def gather(folder: Path, execution: Rid) -> Gathered:
    """Read all spool files of an execution; what is damaged is noted, and the rest is kept."""
    found = Gathered(folder, execution)
    paths = sorted(path for path in folder.iterdir() if path.suffix == run_spool.SUFFIX)
    for path in paths:
        with without_collection():
            content = read(path)
        found.last[path.name] = content.last
        if content.header is not None:
            found.processes.append((content.header.process, content.ended))
            if path.name.startswith(run_spool.OWNER) and content.header.parent is None:
                found.owner = content.header.process
            _look_whether_replaced(found, content.header, content.records)
        if content.damaged:
            found.notes.append(f"{path.name}: {len(content.damaged)} records are damaged: {content.damaged[0].reason}")
        missing = sum(last - first + 1 for first, last in content.gaps)
        if missing:
            found.notes.append(f"{path.name}: {missing} records could not be written")
        with without_collection():
            for record in content.records:
                try:
                    _take(found, record.kind, record.payload)
                except NOT_SOUND:
                    found.unsound.append(f"{path.name}: record {record.seq} ({record.kind}) has another form")
    for rid in [rid for rid in found.said if rid in found.edges]:
        found.edges[rid] = found.said.pop(rid)
    return found


def _look_whether_replaced(found: Gathered, header: SpoolHeader, records: Sequence[SpoolRecord]) -> None:
    """Note what the newest file of a process says last: a program that found its execution again has begun another."""
    mark, began = header.process, header.monotonic_ns
    if began < found.replaced.get(mark, (0, ""))[0]:
        return
    last = records[-1] if records else None
    found.replaced[mark] = (began, str(last.payload["to"]) if last is not None and last.kind == run_spool.EXEC else "")


def _take(found: Gathered, kind: str, payload: dict[str, Any]) -> None:
    if not is_sound(kind, payload):
        raise ValueError(kind)
    match kind:
        case "m":
            step, at = payload["s"], payload["a"]
            if not -LARGEST <= step < LARGEST:
                found.notes.append(f"metrics of the step {step:g} were left out: it does not fit in 64 bits")
                return
            found.points.extend((key, step, at, float(value)) for key, value in payload["v"].items())
        case "p":
            for row in payload["rows"]:
                found.params.setdefault(row[0], row)
        case "edge":
            found.edges[payload["edge"]["rid"]] = payload["edge"]
            found.files += payload["files"]
        case "said":
            found.said[payload["edge"]["rid"]] = payload["edge"]
            found.files += payload["files"]
        case "asset":
            found.assets.append(payload)
        case "fact":
            known = found.facts.get(WITHHELD, {})
            found.facts.update(payload)
            if known:
                found.facts[WITHHELD] = {**known, **payload.get(WITHHELD, {})}
        case "values":
            found.values.append(payload)
        case "close":
            found.closes.append(payload)
        case "start":
            found.start = payload
        case "final":
            found.final = payload
        case "program":
            found.program = ProcessMark(**payload)
        case "exec":
            pass  # It counts only as the last word of a process.
        case _:
            found.notes.append(f"a record of an unknown kind: {kind}")
