"""The commands that keep a study and are no verbs: sync, doctor, restore, migrate."""

from __future__ import annotations

import importlib

import click

from commonground.interfaces.cli.options import take_common
from commonground.interfaces.cli.own_commands import build_command, some_common

KEEPING = "commonground.interfaces.cli.keeping"


def build_sync() -> click.Command:
    """`cg sync [FILE]`."""

    def call(file: str | None, pack: str | None, of: str | None, **given: object) -> None:
        if pack is not None and file is not None:
            raise click.UsageError("Either pack what waits here (--pack), or take a file in.")
        keeping, common = importlib.import_module(KEEPING), take_common(given)
        if pack is not None:
            keeping.pack_runs(pack, of, common)
        elif file is not None:
            keeping.take_file(file, common)
        else:
            keeping.sync_runs(common)

    params: list[click.Parameter] = [
        click.Argument(["file"], required=False, metavar="[FILE]"),
        click.Option(
            ["--pack"], metavar="FILE", help="Write what waits here to a new file, to be carried to the study."
        ),
        click.Option(["--of"], metavar="ID", help="With --pack: of which study, if runs of several wait here."),
        *some_common("json", "study", "person"),
    ]
    about = "Deliver what runs have written and the catalogue does not have; FILE is a pack of runs, or its receipt."
    return build_command("sync", about, call, params)


def build_doctor() -> click.Command:
    """`cg doctor`."""

    def call(**given: object) -> None:
        importlib.import_module(KEEPING).examine_study(take_common(given))

    about = "Look at this machine and at the study, and say what to do about what is wrong."
    return build_command("doctor", about, call, some_common("json", "study"))


def build_restore() -> click.Command:
    """`cg restore BACKUP FOLDER`."""

    def call(backup: str, folder: str, database: str | None, erased: str | None, **given: object) -> None:
        importlib.import_module(KEEPING).restore_backup(backup, folder, database, erased, take_common(given))

    params: list[click.Parameter] = [
        click.Argument(["backup"], metavar="BACKUP"),
        click.Argument(["folder"], metavar="FOLDER"),
        click.Option(["--database"], metavar="URL", help="A PostgreSQL database instead of a file in the folder."),
        click.Option(["--erased"], metavar="FILE", help="Today's list of erasures: .commonground/erased.jsonl."),
        *some_common("json"),
    ]
    return build_command("restore", "Bring a study back from a backup, into a new folder.", call, params)


def build_migrate() -> click.Command:
    """`cg migrate`."""

    def call(dry_run: bool, **given: object) -> None:
        importlib.import_module(KEEPING).migrate_schema(take_common(given), dry_run=dry_run)

    params: list[click.Parameter] = [
        click.Option(["--dry-run"], is_flag=True, help="Only show the steps."),
        *some_common("json", "study"),
    ]
    return build_command("migrate", "Bring an older study to this release's schema, after a backup.", call, params)
