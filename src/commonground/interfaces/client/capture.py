"""Code and environment of this process, captured once and again only when they have changed."""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from commonground.identity import Mint
from commonground.structure import code_state, environment
from commonground.structure.code_state import CodeState
from commonground.structure.screen import screen
from commonground.structure.screen_told import screen_argv

LOOK_AGAIN_S = 1.0
"""For so long code that was looked at is not looked at again: a sweep begins hundreds of runs a second."""


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
_states: dict[tuple[str, str | None], tuple[float, CodeState, bytes, str]] = {}


def capture(mint: Mint, entry: str | None = None) -> Captured:
    """Code and environment of this process as they are now; `entry` names a function or a notebook."""
    first = sys.argv[0] if sys.argv else ""
    script = Path(first) if first and Path(first).is_file() and not _is_tool(Path(first)) else None
    folder = script.resolve().parent if script else _here()
    told = entry or _module_name() or (script.name if script else None)
    return _captured(
        mint,
        folder=folder,
        entry=script,
        told=told,
        stem=entry or (script.stem if script else Path(first).stem),
        argv=[Path(sys.executable).name, *sys.argv],
        prompt=script is None and not first,
    )


def capture_command(mint: Mint, argv: Sequence[str]) -> Captured:
    """Code and environment of a program that is about to be started here."""
    told = find_entry(argv)
    script = Path(told) if told and Path(told).is_file() else None
    stem = (told or argv[0]).rpartition(" ")[2]
    return _captured(mint, folder=_here(), entry=script, told=told, stem=Path(stem).stem, argv=argv, prompt=False)


def _captured(
    mint: Mint, *, folder: Path, entry: Path | None, told: str | None, stem: str, argv: Sequence[str], prompt: bool
) -> Captured:
    digest, content = _capture_environment()
    told, stem = screen(told).text if told else None, screen(stem).text
    captured = Captured(
        stem=stem or "run",
        argv=list(_screen_once(tuple(argv))),
        workflow=None,
        environment=digest,
        scratch=prompt,
        details=_seed_facts(),
        blobs={digest: content},
    )
    try:
        state, code, code_digest = _capture_code(folder, entry)
    except Exception as error:  # noqa: BLE001 - code that cannot be read must not keep anybody from running it
        captured.details["code_not_recorded"] = f"{type(error).__name__}: {error}"[:200]
        return captured
    captured.blobs[code_digest] = code
    captured.scratch = prompt or state.dirty
    inside = state.entry.path if state.entry is not None and state.entry.inside else None
    captured.workflow = {
        "rid": mint.one(),
        "name": told or inside or stem or "run",
        "repository": state.repository,
        "commit": state.commit,
        "tree": state.tree,
        "entry": _joined(inside, told),
        "dirty": int(state.dirty),
        "code": code_digest,
    }
    return captured


@functools.lru_cache(maxsize=16)
def _screen_once(argv: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(screen_argv(argv))


def _joined(inside: str | None, told: str | None) -> str | None:
    """The entry point: the file below the root, and what is started in it if that is something else."""
    if inside is None or told is None or Path(inside).name == Path(told).name:
        return inside or told
    return f"{inside} {told}"


def _capture_code(folder: Path, entry: Path | None) -> tuple[CodeState, bytes, str]:
    """The state of the code with its JSON and the digest of that, captured again only when something has changed."""
    key = (str(folder), str(entry) if entry else None)
    known = _states.get(key)
    now = time.monotonic()
    if known is not None and (now - known[0] < LOOK_AGAIN_S or code_state.is_current(known[1])):
        _states[key] = (max(now, known[0]), *known[1:]) if now - known[0] >= LOOK_AGAIN_S else known
        return known[1:]
    state = code_state.capture(folder, entry)
    content = state.to_json().encode()
    found = (state, content, digest_of(content))
    _states[key] = (now, *found)
    return found


def _here() -> Path:
    """The current folder; if somebody has removed it, where nothing of the program is."""
    try:
        return Path.cwd()
    except OSError:
        return Path("/nonexistent")


@functools.lru_cache(maxsize=16)
def _is_tool(script: Path) -> bool:
    """Whether a script is one that was installed, such as pytest: then the code is where it was called."""
    return script.resolve().parent == Path(sys.executable).parent or "site-packages" in script.parts


def _module_name() -> str | None:
    """`-m package.module`, if this process was started so."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    name = getattr(spec, "name", None)
    return f"-m {name.removesuffix('.__main__')}" if name else None


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
    fingerprint = (variables, tuple(sys.path), str(_here()), os.getpid())
    known = _environments.get(fingerprint)
    if known is None:
        content = environment.capture(_here()).to_json().encode()
        known = (digest_of(content), content)
        _environments.clear()
        _environments[fingerprint] = known
    return known


def _seed_facts() -> dict[str, Any]:
    return {"hash_seed": os.environ.get("PYTHONHASHSEED", "random")}
