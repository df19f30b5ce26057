"""Verbs for executions, their records and their reproduction."""

from __future__ import annotations

from commonground.operations.verb import Param, Verb

VERBS: tuple[Verb, ...] = ()
