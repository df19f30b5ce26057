"""`@study.track(...)`: each call of a function is a run, and its arguments are the parameters."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar, Unpack

from commonground.errors import InvalidInput
from commonground.identity import Rid
from commonground.interfaces.client.asked import RunAsked
from commonground.interfaces.client.run import Run
from commonground.structure.parameters import flatten

Given = ParamSpec("Given")
Result = TypeVar("Result")


class TrackAsked(RunAsked, total=False):
    """What each call of a tracked function may be asked for; see `study.run`."""

    parent: Run | Rid | str | None


def track(
    begin: Callable[..., Run],
    **asked: Unpack[TrackAsked],
) -> Callable[[Callable[Given, Result]], Callable[Given, Result]]:
    """A decorator that makes each call of a function a run begun by `begin`.

    Arguments that are plain values become parameters, defaults included; of others the type is told among the details.
    A function with a parameter `run` gets the run there, unless the caller gives one.
    """

    def decorate(function: Callable[Given, Result]) -> Callable[Given, Result]:
        signature = inspect.signature(function)
        wants_run = "run" in signature.parameters
        call: Callable[..., Result] = function

        @functools.wraps(function)
        def tracked(*args: Given.args, **kwargs: Given.kwargs) -> Result:
            bound = signature.bind_partial(*args, **kwargs)
            bound.apply_defaults()
            given = {name: value for name, value in bound.arguments.items() if not (wants_run and name == "run")}
            plain, others = sort_arguments(given, signature)
            params = {**plain, **dict(asked.get("params") or {})}
            details = {**dict(asked.get("details") or {}), "function": f"{function.__module__}.{function.__qualname__}"}
            if others:
                details["arguments_not_kept"] = others
            words = {"name": None, "entry": function.__name__, **asked, "params": params, "details": details}
            with begin(**words) as run:
                more = {"run": run} if wants_run and bound.arguments.get("run") is None else {}
                return call(*args, **{**kwargs, **more})

        return tracked

    return decorate


def sort_arguments(given: Mapping[str, Any], signature: inspect.Signature) -> tuple[dict[str, Any], dict[str, str]]:
    """The arguments that are plain values, and the types of those that are not."""
    plain: dict[str, Any] = {}
    others: dict[str, str] = {}
    for name, value in given.items():
        parts = {name: value}
        parameter = signature.parameters.get(name)
        if parameter is not None and parameter.kind is inspect.Parameter.VAR_KEYWORD:
            parts = dict(value)
        for key, part in parts.items():
            try:
                flatten({key: part})
            except InvalidInput:
                others[key] = f"{type(part).__module__}.{type(part).__qualname__}"
            else:
                plain[key] = part
    return plain, others
