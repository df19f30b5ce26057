"""Samples of a frame: what is in one, in worker processes as well, and what cannot become one."""

from __future__ import annotations

import multiprocessing
import operator
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from commonground.errors import Corrupt, InvalidInput, NotFound
from commonground.exchange.samples import Samples
from commonground.operations.frames import read_frame
from commonground.operations.samples import make_samples
from commonground.operations.session import Session
from commonground.structure.selectors import newest


@pytest.fixture
def scans(session: Session, tmp_path: Path) -> Session:
    """Four scans with a picture whose points all have the number of the scan, and a grade for three of them."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(4):
        Image.fromarray(np.full((2, 3), number, np.uint8)).save(folder / f"s{number}.png")
    session.write("vocabulary add", name="side", terms=["right", "left"])
    columns = [{"name": "size", "holds": "real"}, {"name": "side", "holds": "term", "target": "side"}]
    columns += [{"name": "sent", "holds": "instant"}, {"name": "usable", "holds": "bool"}]
    session.write("type add", name="Scan", columns=columns)
    keys = [f"s{number}" for number in range(4)]
    cells = {
        "size": [0.1, 1.0, 2.0, 3.0],
        "side": ["left", "right", "left", "right"],
        "sent": ["2024-03-05T10:20:30Z"] * 4,
        "usable": [True, False, True, True],
    }
    session.write("entity upsert", type="Scan", keys=keys, columns=cells)
    session.write("import pictures", path=folder, match="{scan}.png", type="Scan")
    session.write("feature add", name="grade", type="Scan", holds="int")
    session.write("feature annotate", feature="grade", type="Scan", keys=keys[:3], values=[1, 2, 3])
    session.write("dataset create", name="scans", type="Scan", keys=keys, features=["grade"])
    session.write("dataset release", dataset="scans", why="to train on")
    return session


def table_of(session: Session, *columns: str, graded: bool = False) -> pa.Table:
    """Columns of the released version, with the grade if it is asked for."""
    features = {"grade": newest()} if graded else {}
    with session.reading() as on:
        return read_frame(on, dataset="scans@1.0.0", features=features, columns=list(columns)).table


def samples_of(session: Session, table: pa.Table, **more) -> Samples:
    """The samples of a table."""
    with session.reading() as on:
        return make_samples(on, table, **more)


def test_a_sample_has_the_row_and_its_picture(scans: Session) -> None:
    """A sample holds the rid, plain numbers, a term's place among its classes, and the decoded picture."""
    table = table_of(scans, "key", "picture", "size", "side", "sent", "usable")
    samples = samples_of(scans, table)
    assert len(samples) == 4
    assert samples.classes == {"side": ("right", "left")}
    first = samples[0]
    picture = first.pop("picture")
    assert (picture.dtype, picture.shape) == (np.uint8, (2, 3))
    assert first == {
        "rid": table["rid"][0].as_py(),
        "key": "s0",
        "size": np.float32(0.1),
        "side": 1,
        "sent": "2024-03-05T10:20:30Z",
        "usable": True,
    }
    assert {name: type(value) for name, value in first.items()} == {
        "rid": int,
        "key": str,
        "size": np.float32,
        "side": int,
        "sent": str,
        "usable": bool,
    }


def test_the_order_is_that_of_the_frame(scans: Session) -> None:
    """Samples, batches, negative places and iteration follow the rows of the table, also of a chosen part of them."""
    table = table_of(scans, "picture").take([3, 1, 2])
    samples = samples_of(scans, table)
    numbers = [sample["picture"][0, 0].item() for sample in samples]
    assert numbers == [3, 1, 2]
    assert samples.rids.tolist() == table["rid"].to_pylist()
    assert [sample["rid"] for sample in samples.__getitems__([2, -3])] == [samples.rids[2], samples.rids[0]]
    assert samples[np.int64(1)]["rid"] == samples.rids[1]
    for index in (3, -4):
        with pytest.raises(IndexError):
            samples[index]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes_give_the_same_samples(scans: Session, method: str) -> None:
    """Forked and spawned processes decode the same samples in the same order, without the study being open there."""
    samples = samples_of(scans, table_of(scans, "picture", "size"), transform=operator.itemgetter("rid", "size"))
    with warnings.catch_warnings():
        # Later Pythons warn of any fork beside threads, which this test asks for.
        warnings.simplefilter("ignore", DeprecationWarning)
        pool = multiprocessing.get_context(method).Pool(2)
    with pool:
        assert pool.map(samples.__getitem__, range(4)) == list(samples)
        assert pool.apply(samples.__getitems__, ([2, 0],)) == [samples[2], samples[0]]


def test_a_file_can_be_read_by_a_function_of_ones_own(scans: Session) -> None:
    """`read` gets the bytes of each file, `transform` the whole sample."""
    samples = samples_of(scans, table_of(scans, "picture"), read=len, transform=operator.itemgetter("picture"))
    assert all(60 < size < 120 for size in samples)


def test_rows_with_empty_cells_are_refused_or_left_out(scans: Session) -> None:
    """A row without a value is an error that names the column and counts, or is left out when that is asked for."""
    table = table_of(scans, "picture", graded=True)
    with pytest.raises(InvalidInput) as told:
        samples_of(scans, table)
    assert told.value.faults == ("grade: 1 of 4 are empty",)
    assert [sample["grade"] for sample in samples_of(scans, table, missing="drop")] == [1, 2, 3]
    with pytest.raises(InvalidInput, match="cannot be"):
        samples_of(scans, table, missing="keep")


def test_what_cannot_become_samples_is_told_at_once(scans: Session) -> None:
    """Unknown types, terms of another vocabulary and gaps are listed together; a table without rid is not taken."""
    table = table_of(scans, "side", graded=True)
    side = table.schema.field("side")
    table = table.set_column(1, side, pa.array(["left", "up", "left", "down"]))
    table = table.append_column("lists", pa.array([[1], [2], [3], [4]]))
    with pytest.raises(InvalidInput) as told:
        samples_of(scans, table)
    assert told.value.faults == (
        "side: 2 terms are none of right, left",
        "grade: 1 of 4 are empty",
        "lists: a sample cannot hold list<item: int64>",
    )
    with pytest.raises(InvalidInput, match="no column rid"):
        samples_of(scans, table.drop_columns(["rid"]))


def test_wrong_bytes_are_never_a_sample(scans: Session) -> None:
    """A picture whose bytes changed on disk, or that is gone, is an error and not a picture."""
    samples = samples_of(scans, table_of(scans, "picture"))
    files = sorted(Path(file.path) for file in samples._columns.listed)
    files[0].chmod(0o600)
    files[0].write_bytes(files[1].read_bytes())
    with pytest.raises(Corrupt, match="not what was recorded"):
        list(samples)
    files[0].unlink()
    with pytest.raises(NotFound, match="cannot be read"):
        list(samples)


def test_files_that_were_left_where_they_lie_are_checked_too(session: Session, tmp_path: Path) -> None:
    """A file by reference is read from its own place, and refused when it is another file by now."""
    path = tmp_path / "notes.bin"
    path.write_bytes(b"first")
    asset = session.write("asset add", path=path, reference=True).plan.args["assets"][0]["rid"]
    session.write("type add", name="Note", columns=[{"name": "file", "holds": "asset"}])
    session.write("entity upsert", type="Note", keys=["n"], columns={"file": [asset]})
    session.write("dataset create", name="notes", type="Note", keys=["n"])
    with session.reading() as on:
        samples = make_samples(on, read_frame(on, dataset="notes@dev", columns=["file"]).table, read=bytes)
    assert samples[0]["file"] == b"first"
    path.write_bytes(b"other")
    with pytest.raises(Corrupt):
        samples[0]
