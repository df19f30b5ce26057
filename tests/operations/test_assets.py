"""Files and folders as assets: delivered once, compared, checked out, by reference, refused when they are unsafe."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from commonground.errors import CommonGroundError, Conflict, InvalidInput, NotFound
from commonground.operations.session import Session
from commonground.structure.tables import asset as asset_table

PAST_NS = 10_000_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five files in two folders, old enough for the cache to believe in them, two of them alike."""
    place = tmp_path / "scans"
    for name, content in {
        "a/1.png": b"one",
        "a/2.png": b"two",
        "b/1.png": b"one",
        "b/3.txt": b"three",
        "z": b"",
    }.items():
        write(place / name, content)
    return place


def write(path: Path, content: bytes) -> None:
    """A file with these bytes that was written ten seconds ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    then = path.stat().st_mtime_ns - PAST_NS
    os.utime(path, ns=(then, then))


def count_assets(session: Session) -> int:
    """How many assets there are."""
    with session.reading() as on:
        return len(on.view.list_rows(asset_table))


def test_a_folder_becomes_one_series_that_comes_out_as_it_went_in(session: Session, folder: Path) -> None:
    """Every path and every byte of the folder is in the one that is checked out, and nothing else."""
    done = session.write("asset add", path=folder)
    assert (done.plan.effect["adds"], done.plan.effect["files"]) == ("series scans", 5)
    assert count_assets(session) == 1
    listed = session.read("asset files", asset="scans")
    assert [one["path"] for one in listed] == ["a/1.png", "a/2.png", "b/1.png", "b/3.txt", "z"]
    assert sum(one["bytes"] for one in listed) == 14
    target = folder.parent / "out"
    assert session.read("asset check-out", asset="scans", folder=target).files == 5
    there = {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert there == {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_second_delivery_changes_nothing(session: Session, folder: Path) -> None:
    """The same folder again, also without its cache, makes no change and no asset."""
    first = session.write("asset add", path=folder)
    assert session.write("asset add", path=folder).change is None
    (session.ground.cache_folder / "files.stat").unlink(missing_ok=True)
    assert session.write("asset add", path=folder).change is None
    assert count_assets(session) == 1
    with session.reading() as on:
        assert first.change is not None
        assert on.view.change == first.change.id


def test_a_changed_folder_is_a_new_series_and_the_old_one_stays(session: Session, folder: Path) -> None:
    """The difference names what was added, removed and changed; both series can still be checked out."""
    old = session.write("asset add", path=folder).plan.anchors[0]
    write(folder / "a/2.png", b"two, again")
    write(folder / "c/new.png", b"new")
    (folder / "z").unlink()
    plan = session.plan("asset add", path=folder)
    assert (plan.effect["added"], plan.effect["removed"], plan.effect["changed"]) == (1, 1, 1)
    new = session.commit(plan).plan.anchors[0]
    found = session.read("asset diff", asset="scans")
    assert (found.old, found.new, found.same) == (old, new, 3)
    assert (found.added, found.removed, found.changed) == (("c/new.png",), ("z",), ("a/2.png",))
    for rid, content in ((old, b"two"), (new, b"two, again")):
        target = folder.parent / f"out-{rid}"
        session.read("asset check-out", asset=rid, folder=target, match=["a/"])
        assert sorted(path.name for path in target.rglob("*.png")) == ["1.png", "2.png"]
        assert (target / "a/2.png").read_bytes() == content


def test_each_file_can_be_an_asset_of_its_own(session: Session, folder: Path) -> None:
    """With `each` every file is one, those with the same name and bytes are there once more only if they are new."""
    done = session.write("asset add", path=folder / "a", each=True, kind="picture")
    assert done.plan.effect == {"adds": "2 files", "files": 2, "there already": 0, "bytes": 6, "kept": "stored"}
    write(folder / "a/4.png", b"four")
    again = session.write("asset add", path=folder / "a", each=True, kind="picture")
    assert (again.plan.effect["files"], again.plan.effect["there already"]) == (1, 2)
    assert session.write("asset add", path=folder / "a/4.png", kind="picture").change is None
    target = folder.parent / "one"
    session.read("asset check-out", asset="4.png", folder=target)
    assert (target / "4.png").read_bytes() == b"four"


def test_bytes_stay_where_they_are_by_reference(session: Session, folder: Path) -> None:
    """No blob is made, the digests are known, and a check-out says where the files lie."""
    session.write("asset add", path=folder, reference=True)
    assert list(session.ground.blobs.iterate()) == []
    assert len(session.read("asset files", asset="scans")) == 5
    with pytest.raises(InvalidInput) as caught:
        session.read("asset check-out", asset="scans", folder=folder.parent / "out")
    assert str(folder) in str(caught.value)
    assert not (folder.parent / "out").exists()
    assert session.write("asset add", path=folder, reference=True).change is None
    assert session.write("asset add", path=folder).change is not None
    assert session.read("asset check-out", asset="scans", folder=folder.parent / "out").files == 5


def test_the_files_of_a_series_outlive_a_collection_and_verify(session: Session, folder: Path) -> None:
    """A collection keeps every file of every series, also one with a single file, and verification finds them all."""
    session.write("asset add", path=folder)
    session.write("asset add", path=folder / "b", name="one folder")
    single = folder / "alone"
    write(single / "1.png", b"only")
    session.write("asset add", path=single)
    before = set(session.ground.blobs.iterate())
    session.read("gc")
    assert set(session.ground.blobs.iterate()) == before
    assert not session.read("verify").faults


def test_a_file_that_changes_meanwhile_is_refused(session: Session, folder: Path) -> None:
    """What was planned is what is kept: other bytes at the moment of keeping are refused and nothing is recorded."""
    plan = session.plan("asset add", path=folder)
    write(folder / "a/2.png", b"other")
    with pytest.raises(InvalidInput, match="changed while"):
        session.commit(plan)
    assert count_assets(session) == 0


def test_what_is_no_file_is_told_and_left_out(session: Session, folder: Path) -> None:
    """Links are not followed and are named in the effect; an empty folder and a missing path are refused."""
    (folder / "link").symlink_to("/etc/passwd")
    plan = session.plan("asset add", path=folder)
    assert plan.effect["left out"] == ["link"]
    assert plan.effect["files"] == 5
    (folder.parent / "empty").mkdir()
    with pytest.raises(InvalidInput, match="no file"):
        session.plan("asset add", path=folder.parent / "empty")
    with pytest.raises(NotFound):
        session.plan("asset add", path=folder / "nowhere")


def test_twins_that_other_systems_take_for_one_file_are_refused(session: Session, folder: Path) -> None:
    """Names that differ in case only could not be checked out everywhere: all are told at once."""
    write(folder / "A/1.png", b"x")
    with pytest.raises(CommonGroundError):
        session.plan("asset add", path=folder)
    assert count_assets(session) == 0


def test_a_file_in_the_way_is_kept(session: Session, folder: Path) -> None:
    """A check-out over a file with other bytes is a conflict, and that file stays as it is."""
    session.write("asset add", path=folder)
    target = folder.parent / "out"
    write(target / "a/1.png", b"mine")
    with pytest.raises(Conflict):
        session.read("asset check-out", asset="scans", folder=target)
    assert (target / "a/1.png").read_bytes() == b"mine"


def test_words_that_contradict_each_other_are_refused(session: Session, folder: Path) -> None:
    """A series has no kind but its own, and files added each by itself have no common name."""
    with pytest.raises(InvalidInput):
        session.plan("asset add", path=folder, kind="picture")
    with pytest.raises(InvalidInput):
        session.plan("asset add", path=folder, each=True, name="all")
    with pytest.raises(InvalidInput):
        session.plan("asset add", path=folder / "z", kind="series")


def test_only_series_are_compared_and_one_is_the_same_as_itself(session: Session, folder: Path) -> None:
    """A series differs in nothing from itself or from one of another name with the same files; a file is refused."""
    first = session.write("asset add", path=folder).plan.anchors[0]
    second = session.write("asset add", path=folder, name="again").plan.anchors[0]
    for before in (first, second):
        found = session.read("asset diff", asset=second, before=before)
        assert (found.added, found.removed, found.changed, found.same) == ((), (), (), 5)
    file = session.write("asset add", path=folder / "a/1.png").plan.anchors[0]
    with pytest.raises(InvalidInput, match="Only series"):
        session.read("asset diff", asset=file, before=first)


def test_series_compared_with_the_one_before_count_what_they_share(session: Session, folder: Path) -> None:
    """The effect of a delivery counts files by path, also when one took the bytes of another, or none is left."""
    session.write("asset add", path=folder)
    write(folder / "a/2.png", b"one")
    (folder / "a/1.png").rename(folder / "a/9.png")
    effect = session.plan("asset add", path=folder).effect
    assert (effect["added"], effect["removed"], effect["changed"]) == (1, 1, 1)
    session.write("asset add", path=folder)
    effect = session.plan("asset add", path=folder / "b", name="scans").effect
    assert (effect["added"], effect["removed"], effect["changed"]) == (2, 5, 0)


def test_names_of_files_are_screened_and_paths_of_a_series_are_told(session: Session, tmp_path: Path) -> None:
    """A file, each of a folder and an imported table are named without it; a series keeps its paths and says so."""
    folder = tmp_path / "scans"
    write(folder / "MRN_1234567.csv", b"nodule\nn1\n")
    session.write("asset add", path=folder / "MRN_1234567.csv")
    assert session.plan("asset add", path=folder, each=True).nothing
    series = session.plan("asset add", path=folder)
    assert "1234567" not in str(series.effect["notes"])
    assert series.bulk[0].columns["path"] == ["MRN_1234567.csv"]
    session.write("import table", path=folder / "MRN_1234567.csv", type="Nodule", key="nodule")
    with session.reading() as on:
        assert {row.name for row in on.view.list_rows(asset_table)} == {"MRN [removed: medical record number].csv"}
