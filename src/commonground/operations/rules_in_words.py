"""The rule of a split or a subsample, which is kept as exact JSON, in words; what a person wrote stays as it is."""

from __future__ import annotations

import json
from collections.abc import Mapping


def rule_in_words(rule: str | None) -> str | None:
    """A rule as people read it: split of nodules@1.0.0, train 0.8, test 0.2, seed 0, by scan.patient."""
    if rule is None or not rule.startswith("{"):
        return rule
    try:
        told = json.loads(rule)
    except ValueError:
        return rule
    word = next((word for word in ("split of", "subsample of") if isinstance(told, dict) and word in told), None)
    if word is None:
        return rule
    parts = [
        f"{word} {told[word]}",
        *(f"{part} {_figure(share)}" for part, share in (told.get("shares") or {}).items()),
    ]
    parts += [f"{name} {_figure(told[name])}" for name in ("size", "share", "seed") if told.get(name) is not None]
    group = told.get("group")
    parts.append(f"{group} never divided" if group and group != "none" else "each for itself")
    if told.get("stratify"):
        parts.append(f"even in {_stratum(told['stratify'])}")
    return ", ".join(parts)


def _figure(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _stratum(told: object) -> str:
    return str(told.get("feature")) if isinstance(told, Mapping) else str(told)
