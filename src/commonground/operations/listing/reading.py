"""Verbs for reading and explaining."""

from __future__ import annotations

from commonground.operations.verb import Verb

VERBS: tuple[Verb, ...] = ()
