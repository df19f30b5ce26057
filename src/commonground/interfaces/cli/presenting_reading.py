"""Pages of `show`, `log`, `why`, `find` and `status`: the answer first, the reason beside it, gaps said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from commonground.errors import count, show_bytes
from commonground.interfaces.cli.page import (
    GAP_SIGN,
    NOT_RECORDED,
    Block,
    Cell,
    Column,
    Lines,
    Page,
    Table,
    quote,
    show_moment,
    show_number,
    show_seconds,
)
from commonground.operations.describing import Fact, SideBySide
from commonground.operations.reading import Hop, Log, LogEntry, Results, Shown
from commonground.operations.reasons import Point, Reasons

STATES = {"finished": "holds", "failed": "stop", "killed": "stop", "lost": "open", "running": "act", "created": "act"}
MANY = 10
MOST_RATERS = 6


def present_shown(answer: Shown, args: Mapping[str, Any]) -> Page:
    """One thing."""
    del args
    headline = (
        f"{answer.name}, {_article(answer.kind)} {answer.kind}"
        if answer.kind != "change"
        else f"Change {answer.name[1:]}"
    )
    below: list[Cell] = []
    if answer.kind not in {"change", "entity", "execution", "workflow"}:
        below.append(quote(answer.description, f"{GAP_SIGN} nobody has described it"))
    if answer.kind != "change":
        below.append(Cell(f"id {answer.rid}" + (f", {answer.id} will do" if answer.id != answer.rid else ""), "id"))
    blocks: list[Block] = [facts_table(answer.facts)] if answer.facts else []
    if answer.values is not None:
        blocks.append(_side_by_side(answer.values))
    if answer.came_from:
        blocks.append(_hops("Came from", answer.came_from))
    if answer.used_in:
        blocks.append(_hops("Used in" if answer.kind != "execution" else "Made", answer.used_in))
    if answer.log.entries:
        blocks.append(log_table(answer.log.entries, f"Changes, newest first ({answer.log.total:,} in all)"))
    hints = (
        () if answer.kind in {"change", "person"} else (f"cg why {_named(answer)}: what is on record of the reasons",)
    )
    return Page(headline, below=tuple(below), blocks=tuple(blocks), hints=hints)


def present_log(answer: Log, args: Mapping[str, Any]) -> Page:
    """Changes, newest first."""
    about = f" about {answer.subject}" if answer.subject else ""
    if not answer.entries:
        return Page(f"No changes{about}.")
    silent = sum(entry.silent for entry in answer.entries)
    headline = f"{count(answer.total, 'change')}{about}"
    newest = "the newest follows" if len(answer.entries) == 1 else f"the newest {len(answer.entries):,} follow"
    shown = f"; {newest}" if answer.total > len(answer.entries) else ""
    below = (
        Cell(f"{count(silent, 'of these has', 'of these have')} no reason on record", "gap")
        if silent
        else Cell("All have a reason.", "holds")
    )
    del args
    return Page(f"{headline}{shown}.", below=(below,), blocks=(log_table(answer.entries),))


def present_reasons(answer: Reasons, args: Mapping[str, Any]) -> Page:
    """What is recorded of the reasons, and what is not."""
    del args
    total = len(answer.points)
    state = "holds" if answer.recorded == total else "open"
    headline = f"Why {answer.name}: {answer.recorded} of {count(total, 'question')} answered on record."
    rows = tuple(_point_row(point) for point in answer.points)
    columns = (Column("", widest=24), Column("", wraps=True), Column("", widest=16))
    missing = any(point.answer is None and point.words for point in answer.points)
    hints = ("give the reason when you act: --why; for a selection: --criteria and --reason",) if missing else ()
    return Page(headline, look=state, blocks=(Table(columns, rows, heads=False),), hints=hints)


def present_results(answer: Results, args: Mapping[str, Any]) -> Page:
    """What a search found."""
    del args
    if not answer.found:
        near = f"The nearest names: {', '.join(answer.nearest)}." if answer.nearest else "No name is near to it."
        return Page(f"Nothing found for “{answer.words}”.", below=(Cell(near, "quiet"),))
    rows = tuple(
        (Cell(one.name, "strong"), Cell(one.kind, "quiet"), Cell(one.id, "id"), quote(one.description, GAP_SIGN))
        for one in answer.found
    )
    columns = (Column("name", wraps=True), Column("kind"), Column("id"), Column("what people say of it", wraps=True))
    return Page(f"{count(len(rows), 'thing')} found for “{answer.words}”, best first.", blocks=(Table(columns, rows),))


def facts_table(facts: Sequence[Fact]) -> Table:
    """Facts: what, the value, and the reason beside it."""
    with_why = any(fact.why for fact in facts)
    rows = tuple(
        (Cell(fact.label, "quiet"), fact_cell(fact), *((quote(fact.why, ""),) if with_why else ())) for fact in facts
    )
    columns = (Column(""), Column("", wraps=True), *((Column("", wraps=True),) if with_why else ()))
    return Table(columns, rows, heads=False)


def fact_cell(fact: Fact) -> Cell:
    """The value of a fact."""
    value = fact.value
    if value is None:
        return Cell(NOT_RECORDED, "gap")
    if fact.unit == "words":
        return quote(str(value))
    if isinstance(value, str):
        return Cell(value, STATES.get(value, "id" if fact.label.endswith(("digest", "chain")) else ""))
    if fact.unit == "bytes":
        return Cell(show_bytes(int(value)))
    if fact.unit == "instant":
        return Cell(show_moment(int(value)))
    if fact.unit == "seconds":
        return Cell(show_seconds(value))
    return Cell(show_number(value) + (f" {fact.unit}" if fact.unit else ""))


def log_table(entries: Sequence[LogEntry], title: str | None = None) -> Table:
    """Changes as a table: the reason stands in the row."""
    rows = tuple(
        (
            Cell(f"c{entry.change}", "id"),
            Cell(_what(entry)),
            quote(entry.why) if entry.why or entry.asked else Cell(""),
            Cell(entry.who),
            Cell(show_moment(entry.at, short=True), "quiet"),
        )
        for entry in entries
    )
    columns = (
        Column("", right=True),
        Column("what", wraps=True),
        Column("why", wraps=True),
        Column("who", widest=14),
        Column("when"),
    )
    return Table(columns, rows, title)


def _point_row(point: Point) -> tuple[Cell, ...]:
    answer = Cell(NOT_RECORDED, "gap") if point.answer is None else Cell(point.answer)
    if point.answer is not None and point.words:
        answer = quote(point.answer)
    cited = f"c{point.change}" + (f" {point.who}" if point.who else "") if point.change else ""
    return Cell(point.question, "quiet"), answer, Cell(cited, "id")


def _hops(title: str, hops: Sequence[Hop]) -> Block:
    rows = tuple(
        (
            Cell(hop.name, "strong"),
            Cell(hop.kind, "quiet"),
            Cell(hop.state or "", STATES.get(hop.state or "", "quiet")),
            Cell(f"as {hop.role}" if hop.role and hop.role != hop.name.partition("@")[0] else "", "quiet"),
            Cell(hop.id, "id"),
        )
        for hop in hops[:MANY]
    )
    if len(hops) > MANY:
        title = f"{title} (the first {MANY} of {len(hops):,}; `cg lineage` shows all)"
    columns = (Column("", wraps=True), Column(""), Column(""), Column("", wraps=True), Column(""))
    return Table(columns, rows, title, heads=False)


def _side_by_side(values: SideBySide) -> Block:
    if not values.rows:
        return Lines((Cell(f"{GAP_SIGN} nobody has said anything of it yet", "gap"),))
    shown = values.raters[:MOST_RATERS]
    columns = (Column("feature"), *(Column(who, right=True, widest=14) for who in shown))
    rows = tuple(
        (Cell(name, "quiet"), *(Cell(said) if said else Cell(GAP_SIGN, "gap") for said in row[:MOST_RATERS]))
        for name, row in values.rows
    )
    left = len(values.raters) - len(shown)
    title = "What was said of it" + (f" ({left} more raters: --json)" if left else "")
    return Table(columns, rows, title)


def _what(entry: LogEntry) -> str:
    more = entry.more + max(0, len(entry.about) - 1)
    about = f"{entry.about[0] if entry.about else ''}{f' and {more:,} more' if more else ''}"
    return f"{entry.verb} {about}".strip() + (f": {entry.came_to}" if entry.came_to else "")


def _named(answer: Shown) -> str:
    return answer.name if answer.kind in {"version", "dataset"} else answer.id


def _article(kind: str) -> str:
    return "an" if kind[:1] in "aeiou" else "a"
