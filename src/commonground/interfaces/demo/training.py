"""Acts 6 and 7: models, each in a run that records itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from commonground.identity import show_rid
from commonground.interfaces.demo.curating import Part, Release
from commonground.interfaces.demo.scene import Scene
from commonground.interfaces.demo.team import (
    NOOR,
    PRIYA,
    WHY_AGAIN,
    WHY_FOREST,
    WHY_LOGISTIC,
    WHY_SAME_TEST,
    WHY_SEPARATE,
    WHY_TAKE_BACK,
)
from commonground.interfaces.demo.telling import show_auc, show_share
from commonground.operations.execution_reading import ExecutionRecord


@dataclass(frozen=True, slots=True)
class Measured:
    """One run, as the catalogue has it."""

    record: ExecutionRecord
    """The execution with parameters, metrics, inputs and outputs."""
    data: str
    """The version that it learned from."""
    rows: str
    """Digest of the exact nodules."""
    target: ExecutionRecord
    """The execution that made its target."""

    @property
    def name(self) -> str:
        """What the run is called."""
        return self.record.execution.name

    @property
    def rule(self) -> str:
        """When a nodule counts as malignant in it."""
        return str(self.target.params["rule"])

    def get_metric(self, key: str) -> float:
        """The last value of a metric."""
        return self.record.metrics[key].value or 0.0

    @property
    def auc(self) -> float:
        """Its figure."""
        return self.get_metric("auc")

    @property
    def interval(self) -> str:
        """The 95 % interval of its figure."""
        return f"{show_short(self.get_metric('auc low'))} to {show_short(self.get_metric('auc high'))}"

    @property
    def share(self) -> float:
        """The share of malignant nodules."""
        return self.get_metric("malignant") / self.get_metric("nodules")

    def get_output(self, kind: str) -> str:
        """The id of what it saved."""
        return next(show_rid(edge.dst) for edge, named in self.record.outputs if named.state == kind)


def show_short(value: float) -> str:
    """A figure between 0 and 1 with three digits."""
    return f"{value:.3f}".removeprefix("0")


def train(scene: Scene, name: str, model: str, data: Release, why: str | None, parts: list[Part] | None = None) -> None:
    """Let Priya train a model in a run."""
    given = ["--data", data.reference, "--target", data.target, "--model", model, "--name", name]
    given += ["--seed", str(scene.seed), "--trees", str(scene.trees)]
    given += ["--why", why] if why else []
    if parts is not None:
        given += ["--train", parts[0].reference, "--test", parts[1].reference]
    scene.run_script(PRIYA, "train.py", *given)


def measure(scene: Scene, name: str) -> Measured:
    """A run as the catalogue has it."""
    record = scene.record_of(name)
    edge = record.inputs[0][0]
    used: dict[str, Any] = edge.details["frames"][0]
    selector = next(one["selector"] for one in used["features"] if one["selector"]["rule"] == "by_execution")
    target = scene.record_of(str(selector["execution"]))
    return Measured(record, edge.details["reference"], used["rows_digest"], target)


def train_first(scene: Scene, first: Release, parts: list[Part]) -> list[Measured]:
    """Two models on 1.0.0."""
    with scene.teller.working("Priya trains a logistic regression", 2) as step:
        train(scene, "logistic-3-left-out", "logistic", first, WHY_LOGISTIC, parts)
        step("Priya trains a random forest")
        train(scene, "forest-3-left-out", "forest", first, WHY_FOREST, parts)
    return [measure(scene, name) for name in ("logistic-3-left-out", "forest-3-left-out")]


def tell_first_models(scene: Scene, found: list[Measured]) -> None:
    """Act 6."""
    tell = scene.teller
    line, forest = found
    better = "no better" if forest.auc <= line.auc else "better"
    tell.act(
        6,
        f"Four measures of shape find what readers call malignant: AUC {show_short(line.auc)}; "
        f"a forest does {better} ({show_short(forest.auc)})",
    )
    tell.table(
        ("run", "model", "data", "AUC", "95 %", "held out"),
        [
            (
                one.name,
                str(one.record.params["model"]),
                one.data,
                show_auc(one.auc),
                one.interval,
                show_auc(one.get_metric("auc held out")),
            )
            for one in found
        ],
        right=(3, 5),
    )
    tell.line()
    tell.say(
        "AUC: the chance that a malignant nodule scores above a benign one; .5 is a coin. Five folds by patient, every "
        "nodule scored by a model that never saw its patient. Held out: trained on four fifths of the patients, tested "
        "on the fifth that was put aside."
    )
    tell.quote(PRIYA, WHY_LOGISTIC, f"intent of {line.name}")
    tell.quote(PRIYA, WHY_FOREST, f"intent of {forest.name}")


def train_second(scene: Scene, second: Release) -> list[Measured]:
    """The same two models on 2.0.0."""
    with scene.teller.working("Priya trains a logistic regression on 2.0.0", 2) as step:
        train(scene, "logistic-3-malignant", "logistic", second, WHY_AGAIN)
        step("Priya trains a random forest on 2.0.0")
        train(scene, "forest-3-malignant", "forest", second, None)
    return [measure(scene, name) for name in ("logistic-3-malignant", "forest-3-malignant")]


def tell_second_models(scene: Scene, first: Release, second: Release, found: list[Measured]) -> None:
    """Act 7."""
    tell = scene.teller
    line = found[0]
    tell.act(
        7,
        f"{second.reference} takes the left-out nodules back as malignant, and the AUC falls to {show_short(line.auc)}",
    )
    tell.table(
        ("version", "nodules", "malignant", "", "rule"),
        [
            (
                one.reference,
                f"{one.nodules:,}",
                f"{one.malignant:,}",
                show_share(one.malignant / one.nodules),
                f"malignant if {one.rule}",
            )
            for one in (first, second)
        ],
        right=(1, 2, 3),
    )
    tell.line()
    tell.table(
        ("run", "model", "data", "AUC", "95 %"),
        [(one.name, str(one.record.params["model"]), one.data, show_auc(one.auc), one.interval) for one in found],
        right=(3,),
    )
    tell.quote(NOOR, WHY_TAKE_BACK, f"reason of {second.reference}")
    if not line.target.intent:
        tell.gap(
            f"why a 3 became malignant. {line.target.person} ran {second.target} without a word; "
            "the reason above is for taking the nodules back, not for calling them malignant."
        )


def train_third(scene: Scene, third: Release) -> Measured:
    """The same nodules as 2.0.0 by the rule of 1.0.0."""
    with scene.teller.working("Priya changes one thing at a time", 1):
        train(scene, "logistic-3-benign", "logistic", third, WHY_SEPARATE)
    return measure(scene, "logistic-3-benign")


def test_together(scene: Scene, first: Release, one: Measured, other: Measured) -> ExecutionRecord:
    """Two runs on one test set."""
    with scene.teller.working("Priya tests both models on the same nodules", 1):
        scene.run_script(
            PRIYA,
            "compare.py",
            "--data",
            first.reference,
            "--target",
            first.target,
            "--scores",
            one.get_output("scores"),
            other.get_output("scores"),
            "--seed",
            str(scene.seed),
            "--name",
            "same-test-set",
            "--why",
            WHY_SAME_TEST,
        )
    return scene.record_of("same-test-set")
