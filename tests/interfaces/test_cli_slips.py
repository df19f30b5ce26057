"""What a new user types wrong, or sees first: each slip is answered in words, and nothing is shown raw."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from commonground.interfaces.cli.program import build_program


def run(place: Path, *words: str) -> tuple[int, str]:
    """The exit status of a command line, and all that it printed."""
    cleared: dict[str, str | None] = {name: None for name in os.environ if name.startswith("CG_")}
    given = {**cleared, "CG_PERSON": "Reader One", "NO_COLOR": "1", "CG_TEST_RUN": "1"}
    with contextlib.chdir(place):
        done = CliRunner().invoke(build_program(), list(words), env=given, prog_name="cg")
    return done.exit_code, done.stdout + done.stderr


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four nodules with a truth value, a picture of one of them, a feature of yes and no, and a released dataset."""
    place = tmp_path_factory.mktemp("slips")
    (place / "nodules.csv").write_text("nodule,size,calcified\nn1,4,true\nn2,9,false\nn3,22,\nn4,3,true\n")
    (place / "pictures").mkdir()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(place / "pictures" / "n1.png")
    for words in (
        ("init", "--name", "Slips"),
        ("import", "nodules.csv", "--as", "Nodule", "--key", "nodule", "--why", "first delivery"),
        ("import", "pictures", "pictures", "--match", "{nodule}.png", "--type", "Nodule", "--why", "their pictures"),
        ("feature", "add", "solid", "--type", "Nodule", "--holds", "bool"),
        ("feature", "annotate", "solid", "--key", "n1", "--value", "true"),
        ("dataset", "create", "all", "--type", "Nodule", "--keys", "n1", "--keys", "n2", "--keys", "n3", "--keys", "n4",
         "--feature", "solid", "--criteria", "everything", "--reason", "a first look"),
        ("dataset", "release", "all", "--why", "to split it"),
        ("dataset", "split", "all", "--share", "train=0.5", "--share", "test=0.5", "--why", "two parts"),
        ("dataset", "release", "all-train", "--why", "to train on"),
        ("dataset", "create", "one", "--type", "Nodule", "--key", "n4"),
        ("dataset", "release", "one", "--why", "to keep"),
    ):  # fmt: skip
        status, said = run(place, *words)
        assert status == 0, said
    return place


def test_an_entity_is_shown_as_people_read_it(study: Path) -> None:
    """By its key alone an entity is found; truth values are yes and no, a picture is a file with its name and size."""
    status, said = run(study, "show", "n1")
    assert status == 0
    assert said.startswith("Nodule:n1, an entity")
    rows = {line.split()[0]: line.split(None, 1)[1] for line in said.splitlines() if len(line.split()) > 1}
    assert (rows["calcified"], rows["solid"]) == ("yes", "yes")
    assert rows["picture"].startswith("n1.png, picture, ")


def test_a_key_of_two_types_is_ambiguous(tmp_path: Path) -> None:
    """A key that a patient and a scan share is refused with both of them."""
    assert run(tmp_path, "init", "--name", "Two")[0] == 0
    for kind in ("Patient", "Scan"):
        assert run(tmp_path, "type", "add", kind, "--column", "note:text")[0] == 0
        done = run(tmp_path, "entity", "upsert", "--type", kind, "--key", "7-1", "--columns", '{"note": ["x"]}')
        assert done[0] == 0, done[1]
    status, said = run(tmp_path, "show", "7-1")
    assert status == 2
    assert "Patient:7-1" in said
    assert "Scan:7-1" in said


def test_a_difference_always_says_because(study: Path) -> None:
    """Both ways to ask for a difference give rule and reason of each state, and the rule of a split is in words."""
    for words in (("diff",), ("dataset", "diff")):
        status, said = run(study, *words, "all@1.0.0", "all-train@1.0.0")
        assert status == 0
        assert "everything" in said
        assert "“a first look”" in said
        assert "split of all@1.0.0, test 0.5, train 0.5, seed 0, each for itself" in said
        assert "{" not in said


def test_the_reason_of_a_selection_is_the_reason_of_its_change(study: Path) -> None:
    """Who says why these and not others is not told that no reason was given."""
    said = run(study, "log", "all")[1]
    (line,) = [line for line in said.splitlines() if "dataset create" in line]
    assert "“a first look”" in line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("stauts",), "Did you mean `cg status`?"),
        (("dataset", "relase"), "Did you mean `cg dataset release`?"),
        (("--study", ".", "status"), "Write it after the command: `cg COMMAND ... --study`."),
        (("show", "nobody"), "Nothing here is called 'nobody'"),
        (("show", "all@2.0.0"), "Released: 1.0.0."),
        (("show", "all@1"), "Write a release as 2.0.0"),
        (("import", "nodules.cvs", "--as", "Nodule", "--key", "nodule"), "There is no file nodules.cvs."),
        (("import", "nodules.csv", "--as", "Nodule", "--key", "nodul"), "The columns are: nodule, size, calcified."),
        (("type", "add", "Scan", "--column", "size"), "columns: 'size' is not of the form"),
        (("type", "add", "Scan", "--column", "size:reel"), "size: 'reel' is none of int, real"),
        (("type", "add", "Scan", "--column", '{"nam": "size", "holds": "real"}'), "column 1: 'nam' is none of"),
        (("dataset", "split", "all", "--share", "train=most"), "train: 'most' is not a number"),
        (("dataset", "create", "x", "--type", "Nodule", "--key", "n9"), "1 key is no Nodule."),
        (("dataset", "release", "one"), "Nothing has changed since one@1.0.0."),
        (("feature", "annotate", "solid", "--key", "n1", "--key", "n2", "--value", "true"), "1 value for 2 entities."),
        (("execution", "start", "--params", "fast"), "params: 'fast' is not of the form"),
        (("entity", "upsert", "--type", "Nodule", "--key", "n1", "--columns", '{"size": 4}'), "as a list"),
        (("log", "--limit", "99999999999999999999"), "does not fit in 64 bits"),
        (("person", "add", "Somebody", "--role", "boss"), "'boss' is not one of"),
        (("status", "--study", "/nowhere"), "`cg init` makes one here"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, tuple) else "",
)
def test_a_slip_is_answered_with_what_to_do(study: Path, words: tuple[str, ...], said: str) -> None:
    """A slip has a status of its own, says what is wrong and what helps, and is never a fault of the program."""
    status, told = run(study, *words)
    assert status in {1, 2, 3, 4}, told
    assert said in told


def test_what_comes_twice_is_told_in_words(study: Path) -> None:
    """A login, term or column that is given twice, or is somebody's, is named; no line of SQL is shown."""
    assert run(study, "person", "add", "Twin", "--login", "twin", "--login", "twin")[0] == 0
    for words in (
        ("person", "add", "Other", "--login", "twin"),
        ("vocabulary", "add", "side", "--term", "left", "--term", "left"),
        ("type", "add", "Scan", "--column", "a:int", "--column", "A:int"),
    ):
        status, said = run(study, *words)
        assert status in {2, 4}
        assert not {"UNIQUE", "constraint", "login.login"} & set(said.replace("(", " ").split())


def test_an_empty_dataset_is_not_split(study: Path) -> None:
    """A dataset without members has no row to split, and that is said."""
    assert run(study, "dataset", "create", "none yet")[0] == 0
    status, said = run(study, "dataset", "split", "none yet", "--share", "a=1")
    assert (status, "has no members" in said) == (2, True)
