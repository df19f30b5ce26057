"""The command line: `cg`, made from the registry of verbs."""

from __future__ import annotations

from commonground.interfaces.cli.program import main

__all__ = ["main"]
