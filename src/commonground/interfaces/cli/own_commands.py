"""The commands that are no verbs: make a study, the demonstration, a run of any program, completion, version."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import click
from click.shell_completion import get_completion_class

from commonground.errors import InvalidInput
from commonground.interfaces.cli.options import build_common, read_json, take_common

RUNNING = "commonground.interfaces.cli.running"
SHELLS = ("bash", "zsh", "fish")
HOW = {
    "bash": 'Put this line into ~/.bashrc: eval "$(cg completion bash)"',
    "zsh": 'Put this line into ~/.zshrc: eval "$(cg completion zsh)"',
    "fish": "Run once: cg completion fish > ~/.config/fish/completions/cg.fish",
}


def build_init() -> click.Command:
    """`cg init`."""

    def call(folder: str, name: str | None, database: str | None, **given: object) -> None:
        importlib.import_module(RUNNING).make_study(folder, name, database, take_common(given))

    params: list[click.Parameter] = [
        click.Argument(["folder"], default=".", metavar="[FOLDER]"),
        click.Option(["--name"], metavar="TEXT", help="What the study is called; else as the folder."),
        click.Option(
            ["--database"],
            metavar="URL",
            help="A PostgreSQL database (postgresql://...), instead of a file in the folder.",
        ),
        *some_common("json", "person"),
    ]
    return build_command("init", "Make a study in a folder; no server is needed.", call, params)


def build_demo() -> click.Command:
    """`cg demo`."""

    def call(folder: str | None, seed: int, **given: object) -> None:
        importlib.import_module(RUNNING).show_demo(folder, seed, take_common(given))

    params: list[click.Parameter] = [
        click.Argument(["folder"], required=False, metavar="[FOLDER]"),
        click.Option(["--seed"], type=click.INT, default=0, metavar="N", help="Another seed gives other figures."),
        *some_common("person"),
    ]
    return build_command(
        "demo", "Tell the story of a real study: lung nodules, their readers, two models.", call, params
    )


def build_run() -> click.Command:
    """`cg run -- COMMAND`."""

    def call(command: tuple[str, ...], param: tuple[str, ...], **given: object) -> None:
        common = take_common(given)
        given["params"] = _read_params(param)
        given["scratch"] = given["scratch"] or None
        importlib.import_module(RUNNING).run_program(list(command), given, common)

    params: list[click.Parameter] = [
        click.Argument(["command"], nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND..."),
        click.Option(["--name"], metavar="TEXT", help="What to call the run."),
        click.Option(["-m", "--why", "--intent", "intent"], metavar="TEXT", help="What you want to know by it."),
        click.Option(["--param"], multiple=True, metavar="NAME=VALUE", help="A parameter to put on record."),
        click.Option(["--input", "inputs"], multiple=True, metavar="REF", help="A dataset, version or file it uses."),
        click.Option(["--scratch"], is_flag=True, help="Only a try; `cg execution promote` keeps it."),
        *some_common("json", "study", "person"),
    ]
    command = build_command("run", "Run any program as an execution, with everything on record.", call, params)
    # What follows the program's name is the program's own.
    command.allow_interspersed_args = False
    return command


def build_completion() -> click.Command:
    """`cg completion SHELL`."""

    def call(shell: str) -> None:
        kind = get_completion_class(shell)
        if kind is None:
            raise InvalidInput(f"There is no completion for {shell}.", todo=f"There is for {', '.join(SHELLS)}.")
        root = click.get_current_context().find_root().command
        click.echo(f"# {HOW[shell]}")
        click.echo(kind(root, {}, "cg", "_CG_COMPLETE").source())

    params: list[click.Parameter] = [click.Argument(["shell"], type=click.Choice(SHELLS))]
    return build_command("completion", "Print what makes a shell complete commands and options.", call, params)


def build_version() -> click.Command:
    """`cg version`."""

    def call() -> None:
        metadata: Any = importlib.import_module("importlib.metadata")
        click.echo(f"commonground {metadata.version('commonground')}")

    return build_command("version", "Print the release of this program.", call, [])


def build_command(name: str, about: str, call: Callable[..., None], params: list[click.Parameter]) -> click.Command:
    """A command of one line of help."""
    return click.Command(name, callback=call, params=params, help=about, short_help=about)


def some_common(*names: str) -> list[click.Parameter]:
    """Some of the options that every command has."""
    wanted = {f"common_{name}" for name in names}
    return [option for option in build_common(reads=True, writes=True, taken=set()) if option.name in wanted]


def _read_params(pairs: tuple[str, ...]) -> dict[str, Any]:
    read: dict[str, Any] = {}
    faults = []
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            faults.append(f"{pair!r} is not of the form name=value")
            continue
        try:
            read[name] = read_json(value)
        except ValueError as error:
            faults.append(str(error))
    if faults:
        raise InvalidInput("These parameters cannot be read.", faults=faults, todo="Write --param trees=300.")
    return read
