"""Which files of a folder are kept as code, and in which form.

A file that is not committed is kept if it is text (UTF-8) within the limits. Kept text has been through the screen,
and the outputs of notebooks are dropped. All else is named with size and reason: large and binary files, tables and
logs (data and output, not code), files whose names say that they hold secrets, links that lead outside.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
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
_CODE = frozenset(
    ".py .pyx .pxd .pyi .ipynb .r .rmd .qmd .jl .m .sh .bash .sql .c .cc .cpp .h .hpp .cu .cuh .rs .go .java .scala .js "
    ".ts .yaml .yml .toml .cfg .ini .json .smk .nf .wdl .cwl .mk .cmake .jinja .j2 .dockerfile".split()  # noqa: SIM905
)
_DATA = frozenset(".csv .tsv .tab .psv .jsonl .ndjson .log .out .err .dcm .svg".split())  # noqa: SIM905
_SECRET_NAMES = re.compile(
    r"(?i)\.env(?:\..*)?|\.envrc|id_(?:rsa|dsa|ecdsa|ed25519)|.*\.(?:pem|key|p12|pfx|jks|keystore|kdbx|ovpn|asc|gpg)"
    r"|\.netrc|_netrc|\.pgpass|\.pypirc|\.npmrc|\.htpasswd|\.git-credentials|kubeconfig|.*credentials?\.(?:json|ya?ml|ini)"
    r"|credentials|.*service[_-]?account.*\.json|secrets?\.(?:json|ya?ml|toml|ini|env)|token(?:\.txt)?|\.?my\.cnf"
)
_SNIFF = 8000
_CHUNK = 1 << 20


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
    counted: int = 20_000
    """Most names that are looked at in one untracked folder."""
    seconds: float = 1.0
    """Longest time for looking at untracked names."""


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
    looked_at: set[str] = field(default_factory=set)
    """Kept paths and the folders looked into; a change of one can change the state."""

    def offer(self, path: str, *, tracked: bool = False, wanted: bool = False) -> KeptFile | None:
        """Keep the file at `path` (below the root) if it may be kept; `wanted`: also if it is a table or log."""
        try:
            about = (self.root / path).lstat()
        except OSError:
            return self.refuse(path, 0, "cannot be read", tracked=tracked)
        if stat.S_ISLNK(about.st_mode):
            return self._offer_link(path, tracked=tracked)
        reason = self._objection(path, about, wanted=wanted or tracked)
        if reason:
            return self.refuse(path, about.st_size, reason, tracked=tracked)
        try:
            data = (self.root / path).read_bytes()
        except OSError:
            return self.refuse(path, about.st_size, "cannot be read", tracked=tracked)
        file = recorded_form(path, data, EXECUTABLE if about.st_mode & stat.S_IXUSR else PLAIN)
        if file is None:
            return self.refuse(path, about.st_size, "not text", tracked=tracked)
        return self._keep(file, about.st_size, tracked=tracked)

    def refuse(self, path: str, size: int, reason: str, *, tracked: bool = False) -> None:
        """Name a file as not kept, or only count it if many are named already."""
        self.not_kept_count += 1
        if len(self.not_kept) < self.limits.names or tracked:
            self.not_kept.append(NotKept(screen(shown(path)).text, size, reason, tracked))

    def spend(self, size: int) -> bool:
        """Whether `size` more bytes may be kept; if so, they are counted."""
        if self.used + size > self.limits.total:
            return False
        self.used += size
        return True

    def _keep(self, file: KeptFile, size: int, *, tracked: bool) -> KeptFile | None:
        length = len(file.text.encode())
        if length > self.limits.file:
            return self.refuse(file.path, size, f"larger than {self.limits.file} bytes", tracked=tracked)
        if screen(file.path).removed:
            return self.refuse(file.path, size, "its name holds an identifier", tracked=tracked)
        if len(self.kept) >= self.limits.files or not self.spend(length):
            return self.refuse(file.path, size, "more than is kept in all", tracked=tracked)
        self.kept[file.path] = file
        self.looked_at.add(file.path)
        return file

    def _objection(self, path: str, about: os.stat_result, *, wanted: bool) -> str:
        name = PurePosixPath(path).name
        suffix = PurePosixPath(path).suffix.lower()
        most = self.limits.total if suffix == ".ipynb" else self.limits.file
        if not stat.S_ISREG(about.st_mode):
            return "not a file"
        if shown(path) != path:
            return "its name is not UTF-8"
        if _SECRET_NAMES.fullmatch(name):
            return "its name says that it holds secrets"
        if suffix in _DATA and not wanted:
            return "a table, log or image: data or output, not code"
        return f"larger than {most} bytes" if about.st_size > most else ""

    def _offer_link(self, path: str, *, tracked: bool) -> KeptFile | None:
        target = os.readlink(self.root / path)  # noqa: PTH115 - the text of the link, not a path made of it
        if shown(path) != path or shown(target) != target:
            return self.refuse(path, 0, "its name is not UTF-8", tracked=tracked)
        inside = os.path.normpath(os.path.join(os.path.dirname(path), target))  # noqa: PTH118, PTH120 - text only
        if os.path.isabs(target) or inside.split("/")[0] == "..":  # noqa: PTH117 - text only
            return self.refuse(path, 0, "a link that leads outside", tracked=tracked)
        return self._keep(KeptFile(path, LINK, target), 0, tracked=tracked)


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


def in_order(paths: list[str]) -> list[str]:
    """Paths with code before other text, so that the limits cut off the right end."""
    return sorted(paths, key=lambda path: (os.path.splitext(path)[1].lower() not in _CODE, path))  # noqa: PTH122 - text


def walk(root: Path, limits: Limits, gathering: Gathering) -> Iterator[str]:
    """The files below a folder that no `.gitignore` leaves out, nearest first; gives up after `limits.counted` names."""
    queue: list[tuple[str, list[IgnoreRule]]] = [("", [])]
    seen = 0
    for folder, above in queue:
        gathering.looked_at.add(folder or ".")
        try:
            with os.scandir(root / folder) as entries:
                found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        except OSError:
            gathering.refuse(folder + "/", 0, "cannot be read")
            continue
        rules = [*above, *_rules_of(root, folder)] if (".gitignore", False) in found else above
        for name, is_folder in sorted(found):
            path = f"{folder}/{name}" if folder else name
            seen += 1
            if is_ignored(path, rules, folder=is_folder) or name in LEFT_OUT:
                continue
            if not is_folder:
                yield path
            elif (root / path / ".git").exists():
                gathering.refuse(path + "/", 0, "another repository")
            else:
                queue.append((path, rules))
        if seen > limits.counted:
            gathering.refuse(folder + "/", 0, f"not looked at: more than {limits.counted} names")
            return


def _rules_of(root: Path, folder: str) -> list[IgnoreRule]:
    try:
        text = (root / folder / ".gitignore").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return read_rules(text, folder)
