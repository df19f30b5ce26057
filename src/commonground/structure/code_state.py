"""The code of a run as it was: commit, differences, files that are not committed, and one digest over it all.

The tree digest is SHA-256 over `MODE ID PATH NUL`, sorted by path, of every tracked file as it is in the working
tree and every untracked file that is kept. ID is the blob id of git, so that committing a change does not alter the
digest. In its place stands, for what may not be guessed from a digest or is too large to read: the digest of the
screened text, or size and time. Outside a repository the files that are kept are the whole tree.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from commonground.errors import Corrupt, NotFound
from commonground.structure import git
from commonground.structure.code_changes import (
    SCREENED,
    Changed,
    folders_of,
    gather_changes,
    list_untracked,
)
from commonground.structure.code_files import Gathering, KeptFile, Limits, NotKept, recorded_form, shown, walk
from commonground.structure.screen import Removal, screen

_RECENT_NS: Final = 100_000_000
_ADDRESS = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:(?P<user>[^/@\s]*)@)?(?P<rest>.*)", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """The file that was started."""

    path: str
    """Path below the root; only the name if it lies outside."""
    digest: str | None
    """SHA-256 of its content as recorded; None if it cannot be read."""
    inside: bool
    """Whether it lies below the root."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where and when a state was captured: what is needed to see whether it still holds. Not part of the record."""

    root: str
    """The top folder on this machine."""
    watched: tuple[str, ...]
    """Files and folders whose change could change the state; below the root, or absolute."""
    fingerprint: str
    """Their fingerprint when the state was captured; empty if they changed meanwhile."""


@dataclass(frozen=True, slots=True)
class CodeState:
    """The code of a run."""

    repository: str | None
    """Address of the repository without user names and passwords; None outside one or without a remote."""
    commit: str | None
    """The commit that was checked out; None outside a repository or before the first commit."""
    branch: str | None
    """The branch; None if there is none."""
    dirty: bool
    """Whether tracked files differ from the commit."""
    tree: str
    """The tree digest."""
    entry: EntryPoint | None
    """The file that was started."""
    diff: str
    """The screened differences of tracked text files from the commit."""
    diff_removed: tuple[tuple[str, Removal], ...]
    """What the screen took out of the differences: path, and kind and line in the diff of that file."""
    kept: tuple[KeptFile, ...]
    """Files that are kept whole, by path: untracked ones, and changed ones of which no diff is kept."""
    not_kept: tuple[NotKept, ...]
    """Files that are not kept; of many, the first."""
    not_kept_count: int
    """How many files are not kept."""
    counted_all: bool
    """Whether `not_kept_count` is the whole number, or counting was given up."""
    notes: tuple[str, ...]
    """What else there is to say of how it was captured."""
    place: Place | None = field(default=None, compare=False, repr=False)
    """Where it was captured; not in the JSON."""

    @property
    def committed(self) -> bool:
        """Whether the commit alone gives this tree."""
        return self.commit is not None and not self.dirty and not self.kept and not self.not_kept

    def to_json(self) -> str:
        """The state as canonical JSON, without its place."""
        plain = asdict(replace(self, place=None))
        del plain["place"]
        return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> CodeState:
        """The state that `to_json` wrote; raises Corrupt for any other text."""
        try:
            return cls._read(json.loads(text))
        except (ValueError, TypeError, LookupError) as error:
            raise Corrupt("The record of the code of a run cannot be read.", todo="Run `cg verify`.") from error

    @classmethod
    def _read(cls, plain: dict[str, Any]) -> CodeState:
        entry = plain["entry"]
        kept = (
            KeptFile(**{**one, "removed": tuple(Removal(**removal) for removal in one["removed"])})
            for one in plain["kept"]
        )
        return cls(
            **{
                **plain,
                "entry": EntryPoint(**entry) if entry else None,
                "diff_removed": tuple((path, Removal(**removal)) for path, removal in plain["diff_removed"]),
                "kept": tuple(kept),
                "not_kept": tuple(NotKept(**one) for one in plain["not_kept"]),
                "notes": tuple(plain["notes"]),
            }
        )


def capture(folder: Path, entry: Path | None = None, *, limits: Limits | None = None) -> CodeState:
    """The state of the code in the repository that holds `folder`, or in the folder if there is none.

    `entry` is the file that was started; it is kept even if it is ignored. Of a folder that holds more than code (a
    home, the folder for temporary files, the root) only the folder of `entry` or `entry` itself is kept. Raises
    NotFound if there is no folder.
    """
    if not folder.is_dir():
        raise NotFound(f"There is no folder {folder}.", todo="Check the path.")
    folder = folder.resolve()
    started = time.time_ns()
    try:
        at = git.find_repository(folder)
        if at is not None:
            return _of_repository(at, entry, Gathering(at.root, limits or Limits()), started)
        note = "no repository"
    except git.GitSilent as silence:
        note = f"the repository could not be read: {silence}"
    return _of_folder(folder, entry, limits or Limits(), started, note)


def _of_folder(folder: Path, entry: Path | None, limits: Limits, started: int, note: str) -> CodeState:
    notes = [note]
    if _holds_more_than_code(folder) and entry is not None:
        folder = entry.parent.resolve()
    gathering = Gathering(folder, limits)
    _offer_entry(gathering, entry, ())
    if _holds_more_than_code(folder):
        notes.append("the folder holds more than code: only the file that was started is kept")
    else:
        gathering.offer_all(path for path in walk(gathering) if path not in gathering.kept)
    watched = tuple(sorted(gathering.looked_at))
    place = Place(str(folder), watched, fingerprint(str(folder), watched, started))
    return _state(gathering, entry, Changed(), place, git.Status(None, None, ()), None, tuple(notes))


def _holds_more_than_code(folder: Path) -> bool:
    """Whether a folder is the home of a person, one above it, or the folder for temporary files."""
    homes = {Path(tempfile.gettempdir()).resolve()}
    # An account may have no home.
    with contextlib.suppress(RuntimeError):
        homes.add(Path.home().resolve())
    return any(home.is_relative_to(folder) for home in homes)


def _of_repository(at: git.Repository, entry: Path | None, gathering: Gathering, started: int) -> CodeState:
    tracked = {path.decode("utf-8", "surrogateescape"): about for path, about in git.list_tracked(at.root).items()}
    untracked = list_untracked(gathering)
    status = git.read_status(at.root)
    if status.commit is None:
        # before the first commit there is nothing to differ from: all files are kept whole
        untracked = [*untracked, *tracked]
        changed = Changed.of({}, tracked)
    else:
        changed = gather_changes(at.root, status.changes, tracked, gathering)
    _offer_entry(gathering, entry, changed.tree)
    gathering.offer_all(path for path in untracked if path not in gathering.kept)
    watched = tuple(sorted({*_own_files(at), *tracked, *folders_of(tracked), *gathering.looked_at}))
    place = Place(str(at.root), watched, fingerprint(str(at.root), watched, started))
    remote = git.find_remote(at.root, status.branch)
    return _state(gathering, entry, changed, place, status, remote, ())


def _state(
    gathering: Gathering,
    entry: Path | None,
    changed: Changed,
    place: Place,
    status: git.Status,
    remote: str | None,
    notes: tuple[str, ...],
) -> CodeState:
    tree = changed.tree | {file.path: (file.mode, file.blob_id(changed.algorithm)) for file in gathering.kept.values()}
    return CodeState(
        repository=None if remote is None else without_credentials(remote),
        commit=status.commit,
        branch=None if status.branch is None else screen(status.branch).text,
        dirty=changed.dirty,
        tree=tree_digest(tree),
        entry=None if entry is None else _entry_point(gathering, entry, changed),
        diff="".join(f"{patch.text}\n" for patch in changed.patches),
        diff_removed=tuple(changed.removed),
        kept=tuple(gathering.kept[path] for path in sorted(gathering.kept)),
        not_kept=tuple(gathering.not_kept),
        not_kept_count=gathering.not_kept_count,
        counted_all=gathering.complete,
        notes=notes,
        place=place,
    )


def _offer_entry(gathering: Gathering, entry: Path | None, known: Container[str]) -> None:
    """Keep the file that was started, unless git has it."""
    path = None if entry is None else _inside(gathering.root, entry)
    if path is not None and path not in known and path not in gathering.kept:
        gathering.offer(path, wanted=True)


def _entry_point(gathering: Gathering, entry: Path, changed: Changed) -> EntryPoint:
    path = _inside(gathering.root, entry)
    name = screen(shown(path or entry.name)).text
    if path in gathering.kept:
        return EntryPoint(name, hashlib.sha256(gathering.kept[path].text.encode()).hexdigest(), inside=True)
    told = changed.tree.get(path or "", ("", ""))[1]
    if told.startswith(SCREENED):
        return EntryPoint(name, told.removeprefix(SCREENED), inside=True)
    try:
        data = entry.read_bytes() if entry.stat().st_size <= gathering.limits.total else None
    except OSError:
        data = None
    if data is None:
        return EntryPoint(name, None, inside=path is not None)
    form = recorded_form(entry.name, data, "")
    content = form.text.encode() if form and (path is None or form.outputs_dropped) else data
    return EntryPoint(name, hashlib.sha256(content).hexdigest(), inside=path is not None)


def _inside(root: Path, entry: Path) -> str | None:
    """The path of the entry point below the root; None if it lies elsewhere."""
    full = entry.parent.resolve() / entry.name
    return full.relative_to(root).as_posix() if full.is_relative_to(root) else None


def _own_files(at: git.Repository) -> Iterator[str]:
    """The files of git that say what is checked out and what is ignored."""
    for path in (at.folder / "HEAD", at.folder / "index", at.folder / "logs" / "HEAD"):
        yield str(path)
    for name in ("packed-refs", "config", "info/exclude"):
        yield str(at.common / name)
    try:
        head = (at.folder / "HEAD").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return
    if head.startswith("ref: refs/"):
        yield str(at.common / head[5:].strip())


def tree_digest(tree: Mapping[str, tuple[str, str]]) -> str:
    """SHA-256 over mode, id and path of each file, sorted by the bytes of the path."""
    digest = hashlib.sha256()
    entries = sorted((path.encode("utf-8", "surrogateescape"), about) for path, about in tree.items())
    for path, (mode, blob) in entries:
        digest.update(f"{mode} {blob} ".encode() + path + b"\0")
    return digest.hexdigest()


def without_credentials(address: str) -> str:
    """The address of a remote without password and query, and without user name unless it belongs to ssh."""
    found = _ADDRESS.fullmatch(address)
    if found is None:
        return screen(address).text
    user = found["user"].partition(":")[0] + "@" if found["user"] and "ssh" in found["scheme"] else ""
    return screen(f"{found['scheme']}://{user}{found['rest'].partition('?')[0]}").text


def is_current(state: CodeState) -> bool:
    """Whether nothing that could change the state has changed since it was captured; starts no process."""
    place = state.place
    return place is not None and bool(place.fingerprint) and fingerprint(place.root, place.watched) == place.fingerprint


def fingerprint(root: str, watched: Iterable[str], since: int | None = None) -> str:
    """A digest over size, times and number of each watched file and folder, as they are now.

    A change later than a tenth of a second before `since` (UTC nanoseconds; now, if not given) may have been seen or
    not: then the fingerprint is like no other.
    """
    parts: list[str] = []
    now = time.time_ns()
    settled = (now if since is None else since) - _RECENT_NS
    for path in watched:
        try:
            about = os.lstat(f"{root}/{path}" if path[:1] != "/" else path)
        except OSError:
            parts.append("-")
            continue
        if max(about.st_mtime_ns, about.st_ctime_ns) > settled:
            parts.append(str(now))
        parts.append(f"{about.st_mode} {about.st_ino} {about.st_size} {about.st_mtime_ns} {about.st_ctime_ns}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
