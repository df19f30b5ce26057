"""Which files are kept as code, and in which form."""

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonground.structure.code_files import (
    Gathering,
    Limits,
    blob_id,
    in_order,
    recorded_form,
    walk,
    without_outputs,
)


def test_a_blob_has_the_id_that_git_gives():
    """Two ids published by git: the empty blob in both hashes."""
    assert blob_id(b"", "sha1") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert blob_id(b"", "sha256") == "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813"


@settings(deadline=None)
@given(data=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_text_is_kept_byte_for_byte(data):
    """What is UTF-8 without NUL is kept exactly, unless something was screened; all else is not text."""
    form = recorded_form("x.txt", data, "100644")
    try:
        plain = b"\0" not in data and data.decode() is not None
    except UnicodeDecodeError:
        plain = False
    assert (form is not None) == plain
    if form is not None and not form.removed:
        assert form.text.encode() == data


CELL = st.fixed_dictionaries(
    {"cell_type": st.just("code"), "source": st.lists(st.text(max_size=5), max_size=2), "metadata": st.just({})},
    optional={
        "outputs": st.lists(st.fixed_dictionaries({"text": st.just("canary")}), max_size=2),
        "execution_count": st.none() | st.integers(0, 9),
        "attachments": st.just({"a.png": "canary"}),
    },
)
BOOK = st.fixed_dictionaries(
    {
        "cells": st.lists(CELL, max_size=3),
        "metadata": st.dictionaries(st.sampled_from(["widgets", "k"]), st.just("canary")),
    }
)


@settings(deadline=None)
@given(book=BOOK)
def test_a_notebook_loses_its_outputs_and_nothing_else(book):
    """Outputs, attachments and widget states go, sources stay, and a notebook without outputs is left as it is."""
    text = json.dumps(book)
    clean = json.loads(without_outputs(text))
    assert [cell["source"] for cell in clean["cells"]] == [cell["source"] for cell in book["cells"]]
    assert not any(cell.get("outputs") or cell.get("attachments") for cell in clean["cells"])
    assert "widgets" not in clean["metadata"]
    assert without_outputs(without_outputs(text)) == without_outputs(text)
    if clean == book:
        assert without_outputs(text) == text


@pytest.mark.parametrize("text", ["", "[]", "{", '{"cells": 1}', '{"cells": [1]}', '{"metadata": 3}', "[" * 100_000])
def test_what_is_no_notebook_is_left_as_it_is(text):
    """A file with the suffix of a notebook that is none is kept as text."""
    assert without_outputs(text) == text


def test_code_comes_first():
    """Within the limits code and configuration are preferred to other text."""
    assert in_order(["a.txt", "z.py", "b/m.yaml", "A"]) == ["b/m.yaml", "z.py", "A", "a.txt"]


def test_an_unreadable_folder_is_named(tmp_path):
    """A folder that vanishes or cannot be read is named, and the walk goes on."""
    (tmp_path / "gone").mkdir()
    (tmp_path / "x.py").write_text("x")
    gathering = Gathering(tmp_path, Limits())
    found = walk(gathering)
    assert next(found) == "x.py"
    (tmp_path / "gone").rmdir()
    assert list(found) == []
    assert [(one.path, one.reason) for one in gathering.not_kept] == [("gone/", "cannot be read")]


def test_a_file_that_vanishes_is_named(tmp_path):
    """A file that is gone when its turn comes does not end the capture."""
    gathering = Gathering(tmp_path, Limits())
    assert gathering.offer("gone.py") is None
    assert [(one.path, one.reason) for one in gathering.not_kept] == [("gone.py", "cannot be read")]


def test_a_walk_that_is_too_long_is_given_up(tmp_path):
    """After the number of names that are counted, folders are named as not counted."""
    for n in range(30):
        (tmp_path / "many").mkdir(exist_ok=True)
        (tmp_path / "many" / f"{n}.py").write_text("x")
    (tmp_path / "many" / "deep").mkdir()
    gathering = Gathering(tmp_path, Limits(looked_at=2))
    assert len(list(walk(gathering))) <= 22
    assert not gathering.complete
    assert "many/" in [one.path for one in gathering.not_kept]


def test_links_are_never_followed(tmp_path):
    """A link to a folder is not walked into, and a link to a file is kept as a link."""
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "real.py").write_text("x")
    (tmp_path / "folder").symlink_to("inside")
    (tmp_path / "up").symlink_to("/")
    (tmp_path / "odd").symlink_to(os.fsdecode(b"\xff"))
    gathering = Gathering(tmp_path, Limits())
    gathering.offer_all(walk(gathering))
    assert {path: file.mode for path, file in gathering.kept.items()} == {
        "folder": "120000",
        "inside/real.py": "100644",
    }
    assert {one.path: one.reason for one in gathering.not_kept} == {
        "odd": "its name is not UTF-8", "up": "a link that leads outside",
    }  # fmt: skip
