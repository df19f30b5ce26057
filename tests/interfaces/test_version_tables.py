"""A released version read from its Parquet files: by another engine, after an erasure, and with damaged bytes."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from commonground.errors import Corrupt, InvalidInput
from commonground.interfaces.client.study import Study
from commonground.operations.session import Session


@pytest.fixture
def study(session: Session) -> Study:
    """A study with a released dataset of three visits of two patients."""
    made = Study(session)
    made.entities.declare("Patient", [{"name": "age", "holds": "int"}])
    made.entities.declare("Visit", [{"name": "patient", "holds": "link", "target": "Patient"}])
    made.entities.upsert("Patient", ["p1", "p2"], {"age": [61, 47]})
    made.entities.upsert("Visit", ["v1", "v2", "v3"], {"patient": ["p1", "p1", "p2"]})
    made.features.add("pressure", type="Visit", holds="int")
    made.features.annotate("pressure", keys=["v1", "v2", "v3"], values=[120, 130, 110])
    made.datasets.create("visits", type="Visit", keys=["v1", "v2", "v3"], features=["pressure"])
    made.datasets.release("visits", why="to read")
    return made


def ages(study: Study) -> list[tuple[str, str, int, int]]:
    """Visit, patient, age and pressure as another engine joins them from the files."""
    tables = study.datasets.tables("visits@1.0.0")
    visit, patient, pressure = (
        pl.scan_parquet(list(tables[name].paths)).rename(dict(tables[name].columns))
        for name in ("Visit", "Patient", "Visit.pressure")
    )
    joined = visit.join(patient, left_on="patient", right_on="rid", suffix=" of patient")
    joined = joined.join(pressure, left_on="rid", right_on="entity").sort("key")
    return joined.select("key", "key of patient", "age", "value").collect().rows()


def test_the_files_say_what_the_frame_says(study: Study) -> None:
    """Another engine that reads the files lazily finds the rows, links and values, under the names people gave."""
    assert ages(study) == [("v1", "p1", 61, 120), ("v2", "p1", 61, 130), ("v3", "p2", 47, 110)]
    patients = study.datasets.tables("visits@1.0.0")["Patient"]
    assert patients.rows == patients.scan().count_rows() == 2
    assert patients.scan().head(1).rename_columns(list(patients.columns.values()))["age"].to_pylist() == [61]


def test_what_was_erased_is_in_no_file(study: Study) -> None:
    """After an erasure the files of the version are those without the rows, and the counts say so."""
    old = study.datasets.tables("visits@1.0.0")
    study.write("erase", type="Patient", key="p1", basis="withdrawn consent", why="asked for")
    new = study.datasets.tables("visits@1.0.0")
    assert ages(study) == [("v3", "p2", 47, 110)]
    assert {name: new[name].rows for name in ("Patient", "Visit", "Visit.pressure")} == {
        "Patient": 1,
        "Visit": 1,
        "Visit.pressure": 1,
    }
    assert not [path for path in old["Visit"].paths if Path(path).exists()]


def test_damaged_files_are_told_before_they_are_read(study: Study) -> None:
    """A file with other bytes is an error, unless looking at the bytes was left out on purpose."""
    (path,) = study.datasets.tables("visits@1.0.0")["Patient"].paths
    data = bytearray(Path(path).read_bytes())
    data[-1] ^= 1
    Path(path).chmod(0o600)
    Path(path).write_bytes(data)
    with pytest.raises(Corrupt):
        study.datasets.tables("visits@1.0.0")
    assert study.datasets.tables("visits@1.0.0", check=False)["Patient"].paths == (path,)
    with pytest.raises(InvalidInput, match="not released"):
        study.datasets.tables("visits@dev")
