"""Where the sources and tests are, read once for all house tests."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import commonground

SOURCES = Path(commonground.__file__).parent
TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent


@cache
def modules() -> tuple[Path, ...]:
    """Every module of the package."""
    return tuple(sorted(SOURCES.rglob("*.py")))


@cache
def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    """The dotted name of a module."""
    parts = path.relative_to(SOURCES.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
