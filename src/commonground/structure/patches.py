"""Differences of text files as git writes them: taken apart, and applied to what they were made from.

A patch is applied by line numbers alone: context and removed lines come from the base, which is known exactly, so
that a patch from whose context or removed lines something was screened still gives the right file. What it needs
whole are its added lines and its header.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from commonground.errors import Corrupt

_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+\d+(?:,\d+)? @@")
_INDEX = re.compile(r"index ([0-9a-f]{40,64})\.\.([0-9a-f]{40,64})(?: (\d{6}))?")
_ESCAPE = re.compile(r"\\([0-7]{3}|.)")
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_SUBMODULE = "160000"


@dataclass(frozen=True, slots=True)
class Patch:
    """The differences of one file."""

    path: str
    """Path below the root."""
    text: str
    """All lines, from `diff --git` on."""
    is_text: bool = True
    """Whether path and lines are UTF-8 without NUL; else both hold what could not be read as surrogates."""

    @property
    def head(self) -> list[str]:
        """The lines before the first hunk."""
        return self.text.partition("\n@@ ")[0].split("\n")

    @property
    def new_id(self) -> str | None:
        """Blob id of the new content; None if only the mode or nothing differs."""
        found = next((match for line in self.head if (match := _INDEX.match(line))), None)
        return found[2] if found else None

    @property
    def is_binary(self) -> bool:
        """Whether git gives no lines, because one side is not text."""
        return any(line.startswith("Binary files ") and line.endswith(" differ") for line in self.head)

    @property
    def is_deletion(self) -> bool:
        """Whether the file is gone."""
        return any(line.startswith("deleted file mode ") for line in self.head)

    @property
    def is_new(self) -> bool:
        """Whether the file was not there."""
        return any(line.startswith("new file mode ") for line in self.head)

    @property
    def mode(self) -> str | None:
        """The new mode, if the patch says it."""
        for line in self.head:
            for start in ("new file mode ", "new mode "):
                if line.startswith(start):
                    return line.removeprefix(start)
            match = _INDEX.match(line)
            if match and match[3]:
                return match[3]
        return None

    @property
    def submodule(self) -> str | None:
        """The commit a submodule is now at, with `-dirty` behind it if its files are changed; None for a file."""
        if self.mode != _SUBMODULE:
            return None
        return next((line[19:] for line in self.text.split("\n") if line.startswith("+Subproject commit ")), None)

    def added_lines(self) -> set[int]:
        """Numbers, from 1, of the lines of `text` that must be whole for the patch to be applied."""
        lines = self.text.split("\n")
        size = len(self.head)
        return {place + 1 for place, line in enumerate(lines) if place < size or line[:1] not in {" ", "-"}}

    def without_new_id(self) -> Patch:
        """The patch without the id of the new content, from which a short secret could be guessed."""
        return Patch(
            self.path,
            "\n".join(
                _INDEX.sub(lambda m: f"index {m[1]}..{'0' * len(m[2])}{' ' + m[3] if m[3] else ''}", line)
                for line in self.text.split("\n")
            ),
        )

    def apply(self, base: bytes) -> bytes:
        """The new content of the file whose content in the commit is `base`; raises Corrupt if they do not fit."""
        old = base.decode("utf-8", "surrogateescape").split("\n")
        old = [*(line + "\n" for line in old[:-1]), *([old[-1]] if old[-1] else [])]
        new: list[str] = []
        done = 0
        last = ""
        for line in self.text.split("\n")[len(self.head) :]:
            match = _HUNK.match(line)
            if match:
                start = int(match[1]) - (0 if match[2] == "0" else 1)
                new += old[done:start]
                done = start
            elif line.startswith(" "):
                new += old[done : done + 1]
                done += 1
            elif line.startswith("-"):
                done += 1
            elif line.startswith("+"):
                new.append(line[1:] + "\n")
            elif line.startswith("\\") and last == "+":
                new[-1] = new[-1].removesuffix("\n")
            last = line[:1]
        if done > len(old):
            raise Corrupt(
                f"The recorded differences of {self.path} do not fit the file in the commit.",
                todo="Check the repository (`git fsck`), then `cg verify`.",
            )
        return "".join([*new, *old[done:]]).encode("utf-8", "surrogateescape")


def read_patches(diff: bytes) -> Iterator[Patch]:
    """The patch of each file in a diff, in its order; a change of type gives two, the second with the new content."""
    for section in re.split(rb"(?m)^(?=diff --git )", diff):
        if section.startswith(b"diff --git "):
            text = section.decode("utf-8", "surrogateescape").removesuffix("\n")
            path = _path(text.partition("\n")[0][11:])
            yield Patch(path, text, is_text=_is_plain(text) and _is_plain(path))


def _is_plain(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _path(names: str) -> str:
    """The path in `a/PATH b/PATH`, where both are the same, quoted if it holds quotes or control characters."""
    if not names.startswith('"'):
        return names[2 : 2 + (len(names) - 5) // 2]
    quoted = names[3 : 3 + (len(names) - 9) // 2]
    return _ESCAPE.sub(lambda m: chr(int(m[1], 8)) if m[1].isdecimal() else _ESCAPES.get(m[1], m[1]), quoted)
