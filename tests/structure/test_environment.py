"""What a run ran in, and its place among the processes of one start."""

import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys

import pytest

from commonground.errors import Corrupt
from commonground.structure.environment import Environment, Rank, capture, rank


@pytest.fixture
def here(tmp_path):
    """An environment captured in an empty folder without variables."""
    return capture(tmp_path, {})


def test_it_says_what_python_itself_says(here):
    """Version, implementation, system, processors and memory are those of this machine."""
    assert here.python["version"] == platform.python_version()
    assert here.python["implementation"] == platform.python_implementation()
    assert here.system["machine"] == platform.machine()
    assert here.cpu["count"] == os.cpu_count()
    assert here.cpu["model"]
    assert here.memory > 100_000_000


def test_packages_are_those_that_are_installed(here):
    """Every distribution that the interpreter can see is named with its version."""
    for found in importlib.metadata.distributions():
        name = re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower()
        assert here.packages[name].split(" ")[0] == found.version


def test_packages_are_read_from_the_names_of_folders(tmp_path, monkeypatch):
    """The first folder of the path wins; an editable package and one from a repository are told from a release."""
    for folder, name in [
        ("a", "Foo_Bar-1.0.dist-info"),
        ("b", "foo.bar-2.0.dist-info"),
        ("b", "mine-0.1.dist-info"),
        ("b", "theirs-0.2.dist-info"),
        ("b", "old-3.1-py3.11.egg-info"),
        ("b", "broken-1.dist-info"),
        ("b", "not_a_package"),
    ]:
        (tmp_path / folder / name).mkdir(parents=True)
    origin = {"dir_info": {"editable": True}, "url": "file:///home/somebody/mine"}
    (tmp_path / "b" / "mine-0.1.dist-info" / "direct_url.json").write_text(json.dumps(origin))
    origin = {"vcs_info": {"vcs": "git", "commit_id": "4ae8c94d3b"}, "url": "https://user:secret@host/x"}
    (tmp_path / "b" / "theirs-0.2.dist-info" / "direct_url.json").write_text(json.dumps(origin))
    (tmp_path / "b" / "broken-1.dist-info" / "direct_url.json").write_text("[")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "none.zip")])
    assert capture(tmp_path, {}).packages == {
        "broken": "1",
        "foo-bar": "1.0",
        "mine": "0.1 (editable)",
        "old": "3.1",
        "theirs": "0.2 @ 4ae8c94d3b",
    }


def test_variables_are_taken_by_name_only(tmp_path):
    """Listed variables are kept, screened and shortened; any other, a token of SLURM included, is nowhere."""
    taken = capture(
        tmp_path,
        {
            "CUDA_VISIBLE_DEVICES": "0,1",
            "OMP_NUM_THREADS": "4",
            "PYTHONHASHSEED": "7",
            "XLA_FLAGS": "--password=canary1 " + "x" * 1000,
            "SLURM_JOB_ID": "99",
            "SLURM_JWT": "canary2",
            "MY_SETTING": "canary3",
            "HOME": "/home/canary4",
        },
    )
    assert taken.variables["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert len(taken.variables["XLA_FLAGS"]) < 600
    assert taken.seeds == {
        "PYTHONHASHSEED": "7", "random": "not recorded", "numpy": "not recorded", "torch": "not recorded",
    }  # fmt: skip
    assert taken.job == {"SLURM_JOB_ID": "99"}
    assert "canary" not in taken.to_json() + repr(taken)


def test_the_job_is_not_part_of_the_environment(tmp_path):
    """Two jobs in the same environment have one digest; another thread count or world size is another environment."""
    first = capture(tmp_path, {"SLURM_JOB_ID": "1", "RANK": "0"})
    assert first.digest == capture(tmp_path, {"SLURM_JOB_ID": "2", "RANK": "1"}).digest
    assert first.digest != capture(tmp_path, {"OMP_NUM_THREADS": "2"}).digest
    assert first.digest != capture(tmp_path, {"WORLD_SIZE": "2"}).digest


def test_json_gives_the_environment_back(here):
    """Canonical JSON is sorted, and the environment read from it has the same JSON and digest."""
    text = here.to_json()
    again = Environment.from_json(text)
    assert (again.to_json(), again.digest) == (text, here.digest)
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"locks": 3}'])
def test_a_record_that_is_none_is_refused(text):
    """Text that no environment was written as raises Corrupt."""
    with pytest.raises(Corrupt):
        Environment.from_json(text)


def test_lock_files_are_found_up_to_the_repository(tmp_path):
    """Lock files of the folder and of those above it up to the repository are kept by digest, small ones with text."""
    root = tmp_path / "repository"
    (root / ".git").mkdir(parents=True)
    (root / "uv.lock").write_text("x" * 300_000)
    (root / "code").mkdir()
    (root / "code" / "requirements-dev.txt").write_text("numpy==2.0\n--extra-index-url https://bob:hunter2@host/x\n")
    (root / "code" / "requirements.txt").mkdir()
    (tmp_path / "poetry.lock").write_text("outside")
    near, far = capture(root / "code", {}).locks
    assert (near.name, far.name, far.text, far.size) == ("requirements-dev.txt", "../uv.lock", None, 300_000)
    assert near.text.startswith("numpy==2.0\n")
    assert "hunter2" not in near.text
    (root / "code" / "requirements-dev.txt").write_text("numpy==2.0\n--extra-index-url https://host/x\n")
    assert capture(root / "code", {}).locks[0].digest == near.digest


def test_outside_a_repository_only_the_folder_counts(tmp_path):
    """A lock file above a folder that is in no repository says nothing about the code in the folder."""
    (tmp_path / "uv.lock").write_text("above")
    (tmp_path / "code").mkdir()
    assert capture(tmp_path / "code", {}).locks == ()
    assert [lock.name for lock in capture(tmp_path, {}).locks] == ["uv.lock"]


def test_a_container_leaves_a_hint(tmp_path):
    """An image that the environment names is kept by its file name, without the folder it lies in."""
    taken = capture(tmp_path, {"APPTAINER_CONTAINER": "/home/somebody/images/study.sif"})
    assert taken.container == {"kind": "apptainer", "image": "study.sif"}


def test_graphics_processors_are_asked_for_once(tmp_path):
    """What nvidia-smi on the path prints is kept, one that hangs is given up after two seconds, both only once."""
    program = tmp_path / "nvidia-smi"
    program.write_text('#!/bin/sh\necho x >> "$(dirname "$0")/asked"\necho "NVIDIA A100, 81920 MiB, 550.1"\n$SLOW\n')
    program.chmod(0o755)
    code = (
        "import time; from commonground.structure.environment import capture\n"
        "begun = time.monotonic(); a = capture(); b = capture()\n"
        "assert a.gpus == b.gpus; print(a.gpus, time.monotonic() - begun < 8)"
    )
    for slow, expected in [("", "('NVIDIA A100, 81920 MiB, 550.1',) True"), ("exec sleep 60", "() True")]:
        given = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLOW": slow}
        done = subprocess.run([sys.executable, "-c", code], env=given, cwd=tmp_path, capture_output=True, check=True)
        assert done.stdout.decode().strip() == expected
    assert (tmp_path / "asked").read_text() == "x\nx\n"


TORCHRUN = {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "TORCHELASTIC_RUN_ID": "job"}
SRUN = {
    "SLURM_PROCID": "5", "SLURM_NTASKS": "16", "SLURM_STEP_NUM_TASKS": "6", "SLURM_LOCALID": "1",
    "SLURM_JOB_ID": "99", "SLURM_STEP_ID": "0",
}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        (TORCHRUN, Rank(8, 3, 1, "torchrun", "job")),
        (SRUN, Rank(6, 5, 1, "slurm", "99.0")),
        ({**SRUN, **TORCHRUN}, Rank(8, 3, 1, "torchrun", "job")),
        ({"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "2"}, Rank(4, 2, 0, "openmpi", None)),
        ({"PMI_RANK": "0", "PMI_SIZE": "2", "MPI_LOCALRANKID": "0"}, Rank(2, 0, 0, "pmi", None)),
        (
            {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_COUNT": "10", "SLURM_ARRAY_JOB_ID": "99"},
            Rank(10, 7, 0, "slurm array", "99"),
        ),
        ({"PBS_ARRAY_INDEX": "7"}, Rank(None, 7, 0, "pbs array", None)),
        ({"SGE_TASK_ID": "undefined", "JOB_ID": "4"}, None),
        ({"SGE_TASK_ID": "3", "JOB_ID": "4"}, Rank(None, 3, 0, "sge array", "4")),
        ({"LSB_JOBINDEX": "2", "LSB_JOBID": "5"}, Rank(None, 2, 0, "lsf array", "5")),
        ({"LSB_JOBINDEX": "0", "LSB_JOBID": "5"}, None),
        ({"RANK": "3"}, None),
        ({"RANK": "x", "WORLD_SIZE": "8"}, None),
        ({"RANK": "²", "WORLD_SIZE": "8"}, None),
    ],
)
def test_the_rank_is_read_from_the_launcher(given, expected):
    """Each launcher's variables give the place among its processes; the innermost launcher counts."""
    assert rank(given) == expected


def test_a_batch_script_is_not_a_rank():
    """SLURM numbers the process of a batch script too, but only tasks of a step are ranks."""
    assert rank({"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_JOB_ID": "99", "SLURM_LOCALID": "0"}) is None
