"""No file, function or class grows past what one can read at once, and no name says nothing."""

from __future__ import annotations

import ast
import re

import pytest

from house import SOURCES, TESTS, modules, tree_of

LONGEST_FILE, LONGEST_TEST, LONGEST_FUNCTION, MOST_METHODS = 400, 700, 60, 15
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "core", "misc", "base", "aux", "interfaces_", "manager"}
AVOIDED = {
    "uuid": "rid",
    "artifact": "asset",
    "artefact": "asset",
    "snapshot_id": "version",
    "aggregation": "selector",
    "workspace_id": "study",
    "project": "study",
    "ticket": "item",
    "vote": "position",
}


def test_files_are_short():
    """No source file has more than 400 lines, and no test file more than 700."""
    limits = [(path, LONGEST_FILE) for path in modules()] + [(path, LONGEST_TEST) for path in TESTS.rglob("*.py")]
    long = {path.name: count for path, limit in limits if (count := lines_of(path)) > limit}
    assert long == {}


def lines_of(path):
    """The number of lines of a file."""
    return len(path.read_text(encoding="utf-8").splitlines())


def test_functions_are_short():
    """No function has more than 60 lines."""
    long = [
        f"{path.relative_to(SOURCES)}:{node.lineno} {node.name}"
        for path in modules()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > LONGEST_FUNCTION
    ]
    assert long == []


def test_classes_have_few_public_methods():
    """No class has more than 15 public methods."""
    large = {}
    for path in modules():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ClassDef):
                public = [n for n in node.body if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")]
                plain = [n for n in public if not any(_decorator(d) == "property" for d in n.decorator_list)]
                if len(plain) > MOST_METHODS:
                    large[f"{path.relative_to(SOURCES)} {node.name}"] = len(plain)
    assert set(large) == LARGER_FOR_A_REASON


LARGER_FOR_A_REASON = {
    # One protocol is what an object store must fill, and splitting it would split one contract over two files.
    "store/blobs.py BlobStore",
    "store/blobs.py DirectoryBlobs",
}


def _decorator(node):
    return getattr(node, "id", getattr(node, "attr", ""))


def test_no_module_has_an_empty_name():
    """No module is called utils, helpers, core, common, base or misc, and no class a Mixin."""
    assert [path for path in modules() if path.stem in EMPTY_NAMES or path.parent.name in EMPTY_NAMES] == []
    mixins = [
        node.name
        for path in modules()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ClassDef) and node.name.endswith("Mixin")
    ]
    assert mixins == []


@pytest.mark.parametrize("word", sorted(AVOIDED))
def test_words_that_the_glossary_avoids_are_in_no_name(word):
    """No function, class, argument or field of ours is named with a word for which the glossary has another."""
    found = []
    for path in modules():
        for node in ast.walk(tree_of(path)):
            name = getattr(node, "name", None) or getattr(node, "arg", None)
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.arg) and isinstance(name, str):
                parts = re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
                if re.search(rf"(^|_){re.escape(word)}s?(_|$)", parts):
                    found.append(f"{path.relative_to(SOURCES)}:{node.lineno} {name}: say {AVOIDED[word]}")
    assert found == []
