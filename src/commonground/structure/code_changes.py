"""What of a working tree is not as in its last commit, and which files git does not track.

Changed text files are kept as differences; changed notebooks and files that a merge left undecided are kept whole.
A notebook whose outputs alone changed has not changed.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

from commonground.structure import git
from commonground.structure.code_files import LEFT_OUT, Gathering, KeptFile, recorded_form, shown
from commonground.structure.patches import Patch, read_patches
from commonground.structure.screen import Removal, screen

SCREENED: Final = "screened-"
"""Begins the id of a file of which something was screened; the SHA-256 of what is left follows."""
_SUBMODULE: Final = "160000"
_SHA1_LENGTH = 40
_FOLDERS_ALONE = 20
_LEAST_SECONDS = 0.5


@dataclass(slots=True)
class Changed:
    """The tree of tracked files as they are, and what is not as in the commit."""

    tree: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Mode and id of each tracked file, by path."""
    patches: list[Patch] = field(default_factory=list)
    """The screened differences, by path."""
    removed: list[tuple[str, Removal]] = field(default_factory=list)
    """What the screen took out of them."""
    dirty: bool = False
    """Whether anything differs."""
    algorithm: str = "sha1"
    """How the repository makes its ids."""

    @classmethod
    def of(cls, tree: Mapping[str, tuple[str, str]], tracked: Mapping[str, tuple[str, str]]) -> Changed:
        """A tree in which nothing differs yet; ids are made as those of the tracked files are."""
        _, example = next(iter(tracked.values()), ("", ""))
        return cls(dict(tree), algorithm="sha256" if len(example) > _SHA1_LENGTH else "sha1")

    def add(self, patch: Patch, mode: str, old_id: str) -> None:
        """Take the differences of one file; if the screen takes something needed, its id is that of the rest."""
        clean = screen(patch.text)
        needed = patch.added_lines() if clean.removed else set()
        name = screen(shown(patch.path)).text
        self.removed += [(name, removal) for removal in clean.removed]
        kept = Patch(patch.path, clean.text)
        told = patch.submodule or patch.new_id or old_id
        if any(removal.line in needed for removal in clean.removed):
            kept = kept.without_new_id()
            told = SCREENED + hashlib.sha256(kept.text.encode()).hexdigest()
        self.patches.append(kept)
        if not patch.is_deletion:
            self.tree[patch.path] = (mode, told)


def gather_changes(
    root: Path, changes: Iterable[git.Change], tracked: Mapping[str, tuple[str, str]], gathering: Gathering
) -> Changed:
    """The tracked files as they are; what is kept whole and what is not kept goes into `gathering`."""
    changed = Changed.of(tracked, tracked)
    by_lines: dict[str, git.Change] = {}
    notebooks: dict[str, git.Change] = {}
    for change in changes:
        path = change.path.decode("utf-8", "surrogateescape")
        changed.tree.pop(path, None)
        if change.gone or _SUBMODULE in {change.mode, change.old_mode}:
            by_lines[path] = change
        elif change.conflict:
            changed.dirty = True
            _keep_whole(path, change, gathering, changed)
        elif path.lower().endswith(".ipynb") and change.mode.startswith("100"):
            notebooks[path] = change
        elif _may_read(path, change, gathering, changed):
            by_lines[path] = change
    _add_notebooks(root, notebooks, gathering, changed)
    _add_patches(root, by_lines, gathering, changed)
    return changed


def list_untracked(gathering: Gathering) -> list[str]:
    """Untracked and not ignored files; folders that are too full or take too long are given up by name."""
    deadline = time.monotonic() + gathering.limits.seconds
    top = _names(gathering, "", collapsed=True, deadline=deadline)
    files = [name for name in top if not name.endswith("/")]
    folders = [name for name in top if name.endswith("/")]
    alone = [[folder] for folder in folders[:_FOLDERS_ALONE]]
    together = folders[_FOLDERS_ALONE:]
    for some in [*alone, together] if together else alone:
        found = _names(gathering, *some, collapsed=False, deadline=deadline)
        files += [name for name in found if not name.endswith("/")]
    gathering.looked_at.update(folders_of(files), _folders_below(gathering, folders))
    return files


def _folders_below(gathering: Gathering, folders: list[str]) -> Iterator[str]:
    """Untracked folders and those in them, also those that hold nothing yet: a file may be made there."""
    queue = deque(folder.rstrip("/") for folder in folders)
    left = gathering.limits.most_names
    while queue and left > 0:
        folder = queue.popleft()
        yield folder
        try:
            with os.scandir(gathering.root / folder) as entries:
                for entry in islice(entries, left):
                    left -= 1
                    if entry.is_dir(follow_symlinks=False) and entry.name not in LEFT_OUT:
                        queue.append(f"{folder}/{entry.name}")
        except OSError:
            continue


def folders_of(paths: Iterable[str]) -> set[str]:
    """All folders above the paths, `.` for the root."""
    folders = {"."}
    for path in paths:
        folder = posixpath.dirname(path)
        while folder and folder not in folders:
            folders.add(folder)
            folder = posixpath.dirname(folder)
    return folders


def _names(gathering: Gathering, *below: str, collapsed: bool, deadline: float) -> list[str]:
    """Untracked names below folders, without caches; other repositories are named as not kept."""
    answer = git.list_untracked(
        gathering.root,
        collapsed=collapsed,
        below=[folder.encode("utf-8", "surrogateescape") for folder in below if folder],
        most=gathering.limits.most_names,
        seconds=max(_LEAST_SECONDS, deadline - time.monotonic()),
    )
    names = answer.output.decode("utf-8", "surrogateescape").split("\0")[:-1]
    if not answer.complete:
        gathering.give_up(below[0])
    return list(_without_other_repositories(gathering, names, collapsed=collapsed))


def _without_other_repositories(gathering: Gathering, names: list[str], *, collapsed: bool) -> Iterator[str]:
    for name in names:
        if not LEFT_OUT.isdisjoint(name.split("/")):
            continue
        if name.endswith("/") and (not collapsed or (gathering.root / name / ".git").exists()):
            gathering.refuse(name, 0, "another repository")
        else:
            yield name


def _may_read(path: str, change: git.Change, gathering: Gathering, changed: Changed) -> bool:
    """Whether the differences of a file are asked for; if not, size and time stand for its content."""
    size = _size_of(gathering.root / path)
    reason = "" if size <= gathering.limits.total else f"larger than {gathering.limits.total} bytes"
    reason = reason or ("" if gathering.spend(size) else "more than is kept in all")
    if reason:
        changed.dirty = True
        changed.tree[path] = (change.mode, _unread(gathering.root / path))
        gathering.refuse(path, size, reason, tracked=True)
    return not reason


def _size_of(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _unread(path: Path) -> str:
    try:
        about = path.lstat()
    except OSError:
        return "unread"
    return f"unread-{about.st_size}-{about.st_mtime_ns}"


def _keep_whole(path: str, change: git.Change, gathering: Gathering, changed: Changed) -> KeptFile | None:
    file = gathering.offer(path, tracked=True)
    if file is None:
        changed.tree[path] = (change.mode, _unread(gathering.root / path))
    return file


def _add_notebooks(root: Path, notebooks: Mapping[str, git.Change], gathering: Gathering, changed: Changed) -> None:
    known = {path: change for path, change in notebooks.items() if not change.new and change.old_mode.startswith("100")}
    olds = dict(zip(known, git.read_blobs(root, (change.old_id for change in known.values())), strict=True))
    for path, change in notebooks.items():
        old = recorded_form(path, olds[path], change.mode) if path in olds else None
        file = _keep_whole(path, change, gathering, changed)
        if old is not None and file is not None and old.text == file.text and change.mode == change.old_mode:
            del gathering.kept[path]
            changed.tree[path] = (change.old_mode, change.old_id)
        else:
            changed.dirty = True


def _add_patches(root: Path, by_lines: Mapping[str, git.Change], gathering: Gathering, changed: Changed) -> None:
    raw = [change.path for change in by_lines.values()]
    diff = git.read_diffs(root, raw, gathering.limits.file) if raw else b""
    patches = {patch.path: patch for patch in read_patches(diff)}
    for path, change in by_lines.items():
        patch = patches.get(path)
        if patch is None:
            if not (change.new or change.gone):
                changed.tree[path] = (change.old_mode, change.old_id)
            continue
        changed.dirty = True
        if patch.is_text and (patch.is_deletion or not patch.is_binary):
            changed.add(patch, change.mode, change.old_id)
            if patch.submodule and patch.submodule.endswith("-dirty"):
                gathering.refuse(path, 0, "a submodule with changes that are not committed", tracked=True)
            continue
        if not patch.is_deletion:
            changed.tree[path] = (change.mode, patch.new_id or change.old_id)
        gathering.refuse(path, _size_of(gathering.root / path), "not text", tracked=True)
