"""Every error the system raises on purpose, in one tree.

CommonGroundError
├── InvalidInput          the words or data given cannot be taken        (faults: all of them at once)
│   ├── BrokenFile        a file cannot be read as what it claims to be
│   └── UnsafePath        a path leads outside the place it must stay in
├── NotFound              no such rid, name, version, file
├── Ambiguous             a prefix, a link path or a call that could mean two things
├── Conflict              somebody else changed what this relied on
│   └── Frozen            a released version or an immutable record cannot change
├── NotAllowed            this person's role does not allow it
├── NotReproducible       what would be needed to run it again is missing
├── StorageError          the ground floor cannot do what was asked
│   ├── Corrupt           bytes or rows are not what was recorded
│   ├── StorageFull       no room left
│   ├── Busy              another process held the study too long
│   ├── UnsafePlace       a network or cloud-synced folder
│   ├── UnsafeEngine      a database library with a known defect
│   ├── SchemaTooNew      written by a newer release
│   └── SchemaTooOld      needs a migration first
└── MissingExtra          an optional package is needed

An error says what happened, what was kept, and what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

NOTHING_CHANGED = "Nothing was changed."
THOUSAND = 1000
LARGEST_SHOWN = 999.5
"""From here on three figures are a thousand."""
UNITS = ("kB", "MB", "GB", "TB")


def count(number: int, one: str, many: str | None = None) -> str:
    """A number of things as a sentence says it: 1 value, 2,679 values."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def show_bytes(size: int) -> str:
    """A size as a sentence says it, in steps of a thousand: 940 bytes, 1.2 MB."""
    if size < THOUSAND:
        return count(size, "byte")
    shown, power = float(size), 0
    while shown >= LARGEST_SHOWN and power < len(UNITS):
        shown, power = shown / THOUSAND, power + 1
    return f"{shown:.3g} {UNITS[power - 1]}"


class CommonGroundError(Exception):
    """An error with a code, what happened, what was kept, and what to do next."""

    code: ClassVar[str] = "error"
    exit_status: ClassVar[int] = 1
    http_status: ClassVar[int] = 500

    def __init__(
        self,
        what: str,
        *,
        todo: str = "",
        kept: str = NOTHING_CHANGED,
        faults: Sequence[str] = (),
    ) -> None:
        self.what = what
        self.kept = kept
        self.todo = todo
        self.faults = tuple(faults)
        super().__init__(what)

    def __str__(self) -> str:
        lines = [self.what, *(f"  - {fault}" for fault in self.faults)]
        return "\n".join([*lines, *(part for part in (self.kept, self.todo) if part)])

    def as_dict(self) -> dict[str, object]:
        """The error as plain values, for `--json` and other doors."""
        return {
            "code": self.code,
            "what": self.what,
            "faults": list(self.faults),
            "kept": self.kept,
            "todo": self.todo,
        }


class InvalidInput(CommonGroundError):
    """The words or data given cannot be taken; `faults` lists all of them at once."""

    code = "invalid-input"
    exit_status = 2
    http_status = 422


class BrokenFile(InvalidInput):
    """A file cannot be read as what it claims to be."""

    code = "broken-file"


class UnsafePath(InvalidInput):
    """A path leads outside the place it must stay in."""

    code = "unsafe-path"


class NotFound(CommonGroundError):
    """No such rid, name, version or file."""

    code = "not-found"
    exit_status = 3
    http_status = 404


class Ambiguous(CommonGroundError):
    """A prefix, a link path or a call could mean two things."""

    code = "ambiguous"
    exit_status = 2
    http_status = 409


class Conflict(CommonGroundError):
    """Somebody else changed what this relied on."""

    code = "conflict"
    exit_status = 4
    http_status = 409


class Frozen(Conflict):
    """A released version or another immutable record cannot change."""

    code = "frozen"


class NotAllowed(CommonGroundError):
    """This person's role does not allow it."""

    code = "not-allowed"
    exit_status = 5
    http_status = 403


class NotReproducible(CommonGroundError):
    """What would be needed to run it again is missing."""

    code = "not-reproducible"
    exit_status = 6
    http_status = 409


class StorageError(CommonGroundError):
    """The ground floor cannot do what was asked."""

    code = "storage"
    exit_status = 7
    http_status = 503


class Corrupt(StorageError):
    """Bytes or rows are not what was recorded."""

    code = "corrupt"
    http_status = 500


class StorageFull(StorageError):
    """There is no room left on the disk."""

    code = "storage-full"
    http_status = 507


class Busy(StorageError):
    """Another process held the study for too long."""

    code = "busy"


class UnsafePlace(StorageError):
    """The folder lies on a network or cloud-synced disk, where a database file is not safe."""

    code = "unsafe-place"


class UnsafeEngine(StorageError):
    """The database library has a known defect that can lose data."""

    code = "unsafe-engine"


class SchemaTooNew(StorageError):
    """The study was written by a newer release."""

    code = "schema-too-new"


class SchemaTooOld(StorageError):
    """The study needs a migration before this release can open it."""

    code = "schema-too-old"


class MissingExtra(CommonGroundError):
    """An optional package is needed for this."""

    code = "missing-extra"
    exit_status = 8
    http_status = 501
