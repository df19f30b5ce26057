"""The tree of commands, made from the registry: a verb of two words is a command in a group. Loads nothing heavy."""

from __future__ import annotations

import importlib
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, TypedDict, Unpack

import click

from commonground.interfaces.cli.options import build_common, build_options, read_arguments, take_common
from commonground.operations.registry import VERBS
from commonground.operations.verb import Param, Verb

SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Begin", ("init", "demo", "status")),
    ("Read", ("show", "why", "log", "diff", "lineage", "dependents", "find")),
    ("Build", ("import", "type", "entity", "vocabulary", "term", "feature", "dataset", "asset", "person")),
    ("Change", ("rename", "retype", "retire", "impact")),
    ("Run", ("run", "execution", "reproduce", "sync")),
    ("Keep", ("verify", "backup", "backups", "restore", "checkpoint", "gc", "revert", "erase", "migrate", "doctor")),
)
GROUPS: Mapping[str, str] = {
    "person": "Who takes part, and what they may do.",
    "vocabulary": "Words that the study shares.",
    "term": "The words of a vocabulary.",
    "type": "Kinds of entity, such as Patient, Scan, Nodule.",
    "entity": "Entities: bring them in, merge duplicates, withdraw them.",
    "feature": "What readers and programs say of entities.",
    "dataset": "Sets of entities, their members and releases.",
    "execution": "Runs: find, compare, keep them.",
    "import": "Bring in a table, a folder of pictures, or readings.",
    "asset": "Files and series of files.",
}
RUNNING = "commonground.interfaces.cli.running"
HELP_WIDTH = 92
"""Of lines that click does not break itself: its widest page without the margins."""
Own = Callable[[], click.Command]


class Settings(TypedDict, total=False):
    """Those of click's settings of a group that are used here."""

    help: str
    short_help: str
    no_args_is_help: bool
    invoke_without_command: bool
    callback: Callable[..., None]
    params: list[click.Parameter]
    context_settings: dict[str, Any]


class Branch(click.Group):
    """A group whose commands are made when they are asked for."""

    def __init__(
        self, words: tuple[str, ...], own: Mapping[str, Own] | None = None, **settings: Unpack[Settings]
    ) -> None:
        super().__init__(name=words[-1] if words else "cg", **settings)
        self.words = words
        self.own = dict(own or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The words that may follow."""
        del ctx
        return sorted({*self.own, *_next_words(self.words)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command or group behind a word."""
        del ctx
        if cmd_name in self.own:
            return self.own[cmd_name]()
        words = (*self.words, cmd_name)
        verb = VERBS.get(" ".join(words))
        if verb is not None:
            return build_command(verb)
        if not _next_words(words):
            return None
        kind = ImportBranch if words == ("import",) else Branch
        about = GROUPS.get(cmd_name, f"What can be done with {cmd_name}.")
        return kind(words, help=about, short_help=about, no_args_is_help=True)


class ImportBranch(Branch):
    """`cg import PATH`: a folder is pictures, a table with readers is readings, any other file is a table."""

    ignore_unknown_options = True

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The import that the words name, or else the one that what is given calls for."""
        known = self.list_commands(ctx)
        if args and args[0] in known:
            return super().resolve_command(ctx, args)
        if "--readings" in args or any(arg.split("=")[0] in {"--rater", "--entity"} for arg in args):
            word, rest = "readings", [arg for arg in args if arg != "--readings"]
        elif any(arg.split("=")[0] == "--match" for arg in args):
            word, rest = "pictures", args
        else:
            word, rest = "table", args
        return super().resolve_command(ctx, [word, *rest])


class Root(Branch):
    """The program itself: its help names the commands by what they are for."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands, section by section."""
        left = self.list_commands(ctx)
        listed = [(title, [word for word in words if word in left]) for title, words in SECTIONS]
        placed = {word for _, words in listed for word in words}
        for title, words in [*listed, ("More", [word for word in left if word not in placed])]:
            rows = [(word, self._about(ctx, word)) for word in words]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows, col_max=14)

    def _about(self, ctx: click.Context, word: str) -> str:
        command = self.get_command(ctx, word)
        return command.get_short_help_str(90) if command else ""


def build_command(verb: Verb) -> click.Command:
    """The command of a verb."""

    def call(**given: object) -> None:
        common = take_common(given)
        running = importlib.import_module(RUNNING)
        running.run_verb(verb, read_arguments(verb, given), common)

    return click.Command(
        verb.name.split()[-1],
        callback=call,
        params=build_options(verb),
        help=verb.help + _about_arguments(verb.params),
        short_help=verb.help,
        epilog=f"Needs the role {verb.role}." if verb.role != "reader" else None,
    )


def build_lineage() -> click.Command:
    """`cg lineage X`: both directions, unless one is asked for."""

    def call(what: str, depth: int | None, *, up: bool, down: bool, **given: object) -> None:
        common = take_common(given)
        running = importlib.import_module(RUNNING)
        running.run_lineage(what, up=up or not down, down=down or not up, depth=depth, common=common)

    params: list[click.Parameter] = [
        click.Argument(["what"], metavar="WHAT"),
        click.Option(["--up"], is_flag=True, help="Only what it came from."),
        click.Option(["--down"], is_flag=True, help="Only what came of it."),
        click.Option(["--depth"], type=click.IntRange(min=1), metavar="N", help="How many steps at most."),
        *build_common(reads=True, writes=False, taken=set()),
    ]
    about = "Show what something came from, and what came of it."
    return click.Command("lineage", callback=call, params=params, help=about, short_help=about)


def _about_arguments(params: tuple[Param, ...]) -> str:
    told = [f"{param.name.upper()}  {param.help}" for param in params if param.positional]
    # Continued lines begin under the words, not under the name.
    indents = [" " * (text.index("  ") + 2) for text in told]
    broken = [
        textwrap.wrap(text, HELP_WIDTH, subsequent_indent=indent) for text, indent in zip(told, indents, strict=True)
    ]
    lines = [line for one in broken for line in one]
    return "\n\n\b\n" + "\n".join(lines) if lines else ""


def _next_words(words: tuple[str, ...]) -> set[str]:
    found = set()
    for name in VERBS:
        split = tuple(name.split())
        if len(split) > len(words) and split[: len(words)] == words:
            found.add(split[len(words)])
    return found
