"""A study in Python: open it, and reach everything by the nouns of the glossary."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, Unpack

import pyarrow as pa

from commonground.errors import InvalidInput
from commonground.exchange.samples import Samples
from commonground.identity import Rid
from commonground.interfaces.client.asked import ReproductionAsked
from commonground.interfaces.client.assets import Assets
from commonground.interfaces.client.curating import Entities, Features, People, Vocabularies
from commonground.interfaces.client.datasets import Datasets
from commonground.interfaces.client.evolving import Schema
from commonground.interfaces.client.repeating import find_repeat
from commonground.interfaces.client.run import Run
from commonground.interfaces.client.tracking import TrackAsked, track
from commonground.operations.frames import read_frame
from commonground.operations.plans import Committed, Plan
from commonground.operations.reproducing import Reproduction
from commonground.operations.samples import make_samples
from commonground.operations.session import Session
from commonground.operations.studies import create_study, open_study
from commonground.structure.parameters import flatten
from commonground.structure.selectors import Selector

if TYPE_CHECKING:
    from commonground.operations.reading import Shown
    from commonground.operations.reasons import Reasons

P = ParamSpec("P")
R = TypeVar("R")


def open(folder: str | Path | None = None, *, person: str | None = None) -> Study:  # noqa: A001 - `cg.open` is what people type
    """Open the study in a folder, or in the nearest folder above it; raises NotFound if there is none.

    Without a folder it is the one that CG_STUDY names, as for `cg`, else the current one. Code that is run again lies
    in a folder of its own: there no folder and a relative one mean the study of the reproduction.
    """
    repeat = find_repeat()
    if repeat and (folder is None or not Path(folder).is_absolute()):
        place = repeat.folder
    else:
        place = Path(folder if folder is not None else os.environ.get("CG_STUDY") or ".")
    return Study(open_study(place, person=person))


def init(
    folder: str | Path = ".", *, name: str | None = None, person: str | None = None, database: str | None = None
) -> Study:
    """Make a study in a folder; `database` is the address of a PostgreSQL database, if it is not to be a file there."""
    return Study(create_study(Path(folder), name=name, person=person, url=database))


class Study:
    """An open study."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.people = People(session)
        self.vocabularies = Vocabularies(session)
        self.entities = Entities(session)
        self.features = Features(session)
        self.datasets = Datasets(session)
        self.assets = Assets(session)
        self.schema = Schema(session)

    @property
    def name(self) -> str:
        """The study's name."""
        return self.session.ground.facts["name"]

    @property
    def folder(self) -> Path:
        """The folder that the study lies in."""
        return self.session.ground.folder.parent

    def frame(
        self,
        dataset: str,
        *,
        grain: str | None = None,
        features: Mapping[str, Selector] | None = None,
        columns: Sequence[str] | None = None,
        missing: str = "keep",
        sensitive: bool = False,
        at: int | None = None,
    ) -> pa.Table:
        """A state of a dataset as one wide Arrow table: a row each member, linked entities' columns as `link.column`.

        `features` maps features to the selector that turns their many values into one. `missing` is "keep", "drop" or
        "error". `at` reads as of a change. Sensitive columns are left out unless `columns` names them, or `sensitive`
        asks for all; the table's own metadata says so.
        """
        told: dict[str, Any] = {"grain": grain, "features": features, "columns": columns, "missing": missing}
        with self.session.reading(at) as on:
            return read_frame(on, dataset=dataset, sensitive=sensitive, **told).table

    def samples(
        self,
        table: pa.Table,
        *,
        missing: str = "error",
        read: Callable[[bytes], Any] | None = None,
        transform: Callable[[dict[str, Any]], Any] | None = None,
    ) -> Samples:
        """The rows of a frame, or some of them, as samples for a DataLoader; pictures are decoded when asked for.

        `missing` is "error", or "drop" to leave rows with an empty cell out. `read` makes something of a file's bytes
        (without it a picture becomes an array), `transform` of a sample, which is a dict; see exchange/samples.py.
        """
        with self.session.reading() as on:
            return make_samples(on, table, missing=missing, read=read, transform=transform)

    def run(
        self,
        *,
        intent: str | None = None,
        inputs: Sequence[str] = (),
        params: Mapping[str, Any] | None = None,
        name: str | None = None,
        scratch: bool | None = None,
        parent: Run | Rid | str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> Run:
        """A run, to be used with `with`: one truthful execution of whatever happens inside the block.

        `intent` says what it is to find out; `inputs` are pinned to exact versions; `scratch` marks a try. `parent` is
        the run that it is part of, by itself, id or name (inside another run it is that one); `details` is what else is
        to be on record, as plain values. Raises NotFound for an unknown parent, InvalidInput for details of objects.
        """
        flatten(details or {})
        return Run(
            self.session,
            intent=intent,
            inputs=inputs,
            params=params,
            name=name,
            scratch=scratch,
            parent=parent,
            details=details,
        )

    def track(self, **asked: Unpack[TrackAsked]) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """A decorator that makes each call of a function a run, with its arguments as parameters."""
        return track(functools.partial(Run, self.session), **asked)

    def reproduce(
        self,
        execution: Rid | str,
        *,
        why: str | None = None,
        **asked: Unpack[ReproductionAsked],
    ) -> Reproduction:
        """Run an execution again and keep the verdict, as `cg reproduce` does.

        `asked` says what is to be otherwise (data, params, present_code, present_packages, python), where the code is
        (source), and how to judge (times, tolerance, ignored, keep). Raises NotFound, Ambiguous, Conflict or
        InvalidInput for a request that cannot be carried out; whatever else goes wrong is a verdict.
        """
        # The command's module needs this one: what is run again is a run.
        command = importlib.import_module("commonground.interfaces.reproduce_command")
        known = sorted(one.name for one in dataclasses.fields(command.Asked))
        if unknown := sorted(asked.keys() - set(known)):
            raise InvalidInput(f"A reproduction has no {', '.join(unknown)}.", todo=f"It has {', '.join(known)}.")
        source = asked.pop("source", None)
        wanted = command.Asked(**asked, source=Path(source) if source is not None else None)
        found: Reproduction = command.reproduce(self.session, execution, wanted, why=why)
        return found

    def why(self, what: str) -> Reasons:
        """What was recorded of why a thing is as it is, and what was not."""
        told: Reasons = self.session.read("why", what=what)
        return told

    def show(self, what: str, *, sensitive: bool = False) -> Shown:
        """A thing by rid, unique prefix, name, or name@version; `sensitive`: with what stands in sensitive columns."""
        shown: Shown = self.session.read("show", what=what, sensitive=sensitive)
        return shown

    def plan(self, verb: str, /, **args: object) -> Plan:
        """What a write verb would do, without doing it."""
        return self.session.plan(verb, **args)

    def commit(self, plan: Plan, why: str | None = None) -> Committed:
        """Make a plan real, once."""
        return self.session.commit(plan, why)

    def read(self, verb: str, /, *, at: int | None = None, **args: object) -> Any:  # noqa: ANN401 - each verb has its own result
        """What a read verb answers, now or as of a change."""
        return self.session.read(verb, at=at, **args)

    def write(self, verb: str, /, *, why: str | None = None, **args: object) -> Committed:
        """Plan and commit."""
        return self.session.write(verb, why=why, **args)

    def close(self) -> None:
        """Close the study."""
        self.session.ground.close()

    def __enter__(self) -> Study:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Study {self.name!r} in {self.folder}>"
