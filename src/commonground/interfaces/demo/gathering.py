"""Acts 1 and 2: what was delivered, and how well its readers agree."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from commonground.interfaces.client.study import Study
from commonground.interfaces.demo.scene import PICTURES, Scene, effect_of
from commonground.interfaces.demo.team import ELIN, NOOR, WHY_IMPORT
from commonground.interfaces.demo.telling import show_share
from commonground.operations.agreement import Agreement
from commonground.operations.plans import Committed
from commonground.structure.agreement import Figure

GRADES: dict[str, tuple[int, int, bool]] = {
    "malignancy": (1, 5, True),
    "subtlety": (1, 5, True),
    "internal_structure": (1, 5, False),
    "calcification": (1, 6, False),
    "sphericity": (1, 5, True),
    "margin": (1, 5, True),
    "lobulation": (1, 5, True),
    "spiculation": (1, 5, True),
    "texture": (1, 5, True),
}
"""Each grade with its lowest and highest value, and whether the values are steps of a scale."""
RESAMPLES = 200
USABLE, GOOD = 0.667, 0.8


@dataclass(frozen=True, slots=True)
class Delivered:
    """What came in."""

    patients: int
    scans: int
    nodules: int
    pictures: int
    readings: int
    grades: int
    slots: int
    again: bool
    """Whether a second delivery of the readings changed nothing."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """How well readers agree."""

    malignancy: Figure
    """Alpha, with its interval."""
    alphas: dict[str, float]
    """Alpha of each grade."""
    apart: int
    """Nodules whose readers differ by two grades or more in malignancy."""
    exact: float
    """Share of pairs of readings with the same grade."""
    pairs: int
    """Pairs of readings."""


def gather(scene: Scene) -> Delivered:
    """Noor brings in the tables, the pictures and the readings."""
    study, files = scene.of(NOOR), scene.delivered
    meant = _meanings(files / "columns.csv")
    with scene.teller.working("Noor imports patients", 6) as step:
        counts = {}
        for table, type_name, links in (
            ("patients", "Patient", {}),
            ("scans", "Scan", {"patient": "Patient"}),
            ("nodules", "Nodule", {"scan": "Scan"}),
        ):
            key = table[:-1]
            done = study.entities.import_table(
                files / f"{table}.csv",
                type=type_name,
                key=key,
                links=links,
                descriptions={name: text for name, (text, _) in meant[table].items() if name != key},
                units={name: unit for name, (_, unit) in meant[table].items() if unit not in {"", "1"} and name != key},
                why=WHY_IMPORT,
            )
            counts[table] = int(effect_of(done)["new"])
            step(f"Noor imports {table}")
        done = study.entities.import_pictures(
            files / PICTURES, match="{nodule}.png", type="Nodule", column="outline", why=WHY_IMPORT
        )
        pictures = int(effect_of(done)["pictures"])
        step("Noor imports readings")
        _declare_grades(study, meant["readings"])
        done = _import_readings(study, files / "readings.csv")
        effect = effect_of(done)
        step("Noor delivers the readings again")
        again = _import_readings(study, files / "readings.csv").change is None
    with (files / "readings.csv").open(encoding="utf-8", newline="") as file:
        readings = sum(1 for _ in csv.DictReader(file))
    return Delivered(
        counts["patients"],
        counts["scans"],
        counts["nodules"],
        pictures,
        readings,
        int(effect["readings"]),
        int(effect["new readers"]),
        again,
    )


def tell_gathered(scene: Scene, found: Delivered) -> None:
    """Act 1."""
    tell = scene.teller
    tell.act(1, f"{found.nodules:,} lung nodules are in the catalogue, each with its picture and its readers' grades")
    tell.table(
        ("", "", ""),
        [
            ("patients", f"{found.patients:,}", "no age, no sex, no diagnosis in the source"),
            ("CT scans", f"{found.scans:,}", "linked to their patient"),
            ("nodules", f"{found.nodules:,}", "linked to their scan, with four measures of shape"),
            ("pictures", f"{found.pictures:,}", "every reader's outline, drawn on one slice"),
            (
                "readings",
                f"{found.readings:,}",
                f"{len(GRADES)} grades each: {found.grades:,} values, none overwritten",
            ),
            ("reader slots", f"{found.slots:,}", "“reader 2 of this scan”: somebody, known only there"),
        ],
        right=(1,),
    )
    if found.again:
        tell.holds(
            "Nothing new", "Noor delivered the readings a second time, by mistake. The catalogue did not change."
        )
    tell.gap(
        "who the readers are. The source names nobody, so questions by reader are answered "
        "“not identifiable”, never guessed."
    )


def agree(scene: Scene) -> Agreed:
    """Elin asks how well readers agree."""
    found: dict[str, Agreement] = {}
    with scene.teller.working("Elin asks how well the readers agree", len(GRADES)) as step:
        for grade in GRADES:
            resamples = RESAMPLES if grade == "malignancy" else 0
            found[grade] = scene.of(ELIN).read("feature agreement", feature=grade, resamples=resamples, seed=scene.seed)
            step(f"Elin asks how well the readers agree on {grade}")
    malignancy = found["malignancy"]
    alphas = {grade: one.alpha.value for grade, one in found.items() if one.alpha.value is not None}
    pairs = malignancy.pairs
    return Agreed(malignancy.alpha, alphas, malignancy.apart, pairs.exact or 0.0, pairs.total)


def tell_agreed(scene: Scene, found: Agreed) -> None:
    """Act 2."""
    tell, figure = scene.teller, found.malignancy
    value, low, high = figure.value or 0.0, figure.low or 0.0, figure.high or 0.0
    how = "weakly" if value < USABLE else "fairly" if value < GOOD else "well"
    tell.act(2, f"Readers agree {how} on malignancy: alpha {value:.2f} (95 % {low:.2f} to {high:.2f})")
    tell.say(
        f"{figure.units:,} nodules have two readers or more. On {found.apart:,} of them "
        f"({show_share(found.apart / figure.units)}) two readers are two grades apart or more. "
        f"Of {found.pairs:,} pairs of readings {show_share(found.exact)} say the same."
    )
    tell.line()
    for grade, alpha in sorted(found.alphas.items(), key=lambda pair: -pair[1]):
        tell.bar(grade.replace("_", " "), alpha, f"{alpha:.3f}", 0.0, 1.0, wide=18)
    tell.scale("0 chance", "1 perfect", wide=18)
    tell.line()
    tell.say("Many take .67 as the least that can be used.")
    tell.look("Keep in mind", "Every model below learns from these grades, and is judged by them.")


def _declare_grades(study: Study, meant: dict[str, tuple[str, str]]) -> None:
    for grade, (lowest, highest, ordered) in GRADES.items():
        study.features.add(
            grade,
            type="Nodule",
            holds="int",
            lowest=lowest,
            highest=highest,
            ordered=ordered,
            description=meant[grade][0],
            why=WHY_IMPORT,
        )


def _import_readings(study: Study, path: Path) -> Committed:
    return study.features.import_readings(
        path,
        entity="nodule",
        type="Nodule",
        rater="reader",
        values=list(GRADES),
        slot_scope="scan",
        why=WHY_IMPORT,
    )


def _meanings(path: Path) -> dict[str, dict[str, tuple[str, str]]]:
    """What each column of each delivered table means, and its unit."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["table"], {})[row["column"]] = (row["meaning"], row["unit"])
    return found
