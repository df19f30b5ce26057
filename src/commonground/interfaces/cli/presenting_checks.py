"""Pages of checks: is the record sound, do readers agree, what is kept and what was removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from commonground.errors import count, show_bytes
from commonground.interfaces.cli.page import (
    GAP_SIGN,
    NOT_RECORDED,
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
    from commonground.operations.adjudicating import Disagreement
    from commonground.operations.agreement import Agreement
    from commonground.operations.answers import Backup, Verification
    from commonground.operations.collecting import Collected

GOOD, FAIR = 0.8, 0.667
"""Krippendorff (2004), Content Analysis, p. 241: rely on alpha of .8 and more; below .667 on none."""
SHOWN = 20


def present_verified(answer: Verification, args: Mapping[str, Any]) -> Page:
    """Whether the record is what was written."""
    faults = list(answer.faults)
    more = int(getattr(answer, "more_faults", 0) or 0)
    if faults:
        headline, look = f"The record is not sound: {count(len(faults) + more, 'fault')}.", "stop"
    else:
        headline, look = "The record is sound: every link and every row is what was written.", "holds"
    read = answer.files_read
    files = f"all {answer.files:,} files are there, {read:,} of them were read"
    said = files if answer.files_looked_for else f"{answer.files:,} files were not looked for"
    below = [Cell(f"{answer.change:,} changes, {answer.rows:,} rows; {said}", "quiet")]
    if answer.erased:
        erased = ", ".join(f"{rows:,} by change {change}" for change, rows in answer.erased.items())
        below.append(Cell(f"Intact except what was erased on purpose: {erased}", "open"))
    blocks: list[Block] = (
        [Lines(tuple(Cell(str(fault), "stop") for fault in faults[:SHOWN]), "Faults")] if faults else []
    )
    hints = () if read or args.get("full") else ("cg verify --full: read the bytes of all files too",)
    return Page(headline, look=look, below=tuple(below), blocks=tuple(blocks), hints=hints)


def present_agreement(answer: Agreement, args: Mapping[str, Any]) -> Page:
    """How far readers agree, in a plain verdict."""
    del args
    alpha = answer.alpha
    if alpha.value is None:
        return Page(f"Agreement on {answer.feature} cannot be told: {alpha.reason}")
    said, look = "hardly agree", "open"
    if alpha.value >= GOOD:
        said, look = "agree well", "holds"
    elif alpha.value >= FAIR:
        said = "agree moderately"
    elif alpha.value >= FAIR / 2:
        said = "agree weakly"
    interval = f" (95 %: {show_figure(alpha.low)} to {show_figure(alpha.high)})" if alpha.low is not None else ""
    kind = str(answer.feature).partition(".")[0]
    rows = [
        ("alpha, " + str(answer.level), f"{show_figure(alpha.value)}{interval}"),
        (f"{kind} read by two or more", f"{alpha.units:,}"),
        ("readings of these", f"{alpha.values:,}"),
        ("readings without a grade", f"{answer.not_graded:,}"),
    ]
    pairs = answer.pairs
    rows.append(("pairs that agree exactly", _percent(pairs.exact)))
    if pairs.within_one is not None:
        # Values that have no order are no steps apart.
        rows.insert(3, ("of these two steps or more apart", f"{answer.apart:,}"))
        rows.append(("pairs within one step", _percent(pairs.within_one)))
    blocks: list[Block] = [
        Table((Column(""), Column("")), tuple((Cell(name, "quiet"), Cell(told)) for name, told in rows), heads=False)
    ]
    labels = [str(label) for label in answer.labels]
    if labels and len(labels) == len(pairs.pairs):
        heads = (Column(""), *(Column(label, right=True) for label in labels))
        matrix = tuple(
            (Cell(label, "quiet"), *(Cell(f"{int(pairs_of):,}", _apart(row, at)) for at, pairs_of in enumerate(counts)))
            for row, (label, counts) in enumerate(zip(labels, pairs.pairs, strict=True))
        )
        blocks.append(Table(heads, matrix, f"Pairs of readings of the same {kind}"))
    return Page(f"Readers {said} on {answer.feature}.", look=look, blocks=tuple(blocks))


def present_backup(answer: Backup, args: Mapping[str, Any]) -> Page:
    """A backup that was made: where it lies, what is in it, and whether it was verified."""
    del args
    told = "verified" if answer.verified else "NOT sound"
    rows = (
        ("holds", f"the study as of change {answer.change:,}, {count(answer.rows, 'row')}"),
        ("made", show_moment(answer.made_at)),
        ("verified", answer.finding if answer.verified_at is not None else NOT_RECORDED),
        ("link of the chain", answer.digest),
    )
    return Page(
        f"Copied {answer.name} to {answer.folder}: {told}.",
        look="holds" if answer.verified else "stop",
        blocks=(
            Table(
                (Column(""), Column("", wraps=True)), tuple((Cell(a, "quiet"), Cell(b)) for a, b in rows), heads=False
            ),
        ),
        hints=(f"cg restore {answer.folder} NEW-FOLDER: bring the study back from it",),
    )


def present_disagreements(answer: Sequence[Disagreement], args: Mapping[str, Any]) -> Page:
    """On what readers disagree."""
    what = str(args.get("feature", "it"))
    if not answer and args.get("unsettled"):
        return Page(f"Nothing is open: whatever readers disagree on in {what} is settled.", look="holds")
    if not answer:
        return Page(f"No two readers disagree on {what}.", look="holds")
    rows = tuple(
        (
            Cell(one.key, "strong"),
            Cell(", ".join(f"{who}: {value}" for who, value in one.readings)),
            Cell(f"{one.settled}, by {one.by}" + (f"; {count(one.since, 'newer reading')}" if one.since else ""))
            if one.by
            else Cell("open", "open"),
        )
        for one in answer[:SHOWN]
    )
    left = sum(one.by is None for one in answer)
    state = f"{count(left, 'is', 'are')} open" if left else "all is settled"
    more = len(answer) - len(rows)
    below = (Cell(f"The first {SHOWN} are shown and {more:,} more are not; --json gives all.", "open"),) if more else ()
    table = Table((Column("key"), Column("readings", wraps=True), Column("settled", wraps=True)), rows)
    headline = f"Readers disagree on {count(len(answer), 'entity', 'entities')} in {what}; {state}."
    return Page(headline, look="open" if left else "holds", below=below, blocks=(table,))


def present_collected(answer: Collected, args: Mapping[str, Any]) -> Page:
    """What was swept away, or would be."""
    del args
    if not (answer.files or answer.batches):
        # How much is named is not told: every digest of the record counts, and not each is that of a file.
        return Page("Nothing to remove: every file here is named by the record.", look="holds")
    word = "Removed" if answer.done else "Would remove"
    batches = f" and {count(answer.batches, 'unpublished batch', 'unpublished batches')}" if answer.batches else ""
    headline = f"{word} {count(answer.files, 'file')} ({show_bytes(answer.bytes)}){batches}."
    return Page(
        headline,
        below=(Cell("What the record names stays.", "quiet"),),
    )


def _percent(share: float | None) -> str:
    return GAP_SIGN if share is None else f"{100 * share:.1f} %"


def _apart(row: int, at: int) -> str:
    return "open" if abs(row - at) > 1 else ""
