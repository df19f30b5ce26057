"""`cg reproduce EXECUTION`: the command, and the page of what a reproduction shows.

The exit status is 0 if it is identical, the same within tolerance, or varies by itself; 1 if it is different or failed
to run; 6 if it is not reproducible.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from commonground.errors import InvalidInput, NotReproducible, count
from commonground.interfaces.cli.options import build_common, read_json, take_common
from commonground.interfaces.cli.page import (
    GAP_SIGN,
    Block,
    Cell,
    Column,
    Lines,
    Page,
    Table,
    show_figure,
    show_moment,
)

if TYPE_CHECKING:
    from commonground.operations.answers import Departure
    from commonground.operations.reproducing import Reproduction

WIDTH = 40
"""Characters of a column."""
LOOKS: Mapping[str, str] = {
    "identical": "holds",
    "same within tolerance": "holds",
    "varies by itself": "open",
    "different": "stop",
    "failed to run": "stop",
    "not reproducible": "stop",
}
STATUS: Mapping[str, int] = {"different": 1, "failed to run": 1, "not reproducible": NotReproducible.exit_status}
ABOUT = """Run an execution again and keep the verdict beside it.

The recorded code is laid out in a fresh folder and runs with the recorded data and parameters, as you: it is no
sandbox. To run it again but with X changed, name X.
"""


def build_reproduce() -> click.Command:
    """`cg reproduce EXECUTION`."""
    params: list[click.Parameter] = [
        click.Argument(["execution"], metavar="EXECUTION"),
        click.Option(
            ["--times"], type=click.IntRange(1, 50), default=1, metavar="N", help="How many re-runs at least."
        ),
        click.Option(["--data"], multiple=True, metavar="[NAME=]REF", help="Another version or file in its place."),
        click.Option(["--param"], multiple=True, metavar="NAME=VALUE", help="A parameter to be set otherwise."),
        click.Option(["--with-present-code", "present_code"], is_flag=True, help="Take the code as it is now."),
        click.Option(
            ["--with-present-packages", "present_packages"], is_flag=True, help="Do not build the recorded packages."
        ),
        click.Option(["--python"], metavar="PATH", help="Another interpreter."),
        click.Option(["--source"], metavar="FOLDER", help="A folder with the repository of the code."),
        click.Option(["--tolerance"], type=float, default=1e-9, metavar="X", help="Relative; default 1e-9."),
        click.Option(["--ignore", "ignored"], multiple=True, metavar="NAME", help="A metric or file not to compare."),
        click.Option(["--keep"], is_flag=True, help="Leave the folders of the re-runs where they are."),
        *[
            option
            for option in build_common(reads=True, writes=True, taken=set())
            if option.name in {"common_json", "common_study", "common_person", "common_why"}
        ],
    ]
    return click.Command(
        "reproduce",
        callback=_call,
        params=params,
        help=ABOUT,
        short_help="Run an execution again and keep the verdict beside it.",
        epilog="Needs the role contributor.",
    )


def _call(execution: str, param: tuple[str, ...], source: str | None, **given: object) -> None:
    common = take_common(given)
    running: Any = importlib.import_module("commonground.interfaces.cli.running")
    act: Any = importlib.import_module("commonground.interfaces.reproduce_command")
    asked = act.Asked(params=_read_params(param), source=Path(source) if source else None, **given)
    with running.opened(common) as session:
        found = act.reproduce(session, execution, asked, why=common.why, tell=lambda text: click.echo(text, err=True))
    running.show(found, lambda: present_reproduction(found), common)
    raise click.exceptions.Exit(STATUS.get(str(found.verdict.outcome), 0))


def _read_params(pairs: Sequence[str]) -> dict[str, Any]:
    split = [pair.partition("=") for pair in pairs]
    faults = [
        f"{pair!r} is not of the form name=value"
        for pair, (name, sign, _) in zip(pairs, split, strict=True)
        if not (name and sign)
    ]
    if faults:
        raise InvalidInput("These parameters cannot be read.", faults=faults, todo="Write --param trees=300.")
    return {name: read_json(text) for name, _, text in split}


def present_reproduction(found: Reproduction) -> Page:
    """What one reproduction shows."""
    verdict = found.verdict
    level = f"{verdict.level}, " if verdict.level else ""
    below = [
        Cell(f"{level}{count(verdict.runs, 're-run')}; {found.person or GAP_SIGN}, {show_moment(found.at)}", "quiet")
    ]
    if verdict.cause:
        below.append(Cell(f"because of the {verdict.cause}: nothing else differs", "strong"))
    if verdict.reason:
        below.append(Cell(verdict.reason, "stop"))
    below += [Cell(f"missing: {text}", "gap") for text in verdict.missing]
    blocks: list[Block] = []
    if verdict.axes:
        rows = tuple(
            (Cell(axis.axis, "strong"), Cell(name), Cell(_short(old)), Cell(_short(new)))
            for axis in verdict.axes
            for name, old, new in axis.items
        )
        heads = (Column("differs"), Column("", wraps=True), Column("recorded", wraps=True), Column("now", wraps=True))
        blocks.append(Table(heads, rows, "Conditions"))
    if verdict.departures:
        results = tuple(
            (Cell(one.kind, "quiet"), Cell(one.name), Cell(_short(one.old)), Cell(_short(one.new)), _relative(one))
            for one in verdict.departures
        )
        first = "first re-run" if verdict.spread else "recorded"
        blocks.append(Table(tuple(Column(name) for name in ("", "", first, "re-run", "relative")), results, "Results"))
    if verdict.spread:
        figures = tuple(
            (Cell(one.name), *(Cell(show_figure(value)) for value in (one.recorded, one.lowest, one.highest)))
            for one in verdict.spread
        )
        names = ("metric", "recorded", "lowest", "highest")
        blocks.append(Table(tuple(Column(name, right=name != "metric") for name in names), figures, "By itself"))
    if verdict.facts:
        blocks.append(Lines(tuple(Cell(text) for text in verdict.facts)))
    outcome = str(verdict.outcome)
    return Page(outcome.capitalize() + ".", LOOKS.get(outcome, "strong"), tuple(below), tuple(blocks))


def present_reproductions(answer: Sequence[Reproduction], args: Mapping[str, Any]) -> Page:
    """Every reproduction of an execution."""
    del args
    if not answer:
        return Page("It was not run again yet.", hints=("cg reproduce EXECUTION: run it again",))
    rows = tuple(
        (
            Cell(str(found.verdict.outcome), LOOKS.get(str(found.verdict.outcome), "")),
            Cell(found.verdict.cause or ", ".join(axis.axis for axis in found.verdict.axes) or GAP_SIGN),
            Cell(str(found.verdict.level or GAP_SIGN)),
            Cell(f"{found.verdict.runs:,}"),
            Cell(found.person or GAP_SIGN),
            Cell(show_moment(found.at, short=True), "quiet"),
        )
        for found in answer
    )
    names = ("verdict", "what differed", "environment", "re-runs", "by", "when")
    columns = tuple(Column(name, right=name == "re-runs", wraps=name == "what differed") for name in names)
    return Page(f"{count(len(rows), 'reproduction')}.", blocks=(Table(columns, rows),))


def _short(text: str | None) -> str:
    return GAP_SIGN if text is None else text if len(text) <= WIDTH else f"{text[: WIDTH - 3]}..."


def _relative(one: Departure) -> Cell:
    return Cell(GAP_SIGN if one.relative is None else f"{one.relative:.2g}", "quiet" if one.within else "stop")
