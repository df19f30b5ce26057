"""Write docs/reference: every command as `cg` itself explains it, and the same verb in Python.

`uv run python scripts/make_reference.py` writes the pages; with `--check` it says whether they are stale, and then
leaves with 1.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from commonground.interfaces.cli.program import build_program
from commonground.interfaces.cli.tree import GROUPS, Branch
from commonground.operations.registry import VERBS
from commonground.operations.verb import Param, Verb

FOLDER = Path(__file__).parent.parent / "docs" / "reference"
WIDTH = 90
SINGLE = "commands"
HEAD = "<!-- Made by scripts/make_reference.py. Change the verb's own words instead. -->\n"
PYTHON = {
    "int": "int",
    "real": "float",
    "flag": "bool",
    "path": "Path",
    "json": "plain data",
    "object": "dict",
    "column": "dict",
    "pairs": "dict of text",
}


def build_pages() -> dict[str, str]:
    """The pages by file name."""
    program = build_program()
    wide = {"terminal_width": WIDTH, "max_content_width": WIDTH}
    top = click.Context(program, info_name="cg", help_option_names=["-h", "--help"], **wide)
    pages: dict[str, list[str]] = {}
    for command, context in _walk(program, top):
        words = context.command_path.split()[1:]
        page = words[0] if len(words) > 1 else SINGLE
        pages.setdefault(page, []).append(_section(command, context, VERBS.get(" ".join(words))))
    written = {f"{page}.md": _page(page, sections) for page, sections in pages.items()}
    written["index.md"] = _index(pages)
    return written


def _walk(branch: Branch, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    for name in branch.list_commands(context):
        command = branch.get_command(context, name)
        if command is None:
            continue
        inner = click.Context(command, info_name=name, parent=context, terminal_width=WIDTH, max_content_width=WIDTH)
        if isinstance(command, Branch):
            yield from _walk(command, inner)
        else:
            yield command, inner


def _page(page: str, sections: list[str]) -> str:
    title, about = f"cg {page}", GROUPS.get(page, "")
    if page == SINGLE:
        title, about = "Commands of one word", "Beginning, reading, running, and keeping the study sound."
    return "\n".join([HEAD, f"# {title}\n", *([f"{about}\n"] if about else []), *sections])


def _index(pages: dict[str, list[str]]) -> str:
    lines = [HEAD, "# Reference\n", "Every verb, at the command line and in Python.\n"]
    for page in sorted(pages, key=lambda page: (page != SINGLE, page)):
        shown = "Commands of one word" if page == SINGLE else f"cg {page}"
        about = GROUPS.get(page, "Beginning, reading, running, and keeping the study sound.")
        lines.append(f"- [{shown}]({page}.md): {about}")
    return "\n".join(lines) + "\n"


def _section(command: click.Command, context: click.Context, verb: Verb | None) -> str:
    lines = [f"## {context.command_path}\n", "```text", command.get_help(context).rstrip(), "```\n"]
    if verb is not None:
        lines += _in_python(verb)
    return "\n".join(lines)


def _in_python(verb: Verb) -> list[str]:
    door = "write" if verb.writes else "read"
    lines = [f'In Python `study.{door}("{verb.name}", ...)`; it needs the role {verb.role}.\n']
    if verb.params:
        lines += ["| argument | is | says |", "|---|---|---|"]
        lines += [f"| `{param.name}` | {_kind(param)} | {param.help.replace('|', '/')} |" for param in verb.params]
        lines.append("")
    return lines


def _kind(param: Param) -> str:
    kind = " or ".join(f"`{choice}`" for choice in param.choices) or PYTHON.get(param.type, "text")
    return ("several: " if param.many else "") + kind + (", needed" if param.required else "")


def main() -> int:
    """Write the pages, or compare them."""
    pages = build_pages()
    there = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")} if FOLDER.exists() else {}
    if "--check" in sys.argv:
        stale = sorted(name for name in pages.keys() | there.keys() if pages.get(name) != there.get(name))
        print(f"Stale: {', '.join(stale)}" if stale else "The reference is as the verbs are.")
        return int(bool(stale))
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in there.keys() - pages.keys():
        (FOLDER / name).unlink()
    for name, text in pages.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    print(f"{len(pages)} pages in {FOLDER}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
