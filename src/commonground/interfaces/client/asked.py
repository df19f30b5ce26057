"""What may be asked for by keyword where the words are handed on: of a run, and of a reproduction."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from commonground.plain import Plain


class RunAsked(TypedDict, total=False):
    """What a run that is part of another may be asked for; see `study.run`."""

    intent: str | None
    inputs: Sequence[str]
    params: Mapping[str, Any] | None
    name: str | None
    scratch: bool | None
    details: Mapping[str, Any] | None


class ReproductionAsked(TypedDict, total=False):
    """What is to be otherwise when an execution is run again; see `reproduce_command.Asked`."""

    data: Sequence[str]
    params: Mapping[str, Plain]
    present_code: bool
    present_packages: bool
    python: str | None
    source: str | os.PathLike[str] | None
    times: int
    tolerance: float
    ignored: Sequence[str]
    keep: bool
