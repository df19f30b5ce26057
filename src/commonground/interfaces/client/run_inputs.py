"""An input of a run: the exact version it was pinned to, and the rows that are taken from it, both on record."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from commonground.errors import CommonGroundError, InvalidInput, NotFound, StorageError
from commonground.exchange.samples import Samples
from commonground.identity import Kind, show_rid
from commonground.operations.frames import read_frame
from commonground.operations.inputs import Pin
from commonground.operations.samples import make_samples
from commonground.operations.session import Session
from commonground.store.canonical import Column, table_digest
from commonground.structure.frames import Frame, UsedValues
from commonground.structure.selectors import Selector


@contextlib.contextmanager
def within_reach(session: Session, what: str) -> Iterator[None]:
    """Turn what is said of a database or a file into what it means for a run: its study is out of reach."""
    try:
        yield
    except (StorageError, NotFound, OSError) as error:
        gone = not session.ground.folder.is_dir()
        # What has a kind of its own, a wrong name or a damaged file, is what it is.
        if not gone and isinstance(error, CommonGroundError) and type(error) is not StorageError:
            raise
        told = error.what if isinstance(error, CommonGroundError) else str(error)
        raise StorageError(
            f"{what} cannot be read now: the study is out of reach "
            f"({'its folder is not there' if gone else told.removesuffix('.')}).",
            todo="Try again when it is back; what was read before can be used on.",
            kept="The run goes on, and what it used is kept in its spool.",
        ) from error


Say = Callable[[Pin, dict[str, Any], Sequence[bytes]], None]
"""Puts on record how an input was used: the input, what to say of it, and files with the exact rows."""


class RunInput:
    """One input of a run."""

    def __init__(self, session: Session, pin: Pin, say: Say) -> None:
        self._session = session
        self._say = say
        self._used: list[dict[str, Any]] = []
        self.pin = pin

    @property
    def reference(self) -> str:
        """The exact state that is used: `nodules@2.0.0`, or `nodules@dev.c18412` if nothing was released."""
        return self.pin.reference

    @property
    def unreleased(self) -> bool:
        """Whether it is a state that nobody has released."""
        return self.pin.unreleased

    def frame(
        self,
        *,
        grain: str | None = None,
        features: Mapping[str, Selector] | None = None,
        columns: Sequence[str] | None = None,
        missing: str = "keep",
    ) -> pa.Table:
        """The state as one wide Arrow table, as `study.frame` gives it; selectors and the exact values go on record."""
        frame = self._read(grain, features, columns, missing)
        self._tell(frame, frame.table["rid"].to_numpy(), grain, columns, missing)
        return frame.table

    def samples(
        self,
        *,
        grain: str | None = None,
        features: Mapping[str, Selector] | None = None,
        columns: Sequence[str] | None = None,
        missing: str = "error",
        read: Callable[[bytes], Any] | None = None,
        transform: Callable[[dict[str, Any]], Any] | None = None,
    ) -> Samples:
        """The state as samples for a DataLoader, as `study.samples` gives them; the rows that they are go on record."""
        frame = self._read(grain, features, columns, "keep")
        with self._session.reading() as on:
            samples = make_samples(on, frame.table, missing=missing, read=read, transform=transform)
        self._tell(frame, samples.rids, grain, columns, missing)
        return samples

    def _read(
        self,
        grain: str | None,
        features: Mapping[str, Selector] | None,
        columns: Sequence[str] | None,
        missing: str,
    ) -> Frame:
        self._refuse_asset("frame")
        with within_reach(self._session, self.reference), self._session.reading() as on:
            return read_frame(
                on, dataset=self.reference, grain=grain, features=features, columns=columns, missing=missing
            )

    def _tell(
        self, frame: Frame, rids: np.ndarray[Any, Any], grain: str | None, columns: Sequence[str] | None, missing: str
    ) -> None:
        told: dict[str, Any] = {
            "grain": grain,
            "columns": list(columns) if columns is not None else None,
            "missing": missing,
            "rows": len(rids),
            "rows_digest": table_digest([Column("rid", "int", rids)], ["rid"]),
            "features": [_describe(used) for used in frame.used],
            **({"sensitive": list(frame.sensitive)} if frame.sensitive else {}),
            **({"kept_back": list(frame.kept_back)} if frame.kept_back else {}),
        }
        self._used.append(told)
        self._say(self.pin, {"frames": list(self._used)}, [_as_parquet(used.rows) for used in frame.used])

    def path(self) -> Path:
        """The file of an input that is an asset, to be read in place; its bytes are checked first."""
        return self._session.ground.blobs.path(self._checked_digest())

    def read_bytes(self) -> bytes:
        """The bytes of an input that is an asset, checked."""
        return self._session.ground.blobs.get_bytes(self._checked_digest())

    def _checked_digest(self) -> str:
        if self.pin.kind != Kind.ASSET or self.pin.digest is None:
            raise InvalidInput(f"{self.reference} is a dataset, not a file.", todo="Use `.frame()`.")
        with (
            within_reach(self._session, self.reference),
            self._session.ground.blobs.open_verified(self.pin.digest),
        ):
            return self.pin.digest

    def _refuse_asset(self, what: str) -> None:
        if self.pin.kind == Kind.ASSET:
            raise InvalidInput(f"{self.reference} is a file and has no {what}.", todo="Use `.path()`.")

    def __repr__(self) -> str:
        return f"<input {self.reference}>"


def _describe(used: UsedValues) -> dict[str, Any]:
    return {
        "feature": show_rid(used.feature),
        "selector": used.selector.as_dict(),
        "values": used.rows.num_rows,
        "values_digest": used.digest,
        "left_out": dict(used.left_out),
    }


def _as_parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
