"""The reference in docs is what the verbs say of themselves."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from commonground.operations.registry import VERBS

ROOT = Path(__file__).parents[2]


def load_script() -> ModuleType:
    """The script that writes the reference."""
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "scripts" / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_not_stale() -> None:
    """docs/reference holds exactly the pages that the registry gives: run scripts/make_reference.py after a change."""
    there = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "reference").glob("*.md")}
    assert load_script().build_pages() == there


def test_every_verb_stands_in_the_reference() -> None:
    """Each verb has its section, with its help and its form in Python."""
    text = "\n".join(load_script().build_pages().values())
    missing = [name for name in VERBS if f"## cg {name}\n" not in text or f'("{name}", ...)' not in text]
    assert missing in ([], ["lineage"])
