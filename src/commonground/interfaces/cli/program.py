"""The program: its root command, and what happens to errors.

An error of ours says what happened, what was kept and what to do, on stderr; its exit status is the error's own.
With --json it is one JSON object on stderr. Stopping with Ctrl-C is 130, with SIGTERM 143, an unexpected error 70.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from commonground.errors import CommonGroundError
from commonground.interfaces.cli import keeping_commands, own_commands, reproducing, stopping
from commonground.interfaces.cli.failing import report, report_stopped, report_unexpected, report_usage
from commonground.interfaces.cli.tree import Root, build_lineage

UNEXPECTED = 70
HELP = """Keeps a collaborative machine-learning study reproducible and understood.

Every dataset, reading, run and model of a study is versioned and traceable, with the reason beside it.
"""


class Program(Root):
    """The root command; takes care of every error."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: object,
    ) -> NoReturn:
        """Run a command line and leave with its status."""
        given = list(sys.argv[1:] if args is None else args)
        # It always stands alone: every error is told here.
        del standalone_mode
        sys.exit(self._run(given, prog_name or "cg", complete_var, extra))

    def _run(self, given: list[str], prog_name: str, complete_var: str | None, extra: dict[str, object]) -> int:
        as_json = "--json" in given[: given.index("--")] if "--" in given else "--json" in given
        with stopping.listening() as asked:
            try:
                status = super().main(given, prog_name, complete_var, standalone_mode=False, **extra)
            except BaseException as error:  # noqa: BLE001 - the last door before the person
                # An exception that is raised in a callback of the database comes out as one of the database.
                if asked.number is None and not isinstance(error, click.Abort | KeyboardInterrupt):
                    return _tell(error, as_json=as_json)
                report_stopped(error, as_json=as_json)
                return stopping.BY_SIGNAL + (asked.number or signal.SIGINT)
        return status if isinstance(status, int) else 0


def _tell(error: BaseException, *, as_json: bool) -> int:
    """Say what went wrong; returns the exit status."""
    match error:
        case click.exceptions.NoArgsIsHelpError():
            click.echo(error.format_message(), err=True)
            return error.exit_code
        case click.ClickException():
            return report_usage(error, as_json=as_json)
        case CommonGroundError():
            return report(error, as_json=as_json)
        case BrokenPipeError():
            # Whoever read our output has gone; the interpreter must not complain when it closes it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        case Exception():
            report_unexpected(error, as_json=as_json)
            return UNEXPECTED
        case _:
            raise error


def build_program() -> Program:
    """The whole command tree; nothing in it is made before it is asked for."""
    return Program(
        (),
        own={
            "init": own_commands.build_init,
            "demo": own_commands.build_demo,
            "run": own_commands.build_run,
            "reproduce": reproducing.build_reproduce,
            "completion": own_commands.build_completion,
            "version": own_commands.build_version,
            "lineage": build_lineage,
            "sync": keeping_commands.build_sync,
            "doctor": keeping_commands.build_doctor,
            "restore": keeping_commands.build_restore,
            "migrate": keeping_commands.build_migrate,
        },
        help=HELP,
        invoke_without_command=True,
        callback=_help_if_alone,
        params=[click.Option(["--version"], is_flag=True, is_eager=True, expose_value=False, callback=_version)],
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 96},
    )


def main() -> NoReturn:
    """`cg`."""
    try:
        build_program().main()
    finally:
        # All is told: who asks once more, while the interpreter ends, need not see where it was.
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


def _help_if_alone() -> None:
    context = click.get_current_context()
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        context.invoke(own_commands.build_version())
        context.exit()
