"""Questions to git."""

import socket
import time

import pytest

from commonground.structure import git


@pytest.fixture
def repository(make_repository):
    """A repository with two committed files."""
    made = make_repository("study")
    made.commit({"a.py": "a\n", "b/c.py": "c\n"})
    return made


def test_a_slow_git_is_not_waited_for(repository, tmp_path, monkeypatch):
    """A git that says something and then hangs is stopped at the limit; what it said counts as incomplete."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "git"
    program.write_text("#!/bin/sh\nprintf said\nexec /bin/sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    begun = time.monotonic()
    answer = git.ask(repository.root, "status", seconds=0.5)
    assert (answer.output, answer.complete) == (b"said", False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(git.GitSilent, match="git is not installed"):
        git.ask(repository.root, "status")
    assert time.monotonic() - begun < 20


def test_a_long_answer_is_cut(repository):
    """Reading stops after the number of bytes or names that was asked for."""
    repository.write({f"new{n}.txt": "x" for n in range(5000)})
    few = git.list_untracked(repository.root, collapsed=False, most=10, seconds=10)
    assert not few.complete
    assert few.output.count(b"\0") > 10
    assert git.list_untracked(repository.root, collapsed=False, most=5000, seconds=10).complete
    assert not git.ask(repository.root, "ls-files", "--others", most=100).complete


def test_an_error_of_git_is_silence(repository):
    """A question that git refuses raises, naming the question."""
    with pytest.raises(git.GitSilent, match=r"git cat-file ended with status \d+"):
        git.ask_all(repository.root, "cat-file", "-p", "nothing")


def test_many_paths_are_asked_for_in_batches(repository):
    """More paths than fit into one command line still give all differences, each once."""
    names = [f"{'x' * 150}{n}.txt" for n in range(2500)]
    repository.commit(dict.fromkeys(names, "a\n"))
    repository.write(dict.fromkeys(names, "b\n"))
    said = git.read_diffs(repository.root, [name.encode() for name in names], 1_000_000)
    assert said.count(b"diff --git ") == 2500
    assert git.read_diffs(repository.root, [], 1_000_000) == b""


def test_blobs_are_read_by_name(repository):
    """Contents come in the order of the names, also empty ones; one that is not there raises."""
    repository.commit({"empty": "", "end": "no line end", "nul": b"\0\n\0"})
    names = [f"HEAD:{name}" for name in ("nul", "empty", "a.py", "end")]
    assert git.read_blobs(repository.root, names) == [b"\0\n\0", b"", b"a\n", b"no line end"]
    assert git.read_blobs(repository.root, []) == []
    with pytest.raises(git.GitSilent, match="git does not have HEAD:none"):
        git.read_blobs(repository.root, ["HEAD:a.py", "HEAD:none"])
    with pytest.raises(git.GitSilent, match="git does not have HEAD:b"):
        git.read_blobs(repository.root, ["HEAD:b"])


def test_a_folder_of_no_repository_costs_no_process(tmp_path, monkeypatch):
    """Where no folder above holds `.git`, git is not even started."""
    monkeypatch.setenv("PATH", "")
    assert git.find_repository(tmp_path) is None


def test_no_network_is_used(repository):
    """A transport that leaves the machine is refused by git itself, before anybody is called; local files are not."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        with pytest.raises(git.GitSilent):
            git.ask(repository.root, "ls-remote", f"git://127.0.0.1:{server.getsockname()[1]}/x.git", seconds=5)
        with pytest.raises(TimeoutError):
            server.accept()
    assert b"HEAD" in git.ask_all(repository.root, "ls-remote", ".")
