"""A run inside a reproduction: it takes the recorded inputs, and leaves alone what others may mean by a name.

`cg reproduce` names the execution that is run again in CG_REPRODUCE and a file with what may be used in
CG_REPRODUCE_FILE. An input is then what was recorded, whatever is current now, and one that was not recorded is
refused. Names of the run and of its files are made new, and computed values become a file of the run instead of values
of the feature, so that nothing that others rely on changes.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from commonground.errors import NotReproducible
from commonground.identity import Rid, read_rid, show_rid
from commonground.operations.inputs import Pin, resolve_input
from commonground.operations.recorded_inputs import RecordedInput
from commonground.operations.session import Session
from commonground.store.view import View

REPRODUCE: Final = "CG_REPRODUCE"
REPRODUCE_FILE: Final = "CG_REPRODUCE_FILE"
LONGEST_NAME: Final = 180


@dataclass(frozen=True, slots=True)
class Repeat:
    """What a re-run may use, and how it is marked."""

    of: Rid
    """The execution that is run again."""
    study: str
    """The study's id."""
    folder: Path
    """The study's folder."""
    act: str
    """The reproduction that it is a part of."""
    run: int
    """Which of the re-runs it is, from 1."""
    inputs: tuple[RecordedInput, ...]
    """What may be used."""

    def facts(self) -> dict[str, Any]:
        """What the execution says of it among its details."""
        return {"reproduces": show_rid(self.of), "act": self.act, "run": self.run}


def find_repeat(study: str | None = None) -> Repeat | None:
    """The reproduction in which this process runs; None if it is none, or one of another study."""
    of, path = os.environ.get(REPRODUCE), os.environ.get(REPRODUCE_FILE)
    if not of or not path:
        return None
    found = _read(of, path)
    return found if study is None or found.study == study else None


@functools.cache
def _read(of: str, path: str) -> Repeat:
    plain = json.loads(Path(path).read_text(encoding="utf-8"))
    inputs = tuple(RecordedInput(**one) for one in plain["inputs"])
    return Repeat(read_rid(of), plain["study"], Path(plain["folder"]), plain["act"], plain["run"], inputs)


def resolve_inputs(session: Session, texts: Sequence[str]) -> list[Pin]:
    """What the names of inputs mean: now; in a reproduction, what was recorded.

    Raises NotReproducible for an input that was not recorded.
    """
    if not texts:
        return []
    repeat = find_repeat(session.ground.facts["study"])
    with session.ground.view() as view:
        if repeat is None:
            return [resolve_input(view, text) for text in texts]
        return [_resolve_recorded(view, repeat, text) for text in texts]


def _resolve_recorded(view: View, repeat: Repeat, text: str) -> Pin:
    exact = [item for item in repeat.inputs if text in {item.asked, item.reference, item.replaces}]
    # Without a version, or by the beginning of an id, a name means whatever was recorded under it.
    found = exact or [item for item in repeat.inputs if text == item.name]
    if not found:
        raise NotReproducible(
            f"{text} was not used by the execution that is run again.",
            faults=sorted({f"{item.name}: {item.reference}" for item in repeat.inputs}),
            todo="Run it as a run of its own, with `cg run`.",
        )
    item = found[0]
    pin = resolve_input(view, item.reference)
    if item.digest is not None and pin.digest != item.digest:
        raise NotReproducible(f"{item.name} is not what was used: its digest differs.", todo="Run `cg verify --full`.")
    return replace(pin, asked=text, name=item.name if item.replaces is None or pin.kind == "asset" else pin.name)


def rename_run(repeat: Repeat | None, name: str, rid: Rid) -> str:
    """A name that nobody means when they ask for the recorded execution."""
    return name if repeat is None else f"{name[:LONGEST_NAME]} again {show_rid(rid)[-6:].lower()}"


def rename_output(repeat: Repeat | None, record: dict[str, Any]) -> dict[str, Any]:
    """The record of a saved file under a name that nobody means; its role keeps the name that the run gave it."""
    if repeat is not None:
        asset = record["asset"]
        asset["name"] = rename_run(repeat, asset["name"], asset["rid"])
    return record
