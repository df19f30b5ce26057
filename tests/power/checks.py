"""What must hold in every image of a power cut, for each of the workloads."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa
from power_model import Image

from commonground.errors import CommonGroundError
from commonground.operations.studies import open_study
from commonground.store import spool, sqlite_driver
from commonground.store.blobs import DirectoryBlobs
from commonground.structure.stored_files import list_file_uses
from commonground.structure.tables import asset

BLOB = re.compile(r"blobs/([0-9a-f]{2})/([0-9a-f]{62})$")
FEW_FILES = 25
"""Every so many images the product itself opens the store, which is slower."""


def blobs_are_kept(image: Image) -> list[str]:
    """Every name is that of its bytes; every acknowledged blob is there, until a sweep that left it out began."""
    there = {found[1] + found[2] for name in image.files if (found := BLOB.search(name))}
    faults = [f"the blob {name[-8:]} has wrong bytes" for name in image.files if is_wrong_blob(image, name)]
    promised: set[str] = set()
    for promise in image.acknowledged:
        # From the moment at which a sweep is announced, only what it keeps is promised.
        promised = set(promise["blobs"]) if promise.get("sweeps") else promised | set(promise["blobs"])
    faults += [f"the acknowledged blob {digest[:8]} is missing" for digest in sorted(promised - there)]
    if image.number % FEW_FILES == 0 and not faults:
        faults += in_a_folder(image, lambda place: store_works(place, promised))
    return faults


def store_works(place: Path, promised: set[str]) -> list[str]:
    """The product opens the store, finds no damage, takes blobs and sweeps."""
    blobs = DirectoryBlobs(place / "blobs")
    faults = [f"{damage.digest[:8]}: {damage.what}" for damage in blobs.find_damaged()]
    new = blobs.put_bytes(b"after the power cut").digest
    blobs.sweep({*promised, new}, blobs.begin_generation())
    blobs.sweep({*promised, new}, blobs.begin_generation())
    if set(blobs.iterate()) != {*promised, new}:
        faults.append("after a sweep the store does not hold exactly what is wanted")
    if any((blobs.root / "staging").iterdir()):
        faults.append("after a sweep there is rubbish")
    return faults


def spool_is_kept(image: Image) -> list[str]:
    """Every record whose sync was acknowledged is read back with what it says."""
    wanted = {number for promise in image.acknowledged for number in promise["records"]}
    if "run.spool" not in image.files:
        return [f"the spool with {len(wanted)} acknowledged records is missing"] if wanted else []
    ended = any(promise.get("ended") for promise in image.acknowledged)

    def look(place: Path) -> list[str]:
        content = spool.read(place / "run.spool")
        numbers = {record.payload["number"]: record.payload["text"] for record in content.records}
        faults = [f"the acknowledged record {number} is missing" for number in sorted(wanted - numbers.keys())]
        faults += [f"record {number} is wrong" for number, text in numbers.items() if text != "x" * (number % 97) * 5]
        if ended and not content.ended:
            faults.append("the spool was closed and has no end")
        return faults

    return in_a_folder(image, look)


def database_is_kept(image: Image) -> list[str]:
    """The database opens, is whole, and has every acknowledged row and no half of a commit."""
    rows = [promise["row"] for promise in image.acknowledged if "row" in promise]
    if not image.acknowledged and not image.files.get("study.sqlite"):
        return []

    def look(place: Path) -> list[str]:
        with closing(sqlite_driver.load_driver().connect(str(place / "study.sqlite"))) as connection:
            if connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                return ["the database is not whole"]
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'entry'").fetchall():
                return ["the acknowledged table is missing"] if image.acknowledged else []
            found = [row[0] for row in connection.execute("SELECT id FROM entry ORDER BY id")]
        faults = [f"the acknowledged row {row} is missing" for row in sorted(set(rows) - set(found))]
        if found != list(range(len(found))):
            faults.append("a later commit is there without an earlier one")
        if len(found) > len(rows) + 1:
            faults.append("there are commits that were never made")
        return faults

    return in_a_folder(image, look)


def catalogue_is_kept(image: Image) -> list[str]:
    """The study opens, has every acknowledged asset, and every file that a row needs is there, whole.

    Every few images it also verifies in full, chain and rows and files, and lists the files of each asset.
    """
    if not image.acknowledged:
        return []
    wanted = {promise["asset"]: promise["files"] for promise in image.acknowledged if "asset" in promise}
    blobs = {found[1] + found[2] for name in image.files if (found := BLOB.search(name))}
    faults = [f"the blob {name[-8:]} has wrong bytes" for name in image.files if is_wrong_blob(image, name)]

    def look(place: Path) -> list[str]:
        session = open_study(place / "study", person="Tester")
        try:
            with session.ground.database.read() as connection:
                names = set(connection.execute(sa.select(asset.c.name)).scalars())
                missing = {use.digest for use in list_file_uses(connection, session.ground.blobs)} - blobs
            told = [f"the acknowledged asset {name} is missing" for name in sorted(wanted.keys() - names)]
            told += [f"a row needs the blob {digest[:8]}, which is missing" for digest in sorted(missing)]
            if image.number % FEW_FILES == 0 and not told:
                told += session.read("verify", full=True).faults
                listed = {name: len(session.read("asset files", asset=name)) for name in wanted}
                told += [f"{name} has {count} files" for name, count in listed.items() if count != wanted[name]]
        finally:
            session.ground.close()
        return told

    return faults + in_a_folder(image, look)


def is_wrong_blob(image: Image, name: str) -> bool:
    """Whether a name of the blob store leads to other bytes than it says."""
    found = BLOB.search(name)
    return found is not None and hashlib.sha256(image.files[name]).hexdigest() != found[1] + found[2]


def in_a_folder(image: Image, look: Callable[[Path], list[str]]) -> list[str]:
    """Lay an image out and look at it; an error of ours or of the database is a fault."""
    with tempfile.TemporaryDirectory(prefix="cg-image-", dir=fastest_folder()) as folder:
        try:
            return look(image.write_to(Path(folder) / "image"))
        except (CommonGroundError, sqlite_driver.load_driver().Error, OSError) as error:
            return [f"it does not open: {error}"]


def fastest_folder() -> str | None:
    """A folder in memory, if there is one: an image need not outlive its check."""
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() else None
