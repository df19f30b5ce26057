"""Assets: immutable files and series, known by digest; stored here, or by reference with the digest at first read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from commonground.errors import NotFound
from commonground.identity import Kind, Rid
from commonground.store import schema
from commonground.store.bulk_reading import read_tuples
from commonground.store.portions import portions
from commonground.store.text_index import Document, put
from commonground.store.transaction import Transaction
from commonground.store.view import View
from commonground.structure import tables

MANY = 50
SERIES = "series"
MOVED = 1_000
"""Rows at other places from which two series are compared file by file."""
KEPT_VALUES = "values"
"""The kind of the files in which re-runs keep what they computed: columns entity and value."""
REFUSED_VALUES = "refused values"
"""The kind of the files in which a delivery keeps what it could not write: the same columns, and more."""


@dataclass(frozen=True, slots=True)
class Asset:
    """An immutable file or series of files."""

    rid: Rid
    """Permanent id."""
    name: str
    """The file's name, or what the series is called."""
    kind: str
    """What it is here: picture, model, table, log, series."""
    digest: str
    """SHA-256 of its bytes; of a series, of the listing of its files."""
    size: int
    """Bytes."""
    media_type: str | None
    """What sort of file it is."""
    reference: str | None
    """The path or address where it lies; None if its bytes are stored here."""
    files: int
    """How many files a series has; 1 for a file."""
    description: str | None
    """What else others should know."""

    @property
    def series(self) -> bool:
        """Whether it is a listing of files rather than one file: its digest is then that of no file."""
        return self.kind == SERIES

    @property
    def stored(self) -> bool:
        """Whether its bytes are here."""
        return self.reference is None


def get_asset(view: View, rid: Rid) -> Asset:
    """One asset by rid; raises NotFound."""
    rows = view.list_rows(tables.asset, tables.asset.c.rid == rid)
    if not rows:
        raise NotFound("There is no such asset here.", todo="It may have been erased.")
    return _asset(rows[0])


def list_assets(view: View, rids: Sequence[Rid]) -> list[Asset]:
    """Assets by rid; those that are not there are left out."""
    found: list[Asset] = []
    for part in portions(rids):
        found += [_asset(row) for row in view.list_rows(tables.asset, tables.asset.c.rid.in_(part))]
    return found


def find_by_digest(view: View, digest: str) -> list[Asset]:
    """All assets with these bytes."""
    return [_asset(row) for row in view.list_rows(tables.asset, tables.asset.c.digest == digest)]


def find_by_digests(view: View, digests: Sequence[str]) -> list[Asset]:
    """All assets with any of these bytes."""
    found: list[Asset] = []
    for part in portions(digests):
        found += [_asset(row) for row in view.list_rows(tables.asset, tables.asset.c.digest.in_(part))]
    return found


def find_series(view: View, name: str, *, before: Rid | None = None) -> Asset | None:
    """The newest series of a name, or the newest one older than `before`; None if there is none."""
    asset = tables.asset
    older = [asset.c.rid < before] if before is not None else []
    rows = view.list_rows(asset, asset.c.name == name, asset.c.kind == SERIES, *older)
    return _asset(rows[-1]) if rows else None


def list_files(view: View, series: Rid) -> list[tuple[str, str, int]]:
    """The files of a series: path, digest, bytes, by path."""
    selected = _select_files(view, [series]).subquery()
    listed = sa.select(selected.c.path, selected.c.digest, selected.c.size).order_by(selected.c.ordinal)
    return list(read_tuples(view, listed))


def map_digests(view: View, series: Rid) -> dict[str, str]:
    """The digest of each file of a series, by path."""
    selected = _select_files(view, [series]).subquery()
    return dict(read_tuples(view, sa.select(selected.c.path, selected.c.digest)))


def find_differences(view: View, one: Rid, other: Rid) -> list[tuple[Rid, str]]:
    """The files that only one of two series has, bytes and all: which series, and the path."""
    both = _select_files(view, [one, other])
    files = both.subquery()
    last = sa.func.max(files.c.ordinal) + 1
    sizes = view.rows(sa.select(sa.func.count(), last).group_by(files.c.subject).order_by(files.c.subject))
    # Two that have equally many, none missing between them, for erased rows leave gaps: most stand where they stood.
    if len(sizes) == len({one, other}) and len({*sizes[0], *sizes[-1]}) == 1:
        header = schema.batch_header
        old, new = (both.where(header.c.subject == series).subquery() for series in (one, other))
        moved = sa.or_(old.c.digest != new.c.digest, old.c.path != new.c.path)
        pairs = sa.select(old.c.path, old.c.digest, new.c.path, new.c.digest).where(moved)
        found = read_tuples(view, pairs.join_from(old, new, old.c.ordinal == new.c.ordinal).limit(MOVED))
        if len(found) < MOVED:
            before, after = {row[:2] for row in found}, {row[2:] for row in found}
            return [(one, path) for path, _ in before - after] + [(other, path) for path, _ in after - before]
    alone = sa.select(sa.func.min(files.c.subject), files.c.path).group_by(files.c.path, files.c.digest)
    return list(read_tuples(view, alone.having(sa.func.count() == 1)))


def _select_files(view: View, series: Sequence[Rid]) -> sa.Select[Any]:
    """The rows of series, which are looked up among the retired, row by row, only if one of them is there."""
    file, header, gone = tables.asset_file, schema.batch_header, schema.retired
    theirs = sa.and_(view.visible(header), header.c.name == file.name, header.c.subject.in_(series))
    retired = sa.select(gone.c.rid).join(header, header.c.rid == gone.c.batch).where(theirs, view.visible(gone))
    if view.first(retired.limit(1)) is not None:
        return view.live_batches(file).where(header.c.subject.in_(series))
    return sa.select(file, header.c.subject).join(header, header.c.rid == file.c.batch).where(theirs)


def add_assets(tx: Transaction, rows: Sequence[dict[str, Any]]) -> None:
    """New assets; bytes of those without a reference must be in the blob store already."""
    if not rows:
        return
    tx.register(Kind.ASSET, [row["rid"] for row in rows])
    tx.insert(tables.asset, [{"files": 1, **row} for row in rows])
    if len(rows) <= MANY:
        # Thousands of pictures named after their entity are found through the entity.
        documents = [Document(row["rid"], Kind.ASSET, row["name"], row.get("description") or "") for row in rows]
        put(tx.connection, documents, new=True)


def _asset(row: sa.Row[Any]) -> Asset:
    return Asset(
        row.rid,
        row.name,
        row.kind,
        row.digest,
        row.size,
        row.media_type,
        row.reference,
        row.files,
        row.description,
    )
