"""Verbs for keeping the study sound."""

from __future__ import annotations

from commonground.operations.verb import Verb

VERBS: tuple[Verb, ...] = ()
