"""The demo tells what it measures: its figures follow from the delivered readings and the seed alone."""

import csv
import io
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import zipfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from commonground.errors import InvalidInput
from commonground.interfaces.client import study as client
from commonground.interfaces.demo import story
from commonground.interfaces.demo.heart import DIFFERENT, SAME
from commonground.interfaces.demo.scene import DATA
from commonground.interfaces.demo.team import ELIN, WHY_LEAVE_OUT
from commonground.interfaces.demo.telling import Teller, show_auc, show_change

SHAPE = ("diameter_mm", "volume_mm3", "compactness", "height_mm")
PATIENTS = 160
TREES = 10


# --- the same figures, measured without the catalogue


def read_rows(path):
    """The rows of a CSV file, as text."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class Plainly:
    """The study of a folder of delivered files, with nothing but the files."""

    def __init__(self, data, seed=0, trees=TREES):
        grades = defaultdict(list)
        for row in read_rows(data / "readings.csv"):
            grades[row["nodule"]].append(int(row["malignancy"]))
        patient = {row["scan"]: row["patient"] for row in read_rows(data / "scans.csv")}
        nodules = read_rows(data / "nodules.csv")
        # The catalogue gives nodules in the order in which they came, as the file does.
        self.middle = np.array([statistics.median(grades[row["nodule"]]) for row in nodules])
        self.shape = np.array([[float(row[name]) for name in SHAPE] for row in nodules])
        self.patient = np.array([patient[row["scan"]] for row in nodules])
        self.decided = self.middle != 3
        self.seed, self.trees = seed, trees

    def score(self, rows, target, kind="logistic"):
        """The scores of these nodules, each by a model that never saw its patient."""
        shape, group = self.shape[rows], self.patient[rows]
        scores = np.zeros(len(shape))
        for seen, unseen in GroupKFold(5).split(shape, target, group):
            model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
            if kind == "forest":
                model = RandomForestClassifier(self.trees, min_samples_leaf=3, random_state=self.seed)
            scores[unseen] = model.fit(shape[seen], target[seen]).predict_proba(shape[unseen])[:, 1]
        return scores

    def figures(self):
        """AUC with 3 left out, as benign, as malignant, and of the last model on the nodules of the first."""
        everyone = np.ones(len(self.middle), bool)
        out = self.middle[self.decided] > 3
        benign, malignant = self.middle > 3, self.middle >= 3
        scores = self.score(everyone, malignant)
        return {
            "out": roc_auc_score(out, self.score(self.decided, out)),
            "benign": roc_auc_score(benign, self.score(everyone, benign)),
            "malignant": roc_auc_score(malignant, scores),
            "common": roc_auc_score(out, scores[self.decided]),
        }

    def forest(self):
        """AUC of the forest with 3 left out."""
        out = self.middle[self.decided] > 3
        return roc_auc_score(out, self.score(self.decided, out, "forest"))


def figures_of(told):
    """The figures of a story, by the same names."""
    heart = told.heart
    return {
        "out": heart.out.auc,
        "benign": heart.benign.auc,
        "malignant": heart.malignant.auc,
        "common": heart.get_common("auc of second"),
    }


def tell(folder, **given):
    """Tell the story without a terminal; what was measured and what was said."""
    said = io.StringIO()
    told = story.tell_story(folder, console=Console(file=said, width=80, highlight=False), **given)
    return told, said.getvalue()


# --- fewer patients, for stories that only have to differ


@pytest.fixture
def small(tmp_path):
    """The delivered files of the first patients."""
    folder = tmp_path / "small"
    shutil.copytree(DATA, folder, ignore=shutil.ignore_patterns("*.zip"))
    kept = {row["patient"] for row in read_rows(DATA / "patients.csv")[:PATIENTS]}
    for name, of in (("patients", "patient"), ("scans", "patient"), ("nodules", "scan"), ("readings", "nodule")):
        rows = [row for row in read_rows(DATA / f"{name}.csv") if row[of][: len("LIDC-IDRI-0001")] in kept]
        write_rows(folder / f"{name}.csv", rows)
    nodules = {f"{row['nodule']}.png" for row in read_rows(folder / "nodules.csv")}
    with zipfile.ZipFile(DATA / "outlines.zip") as old, zipfile.ZipFile(folder / "outlines.zip", "w") as new:
        for name in sorted(nodules):
            new.writestr(name, old.read(name))
    return folder


def write_rows(path, rows):
    """Write rows as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


# --- the whole story


@pytest.mark.soak
def test_story_of_all_nodules(tmp_path):
    """The demo measures what the files give when they are measured without it, says so, and leaves a study to ask."""
    folder = tmp_path / "lung-nodules"
    told, said = tell(folder)
    plain = Plainly(DATA).figures()
    assert figures_of(told) == pytest.approx(plain, abs=1e-9)
    assert told.heart.get_common("auc of first") == pytest.approx(plain["out"], abs=1e-9)
    assert {name: round(value, 3) for name, value in plain.items()} == pytest.approx(
        {"out": 0.912, "benign": 0.898, "malignant": 0.706, "common": 0.911}, abs=0.002
    )
    for value in plain.values():
        assert show_auc(value) in said
    assert show_change(plain["benign"], plain["out"]) in said
    assert show_change(plain["malignant"], plain["benign"]) in said
    check_words(told, said, folder)
    check_study(folder)
    check_commands(folder, said)


def check_words(told, said, folder):
    """The naive comparison is called unfair for its reasons, gaps are stated, and no line is too wide."""
    flat = " ".join(said.split())
    states = {condition.name: condition.state for condition in told.heart.conditions}
    assert not told.heart.fair
    assert {name for name, state in states.items() if state == DIFFERENT} == {
        "tested on",
        "malignant if",
        "share malignant",
    }
    assert SAME in states.values()
    assert "is not a fair comparison" in flat
    assert "Not recorded why a 3 became malignant. Noor Tamarind" in flat
    assert "2,679 lung nodules" in flat
    assert "6,859" in flat
    assert "Readers agree weakly on malignancy: alpha 0.43 (95 % 0.40 to 0.46)" in flat
    assert "malignant if median > 3" in flat
    assert WHY_LEAVE_OUT in flat.replace(" │ ", " ")
    assert [line for line in said.splitlines() if len(line) > 80 and str(folder) not in line] == []


def check_study(folder):
    """Versions hold what the story says, one reason is a gap, and a model leads back to the readings."""
    with client.open(folder, person=ELIN.name) as study:
        assert study.frame("nodules@1.0.0").num_rows == 1717
        assert study.frame("nodules@2.0.0").num_rows == 2679
        records = {
            name: study.read("execution get", execution=name) for name in ("target-3-left-out", "target-3-malignant")
        }
        assert records["target-3-left-out"].intent
        assert records["target-3-malignant"].intent is None
        run = study.read("execution get", execution="logistic-3-left-out")
        model = next(named for _, named in run.outputs if named.state == "model")
        walked = study.read("lineage", rid=model.rid, direction="up")
        reached = {named.name for named in walked.things}
        assert {"logistic-3-left-out", "nodules@1.0.0", "target-3-left-out", "readings.csv"} <= reached


def check_commands(folder, said):
    """Every command of the last act works in the folder."""
    commands = re.findall(r"^ {4}\$ (.+)$", said, re.MULTILINE)
    assert len(commands) >= 5
    for command in commands:
        words = shlex.split(command)
        if words[0] == "cd":
            continue
        program = [sys.executable, "-c", "from commonground.interfaces.cli import main; main()"]
        done = subprocess.run([*program, *words[1:]], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        assert done.stdout.strip()
        if words[1] == "reproduce":
            assert "Identical" in done.stdout
    assert any(command.startswith("cg reproduce ") for command in commands)


@pytest.mark.soak
def test_one_reading_changes_the_figures(small, tmp_path):
    """With one grade of one reader changed, the figures are those of the changed file and no longer the old ones."""
    before = Plainly(small).figures()
    rows = read_rows(small / "readings.csv")
    alone = defaultdict(list)
    for row in rows:
        alone[row["nodule"]].append(row)
    chosen = next(readings[0] for readings in alone.values() if len(readings) == 1 and readings[0]["malignancy"] == "1")
    chosen["malignancy"] = "5"
    write_rows(small / "readings.csv", rows)
    told, _ = tell(tmp_path / "study", data=small, trees=TREES)
    after = Plainly(small).figures()
    assert figures_of(told) == pytest.approx(after, abs=1e-9)
    assert all(abs(after[name] - before[name]) > 1e-4 for name in ("out", "benign", "malignant"))


@pytest.mark.soak
def test_seed_changes_the_figures(small, tmp_path):
    """The forest's figure is the one of the seed that was given, and another seed gives another."""
    told, said = tell(tmp_path / "study", data=small, trees=TREES, seed=1)
    with_seed, without = Plainly(small, seed=1).forest(), Plainly(small, seed=0).forest()
    assert told.models[1].auc == pytest.approx(with_seed, abs=1e-9)
    assert abs(with_seed - without) > 1e-4
    assert "seed" in said
    assert told.models[0].record.params["seed"] == 1


# --- before it begins


def test_used_folder_is_refused(tmp_path):
    """A folder with anything in it is left as it is, and the refusal names a way on."""
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InvalidInput, match="not empty") as caught:
        story.run(tmp_path)
    assert "cg demo" in caught.value.todo
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_second_demo_points_to_the_first(tmp_path):
    """Where a study is already, the refusal says how to look at it."""
    client.init(tmp_path).close()
    with pytest.raises(InvalidInput, match="a study") as caught:
        story.run(tmp_path)
    assert "cg status" in caught.value.todo


def test_impossible_seed_is_refused(tmp_path):
    """A seed that the models cannot take is refused before a folder is made."""
    with pytest.raises(InvalidInput, match="seed"):
        story.run(tmp_path / "study", seed=-1)
    assert not (tmp_path / "study").exists()


# --- how it is said


def test_plain_output_where_signs_cannot_be_shown():
    """On a console that knows no Unicode every line is ASCII, and states keep their words."""
    said = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    teller = Teller(Console(file=said, width=80, highlight=False))
    teller.quote(ELIN, "It isn\N{RIGHT SINGLE QUOTATION MARK}t.", "a → b")
    teller.gap("why")
    teller.bar("A", 0.9, show_auc(0.9), 0.5, 1.0)
    teller.table(("", "A"), [("code", "✗ different"), ("change", show_change(0.1, 0.2))])
    said.flush()
    text = said.buffer.getvalue().decode("ascii")
    assert "Not recorded" in text
    assert "x different" in text
    assert "-.1000" in text


def test_differences_fit_the_figures_beside_them():
    """A difference is that of the figures as they are shown, so that a reader who subtracts finds it right."""
    assert show_change(0.89746, 0.91204) == "\N{MINUS SIGN}.0145"
    assert show_auc(0.89746) == ".8975"
    assert show_change(0.5, 0.25) == "+.2500"


def test_package_carries_what_the_demo_copies():
    """Scripts and data lie in the package, so that an installed program can tell the story."""
    folder = Path(story.__file__).parent
    assert {"make_target.py", "train.py", "compare.py"} <= {path.name for path in (folder / "scripts").iterdir()}
    assert (folder / "data" / "outlines.zip").is_file()
