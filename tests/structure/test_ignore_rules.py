"""What `.gitignore` leaves out, held against git itself."""

import re
import subprocess
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commonground.structure.code_files import Gathering, Limits, walk
from commonground.structure.ignore_rules import is_ignored, read_rules

PIECE = st.sampled_from(
    [
        "a",
        "b",
        "ab",
        "*",
        "**",
        "a*",
        "*.py",
        "*a*b*",
        "*a?*",
        "a*/b",
        "**a",
        "?",
        "[ab]",
        "[!a]",
        "[^b]b",
        "[a-c]",
        r"\*",
        "a.py",
        ".b",
    ]
)
LINE = st.builds(
    lambda back, root, pieces, folder: f"{back}{root}{'/'.join(pieces)}{folder}",
    st.sampled_from(["", "", "", "!"]),
    st.sampled_from(["", "", "/"]),
    st.lists(PIECE, min_size=1, max_size=3),
    st.sampled_from(["", "", "/"]),
)
IGNORING = st.lists(LINE | st.sampled_from(["", "# a", "a ", r"a\ ", r"\#a", r"\!a"]), max_size=5).map("\n".join)
NAMES = st.lists(st.sampled_from(["a", "b", "ab", "a.py", ".b", "c", "a ", "#a", "!a", "*"]), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(top=IGNORING, below=IGNORING, names=st.lists(NAMES, min_size=1, max_size=12))
def test_it_leaves_out_what_git_leaves_out(make_repository, tmp_path_factory, top, below, names):
    """For random patterns at two levels and random names, the files that are left are those that git lists."""
    made = make_repository(str(tmp_path_factory.mktemp("ignoring")))
    for parts in names:
        path = made.root.joinpath(*parts)
        if not any(parent.is_file() for parent in path.parents) and not path.exists():
            made.write({"/".join(parts): "x"})
    made.write({".gitignore": top})
    if (made.root / "a").is_dir():
        made.write({"a/.gitignore": below})
    listed = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard", "-z"], cwd=made.root, check=True, capture_output=True
    ).stdout
    walked = walk(Gathering(made.root, Limits()))
    in_hidden_folders = re.compile(rb"(?:^|/)\.b/")
    expected = [name.decode() for name in listed.split(b"\0") if name and not in_hidden_folders.search(name)]
    assert sorted(walked) == sorted(expected)


@pytest.mark.parametrize(
    ("rule", "path", "folder", "expected"),
    [
        ("*.log", "deep/er/run.log", False, True),
        ("/run.log", "deep/run.log", False, False),
        ("data/", "data", True, True),
        ("data/", "data", False, False),
        ("a/**/z", "a/z", False, True),
        ("a/**/z", "a/b/c/z", False, True),
        ("**/cache", "x/y/cache", True, True),
        ("logs/**", "logs/a/b", False, True),
        ("logs/**", "logs", True, False),
        ("*.py\n!keep.py", "keep.py", False, False),
    ],
)
def test_published_examples(rule, path, folder, expected):
    """The examples of git's own manual hold."""
    assert is_ignored(path, read_rules(rule), folder=folder) is expected


def test_a_rule_holds_for_its_place():
    """The rules of a folder hold below it and nowhere else, whatever signs its name has."""
    rules = read_rules("/x.py", "a.b")
    assert is_ignored("a.b/x.py", rules, folder=False)
    assert not is_ignored("aqb/x.py", rules, folder=False)
    assert not is_ignored("x.py", rules, folder=False)


def test_a_pattern_of_many_stars_takes_no_time():
    """A pattern made to be tried in every way fails at once on a long name."""
    rules = read_rules("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b*a")
    begun = time.process_time()
    assert not is_ignored("a" * 250, rules, folder=False)
    assert time.process_time() - begun < 0.1
