"""The code of a run as it was."""

import json
import os
import resource
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from code_repositories import CODE
from commonground.errors import Corrupt, NotFound
from commonground.structure.code_files import Limits
from commonground.structure.code_restore import find_missing
from commonground.structure.code_state import (
    CodeState,
    capture,
    fingerprint,
    is_current,
    tree_digest,
    without_credentials,
)

CANARY = "hunter2hunter"


def reasons(state):
    """Why each file was not kept."""
    return {one.path: one.reason for one in state.not_kept}


def texts(state):
    """What is kept whole."""
    return {file.path: file.text for file in state.kept}


def test_a_clean_tree_is_its_commit(repository):
    """Commit and branch are those of git, nothing differs, and the digest is over the files that the commit lists."""
    state = capture(repository.root, repository.root / "train.py")
    listed = {}
    for line in repository.git("ls-tree", "-r", "HEAD").splitlines():
        about, path = line.split("\t")
        listed[path] = (about.split()[0], about.split()[2])
    assert state.commit == repository.git("rev-parse", "HEAD")
    assert (state.branch, state.repository, state.dirty, state.committed) == ("main", None, False, True)
    assert (state.diff, state.kept, state.not_kept, state.notes) == ("", (), (), ())
    assert state.tree == tree_digest(listed)
    assert (state.entry.path, state.entry.inside) == ("train.py", True)


def test_the_whole_tree_counts_from_any_folder_of_it(repository):
    """Captured from a folder below, the state is that of the whole repository."""
    assert capture(repository.root / "pkg") == capture(repository.root)


def test_a_changed_module_is_noticed(repository):
    """A change of a module that the script imports changes the tree digest; committing it does not change it again."""
    clean = capture(repository.root, repository.root / "train.py")
    repository.write({"pkg/helper.py": "def f():\n    return 2\n"})
    dirty = capture(repository.root, repository.root / "train.py")
    assert (dirty.dirty, dirty.committed, dirty.commit) == (True, False, clean.commit)
    assert dirty.tree != clean.tree
    assert dirty.entry == clean.entry
    assert "-    return 1\n+    return 2\n" in dirty.diff
    repository.git("add", "-A")
    assert capture(repository.root).tree == dirty.tree
    assert capture(repository.root).diff == dirty.diff
    repository.commit()
    assert capture(repository.root).tree == dirty.tree


def test_an_untracked_module_is_noticed(repository):
    """An untracked text file is kept and is part of the tree, as it is after it is committed."""
    clean = capture(repository.root)
    repository.write({"pkg/extra.py": "y = 2\n"})
    state = capture(repository.root)
    assert texts(state) == {"pkg/extra.py": "y = 2\n"}
    assert (state.dirty, state.committed) == (False, False)
    assert state.tree != clean.tree
    repository.commit()
    assert capture(repository.root).tree == state.tree


def test_a_deletion_and_a_rename_are_noticed(repository):
    """A deleted file leaves the tree and stands in the differences; a renamed one is a deletion and a new file."""
    clean = capture(repository.root)
    (repository.root / "README").unlink()
    deleted = capture(repository.root)
    assert "deleted file mode 100644" in deleted.diff
    assert deleted.tree != clean.tree
    repository.git("checkout", "-q", "README")
    repository.git("mv", "pkg/helper.py", "pkg/helped.py")
    renamed = capture(repository.root)
    assert renamed.tree not in {clean.tree, deleted.tree}
    assert "+++ b/pkg/helped.py" in renamed.diff
    assert "rename from" not in renamed.diff


def test_ignored_files_are_left_out_but_not_the_script_that_runs(repository):
    """What `.gitignore` names is neither kept nor counted; the file that was started is kept even so."""
    repository.commit({".gitignore": "scratch/\n*.tmp\n"})
    repository.write({"scratch/try.py": "z = 1\n", "scratch/other.py": "q = 1\n", "a.tmp": "x", "b.py": "b = 1\n"})
    state = capture(repository.root, repository.root / "scratch" / "try.py")
    assert texts(state) == {"b.py": "b = 1\n", "scratch/try.py": "z = 1\n"}
    assert state.not_kept_count == 0
    assert state.entry.path == "scratch/try.py"


def test_a_touched_file_is_not_a_change(repository):
    """A file that was written again with the same content is not dirty."""
    clean = capture(repository.root)
    os.utime(repository.root / "train.py", (1, 1))
    assert capture(repository.root) == clean


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://anna:hunter2@host.org/x.git", "https://host.org/x.git"),
        ("https://x9Qw8Er7Ty6Ui5@host.org/x.git?token=abc", "https://host.org/x.git"),
        ("ssh://git@host.org/x.git", "ssh://git@host.org/x.git"),
        ("ssh://git:hunter2@host.org:22/x.git", "ssh://git@host.org:22/x.git"),
        ("git@host.org:team/x.git", "git@host.org:team/x.git"),
        ("../bare.git", "../bare.git"),
    ],
)
def test_the_address_of_the_repository_holds_no_password(repository, address, expected):
    """User names and passwords are taken out of the remote's address; what ssh needs stays."""
    repository.git("remote", "add", "origin", address)
    assert capture(repository.root).repository == expected
    assert without_credentials(address) == expected


def test_the_remote_that_the_branch_follows_counts(repository):
    """Of several remotes the one of the branch is recorded, else origin, else none."""
    repository.git("remote", "add", "one", "https://host.org/one.git")
    assert capture(repository.root).repository == "https://host.org/one.git"
    repository.git("remote", "add", "two", "https://host.org/two.git")
    assert capture(repository.root).repository is None
    repository.git("remote", "add", "origin", "https://host.org/origin.git")
    assert capture(repository.root).repository == "https://host.org/origin.git"
    repository.git("config", "branch.main.remote", "two")
    assert capture(repository.root).repository == "https://host.org/two.git"


def test_an_added_secret_is_nowhere(repository):
    """A password in a changed line is not in the record, nor is a digest from which it could be guessed."""
    repository.write({"train.py": CODE["train.py"] + f'password = "{CANARY}1"\n'})
    first = capture(repository.root, repository.root / "train.py")
    repository.write({"train.py": CODE["train.py"] + f'password = "{CANARY}2"\n'})
    second = capture(repository.root, repository.root / "train.py")
    assert CANARY not in first.to_json()
    assert first == second
    assert [(path, removal.kind) for path, removal in first.diff_removed] == [("train.py", "secret")]
    assert find_missing(first)[0].startswith("train.py: line ")
    repository.write({"train.py": CODE["train.py"] + f'password = "{CANARY}2"\nx = 1\n'})
    assert capture(repository.root).tree != first.tree


def test_a_secret_in_an_untracked_file_is_nowhere(repository):
    """A password in an untracked file is screened, and the digests are those of what is left."""
    repository.write({"new.py": f'password = "{CANARY}1"\n'})
    first = capture(repository.root, repository.root / "new.py")
    repository.write({"new.py": f'password = "{CANARY}2"\n'})
    second = capture(repository.root, repository.root / "new.py")
    assert CANARY not in first.to_json()
    assert first == second
    assert texts(first) == {"new.py": 'password = "[removed: secret]"\n'}
    assert find_missing(first) == ["new.py: line 1 held a secret, which was removed"]


def test_what_is_not_text_or_too_large_is_named(repository):
    """Large, binary, secret-like, tabular and odd files are named with size and reason; their content is not read."""
    repository.write(
        {
            "large.txt": "x" * 1_048_577, "model.bin": b"a\0b", "latin.py": "x = 'é'".encode("latin-1"),
            ".env": "A=canary", "id_rsa": "canary", "patients.csv": "canary", "run.log": "canary",
            "late_nul.txt": b"x" * 9000 + b"\0", "notes DOE^JOHN.txt": "canary",
        }
    )  # fmt: skip
    (repository.root / "out").symlink_to("/etc/hostname")
    (repository.root / "up").symlink_to("../../elsewhere")
    (repository.root / "in").symlink_to("pkg/helper.py")
    state = capture(repository.root)
    assert {name: reason.split(":")[0] for name, reason in reasons(state).items()} == {
        "large.txt": "larger than 1048576 bytes", "model.bin": "not text", "latin.py": "not text",
        "late_nul.txt": "not text", ".env": "its name says that it holds secrets",
        "id_rsa": "its name says that it holds secrets", "out": "a link that leads outside",
        "up": "a link that leads outside", "patients.csv": "a table, log or image", "run.log": "a table, log or image",
        "notes [removed: person name].txt": "its name holds an identifier",
    }  # fmt: skip
    assert texts(state) == {"in": "pkg/helper.py"}
    assert (state.not_kept_count, state.counted_all) == (11, True)
    assert next(one.size for one in state.not_kept if one.path == "large.txt") == 1_048_577
    assert "canary" not in state.to_json()
    assert "JOHN" not in state.to_json()


def test_changed_tracked_files_that_cannot_be_kept_are_named(repository):
    """A changed binary or large tracked file changes the digest and is named as a missing part of the code."""
    repository.commit({"weights.bin": b"\0" * 100, "large.txt": "x" * 1_100_000, "huge.txt": "y" * 21_000_000})
    clean = capture(repository.root)
    assert clean.committed
    for name, content, reason in [
        ("weights.bin", b"\0" * 99 + b"1", "not text"),
        ("large.txt", "z" * 1_100_000, "not text"),
        ("huge.txt", "y" * 20_999_999 + "z", "larger than 20971520 bytes"),
    ]:
        repository.write({name: content})
        state = capture(repository.root)
        assert reasons(state) == {name: reason}
        assert state.not_kept[0].tracked
        assert state.dirty
        assert state.tree != clean.tree
        assert find_missing(state, tolerate_untracked=True) == [f"{name}: {reason}"]
        repository.git("checkout", "-q", name)
    (repository.root / "weights.bin").unlink()
    state = capture(repository.root)
    assert (state.not_kept, state.dirty) == ((), True)
    assert find_missing(state) == []


def test_the_limits_hold_and_are_stated(repository):
    """Beyond the number and the sum of bytes files are named, beyond the number of names only counted; code first."""
    repository.write({f"a{n}.txt": "x" * 100 for n in range(30)} | {"z.py": "y" * 100})
    state = capture(repository.root, limits=Limits(total=1000, names=5))
    assert sorted(texts(state)) == ["a0.txt", "a1.txt", *(f"a{n}.txt" for n in range(10, 17)), "z.py"]
    assert (len(state.not_kept), state.not_kept_count, state.counted_all) == (5, 21, True)
    assert find_missing(state)[-1] == "16 more files that are not named"
    few = capture(repository.root, limits=Limits(files=3, looked_at=10))
    assert (len(few.kept), few.not_kept_count) == (3, 28)


@pytest.mark.parametrize("names", [25_000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_a_folder_full_of_large_files_is_left_at_once(repository, names):
    """With thousands of names and 50 GB beside the code a capture takes under two processor seconds and says so."""
    data = repository.root / "data"
    (data / "deep").mkdir(parents=True)
    for n in range(50):
        with (data / f"volume{n}.raw").open("wb") as file:
            file.truncate(1_000_000_000)
    for n in range(names):
        os.mknod(f"{data}/deep/slice{n}.dcm")
    repository.write({"zz/late.py": "late = 1\n"})
    begun = processor_time()
    state = capture(repository.root, repository.root / "train.py")
    took = processor_time() - begun
    shutil.rmtree(data)
    assert took < 2
    assert texts(state) == {"zz/late.py": "late = 1\n"}
    assert state.not_kept_count == names + 50
    assert len(state.not_kept) == Limits().names
    assert state.counted_all


def test_counting_is_given_up(repository):
    """Of a folder with more names than are counted it is said that it was given up; other folders are still kept."""
    repository.write({f"many/{n}.txt": "x" for n in range(300)} | {"other/code.py": "x = 1\n"})
    state = capture(repository.root, limits=Limits(looked_at=20, names=1000))
    assert not state.counted_all
    assert reasons(state)["many/"] == "not counted to the end: too many names"
    assert "other/code.py" in texts(state)
    assert find_missing(state)[-1].startswith("at least ")


@pytest.mark.parametrize("git_is_there", [True, False])
def test_outside_a_repository_the_folder_is_the_code(tmp_path, monkeypatch, git_is_there):
    """Without a repository, with or without git, the text files are the snapshot; `.gitignore` is honoured."""
    if not git_is_there:
        monkeypatch.setenv("PATH", str(tmp_path))
    folder = tmp_path / "study"
    for name, text in {
        **CODE, ".gitignore": "/ignored/\n*.tmp\n", "ignored/x.py": "x", "pkg/a.tmp": "x", ".venv/lib.py": "x",
        "__pycache__/x.py": "x", ".commonground/study.txt": "x", "pkg/.gitignore": "!a.tmp\n",
    }.items():  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    state = capture(folder, folder / "train.py")
    assert sorted(texts(state)) == [".gitignore", "README", "pkg/.gitignore", "pkg/a.tmp", "pkg/helper.py", "train.py"]
    assert (state.commit, state.branch, state.repository, state.dirty) == (None, None, None, False)
    assert state.notes == ("no repository",)
    assert state.entry.path == "train.py"
    (folder / "pkg" / "helper.py").write_text("changed\n")
    assert capture(folder).tree != state.tree


def test_a_home_is_not_swept_up(tmp_path, monkeypatch):
    """In a home folder only the folder of the script is kept, or the script itself if it lies in the home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("letter.txt", "train.py", "work/train.py", "work/helper.py", "work/.ssh/config", "work/.bash_history"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    below = capture(tmp_path, tmp_path / "work" / "train.py")
    assert sorted(texts(below)) == ["helper.py", "train.py"]
    assert reasons(below) == {".ssh/": "a hidden folder", ".bash_history": "its name says that it holds secrets"}
    assert sorted(texts(capture(tmp_path, tmp_path / "train.py"))) == ["train.py"]
    assert texts(capture(tmp_path)) == texts(capture(tmp_path.parent)) == {}
    assert capture(tmp_path).notes[1].startswith("the folder holds more than code")


def test_a_repository_without_git_is_a_snapshot(repository, tmp_path, monkeypatch):
    """Where git is not installed the files of a repository are the snapshot, and it is said why."""
    with_git = capture(repository.root)
    monkeypatch.setenv("PATH", str(tmp_path))
    state = capture(repository.root)
    assert state.notes == ("the repository could not be read: git is not installed",)
    assert texts(state) == CODE
    assert state.tree == with_git.tree


def test_a_broken_repository_is_a_snapshot(repository):
    """Where git fails the files are the snapshot, and it is said why."""
    (repository.root / ".git" / "HEAD").write_text("nonsense")
    state = capture(repository.root)
    assert state.notes[0].startswith("the repository could not be read: git ")
    assert texts(state) == CODE


def test_before_the_first_commit_all_files_are_kept(make_repository):
    """In a repository without a commit staged and untracked files are kept whole, ignored ones are not."""
    made = make_repository("study")
    made.write({**CODE, ".gitignore": "no.py\n", "no.py": "x"})
    made.git("add", "train.py")
    state = capture(made.root)
    assert (state.commit, state.branch) == (None, "main")
    assert texts(state) == {**CODE, ".gitignore": "no.py\n"}
    made.commit()
    assert capture(made.root).tree == state.tree


def test_a_detached_head_has_no_branch(repository):
    """On a commit without a branch the branch is None."""
    repository.git("checkout", "-q", "--detach")
    state = capture(repository.root)
    assert (state.branch, state.commit) == (None, repository.git("rev-parse", "HEAD"))


def test_a_linked_working_tree_is_captured(repository, tmp_path):
    """A second working tree of a repository has its own commit, differences and fingerprint."""
    repository.git("worktree", "add", "-q", "-b", "other", str(tmp_path / "other"))
    (tmp_path / "other" / "README").write_text("changed\n")
    state = capture(tmp_path / "other")
    assert (state.branch, state.dirty) == ("other", True)
    assert not capture(repository.root).dirty
    settle(tmp_path / "other", repository.root)
    assert is_current(capture(tmp_path / "other"))


def test_a_nested_repository_is_named(repository, make_repository):
    """Another repository below is not looked into, at the top or deep in an untracked folder."""
    for place in ("nested", "deep/er/nested"):
        make_repository(f"study/{place}").commit({"x.py": "x = 1\n"})
    repository.write({"deep/er/y.py": "y = 1\n"})
    state = capture(repository.root)
    assert reasons(state) == {"nested/": "another repository", "deep/er/nested/": "another repository"}
    assert texts(state) == {"deep/er/y.py": "y = 1\n"}


def test_a_submodule_counts_by_its_commit(repository, make_repository):
    """A moved submodule is a difference; one with changed files is named as a missing part; a clean one is neither."""
    library = make_repository("library")
    library.commit({"lib.py": "a = 1\n"})
    repository.git("submodule", "--quiet", "add", str(library.root), "lib")
    repository.commit()
    clean = capture(repository.root)
    assert clean.committed
    library.commit({"lib.py": "a = 2\n"})
    inside = make_repository("study/lib")
    inside.git("pull", "-q", "origin", "main")
    moved = capture(repository.root)
    assert "+Subproject commit " + library.git("rev-parse", "HEAD") in moved.diff
    assert (moved.dirty, find_missing(moved)) == (True, [])
    assert moved.tree != clean.tree
    inside.write({"lib.py": "a = 3\n"})
    changed = capture(repository.root)
    assert reasons(changed) == {"lib": "a submodule with changes that are not committed"}
    assert changed.tree != moved.tree


def test_names_that_are_not_utf8_are_tolerated(repository):
    """Files with odd names are part of the digest; changed or untracked they are named with escapes."""
    odd = os.fsencode(repository.root) + b"/n\xff.py"
    Path(os.fsdecode(odd)).write_text("x = 1\n")
    untracked = capture(repository.root)
    assert reasons(untracked) == {r"n\xff.py": "its name is not UTF-8"}
    repository.commit()
    clean = capture(repository.root)
    assert clean.committed
    Path(os.fsdecode(odd)).write_text("x = 2\n")
    changed = capture(repository.root)
    assert changed.tree != clean.tree
    assert [(one.path, one.tracked) for one in changed.not_kept] == [(r"n\xff.py", True)]
    assert CodeState.from_json(changed.to_json()) == changed


def test_a_change_in_a_file_that_is_not_utf8_is_named(repository):
    """The differences of a file in another encoding are not kept, and it is named."""
    repository.commit({"latin.py": "x = 'é'\n".encode("latin-1")})
    repository.write({"latin.py": "x = 'è'\n".encode("latin-1")})
    state = capture(repository.root)
    assert (reasons(state), state.diff) == ({"latin.py": "not text"}, "")


def notebook(*outputs, source="x = 1"):
    """A notebook of one cell."""
    cell = {
        "cell_type": "code", "source": [source], "metadata": {}, "execution_count": len(outputs) or None,
        "outputs": [{"output_type": "stream", "name": "stdout", "text": [text]} for text in outputs],
    }  # fmt: skip
    return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1) + "\n"


def test_outputs_of_notebooks_are_dropped(repository):
    """Outputs of notebooks are never kept; running a notebook again is no change of code, editing a cell is."""
    repository.commit({"a.ipynb": notebook("old canary")})
    clean = capture(repository.root)
    repository.write({"a.ipynb": notebook("new canary"), "b.ipynb": notebook("third canary" * 200_000)})
    state = capture(repository.root)
    assert "canary" not in state.to_json()
    assert not state.dirty
    assert [(file.path, file.outputs_dropped) for file in state.kept] == [("b.ipynb", True)]
    (repository.root / "b.ipynb").unlink()
    assert capture(repository.root).tree == clean.tree
    repository.write({"a.ipynb": notebook("canary", source="x = 2")})
    state = capture(repository.root, repository.root / "a.ipynb")
    assert (state.dirty, state.diff, "canary" in state.to_json()) == (True, "", False)
    assert json.loads(texts(state)["a.ipynb"])["cells"][0]["source"] == ["x = 2"]


def test_files_in_conflict_are_kept_whole(repository):
    """After a merge that failed the file with its marks is kept as it is."""
    repository.git("checkout", "-q", "-b", "side")
    repository.commit({"README": "side\n"})
    repository.git("checkout", "-q", "main")
    repository.commit({"README": "main\n"})
    with pytest.raises(subprocess.CalledProcessError):
        repository.git("merge", "-q", "side", stderr=subprocess.DEVNULL)
    state = capture(repository.root)
    assert state.dirty
    assert "<<<<<<< HEAD" in texts(state)["README"]


def test_nothing_foreign_is_run_and_nothing_is_written(repository, tmp_path, monkeypatch):
    """Hooks, monitors, pagers, external diffs and filters of text are not started; the index is not written."""
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\ntouch {tmp_path}/was-run\ncat "$1"\n')
    program.chmod(0o755)
    for setting in ("core.fsmonitor", "core.pager", "diff.external", "diff.canary.textconv", "diff.canary.command"):
        repository.git("config", setting, str(program))
    repository.commit({".gitattributes": "*.py diff=canary\n"})
    for hook in ("post-index-change", "post-checkout", "pre-commit"):
        shutil.copy(program, repository.root / ".git" / "hooks" / hook)
    (tmp_path / "was-run").unlink(missing_ok=True)
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", str(program))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    repository.write({"train.py": "changed = 1\n"})
    os.utime(repository.root / "README", (1, 1))
    before = sorted((str(path), path.lstat().st_mtime_ns) for path in (repository.root / ".git").rglob("*"))
    state = capture(repository.root)
    assert "+changed = 1" in state.diff
    assert sorted((str(path), path.lstat().st_mtime_ns) for path in (repository.root / ".git").rglob("*")) == before
    assert not (tmp_path / "was-run").exists()


def test_settings_of_the_user_do_not_change_the_differences(repository):
    """Colours, prefixes, renames and contexts that a user has set for diffs are not in the record."""
    repository.write({"train.py": "changed = 1\n"})
    plain = capture(repository.root)
    for setting, value in {
        "color.ui": "always", "diff.noprefix": "true", "diff.mnemonicPrefix": "true", "diff.context": "0",
        "diff.algorithm": "histogram", "core.quotePath": "true", "status.showUntrackedFiles": "all",
        "diff.ignoreSubmodules": "all", "status.branch": "true", "diff.relative": "true",
    }.items():  # fmt: skip
        repository.git("config", setting, value)
    assert capture(repository.root / "pkg") == plain


def settle(*folders):
    """Make all that lies in the folders a second old, as far as a fingerprint can see."""
    time.sleep(0.15)
    assert all(folder.exists() for folder in folders)


CHANGES = {
    "an edit": lambda made: made.write({"train.py": "x = 1\n"}),
    "an edit of the same length at the same time": lambda made: (
        made.write({"README": "y\n"}),
        os.utime(made.root / "README", ns=(made.stamp, made.stamp)),
    ),
    "a new file": lambda made: made.write({"pkg/new.py": "x = 1\n"}),
    "a file in a new folder": lambda made: made.write({"a/b/new.py": "x = 1\n"}),
    "a new file in an untracked folder": lambda made: made.write({"notes/b.txt": "x\n"}),
    "a new file in a folder of ignored files": lambda made: made.write({"logs/new.py": "x\n"}),
    "a new file in an empty folder": lambda made: made.write({"notes/empty/new.py": "x\n"}),
    "an edit of an untracked file": lambda made: made.write({"notes/a.txt": "y\n"}),
    "a deletion": lambda made: (made.root / "README").unlink(),
    "a commit": lambda made: made.git("commit", "-q", "--allow-empty", "-m", "y"),
    "a reset": lambda made: made.git("reset", "-q", "--soft", "HEAD~1"),
    "another branch": lambda made: made.git("checkout", "-q", "-b", "other"),
    "a staged file": lambda made: made.git("add", "notes/a.txt"),
    "an ignored name": lambda made: made.write({".git/info/exclude": "notes\n"}),
    "a mode": lambda made: (made.root / "train.py").chmod(0o755),
    "a remote": lambda made: made.git("remote", "add", "origin", "https://host.org/x.git"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_state_is_current_until_something_changes(repository, change, monkeypatch):
    """Unchanged, a state is current without any process being started; after any change of the code it is not."""
    repository.commit({"second": "x", ".gitignore": "*.bak\n"})
    repository.write({"notes/a.txt": "x\n", "logs/a.bak": "x\n"})
    (repository.root / "notes" / "empty").mkdir()
    repository.stamp = (repository.root / "README").stat().st_mtime_ns
    settle(repository.root)
    state = capture(repository.root)
    settle(repository.root)
    with monkeypatch.context() as without_git:
        without_git.setenv("PATH", "")
        assert is_current(state)
    CHANGES[change](repository)
    settle(repository.root)
    assert not is_current(state)
    assert is_current(capture(repository.root))


def test_a_state_of_a_snapshot_is_current_until_something_changes(tmp_path):
    """Outside a repository too a new or changed file is seen."""
    (tmp_path / "a.py").write_text("x = 1\n")
    settle(tmp_path)
    state = capture(tmp_path)
    assert is_current(state)
    (tmp_path / "b.py").write_text("x = 1\n")
    assert not is_current(state)


def test_a_state_is_not_trusted_while_files_are_being_written(repository):
    """A file written a moment before the capture might change again unseen, so the state is not current."""
    settle(repository.root)
    repository.write({"train.py": "x = 1\n"})
    state = capture(repository.root)
    settle(repository.root)
    assert not is_current(state)
    assert is_current(capture(repository.root))


def test_a_file_that_changes_during_the_capture_is_seen_later(repository):
    """A change after the capture began leaves a fingerprint that no later one equals."""
    watched = ("README", "train.py")
    settle(repository.root)
    begun = time.time_ns()
    repository.write({"README": "new\n"})
    settle(repository.root)
    root = str(repository.root)
    assert fingerprint(root, watched, begun) != fingerprint(root, watched, begun)
    assert fingerprint(root, watched) == fingerprint(root, watched)


def test_a_state_without_its_place_is_never_current(repository):
    """A state read from the record cannot say that the files are still so."""
    settle(repository.root)
    assert not is_current(CodeState.from_json(capture(repository.root).to_json()))


def processor_time():
    """Seconds of processor time of this process and its children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def test_json_gives_the_state_back(repository):
    """The canonical JSON is sorted, has no place of this machine in it, and gives an equal state."""
    repository.write({"train.py": 'password = "hunter2"\n', "new.py": "token = 1\n", "x.bin": b"\0"})
    state = capture(repository.root, repository.root / "train.py")
    text = state.to_json()
    assert CodeState.from_json(text) == state
    assert CodeState.from_json(text).to_json() == text
    assert str(repository.root) not in text
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"entry": 3}'])
def test_a_record_that_is_none_is_refused(text):
    """Text that no state was written as raises Corrupt."""
    with pytest.raises(Corrupt):
        CodeState.from_json(text)


def test_a_script_elsewhere_is_named_without_its_folder(repository, tmp_path):
    """A script that lies outside the repository is named, with its digest, and counts as missing."""
    (tmp_path / "tool.py").write_text("x = 1\n")
    state = capture(repository.root, tmp_path / "tool.py")
    assert (state.entry.path, state.entry.inside) == ("tool.py", False)
    assert len(state.entry.digest) == 64
    assert find_missing(state) == ["tool.py: the file that was started lies outside the folder of the code"]
    assert capture(repository.root, tmp_path / "none.py").entry.digest is None


def test_a_folder_that_is_not_there_is_not_found(tmp_path):
    """Capturing a folder that does not exist raises NotFound."""
    with pytest.raises(NotFound):
        capture(tmp_path / "none")
