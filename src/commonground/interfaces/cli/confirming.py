"""What a write says of itself: what changed, in a sentence; the change, the id, and the reason or its absence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from commonground.errors import count
from commonground.interfaces.cli.page import (
    NO_REASON,
    Cell,
    Column,
    Lines,
    Page,
    Table,
    quote,
    show_number,
)
from commonground.operations.plans import Committed, Plan

VERBS = {
    "adds": ("Added", "Would add"),
    "releases": ("Released", "Would release"),
    "removes": ("Removed", "Would remove"),
    "puts": ("Put", "Would put"),
    "takes": ("Took", "Would take"),
    "keeps": ("Kept", "Would keep"),
    "starts": ("Started", "Would start"),
    "ends": ("Ended", "Would end"),
    "uses": ("Noted the use of", "Would note the use of"),
    "retires": ("Retired", "Would retire"),
    "withdraws": ("Withdrew", "Would withdraw"),
    "settles": ("Settled", "Would settle"),
    "marks": ("Marked", "Would mark"),
    "merges": ("Merged", "Would merge"),
    "renames": ("Renamed", "Would rename"),
    "retypes": ("Retyped", "Would retype"),
    "erases": ("Erased", "Would erase"),
    "undoes": ("Undid", "Would undo"),
    "splits": ("Split", "Would split"),
    "draws from": ("Drew from", "Would draw from"),
}
LINKS = ("to", "from", "into", "out of", "in")
MANY = 8


def describe_plan(plan: Plan) -> Page:
    """What a plan would do; nothing was written."""
    if plan.nothing:
        return Page("Nothing to change.", below=_notes(plan))
    return Page(
        f"{_sentence(plan.verb, plan.effect, 1)}.",
        look="act",
        below=(Cell("This is a plan. Nothing was written.", "quiet"),),
        blocks=_details(plan.effect),
        hints=("the same command without --dry-run writes it",),
    )


def describe_committed(done: Committed, short: str | None) -> Page:
    """What was written."""
    change = done.change
    if change is None:
        return Page("Nothing to change.", below=_notes(done.plan))
    again = " It had been committed before." if done.again else ""
    told = f"change {change.id}" + (f"  id {short}" if short else "")
    said = change.why or done.plan.effect.get("because")
    why = quote(str(said)) if said else Cell(f'{NO_REASON} (next time: --why "...")', "gap")
    return Page(
        f"{_sentence(done.plan.verb, done.plan.effect, 0)}.{again}",
        look="holds",
        below=(Cell(told, "id"), why),
        blocks=_details(done.plan.effect),
    )


def _sentence(verb: str, effect: Mapping[str, Any], form: int) -> str:
    lead = next((key for key in effect if key in VERBS), None)
    if lead is None:
        if {"type", "new", "changed"} <= effect.keys():
            return _brought_in(effect, form)
        if "readings" in effect:
            word = ("Brought in", "Would bring in")[form]
            return f"{word} {count(effect['readings'], 'reading')}"
        if "pictures" in effect:
            word = ("Brought in", "Would bring in")[form]
            return f"{word} {count(effect['pictures'], 'picture')}"
        if {"feature", "values"} <= effect.keys():
            word = ("Wrote", "Would write")[form]
            return f"{word} {count(effect['values'], 'value')} of {effect['feature']}"
        if "destroys" in effect:
            return ("Erased what is listed here", "Would erase for good what is listed here")[form]
        return f"{('Done', 'Would do')[form]}: {verb}"
    words = [VERBS[lead][form], _shown(effect[lead])]
    if isinstance(effect[lead], int) and verb.startswith("dataset"):
        words.append("member" if effect[lead] == 1 else "members")
    for link in LINKS:
        if link in effect:
            words += [link, _shown(effect[link])]
    return " ".join(words)


def _brought_in(effect: Mapping[str, Any], form: int) -> str:
    source = f" from {effect['from']}" if "from" in effect else ""
    word = ("Brought in", "Would bring in")[form]
    counted = [f"{effect[kind]:,} {kind}" for kind in ("new", "changed") if effect[kind]]
    return f"{word} {' and '.join(counted) or 'no'} {effect['type']}{source}"


def _details(effect: Mapping[str, Any]) -> tuple[Table | Lines, ...]:
    said = {*LINKS, "touches", "because", "type", "feature", "values", "readings", "pictures", "new", "changed", *VERBS}
    rows: list[tuple[Cell, ...]] = []
    notes: list[str] = []
    for key, value in effect.items():
        # Nothing of a kind is not worth a line.
        if key in said or value in (None, 0, [], {}, ()):
            continue
        if key in {"notes", "faults"} and isinstance(value, list | tuple):
            notes += [str(one) for one in value]
        elif isinstance(value, Mapping):
            rows += [(Cell(f"{key}: {inner}", "quiet"), Cell(_shown(of))) for inner, of in list(value.items())[:MANY]]
        else:
            rows.append((Cell(key, "quiet"), Cell(_shown(value))))
    blocks: list[Table | Lines] = []
    if rows:
        figures = all(row[1].text.replace(",", "").isdecimal() for row in rows)
        blocks.append(Table((Column(""), Column("", right=figures, wraps=not figures)), tuple(rows), heads=False))
    if notes:
        blocks.append(Lines(tuple(Cell(note, "open") for note in notes), "Notes"))
    if effect.get("touches"):
        blocks.append(Lines(tuple(Cell(str(one)) for one in effect["touches"]), "What depends on it"))
    return tuple(blocks)


def _notes(plan: Plan) -> tuple[Cell, ...]:
    notes = plan.effect.get("notes") or ()
    unchanged = plan.effect.get("unchanged")
    told = [Cell(f"{unchanged:,} are as they were.", "quiet")] if isinstance(unchanged, int) else []
    return (*told, *(Cell(str(note), "open") for note in notes))


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return show_number(value)
    if isinstance(value, list | tuple):
        more = f" and {len(value) - MANY:,} more" if len(value) > MANY else ""
        return ", ".join(_shown(one) for one in value[:MANY]) + more
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_shown(inner)}" for key, inner in value.items())
    return str(value)
