"""Code and environment of this process, captured once and again only when they have changed."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from commonground.structure import environment
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
    """What must be in the blob store, by digest."""

    def write_files(self, folder: Path) -> list[Path]:
        """Put what the blob store may not have yet into the folder of a spool."""
        paths = []
        for digest, content in self.blobs.items():
            if (str(folder.parent), digest) in _delivered:
                continue
            path = folder / f"captured-{digest[:16]}"
            path.write_bytes(content)
            paths.append(path)
        return paths

    def delivered(self, spools: Path) -> None:
        """The blob store beside these spools has it all now."""
        _delivered.update((str(spools), digest) for digest in self.blobs)


_delivered: set[tuple[str, str]] = set()
_environments: dict[tuple[object, ...], tuple[str, bytes]] = {}


def capture(entry: str | None = None) -> Captured:
    """Code and environment of this process as they are now."""
    script = sys.argv[0] if sys.argv and sys.argv[0] not in {"", "-c", "-m"} else ""
    digest, content = _capture_environment()
    return Captured(
        stem=entry or Path(script).stem or "run",
        argv=screen_argv([Path(sys.executable).name, *sys.argv]),
        workflow=None,
        environment=digest,
        scratch=not script,
        details=_seed_facts(),
        blobs={digest: content},
    )


def capture_command(argv: Sequence[str]) -> Captured:
    """Code and environment of a program that is about to be started."""
    digest, content = _capture_environment()
    return Captured(
        stem=Path(find_entry(argv) or argv[0]).stem or "run",
        argv=screen_argv(argv),
        workflow=None,
        environment=digest,
        scratch=False,
        details=_seed_facts(),
        blobs={digest: content},
    )


def find_entry(argv: Sequence[str]) -> str | None:
    """The script or module that a command runs: `train.py`, or `-m package.train`; None if it cannot be told."""
    for place, word in enumerate(argv):
        if word == "-m" and place + 1 < len(argv):
            return f"-m {argv[place + 1]}"
        if place and not word.startswith("-") and Path(word).is_file():
            return word
    return argv[0] if Path(argv[0]).is_file() else None


def digest_of(content: bytes) -> str:
    """The digest under which a blob store keeps it."""
    return hashlib.sha256(content).hexdigest()


def _capture_environment() -> tuple[str, bytes]:
    """Digest and content of the environment, looked at again when variables, paths or the folder have changed."""
    variables = tuple(os.environ.get(name) for name in sorted(environment.VARIABLES))
    fingerprint = (variables, tuple(sys.path), str(Path.cwd()), os.getpid())
    known = _environments.get(fingerprint)
    if known is None:
        content = environment.capture().to_json().encode()
        known = (digest_of(content), content)
        _environments.clear()
        _environments[fingerprint] = known
    return known


def _seed_facts() -> dict[str, Any]:
    return {"hash_seed": os.environ.get("PYTHONHASHSEED", "random")}
