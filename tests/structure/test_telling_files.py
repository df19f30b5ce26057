"""Whether somebody may stand in an imported file: yes wherever the key is, in any form, and where it cannot be told."""

from __future__ import annotations

import io
import unicodedata
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonground.exchange.csv_tables import inspect
from commonground.structure.entities import clean_key
from commonground.structure.telling_files import may_stand_in


def parquet(**columns: Any) -> bytes:
    """The bytes of a Parquet file."""
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "key", "stands"),
    [
        ("a.csv", b"id,age\np1,61\np2,47\n", "p2", True),
        ("a.csv", b"id,age\np1,61\np22,47\n", "p2", False),
        ("a.csv", b"id,age\np1,7\n", "7", True),
        ("a.csv", b"id,age\np1,2017-07-01\n", "7", False),
        ("a.csv", b'id,age\n"a ""b"" c",61\n', 'a "b" c', True),
        ("a.csv", b'id,age\n"a\r\nb",61\n', "a\nb", True),
        ("a.tsv", "id\tage\nÅsa\t61\n".encode("utf-16"), "Åsa", True),
        ("a.tsv", unicodedata.normalize("NFD", "id\tage\nÅsa\t61\n").encode(), "Åsa", True),
        ("a.csv", "id;age\nÅsa;61\n".encode("cp1252"), "Åsa", True),
        ("a.csv", "id;age\nÅsa;61\n".encode("cp1252"), "p2", False),
        ("a.csv", "id,age\n佐藤,61\n".encode("iso2022_jp"), "佐藤", True),
        ("a.csv", b"id,age\np1,61\n", "佐藤", False),
        ("a.csv", b'id,age\na""b,61\n', 'a""b', True),
        ("a.csv", "id,age\np2,61\n".encode("utf-32"), "p2", True),
        ("a.csv", "id,age\np1,61\n".encode("utf-32"), "p2", False),
        ("a.csv", "id,age\np2,61\n".encode("cp037"), "p2", True),
        ("a.csv", b"\x00\x01\x02", "p2", True),
        ("a.xlsx", b"PK\x03\x04", "p2", True),
        ("a.parquet", b"PAR1 and nothing", "p2", True),
        ("a.parquet", parquet(id=["p1", "p2"]), "p2", True),
        ("a.parquet", parquet(id=["p1", "p22"]), "p2", False),
        ("a.parquet", parquet(id=[1, 7]), "7", True),
        ("a.parquet", parquet(id=[1.0, 7.0]), "7", True),
        ("a.parquet", parquet(id=[1.0, 1e17]), "100000000000000000", True),
        ("a.parquet", parquet(id=[1, 71]), "7", False),
        ("a.parquet", parquet(id=["p1"], note=[["seen with p2"]]), "p2", True),
        ("a.parquet", parquet(id=[b"p2"]), "p2", True),
        ("a.parquet", parquet(id=pa.array([1709632800000000], pa.timestamp("us"))), "2024-03-05T10:00:00", True),
        ("a.parquet", parquet(id=pa.array([1709632800000000], pa.timestamp("us"))), "2024-03-05T10:00:01", False),
        ("a.parquet", parquet(id=[Decimal("1.50")]), "1.5", True),
        ("a.parquet", parquet(id=[True]), "true", True),
    ],
)
def test_a_key_is_found_in_any_form(name: str, content: bytes, key: str, stands: bool) -> None:
    """Quoted, decomposed, in other codes, as a number; not within other words; and where nothing can be told, yes."""
    assert may_stand_in(content, name, [key]) is stands


@given(
    st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8), min_size=1, max_size=5)
)
def test_whatever_an_import_reads_as_a_key_is_found(tmp_path_factory: pytest.TempPathFactory, keys: list[str]) -> None:
    """Every key that the reader of delimited text finds in a file is found in its bytes."""
    path = tmp_path_factory.mktemp("keys") / "a.csv"
    lines = [f'"{key.replace(chr(34), chr(34) * 2)}",1' for key in keys]
    path.write_text("\n".join(["id,x", *lines, ""]), encoding="utf-8")
    draft = inspect(path, types={"id": "text"})
    if draft.faults:
        return
    for chunk in draft.chunks():
        for cell in chunk["id"]:
            if cell is not None:
                assert may_stand_in(path.read_bytes(), "a.csv", [clean_key(cell)])
