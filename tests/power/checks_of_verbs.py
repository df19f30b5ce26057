"""What must hold in every image of a power cut during releases, backups, runs and erasures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from checks import BLOB, FEW_FILES, in_a_folder, is_wrong_blob
from power_model import Image

from commonground.errors import NotFound
from commonground.identity import read_rid
from commonground.operations import delivery
from commonground.operations.completing import DENY_LIST
from commonground.operations.frames import read_frame
from commonground.operations.session import Session
from commonground.operations.studies import open_study
from commonground.store import backup
from commonground.store.ground import FOLDER
from commonground.structure import datasets
from commonground.structure.stored_files import list_file_uses

Look = Callable[[Session], list[str]]


def releases_are_kept(image: Image) -> list[str]:
    """Every acknowledged version is there, every version that is there reads whole, and a backup is one or is none."""
    if not image.acknowledged:
        return []
    versions = {promise["version"] for promise in image.acknowledged if "version" in promise}
    given = max((promise.get("values", 0) for promise in image.acknowledged), default=0)
    backed_up = any(promise.get("backup") for promise in image.acknowledged)

    def look(session: Session) -> list[str]:
        with session.reading() as on:
            there = {str(one.number) for one in datasets.list_every_version(on.view)}
            told = [f"the acknowledged version {number} is missing" for number in sorted(versions - there)]
            changes = on.view.connection.exec_driver_sql("SELECT count(*) FROM change WHERE verb LIKE 'feature ann%'")
            if (found := changes.scalar_one()) < given:
                told.append(f"of {given} acknowledged values {found} are there")
            newest = max(there, default=None)
            if newest and not told and read_frame(on, dataset=f"items@{newest}").table.num_rows == 0:
                told.append(f"version {newest} is empty")
        return told

    def look_at_all(place: Path) -> list[str]:
        told = _in_study(image, place, look)
        if (place / "copy" / backup.MANIFEST).exists():
            if image.number % FEW_FILES == 0:
                told += [f"backup: {fault}" for fault in backup.verify_backup(place / "copy").faults]
        elif backed_up:
            told.append("the acknowledged backup is not finished")
        return told

    return _wrong(image) + in_a_folder(image, look_at_all)


def runs_are_kept(image: Image) -> list[str]:
    """Every acknowledged point of a run is there, and of a run that ended the end and the output, after a delivery."""
    if not image.acknowledged:
        return []
    points: dict[str, int] = {}
    ended = set()
    for promise in image.acknowledged:
        if "run" in promise:
            points[promise["run"]] = promise["points"]
            ended |= {promise["run"]} if promise.get("ended") else set()

    def look(session: Session) -> list[str]:
        told = [f"not delivered: {one.outcome}" for one in delivery.sync(session) if one.outcome not in DELIVERED]
        for run, count in points.items():
            try:
                record = session.read("execution get", execution=read_rid(run))
            except NotFound:
                told.append(f"the acknowledged run {run} is missing")
                continue
            found = record.metrics["auc"].points if "auc" in record.metrics else 0
            told += [f"of {count} acknowledged points of {run} {found} are there"] if found < count else []
            if run in ended and (record.execution.status != "finished" or not record.outputs):
                told.append(f"the acknowledged end of {run} is missing: {record.execution.status}")
        return told

    return _wrong(image) + in_a_folder(image, lambda place: _in_study(image, place, look))


DELIVERED = {"delivered", "closed", "cut off before it had begun"}


def erasures_are_kept(image: Image) -> list[str]:
    """What was erased is in no file; what was not is there; nothing erased shows in a study that is being restored."""
    if not image.acknowledged:
        return []
    erased = [promise["erased"] for promise in image.acknowledged if "erased" in promise]
    told = [
        f"{mark} is back in {name}" for mark in erased for name, data in image.files.items() if mark.encode() in data
        and not name.startswith("to/.cg-work-")
    ]  # fmt: skip
    restored = f"to/{FOLDER}/"
    told += [
        f"{mark} is back in {name}"
        for mark in ("ZQX-0-secret", "ZQX-1-secret")
        for name, data in image.files.items()
        if name.startswith(restored) and mark.encode() in data
    ]
    gone: list[str] = []

    def look(session: Session) -> list[str]:
        keys = set()
        with session.reading() as on:
            rows = on.view.connection.exec_driver_sql("SELECT count(*) FROM change WHERE verb = 'erase'")
            gone.extend(("ZQX-0-secret", "ZQX-1-secret")[: rows.scalar_one()])
            keys = set(read_frame(on, dataset="all@1.0.0").table["key"].to_pylist())
        wanted = {"ZQX-0-secret", "ZQX-1-secret", "other"} - set(gone)
        found = [] if keys == wanted else [f"the version has {sorted(keys)} instead of {sorted(wanted)}"]
        found += [f"the acknowledged erasure of {mark} is missing" for mark in erased if mark not in gone]
        return found

    def look_at_all(place: Path) -> list[str]:
        found = _in_study(image, place, look)
        study = place / "study" / FOLDER
        holding = [path for path in study.rglob("*") if path.is_file()]
        found += [
            f"{mark} is back in {path.name}" for mark in gone for path in holding if mark.encode() in path.read_bytes()
        ]
        listed = (study / DENY_LIST).read_text().splitlines() if (study / DENY_LIST).exists() else []
        if len([json.loads(line) for line in listed]) != len(gone):
            found.append(f"the list beside the study has {len(listed)} of {len(gone)} erasures")
        if any(promise.get("restored") for promise in image.acknowledged):
            with opened(place / "to") as session:
                found += session.read("verify", full=True).faults
        return found

    return told + _wrong(image) + in_a_folder(image, look_at_all)


def _wrong(image: Image) -> list[str]:
    return [f"the blob {name[-8:]} has wrong bytes" for name in image.files if is_wrong_blob(image, name)]


def _in_study(image: Image, place: Path, look: Look) -> list[str]:
    """Open the study, look, and see that every file that a row needs is there; now and then verify all of it."""
    blobs = {found[1] + found[2] for path in image.files if (found := BLOB.search(path))}
    with opened(place / "study") as session:
        with session.ground.database.read() as connection:
            missing = {use.digest for use in list_file_uses(connection, session.ground.blobs)} - blobs
        told = [f"a row needs the blob {digest[:8]}, which is missing" for digest in sorted(missing)]
        told += look(session)
        if image.number % FEW_FILES == 0 and not told:
            told += session.read("verify", full=True).faults
    return told


@contextmanager
def opened(folder: Path) -> Iterator[Session]:
    """A study in an image."""
    session = open_study(folder, person="Tester")
    try:
        yield session
    finally:
        session.ground.close()
