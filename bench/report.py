"""The table of docs/performance.md, and the JSON beside it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.measuring import ROOT

PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- table: begin, made by bench -->", "<!-- table: end -->"


def write_json(result: Mapping[str, Any]) -> Path:
    """Keep a result under bench/results, which is not in git."""
    folder = ROOT / "bench" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}.json"
    path.write_text(json.dumps(result, indent=1), encoding="utf-8")
    return path


def write_page(result: Mapping[str, Any]) -> None:
    """Put the table into the page, between its marks."""
    text = PAGE.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    PAGE.write_text(f"{head}{BEGIN}\n{render(result)}\n{END}{tail}", encoding="utf-8")


def render(result: Mapping[str, Any]) -> str:
    """The facts, the table and what could not be measured, as Markdown."""
    facts = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    lines = [
        "",
        f"Made by `{result['command']}` in {result['seconds'] / 60:.1f} minutes: {facts}.",
        "",
        "| task | figure | p50 | p99 | max | target | verdict | beside it in the same run | note |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        beside = "; ".join(f"{name} {value}".strip() for name, value in row["beside"].items())
        cells = [
            row["task"],
            f"{show(row['value'])} {row['unit']} ({row['what']}, n={row['n']})",
            *(show(row[name]) for name in ("p50", "p99", "max")),
            row["target"],
            verdict(row),
            beside,
            row["note"],
        ]
        lines.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    lines += [f"\nNot measured: {name}: {why}" for name, why in result["failed"].items()]
    return "\n".join([*lines, ""])


def verdict(row: Mapping[str, Any]) -> str:
    """Met or missed, and by how much."""
    if row["met"] is None:
        return ""
    times = row["margin"]
    if row["met"]:
        return f"met, {times:.1f}x" if times else "met"
    return f"**missed**, {1 / times:.1f}x short" if times else "**missed**"


def show(value: float | None) -> str:
    """Three figures of a number."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """The rows for whoever watches."""
    for row in rows:
        beside = "; ".join(f"{name} {value}".strip() for name, value in row["beside"].items())
        print(
            f"{row['task']:75.75} {show(row['value']):>9} {row['unit']:5} {row['target']:12} "
            f"{verdict(row).replace('*', ''):22} {beside} {row['note']}",
            flush=True,
        )
