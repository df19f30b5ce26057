"""What a run ran in: interpreter, machine, packages, lock files, chosen variables.

An `Environment` is immutable; its digest is the SHA-256 of its canonical JSON (sorted keys, no spaces, UTF-8), so
that it is stored once and two runs can be compared. What names the job instead of the environment (job numbers,
nodes, ranks) is in `job` and in no digest. Variables are taken by an allow-list and screened; no others are read.
What is not known is not there, or "not recorded": never guessed.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from commonground.errors import Corrupt
from commonground.structure.screen import screen

NOT_RECORDED: Final = "not recorded"
NOT_SET: Final = "not set"
VARIABLES: Final = frozenset(
    {
        "ACCELERATE_MIXED_PRECISION", "BLIS_NUM_THREADS", "CUBLAS_WORKSPACE_CONFIG", "CUDA_DEVICE_ORDER",
        "CUDA_LAUNCH_BLOCKING", "CUDA_VISIBLE_DEVICES", "CUDNN_DETERMINISTIC", "HIP_VISIBLE_DEVICES", "KMP_AFFINITY",
        "LANG", "LC_ALL", "MKL_CBWR", "MKL_NUM_THREADS", "NCCL_ALGO", "NCCL_PROTO", "NUMBA_NUM_THREADS",
        "NUMEXPR_NUM_THREADS", "NVIDIA_TF32_OVERRIDE", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS",
        "PYTHONDEVMODE", "PYTHONHASHSEED", "PYTHONOPTIMIZE", "PYTHONUTF8", "PYTORCH_CUDA_ALLOC_CONF",
        "ROCR_VISIBLE_DEVICES", "TF_CUDNN_DETERMINISTIC", "TF_DETERMINISTIC_OPS", "TF_ENABLE_ONEDNN_OPTS",
        "TF_XLA_FLAGS", "TOKENIZERS_PARALLELISM", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "TZ", "VECLIB_MAXIMUM_THREADS",
        "WORLD_SIZE", "XLA_FLAGS",
    }
)  # fmt: skip
"""Variables that can change a result; all that is read of the environment besides `JOB_VARIABLES`."""
JOB_VARIABLES: Final = frozenset(
    {
        "GROUP_RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "LSB_JOBID", "LSB_JOBINDEX", "NODE_RANK",
        "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "PBS_ARRAY_INDEX", "PBS_JOBID",
        "PMI_RANK", "PMI_SIZE", "RANK", "SGE_TASK_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_COUNT",
        "SLURM_ARRAY_TASK_ID", "SLURM_CPUS_ON_NODE", "SLURM_CPUS_PER_TASK", "SLURM_GPUS", "SLURM_GPUS_ON_NODE",
        "SLURM_GPUS_PER_NODE", "SLURM_JOB_CPUS_PER_NODE", "SLURM_JOB_ID", "SLURM_JOB_NUM_NODES", "SLURM_JOB_PARTITION",
        "SLURM_LOCALID", "SLURM_MEM_PER_CPU", "SLURM_MEM_PER_GPU", "SLURM_MEM_PER_NODE", "SLURM_NNODES",
        "SLURM_NODEID", "SLURM_NTASKS", "SLURM_NTASKS_PER_NODE", "SLURM_PROCID", "SLURM_RESTART_COUNT",
        "SLURM_STEP_ID", "SLURM_STEP_NUM_TASKS", "TORCHELASTIC_RESTART_COUNT", "TORCHELASTIC_RUN_ID",
    }
)  # fmt: skip
"""Variables that name the job or the rank; listed one by one because some of their kind hold secrets (SLURM_JWT)."""
LOCK_FILES: Final = (
    "uv.lock", "poetry.lock", "pdm.lock", "pixi.lock", "Pipfile.lock", "pylock.toml", "conda-lock.yml",
    "environment.yml", "environment.yaml",
)  # fmt: skip
SMALL_LOCK: Final = 256 * 1024
_LONGEST_VALUE = 500
_LARGEST_LOCK = 16 * 1024 * 1024
_LEVELS = 6
_DIST = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._]*?)-(?P<version>[^-]+)(?:-.*)?\.(?:dist-info|egg-info)")
_URL_USER = re.compile(rb"(?<=://)[^/\s@\"'<>]{1,256}@")
_MODEL = re.compile(r"^(?:model name|Model|Hardware|cpu model)\s*:\s*(.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class LockFile:
    """A file that pins what is installed."""

    name: str
    """Its path below the folder that was asked about, with `../` for a folder above."""
    digest: str
    """SHA-256 of its bytes without user names and passwords in links."""
    size: int
    """Its size in bytes."""
    text: str | None = None
    """Its screened text if it is small; in no digest."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What a run ran in."""

    python: Mapping[str, str]
    """version, implementation, and whether the interpreter runs in an environment of its own."""
    system: Mapping[str, str]
    """name, release, machine, libc."""
    cpu: Mapping[str, str | int]
    """model, count, and how many the process may use."""
    memory: int | None
    """Bytes of memory that the process may use."""
    gpus: tuple[str, ...]
    """Name, memory and driver of each graphics processor."""
    packages: Mapping[str, str]
    """Installed packages: normalised name to version, with ` (editable)` or ` @ COMMIT` behind it."""
    locks: tuple[LockFile, ...]
    """The lock files near the code."""
    variables: Mapping[str, str]
    """The variables from `VARIABLES` that are set."""
    seeds: Mapping[str, str]
    """What is known of seeds; generators cannot be asked, so most are "not recorded"."""
    container: Mapping[str, str]
    """Hints of a container: kind and image."""
    job: Mapping[str, str] = field(default_factory=dict)
    """The variables from `JOB_VARIABLES` that are set; in no digest."""

    def to_json(self) -> str:
        """The canonical JSON, without the texts of lock files and without `job`."""
        plain = asdict(self)
        del plain["job"]
        for lock in plain["locks"]:
            del lock["text"]
        return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @classmethod
    def from_json(cls, text: str) -> Environment:
        """The environment that `to_json` wrote, without lock texts and job; raises Corrupt for any other text."""
        try:
            plain: dict[str, Any] = json.loads(text)
            locks = tuple(LockFile(**lock) for lock in plain.pop("locks"))
            return cls(**{**plain, "locks": locks, "gpus": tuple(plain["gpus"])})
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise Corrupt("The record of an environment cannot be read.", todo="Run `cg verify`.") from error


@dataclass(frozen=True, slots=True)
class Rank:
    """The place of this process among those that a launcher started together."""

    world: int | None
    """How many there are; None if the launcher does not say."""
    rank: int
    """Which of them this is, from 0 (an array task: its index as given)."""
    local_rank: int
    """Which of those on this machine this is, from 0."""
    launcher: str
    """torchrun, slurm, openmpi, pmi, slurm array, pbs array, sge array or lsf array."""
    job: str | None
    """What the processes of one start have in common, if the launcher names it."""
    attempt: int = 0
    """How often the launcher has started them before."""


_LAUNCHERS: Final = (  # launcher, world, rank, local rank, job, and what else must be set
    ("torchrun", ("WORLD_SIZE",), "RANK", "LOCAL_RANK", ("TORCHELASTIC_RUN_ID",), ("WORLD_SIZE",)),
    ("slurm", ("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"), "SLURM_PROCID", "SLURM_LOCALID",
     ("SLURM_JOB_ID", "SLURM_STEP_ID"), ("SLURM_STEP_ID",)),
    ("openmpi", ("OMPI_COMM_WORLD_SIZE",), "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", (), ()),
    ("pmi", ("PMI_SIZE",), "PMI_RANK", "MPI_LOCALRANKID", (), ()),
    ("slurm array", ("SLURM_ARRAY_TASK_COUNT",), "SLURM_ARRAY_TASK_ID", "", ("SLURM_ARRAY_JOB_ID",), ()),
    ("pbs array", (), "PBS_ARRAY_INDEX", "", (), ()),
    ("sge array", (), "SGE_TASK_ID", "", ("JOB_ID",), ()),
    ("lsf array", (), "LSB_JOBINDEX", "", ("LSB_JOBID",), ()),
)  # fmt: skip

_ATTEMPTS: Final = ("TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT")


def capture(folder: Path | None = None, variables: Mapping[str, str] | None = None) -> Environment:
    """The environment of this process; lock files are looked for in `folder` and, up to the repository, above it.

    `folder` is the current one and `variables` is `os.environ` if not given. Never raises for what cannot be read.
    """
    given = os.environ if variables is None else variables
    return Environment(
        python={
            "version": platform.python_version(),
            "implementation": platform.python_implementation(),
            "isolated": "yes" if sys.prefix != sys.base_prefix else "no",
        },
        system={
            "name": platform.system(),
            "release": platform.release(),
            "machine": platform.machine(),
            "libc": _libc(),
        },
        cpu={"model": _cpu_model(), "count": os.cpu_count() or 0, "usable": _usable_cpus()},
        memory=_memory(),
        gpus=_gpus(),
        packages=_packages(tuple(sys.path)),
        locks=tuple(_locks(Path.cwd() if folder is None else folder)),
        variables=_allowed(given, VARIABLES),
        seeds=_seeds(given),
        container=_container(given),
        job=_allowed(given, JOB_VARIABLES),
    )


def rank(variables: Mapping[str, str] | None = None) -> Rank | None:
    """The place of this process in a distributed start or an array of tasks; None if it was started alone.

    A batch script of SLURM outside `srun` is not a rank, although SLURM gives it a process number.
    """
    given = os.environ if variables is None else variables
    for launcher, worlds, own, local, job, needed in _LAUNCHERS:
        index = _number(given, own)
        if index is None or any(name not in given for name in needed):
            continue
        if own == "LSB_JOBINDEX" and index == 0:  # LSF gives 0 to a job that is no array
            continue
        world = next((size for name in worlds if (size := _number(given, name)) is not None), None)
        named = ".".join(given[name] for name in job if given.get(name))
        attempt = next((many for name in _ATTEMPTS if (many := _number(given, name)) is not None), 0)
        return Rank(world, index, _number(given, local) or 0, launcher, named or None, attempt)
    return None


def _number(given: Mapping[str, str], name: str) -> int | None:
    text = given.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() else None


def _allowed(given: Mapping[str, str], names: frozenset[str]) -> dict[str, str]:
    return {name: screen(given[name][:_LONGEST_VALUE]).text for name in sorted(names) if name in given}


def _seeds(given: Mapping[str, str]) -> dict[str, str]:
    return {
        "PYTHONHASHSEED": _allowed(given, VARIABLES).get("PYTHONHASHSEED", NOT_SET),
        "random": NOT_RECORDED,
        "numpy": NOT_RECORDED,
        "torch": NOT_RECORDED,
    }


@cache
def _libc() -> str:
    return " ".join(platform.libc_ver()).strip()


@cache
def _cpu_model() -> str:
    found = _MODEL.search(_read("/proc/cpuinfo"))
    if found:
        return found[1].strip()
    told = _output("sysctl", "-n", "machdep.cpu.brand_string") if platform.system() == "Darwin" else ""
    return told.strip() or platform.processor() or platform.machine()


def _usable_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 0


@cache
def _memory() -> int | None:
    """Bytes of memory: what the machine has or what the control group allows, whichever is less."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None
    limit = _read("/sys/fs/cgroup/memory.max").strip() or _read("/sys/fs/cgroup/memory/memory.limit_in_bytes").strip()
    return min(total, int(limit)) if limit.isdecimal() else total


@cache
def _gpus() -> tuple[str, ...]:
    told = _output("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
    return tuple(line.strip() for line in told.splitlines() if line.strip())


def _packages(folders: tuple[str, ...]) -> dict[str, str]:
    """Name to version of what is installed in the folders, the first folder winning; only names of folders are read."""
    found: dict[str, str] = {}
    for folder in folders:
        here: dict[str, str] = {}
        for entry in _entries(folder or "."):
            match = _DIST.fullmatch(entry.name)
            if match:
                name = re.sub(r"[-_.]+", "-", match["name"]).lower()
                here[name] = match["version"] + _origin(entry.path)
        found = here | found
    return dict(sorted(found.items()))


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _origin(folder: str) -> str:
    """What tells a package installed from a folder or a repository from a released one."""
    told = _read(f"{folder}/direct_url.json")
    try:
        origin = json.loads(told) if told else {}
        if origin.get("dir_info", {}).get("editable"):
            return " (editable)"
        commit = origin.get("vcs_info", {}).get("commit_id")
    except (ValueError, AttributeError):
        return ""
    return f" @ {str(commit)[:40]}" if commit else ""


def _locks(folder: Path) -> Iterator[LockFile]:
    """The lock files of the folder and, inside a repository, of those above it up to its root."""
    places = [folder, *folder.absolute().parents][:_LEVELS]
    root = next((level for level, place in enumerate(places) if (place / ".git").exists()), 0)
    for level, place in enumerate(places[: root + 1]):
        for name in (*LOCK_FILES, *sorted(path.name for path in place.glob("requirements*.txt"))):
            lock = _lock(place / name, "../" * level + name)
            if lock is not None:
                yield lock


def _lock(path: Path, name: str) -> LockFile | None:
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST_LOCK:
            return None
        data = _URL_USER.sub(b"", path.read_bytes())
    except OSError:
        return None
    text = screen(data.decode("utf-8", "replace")).text if len(data) <= SMALL_LOCK else None
    return LockFile(name, hashlib.sha256(data).hexdigest(), len(data), text)


def _container(given: Mapping[str, str]) -> dict[str, str]:
    hints: dict[str, str] = {}
    podman = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', _read("/run/.containerenv"), re.MULTILINE))
    image = given.get("APPTAINER_CONTAINER") or given.get("SINGULARITY_CONTAINER")
    if image:
        hints = {"kind": "apptainer", "image": Path(image).name}
    elif Path("/run/.containerenv").exists():
        hints = {"kind": "podman"} | {key: podman[key] for key in ("image", "imageid") if podman.get(key)}
    elif Path("/.dockerenv").exists():
        hints = {"kind": "docker"}
    elif "KUBERNETES_SERVICE_HOST" in given:
        hints = {"kind": "kubernetes"}
    return {key: screen(value).text for key, value in hints.items()}


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - half the cost, hundreds of times
            return file.read(100_000)
    except OSError:
        return ""


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=2, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout if done.returncode == 0 else ""
