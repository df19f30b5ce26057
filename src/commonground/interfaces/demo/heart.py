"""Act 8: two figures that nobody should hold against each other, what their difference is made of, and the record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from commonground.interfaces.demo.scene import Scene
from commonground.interfaces.demo.team import PRIYA, WHY_SAME_TEST, WHY_SEPARATE
from commonground.interfaces.demo.telling import Teller, show_auc, show_change, show_share
from commonground.interfaces.demo.training import Measured, show_short
from commonground.operations.execution_reading import Comparison, ExecutionRecord

SAME, DIFFERENT, UNKNOWN = "✓ same", "✗ different", "◌ not recorded"
YES, NO = "✓ yes", "◌ no"
LOW, HIGH = 0.5, 1.0


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that must be the same if two figures are to be compared."""

    name: str
    """What it is."""
    first: str
    """What it was in the first run."""
    second: str
    """What it was in the second."""
    state: str
    """Whether they are the same, or nobody recorded it."""


@dataclass(frozen=True, slots=True)
class Heart:
    """What the act is about."""

    out: Measured
    """3 left out."""
    malignant: Measured
    """3 counts as malignant."""
    benign: Measured
    """3 counts as benign: the nodules of the one, the rule of the other."""
    together: ExecutionRecord
    """Both on one test set."""
    conditions: tuple[Condition, ...]
    """Of the naive comparison."""

    @property
    def membership(self) -> float:
        """What the figure changes by when only the nodules change."""
        return self.benign.auc - self.out.auc

    @property
    def fair(self) -> bool:
        """Whether the naive comparison is fair: every condition is known to be the same."""
        return all(condition.state == SAME for condition in self.conditions)

    def get_common(self, key: str) -> float:
        """A figure on the common test set."""
        return self.together.metrics[key].value or 0.0


def find_heart(scene: Scene, out: Measured, malignant: Measured, benign: Measured, together: ExecutionRecord) -> Heart:
    """All of the act from the catalogue."""
    runs = [out.record.execution.rid, malignant.record.execution.rid]
    compared: Comparison = scene.of(PRIYA).read("execution compare", executions=runs)
    return Heart(out, malignant, benign, together, tuple(compare_conditions(out, malignant, compared)))


def compare_conditions(one: Measured, other: Measured, compared: Comparison) -> list[Condition]:
    """What a fair comparison needs, the differing first, each as the record has it."""
    told = {axis.name: axis for axis in compared.axes}

    def both(name: str, show: Callable[[Measured], str], key: Callable[[Measured], object]) -> Condition:
        same = key(one) == key(other)
        return Condition(name, show(one), show(other), SAME if same else DIFFERENT)

    def axis(name: str, key: str, show: Callable[[object], str]) -> Condition:
        values = told[key].values
        state = UNKNOWN if None in values else DIFFERENT if told[key].differs else SAME
        first, second = ("not recorded" if value is None else show(value) for value in values)
        return Condition(name, first, second, state)

    listed = [
        both("tested on", lambda run: f"{run.get_metric('nodules'):,.0f} nodules", lambda run: run.rows),
        both("malignant if", lambda run: run.rule, lambda run: run.rule),
        both("share malignant", lambda run: show_share(run.share), lambda run: f"{run.share:.3f}"),
        both("measure", lambda _: "AUC", lambda run: "auc" in run.record.metrics),
        both("folds", lambda run: str(run.record.params["folds"]), lambda run: run.record.params["folds"]),
        both("model", lambda run: str(run.record.params["model"]), lambda run: run.record.params["model"]),
        both("inputs", lambda _: "4 of shape", lambda run: run.record.params["inputs"]),
        both("seed", lambda run: str(run.record.params["seed"]), lambda run: run.record.params["seed"]),
        axis("code", "code", lambda value: str(value).split()[1][:8]),
        axis("packages", "environment", lambda value: str(value)[:8]),
    ]
    return sorted(listed, key=lambda condition: condition.state != DIFFERENT)


def tell_heart(scene: Scene, found: Heart) -> None:
    """Act 8."""
    tell, out, malignant = scene.teller, found.out, found.malignant
    gap = abs(round(malignant.auc, 4) - round(out.auc, 4))
    low, high = found.get_common("difference low"), found.get_common("difference high")
    verdict = "is a fair comparison" if found.fair else "is not a fair comparison"
    tell.act(
        8,
        f"{show_short(out.auc)} against {show_short(malignant.auc)} {verdict}: "
        f"on the same nodules it is {show_short(found.get_common('auc of first'))} "
        f"against {show_short(found.get_common('auc of second'))}",
    )
    differing = [condition for condition in found.conditions if condition.state != SAME]
    tell.line(f"    A  {out.name:<22} {out.data:<14} AUC {show_auc(out.auc)}")
    tell.line(f"    C  {malignant.name:<22} {malignant.data:<14} AUC {show_auc(malignant.auc)}")
    if found.fair:
        tell.holds("A fair comparison", "The two runs differ in nothing that could make it unfair.")
    else:
        tell.look(
            "Not fair",
            f"{len(differing)} of {len(found.conditions)} conditions are not the same. The two figures answer "
            "different questions: other nodules are tested, and “malignant” means something else.",
        )
    tell.line()
    rows = [(condition.name, condition.first, condition.second, condition.state) for condition in found.conditions]
    tell.table(("condition", "A", "C", ""), rows)

    tell.heading("One thing at a time")
    tell.line()
    _tell_steps(tell, found)

    tell.heading("The same test set for both")
    tell.line()
    count = f"{found.get_common('nodules'):,.0f}"
    tell.say(
        f"{count} nodules of {out.data}, malignant if {out.rule}; each scored by a model that never saw its patient."
    )
    tell.line()
    tell.bar("model A", found.get_common("auc of first"), show_auc(found.get_common("auc of first")), LOW, HIGH)
    tell.bar("model C", found.get_common("auc of second"), show_auc(found.get_common("auc of second")), LOW, HIGH)
    tell.scale(".5 a coin", "1 all told apart", 16)
    one, other = found.get_common("auc of first"), found.get_common("auc of second")
    difference = round(other, 4) - round(one, 4)
    tell.line()
    verdict = "no difference that these nodules can show" if low <= 0 <= high else "more than chance would give"
    tell.say(
        f"Difference {show_change(difference)} (95 % {show_change(low)} to {show_change(high)}): {verdict}. "
        f"Of the gap of {show_auc(gap)} between the two runs, {show_auc(abs(difference))} is the model."
    )
    tell.quote(PRIYA, WHY_SEPARATE, f"intent of {found.benign.name}")
    tell.quote(PRIYA, WHY_SAME_TEST, f"intent of {found.together.execution.name}")
    _tell_record(scene, found)


def _tell_steps(tell: Teller, found: Heart) -> None:
    out, benign, malignant = found.out, found.benign, found.malignant
    added = benign.get_metric("nodules") - out.get_metric("nodules")
    tell.table(
        ("", "nodules; malignant if", "AUC", "change", "effect of"),
        [
            ("A", f"{out.get_metric('nodules'):,.0f} nodules without a 3; {out.rule}", show_auc(out.auc), "", ""),
            (
                "B",
                f"+ {added:,.0f} nodules with a 3; same rule: benign",
                show_auc(benign.auc),
                show_change(benign.auc, out.auc),
                "membership",
            ),
            (
                "C",
                f"same nodules; {malignant.rule}",
                show_auc(malignant.auc),
                show_change(malignant.auc, benign.auc),
                "label rule",
            ),
        ],
        right=(2, 3),
    )
    tell.line()
    for name, run in (("A", out), ("B  3 is benign", benign), ("C  3 is malignant", malignant)):
        tell.bar(name if name != "A" else "A  3 is left out", run.auc, show_auc(run.auc), LOW, HIGH, wide=18)
    tell.scale(".5 a coin", "1 all told apart", 18)


def _tell_record(scene: Scene, found: Heart) -> None:
    """Where each figure comes from, and what the record holds of it and what not."""
    tell = scene.teller
    runs = [found.out, found.benign, found.malignant]
    tell.heading("Where each figure comes from")
    tell.line()
    rows = [
        (letter, show_auc(run.auc), run.name, run.data, run.target.execution.name)
        for letter, run in zip("ABC", runs, strict=True)
    ]
    both = f"{show_auc(found.get_common('auc of second'))}"
    rows.append(("C on A's", both, found.together.execution.name, found.out.data, found.out.target.execution.name))
    tell.table(("", "AUC", "execution", "data", "target made by"), rows)

    tell.heading("What is on record behind it")
    tell.line()
    names = ["A", "B", "C", "C on A's"]
    listed = [run.record for run in runs] + [found.together]
    targets = [run.target for run in runs] + [found.out.target]
    questions: list[tuple[str, list[bool]]] = [
        ("why it was run", [bool(record.intent) for record in listed]),
        ("the exact nodules", [_has_rows(record) for record in listed]),
        ("the rule for malignant", ["rule" in target.params for target in targets]),
        ("why this rule", [bool(target.intent) for target in targets]),
        ("the code", [record.workflow is not None for record in listed]),
        ("the packages", [record.execution.environment is not None for record in listed]),
        ("the seed", ["seed" in record.params for record in listed]),
        ("the model itself", [any(named.state == "model" for _, named in record.outputs) for record in listed[:3]]),
        ("who the readers were", [False] * 4),
    ]
    rows_of = [
        (question, *(YES if kept else NO for kept in answers), *([""] * (4 - len(answers))))
        for question, answers in questions
    ]
    tell.table(("", *names), rows_of)
    for run in runs:
        if not run.target.intent:
            tell.gap(
                f"why {run.target.execution.name} uses “{run.rule}”. {run.target.person} made it and can be asked."
            )


def _has_rows(record: ExecutionRecord) -> bool:
    return any(frame.get("rows_digest") for edge, _ in record.inputs for frame in edge.details.get("frames", ()))
