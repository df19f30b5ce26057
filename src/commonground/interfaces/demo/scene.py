"""Where the demo plays: the study folder, a door to the study for each member of the team, and their scripts."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from commonground.errors import CommonGroundError, InvalidInput
from commonground.interfaces.client import study as client
from commonground.interfaces.demo.team import TEAM, Member
from commonground.interfaces.demo.telling import Teller
from commonground.operations.execution_reading import ExecutionRecord
from commonground.operations.plans import Committed

DATA = Path(__file__).parent / "data"
SCRIPTS = Path(__file__).parent / "scripts"
NAMES = ("make_target.py", "train.py", "compare.py")
DELIVERED = "delivered"
PICTURES = "outlines"
IGNORED = f".commonground/\n{DELIVERED}/\n"
SHOWN = 20


@dataclass(slots=True)
class Scene:
    """The folder, the people and what they were given."""

    folder: Path
    """The study folder."""
    seed: int
    """What every random draw of the demo begins with."""
    trees: int
    """Trees of a forest."""
    teller: Teller
    """Who speaks."""
    doors: dict[str, client.Study] = field(default_factory=dict)
    """The study as each member opened it."""

    @property
    def delivered(self) -> Path:
        """The files as they were delivered."""
        return self.folder / DELIVERED

    def of(self, member: Member) -> client.Study:
        """The study, with this member at work."""
        if member.name not in self.doors:
            self.doors[member.name] = client.open(self.folder, person=member.name)
        return self.doors[member.name]

    def close(self) -> None:
        """Close every door."""
        for study in self.doors.values():
            study.close()
        self.doors.clear()

    def run_script(self, member: Member, script: str, *given: str) -> None:
        """Let a member run a script of the study folder; raises CommonGroundError with its last words if it fails."""
        environment = {**os.environ, "CG_PERSON": member.name, "PYTHONWARNINGS": "ignore"}
        done = subprocess.run(
            [sys.executable, script, *given],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise CommonGroundError(
                f"{script} of the demo ended with status {done.returncode}.",
                kept=f"The study in {self.folder} is kept as far as it came.",
                todo="Please report this with the lines above.",
                faults=done.stderr.strip().splitlines()[-SHOWN:],
            )

    def record_of(self, name: str) -> ExecutionRecord:
        """What the catalogue says of an execution."""
        record: ExecutionRecord = self.of(TEAM[0]).read("execution get", execution=name)
        return record


def prepare(folder: Path, data: Path) -> None:
    """Put the delivered files and the scripts into the study folder; a git repository if there is git."""
    delivered = folder / DELIVERED
    shutil.copytree(data, delivered, ignore=shutil.ignore_patterns("*.zip"), copy_function=shutil.copyfile)
    with zipfile.ZipFile(data / "outlines.zip") as pack:
        for name in pack.namelist():
            if Path(name).name != name:
                raise InvalidInput(
                    f"The pack of pictures has a file {name!r}, which is not a plain name.",
                    todo="Use the pack of pictures that comes with this release.",
                )
        pack.extractall(delivered / PICTURES)
    for name in NAMES:
        shutil.copyfile(SCRIPTS / name, folder / name)
    (folder / ".gitignore").write_text(IGNORED, encoding="utf-8")
    _make_repository(folder)


def refuse_used(folder: Path) -> None:
    """Raises InvalidInput for a folder that is not empty, or no folder."""
    if folder.is_file():
        raise InvalidInput(f"{folder} is a file.", todo="Name a folder that is empty or not there yet: cg demo FOLDER")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if (folder / ".commonground").is_dir():
        raise InvalidInput(
            f"There is a study in {folder} already; the demo begins with an empty folder.",
            todo=f"Look at that one: cd {folder}; cg status. Or tell the story elsewhere: cg demo {folder}-2",
        )
    raise InvalidInput(
        f"{folder} is not empty; the demo begins with an empty folder.",
        todo=f"Name another one: cg demo {folder}-2",
    )


def _make_repository(folder: Path) -> None:
    """Commit the scripts, as nobody of this machine and by no rule of its configuration."""
    git = shutil.which("git")
    if git is None:
        return
    named = {"NAME": "Priya Larkspur", "EMAIL": "priya@example.org"}
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environment |= {f"GIT_{who}_{what}": text for who in ("AUTHOR", "COMMITTER") for what, text in named.items()}
    environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    commands: Sequence[Sequence[str]] = (
        ("init", "--quiet", "--initial-branch=main"),
        ("add", ".gitignore", *NAMES),
        ("commit", "--quiet", "--message=Scripts of the lung nodule study"),
    )
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        for command in commands:
            subprocess.run([git, *command], cwd=folder, env=environment, capture_output=True, check=True)


def add_team(study: client.Study) -> None:
    """Make the invented people known to the study."""
    for member in TEAM:
        study.people.add(
            member.name,
            role=member.role,
            discipline=member.work,
            description="Invented for the demo.",
            logins=[member.name],
        )


def effect_of(committed: Committed) -> dict[str, Any]:
    """What a change did, as its plan says."""
    return dict(committed.plan.effect)
