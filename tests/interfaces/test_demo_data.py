"""The shipped demo data are what their README says, and the script that made them measures what it says."""

import csv
import io
import itertools
import math
import sqlite3
import statistics
import subprocess
import sys
import zipfile
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from PIL import Image

from commonground import interfaces

DATA = Path(interfaces.__file__).parent / "demo" / "data"
SCRIPT = Path(__file__).parents[2] / "scripts" / "make_demo_data.py"
TABLES = ("patients", "scans", "nodules", "readings")
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
SHAPE = {"diameter_mm": 3, "volume_mm3": 2, "compactness": 4, "height_mm": 3}


def read_rows(path):
    """The rows of a CSV file, as text."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def tables():
    """The four shipped tables by name."""
    return {name: read_rows(DATA / f"{name}.csv") for name in TABLES}


@pytest.fixture(scope="module")
def by_nodule(tables):
    """The readings of each nodule."""
    found = defaultdict(list)
    for row in tables["readings"]:
        found[row["nodule"]].append(row)
    return found


@pytest.fixture(scope="module")
def pictures():
    """The bytes of each shipped picture by file name."""
    with zipfile.ZipFile(DATA / "outlines.zip") as pack:
        return {name: pack.read(name) for name in pack.namelist()}


def test_counts(tables, by_nodule):
    """The study has 1,010 patients, 1,018 scans, 2,679 nodules and 6,859 readings; 875 patients have a nodule."""
    assert {name: len(rows) for name, rows in tables.items()} == {
        "patients": 1010,
        "scans": 1018,
        "nodules": 2679,
        "readings": 6859,
    }
    patient = {row["scan"]: row["patient"] for row in tables["scans"]}
    assert len({patient[row["scan"]] for row in tables["nodules"]}) == 875
    assert Counter(len(rows) for rows in by_nodule.values()) == {1: 795, 2: 493, 3: 490, 4: 897, 5: 4}


def test_inclusion_rule_count(by_nodule):
    """Leaving out the nodules whose median malignancy is 3 leaves 1,717."""
    medians = [statistics.median(int(row["malignancy"]) for row in rows) for rows in by_nodule.values()]
    assert sum(median != 3 for median in medians) == 1717


def test_keys_are_unique_and_nest(tables):
    """Every key occurs once, refers to a row that exists, and begins with the key of that row."""
    for child, parent in (("scans", "patients"), ("nodules", "scans")):
        key, link = child[:-1], parent[:-1]
        keys = [row[key] for row in tables[child]]
        assert len(set(keys)) == len(keys)
        assert {row[link] for row in tables[child]} <= {row[link] for row in tables[parent]}
        assert all(row[key].startswith(f"{row[link]}-") for row in tables[child])
    assert {row["nodule"] for row in tables["readings"]} == {row["nodule"] for row in tables["nodules"]}


def test_nodules_state_their_readings(tables, by_nodule):
    """A nodule's number of readings is the number of rows that refer to it."""
    assert all(int(row["readings"]) == len(by_nodule[row["nodule"]]) for row in tables["nodules"])


def test_reader_slots(tables, by_nodule):
    """A slot occurs once in a nodule, a scan's slots have no gaps, and a fifth exists only where five readings are."""
    in_scan = defaultdict(set)
    for nodule, rows in by_nodule.items():
        readers = [row["reader"] for row in rows]
        assert len(set(readers)) == len(readers)
        assert ("reader 5" in readers) == (len(rows) == 5)
        in_scan[nodule.rpartition("-")[0]].update(readers)
    for readers in in_scan.values():
        assert readers == {f"reader {slot}" for slot in range(1, len(readers) + 1)}
    assert len({row["source_annotation"] for row in tables["readings"]}) == 6859


def test_grades_are_on_their_scales(tables):
    """Every grade is a value that grades.csv explains, but for the one internal structure of 5 that README.md tells."""
    scales = defaultdict(set)
    for row in read_rows(DATA / "grades.csv"):
        assert row["meaning"]
        scales[row["grade"]].add(row["value"])
    assert set(scales) == set(GRADES)
    outside = [(grade, row[grade]) for row in tables["readings"] for grade in GRADES if row[grade] not in scales[grade]]
    assert outside == [("internal_structure", "5")]


def test_columns_are_described(tables):
    """columns.csv names exactly the shipped columns in their order, and every cell is filled and of the stated type."""
    readers = {"text": str, "int": int, "real": float, "bool": {"true": True, "false": False}.__getitem__}
    described = read_rows(DATA / "columns.csv")
    for name, rows in tables.items():
        columns = [row for row in described if row["table"] == name]
        assert [row["column"] for row in columns] == list(rows[0])
        for column in columns:
            assert column["meaning"]
            assert all(row[column["column"]] for row in rows)
            assert all(readers[column["type"]](row[column["column"]]) is not None for row in rows)
    assert {row["table"] for row in described} == set(TABLES)


def test_nodule_shape_is_the_mean_of_its_readings(tables, by_nodule):
    """Each shape measure of a nodule is the mean over its readings, to the last shipped decimal."""
    for row in tables["nodules"]:
        for measure, decimals in SHAPE.items():
            mean = statistics.fmean(float(reading[measure]) for reading in by_nodule[row["nodule"]])
            assert float(row[measure]) == pytest.approx(mean, abs=0.51 * 10**-decimals)


def test_shapes_are_possible(tables):
    """No reading is without size, none is larger than a lung, and none is rounder than a circle."""
    for row in tables["readings"]:
        assert 1 < float(row["diameter_mm"]) < 100
        assert 1 < float(row["volume_mm3"]) < 1e6
        assert 0 < float(row["compactness"]) <= 1
        assert 0 < float(row["height_mm"]) < 200


def test_nodules_follow_the_distance_rule(tables):
    """The shipped centres and diameters give the shipped nodules again: near to one member is near enough."""
    in_scan = defaultdict(list)
    for row in tables["readings"]:
        in_scan[row["nodule"].rpartition("-")[0]].append(row)
    for rows in in_scan.values():
        links = {number: {number} for number in range(len(rows))}
        for one, other in itertools.combinations(range(len(rows)), 2):
            centres = [[float(rows[number][f"centre_{axis}_mm"]) for axis in "xyz"] for number in (one, other)]
            radius = min(float(rows[number]["diameter_mm"]) / 2 for number in (one, other))
            if math.dist(*centres) <= max(3.0, radius):
                joined = links[one] | links[other]
                links.update(dict.fromkeys(joined, joined))
        for number, row in enumerate(rows):
            assert {rows[member]["nodule"] for member in links[number]} == {row["nodule"]}
            assert len(links[number]) == sum(other["nodule"] == row["nodule"] for other in rows)


def test_every_nodule_has_its_picture(tables, pictures):
    """The pictures are named after the nodules, one each and no other."""
    assert sorted(pictures) == sorted(f"{row['nodule']}.png" for row in tables["nodules"])


def test_pictures_open_and_state_their_scale(tables, pictures):
    """Each picture is a square palette PNG of at least 104 pixels that says 5 pixels per mm and carries no text."""
    for row in tables["nodules"]:
        with Image.open(io.BytesIO(pictures[f"{row['nodule']}.png"])) as picture:
            picture.load()
            assert (picture.format, picture.mode) == ("PNG", "P")
            assert picture.width == picture.height >= 104
            assert picture.info["dpi"] == pytest.approx((127, 127))
            assert set(picture.info) == {"dpi"}
            assert len(picture.getcolors()) >= 4


def test_pictures_show_who_drew(by_nodule, pictures):
    """A picture shows only inks of the nodule's own readers, and the ink of a reader who drew it alone."""
    inks = {(27, 31, 35): 1, (0, 114, 178): 2, (182, 83, 0): 3, (160, 60, 124): 4, (58, 125, 68): 5}
    for nodule, rows in by_nodule.items():
        with Image.open(io.BytesIO(pictures[f"{nodule}.png"])) as picture:
            colours = {colour for _, colour in picture.convert("RGB").getcolors()}
        shown = {f"reader {inks[colour]}" for colour in colours & set(inks)}
        assert shown
        assert shown <= {row["reader"] for row in rows}


def test_pictures_have_the_size_of_their_nodule(by_nodule, pictures):
    """What a lone reader's line holds, at 25 pixels a mm², is the table's area and at most 1 mm along the line."""
    outside = {(255, 255, 255), (230, 230, 224)}
    for nodule, rows in by_nodule.items():
        if len(rows) == 1:
            with Image.open(io.BytesIO(pictures[f"{nodule}.png"])) as picture:
                shown = sum(count for count, colour in picture.convert("RGB").getcolors() if colour not in outside)
            area = math.pi * float(rows[0]["diameter_mm"]) ** 2 / 4
            border = math.sqrt(4 * math.pi * area / float(rows[0]["compactness"]))
            assert area <= shown / 25 <= area + border


def test_credit_is_given():
    """The credit names collection, archive, licence, the papers to cite, the package, and what was changed."""
    credit = " ".join((DATA / "CREDITS.md").read_text(encoding="utf-8").split())
    for words in (
        "LIDC-IDRI",
        "The Cancer Imaging Archive",
        "CC BY 3.0",
        "https://creativecommons.org/licenses/by/3.0/",
        "10.7937/K9/TCIA.2015.LO9QL9SX",
        "10.1118/1.3528204",
        "10.1007/s10278-013-9622-7",
        "10.1117/1.JMI.3.4.044504",
        "National Cancer Institute and the Foundation for the National Institutes of Health",
        "What was changed",
    ):
        assert words in credit


def test_data_stay_small():
    """All shipped demo data together are below four megabytes."""
    assert sum(path.stat().st_size for path in DATA.iterdir()) < 4_000_000


# --- the script


def square(x, y, side):
    """The outline of a square in pixels, as the source writes it, closed."""
    corners = [(x, y), (x + side, y), (x + side, y + side), (x, y + side), (x, y)]
    return "\n".join(f"{column},{row}" for column, row in corners)


def write_source(path):
    """A source of one scan at 0.5 mm: a large nodule of two readers, once with a hole, and a small one of three."""
    with sqlite3.connect(path) as source:
        source.executescript(
            """CREATE TABLE scans (id, patient_id, is_from_initial, slice_thickness, pixel_spacing, contrast_used,
                 series_instance_uid);
               CREATE TABLE zvals (id, scan_id, val);
               CREATE TABLE contours (id INTEGER PRIMARY KEY, annotation_id, inclusion, image_z_position, coords);
               CREATE TABLE annotations (id, scan_id, _nodule_id, subtlety, internalStructure, calcification,
                 sphericity, margin, lobulation, spiculation, texture, malignancy);"""
        )
        source.execute("INSERT INTO scans VALUES (7, 'P-1', 1, 2.5, 0.5, 0, '1.2.3')")
        source.executemany("INSERT INTO zvals VALUES (?, 7, ?)", enumerate((0.0, 2.0, 4.0, 6.0)))
        marks = [(1, "Nodule 1"), (2, "Nodule 2"), (3, "5"), (4, "9"), (5, "7")]
        source.executemany("INSERT INTO annotations VALUES (?, 7, ?, 1, 1, 6, 2, 3, 4, 5, 5, 4)", marks)
        source.executemany(
            "INSERT INTO contours (annotation_id, inclusion, image_z_position, coords) VALUES (?, ?, ?, ?)",
            [
                (1, 1, 2.0, square(100, 100, 20)),
                (1, 1, 4.0, square(100, 100, 20)),
                (1, 0, 4.0, square(105, 105, 10)),
                (2, 1, 2.0, square(300, 300, 4)),
                (3, 1, 2.0, square(104, 100, 20)),
                (4, 1, 2.0, square(305, 300, 4)),
                (5, 1, 2.0, square(300, 305, 4)),
            ],
        )
    source.close()


def run_script(source, folder):
    """The files that the script writes, by name."""
    subprocess.run([sys.executable, SCRIPT, source, folder], check=True, capture_output=True)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_script_measures_squares(tmp_path):
    """Squares of 10 mm, 2 mm apart, measure as geometry says; a hole is taken from the volume only."""
    write_source(tmp_path / "source.sqlite")
    run_script(tmp_path / "source.sqlite", tmp_path / "out")
    first, second = read_rows(tmp_path / "out" / "readings.csv")[:2]
    assert float(first["diameter_mm"]) == pytest.approx(2 * math.sqrt(100 / math.pi), abs=0.001)
    assert float(first["volume_mm3"]) == pytest.approx((100 + 100 - 25) * 2)
    assert float(first["compactness"]) == pytest.approx(math.pi / 4, abs=0.0001)
    assert (float(first["height_mm"]), float(second["height_mm"])) == (4.0, 2.0)
    assert float(second["centre_x_mm"]) - float(first["centre_x_mm"]) == pytest.approx(2)
    assert first["malignancy"] == "4"


def test_script_finds_nodules_and_slots(tmp_path):
    """Marks within the smaller radius, or within 3 mm, are one nodule; a new slot starts at a new style or a repeat."""
    write_source(tmp_path / "source.sqlite")
    run_script(tmp_path / "source.sqlite", tmp_path / "out")
    nodules = read_rows(tmp_path / "out" / "nodules.csv")
    assert [(row["nodule"], row["readings"]) for row in nodules] == [("P-1-1-n01", "2"), ("P-1-1-n02", "3")]
    readings = read_rows(tmp_path / "out" / "readings.csv")
    assert [(row["source_annotation"], row["nodule"][-1], row["reader"]) for row in readings] == [
        ("1", "1", "reader 1"),
        ("3", "1", "reader 2"),
        ("2", "2", "reader 1"),
        ("4", "2", "reader 2"),
        ("5", "2", "reader 3"),
    ]


def test_script_repeats_itself(tmp_path):
    """Two runs over one source write the same bytes, pictures included, and leave the source as it was."""
    write_source(tmp_path / "source.sqlite")
    before = (tmp_path / "source.sqlite").read_bytes()
    once = run_script(tmp_path / "source.sqlite", tmp_path / "once")
    assert once == run_script(tmp_path / "source.sqlite", tmp_path / "twice")
    assert set(once) == {"patients.csv", "scans.csv", "nodules.csv", "readings.csv", "outlines.zip"}
    assert (tmp_path / "source.sqlite").read_bytes() == before


# --- the second study


def test_heart_disease_is_credited_and_whole():
    """The tutorial's heart data are 920 patients of four hospitals, with the zeros that its credit file warns of."""
    folder = Path(__file__).parents[2] / "docs" / "tutorial" / "data"
    rows = read_rows(folder / "heart_disease.csv")
    assert len({row["id"] for row in rows}) == len(rows) == 920
    zeros = Counter(row["dataset"] for row in rows if row["chol"] == "0")
    assert zeros == {"Switzerland": 123, "VA Long Beach": 49}
    assert Counter(row["dataset"] for row in rows)["Switzerland"] == 123
    credit = (folder / "CREDITS.md").read_text(encoding="utf-8")
    assert "CC BY 4.0" in credit
    assert "10.24432/C52P4X" in credit
    assert all(f"| {column} |" in credit for column in rows[0])
