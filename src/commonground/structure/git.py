"""Reads from a git repository.

Each question is one process without a shell, locks, hooks, pagers, external diffs, file system monitors or network,
and with a limit on time and on what it may say. Paths are bytes, as git and the file system have them.
"""

from __future__ import annotations

import os
import select
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

PATIENCE: Final = 30.0
MOST_OUTPUT: Final = 512 * 1024 * 1024
_ARGUMENTS = 100_000
_CHUNK = 1 << 16
_NOT_OURS = {
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_DIFF_OPTS", "GIT_DIR", "GIT_EXTERNAL_DIFF",
    "GIT_GLOB_PATHSPECS", "GIT_ICASE_PATHSPECS", "GIT_INDEX_FILE", "GIT_INDEX_VERSION", "GIT_LITERAL_PATHSPECS",
    "GIT_NAMESPACE", "GIT_NOGLOB_PATHSPECS", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE", "GIT_TRACE", "GIT_WORK_TREE",
}  # fmt: skip
_SETTINGS = (
    "core.fsmonitor=false", "core.hooksPath=/dev/null", "core.quotePath=false", "protocol.allow=never",
    "protocol.file.allow=always", "submodule.recurse=false", "advice.detachedHead=false", "gc.auto=0",
    "maintenance.auto=false",
)  # fmt: skip


class GitSilent(Exception):
    """Git gave no answer: it is not there, refused, or took too long; the text says which."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What git said."""

    output: bytes
    """Its standard output, as far as it was read."""
    complete: bool
    """Whether that is all."""


@dataclass(frozen=True, slots=True)
class Repository:
    """Where a repository is."""

    root: Path
    """The top folder of the working tree."""
    folder: Path
    """The folder of this working tree's HEAD and index."""
    common: Path
    """The folder of the refs that all working trees share."""


@dataclass(frozen=True, slots=True)
class Change:
    """A tracked file that is not as in the last commit."""

    path: bytes
    """Path below the root."""
    mode: str
    """Mode in the working tree; 000000 if it is gone."""
    old_mode: str
    """Mode in the commit; 000000 if it is new."""
    old_id: str
    """Blob id in the commit."""
    conflict: bool = False
    """Whether a merge left it undecided."""

    @property
    def gone(self) -> bool:
        """Whether the file is not in the working tree."""
        return not set(self.mode) - {"0"}

    @property
    def new(self) -> bool:
        """Whether the file is not in the commit."""
        return not set(self.old_mode) - {"0"}


@dataclass(frozen=True, slots=True)
class Status:
    """Commit, branch, and what is not as in the commit."""

    commit: str | None
    """The commit; None before the first one."""
    branch: str | None
    """The branch; None if HEAD is detached."""
    changes: tuple[Change, ...]
    """Changed tracked files, by path."""


def ask(
    folder: Path,
    *words: str | bytes,
    stdin: bytes = b"",
    seconds: float = PATIENCE,
    most: int = MOST_OUTPUT,
    separators: int | None = None,
) -> Answer:
    """What `git -C folder WORDS` says; stops reading after `most` bytes, `separators` NUL bytes or `seconds`.

    Raises GitSilent if git is not there or ends with an error before the limits.
    """
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    command = ["git", "--no-pager", "--literal-pathspecs", *settings, "-C", str(folder), *words]
    with tempfile.TemporaryFile() as given:
        given.write(stdin)
        given.seek(0)
        try:
            process = subprocess.Popen(
                command, stdin=given, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_environment()
            )
        except OSError as error:
            raise GitSilent("git is not installed") from error
    with process:
        answer = _listen(cast("IO[bytes]", process.stdout).fileno(), time.monotonic() + seconds, most, separators)
        if not answer.complete:
            process.kill()
    if answer.complete and process.returncode != 0:
        raise GitSilent(f"git {os.fsdecode(words[0])} ended with status {process.returncode}")
    return answer


def ask_all(folder: Path, *words: str | bytes, stdin: bytes = b"") -> bytes:
    """The whole answer of git; raises GitSilent also if it is too long or too late."""
    answer = ask(folder, *words, stdin=stdin)
    if not answer.complete:
        raise GitSilent(f"git {os.fsdecode(words[0])} took too long")
    return answer.output


def find_repository(folder: Path) -> Repository | None:
    """The repository that holds a folder; None if there is none. Raises GitSilent if git cannot say."""
    if not any((place / ".git").exists() for place in (folder, *folder.parents)):
        return None
    words = ("--show-toplevel", "--absolute-git-dir", "--git-common-dir")
    lines = [Path(os.fsdecode(line)) for line in ask_all(folder, "rev-parse", *words).split(b"\n")[:-1]]
    if len(lines) != len(words):
        raise GitSilent("the name of a folder has a line end in it")
    return Repository(lines[0], lines[1], (folder / lines[2]).resolve())


def read_status(root: Path) -> Status:
    """Commit, branch and changed tracked files; untracked files are not looked for."""
    words = ("--porcelain=v2", "--branch", "-z", "-uno", "--no-renames", "--no-ahead-behind")
    commit = branch = None
    changes: list[Change] = []
    for line in ask_all(root, "status", *words, "--ignore-submodules=untracked").split(b"\0"):
        if line.startswith(b"# branch.oid ") and b"(" not in line:
            commit = line[13:].decode()
        elif line.startswith(b"# branch.head ") and line[14:] != b"(detached)":
            branch = line[14:].decode("utf-8", "backslashreplace")
        elif line.startswith(b"1 "):
            _, _, _, old_mode, _, mode, old_id, _, path = line.split(b" ", 8)
            changes.append(Change(path, mode.decode(), old_mode.decode(), old_id.decode()))
        elif line.startswith(b"u "):
            _, _, _, _, old_mode, _, mode, _, old_id, _, path = line.split(b" ", 10)
            changes.append(Change(path, mode.decode(), old_mode.decode(), old_id.decode(), conflict=True))
    return Status(commit, branch, tuple(sorted(changes, key=lambda change: change.path)))


def list_tracked(root: Path) -> dict[bytes, tuple[str, str]]:
    """Mode and blob id of each file in the index, by path; of a file in conflict, one of its stages."""
    tracked: dict[bytes, tuple[str, str]] = {}
    for line in ask_all(root, "ls-files", "--stage", "-z").split(b"\0"):
        if line:
            about, _, path = line.partition(b"\t")
            mode, blob, _ = about.decode().split(" ")
            tracked.setdefault(path, (mode, blob))
    return tracked


def read_diffs(root: Path, paths: Iterable[bytes], large: int) -> bytes:
    """The differences of the paths against the last commit; files above `large` bytes count as binary."""
    words = (
        "-p", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--full-index", "--unified=3",
        "--src-prefix=a/", "--dst-prefix=b/", "--submodule=short", "--irreversible-delete",
        "--ignore-submodules=untracked", "HEAD", "--",
    )  # fmt: skip
    threshold = ("-c", f"core.bigFileThreshold={large}")
    return b"".join(ask_all(root, *threshold, "diff-index", *words, *some) for some in _in_batches(paths))


def list_untracked(root: Path, *, collapsed: bool, below: Iterable[bytes] = (), most: int, seconds: float) -> Answer:
    """Untracked and not ignored names, each ended by NUL; `collapsed`: a folder of nothing else is one name and `/`."""
    flags = ("--directory",) if collapsed else ()
    words = ("--others", "--exclude-standard", "-z", *flags, "--")
    return ask(root, "ls-files", *words, *below, seconds=seconds, separators=most)


def read_blobs(root: Path, names: Iterable[str]) -> list[bytes]:
    """The contents of blobs, named by id or as COMMIT:PATH; raises GitSilent if one is not there."""
    names = list(names)
    said = ask_all(root, "cat-file", "--batch", stdin="".join(f"{name}\n" for name in names).encode()) if names else b""
    found: list[bytes] = []
    place = 0
    for name in names:
        end = said.index(b"\n", place)
        head = said[place:end].split(b" ")
        if head[-1] == b"missing" or head[-2] != b"blob":
            raise GitSilent(f"git does not have {name}")
        size = int(head[-1])
        found.append(said[end + 1 : end + 1 + size])
        place = end + 1 + size + 1
    return found


def find_remote(root: Path, branch: str | None) -> str | None:
    """The address of the remote that the branch follows, or of origin, or of the only one; None if there is none."""
    try:
        said = ask_all(root, "config", "-z", "--get-regexp", r"^(remote\..*\.url|branch\..*\.remote)$")
    except GitSilent:
        return None
    pairs = (entry.decode("utf-8", "backslashreplace").partition("\n") for entry in said.split(b"\0") if entry)
    settings = {key: value for key, _, value in pairs}
    remotes = {key[7:-4]: value for key, value in settings.items() if key.startswith("remote.")}
    followed = settings.get(f"branch.{branch}.remote", "")
    only = next(iter(remotes.values())) if len(remotes) == 1 else None
    return remotes.get(followed) or remotes.get("origin") or only


def check_out(source: Path, commit: str, folder: Path) -> None:
    """Lay out a commit of a local repository in a new folder, as a repository of its own.

    Raises GitSilent if the repository is not there or does not have the commit.
    """
    ask_all(
        source,
        "clone",
        "--quiet",
        "--no-hardlinks",
        "--no-checkout",
        "--no-tags",
        "--template=",
        "--",
        ".",
        str(folder),
    )
    ask_all(folder, "checkout", "--quiet", "--force", "--detach", commit)


def set_remote(root: Path, address: str | None) -> None:
    """Make `address` the only remote, named origin; None: leave no remote."""
    words = ("remove", "origin") if address is None else ("set-url", "origin", address)
    ask_all(root, "remote", *words)


def _in_batches(paths: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for path in paths:
        if size + len(path) > _ARGUMENTS:
            yield batch
            batch, size = [], 0
        batch.append(path)
        size += len(path) + 1
    if batch:
        yield batch


def _listen(source: int, deadline: float, most: int, separators: int | None) -> Answer:
    pieces: list[bytes] = []
    size = seen = 0
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([source], [], [], left)[0]:
            return Answer(b"".join(pieces), complete=False)
        piece = os.read(source, _CHUNK)
        if not piece:
            return Answer(b"".join(pieces), complete=True)
        pieces.append(piece)
        size += len(piece)
        seen += piece.count(b"\0") if separators is not None else 0
        if size > most or (separators is not None and seen > separators):
            return Answer(b"".join(pieces), complete=False)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
    return kept | {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
