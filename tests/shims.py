"""Libraries in C that stand between a program under test and its calls to the kernel (LD_PRELOAD)."""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import tempfile
from pathlib import Path


@functools.cache
def build_shim(source: Path) -> Path:
    """The compiled library; built once for each text of its source, and of the header it shares with the others."""
    texts = [source, *sorted(source.parents[1].glob("*.h"))]
    mark = hashlib.sha256(b"".join(text.read_bytes() for text in texts)).hexdigest()[:16]
    built = Path(tempfile.gettempdir()) / f"cg-{source.parent.name}-{os.getuid()}-{mark}.so"
    if not built.exists():
        fresh = built.with_suffix(f".{os.getpid()}")
        flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
        subprocess.run(["gcc", *flags, "-o", str(fresh), str(source)], check=True)
        fresh.rename(built)
    return built
