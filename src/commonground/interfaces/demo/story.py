"""`cg demo`: a real clinical study with an invented team, told by doing it; every figure is measured while it runs.

The study lies in a folder afterwards, with the files as they were delivered and the scripts that were run.
"""

from __future__ import annotations

import importlib.util
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from commonground.errors import InvalidInput, MissingExtra
from commonground.interfaces.client import study as client
from commonground.interfaces.demo import curating, gathering, heart, looking, training
from commonground.interfaces.demo.gathering import Agreed
from commonground.interfaces.demo.heart import Heart
from commonground.interfaces.demo.scene import DATA, Scene, add_team, prepare, refuse_used
from commonground.interfaces.demo.team import TEAM
from commonground.interfaces.demo.telling import Teller
from commonground.interfaces.demo.training import Measured

FOLDER = Path("lung-nodules")
NEEDED = ("sklearn", "joblib")
LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Told:
    """What the story measured."""

    agreed: Agreed
    """How well the readers agree."""
    models: tuple[Measured, ...]
    """The runs on 1.0.0 and on 2.0.0: logistic, forest, logistic, forest."""
    heart: Heart
    """The comparison."""


def run(
    folder: Path = FOLDER,
    seed: int = 0,
    *,
    person: str | None = None,
    database: str | None = None,
    console: Console | None = None,
) -> int:
    """Tell the story in an empty folder; returns the exit status.

    `seed` begins every random draw. `person` is who owns the study then, `database` the address of a PostgreSQL
    database, if it is not to be a file. Raises InvalidInput for a folder that is not empty, MissingExtra without
    scikit-learn.
    """
    tell_story(folder, seed, person=person, database=database, console=console)
    return 0


def tell_story(
    folder: Path,
    seed: int = 0,
    *,
    data: Path = DATA,
    trees: int = 300,
    person: str | None = None,
    database: str | None = None,
    console: Console | None = None,
) -> Told:
    """The same, with what was measured; `data` is a folder of delivered files, `trees` the size of a forest."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtra(
            "The demo trains models with scikit-learn, which is not installed.",
            todo='Install it: pip install "commonground[demo]"',
        )
    if not 0 <= seed <= LARGEST_SEED:
        raise InvalidInput(
            f"A seed lies between 0 and {LARGEST_SEED}, not at {seed}.", todo="Choose a seed in this range."
        )
    began = time.monotonic()
    refuse_used(folder)
    study = client.init(folder, name=folder.resolve().name, person=person, database=database)
    scene = Scene(folder, seed, trees, Teller(console))
    try:
        prepare(folder, data)
        add_team(study)
        _tell_opening(scene)
        return _tell_acts(scene, began)
    finally:
        scene.close()
        study.close()


def _tell_opening(scene: Scene) -> None:
    tell = scene.teller
    tell.title(
        "Common Ground: a study of lung nodules, from the first file to a result that its team can explain",
        "The readings are real: LIDC-IDRI, The Cancer Imaging Archive, CC BY 3.0. The three people are invented. "
        "Every figure below is measured now, from the study that is being made.",
    )
    tell.line()
    tell.table(("", ""), [(member.name, member.work) for member in TEAM])
    tell.line()
    tell.table(("", ""), [("folder", str(scene.folder)), ("seed", str(scene.seed))])


def _tell_acts(scene: Scene, began: float) -> Told:
    gathering.tell_gathered(scene, gathering.gather(scene))
    agreed = gathering.agree(scene)
    gathering.tell_agreed(scene, agreed)
    curating.tell_draft(scene, curating.draft(scene))
    first = curating.release_first(scene)
    curating.tell_first(scene, first)
    parts = curating.split(scene, first)
    curating.tell_split(scene, parts)
    models = training.train_first(scene, first, parts)
    training.tell_first_models(scene, models)
    second = curating.release_second(scene)
    later = training.train_second(scene, second)
    training.tell_second_models(scene, first, second, later)
    third = curating.release_third(scene)
    benign = training.train_third(scene, third)
    together = training.test_together(scene, first, models[0], later[0])
    found = heart.find_heart(scene, models[0], later[0], benign, together)
    heart.tell_heart(scene, found)
    looking.tell_why(scene, first, models[0])
    looking.tell_next(scene, scene.folder, time.monotonic() - began)
    return Told(agreed, (*models, *later), found)
