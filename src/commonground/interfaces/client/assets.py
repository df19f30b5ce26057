"""Assets of an open study: files and series of files, in and out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from commonground.identity import Rid
from commonground.operations.assets import CheckedOut, FileChanges
from commonground.operations.plans import Committed
from commonground.operations.session import Session
from commonground.store.blob_reading import Mode


class Assets:
    """Immutable files and series of files."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(
        self,
        path: str | Path,
        *,
        name: str | None = None,
        kind: str | None = None,
        each: bool = False,
        reference: bool = False,
        description: str | None = None,
        why: str | None = None,
    ) -> Committed:
        """Add a file, or a folder as one series; `each` makes an asset of every file, `reference` leaves the bytes."""
        return self._session.write(
            "asset add",
            why=why,
            path=Path(path),
            name=name,
            kind=kind,
            each=each,
            reference=reference,
            description=description,
        )

    def files(self, asset: Rid | str) -> list[dict[str, Any]]:
        """The files of a series: path, digest, bytes."""
        found: list[dict[str, Any]] = self._session.read("asset files", asset=asset)
        return found

    def diff(self, asset: Rid | str, before: Rid | str | None = None) -> FileChanges:
        """How a series differs from another, by default from the one of the same name that was added before it."""
        found: FileChanges = self._session.read("asset diff", asset=asset, before=before)
        return found

    def check_out(
        self, asset: Rid | str, folder: str | Path, *, match: Sequence[str] = (), mode: Mode = "reflink"
    ) -> CheckedOut:
        """Write the files of an asset, checked, into a folder; `match` takes only paths that begin so."""
        done: CheckedOut = self._session.read(
            "asset check-out", asset=asset, folder=Path(folder), match=match, mode=mode
        )
        return done
