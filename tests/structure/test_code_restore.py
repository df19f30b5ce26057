"""Recorded code laid out again."""

import dataclasses
import json
import os
import stat

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from code_repositories import CODE
from commonground.errors import Conflict, NotReproducible, UnsafePath
from commonground.structure.code_files import KeptFile, Limits
from commonground.structure.code_restore import restore
from commonground.structure.code_state import CodeState, capture, tree_digest
from commonground.structure.patches import read_patches


def content(folder):
    """All files below a folder but those of git: type or mode, and content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.split("/")[0] == ".git" or name.endswith("/.git") or "/.git/" in name:
            continue
        if path.is_symlink():
            found[name] = ("link", os.fsencode(path.readlink()))
        elif path.is_file():
            found[name] = (bool(path.stat().st_mode & stat.S_IXUSR), path.read_bytes())
    return found


def laid_out(state, tmp_path, **how):
    """The content of a new folder in which the state, as read from its record, was laid out."""
    folder = tmp_path / "again"
    state = dataclasses.replace(CodeState.from_json(state.to_json()), place=state.place)
    restore(state, folder, **how)
    return content(folder)


def test_a_clean_commit_is_laid_out(repository, tmp_path):
    """The new folder has the content of the old one, its commit, its remote, and no link to it."""
    repository.git("remote", "add", "origin", "https://host.org/x.git")
    state = capture(repository.root, repository.root / "train.py")
    assert laid_out(state, tmp_path) == content(repository.root)
    again = capture(tmp_path / "again", tmp_path / "again" / "train.py")
    assert again == dataclasses.replace(state, branch=None)


def test_every_kind_of_change_is_laid_out(repository, tmp_path):
    """Edits, new, deleted, renamed, staged, ignored, empty, linked, executable files, odd names come back."""
    repository.commit(
        {
            "gone.py": "x\n", "old name.py": "a\n" * 20, "tool.sh": "echo\n", "becomes_link": "x\n", "no_end.txt": "x",
            "crlf.txt": "a\r\nb\r\n", "emptied.txt": "x\n",
            "filled.txt": "", 'quo"te\t.py': "x = 1\n", "ümläut.py": "x\n",
            "was_mode.py": "x\n", "removed/deep/file.py": "x\n", ".gitignore": "*.tmp\nskip/\n",
        }
    )  # fmt: skip
    (repository.root / "link").symlink_to("README")
    (repository.root / "becomes_file").symlink_to("README")
    repository.commit()
    repository.write(
        {
            "train.py": "import helper\n\nhelper.f(2)\n", "no_end.txt": "y",
            "crlf.txt": "a\r\nc\r\nd", "emptied.txt": "",
            "filled.txt": "now\n", 'quo"te\t.py': "x = 2\n", "ümläut.py": "y\n", "staged/new.py": "s = 1\n",
            "staged/table.csv": "a,b\n", "forced.tmp": "x\n", "new/empty.py": "", "new/run.sh": "echo\n",
            "new name.py": "n = 1\n", "both.py": "index\n", "a.ipynb": json.dumps({"cells": [], "metadata": {}}),
            "skip/forced.ipynb": json.dumps({"cells": []}),
        }
    )  # fmt: skip
    for name in ("gone.py", "link", "becomes_file", "becomes_link", "removed/deep/file.py"):
        (repository.root / name).unlink()
    (repository.root / "link").symlink_to("train.py")
    (repository.root / "new" / "link").symlink_to("../README")
    (repository.root / "becomes_link").symlink_to("README")
    (repository.root / "becomes_file").write_text("now a file\n")
    for name in ("tool.sh", "new/run.sh", "was_mode.py"):
        (repository.root / name).chmod(0o755)
    repository.git("mv", "old name.py", "moved name.py")
    repository.git("add", "--force", "staged", "forced.tmp", "skip", "both.py", "emptied.txt")
    repository.write({"both.py": "working tree\n", "staged/table.csv": "a,b,c\n"})
    state = capture(repository.root, repository.root / "train.py")
    assert (state.not_kept, state.notes) == ((), ())
    assert laid_out(state, tmp_path) == content(repository.root)
    assert capture(tmp_path / "again").tree == state.tree


LINES = st.sampled_from(
    ["", "a", "b", " a", "+a", "-a", "\\ No newline at end of file", "@@ -1 +1 @@", "diff --git a/x b/x", "--- a/x",
     "+++ b/x", "é", "\r", "\x0c", "\u2028", "a\r", "index 1..2", "Binary files a/x and b/x differ"]
)  # fmt: skip
TEXTS = st.builds(lambda lines, end: "\n".join(lines) + end, st.lists(LINES, max_size=12), st.sampled_from(["", "\n"]))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.lists(st.tuples(TEXTS | st.none(), TEXTS | st.none()), min_size=10, max_size=25))
def test_any_text_change_is_laid_out(make_repository, tmp_path_factory, pairs):
    """Whatever lines files had and have, lines that look like parts of a diff included, they come back exactly."""
    folder = tmp_path_factory.mktemp("any")
    made = make_repository(str(folder / "study"))
    made.commit({f"{n}.py": old for n, (old, _) in enumerate(pairs) if old is not None} | {"x": "x\n"})
    for n, (_, new) in enumerate(pairs):
        (made.root / f"{n}.py").unlink(missing_ok=True)
        if new is not None:
            made.write({f"{n}.py": new})
    state = capture(made.root)
    assert laid_out(state, folder) == content(made.root)


def test_a_snapshot_is_laid_out(tmp_path):
    """Code from outside a repository is laid out file by file."""
    folder = tmp_path / "study"
    for name, text in CODE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "link").symlink_to("README")
    assert laid_out(capture(folder), tmp_path) == content(folder)


def test_a_secret_that_was_taken_away_does_not_hinder(repository, tmp_path):
    """A secret in a removed or a neighbouring line is not in the record, and the code can still be laid out."""
    repository.commit({"connect.py": "a = 1\npassword = 'hunter2'\nb = 1\nc = 1\npwd = 'canary99'\n"})
    repository.write({"connect.py": "a = 1\nb = 2\nc = 1\npwd = 'canary99'\n"})
    state = capture(repository.root)
    assert "hunter2" not in state.to_json()
    assert "canary99" not in state.to_json()
    assert len(state.diff_removed) == 2
    assert laid_out(state, tmp_path) == content(repository.root)


def test_what_was_removed_or_not_kept_is_named(repository, tmp_path):
    """An added secret, a changed binary, an untracked binary: each is named, and no folder is made."""
    repository.commit({"weights.bin": b"\0"})
    repository.write(
        {
            "train.py": "password = 'hunter2'\n",
            "new.py": "pwd = 'canary99'\n",
            "weights.bin": b"\0\1",
            "data.bin": b"\0",
        }
    )
    with pytest.raises(NotReproducible) as told:
        restore(capture(repository.root), tmp_path / "again")
    assert [fault.split(":")[0] for fault in told.value.faults] == ["train.py", "new.py", "weights.bin", "data.bin"]
    with pytest.raises(NotReproducible) as told:
        restore(capture(repository.root), tmp_path / "again", tolerate_untracked=True)
    assert [fault.split(":")[0] for fault in told.value.faults] == ["train.py", "new.py", "weights.bin"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["study"]


def test_untracked_data_can_be_passed_over(repository, tmp_path):
    """Data beside the code hinders unless the caller says that it does not matter."""
    repository.write({"data/volume.raw": b"\0" * 10, "new.py": "x = 1\n"})
    state = capture(repository.root)
    with pytest.raises(NotReproducible, match=r"data/volume\.raw: not text"):
        restore(state, tmp_path / "again")
    assert sorted(laid_out(state, tmp_path, tolerate_untracked=True)) == [
        "README",
        "new.py",
        "pkg/helper.py",
        "train.py",
    ]


def test_a_full_folder_is_not_touched(repository, tmp_path):
    """A destination with anything in it is refused and stays as it is; an empty one is used."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    state = capture(repository.root)
    with pytest.raises(Conflict):
        restore(state, tmp_path / "full")
    assert content(tmp_path / "full") == {"mine.txt": (False, b"mine")}
    (tmp_path / "again").mkdir()
    assert laid_out(state, tmp_path) == content(repository.root)


def test_a_commit_that_is_nowhere_is_named(repository, tmp_path):
    """Without a repository that has the commit it is said which commit is missing, and nothing is left."""
    state = capture(repository.root)
    with pytest.raises(NotReproducible, match="not known where"):
        restore(dataclasses.replace(state, place=None), tmp_path / "again")
    with pytest.raises(NotReproducible, match="0123456789"):
        restore(dataclasses.replace(state, commit="0123456789" * 4), tmp_path / "again")
    with pytest.raises(NotReproducible, match="cannot be laid out"):
        restore(state, tmp_path / "again", source=tmp_path / "nowhere")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["study"]


def test_another_copy_of_the_repository_will_do(repository, tmp_path):
    """A state read from the record is laid out from any local repository that has the commit."""
    repository.write({"train.py": "x = 2\n"})
    state = CodeState.from_json(capture(repository.root).to_json())
    repository.git("clone", "-q", "--bare", ".", str(tmp_path / "copy"))
    restore(state, tmp_path / "again", source=tmp_path / "copy")
    assert content(tmp_path / "again") == content(repository.root)


def test_an_altered_record_is_noticed(repository, tmp_path):
    """If differences or kept files were altered the tree digest tells, and no folder is left."""
    repository.write({"train.py": "x = 2\n", "new.py": "y = 2\n"})
    state = capture(repository.root)
    altered = [
        dataclasses.replace(state, diff=state.diff.replace("+x = 2", "+x = 3")),
        dataclasses.replace(state, kept=(dataclasses.replace(state.kept[0], text="y = 3\n"),)),
        dataclasses.replace(state, kept=()),
    ]
    for one in altered:
        with pytest.raises(NotReproducible, match="digest differs"):
            restore(one, tmp_path / "again")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["study"]


def hostile(*files):
    """A record that someone else wrote, with the digest that its files would have."""
    tree = {file.path: (file.mode, file.blob_id("sha1")) for file in files}
    return CodeState(
        repository=None, commit=None, branch=None, dirty=False, tree=tree_digest(tree), entry=None, diff="",
        diff_removed=(), kept=files, not_kept=(), not_kept_count=0, counted_all=True, notes=(),
    )  # fmt: skip


@pytest.mark.parametrize(
    "files",
    [
        [KeptFile("../canary", "100644", "x")],
        [KeptFile("/canary-of-a-test", "100644", "x")],
        [KeptFile("a/../../canary", "100644", "x")],
        [KeptFile(".git/hooks/post-checkout", "100755", "x")],
        [KeptFile("a/.GIT/config", "100644", "x")],
        [KeptFile("a", "120000", ".."), KeptFile("a/canary", "100644", "x")],
        [KeptFile("a", "120000", ".."), KeptFile("a/canary", "120000", "x")],
        [KeptFile("nul\0", "100644", "x")],
    ],
)
def test_a_hostile_record_writes_nothing_outside(tmp_path, files):
    """Paths that lead outside, into git's own files, or through a link are refused, and nothing is left."""
    with pytest.raises(UnsafePath):
        restore(hostile(*files), tmp_path / "again")
    assert list(tmp_path.iterdir()) == []


def test_a_hostile_difference_writes_nothing_outside(repository, tmp_path):
    """A patch for a path outside or behind a link of the commit is refused."""
    (repository.root / "way").symlink_to("..")
    repository.commit()
    state = capture(repository.root)
    for path in ("../canary", "way/canary", ".git/config"):
        diff = f"diff --git a/{path} b/{path}\nnew file mode 100644\nindex {'0' * 40}..{'1' * 40}\n@@ -0,0 +1 @@\n+x\n"
        with pytest.raises(UnsafePath):
            restore(dataclasses.replace(state, diff=diff, dirty=True), tmp_path / "again")
    link = KeptFile("way/canary", "120000", "README")
    with pytest.raises(UnsafePath):
        restore(dataclasses.replace(state, kept=(link,)), tmp_path / "again")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["study"]


def test_submodules_are_laid_out_at_their_commit(repository, make_repository, tmp_path):
    """A submodule comes from the one in the source, at the commit it was at, also if it was moved."""
    library = make_repository("library")
    library.commit({"lib.py": "a = 1\n"})
    repository.git("submodule", "--quiet", "add", str(library.root), "lib")
    repository.commit()
    library.commit({"lib.py": "a = 2\n"})
    make_repository("study/lib").git("pull", "-q", "origin", "main")
    state = capture(repository.root)
    assert state.dirty
    assert laid_out(state, tmp_path) == content(repository.root)


def test_code_under_wider_limits_is_laid_out(repository, tmp_path):
    """Files beyond the usual limits that were kept on purpose come back too."""
    repository.write({"large.txt": "x" * 1_200_000, "train.py": "y = 1\n" * 200_000})
    state = capture(repository.root, limits=Limits(file=2_000_000))
    assert laid_out(state, tmp_path) == content(repository.root)


def test_a_patch_that_does_not_fit_is_noticed():
    """A patch applied to a shorter file than it was made from raises instead of guessing."""
    diff = b"diff --git a/x b/x\nindex 1..2 100644\n--- a/x\n+++ b/x\n@@ -9,1 +9,1 @@\n-a\n+b\n"
    (patch,) = read_patches(diff)
    with pytest.raises(Exception, match="do not fit"):
        patch.apply(b"a\n")
