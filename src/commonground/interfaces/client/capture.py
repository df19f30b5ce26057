"""Code and environment of this process, captured once and again only when they have changed."""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from commonground.structure.screen import screen_argv


@dataclass(slots=True)
class Captured:
    """What was captured of code and environment."""

    stem: str
    """What runs are called that nobody names."""
    argv: list[str]
    """The command line, screened."""
    workflow: dict[str, Any] | None
    """Fields of the workflow."""
    environment: str | None
    """Digest of the blob that describes the environment."""
    scratch: bool
    """Whether a run of this code is a try, unless somebody says otherwise: a dirty tree, a notebook, a prompt."""
    details: dict[str, Any] = field(default_factory=dict)
    """Facts for the execution."""
    blobs: dict[str, bytes] = field(default_factory=dict)
    """What must be in the blob store, by digest; empty once it was delivered."""

    def write_files(self, folder: Path) -> list[Path]:
        """Put what is not in the blob store yet into the folder of a spool."""
        paths = []
        for digest, content in self.blobs.items():
            path = folder / f"captured-{digest[:16]}"
            path.write_bytes(content)
            paths.append(path)
        return paths

    def delivered(self) -> None:
        """The blob store has it all now."""
        self.blobs.clear()


def capture(entry: str | None = None) -> Captured:
    """Code and environment as they are now."""
    script = sys.argv[0] if sys.argv and sys.argv[0] not in {"", "-c"} else ""
    return Captured(
        stem=entry or Path(script).stem or "run",
        argv=screen_argv([Path(sys.executable).name, *sys.argv]),
        workflow=None,
        environment=None,
        scratch=not script,
        details=_seed_facts(),
    )


def digest_of(content: bytes) -> str:
    """The digest under which a blob store keeps it."""
    return hashlib.sha256(content).hexdigest()


def _seed_facts() -> dict[str, Any]:
    return {"hash_seed": os.environ.get("PYTHONHASHSEED", "random")}
