"""Guessing back what was erased: whoever holds the study, and knows all but one grade, learns nothing from any digest.

The attack: put each grade from 1 to 5 into the gap, in every form in which it lay in the study (rows of parts, whole
versions, Parquet files, imported tables, files, kept values, rows of batches), take the SHA-256 of each, with every
nonce and salt that can be found, and look whether it stands anywhere: in the database, in any file, in any file's name.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from commonground.errors import Conflict
from commonground.operations.assets import digest_of_listing
from commonground.operations.executions import finish_plan
from commonground.operations.restoring import restore_study
from commonground.operations.session import Session
from commonground.operations.studies import open_study
from commonground.store import schema
from commonground.store.canonical import Column, batch_row_digests, table_digest
from commonground.store.changes import canonical_json
from commonground.structure import parts, tables
from commonground.structure.datasets import list_every_version
from commonground.structure.features import get_feature
from commonground.structure.parts import NONCE_KEY, measure_rows, read_file, seal
from commonground.structure.versions import list_types, load_manifest

GRADES = range(1, 6)
TRUE = 4
KEYS = ["p1", "p2", "p3", "p4"]


@dataclass
class Gap:
    """Where the grade of one patient lay, and all that lay around it."""

    patient: int
    """The patient's rid."""
    tables: list[tuple[dict[str, Any], pa.Table]] = field(default_factory=list)
    """Parts with the grade in them: their table's entry, and their rows."""
    versions: list[tuple[list[dict[str, Any]], dict[str, str]]] = field(default_factory=list)
    """Versions: the tables of their manifests, and the content of each of their parts."""
    batch: list[dict[str, Any]] = field(default_factory=list)
    """The rows of the database that hold the grade."""
    columns: list[tuple[str, str]] = field(default_factory=list)
    """Their columns."""
    nonces: set[bytes] = field(default_factory=set)
    """The nonces of these parts, for an attacker who noted them."""


def readings(grade: int) -> bytes:
    """The imported table."""
    rows = "".join(f"{key},{grade if key == 'p3' else 2},Lee\n" for key in KEYS)
    return f"patient,grade,reader\n{rows}".encode()


def note(grade: int) -> bytes:
    """A small file that belongs to the patient."""
    return f"grade {grade}\n".encode()


def kept(patients: list[int], grade: int) -> bytes:
    """What a re-run kept."""
    buffer = io.BytesIO()
    values = [grade if place == 2 else 2 for place in range(len(patients))]
    pq.write_table(pa.table({"entity": patients, "value": values}), buffer)
    return buffer.getvalue()


def fill(session: Session, inbox: Path) -> list[int]:
    """Four patients, graded by an imported table, with files, a run that used one, a re-run, and two versions."""
    inbox.mkdir()
    columns = [{"name": "note", "holds": "asset"}, {"name": "scans", "holds": "asset"}, {"name": "age", "holds": "int"}]
    session.write("type add", name="Patient", columns=columns)
    session.write("entity upsert", type="Patient", keys=KEYS, columns={"age": [40, 41, 42, 43]})
    (inbox / "readings.csv").write_bytes(readings(TRUE))
    slots = {"rater": "reader", "values": ["grade"], "slots": True}
    session.write("import readings", path=inbox / "readings.csv", type="Patient", entity="patient", **slots)
    (inbox / "note.txt").write_bytes(note(TRUE))
    (inbox / "scans").mkdir()
    for number in range(3):
        (inbox / "scans" / f"{number}.txt").write_bytes(note(TRUE) * (number + 2))
    for path in ("note.txt", "scans"):
        session.write("asset add", path=inbox / path)
        with session.reading() as on:
            (row,) = on.view.list_rows(tables.asset, tables.asset.c.name == path)
        session.write("entity upsert", type="Patient", keys=["p3"], columns={path.removesuffix(".txt"): [row.rid]})
    session.write("dataset create", name="all", type="Patient", keys=KEYS, features=["grade"])
    session.write("dataset release", dataset="all")
    session.write("entity upsert", type="Patient", keys=["p1"], columns={"age": [50]})
    session.write("dataset release", dataset="all")
    with session.reading() as on:
        listed = on.view.rows(sa.select(tables.member.c.entity).order_by(tables.member.c.entity))
    patients = [row.entity for row in listed]
    run(session, kept(patients, TRUE))
    return patients


def run(session: Session, content: bytes) -> None:
    """An execution that used the version and the note, and kept values."""
    done = session.write("execution start", name="again", inputs=["all@2.0.0", "note.txt"])
    execution = done.plan.args["execution"]["rid"]
    blob = session.ground.blobs.put_bytes(content)
    asset, edge = session.ground.mint.many(2)
    fields = {"rid": asset, "name": "grade.parquet", "kind": "values", "digest": blob.digest, "size": blob.size}
    details = {"feature": "grade", "type": "Patient"}
    made = {"rid": edge, "src": execution, "dst": asset, "relation": "produced", "role": "grade", "details": details}
    changes = {"status": "finished", "ended_at": 5}
    session.commit(
        finish_plan(session.ground.mint, execution=execution, changes=changes, assets=[fields], edges=[made])
    )


def look(session: Session, patient: int) -> Gap:
    """All that an attacker can know of the places where a grade lies, but the grade."""
    gap = Gap(patient)
    with session.reading() as on:
        feature = get_feature(on.view, "grade")
        for version in list_every_version(on.view):
            manifest = load_manifest(on.view, on.ground.blobs, version.manifest)
            known = parts.find_contents(on.view.connection, [part.now or part.digest for part in manifest.parts])
            contents = {part.digest: known[part.now or part.digest] for part in manifest.parts}
            gap.versions.append((manifest.content["tables"], contents))
            entry = manifest.get_table(f"values/{feature.rid}")
            for part in manifest.parts:
                if part.table == entry["name"]:
                    gap.tables.append((entry, read_file(on.ground.blobs, part.blob)))
                    found = parts.find_part(on.view.connection, contents[part.digest])
                    gap.nonces |= {found.nonce} if found else set()
        table = feature.table
        names, types = schema.names_and_types(table)
        own = [pair for pair in zip(names, types, strict=True) if pair[0] not in {"batch", "ordinal"}]
        gap.columns = own
        rows = on.view.connection.execute(sa.select(table).where(table.c.entity == patient)).mappings()
        gap.batch = [dict(row) for row in rows]
    return gap


def fingerprints(session: Session, gap: Gap, patients: list[int], grade: int, noted: set[bytes]) -> Iterator[bytes]:
    """The SHA-256 of all that the study would hold if this were the grade."""
    yield hashlib.sha256(readings(grade)).digest()
    yield hashlib.sha256(kept(patients, grade)).digest()
    files = [note(grade)] + [note(grade) * (number + 2) for number in range(3)]
    for content in files:
        yield hashlib.sha256(content).digest()
    digests = [hashlib.sha256(content).hexdigest() for content in files[1:]]
    names = [f"{number}.txt" for number in range(3)]
    yield bytes.fromhex(digest_of_listing(names, digests, [len(content) for content in files[1:]]))
    nonces, salts = found_nonces(session) | noted, found_salts(session)
    for entry, rows in gap.tables:
        guessed = with_grade(rows, gap.patient, grade)
        content = measure_rows(guessed, list_types(entry), entry["order"])
        true = measure_rows(rows, list_types(entry), entry["order"])
        yield bytes.fromhex(content)
        for nonce in nonces:
            yield bytes.fromhex(seal(nonce, content))
        for nonce in (None, *nonces):
            yield hashlib.sha256(as_file(guessed, nonce)).digest()
        for listed, contents in gap.versions:
            told = {digest: content if known == true else known for digest, known in contents.items()}
            yield whole(listed, told)
    for row in gap.batch:
        cells = [Column(name, kind, [grade if name == "value" else row[name]]) for name, kind in gap.columns]  # type: ignore[arg-type]
        yield bytes.fromhex(table_digest([*cells, Column("ordinal", "int", [0])], ["ordinal"]))
        for salt in salts:
            yield from batch_row_digests(salt, cells)


def with_grade(rows: pa.Table, patient: int, grade: int) -> pa.Table:
    """The rows with another grade for the patient."""
    place = rows.schema.get_field_index("value")
    cells = pc.if_else(pc.equal(rows["entity"], patient), pa.scalar(grade, pa.int64()), rows["value"])
    return rows.set_column(place, "value", cells)


def as_file(rows: pa.Table, nonce: bytes | None) -> bytes:
    """The rows as the file that a release would write."""
    buffer = io.BytesIO()
    told = {NONCE_KEY: nonce.hex()} if nonce else None
    pq.write_table(rows.replace_schema_metadata(told), buffer, compression="zstd")
    return buffer.getvalue()


def whole(listed: list[dict[str, Any]], contents: dict[str, str]) -> bytes:
    """The digest of a version over the contents of its parts."""
    told = [
        [
            table["name"],
            [[column["name"], column["type"]] for column in table["columns"]],
            [[part["bucket"], contents.get(part["digest"], part["digest"])] for part in table["parts"] if part["rows"]],
        ]
        for table in listed
        if table["rows"]
    ]
    return hashlib.sha256(canonical_json(told).encode()).digest()


def found_nonces(session: Session) -> set[bytes]:
    """Every nonce that stands in the database or in a file of the study."""
    with session.ground.database.read() as connection:
        found = {bytes(nonce) for nonce in connection.execute(sa.select(tables.part.c.nonce)).scalars()}
    for digest in session.ground.blobs.iterate():
        content = session.ground.blobs.get_bytes(digest)
        if content.startswith(b"PAR1"):
            told = pq.ParquetFile(io.BytesIO(content)).metadata.metadata or {}
            found |= {bytes.fromhex(told[NONCE_KEY].decode())} if NONCE_KEY in told else set()
    return found


def found_salts(session: Session) -> set[bytes]:
    """Every salt of a row in a batch."""
    with session.ground.database.read() as connection:
        chunks = [bytes(salts) for salts in connection.execute(sa.select(schema.batch_chunk.c.salts)).scalars()]
    return {chunk[at : at + 16] for chunk in chunks for at in range(0, len(chunk), 16)}


def read_everything(session: Session) -> bytes:
    """All bytes of the study: its files with their names, and all columns of all tables of its database."""
    folder = session.ground.folder
    content = [str(path.relative_to(folder)).encode() for path in folder.rglob("*")]
    content += [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    with session.ground.database.read() as connection:
        for name in sa.inspect(connection).get_table_names():
            for row in connection.exec_driver_sql(f'SELECT * FROM "{name}"'):
                content += [bytes(cell) if isinstance(cell, bytes | memoryview) else str(cell).encode() for cell in row]
    return b"\n".join(content)


def attack(session: Session, gap: Gap, patients: list[int], noted: frozenset[bytes] = frozenset()) -> dict[int, int]:
    """How many digests of each grade stand somewhere in the study."""
    everything = read_everything(session)
    there = {bytes.fromhex(text.decode()) for text in re.findall(rb"(?=([0-9a-f]{64}))", everything.lower())}
    return {
        grade: sum(
            one in there or one in everything for one in set(fingerprints(session, gap, patients, grade, set(noted)))
        )
        for grade in GRADES
    }


@pytest.fixture
def patients(session: Session, tmp_path: Path) -> list[int]:
    """The rids of the four patients of a filled study."""
    return fill(session, tmp_path / "inbox")


def test_no_grade_can_be_guessed_after_an_erasure(session: Session, patients: list[int]) -> None:
    """Before the erasure the grade is found by its digests, and no other; after it none of the five is.

    Nor later, when there is a new release, and when somebody else is erased from the same part.
    """
    gap = look(session, patients[2])
    before = attack(session, gap, patients)
    assert before.pop(TRUE) > 5
    assert not any(before.values())
    session.write("erase", type="Patient", key="p3", basis="withdrawn consent")
    assert not any(attack(session, gap, patients).values())
    assert session.read("verify", full=True).faults == []

    session.write("dataset release", dataset="all")
    second = look(session, patients[1])
    before = attack(session, second, patients)
    assert before.pop(2) > 0
    assert not any(before.values())
    session.write("erase", type="Patient", key="p2", basis="withdrawn consent")
    for one in (gap, second):
        assert not any(attack(session, one, patients).values())
    assert session.read("verify", full=True).faults == []


def test_only_the_nonce_keeps_the_grade(session: Session, patients: list[int]) -> None:
    """Who noted the nonces before the erasure can still tell the grade: they are what an erasure must destroy."""
    gap = look(session, patients[2])
    session.write("erase", type="Patient", key="p3", basis="withdrawn consent")
    found = attack(session, gap, patients, frozenset(gap.nonces))
    assert found.pop(TRUE) > 0
    assert not any(found.values())


def test_a_restored_backup_tells_nothing_either(session: Session, patients: list[int], tmp_path: Path) -> None:
    """A backup made before the erasure, restored with today's list of erasures, has no digest of the grade left."""
    gap = look(session, patients[2])
    session.read("backup", folder=str(tmp_path / "copy"))
    session.write("erase", type="Patient", key="p3", basis="withdrawn consent")
    done = restore_study(tmp_path / "copy", tmp_path / "to", erased=session.ground.folder / "erased.jsonl")
    assert done.erased_again == 1
    assert done.restored.verification.faults == []
    opened = open_study(tmp_path / "to", person="Tester")
    assert not any(attack(opened, gap, patients).values())
    opened.ground.close()


def test_a_release_cannot_bring_back_what_is_being_erased(session: Session, patients: list[int]) -> None:
    """A release whose rows were read before an erasure is refused, and so is an erasure that knows of too little."""
    del patients
    session.write("entity upsert", type="Patient", keys=["p4"], columns={"age": [60]})
    late = session.plan("dataset release", dataset="all")
    erase = session.plan("erase", type="Patient", key="p3", basis="withdrawn consent")
    session.write("feature annotate", feature="grade", keys=["p3"], values=[1])
    with pytest.raises(Conflict):
        session.commit(erase)
    session.write("erase", type="Patient", key="p3", basis="withdrawn consent")
    with pytest.raises(Conflict):
        session.commit(late)
    assert session.write("dataset release", dataset="all").change is not None
