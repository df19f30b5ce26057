"""Parts: rows and nonce give the digest, neither alone does, and nothing that is read from a part carries its nonce."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from commonground.operations.session import Session
from commonground.store.blobs import DirectoryBlobs
from commonground.store.canonical import Column, table_digest
from commonground.structure import parts, tables
from commonground.structure.datasets import list_every_version
from commonground.structure.parts import NONCE_KEY, measure_file, measure_rows, new_nonce, read_file, seal, write_file
from commonground.structure.versions import load_manifest, unseal
from measured import measure_files

TYPES = {"rid": "int", "age": "int", "size": "real", "note": "text"}
INTS = st.integers(-(1 << 63), (1 << 63) - 1)
ROWS = st.dictionaries(
    INTS,
    st.tuples(
        INTS | st.none(),
        st.floats(allow_nan=False) | st.none(),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.none(),
    ),
    max_size=20,
)


def as_columns(rows: dict[int, tuple[object, ...]]) -> list[Column]:
    """The rows as columns, in the order of their rids."""
    listed = [(rid, *rows[rid]) for rid in sorted(rows)]
    cells = zip(*listed, strict=True) if listed else [[]] * len(TYPES)
    return [Column(name, kind, list(cell)) for (name, kind), cell in zip(TYPES.items(), cells, strict=True)]  # type: ignore[arg-type]


@given(rows=ROWS)
def test_a_file_gives_the_content_that_was_written(rows: dict[int, tuple[object, ...]]) -> None:
    """Rows that were written as Parquet and read again have the content digest that they had before."""
    columns = as_columns(rows)
    buffer = io.BytesIO()
    pq.write_table(parts.to_arrow(columns), buffer)
    again = pq.read_table(io.BytesIO(buffer.getvalue()))
    assert measure_rows(again, TYPES, ["rid"]) == table_digest(columns, ["rid"])


def test_a_digest_is_of_rows_and_nonce(tmp_path: Path) -> None:
    """The same rows under two nonces have two digests and two files; each file gives its own digest."""
    rows = parts.to_arrow(as_columns({1: (40, 0.5, "a"), 2: (None, None, None)}))
    content = measure_rows(rows, TYPES, ["rid"])
    blobs = DirectoryBlobs(tmp_path / "blobs")
    found = set()
    for number in range(2):
        nonce = new_nonce()
        write_file(tmp_path / f"{number}.parquet", rows, nonce)
        blob = blobs.put_file(tmp_path / f"{number}.parquet").digest
        assert measure_file(blobs, blob, TYPES, ["rid"]) == seal(nonce, content) != content
        found |= {blob, seal(nonce, content)}
    assert len(found) == 4


def test_what_is_read_carries_no_nonce(tmp_path: Path) -> None:
    """The rows of a part come without its nonce, so that a redacted form cannot take it along."""
    blobs = DirectoryBlobs(tmp_path / "blobs")
    write_file(tmp_path / "part.parquet", pa.table({"rid": [1]}), new_nonce())
    blob = blobs.put_file(tmp_path / "part.parquet").digest
    assert NONCE_KEY in pq.read_schema(blobs.path(blob)).metadata
    assert read_file(blobs, blob).schema.metadata is None
    pq.write_table(pa.table({"rid": [1]}), tmp_path / "bare.parquet")
    assert measure_file(blobs, blobs.put_file(tmp_path / "bare.parquet").digest, {"rid": "int"}, ["rid"]) == ""


def release(session: Session) -> None:
    """A dataset of two patients, released twice, with a change of one patient between."""
    session.write("type add", name="Patient", columns=[{"name": "age", "holds": "int"}])
    session.write("entity upsert", type="Patient", keys=["a", "b"], columns={"age": [40, 50]})
    session.write("feature add", name="grade", type="Patient", holds="int")
    session.write("feature annotate", feature="grade", keys=["a", "b"], values=[1, 2])
    session.write("dataset create", name="all", type="Patient", keys=["a", "b"], features=["grade"])
    session.write("dataset release", dataset="all")
    session.write("entity upsert", type="Patient", keys=["a"], columns={"age": [41]})
    session.write("dataset release", dataset="all")


def test_an_unchanged_part_is_not_written_again(session: Session) -> None:
    """Two versions share the file and the digest of every part that says the same, and of no other."""
    release(session)
    with session.reading() as on:
        second, first = (load_manifest(on.view, on.ground.blobs, v.manifest) for v in list_every_version(on.view)[::-1])
        for old, new in zip(first.parts, second.parts, strict=True):
            assert (old.table, old.bucket) == (new.table, new.bucket)
            assert (old.digest == new.digest) == (old.blob == new.blob) == (not old.table.startswith("entities/"))
        assert unseal(on.view.connection, first).digest == measure_files(on.ground.blobs, first).digest
        assert first.digest != measure_files(on.ground.blobs, first).digest


def test_a_lost_file_is_written_again_as_it_was(session: Session) -> None:
    """A part whose file was lost is written again by the next release, with its nonce: both versions have it back."""
    release(session)
    with session.reading() as on:
        versions = list_every_version(on.view)
        manifest = load_manifest(on.view, on.ground.blobs, versions[-1].manifest)
        part = next(part for part in manifest.parts if part.table.startswith("values/"))
    session.ground.blobs.path(part.blob).unlink()
    assert not session.read("verify").intact
    session.write("entity upsert", type="Patient", keys=["b"], columns={"age": [51]})
    session.write("dataset release", dataset="all")
    assert session.read("verify", full=True).faults == []


def test_a_part_with_other_rows_is_found(session: Session, tmp_path: Path) -> None:
    """A whole file under its right SHA-256, but with rows that the version does not tell of, is a fault."""
    release(session)
    session.write("erase", type="Patient", key="a", basis="withdrawn consent")
    assert session.read("verify", full=True).faults == []
    with session.ground.database.write() as connection:
        row = connection.execute(sa.select(tables.redaction)).first()
        assert row is not None
        there = read_file(session.ground.blobs, row.replacement)
        write_file(tmp_path / "other.parquet", there.slice(0, 0), new_nonce())
        other = session.ground.blobs.put_file(tmp_path / "other.parquet").digest
        here = tables.redaction.c.blob == row.blob
        connection.execute(sa.update(tables.redaction).where(here).values(replacement=other))
    (fault,) = session.read("verify", full=True).faults
    assert other in fault
    assert "not what the version says" in fault
    assert session.read("verify").intact
