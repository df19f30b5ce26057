"""Pages and what stands under the command line: widths, figures, plain data, options, and the errors nobody expects."""

from __future__ import annotations

import io
import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pytest
from rich.console import Console

from commonground.errors import InvalidInput, count, show_bytes
from commonground.identity import Rid, show_rid
from commonground.interfaces.cli import rich_printing
from commonground.interfaces.cli.confirming import describe_plan
from commonground.interfaces.cli.failing import AGAIN, KEPT, STOPPED, report_unexpected
from commonground.interfaces.cli.options import build_options, read_arguments
from commonground.interfaces.cli.page import (
    Cell,
    Column,
    Lines,
    Page,
    Table,
    plain,
    quote,
    show_figure,
    show_number,
    show_seconds,
)
from commonground.interfaces.cli.plain_data import as_plain
from commonground.interfaces.cli.presenting import present
from commonground.interfaces.cli.presenting_checks import SHOWN, present_agreement, present_disagreements
from commonground.interfaces.cli.presenting_lineage import MOST, present_lineage
from commonground.interfaces.cli.printing import render_plain
from commonground.interfaces.cli.rich_printing import print_page
from commonground.operations.adjudicating import Disagreement
from commonground.operations.agreement import Agreement
from commonground.operations.answers import Backup
from commonground.operations.execution_reading import Axis, Comparison
from commonground.operations.lineage import Lineage
from commonground.operations.plans import Plan
from commonground.operations.registry import VERBS
from commonground.operations.verb import Param, Verb
from commonground.operations.version_files import VersionFiles
from commonground.structure.agreement import Coincidences, Figure
from commonground.structure.lineage import Edge, Named

CG = str(Path(sys.executable).with_name("cg"))
PAGE = Page(
    "Two datasets.",
    blocks=(
        Table(
            (Column("dataset"), Column("members", right=True), Column("why", wraps=True)),
            (
                (Cell("nodules"), Cell("2,679"), quote("Because the board wanted to see all of them " * 3)),
                (Cell("結節"), Cell("9"), quote(None)),
            ),
        ),
    ),
    hints=("cg status",),
)


@pytest.mark.parametrize("width", [60, 80, 132])
def test_a_page_fits_the_terminal(width: int) -> None:
    """No line of a page is wider than the terminal, figures stay right-aligned, and a gap is said."""
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=True)
    print_page(PAGE, console=console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    lines = text.splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    ends = [line.index("2,679") + 5 for line in lines if "2,679" in line] + [
        line.index("members") + 7 for line in lines if "members" in line
    ]
    assert len(set(ends)) == 1
    assert "┄ no reason given" in text


def test_plain_rows_are_never_cut() -> None:
    """Plain text has the whole of a long reason on one line, and columns line up also behind wide letters."""
    lines = render_plain(PAGE).splitlines()
    nodules = next(line for line in lines if line.startswith("nodules"))
    other = next(line for line in lines if line.startswith("結節"))
    assert nodules.count("Because the board") == 3
    assert nodules.index("2,679") + 5 == other.index("9") + 1 + 2


def test_figures_are_said_as_people_read_them() -> None:
    """Counts have their noun in the right number, sizes and times a unit, and what is no number is said in words."""
    assert count(1, "nodule") == "1 nodule"
    assert count(2679, "nodule") == "2,679 nodules"
    assert count(0, "entity", "entities") == "0 entities"
    assert [show_bytes(size) for size in (1, 999, 1000, 999_999, 1_230_000)] == [
        "1 byte", "999 bytes", "1 kB", "1 MB", "1.23 MB",
    ]  # fmt: skip
    assert [show_seconds(time) for time in (4.21, 200, 7500)] == ["4.21 s", "3 min 20 s", "2 h 5 min"]
    assert show_figure(math.nan) == "not a number"
    assert show_figure(None) == "┄"


@dataclass(frozen=True)
class Record:
    """A record with an id among its fields."""

    rid: Rid
    others: tuple[Rid, ...]
    rows: int
    figure: float


def test_plain_data_shows_ids_and_keeps_to_json() -> None:
    """Fields that hold ids become their characters, other whole numbers stay, and NaN is text: all of it is JSON."""
    record = Record(7, (8, 9), 10, math.nan)
    told = as_plain({"one": record, "array": np.array([1, 2]), "path": Path("a"), "bytes": b"\x01"})
    assert told["one"] == {"rid": show_rid(7), "others": [show_rid(8), show_rid(9)], "rows": 10, "figure": "nan"}
    assert told["array"] == [1, 2]
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_every_verb_has_a_command_whose_options_do_not_collide() -> None:
    """For each verb no spelling of an option stands for two, and every parameter can be given."""
    for verb in VERBS.values():
        parameters = build_options(verb)
        spelled = [name for parameter in parameters for name in parameter.opts if name.startswith("-")]
        assert len(spelled) == len(set(spelled)), verb.name
        assert {param.name for param in verb.params} <= {parameter.name for parameter in parameters}


VERB = Verb(
    "try it",
    "none",
    "none",
    "Try.",
    "reader",
    writes=False,
    params=(
        Param("links", "", many=True),
        Param("terms", "", type="pairs", many=True),
        Param("values", "", type="json", many=True),
        Param("keys", "", many=True),
        Param("folder", "", type="path"),
        Param("ordered", "", type="flag"),
        Param("least", "", type="real"),
    ),
)


def test_options_become_arguments_of_the_verb(tmp_path: Path) -> None:
    """Links, pairs, JSON, keys from a file, paths, flags and numbers are read; what was not given is left out."""
    (tmp_path / "keys").write_text("a\n\n b \n", encoding="utf-8-sig")
    command = click.Command("it", params=build_options(VERB))
    words = ["--link", "site", "--link", "ward=Hospital", "--term", "side=Side", "--value", "3", "--value", "left"]
    words += ["--keys", f"@{tmp_path / 'keys'}", "--key", "c", "--folder", "x", "--least", "0.5"]
    with command.make_context("it", words) as context:
        read = read_arguments(VERB, context.params)
    assert read == {
        "links": {"site": "site", "ward": "Hospital"},
        "terms": {"side": "Side"},
        "values": [3, "left"],
        "keys": ["a", "b", "c"],
        "folder": Path("x"),
        "least": 0.5,
    }


def test_a_column_is_declared_only_where_one_is_asked_for() -> None:
    """`size:real:mm` declares a column; the name of one, with its kind before it, stays a name."""
    declared = read_arguments(VERBS["type extend"], {"columns": ("size:real:mm", '{"name": "day", "holds": "date"}')})
    assert declared == {"columns": [{"name": "size", "holds": "real", "unit": "mm"}, {"name": "day", "holds": "date"}]}
    named = ["column:Nodule.size", "Nodule.side"]
    assert read_arguments(VERBS["type sensitive"], {"columns": named}) == {"columns": named}


def test_all_faults_of_options_come_at_once() -> None:
    """Two unreadable options are both named in one error."""
    with pytest.raises(InvalidInput) as caught:
        read_arguments(VERB, {"terms": ("side",), "values": ("{",), "keys": ()})
    assert len(caught.value.faults) == 2


def test_the_unexpected_is_short_unless_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that nobody thought of gives three lines; with CG_DEBUG=1 the traceback follows."""
    monkeypatch.delenv("CG_DEBUG", raising=False)
    report_unexpected(ZeroDivisionError("boom"), as_json=False)
    assert len(capsys.readouterr().err.splitlines()) == 3
    monkeypatch.setenv("CG_DEBUG", "1")
    report_unexpected(ZeroDivisionError("boom"), as_json=True)
    told, _, rest = capsys.readouterr().err.partition("\n")
    assert json.loads(told)["code"] == "unexpected"
    assert "ZeroDivisionError: boom" in rest


def test_what_was_left_out_of_a_version_is_in_its_json() -> None:
    """The list of files alone would hide that tables with sensitive columns are not in it."""
    told = as_plain(VersionFiles([{"table": "Visit", "rows": 3}], {"Patient": "name: sensitive"}))
    assert told == {"files": [{"table": "Visit", "rows": 3}], "left_out": {"Patient": "name: sensitive"}}


def test_stopping_is_clean(tmp_path: Path) -> None:
    """Ctrl-C while a command waits leaves with 130, a sentence and no traceback."""
    given = {**os.environ, "CG_PERSON": "Reader One"}
    subprocess.run([CG, "init", "."], cwd=tmp_path, env=given, capture_output=True, timeout=60, check=True)
    words = [CG, "dataset", "create", "x", "--type", "T", "--keys", "@-"]
    process = subprocess.Popen(
        words, cwd=tmp_path, env=given, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said.strip() == f"{STOPPED} {KEPT} {AGAIN}"


def test_what_people_wrote_does_nothing_to_a_terminal() -> None:
    """Escapes, carriage returns and turned directions are written out, in plain text and in a terminal alike."""
    evil = "a\x1b[2Jb\rc\u202ed\x07e\x9bf"
    page = Page(evil, below=(Cell(evil),), blocks=(Lines((Cell(evil),)), Table((Column(""),), ((Cell(evil),),))))
    console = Console(record=True, width=100, file=io.StringIO(), force_terminal=True)
    rich_printing.print_page(page, console=console)
    shown = render_plain(page) + console.export_text()
    assert not set("\x1b\r\u202e\x07\x9b") & set(shown)
    assert shown.count("a\\x1b[2Jb\\rc\\u202ed\\x07e\\x9bf") == 8
    assert plain("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645, \u00e9, \U0001f469\u200d\u2695") == (
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645, \u00e9, \U0001f469\u200d\u2695"
    )


@pytest.mark.parametrize(("others", "said"), [(MOST, False), (MOST + 1, True)])
def test_a_long_lineage_says_that_it_is_cut(others: int, said: bool) -> None:
    """Two hundred lines are shown; where there is one more, the page says how to see it."""
    things = [Named(rid, "execution", f"run {rid}", None) for rid in range(1, others + 2)]
    edges = [Edge(rid, 1, rid, "used", None, {}) for rid in range(2, others + 2)]
    answer = Lineage(things[0], "down", tuple(things[1:]), tuple(edges), complete=True)
    page = present_lineage([answer], {})
    assert [len(block.rows) for block in page.blocks if isinstance(block, Table)] == [MOST]
    assert any("lines are shown" in cell.text for cell in page.below) == said


def test_a_lineage_names_a_role_only_if_it_says_more() -> None:
    """A role that is the name of the thing itself is left out; every step says who did what."""
    run, version, model = Named(1, "execution", "fit", None), Named(2, "version", "scans@1.0.0", None), 3
    made = Named(model, "asset", "model.pt", "model")
    up = [Edge(7, 2, 1, "used", "scans", {})]
    down = [Edge(8, 1, 3, "produced", "best", {})]
    shown = render_plain(
        present_lineage(
            [
                Lineage(run, "up", (version,), tuple(up), complete=True),
                Lineage(run, "down", (made,), tuple(down), complete=True),
            ],
            {},
        )
    )
    assert [line.split("  ")[-1].strip() for line in shown.splitlines() if "@" in line or "model.pt" in line] == [
        "used",
        "made as best",
    ]
    back = present_lineage([Lineage(made, "up", (run,), tuple(down), complete=True)], {})
    assert "made it as best" in render_plain(back)


def test_disagreements_say_what_is_open_and_what_is_not_shown() -> None:
    """One that is open, all that are settled, and a list that is cut are each said as they are."""
    open_one = Disagreement("n1", (("a", "1"), ("b", "2")), None, None, 0)
    settled = Disagreement("n2", (("a", "1"), ("b", "2")), "2", "c", 1)

    def headline(*found: Disagreement, **args: object) -> str:
        return present_disagreements(found, {"feature": "grade", **args}).headline

    assert headline(open_one, settled) == "Readers disagree on 2 entities in grade; 1 is open."
    assert headline(settled) == "Readers disagree on 1 entity in grade; all is settled."
    assert headline() == "No two readers disagree on grade."
    assert headline(unsettled=True) == "Nothing is open: whatever readers disagree on in grade is settled."
    page = present_disagreements([settled] * (SHOWN + 3), {})
    assert "3 more are not" in page.below[0].text
    assert "1 newer reading" in render_plain(page)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (2679, "2,679"),
        (2679.0, "2,679"),
        (561.0, "561"),
        (12345.6, "12,346"),
        (0.30000000000000004, "0.3"),
        (1e-7, "1e-07"),
    ],
)
def test_a_figure_is_written_in_one_way(value: float, shown: str) -> None:
    """A count has its commas however it was measured, and a large figure loses none of its whole digits."""
    assert show_number(value) == shown


def test_a_backup_says_whether_it_is_sound_and_when_it_was_made() -> None:
    """The folder and the finding stand in the headline, moments are moments, and what brings it back is told."""
    one = Backup(Path("/copy"), "S", "lungs", 3, "ab", 1_700_000_000_000_000, 1200, 1_700_000_000_000_001, "intact")
    said = render_plain(present("backup", one, {}))
    assert said.splitlines()[0] == "Copied lungs to /copy: verified."
    assert "1,200 rows" in said
    assert "Nov 2023" in said
    assert "> cg restore /copy" in said
    listed = render_plain(present("backups", [one], {}))
    assert listed.startswith("1 backup.")
    assert "1,700,000" not in listed


def test_what_is_retired_is_said_by_name() -> None:
    """And not as the verb that did it."""
    plan = Plan(id=1, verb="retire", args={}, at=1, effect={"retires": "Nodule.size"})
    assert describe_plan(plan).headline == "Would retire Nodule.size."
    plan = Plan(id=1, verb="erase", args={}, at=1, effect={"destroys": {"Nodule": 1}})
    assert describe_plan(plan).headline == "Would erase for good what is listed here."


@pytest.mark.parametrize(("within", "told"), [(None, False), (0.75, True)])
def test_values_without_an_order_are_no_steps_apart(within: float | None, told: bool) -> None:
    """Of a nominal feature no step is spoken of; of an ordered one it is."""
    pairs = Coincidences(np.array(["a", "b"]), np.array([[2, 1], [1, 0]]), 4, 0.5, within)
    figure = Figure(0.2, "", 2, 4)
    page = present_agreement(Agreement("Nodule.edge", "nominal", figure, pairs, ("a", "b"), 0, 4, 0), {})
    said = render_plain(page)
    assert "pairs that agree exactly" in said
    assert ("step" in said) is told


def test_a_comparison_names_the_execution_whose_values_were_used_and_the_function_that_ran() -> None:
    """No bare id and no whole digest stands where a name is known."""
    data = '[["nodules@1.0.0", [{"features": [{"selector": {"execution": "0AM9HJRC4DEJW", "rule": "by_execution"}}]}]]]'
    axes = (Axis("data", (data,), differs=False), Axis("code", (f"- {'ab' * 32} tr.py fit",), differs=False))
    said = render_plain(present("diff", Comparison((), axes, {"0AM9HJRC4DEJW": "target"}), {}))
    assert "nodules@1.0.0 by target" in said
    assert "tr.py fit abababab" in said
    assert "0AM9HJRC4DEJW" not in said
