"""Version numbers of released datasets, and the words by which people refer to a version.

A version number is `major.minor.patch`, each part 0 to 999999999 without leading zeros; the first release is 1.0.0.
A reference is one of

    nodules                 the current release
    nodules@2.0.0           that release
    nodules@dev             what has not been released yet
    nodules@dev.c18412      the unreleased state as of change 18412

A name is kept in Unicode NFC, as names are stored. It may hold anything but "@" and control characters.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import Literal, get_args

from commonground.errors import InvalidInput

Part = Literal["major", "minor", "patch"]

MAX_PART = 999_999_999
MAX_CHANGE = (1 << 63) - 1
DEV = "dev"

_PART = r"0|[1-9][0-9]{0,8}"
_NUMBER = re.compile(rf"({_PART})\.({_PART})\.({_PART})")
_CHANGE = re.compile(r"c([1-9][0-9]{0,18})")
_HOW = "Write a release as 2.0.0, the unreleased state as dev, or a state of it as dev.c18412."


@dataclass(frozen=True, order=True, slots=True)
class VersionNumber:
    """The number of a release; ordered by major, then minor, then patch."""

    major: int
    """Readers of the old version may be misled: members, labels or meaning changed."""
    minor: int
    """Something was added."""
    patch: int
    """A mistake was mended."""

    def __post_init__(self) -> None:
        if not all(0 <= part <= MAX_PART for part in (self.major, self.minor, self.patch)):
            raise InvalidInput(
                f"{self} is not a version number: each part lies between 0 and {MAX_PART}.",
                todo="Give a number such as 2.0.0.",
            )

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    @classmethod
    def parse(cls, text: str) -> VersionNumber:
        """The version number that `text` spells; raises InvalidInput for anything but three plain numbers."""
        found = _NUMBER.fullmatch(text)
        if found is None:
            raise InvalidInput(f"{text!r} is not a version number.", todo="Write three plain numbers, such as 2.0.0.")
        return cls(*(int(part) for part in found.groups()))

    def next(self, part: Part) -> VersionNumber:
        """The number after this one when `part` grows and the smaller parts start again at 0.

        Raises InvalidInput for another word, and when the part is at its end.
        """
        if part == "major":
            return VersionNumber(self.major + 1, 0, 0)
        if part == "minor":
            return replace(self, minor=self.minor + 1, patch=0)
        if part == "patch":
            return replace(self, patch=self.patch + 1)
        raise InvalidInput(f"{part!r} is not a part of a version number.", todo=f"Name one of {_parts()}.")


FIRST = VersionNumber(1, 0, 0)
"""The number of the first release."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What a name, with or without a version, points to; raises InvalidInput if it could mean two things or none."""

    name: str
    version: VersionNumber | None = None
    """A release; None with `dev` false is the current release."""
    dev: bool = False
    """The state that has not been released."""
    change: int | None = None
    """The change as of which the unreleased state is meant; only with `dev`."""

    def __post_init__(self) -> None:
        faults = _name_faults(self.name)
        if self.dev and self.version is not None:
            faults.append("a release and the unreleased state cannot be meant at once")
        if self.change is not None and not self.dev:
            faults.append("a change is named only for the unreleased state")
        if self.change is not None and not 1 <= self.change <= MAX_CHANGE:
            faults.append(f"a change lies between 1 and {MAX_CHANGE}, not at {self.change}")
        if faults:
            raise InvalidInput(f"{self.name!r} cannot be referred to like this.", todo=_HOW, faults=faults)
        object.__setattr__(self, "name", unicodedata.normalize("NFC", self.name))

    def __str__(self) -> str:
        if self.version is not None:
            return f"{self.name}@{self.version}"
        if self.dev:
            return f"{self.name}@{DEV}" + ("" if self.change is None else f".c{self.change}")
        return self.name

    @property
    def exact(self) -> bool:
        """Whether it will point to the same rows for ever: a release, or the unreleased state as of a change."""
        return self.version is not None or self.change is not None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """The reference that `text` spells; raises InvalidInput with what to write instead."""
        name, at, version = text.partition("@")
        if not at:
            return cls(name)
        if version == DEV:
            return cls(name, dev=True)
        if version.startswith(f"{DEV}."):
            found = _CHANGE.fullmatch(version.removeprefix(f"{DEV}."))
            if found is None:
                raise InvalidInput(f"{text!r} names no change: after dev. comes c and its number.", todo=_HOW)
            return cls(name, dev=True, change=int(found.group(1)))
        if "@" in version:
            raise InvalidInput(f"{text!r} has more than one @, and a name cannot hold one.", todo=_HOW)
        if _NUMBER.fullmatch(version) is None:
            raise InvalidInput(f"{text!r} names no version: {_hint(version)}.", todo=_HOW)
        return cls(name, VersionNumber.parse(version))


def _name_faults(name: str) -> list[str]:
    faults = []
    if not name:
        faults.append("the name is empty")
    elif name != name.strip():
        faults.append("the name begins or ends with a space")
    if "@" in name:
        faults.append("a name cannot hold @")
    if any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in name):
        faults.append("a name cannot hold control characters")
    return faults


def _hint(version: str) -> str:
    if not version:
        return "nothing follows the @"
    if version in {"current", "latest"}:
        return "for the current release leave the @ and what follows away"
    if _NUMBER.fullmatch(version.lstrip("vV")):
        return "a version number has no v before it"
    if version.lower() != version and version.lower().startswith(DEV):
        return "dev is written in small letters"
    return f"{version!r} is not three plain numbers"


def _parts() -> str:
    return ", ".join(get_args(Part))
