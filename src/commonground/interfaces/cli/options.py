"""Parameters of verbs as options and arguments of a command, and what was typed as arguments of a verb.

What was not given is left out, so that a verb's own defaults hold. An option that may be given several times is also
known by its singular: `--link` for `links`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from commonground.errors import InvalidInput
from commonground.operations.verb import Param, Verb
from commonground.plain import Plain

TYPES: Mapping[str, click.ParamType[Any]] = {"int": click.INT, "real": click.FLOAT}
ALIASES: Mapping[tuple[str, str], tuple[str, ...]] = {("import", "type"): ("--as",)}
BOTH_WAYS = frozenset({"links"})
"""Parameters of texts or pairs: `site` alone, or `ward=Hospital`."""
FROM_FILES = frozenset({"keys"})
"""Parameters that may be read from a file, one a line: `--keys @kept.txt`, or `@-` from what is piped in."""
COMMON = "common_"


@dataclass(frozen=True, slots=True)
class Common:
    """What every command takes."""

    json: bool = False
    """Whether to answer in JSON."""
    study: str | None = None
    """The folder of the study; the nearest one if None."""
    person: str | None = None
    """Who is at work, if not the one this machine says."""
    at: int | None = None
    """Read as of this change."""
    dry_run: bool = False
    """Whether to show a plan instead of committing it."""
    why: str | None = None
    """The reason."""


def build_options(verb: Verb) -> list[click.Parameter]:
    """The arguments and options of a verb's command."""
    taken = {f"--{_dashed(param.name)}" for param in verb.params if not param.positional}
    made = [_argument(param) if param.positional else _option(verb, param, taken) for param in verb.params]
    return [*made, *build_common(reads=not verb.writes, writes=verb.writes, taken=taken)]


def build_common(*, reads: bool, writes: bool, taken: set[str]) -> list[click.Parameter]:
    """What every command takes; a verb's own option of the same name goes first."""
    made: list[click.Parameter] = []
    if writes:
        made.append(click.Option(["-m", "--why", f"{COMMON}why"], metavar="TEXT", help="The reason, in your words."))
        made.append(
            click.Option(["--dry-run", f"{COMMON}dry_run"], is_flag=True, help="Show the effect; write nothing.")
        )
    if reads:
        at = _Change()
        made.append(click.Option(["--at", f"{COMMON}at"], type=at, metavar="CHANGE", help="Read as of this change."))
    made += [
        click.Option(["--json", f"{COMMON}json"], is_flag=True, help="Answer in JSON."),
        click.Option(["--study", f"{COMMON}study"], metavar="FOLDER", envvar="CG_STUDY", help="Default: the nearest."),
        click.Option(["--person", f"{COMMON}person"], metavar="NAME", help="Who is at work, if not you."),
    ]
    return [option for option in made if not taken & set(option.opts)]


def take_common(given: dict[str, object]) -> Common:
    """The common options, taken out of what was given."""
    names = [name for name in given if name.startswith(COMMON)]
    taken: dict[str, Any] = {name.removeprefix(COMMON): given.pop(name) for name in names}
    return Common(**taken)


def read_arguments(verb: Verb, given: Mapping[str, object]) -> dict[str, Any]:
    """What was typed as the verb's arguments; raises InvalidInput with all faults at once."""
    faults: list[str] = []
    read: dict[str, Any] = {}
    for param in verb.params:
        value = given.get(param.name)
        if value is None or value == () or value is False:
            continue
        try:
            read[param.name] = _read(param, value)
        except ValueError as error:
            faults.append(f"--{_dashed(param.name)}: {error}")
    if faults:
        raise InvalidInput("These options cannot be read.", faults=faults, todo=f"`cg {verb.name} --help` says how.")
    return read


def _read(param: Param, value: object) -> object:
    given = list(value) if isinstance(value, list | tuple) else [value]
    texts = [str(one) for one in given]
    if param.name in BOTH_WAYS or param.type == "pairs":
        pairs = [_split(text, needed=param.name not in BOTH_WAYS) for text in texts]
        return {name: other for name, _, other in pairs}
    read: list[object] = given
    if param.type == "column":
        read = [_read_column(text) for text in texts]
    elif param.type in {"json", "object"}:
        read = [read_json(text) for text in texts]
    elif param.type == "path":
        read = [Path(text) for text in texts]
    elif param.name in FROM_FILES:
        read = [key for text in texts for key in _from_file(text)]
    return read if param.many else read[0]


def read_json(text: str) -> Plain:
    """A value as JSON; a bare word stands for itself."""
    try:
        read: Plain = json.loads(text)
    except ValueError as error:
        if text[:1] in '{["':
            raise ValueError(f"{text!r} is not JSON ({error})") from error
        return text
    return read


def _read_column(text: str) -> Plain:
    """A column as `size:real:mm`, `patient:link:Patient` or `side:term:Laterality`, or as JSON."""
    name, first, rest = text.partition(":")
    if text[:1] == "{" or not first:
        return read_json(text)
    holds, _, more = rest.partition(":")
    extra = {"target" if holds in {"link", "term"} else "unit": more} if more else {}
    return {"name": name, "holds": holds, **extra}


def _from_file(text: str) -> list[str]:
    if not text.startswith("@"):
        return [text]
    try:
        with click.open_file(text[1:], encoding="utf-8-sig") as lines:
            return [line.strip() for line in lines if line.strip()]
    except OSError as error:
        raise ValueError(f"{text[1:]} cannot be read: {(error.strerror or str(error)).lower()}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{text[1:]} is no text in UTF-8") from error


def _split(text: str, *, needed: bool = False) -> tuple[str, str, str]:
    name, sign, other = text.partition("=")
    if not name or (needed and not sign):
        raise ValueError(f"{text!r} is not of the form name=value")
    return name, sign, other if sign else name


def _argument(param: Param) -> click.Argument:
    kind = click.Choice(param.choices) if param.choices else TYPES.get(param.type, click.STRING)
    if param.name == "change":
        kind = _Change()
    return click.Argument(
        [param.name],
        type=kind,
        required=param.required,
        nargs=-1 if param.many else 1,
        metavar=param.name.upper() + ("..." if param.many else ""),
    )


def _option(verb: Verb, param: Param, taken: set[str]) -> click.Option:
    name = f"--{_dashed(param.name)}"
    spelled: list[str] = []
    if param.many and (single := _singular(param.name)) and f"--{_dashed(single)}" not in taken:
        spelled.append(f"--{_dashed(single)}")
        taken.add(spelled[0])
    spelled.append(name)
    for (word, of), aliases in ALIASES.items():
        if verb.name.startswith(word) and param.name == of:
            spelled = [*aliases, *spelled]
    if param.type == "flag":
        return click.Option([*spelled, param.name], is_flag=True, help=param.help)
    return click.Option(
        [*spelled, param.name],
        type=click.Choice(param.choices) if param.choices else TYPES.get(param.type, click.STRING),
        required=param.required,
        multiple=param.many,
        metavar=None if param.choices else _metavar(param),
        help=param.help + (" @FILE reads them from a file." if param.name in FROM_FILES else ""),
    )


def _metavar(param: Param) -> str:
    if param.type == "pairs":
        return "NAME=VALUE"
    if param.name in BOTH_WAYS:
        return "NAME[=TYPE]"
    words = {"int": "N", "real": "X", "json": "JSON", "object": "JSON", "column": "COLUMN", "path": "PATH"}
    return words.get(param.type, "TEXT")


def _singular(name: str) -> str | None:
    if name.endswith("ies"):
        return f"{name[:-3]}y"
    return name[:-1] if name.endswith("s") else None


def _dashed(name: str) -> str:
    return name.replace("_", "-")


class _Change(click.ParamType[int]):
    """The number of a change, as 12 or c12."""

    name = "change"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number; fails as click does."""
        text = str(value).removeprefix("c")
        if not text.isdecimal():
            self.fail(f"{value!r} is not the number of a change, such as 12 or c12.", param, ctx)
        return int(text)
