"""The command line as people meet it, on a study that it makes itself.

What depends on the process (start, pipes, signals, programs that are run) is tested with the real `cg` in a process of
its own; all else with the same program inside this one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from commonground.interfaces.cli.program import build_program

CG = str(Path(sys.executable).with_name("cg"))
PATIENTS = "mrn_hash,born,site\np1,1950,Aachen\np2,1961,Bonn\np3,1972,Bonn\n"
SITES = "site,beds\nAachen,300\nBonn,500\n"
NODULES = "nodule,patient,diameter\nn1,p1,4.5\nn2,p1,11.25\nn3,p2,7\n"
READINGS = "nodule,reader,malignancy\nn1,reader 1,2\nn1,reader 2,3\nn2,reader 1,5\nn3,reader 2,4\n"


@dataclass(frozen=True)
class Done:
    """What a command line left behind."""

    returncode: int
    stdout: str
    stderr: str


def environment(person: str) -> dict[str, str | None]:
    """Who is at work, and nothing else that would change what is printed."""
    cleared: dict[str, str | None] = {name: None for name in os.environ if name.startswith("CG_")}
    return {**cleared, "CG_PERSON": person, "NO_COLOR": "1", "CG_TEST_RUN": "1"}


def run(place: Path, *words: str, person: str = "Reader One", stdin: str | None = None) -> Done:
    """One command line in a folder, inside this process."""
    with contextlib.chdir(place):
        done = CliRunner().invoke(build_program(), list(words), input=stdin, env=environment(person), prog_name="cg")
    return Done(done.exit_code, done.stdout, done.stderr)


def run_apart(place: Path, *words: str, **more: str) -> Done:
    """One command line in a folder, by the real `cg`."""
    set_to = {**environment("Reader One"), **more}
    given = {**os.environ, **{name: value for name, value in set_to.items() if value is not None}}
    for name, value in set_to.items():
        if value is None:
            given.pop(name, None)
    done = subprocess.run([CG, *words], cwd=place, env=given, capture_output=True, text=True, timeout=120, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


def ok(place: Path, *words: str, person: str = "Reader One", stdin: str | None = None) -> str:
    """What a command line that must work prints."""
    done = run(place, *words, person=person, stdin=stdin)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small study made at the command line: patients at sites, nodules, readings, a released dataset."""
    place = tmp_path_factory.mktemp("cli")
    files = {"sites.csv": SITES, "patients.csv": PATIENTS, "nodules.csv": NODULES, "readings.csv": READINGS}
    for name, text in files.items():
        (place / name).write_text(text)
    ok(place, "init", ".", "--name", "Small study")
    ok(place, "import", "sites.csv", "--as", "Site", "--key", "site")
    ok(place, "import", "patients.csv", "--as", "Patient", "--key", "mrn_hash", "--link", "site", "--why", "The cohort")
    ok(place, "import", "--as", "Nodule", "--key", "nodule", "--link", "patient", "nodules.csv")
    added = ("--type", "Nodule", "--holds", "int", "--lowest", "1", "--highest", "5", "--ordered")
    ok(place, "feature", "add", "malignancy", *added, "--description", "How likely it is malignant")
    read = ("--as", "Nodule", "--entity", "nodule", "--rater", "reader", "--values", "malignancy", "--slots")
    ok(place, "import", "readings.csv", *read, "--why", "The first reading")
    chosen = ("--criteria", "median malignancy is not 3", "--reason", "Three says nothing")
    members = ("--type", "Nodule", "--key", "n1", "--key", "n2", "--feature", "malignancy")
    ok(place, "dataset", "create", "nodules", *members, *chosen, "--description", "To train on")
    ok(place, "dataset", "release", "nodules", "--description", "The first", "--why", "The board asked for it")
    return place


def test_help_loads_nothing_heavy() -> None:
    """`cg --help` imports neither SQLAlchemy, numpy, pyarrow nor rich, and names every section of the work."""
    code = (
        "import sys\nfrom commonground.interfaces.cli import main\nsys.argv = ['cg', '--help']\n"
        "try:\n    main()\nexcept SystemExit as left:\n    status = left.code\n"
        "heavy = {'sqlalchemy', 'numpy', 'pyarrow', 'rich'} & set(sys.modules)\n"
        "print(sorted(heavy), status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.endswith("[] 0\n")
    assert all(title in done.stdout for title in ("Begin:", "Read:", "Build:", "Run:", "dataset", "init"))


@pytest.mark.parametrize(
    "words",
    ["show Patient", "show nodules", "show nodules@1.0.0", "log", "find nodules", "why nodules", "execution find"],
)
def test_reading_a_page_loads_no_arrays(study: Path, words: str) -> None:
    """What reads some rows and prints a page loads neither numpy, pyarrow nor, as nobody looks at colours, rich."""
    code = (
        "import sys\nfrom commonground.interfaces.cli import main\nsys.argv = ['cg', *sys.argv[1:]]\n"
        "try:\n    main()\nexcept SystemExit as left:\n    status = left.code\n"
        "print(sorted({'numpy', 'pyarrow', 'rich', 'sqlalchemy'} & set(sys.modules)), status)"
    )
    command = [sys.executable, "-c", code, *words.split()]
    environment = {**os.environ, "CG_PERSON": "Reader One"}
    done = subprocess.run(command, cwd=study, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.endswith("['sqlalchemy'] 0\n")


def test_help_is_quick() -> None:
    """`cg --help` needs less than a quarter of a second of a processor more than starting Python does."""

    def least(*words: str) -> float:
        taken = []
        for _ in range(3):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(words, capture_output=True, timeout=60, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        return min(taken)

    assert least(CG, "--help") - least(sys.executable, "-c", "pass") < 0.25


def test_the_spelling_of_the_issue_plans_without_writing(study: Path) -> None:
    """An import with --dry-run says what it would bring in, and no change is written."""
    before = json.loads(ok(study, "status", "--json"))["change"]
    (study / "more.csv").write_text(PATIENTS + "p4,1980,Aachen\n")
    words = ("import", "more.csv", "--as", "Patient", "--key", "mrn_hash", "--link", "site", "--dry-run")
    shown = ok(study, *words)
    assert shown.startswith("Would bring in 1 new Patient from more.csv.\nThis is a plan. Nothing was written.\n")
    assert json.loads(ok(study, *words, "--json"))["dry_run"] is True
    assert json.loads(ok(study, "status", "--json"))["change"] == before


def test_the_same_file_again_changes_nothing(study: Path) -> None:
    """The second import of a file says that there is nothing to change and commits nothing."""
    before = json.loads(ok(study, "status", "--json"))["change"]
    words = ("import", "patients.csv", "--as", "Patient", "--key", "mrn_hash", "--link", "site")
    assert ok(study, *words).startswith("Nothing to change.\n3 are as they were.\n")
    told = json.loads(ok(study, *words, "--json"))
    assert told["nothing"] is True
    assert told["change"] is None
    assert json.loads(ok(study, "status", "--json"))["change"] == before


def test_a_write_says_what_changed_and_that_the_reason_is_missing(study: Path) -> None:
    """After a write come one sentence, the number of the change, an id that resolves, and the reason or its absence."""
    said = ok(study, "vocabulary", "add", "Side", "--term", "left", "--term", "right").splitlines()
    assert said[0] == "Added vocabulary Side."
    change, short = said[1].removeprefix("change ").split("  id ")
    assert said[2] == '┄ no reason given (next time: --why "...")'
    assert ok(study, "show", short).startswith("Side, a vocabulary\n")
    assert ok(study, "show", f"c{change}").startswith(f"Change {change}\n")
    with_why = ok(study, "term", "add", "Side", "--term", "both", "-m", "Some lie in the middle").splitlines()
    assert with_why[2] == "“Some lie in the middle”"


def test_json_of_a_write_names_change_ids_and_reason(study: Path) -> None:
    """With --json a write answers with the change, whole ids and the reason, and nothing else on stdout."""
    told = json.loads(ok(study, "vocabulary", "add", "Ward", "--term", "A", "--why", "For later", "--json"))
    assert told["verb"] == "vocabulary add"
    assert told["why"] == "For later"
    assert len(told["ids"][0]) == 13
    assert json.loads(ok(study, "show", told["ids"][0], "--json"))["name"] == "Ward"


def test_show_answers_by_every_way_of_naming(study: Path) -> None:
    """A version is found by name@version, by whole id and by the beginning of its id; an entity by Type:key."""
    whole = json.loads(ok(study, "show", "nodules@1.0.0", "--json"))
    assert whole["kind"] == "version"
    for word in (whole["rid"], whole["id"], whole["id"].lower()):
        assert json.loads(ok(study, "show", word, "--json"))["rid"] == whole["rid"]
    entity = ok(study, "show", "Nodule:n1")
    assert "reader 1  reader 2" in entity
    assert "malignancy         2         3" in entity


def test_unknown_names_are_refused_with_the_nearest(study: Path) -> None:
    """A misspelt name leaves with status 3, three parts on stderr, and the name that was meant."""
    done = run(study, "show", "nodles")
    assert done.returncode == 3
    assert done.stdout == ""
    what, kept, todo = done.stderr.splitlines()
    assert what == "Nothing here is called 'nodles', and no id begins with it."
    assert kept == "Nothing was changed."
    assert todo.startswith("Did you mean nodules or ")


def test_a_name_that_two_things_have_is_refused_with_both(study: Path) -> None:
    """A word that is a feature and a vocabulary is ambiguous; kind:name tells them apart."""
    ok(study, "vocabulary", "add", "grade", "--term", "low")
    ok(study, "feature", "add", "grade", "--type", "Nodule", "--holds", "term", "--vocabulary", "grade")
    done = run(study, "show", "grade")
    assert done.returncode == 2
    assert "'grade' could mean 2 things." in done.stderr
    assert "Write feature:grade or vocabulary:grade, or the id of one." in done.stderr
    assert ok(study, "show", "vocabulary:grade").startswith("grade, a vocabulary\n")


def test_why_says_what_is_recorded_and_what_is_not(study: Path) -> None:
    """`why` quotes the rule and its reason with the change that says so, and calls what nobody said not recorded."""
    told = json.loads(ok(study, "why", "nodules@1.0.0", "--json"))
    answers = {point["question"]: point for point in told["points"]}
    assert answers["How the members were chosen"]["answer"] == "median malignancy is not 3"
    assert answers["Why these and not others"]["answer"] == "Three says nothing"
    assert answers["Why it was released"]["answer"] == "The board asked for it"
    assert answers["Label rule"]["answer"] is None
    assert answers["Why it was released"]["change"] > 0
    shown = ok(study, "why", "nodules@1.0.0")
    assert shown.startswith("Why nodules@1.0.0: 5 of 6 questions answered on record.\n")
    assert "┄ not recorded" in shown


def test_log_shows_reasons_in_the_row_and_counts_the_gaps(study: Path) -> None:
    """The log of a dataset has its changes newest first, with the reason in the row."""
    lines = ok(study, "log", "nodules").splitlines()
    assert lines[0].startswith("2 changes about nodules")
    release = next(line for line in lines if "dataset release" in line)
    assert "“The board asked for it”" in release
    assert "All have a reason." in lines[1]
    assert "have no reason on record" in ok(study, "log").splitlines()[1]


def test_diff_leads_with_what_came_and_left(study: Path) -> None:
    """A difference says in its headline how many members left; the same states are said to be the same."""
    assert ok(study, "diff", "nodules@1.0.0", "nodules@1.0.0").startswith(
        "nodules@1.0.0 and nodules@1.0.0 say the same."
    )
    ok(study, "dataset", "add", "nodules", "--type", "Nodule", "--keys", "@-", stdin="n3\n")
    shown = ok(study, "diff", "nodules@1.0.0", "nodules@dev")
    assert "1 member came." in shown.splitlines()[0]
    assert "n3" in shown
    assert "Three says nothing" in shown
    done = run(study, "diff", "nodules@1.0.0", "Nodule")
    assert done.returncode == 2
    assert "A version and a type cannot be compared." in done.stderr


def test_reads_go_back_to_any_change(study: Path) -> None:
    """With --at a read answers as the study was then, and a change that is not there yet is refused."""
    first = json.loads(ok(study, "status", "--at", "1", "--json"))
    assert first["change"] == 1
    assert first["types"] == []
    assert run(study, "status", "--at", "99999").returncode == 3
    assert run(study, "status", "--at", "soon").returncode == 2


def test_find_finds_by_words_and_says_when_there_is_nothing(study: Path) -> None:
    """A search finds a dataset by its name, and says so when it finds nothing."""
    assert "nodules" in ok(study, "find", "nodule")
    assert ok(study, "find", "zzz").startswith("Nothing found for “zzz”.")


def test_faults_come_all_at_once_and_as_json(study: Path) -> None:
    """A table with several faults is refused with all of them; with --json as one object on stderr."""
    (study / "bad.csv").write_text("nodule,patient,diameter\nn8,p1,1\nn8,p9,2\n")
    words = ("import", "bad.csv", "--as", "Nodule", "--key", "nodule", "--link", "patient")
    done = run(study, *words)
    assert done.returncode == 2
    assert "Nothing was changed." in done.stderr
    told = json.loads(run(study, *words, "--json").stderr)
    assert told["code"] == "invalid-input"
    assert told["faults"]
    assert run(study, *words, "--json").stdout == ""


def test_usage_errors_speak_like_all_others(study: Path) -> None:
    """A missing option, an unknown command and an unreadable pair say what to do, with status 2 and no traceback."""
    missing = run(study, "import", "nodules.csv", "--as", "Nodule")
    assert missing.returncode == 2
    assert missing.stderr.splitlines() == [
        "Missing option '--key'.",
        "Nothing was changed.",
        "`cg import table --help` shows how.",
    ]
    assert run(study, "datset").returncode == 2
    pair = run(study, "import", "nodules.csv", "--as", "Nodule", "--key", "nodule", "--term", "side")
    assert pair.returncode == 2
    assert "'side' is not of the form name=value" in pair.stderr


def test_roles_are_kept(study: Path) -> None:
    """A newcomer is a contributor, who may not release; the error has its own exit status."""
    done = run(study, "dataset", "release", "nodules", "--why", "mine", person="Newcomer")
    assert done.returncode == 5
    assert "`dataset release` needs the role curator; yours is contributor." in done.stderr


def test_outside_a_study_it_says_how_to_make_one(tmp_path: Path) -> None:
    """A command outside any study leaves with status 3 and names the way in."""
    done = run_apart(tmp_path, "status")
    assert done.returncode == 3
    assert "`cg init` makes one here" in done.stderr


def test_the_study_can_be_named(study: Path, tmp_path: Path) -> None:
    """With --study a command works from any folder."""
    assert "Small study" in ok(tmp_path, "status", "--study", str(study))


def test_a_folder_is_made_into_a_study_once(tmp_path: Path) -> None:
    """`cg init` names the study and its owner; a second one in the same folder is refused."""
    said = run_apart(tmp_path, "init", "heart", "--name", "Heart").stdout
    assert said.startswith("Made the study Heart.\n")
    assert "Reader One as its owner" in said
    again = run(tmp_path, "init", "heart")
    assert again.returncode == 2
    assert "There is a study in heart already." in again.stderr


def test_plain_output_is_one_line_a_row(study: Path) -> None:
    """Where nobody looks, nothing is cut, wrapped or coloured: each change is one line."""
    text = ok(study, "log")
    assert "\x1b" not in text
    assert sum("import table" in line for line in text.splitlines()) == 3


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_each_shell(shell: str, tmp_path: Path) -> None:
    """`cg completion` prints a script that asks cg itself, and says where to put it."""
    text = ok(tmp_path, "completion", shell)
    assert "_CG_COMPLETE" in text
    assert text.startswith("# ")


def test_completion_completes_words_of_verbs(tmp_path: Path) -> None:
    """A shell that asks for what may follow `cg dataset rel` is told `release`."""
    asked = {"_CG_COMPLETE": "bash_complete", "COMP_WORDS": "cg dataset rel", "COMP_CWORD": "2"}
    done = run_apart(tmp_path, **asked)
    assert "release" in done.stdout


def test_a_reader_that_goes_away_is_no_error(study: Path) -> None:
    """`cg log | head -1` ends quietly."""
    given = {**os.environ, "CG_PERSON": "Reader One"}
    command = f"set -o pipefail; {CG} log --limit 50 | head -1"
    done = subprocess.run(
        ["bash", "-c", command], cwd=study, env=given, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert done.stderr == ""


def test_a_program_runs_as_an_execution(study: Path) -> None:
    """`cg run -- program` passes the program's options and exit status through, and its question stands in `why`."""
    program = ("--", sys.executable, "-c", "import sys; print('auc', sys.argv[1]); sys.exit(4)", "--scratch")
    words = ("run", "--name", "size", "--why", "Is size enough?", "--param", "trees=3", "--input", "nodules@1.0.0")
    done = run_apart(study, *words, *program)
    assert done.returncode == 4
    assert "auc --scratch" in done.stdout
    answers = {point["question"]: point["answer"] for point in json.loads(ok(study, "why", "size", "--json"))["points"]}
    assert answers["What was asked"] == "Is size enough?"
    assert answers["Parameters"] == "trees 3"
    assert answers["Data it used"] == "nodules@1.0.0"
    down = ok(study, "lineage", "nodules@1.0.0", "--down")
    assert "size" in down
    assert "Came from" not in down


def test_compared_code_is_an_entry_point_and_the_beginning_of_a_digest(tmp_path: Path) -> None:
    """`cg diff` of two runs names the script and eight characters of its tree digest; both are the same."""
    ok(tmp_path, "init", ".")
    (tmp_path / "train.py").write_text("print('trained')\n")
    for name in ("first", "second"):
        assert run_apart(tmp_path, "run", "--name", name, "--", sys.executable, "train.py").returncode == 0
    shown = ok(tmp_path, "diff", "first", "second")
    assert re.search(r"^code +train\.py [0-9a-f]{8} +train\.py [0-9a-f]{8} +same$", shown, re.MULTILINE), shown


def test_agreement_leads_with_the_verdict(study: Path) -> None:
    """Agreement is said in words first, with the figures below."""
    shown = ok(study, "feature", "agreement", "malignancy")
    assert shown.startswith(("Readers ", "Agreement on "))
    assert "Nodule read by two or more" in shown
    assert "EntityColumn(" not in ok(study, "type", "list")


def test_verify_fails_when_a_file_is_gone(tmp_path: Path) -> None:
    """A sound study verifies with status 0; with a file taken away the status is 7 and the fault is named."""
    (tmp_path / "sites.csv").write_text(SITES)
    ok(tmp_path, "init", ".")
    ok(tmp_path, "import", "sites.csv", "--as", "Site", "--key", "site")
    assert ok(tmp_path, "verify", "--full").startswith("The record is sound")
    blobs = [path for path in (tmp_path / ".commonground" / "blobs").rglob("*") if path.is_file()]
    for path in blobs:
        if path.stat().st_size == len(SITES):
            path.unlink()
    done = run(tmp_path, "verify")
    assert done.returncode == 7
    assert "The record is not sound: 1 fault." in done.stdout


def test_a_split_is_made_at_the_command_line(study: Path) -> None:
    """Shares are words there; those that are no numbers are all named, and nothing is made."""
    refused = run(study, "dataset", "split", "nodules", "--shares", "train=much", "--shares", "test=0.2")
    assert refused.returncode == 2
    assert "'much' is not a number" in refused.stderr
    ok(study, "dataset", "split", "nodules", "--shares", "train=0.5", "--shares", "test=0.5", "--group", "none")
    assert "nodules-train" in ok(study, "dataset", "list")


def test_a_change_is_undone_by_the_number_that_the_log_shows(study: Path) -> None:
    """`cg revert` takes c12 as `cg log` prints it, and tells what goes by names that people know."""
    (study / "more.csv").write_text("nodule,patient,diameter\nn9,p1,4.5\n")
    ok(study, "import", "more.csv", "--as", "Nodule", "--key", "nodule", "--link", "patient")
    newest = json.loads(ok(study, "log", "--limit", "1", "--json"))["entries"][0]["change"]
    told = ok(study, "revert", f"c{newest}", "--dry-run")
    assert told.startswith(f"Would undo change {newest}, import table.")
    assert "takes away: Nodule  1" in told
    assert "e_nodule" not in told


@pytest.mark.parametrize("words", [("revert", "9" * 21), ("show", "c" + "9" * 18), ("log", "--limit", "0")])
def test_numbers_out_of_range_are_refused_in_words(study: Path, words: tuple[str, ...]) -> None:
    """A number that no change has, or of which no list can be, gives a clear error at its own status."""
    assert run(study, *words).returncode in {2, 3}
