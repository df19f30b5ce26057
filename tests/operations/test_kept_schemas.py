"""A study of every schema there ever was opens, migrates, verifies, and says what it said when it was made."""

from __future__ import annotations

import importlib.util
import json
import zipfile
from pathlib import Path

import pytest
import sqlalchemy as sa

from commonground.operations.restoring import migrate_study
from commonground.operations.session import Session
from commonground.operations.studies import create_study, open_study
from commonground.store import migrations
from commonground.store.ground import Ground

ROOT = Path(__file__).parents[2]
KEPT = sorted((ROOT / "tests" / "store" / "data").glob("schema-*.zip"))
_found = importlib.util.spec_from_file_location("make_kept_study", ROOT / "scripts" / "make_kept_study.py")
assert _found is not None
assert _found.loader is not None
maker = importlib.util.module_from_spec(_found)
_found.loader.exec_module(maker)


def test_every_schema_is_kept() -> None:
    """There is a study of each schema from the first to the newest."""
    assert [path.stem for path in KEPT] == [f"schema-{number}" for number in range(1, migrations.NEWEST + 1)]


@pytest.fixture(params=KEPT, ids=lambda path: path.stem)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The folder of a kept study, migrated to the newest schema."""
    with zipfile.ZipFile(request.param) as packed:
        packed.extractall(tmp_path / request.param.stem)
    done = migrate_study(tmp_path / request.param.stem)
    assert done.after == migrations.NEWEST
    folder: Path = tmp_path / request.param.stem
    return folder


def shape(ground: Ground) -> dict[str, set[tuple[str, str]]]:
    """The columns of the tables that every study has."""
    with ground.database.read() as connection:
        there = sa.inspect(connection)
        return {
            name: {(column["name"], str(column["type"])) for column in there.get_columns(name)}
            for name in there.get_table_names()
        }


def test_a_kept_study_says_what_it_said(kept: Path) -> None:
    """Frames of released and unreleased states, what changed, the log, a run and past states are as they were."""
    session = open_study(kept, person=maker.OWNER)
    expected = json.loads((KEPT[0].parent / f"{kept.name}.json").read_text(encoding="utf-8"))
    assert maker.tell(session) == expected
    session.ground.close()


def test_a_kept_study_has_the_tables_of_a_new_one(kept: Path, tmp_path: Path) -> None:
    """After its migration a kept study has every table and column that a new study has.

    If this fails a table was changed: write a migration step, or, as long as no release has the newest schema, run
    scripts/make_kept_study.py.
    """
    session, new = open_study(kept, person=maker.OWNER), create_study(tmp_path / "new", name="New")
    there, wanted = shape(session.ground), shape(new.ground)
    assert {name: there.get(name) for name in wanted} == wanted
    for one in (session, new):
        one.ground.close()


def test_a_kept_study_goes_on(kept: Path) -> None:
    """What is written into a kept study continues its chain, and a release differs in that alone."""
    session: Session = open_study(kept, person=maker.OWNER)
    session.write("entity upsert", type="Nodule", keys=["n1"], columns={"size": [99.0]})
    assert session.read("dataset status", dataset="nodules").dirty
    session.write("dataset release", dataset="nodules", part="patch")
    found = session.read("dataset diff", old="nodules@1.1.0", new="nodules@1.1.1")
    assert [(one.table, one.changed) for one in found.tables] == [("Nodule", 1)]
    assert session.read("verify", full=True).intact
    session.ground.close()
