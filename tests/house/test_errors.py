"""Every error of ours says what to do."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from commonground import errors
from house import modules, name_of, tree_of

ERRORS = {
    name
    for name, found in vars(errors).items()
    if isinstance(found, type) and issubclass(found, errors.CommonGroundError)
}


def made(tree: ast.Module) -> Iterator[ast.Call]:
    """Where an error of ours is made."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS:
            yield node


def is_sentence(words: ast.expr) -> bool:
    """Whether an error is told as a whole sentence; what is none is a fault that its caller tells among others."""
    if isinstance(words, ast.JoinedStr):
        words = words.values[-1]
    if isinstance(words, ast.Constant):
        return str(words.value).endswith(".")
    return isinstance(words, ast.Name) and words.id.isupper()


def says_what_to_do(call: ast.Call) -> bool:
    """Whether it names something to do, or takes over what another error says."""
    for given in call.keywords:
        if given.arg is None:
            return True
        if given.arg == "todo":
            return not (isinstance(given.value, ast.Constant) and not given.value.value)
    return False


def test_every_error_says_what_to_do() -> None:
    """No error that stands by itself ends without a way out."""
    calls = [(name_of(path), call) for path in modules() for call in made(tree_of(path))]
    assert len(calls) > 300
    mute = [
        f"{name}:{call.lineno} {ast.unparse(call.args[0])[:60]}"
        for name, call in calls
        if call.args and is_sentence(call.args[0]) and not says_what_to_do(call)
    ]
    assert mute == []
