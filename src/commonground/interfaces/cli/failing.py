"""What people see of an error: what happened, what was kept, what to do. Never a traceback for what we know."""

from __future__ import annotations

import difflib
import json
import os
import re
import sys
import traceback

import click

from commonground.errors import NOTHING_CHANGED, CommonGroundError, InvalidInput
from commonground.interfaces.cli.page import plain
from commonground.interfaces.cli.stopping import StoppedAt

DEBUG = "CG_DEBUG"
AFTER = frozenset({"--study", "--person", "--json", "--why", "-m", "--at", "--dry-run"})
"""Options that every command takes, and `cg` itself does not."""
STOPPED = "Stopped."
KEPT = "What `cg log` shows is kept, and nothing else was written."
AGAIN = "To go on, give the same command again."


def report(error: CommonGroundError, *, as_json: bool) -> int:
    """Say an error of ours on stderr; returns its exit status."""
    if as_json:
        click.echo(json.dumps(error.as_dict(), ensure_ascii=False), err=True)
        return error.exit_status
    click.echo(_look(plain(error.what), fg="red", bold=True), err=True)
    for fault in error.faults:
        click.echo(f"  - {plain(fault)}", err=True)
    if error.kept:
        click.echo(plain(error.kept), err=True)
    if error.todo:
        click.echo(_look(plain(error.todo), fg="blue"), err=True)
    return error.exit_status


def report_usage(error: click.ClickException, *, as_json: bool) -> int:
    """Say that a command line cannot be read; returns the exit status."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "cg"
    message = error.format_message().rstrip(".")
    told = InvalidInput(f"{message}.", todo=_advise(error, context) or f"`{path} --help` shows how.")
    report(told, as_json=as_json)
    return error.exit_code


def _advise(error: click.ClickException, context: click.Context | None) -> str:
    """What was probably meant; empty if nothing is near."""
    if context is None or not isinstance(context.command, click.Group):
        return ""
    if isinstance(error, click.NoSuchOption) and error.option_name in AFTER:
        return f"Write it after the command: `{context.command_path} COMMAND ... {error.option_name}`."
    mistyped = re.search(r"No such command '([^']+)'", error.format_message())
    words = context.command.list_commands(context)
    near = difflib.get_close_matches(mistyped[1], words, n=1) if mistyped else []
    path = context.command_path
    return f"Did you mean `{path} {near[0]}`? `{path} --help` names all." if near else ""


def report_stopped(error: BaseException, *, as_json: bool) -> None:
    """Say that the command was asked to stop, and did."""
    kept, todo = (error.kept, error.todo) if isinstance(error, StoppedAt) else (KEPT, AGAIN)
    if as_json:
        told = {"code": "stopped", "what": STOPPED, "faults": [], "kept": kept, "todo": todo}
        click.echo(json.dumps(told, ensure_ascii=False), err=True)
    else:
        click.echo(" ".join(part for part in (STOPPED, kept, todo) if part), err=True)


def report_unexpected(error: Exception, *, as_json: bool) -> None:
    """Say that something went wrong that nobody thought of; with CG_DEBUG=1 also where."""
    what = f"Something went wrong that should not: {type(error).__name__}: {error}"
    todo = f"Run it again with {DEBUG}=1 to see where, and report it with what that prints."
    if as_json:
        told = {"code": "unexpected", "what": what, "faults": [], "kept": NOTHING_CHANGED, "todo": todo}
        click.echo(json.dumps(told, ensure_ascii=False), err=True)
    else:
        click.echo(_look(plain(what), fg="red", bold=True), err=True)
        click.echo("What was not committed was not written; `cg log` shows what was.", err=True)
        click.echo(_look(todo, fg="blue"), err=True)
    if os.environ.get(DEBUG):
        traceback.print_exception(error)


def _look(text: str, fg: str, *, bold: bool = False) -> str:
    if os.environ.get("NO_COLOR") or not sys.stderr.isatty():
        return text
    return click.style(text, fg=fg, bold=bold)
