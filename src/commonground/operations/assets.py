"""Bringing files in as assets and getting them out again: a folder as one series, or each file by itself.

A series is the listing of its files, by path; its digest is that of the listing (columns path, digest, size, in the
order of the paths). The same folder delivered again under the same name changes nothing. Files that a stat cache knows
to be unchanged are not read; of a series that was delivered before only the files that are new are copied.

By reference means that the bytes stay where they are: the study keeps digests and the path.
"""

from __future__ import annotations

import mimetypes
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import eq
from pathlib import Path
from typing import Any

import numpy as np

from commonground.errors import InvalidInput, NotFound, count
from commonground.identity import Kind, Rid, show_rid
from commonground.operations.plans import Bulk, Plan, Reading
from commonground.operations.resolving import resolve
from commonground.store.blob_reading import Mode
from commonground.store.canonical import table_digest
from commonground.store.canonical_words import Column
from commonground.store.files import is_there
from commonground.store.ground import Ground
from commonground.store.stat_cache import StatCache
from commonground.store.transaction import Transaction
from commonground.structure import assets
from commonground.structure.assets import SERIES, Asset
from commonground.structure.file_listing import Listing, hash_files, list_folder
from commonground.structure.names import clean_name
from commonground.structure.screen_told import screen_file_names

SHOWN = 10
LOOKED_AT = 5_000
CACHE = "files.stat"
STORED, LEFT = "stored", "by reference"
TELLING = "this path is kept as it is; rename the file first if it tells of a person"


@dataclass(frozen=True, slots=True)
class FileChanges:
    """How one series differs from another."""

    old: Rid
    """The series that is compared with."""
    new: Rid
    """The series that is asked about."""
    added: tuple[str, ...]
    """Paths that only the new one has."""
    removed: tuple[str, ...]
    """Paths that only the old one has."""
    changed: tuple[str, ...]
    """Paths with other bytes."""
    same: int
    """How many files are the same."""


@dataclass(frozen=True, slots=True)
class CheckedOut:
    """What was written into a folder."""

    rid: Rid
    """The asset."""
    name: str
    """Its name."""
    folder: str
    """Where the files lie now."""
    files: int
    """How many of them."""


# ---------------------------------------------------------------- in


def plan_assets(
    on: Reading,
    *,
    path: Path | str,
    name: str | None = None,
    kind: str | None = None,
    each: bool = False,
    reference: bool = False,
    description: str | None = None,
) -> Plan:
    """Add a file, or a folder as one series; `each` makes an asset of every file of the folder.

    `reference` leaves the bytes where they are. All faults of names and files come at once.
    """
    source = Path(path)
    if not is_there(source):
        raise NotFound(f"There is no file or folder {source}.", todo="Check the path.")
    series = source.is_dir() and not each
    if kind is not None and (series or kind == SERIES):
        raise InvalidInput("A folder is a series, and a file is not.", todo="Say of what kind only files are.")
    if name is not None and each:
        raise InvalidInput("Each file has its own name.", todo="Leave the name out, or add the folder as one series.")
    listing = list_folder(source, leave_out=on.ground.folder)
    if not listing.paths:
        raise InvalidInput(
            f"There is no file in {source}.",
            faults=[f"left out: {one}" for one in listing.left_out],
            todo="Name a folder that has files.",
        )
    cache = StatCache(on.ground.cache_folder / CACHE)
    digests = hash_files(listing, cache, time.time_ns)
    if series:
        return _plan_series(on, listing, digests, name, reference=reference, description=description)
    return _plan_files(on, listing, digests, name, kind, reference=reference, description=description)


def _plan_series(
    on: Reading,
    listing: Listing,
    digests: Sequence[str],
    name: str | None,
    *,
    reference: bool,
    description: str | None,
) -> Plan:
    (title,) = screen_file_names([clean_name(name or listing.root.resolve().name, "series' name")])
    digest = digest_of_listing(listing.names, digests, listing.sizes)
    place = str(listing.root.resolve()) if reference else None
    before = assets.find_series(on.view, title)
    nothing = before is not None and before.digest == digest and before.reference == place
    rid, batch, plan = on.mint(3)
    fields = {
        "rid": rid,
        "name": title,
        "kind": SERIES,
        "digest": digest,
        "size": sum(listing.sizes),
        "media_type": None,
        "reference": place,
        "files": len(listing.names),
        "description": description,
    }
    stored_before: set[str] = set()
    effect: dict[str, Any] = {
        "adds": f"series {title}",
        "files": len(listing.names),
        "bytes": fields["size"],
        "kept": LEFT if reference else STORED,
    }
    if before is not None:
        # The same digest is the same listing, so its rows need not be read.
        now = dict(zip(listing.names, digests, strict=True))
        old = now if before.digest == digest else assets.map_digests(on.view, before.rid)
        effect |= _count_changes(old, now)
        if before.stored:
            stored_before.update(old.values())
    effect |= _look_at_paths(listing)
    rows: dict[str, Sequence[Any] | np.ndarray[Any, Any]] = {
        "path": listing.names,
        "digest": digests,
        "size": np.asarray(listing.sizes, np.int64),
    }
    return Plan(
        id=plan,
        verb="asset add",
        args={"assets": [fields], "batch": batch},
        at=on.view.change,
        anchors=(rid,),
        reads=(before.rid,) if before is not None else (),
        effect=effect,
        bulk=(Bulk(batch, "asset_file", rid, rows),),
        payload={} if reference or nothing else _to_keep(listing, digests, stored_before),
        nothing=nothing,
    )


def _look_at_paths(listing: Listing) -> dict[str, Any]:
    """What was left out, and paths in which the screen knows something; of many files some are looked at.

    A series is checked out under the paths that it has, so these are kept as they are.
    """
    looked_at = listing.names[:: 1 + len(listing.names) // LOOKED_AT]
    screened = zip(screen_file_names(looked_at), looked_at, strict=True)
    telling = [f"{TELLING}: {kept}" for kept, path in screened if kept != path]
    left_out = {"left out": list(listing.left_out[:SHOWN])} if listing.left_out else {}
    return {**left_out, **({"notes": telling[:SHOWN]} if telling else {})}


def _plan_files(
    on: Reading,
    listing: Listing,
    digests: Sequence[str],
    name: str | None,
    kind: str | None,
    *,
    reference: bool,
    description: str | None,
) -> Plan:
    titles = screen_file_names([clean_name(name or Path(one).name, "file's name") for one in listing.names])
    places = [str(Path(one).resolve()) if reference else None for one in listing.paths]
    there = assets.find_by_digests(on.view, sorted(set(digests)))
    known = {(one.name, one.digest, one.reference) for one in there}
    fresh = [row for row, one in enumerate(zip(titles, digests, places, strict=True)) if one not in known]
    rids = on.mint(len(fresh)) if fresh else range(0)
    rows = [
        {
            "rid": rid,
            "name": titles[row],
            "kind": kind or "file",
            "digest": digests[row],
            "size": listing.sizes[row],
            "media_type": mimetypes.guess_type(titles[row])[0],
            "reference": places[row],
            "files": 1,
            "description": description,
        }
        for rid, row in zip(rids, fresh, strict=True)
    ]
    few = len(rows) <= assets.MANY
    taken = Listing(
        listing.root,
        [listing.names[row] for row in fresh],
        [listing.paths[row] for row in fresh],
        [listing.sizes[row] for row in fresh],
    )
    new = [digests[row] for row in fresh]
    return Plan(
        id=on.mint()[0],
        verb="asset add",
        args={"assets": rows if few else len(rows), "batch": None},
        at=on.view.change,
        anchors=tuple(rids) if few else (),
        effect={
            "adds": titles[0] if len(titles) == 1 else count(len(rows), "file"),
            "files": len(rows),
            "there already": len(titles) - len(rows),
            "bytes": sum(taken.sizes),
            "kept": LEFT if reference else STORED,
        },
        payload={"assets": rows, **({} if reference else _to_keep(taken, new, set()))},
        nothing=not rows,
    )


def _count_changes(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, int]:
    """How many files were added, removed and changed; digests by path."""
    before = list(map(old.get, new))
    added, same = before.count(None), sum(map(eq, before, new.values()))
    return {"added": added, "removed": len(old) - len(new) + added, "changed": len(new) - added - same}


def _to_keep(listing: Listing, digests: Sequence[str], there: set[str]) -> dict[str, Any]:
    """What the blob store has to take in, and what it must have already."""
    fresh = [row for row, digest in enumerate(digests) if digest not in there]
    return {
        "paths": [listing.paths[row] for row in fresh],
        "digests": [digests[row] for row in fresh],
        "there": [digest for digest in digests if digest in there],
    }


def stage_assets(ground: Ground, plan: Plan, *, progress: Callable[[int, int], None] | None = None) -> None:
    """Keep the files that are new, durable with one sync for all; refuse if one of them changed meanwhile."""
    paths: Sequence[str] = plan.payload.get("paths", ())
    kept = ground.blobs.put_files(paths, progress=progress) if paths else []
    changed = [
        path
        for path, wanted, info in zip(paths, plan.payload.get("digests", ()), kept, strict=True)
        if info.digest != wanted
    ]
    if changed:
        raise InvalidInput(
            f"{len(changed)} files changed while they were being added.", faults=changed[:SHOWN], todo="Add them again."
        )
    there = set(plan.payload.get("there", ()))
    missing = there - ground.blobs.has_many(there)
    if missing:
        raise NotFound(
            f"{len(missing)} files of the series before this one are not in the store any more.",
            todo="`cg verify` tells what is missing; add the folder under another name to store all of it anew.",
        )


def apply_assets(tx: Transaction, plan: Plan, _staged: None) -> None:
    """Write the assets; the listing of a series is its batch."""
    told = plan.args["assets"]
    rows = told if isinstance(told, list) else plan.payload["assets"]
    assets.add_assets(tx, rows)


def digest_of_listing(names: Sequence[str], digests: Sequence[str], sizes: Sequence[int]) -> str:
    """The digest of a series: of its files' paths, digests and sizes, in the order given."""
    columns = [
        Column("path", "text", list(names)),
        Column("digest", "text", list(digests)),
        Column("size", "int", np.asarray(sizes, np.int64)),
        Column("ordinal", "int", np.arange(len(names))),
    ]
    return table_digest(columns, ["ordinal"])


# ---------------------------------------------------------------- looking, and out again


def pick_asset(on: Reading, given: Rid | str) -> Asset:
    """The asset that a rid or a word means; of several series of one name the newest. Raises NotFound or Ambiguous."""
    if isinstance(given, int):
        return assets.get_asset(on.view, given)
    series = assets.find_series(on.view, given)
    if series is not None:
        return series
    found = resolve(on.view, given)
    if found.kind is not Kind.ASSET:
        raise NotFound(f"{given!r} is no asset but a {found.kind}.", todo="`cg find` searches by name.")
    return assets.get_asset(on.view, found.rid)


def read_files(on: Reading, *, asset: Rid | str) -> list[dict[str, Any]]:
    """The files of a series, or the one file of any other asset: path, digest, bytes."""
    return [{"path": path, "digest": digest, "bytes": size} for path, digest, size in _files(on, pick_asset(on, asset))]


def read_changes(on: Reading, *, asset: Rid | str, before: Rid | str | None = None) -> FileChanges:
    """How a series differs from another one: by default from the one of the same name that was added before it."""
    new = pick_asset(on, asset)
    old = pick_asset(on, before) if before is not None else assets.find_series(on.view, new.name, before=new.rid)
    if old is None:
        raise NotFound(f"There is no series {new.name!r} before {show_rid(new.rid)}.", todo="Name another one.")
    if not old.series or not new.series:
        raise InvalidInput("Only series are compared file by file.", todo="Two files differ if their digests do.")
    alone = assets.find_differences(on.view, old.rid, new.rid) if old.rid != new.rid else []
    theirs = {path for rid, path in alone if rid == old.rid}
    ours = {path for rid, path in alone if rid == new.rid}
    return FileChanges(
        old.rid,
        new.rid,
        added=tuple(sorted(ours - theirs)),
        removed=tuple(sorted(theirs - ours)),
        changed=tuple(sorted(ours & theirs)),
        same=new.files - len(ours),
    )


def read_checked_out(
    on: Reading,
    *,
    asset: Rid | str,
    folder: Path | str,
    match: Sequence[str] = (),
    mode: Mode = "reflink",
) -> CheckedOut:
    """Write the files of an asset, checked, into a folder, which is made; files there with other bytes are refused.

    `match` takes only paths that begin with one of these words.
    """
    found = pick_asset(on, asset)
    if not found.stored:
        raise InvalidInput(
            f"The bytes of {found.name} are not stored here.", todo=f"They lie where they were: {found.reference}."
        )
    wanted = [(path, digest) for path, digest, _ in _files(on, found) if not match or path.startswith(tuple(match))]
    if not wanted:
        raise NotFound(
            f"{found.name} has no file whose path begins with {' or '.join(match)}.",
            todo="Leave the match out to have all files, or give the beginning of a path as the series lists it.",
        )
    cache = StatCache(on.ground.cache_folder / CACHE) if Path(folder).is_dir() else None
    done = on.ground.blobs.check_out(wanted, Path(folder), mode=mode, cache=cache)
    return CheckedOut(found.rid, found.name, str(folder), done)


def _files(on: Reading, asset: Asset) -> list[tuple[str, str, int]]:
    if asset.series:
        return assets.list_files(on.view, asset.rid)
    return [(asset.name, asset.digest, asset.size)]
