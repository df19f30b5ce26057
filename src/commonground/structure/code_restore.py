"""Recorded code laid out again in a new folder: the commit, its differences, and the files that were kept.

The tree digest of what was laid out is compared with the recorded one, so that either exactly the recorded code is
there or nothing is. What was screened or not kept cannot be laid out; it is named.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from commonground.errors import Conflict, NotReproducible, UnsafePath
from commonground.store.containment import Inside, split_name, split_names
from commonground.structure import git
from commonground.structure.code_files import EXECUTABLE, LINK, Limits, recorded_form
from commonground.structure.code_state import CodeState, capture, tree_digest
from commonground.structure.patches import read_patches

MOST_NAMED: Final = 20
_SUBMODULE = "160000"
_GENEROUS = Limits(file=1 << 30, total=1 << 40, files=1 << 20, looked_at=1 << 20, seconds=600)


def find_missing(state: CodeState, *, tolerate_untracked: bool = False) -> list[str]:
    """What would be needed to lay out the code and is not on record, as sentences; empty if nothing is missing.

    `tolerate_untracked`: untracked files that were not kept (data, outputs, large files) do not count.
    """
    needed = {patch.path: patch.added_lines() for patch in read_patches(state.diff.encode())}
    missing = [
        f"{path}: line {removal.line} of its differences held a {removal.kind}, which was removed"
        for path, removal in state.diff_removed
        if removal.line in needed.get(path, {removal.line})
    ]
    missing += [
        f"{file.path}: line {removal.line} held a {removal.kind}, which was removed"
        for file in state.kept
        for removal in file.removed
    ]
    missing += [f"{one.path}: {one.reason}" for one in state.not_kept if one.tracked or not tolerate_untracked]
    unnamed = state.not_kept_count - len(state.not_kept)
    if not tolerate_untracked and (unnamed > 0 or not state.counted_all):
        missing.append(f"{'at least ' if not state.counted_all else ''}{max(unnamed, 1)} more files that are not named")
    if state.entry is not None and not state.entry.inside:
        missing.append(f"{state.entry.path}: the file that was started lies outside the folder of the code")
    if state.commit is None and not state.kept:
        missing.append("no file was kept")
    return missing


def restore(
    state: CodeState, destination: Path, *, source: Path | None = None, tolerate_untracked: bool = False
) -> None:
    """Lay out the code in `destination`, which must be empty or not there, and check its tree digest.

    `source` is a local repository with the commit; if not given, the one where the state was captured. Untracked files
    that were not kept are passed over if `tolerate_untracked`. Raises NotReproducible, naming what is missing, and
    Conflict if the folder is not empty; then no folder is left.
    """
    missing = find_missing(state, tolerate_untracked=tolerate_untracked)
    if missing:
        more = [f"and {len(missing) - MOST_NAMED} more"] if len(missing) > MOST_NAMED else []
        raise NotReproducible(
            "The code of this run was not kept whole.",
            todo="Commit such files before a run that must be repeated, or run it where they still are.",
            faults=[*missing[:MOST_NAMED], *more],
        )
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise Conflict(f"The folder {destination} is not empty.", todo="Choose a folder that is not there yet.")
    destination.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".restoring-", dir=destination.parent))
    try:
        folder = work / "code"
        tree = _lay_out_snapshot(state, folder) if state.commit is None else _lay_out_commit(state, folder, source)
        if tree != state.tree:
            raise NotReproducible(
                "The code that was laid out is not the recorded code: its tree digest differs.",
                todo="Run `cg verify`; if the record is intact, a setting of git (line ends, filters) has changed.",
            )
        folder.rename(destination)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _lay_out_commit(state: CodeState, folder: Path, source: Path | None) -> str:
    """Check out the commit, apply the differences, add the kept files; the tree digest of the result."""
    if source is None and state.place is not None:
        source = Path(state.place.root)
    if source is None or state.commit is None:
        raise NotReproducible(
            f"It is not known where a copy of {state.repository or 'the repository'} is.",
            todo="Name a local repository that has the commit.",
        )
    patches = [patch for patch in read_patches(state.diff.encode()) if patch.path]
    try:
        git.check_out(source, state.commit, folder)
        git.set_remote(folder, state.repository)
        moved = {patch.path: patch.submodule for patch in patches if patch.submodule}
        gone = {patch.path for patch in patches if patch.is_deletion}
        _check_out_submodules(source, folder, moved, gone)
        files = [patch for patch in patches if not patch.submodule]
        olds = [patch.path for patch in files if not (patch.is_new or patch.is_deletion)]
        bases = dict(zip(olds, git.read_blobs(folder, [f"{state.commit}:{path}" for path in olds]), strict=True))
    except git.GitSilent as silence:
        raise NotReproducible(
            f"Commit {state.commit} cannot be laid out from {source}: {silence}.",
            todo="Fetch the commit into a local repository and name that.",
        ) from silence
    contents: dict[str, tuple[str, bytes]] = {
        patch.path: (patch.mode or _mode_of(folder / patch.path), patch.apply(bases.get(patch.path, b"")))
        for patch in files
        if not patch.is_deletion
    }
    contents |= {file.path: (file.mode, file.text.encode()) for file in state.kept}
    _remove(
        folder, {patch.path for patch in files if not patch.is_new} | (contents.keys() & _present(folder, contents))
    )
    _write(folder, contents)
    _stage(
        folder, [*(patch.path for patch in files if patch.is_new), *(file.path for file in state.kept if file.tracked)]
    )
    entry = None if state.entry is None else folder / state.entry.path
    return capture(folder, entry, limits=_GENEROUS).tree


def _stage(folder: Path, paths: Sequence[str]) -> None:
    """Make files tracked again that were tracked but not committed."""
    if paths:
        git.ask_all(folder, "add", "--force", "--", *(path.encode() for path in paths))


def _lay_out_snapshot(state: CodeState, folder: Path) -> str:
    """Write the kept files; the tree digest over them as they are then on the disk."""
    folder.mkdir()
    _write(folder, {file.path: (file.mode, file.text.encode()) for file in state.kept})
    forms = {}
    for file in state.kept:
        path = folder / file.path
        data = os.fsencode(path.readlink()) if file.mode == LINK else path.read_bytes()
        forms[file.path] = recorded_form(file.path, data, file.mode)
    trees = [
        tree_digest({path: (form.mode, form.blob_id(algorithm)) for path, form in forms.items() if form is not None})
        for algorithm in ("sha1", "sha256")
    ]
    return state.tree if state.tree in trees else trees[0]


def _check_out_submodules(source: Path, folder: Path, moved: Mapping[str, str], gone: set[str]) -> None:
    """Lay out each submodule that is there in the source, at the commit it was at."""
    for raw, (mode, commit) in git.list_tracked(folder).items():
        path = os.fsdecode(raw)
        if mode == _SUBMODULE and path not in gone and (source / path / ".git").exists():
            _refuse_git_folders(path)
            git.check_out(source / path, moved.get(path, commit), folder / path)
            _check_out_submodules(source / path, folder / path, {}, set())


def _remove(folder: Path, paths: set[str]) -> None:
    with Inside(folder) as inside:
        for path in sorted(paths):
            _refuse_git_folders(path)
            if (folder / path).is_dir() and not (folder / path).is_symlink():
                (folder / path).rmdir()  # a submodule that was taken out
            else:
                inside.remove(split_name(path))


def _present(folder: Path, paths: Mapping[str, object]) -> set[str]:
    return {path for path in paths if os.path.lexists(folder / path)}


def _write(folder: Path, contents: Mapping[str, tuple[str, bytes]]) -> None:
    """Write the files and then the links; never through a link, never outside the folder, never for git itself."""
    names = dict(zip(contents, split_names(contents), strict=True))
    for path in contents:
        _refuse_git_folders(path)
    with Inside(folder) as inside:
        for path in sorted(contents):
            mode, data = contents[path]
            if mode != LINK:
                with os.fdopen(inside.create(names[path], mode=0o755 if mode == EXECUTABLE else 0o644), "wb") as file:
                    file.write(data)
    for path in sorted(contents):
        mode, data = contents[path]
        if mode == LINK:
            _make_link(folder, path, os.fsdecode(data))


def _make_link(folder: Path, path: str, target: str) -> None:
    parent = (folder / path).parent
    parent.mkdir(parents=True, exist_ok=True)
    if not parent.resolve().is_relative_to(folder.resolve()):
        raise UnsafePath(f"A link stands in the way of {path}.", todo="Restore into an empty folder.")
    (folder / path).symlink_to(target)


def _refuse_git_folders(path: str) -> None:
    if any(part.lower().rstrip(". ") in {".git", "git~1"} for part in path.split("/")):
        raise UnsafePath(
            f"{path!r} would lie among the files of git itself.",
            todo="Nothing can be restored there; look at the recorded state with `cg show`.",
        )


def _mode_of(path: Path) -> str:
    if path.is_symlink():
        return LINK
    return EXECUTABLE if os.access(path, os.X_OK) else "100644"
