"""Which files of a folder are kept as code, and in which form.

A file that is not committed is kept if it is text (UTF-8) within the limits. Kept text has been through the screen,
and the outputs of notebooks are dropped. All else is named with size and reason: large and binary files, tables and
logs (data and output, not code), files whose names say that they hold secrets, links that lead outside.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import re
import stat
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

from commonground.structure.ignore_rules import IgnoreRule, is_ignored, read_rules
from commonground.structure.screen import Removal, screen

LINK: Final = "120000"
PLAIN: Final = "100644"
EXECUTABLE: Final = "100755"
LEFT_OUT: Final = frozenset(
    {
        ".commonground", ".git", ".hg", ".svn", "__pycache__", ".ipynb_checkpoints", ".venv", "venv", "node_modules",
        ".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox", ".nox", ".eggs", ".hypothesis", ".cache",
    }
)  # fmt: skip
"""Folders that are never looked into: caches, installed packages, and the study itself."""
_CODE_SUFFIXES = (
    ".py .pyx .pxd .pyi .ipynb .r .rmd .qmd .jl .m .sh .bash .sql .c .cc .cpp .h .hpp .cu .cuh .rs .go .java .scala "
    ".js .ts .yaml .yml .toml .cfg .ini .json .smk .nf .wdl .cwl .mk .cmake .jinja .j2 .dockerfile"
)
_CODE = frozenset(_CODE_SUFFIXES.split())
_DATA = frozenset({".csv", ".tsv", ".tab", ".psv", ".jsonl", ".ndjson", ".log", ".out", ".err", ".dcm", ".svg"})
_SECRET_NAMES = re.compile(
    r"(?i)\.env(?:\..*)?|\.envrc|id_(?:rsa|dsa|ecdsa|ed25519)|.*\.(?:pem|key|p12|pfx|jks|keystore|kdbx|ovpn|asc|gpg)"
    r"|\.netrc|_netrc|\.pgpass|\.pypirc|\.npmrc|\.htpasswd|\.git-credentials|kubeconfig|.*credentials?\.(?:json|ya?ml|ini)"
    r"|credentials|.*service[_-]?account.*\.json|secrets?\.(?:json|ya?ml|toml|ini|env)|token(?:\.txt)?|\.?my\.cnf|\..*history|\.viminfo|\.lesshst"
)
_SNIFF = 8000


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept and looked at."""

    file: int = 1024 * 1024
    """Largest kept file, in bytes."""
    total: int = 20 * 1024 * 1024
    """Most that is kept in all, in bytes."""
    files: int = 2000
    """Most files that are kept."""
    names: int = 500
    """Most files that are named as not kept; more are only counted."""
    looked_at: int = 20_000
    """Most untracked files that are looked at, code first; ten times as many are counted."""
    seconds: float = 3.0
    """Longest time for listing untracked names."""

    @property
    def most_names(self) -> int:
        """Most names that are counted."""
        return 10 * self.looked_at


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file that is kept whole."""

    path: str
    """Path below the root, with `/`."""
    mode: str
    """100644, 100755, or 120000 for a link, whose text is where it leads."""
    text: str
    """Its content, screened and without outputs."""
    removed: tuple[Removal, ...] = ()
    """What the screen took out."""
    outputs_dropped: bool = False
    """Whether it is a notebook that had outputs."""
    tracked: bool = False
    """Whether git tracks it: then it differs from the commit."""

    def blob_id(self, algorithm: str) -> str:
        """The id that git would give to the kept content."""
        return blob_id(self.text.encode(), algorithm)


@dataclass(frozen=True, slots=True)
class NotKept:
    """A file that is not kept."""

    path: str
    """Path below the root; screened."""
    size: int
    """Its size in bytes; 0 for a folder."""
    reason: str
    """Why it is not kept."""
    tracked: bool = False
    """Whether it is a changed tracked file, without which the code is not whole."""


@dataclass(slots=True)
class Gathering:
    """Files as they are decided on, one after the other."""

    root: Path
    """The top folder."""
    limits: Limits
    """How much is kept."""
    kept: dict[str, KeptFile] = field(default_factory=dict)
    """What is kept so far, by path."""
    not_kept: list[NotKept] = field(default_factory=list)
    """What is named as not kept."""
    not_kept_count: int = 0
    """How many are not kept, named or not."""
    used: int = 0
    """Bytes that are kept."""
    complete: bool = True
    """Whether all names were looked at."""
    looked_at: set[str] = field(default_factory=set)
    """Kept paths and the folders looked into; a change of one can change the state."""

    def offer(self, path: str, *, tracked: bool = False, wanted: bool = False) -> KeptFile | None:
        """Keep the file at `path` (below the root) if it may be kept; `wanted`: also if it is a table or log."""
        judged = self._judge(path, tracked=tracked, wanted=wanted)
        if isinstance(judged, NotKept):
            self.refuse(path, judged.size, judged.reason, tracked=tracked)
            if posixpath.splitext(path)[1].lower() in _CODE:
                self.looked_at.add(path)
            return None
        self.kept[path] = judged
        self.looked_at.add(path)
        return judged

    def refuse(self, path: str, size: int, reason: str, *, tracked: bool = False) -> None:
        """Name a file as not kept, or only count it if many are named already."""
        self.not_kept_count += 1
        if len(self.not_kept) < self.limits.names or tracked:
            self.not_kept.append(NotKept(screen(shown(path)).text, size, reason, tracked))

    def offer_all(self, paths: Iterable[str]) -> None:
        """Keep what may be kept of the files, code first; those beyond `limits.looked_at` are only counted."""
        ordered = in_order(paths)
        for path in ordered[: self.limits.looked_at]:
            self.offer(path)
        self.not_kept_count += len(ordered[self.limits.looked_at :])

    def give_up(self, folder: str) -> None:
        """Name a folder as not, or not wholly, counted."""
        self.complete = False
        self.refuse(folder.rstrip("/") + "/", 0, "not counted to the end: too many names")

    def spend(self, size: int) -> bool:
        """Whether `size` more bytes may be kept; if so, they are counted."""
        if self.used + size > self.limits.total:
            return False
        self.used += size
        return True

    def _judge(self, path: str, *, tracked: bool, wanted: bool) -> KeptFile | NotKept:
        where = f"{self.root}/{path}"
        try:
            about = os.lstat(where)
            if stat.S_ISLNK(about.st_mode):
                file, reason = _link(path, os.readlink(where))  # noqa: PTH115 - the text of the link
            else:
                file, reason = None, _objection(path, about, self.limits, wanted=wanted or tracked)
                if not reason:
                    data = Path(where).read_bytes()
                    file = recorded_form(path, data, EXECUTABLE if about.st_mode & stat.S_IXUSR else PLAIN)
        except OSError:
            return NotKept(path, 0, "cannot be read")
        if reason or file is None:
            return NotKept(path, about.st_size, reason or "not text")
        length = len(file.text.encode())
        if length > self.limits.file:
            return NotKept(path, about.st_size, f"larger than {self.limits.file} bytes")
        if screen(path).removed:
            return NotKept(path, about.st_size, "its name holds an identifier")
        if len(self.kept) >= self.limits.files or not self.spend(length):
            return NotKept(path, about.st_size, "more than is kept in all")
        return replace(file, tracked=tracked)


def _objection(path: str, about: os.stat_result, limits: Limits, *, wanted: bool) -> str:
    """Why a file is not even read; empty if it is."""
    name = path.rpartition("/")[2]
    suffix = posixpath.splitext(name)[1].lower()
    most = limits.total if suffix == ".ipynb" else limits.file
    if not stat.S_ISREG(about.st_mode):
        return "not a file"
    if shown(path) != path:
        return "its name is not UTF-8"
    if _SECRET_NAMES.fullmatch(name):
        return "its name says that it holds secrets"
    if suffix in _DATA and not wanted:
        return "a table, log or image: data or output, not code"
    return f"larger than {most} bytes" if about.st_size > most else ""


def _link(path: str, target: str) -> tuple[KeptFile | None, str]:
    """A link to keep, or why it is not kept; where it leads is read as text and never followed."""
    if shown(path) != path or shown(target) != target:
        return None, "its name is not UTF-8"
    inside = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    if posixpath.isabs(target) or inside.split("/")[0] == "..":
        return None, "a link that leads outside"
    if screen(target).removed:
        return None, "a link to a name that holds an identifier"
    return KeptFile(path, LINK, target), ""


def recorded_form(path: str, data: bytes, mode: str) -> KeptFile | None:
    """The form in which a file's content is kept; None if it is not text."""
    if b"\0" in data[:_SNIFF]:
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    if "\0" in text:
        return None
    plain = without_outputs(text) if path.lower().endswith(".ipynb") else text
    clean = screen(plain)
    return KeptFile(path, mode, clean.text, clean.removed, outputs_dropped=plain != text)


def without_outputs(text: str) -> str:
    """A notebook without outputs, attachments, widget states and execution counts; other text as it is."""
    try:
        book = json.loads(text)
        dropped = _drop_outputs(book)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return text
    return json.dumps(book, indent=1, ensure_ascii=False) + "\n" if dropped else text


def _drop_outputs(book: dict[str, Any]) -> bool:
    dropped = bool(book.get("metadata", {}).pop("widgets", None))
    for cell in book["cells"]:
        dropped = bool(cell.pop("attachments", None)) or dropped
        if cell.get("outputs"):
            cell["outputs"] = []
            dropped = True
        if cell.get("execution_count") is not None:
            cell["execution_count"] = None
            dropped = True
    return dropped


def blob_id(data: bytes, algorithm: str) -> str:
    """The id that git gives to a file of this content, so that a file has one id before and after it is committed."""
    return hashlib.new(algorithm, b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def shown(path: str) -> str:
    """A path as text that can be written anywhere: bytes that are not UTF-8 as escapes."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def in_order(paths: Iterable[str]) -> list[str]:
    """Paths with code before other text, so that the limits cut off the right end."""
    return sorted(paths, key=lambda path: (posixpath.splitext(path)[1].lower() not in _CODE, path))


def walk(gathering: Gathering) -> Iterator[str]:
    """The files below the root that no `.gitignore` leaves out, nearest first; gives up after `limits.most_names`.

    Hidden folders hold settings of a person more often than code, and are not looked into.
    """
    root, left = gathering.root, gathering.limits.most_names
    queue: deque[tuple[str, list[IgnoreRule]]] = deque([("", [])])
    while queue:
        folder, above = queue.popleft()
        if left <= 0:
            gathering.give_up(folder)
            continue
        gathering.looked_at.add(folder or ".")
        try:
            with os.scandir(root / folder) as entries:
                found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in islice(entries, left + 1)]
        except OSError:
            gathering.refuse(folder + "/", 0, "cannot be read")
            continue
        left -= len(found)
        if left < 0:
            gathering.give_up(folder)
        rules = [*above, *_rules_of(root, folder)] if (".gitignore", False) in found else above
        for name, is_folder in sorted(found):
            path = f"{folder}/{name}" if folder else name
            if name in LEFT_OUT or is_ignored(path, rules, folder=is_folder):
                continue
            if not is_folder:
                yield path
            elif name.startswith("."):
                gathering.refuse(path + "/", 0, "a hidden folder")
            elif (root / path / ".git").exists():
                gathering.refuse(path + "/", 0, "another repository")
            else:
                queue.append((path, rules))


def _rules_of(root: Path, folder: str) -> list[IgnoreRule]:
    try:
        text = (root / folder / ".gitignore").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return read_rules(text, folder)
