"""What the sources say: every test its fact, every error its page, every verb its help; nothing of any machine."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess

import pytest

import commonground
from commonground import errors
from commonground.operations.plans import Role
from commonground.operations.registry import VERBS
from house import ROOT, SOURCES, TESTS, modules, name_of, tree_of

FOLDERS = ("work", "root")
PLACES = re.compile("|".join(rf"\B/{name}/" for name in FOLDERS))
# Where packages come from is for whoever installs to say, so no setting of it may be tracked.
SOURCES_OF_PACKAGES = re.compile(
    r"(?m)(?:index-url|extra-index|find-links|default-index|tool\.uv\.index|^\s*registry\s*=)"
)
URL_HOST = re.compile(r"(?i)\b(?:https?|ftp|git\+ssh)://(?:[^/\s@\"'`]*@)?([a-z0-9-]+(?:\.[a-z0-9-]+)+)")
KNOWN_HOSTS = frozenset(
    [
        "creativecommons.org",
        "docs.astral.sh",
        "doi.org",
        "example.org",
        "git-scm.com",
        "git.local",
        "git.example",
        "host.org",
        "man7.org",
        "schemas.openxmlformats.org",
        "sqlite.org",
        "wiki.postgresql.org",
        "www.apache.org",
        "www.crockford.com",
        "www.datadictionary.nhs.uk",
        "www.postgresql.org",
        "www.sqlite.org",
        "www.w3.org",
    ]
)
"""What our texts cite, and the hosts of made-up addresses; whoever cites another one adds it here."""


def tracked():
    """The text files that git tracks, or would."""
    done = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
    )
    for name in done.stdout.splitlines():
        path = ROOT / name
        if path.is_file() and path.suffix in {
            ".py",
            ".md",
            ".toml",
            ".cfg",
            ".txt",
            ".yml",
            ".yaml",
            ".json",
            "",
            ".sh",
        }:
            yield path


def test_no_file_names_a_machine_or_a_registry():
    """No tracked text names a folder of somebody's machine, a host that is not known here, or a source of packages."""
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        told = [match[0] for match in PLACES.finditer(text)]
        told += [match[1] for match in URL_HOST.finditer(text) if match[1].lower() not in KNOWN_HOSTS]
        if not path.is_relative_to(TESTS):
            told += [match[0] for match in SOURCES_OF_PACKAGES.finditer(text)]
        found += [f"{path.relative_to(ROOT)}: {one}" for one in told]
    assert found == []


def test_no_lock_file_is_tracked():
    """The resolver's lock holds addresses of a registry, so it stays out."""
    assert "uv.lock" not in {path.name for path in tracked()}


def test_every_module_function_and_class_says_what_it_is():
    """Every module has a docstring, and so has every public class and function of the package."""
    silent = []
    for path in modules():
        tree = tree_of(path)
        if not ast.get_docstring(tree):
            silent.append(str(path.relative_to(SOURCES)))
        silent += [
            f"{path.relative_to(SOURCES)}:{node.lineno} {node.name}"
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
            and not node.name.startswith("_")
            and not ast.get_docstring(node)
        ]
    assert silent == []


def test_every_test_states_its_fact():
    """Every test function has a docstring."""
    silent = [
        f"{path.relative_to(TESTS)}:{node.lineno} {node.name}"
        for path in TESTS.rglob("test_*.py")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert silent == []


def test_no_test_is_skipped():
    """No test of ours is skipped or expected to fail: neither by a mark nor by a call."""
    found = [
        f"{path.relative_to(TESTS)}:{node.lineno}"
        for path in TESTS.rglob("*.py")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and node.attr in {"skip", "skipif", "xfail", "importorskip"}
    ]
    assert found == []


def test_the_top_names_are_what_it_says():
    """`__all__` at the top is sorted by hand, without doubles, at most forty names, and each can be had."""
    listed = commonground.__all__
    assert 0 < len(listed) <= 40
    assert len(set(listed)) == len(listed)
    assert [name for name in listed if not hasattr(commonground, name)] == []


def all_errors(kind=errors.CommonGroundError):
    """Every error of the house."""
    yield kind
    for below in kind.__subclasses__():
        yield from all_errors(below)


def test_every_error_is_documented():
    """Each error code has a heading in docs/errors.md, and each heading there is the code of an error."""
    for path in modules():
        if "Error)" in path.read_text(encoding="utf-8"):
            importlib.import_module(name_of(path))
    codes = {kind.code for kind in all_errors()} - {errors.CommonGroundError.code}
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^## `([a-z-]+)`", page, re.MULTILINE)) == codes


def test_every_error_of_the_tree_is_drawn():
    """The tree at the head of errors.py names every class of the file."""
    drawn = errors.__doc__ or ""
    ours = [kind for kind in vars(errors).values() if inspect.isclass(kind) and kind.__module__ == errors.__name__]
    assert [kind.__name__ for kind in ours if kind.__name__ not in drawn] == []


@pytest.mark.parametrize("verb", VERBS.values(), ids=lambda verb: verb.name)
def test_every_verb_is_whole(verb):
    """A verb has its functions, a role and help; each parameter is one of its function's, with help."""
    module = importlib.import_module(f"commonground.operations.{verb.module}")
    step = "plan" if verb.writes else "read"
    function = getattr(module, f"{step}_{verb.function}")
    for also, wanted in (("apply", verb.writes), ("stage", verb.stages), ("finish", verb.finishes)):
        assert hasattr(module, f"{also}_{verb.function}") or not wanted
    assert verb.role.upper() in Role.__members__
    assert verb.help.endswith(".")
    assert verb.help[0].isupper()
    taken = inspect.signature(function).parameters
    for param in verb.params:
        assert param.help, param.name
        assert param.name in taken, param.name
    needed = {name for name, one in list(taken.items())[1:] if one.default is inspect.Parameter.empty}
    assert needed <= {param.name for param in verb.params}
