"""Carrying out the commands that keep a study. Loaded when one of them runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from commonground.errors import Corrupt, StorageError, count
from commonground.identity import show_rid
from commonground.interfaces.cli.options import Common
from commonground.interfaces.cli.page import Cell, Lines, Page
from commonground.interfaces.cli.running import opened, show
from commonground.operations import carrying, delivery, doctor, restoring
from commonground.operations.delivery import Delivered
from commonground.operations.studies import claimed_identity

LOOKS = {"good": "holds", "look": "open", "bad": "stop"}
SIGNS = {"good": "✓", "look": "!", "bad": "✗"}


def sync_runs(common: Common) -> None:
    """Deliver every spool whose run has ended, and close executions whose process is gone."""
    with opened(common) as session:
        done = delivery.sync(session)
    left = [one for one in done if one.status is None]
    headline = f"Looked at {count(len(done), 'run')}." if done else "Everything is delivered."
    headline += f" {count(len(left), 'is', 'are')} not delivered." if left else ""
    show(done, lambda: Page(headline, look="open" if left else "holds", blocks=_list_delivered(done)), common)


def pack_runs(file: str, of: str | None, common: Common) -> None:
    """Write the runs that wait on this machine to a pack; the study need not be in reach."""
    packed = carrying.pack_runs(
        Path(common.study or "."),
        Path(file),
        by=claimed_identity(common.person)[1],
        study=of,
    )
    told = [Cell(show_rid(rid)) for rid in packed.runs]
    told += [Cell(f"{show_rid(rid)}  still runs, and is not in it", "open") for rid in packed.running]
    told += [Cell(f"{name}  is not in it: {why}", "open") for name, why in packed.left_out.items()]
    page = Page(
        f"Packed {count(len(packed.runs), 'run')} into {file}.",
        look="holds",
        below=(Cell("They stay here as well, until you know that they were delivered.", "quiet"),),
        blocks=(Lines(tuple(told)),),
        hints=(
            f"cg sync {Path(file).name}: where the study is",
            f"cg sync {Path(file).name}{carrying.RECEIPT}: here, with the receipt that is made there",
        ),
    )
    show(packed, lambda: page, common)


def take_file(file: str, common: Common) -> None:
    """Deliver the runs of a pack; or remove those here that a receipt says were delivered."""
    path = Path(file)
    if not carrying.is_pack(path):
        gone = carrying.let_go(Path(common.study or "."), path)
        kept = [Cell(f"{show_rid(rid)}  stays: it holds something else than what was delivered") for rid in gone.kept]
        headline = f"Removed {count(len(gone.removed), 'run that was', 'runs that were')} delivered elsewhere."
        show(gone, lambda: Page(headline, look="holds", blocks=(Lines(tuple(kept)),) if kept else ()), common)
        return
    with opened(common) as session:
        done = carrying.take_in(session, path)
    below = (Cell(f"{done.receipt} says so to the machine where they ran", "quiet"),) if done.receipt else ()
    headline = f"Took {count(len(done.runs), 'run')} from {file}."
    show(done, lambda: Page(headline, look="holds", below=below, blocks=_list_delivered(done.runs)), common)


def _list_delivered(done: Sequence[Delivered]) -> tuple[Lines, ...]:
    told = [Cell(f"{show_rid(one.execution)}  {one.status or 'not delivered'}: {one.outcome}") for one in done]
    return (Lines(tuple(told)),) if told else ()


def examine_study(common: Common) -> None:
    """Print what was looked at; leaves with a status of its own if something is wrong."""
    found = doctor.examine(Path(common.study or "."))
    wrong = [one for one in found if one.state == "bad"]
    lines = []
    for one in found:
        lines.append(Cell(f"{SIGNS[one.state]} {one.about}: {one.what}", LOOKS[one.state]))
        if one.todo:
            lines.append(Cell(f"  {one.todo}", "quiet"))
    headline = f"{count(len(wrong), 'thing is', 'things are')} wrong." if wrong else "Nothing is wrong."
    show(found, lambda: Page(headline, look="stop" if wrong else "holds", blocks=(Lines(tuple(lines)),)), common)
    if wrong:
        raise click.exceptions.Exit(StorageError.exit_status)


def restore_backup(backup: str, folder: str, database: str | None, erased: str | None, common: Common) -> None:
    """Restore, verify, and erase again what was erased since."""
    place = Path(folder)
    done = restoring.restore_study(Path(backup), place, url=database, erased=Path(erased) if erased else None)
    found = done.restored.verification
    faults = [Cell(f"{SIGNS['bad']} {fault}", LOOKS["bad"]) for fault in found.faults]
    below = (Cell(f"{done.erased_again} entities were erased again", "open"),) if done.erased_again else ()
    page = Page(
        f"Restored to {place}, and verified." if found.intact else f"Restored to {place}, but it is {found.sentence}.",
        look="holds" if found.intact else "stop",
        below=below,
        blocks=(Lines(tuple(faults)),) if faults else (),
        hints=(f"cg status --study {place}: see where the study stands",),
    )
    show(done, lambda: page, common)
    if faults:
        raise click.exceptions.Exit(Corrupt.exit_status)


def migrate_schema(common: Common, *, dry_run: bool) -> None:
    """Show or run the steps to the newest schema."""
    done = restoring.migrate_study(Path(common.study or "."), dry_run=dry_run)
    if not done.steps:
        headline = f"The study has schema {done.after} already; there is nothing to do."
    elif done.done:
        headline = f"Brought from schema {done.before} to {done.after}; the backup lies in {done.backup}."
    else:
        headline = f"Would bring the study from schema {done.before} to {done.after}, after a backup."
    steps = Lines(tuple(Cell(step) for step in done.steps), "Steps")
    show(done, lambda: Page(headline, look="holds", blocks=(steps,) if done.steps else ()), common)
