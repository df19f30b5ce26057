"""Acts 9 and 10: asking why, walking back from a model to the readings, and what to try next."""

from __future__ import annotations

from pathlib import Path

from commonground.interfaces.demo.curating import Release
from commonground.interfaces.demo.scene import Scene
from commonground.interfaces.demo.team import ELIN
from commonground.interfaces.demo.training import Measured
from commonground.operations.lineage import Lineage
from commonground.operations.reasons import Point, Reasons
from commonground.structure.history import list_version_raters
from commonground.structure.references import pin


def tell_why(scene: Scene, first: Release, run: Measured) -> None:
    """Act 9."""
    tell = scene.teller
    study = scene.of(ELIN)
    why: Reasons = study.read("why", what=first.reference)
    tell.act(9, f"Why is {first.reference} as it is? The record answers {why.recorded} of {len(why.points)} questions")
    for number, point in enumerate(why.points):
        if number:
            tell.line()
        _tell_point(scene, point)
    model = next(named for _, named in run.record.outputs if named.state == "model")
    walked: Lineage = study.read("lineage", rid=model.rid, direction="up")
    with study.session.reading() as on:
        version = pin(on.view, first.reference).version
        raters = len(list_version_raters(on.view, version)) if version else 0
    tell.heading(f"What {model.name} came from")
    tell.line()
    tell.line(f"    {model.name}")
    for depth, text in enumerate(_steps(walked, run)):
        tell.line(f"    {'   ' * depth}└ {text}")
    tell.line()
    tell.say(f"At the root: the grades of {raters:,} reader slots, every value with the one who gave it.")


def _tell_point(scene: Scene, point: Point) -> None:
    tell = scene.teller
    tell.line(f"    {point.question}", "bold")
    if point.answer is None:
        tell.say("◌ not recorded", indent="      ", style="bright_black")
        return
    shown = f"“{point.answer}”" if point.words else point.answer
    tell.say(shown, indent="      ", style="italic" if point.words else "")
    if point.who:
        tell.say(f"{point.who}, change c{point.change}", indent="      ", style="bright_black")


def _steps(walked: Lineage, run: Measured) -> list[str]:
    """The way from a model back to its readings, a line each."""
    edge = run.target.inputs[0][0]
    there = {named.rid for named in walked.things}
    lines = [
        (run.record.execution.rid, f"trained by {run.name}, {run.record.person}"),
        (run.record.inputs[0][0].src, f"from {run.data}, {run.get_metric('nodules'):,.0f} nodules"),
        (
            run.target.execution.rid,
            f"target by {run.target.execution.name}, {run.rule}, {run.target.person}",
        ),
        (edge.src, f"from the grades in {edge.details['reference']}"),
    ]
    return [text for rid, text in lines if rid in there]


def tell_next(scene: Scene, folder: Path, seconds: float) -> None:
    """Act 10."""
    tell = scene.teller
    tell.act(10, f"Your turn: everything above is in {folder}, and all of it can be asked again")
    tell.command(f"cd {folder}", "The study; every command below works there.")
    tell.command("cg why target-3-malignant", "Where the reasons end: nobody said why a 3 is malignant.")
    tell.command("cg diff logistic-3-left-out logistic-3-malignant", "In what the two runs differ.")
    tell.command("cg lineage logistic-3-malignant", "What a run came from, back to the readings.")
    tell.command("cg dataset diff nodules@1.0.0 nodules@2.0.0", "Which nodules came back.")
    tell.command("cg execution find 'metrics.auc > 0.9'", "Which runs came above .9, and what they were told.")
    tell.command(
        "cg reproduce logistic-3-left-out", "The run once more, from its record, in a few seconds: is the AUC the same?"
    )
    tell.line()
    tell.say(
        f"Told in {seconds:.0f} s. Readings: LIDC-IDRI, The Cancer Imaging Archive, CC BY 3.0; "
        "see delivered/CREDITS.md. "
        "The grades are impressions of readers, not diagnoses. Elin, Noor and Priya are invented."
    )
