"""A program that replaces itself (exec) says so in its spool before, because after it nobody can.

While a run is active, `os.execv` and `os.execve`, through which Python's other ways go, are wrapped.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable
from typing import Any

StrOrBytesPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]
Say = Callable[[str], None]
_NAMES = ("execv", "execve")
_listeners: list[Say] = []
_before: dict[str, Any] = {}
_own: dict[str, Any] = {}


def listen(say: Say) -> None:
    """Have `say` told the program by which this process is about to be replaced."""
    _listeners.append(say)
    if _own:
        return
    for name in _NAMES:
        _before[name] = getattr(os, name)
        _own[name] = _telling(_before[name])
        setattr(os, name, _own[name])


def forget(say: Say) -> None:
    """Tell it no more; the functions are given back with the last one, unless somebody else has wrapped them since."""
    with contextlib.suppress(ValueError):
        _listeners.remove(say)
    if _listeners:
        return
    for name in list(_own):
        if getattr(os, name) is _own[name]:
            setattr(os, name, _before[name])
            del _own[name], _before[name]


def _telling(function: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(function)
    def replaced(path: StrOrBytesPath, *rest: object, **named: object) -> object:
        for say in tuple(_listeners):
            with contextlib.suppress(Exception):
                say(os.fsdecode(path))
        return function(path, *rest, **named)

    return replaced
