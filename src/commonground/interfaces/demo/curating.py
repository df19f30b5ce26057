"""Acts 3, 4, 5 and 7: which nodules count, when one is malignant, and who is kept for the test."""

from __future__ import annotations

import csv
from dataclasses import dataclass

import numpy as np

from commonground.interfaces.demo.gathering import GRADES
from commonground.interfaces.demo.scene import Scene
from commonground.interfaces.demo.team import (
    ELIN,
    NOOR,
    PRIYA,
    WHY_ABOVE_THREE,
    WHY_IMPORT,
    WHY_LEAVE_OUT,
    WHY_SEPARATE,
    WHY_SPLIT,
    WHY_TAKE_BACK,
    Member,
)
from commonground.interfaces.demo.telling import show_share
from commonground.structure.references import pin
from commonground.structure.selectors import by_execution, median

ABOVE, FROM = "median > 3", "median >= 3"
TARGET, PREDICTED = "target_malignant", "predicted_malignancy"
SHARES = {"train": 0.8, "test": 0.2}
MIDDLE_GRADE = 3
DELIVERED = "delivered"
NODULES = "nodules"


@dataclass(frozen=True, slots=True)
class Draft:
    """Who is in and who is not."""

    all: int
    """Nodules delivered."""
    kept: int
    """Nodules whose readers could decide."""
    patients: int
    """Their patients."""


@dataclass(frozen=True, slots=True)
class Release:
    """A version, and the execution that made its target."""

    reference: str
    """nodules@1.0.0."""
    digest: str
    """SHA-256 of its content."""
    target: str
    """The name of the execution."""
    rule: str
    """When a nodule counts as malignant."""
    nodules: int
    """Its members."""
    malignant: int
    """How many of them count as malignant."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a split."""

    reference: str
    nodules: int
    patients: int
    malignant: float
    people: frozenset[str]
    """The keys of its patients."""


def draft(scene: Scene) -> Draft:
    """Noor releases all that was delivered; Elin chooses from it the nodules that readers could decide on."""
    with scene.teller.working("Elin chooses the nodules", 3) as step:
        noor, elin = scene.of(NOOR), scene.of(ELIN)
        noor.datasets.create(
            DELIVERED,
            type="Nodule",
            keys=_keys_of_all(scene),
            features=list(GRADES),
            description="All nodules of the reader study, with all grades of all readers.",
            criteria="every nodule that was delivered",
            reason="The place to choose from.",
        )
        noor.datasets.release(DELIVERED, description="As published.", why=WHY_IMPORT)
        step("Elin chooses the nodules")
        table = elin.frame(f"{DELIVERED}@1.0.0", features={"malignancy": median(ties="mean")})
        middle = table["malignancy"].to_numpy()
        kept = table.filter(middle != MIDDLE_GRADE)
        elin.datasets.create(
            NODULES,
            type="Nodule",
            members=kept["rid"].to_numpy(),
            features=["malignancy"],
            description="Lung nodules on CT with the malignancy grades of up to four radiologists.",
            criteria=f"of {DELIVERED}@1.0.0 the nodules whose median malignancy is not 3; "
            "between two middle grades the median is their mean",
            reason=WHY_LEAVE_OUT,
            why=WHY_LEAVE_OUT,
        )
        step("Elin chooses the nodules")
    return Draft(len(middle), kept.num_rows, len(set(kept["scan.patient"].to_pylist())))


def tell_draft(scene: Scene, found: Draft) -> None:
    """Act 3."""
    tell = scene.teller
    out = found.all - found.kept
    tell.act(3, f"{out:,} of {found.all:,} nodules are left out: their readers could not decide")
    tell.table(
        ("", "", ""),
        [
            ("chosen", f"{found.kept:,}", f"nodules of {found.patients:,} patients; their median malignancy is not 3"),
            ("left out", f"{out:,}", f"nodules with median 3, “indeterminate”: {show_share(out / found.all)}"),
        ],
        right=(1,),
    )
    tell.quote(ELIN, WHY_LEAVE_OUT, "reason of the selection")


def make_target(scene: Scene, who: Member, name: str, rule: str, why: str | None, data: str = f"{NODULES}@dev") -> None:
    """Let a member compute the target from the grades, as an execution."""
    said = ("--why", why) if why else ()
    scene.run_script(who, "make_target.py", "--data", data, "--rule", rule, "--name", name, *said)


def release_first(scene: Scene) -> Release:
    """Elin has the target made, and releases 1.0.0."""
    with scene.teller.working("Elin makes the target and releases nodules 1.0.0", 2) as step:
        elin = scene.of(ELIN)
        elin.features.add(
            TARGET,
            type="Nodule",
            holds="bool",
            description="Whether a nodule counts as malignant, by the rule of the execution that computed it.",
        )
        elin.features.add(
            PREDICTED,
            type="Nodule",
            holds="real",
            lowest=0,
            highest=1,
            description="What a model thinks: from 0, benign, to 1, malignant. Each value has its execution.",
        )
        make_target(scene, ELIN, "target-3-left-out", ABOVE, WHY_ABOVE_THREE)
        elin.datasets.add(NODULES, features=[TARGET])
        step("Elin releases nodules 1.0.0")
        elin.datasets.release(NODULES, description="Indeterminate nodules left out.", why=WHY_LEAVE_OUT)
    return _release(scene, "1.0.0", "target-3-left-out")


def tell_first(scene: Scene, found: Release) -> None:
    """Act 4."""
    tell = scene.teller
    record = scene.record_of(found.target)
    (edge, _), *_ = record.inputs
    tell.act(4, f"{found.reference} is released, with a target that knows its rule")
    tell.table(
        ("", ""),
        [
            ("rule", f"malignant if {found.rule}; every reader counts once"),
            ("made by", f"execution {found.target}, {record.person}"),
            ("from", f"the grades in {edge.details['reference']}, exactly these rows"),
            ("malignant", f"{found.malignant:,} of {found.nodules:,} ({show_share(found.malignant / found.nodules)})"),
            ("holds", "nodules, scans, patients, grades, target, selection"),
            ("SHA-256", f"{found.digest[:16]}… of all this; any copy can be checked"),
        ],
    )
    tell.quote(ELIN, WHY_ABOVE_THREE, f"reason of {found.target}")


def split(scene: Scene, first: Release) -> list[Part]:
    """Priya keeps a fifth of the patients for the test."""
    parts = []
    with scene.teller.working("Noor splits by patient", 3) as step:
        noor = scene.of(NOOR)
        label = {TARGET: by_execution(scene.record_of(first.target).execution.rid)}
        noor.datasets.split(
            first.reference, SHARES, seed=scene.seed, stratify=TARGET, selector=label[TARGET], why=WHY_SPLIT
        )
        for part in SHARES:
            noor.datasets.release(f"{NODULES}-{part}", why=WHY_SPLIT)
            table = noor.frame(f"{NODULES}-{part}@1.0.0", features=label)
            people = frozenset(table["scan.patient"].to_pylist())
            share = float(np.mean(table[TARGET].to_numpy()))
            parts.append(Part(f"{NODULES}-{part}@1.0.0", table.num_rows, len(people), share, people))
            step("Noor splits by patient")
    return parts


def tell_split(scene: Scene, parts: list[Part]) -> None:
    """Act 5."""
    tell = scene.teller
    shared = len(frozenset.intersection(*(part.people for part in parts)))
    tell.act(5, f"A fifth of the patients is kept for the test; {shared or 'none'} of them is in both parts")
    tell.table(
        ("part", "nodules", "patients", "malignant"),
        [(p.reference, f"{p.nodules:,}", f"{p.patients:,}", show_share(p.malignant)) for p in parts],
        right=(1, 2, 3),
    )
    tell.line()
    tell.say(
        f"Grouped by patient, as the links nodule → scan → patient say, with the same share of malignant; "
        f"seed {scene.seed}."
    )
    tell.quote(NOOR, WHY_SPLIT, "reason of the split")


def release_second(scene: Scene) -> Release:
    """Noor takes the indeterminate nodules back, as malignant, and releases 2.0.0."""
    with scene.teller.working("Noor releases nodules 2.0.0", 2) as step:
        noor = scene.of(NOOR)
        noor.datasets.add(
            NODULES,
            type="Nodule",
            keys=_keys_of_all(scene),
            criteria=f"every nodule of {DELIVERED}@1.0.0",
            reason=WHY_TAKE_BACK,
            why=WHY_TAKE_BACK,
        )
        # No reason is given with the rule: that is the gap which the last acts find.
        make_target(scene, NOOR, "target-3-malignant", FROM, None)
        step("Noor releases nodules 2.0.0")
        noor.datasets.release(NODULES, description="Indeterminate nodules are back.", why=WHY_TAKE_BACK)
    return _release(scene, "2.0.0", "target-3-malignant")


def release_third(scene: Scene) -> Release:
    """Priya has the target of the same nodules made by the first rule, to change one thing at a time."""
    with scene.teller.working("Priya makes the target by the first rule", 2) as step:
        make_target(scene, PRIYA, "target-3-benign", ABOVE, WHY_SEPARATE)
        step("Elin releases nodules 2.1.0")
        scene.of(ELIN).datasets.release(NODULES, part="minor", description="A second target.", why=WHY_SEPARATE)
    return _release(scene, "2.1.0", "target-3-benign")


def _release(scene: Scene, number: str, target: str) -> Release:
    record = scene.record_of(target)
    reference = f"{NODULES}@{number}"
    with scene.of(ELIN).session.reading() as on:
        version = pin(on.view, reference).version
    metrics = {key: value.value for key, value in record.metrics.items()}
    return Release(
        reference,
        version.digest if version else "",
        target,
        str(record.params["rule"]),
        int(metrics["nodules"] or 0),
        int(metrics["malignant"] or 0),
    )


def _keys_of_all(scene: Scene) -> list[str]:
    with (scene.delivered / "nodules.csv").open(encoding="utf-8", newline="") as file:
        return [row["nodule"] for row in csv.DictReader(file)]
