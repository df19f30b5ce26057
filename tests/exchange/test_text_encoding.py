"""Which encoding a text file is in."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonground.errors import BrokenFile, InvalidInput
from commonground.exchange.text_encoding import find_encoding

TEXT = "name;ort\r\nJürgen;Köln € Süd\r\n"


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("utf-16", "utf-16"), ("utf-32", "utf-32"),
        ("cp1252", "cp1252"),
    ],
)  # fmt: skip
def test_the_encoding_is_found_and_the_text_is_the_same(tmp_path, written, name):
    """By its mark, by being UTF-8, or as Windows-1252; line ends stay as they are."""
    path = tmp_path / "a.csv"
    path.write_bytes(TEXT.encode(written))
    found = find_encoding(path)
    assert found.name == name
    with found.open(path) as file:
        assert file.read() == TEXT
    assert bool(found.note) == (written != "utf-8")


def test_big_endian_marks_are_known(tmp_path):
    """UTF-16 with its mark in the other order is the same text."""
    path = tmp_path / "a.csv"
    path.write_bytes("\ufeff".encode("utf-16-be") + TEXT.encode("utf-16-be"))
    with find_encoding(path).open(path) as file:
        assert file.read() == TEXT


def test_bytes_without_meaning_in_windows_1252_make_it_latin_1(tmp_path):
    """A byte that Windows-1252 does not define leads to Latin-1, which the note says."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"a\n\xe9\x81\n")
    found = find_encoding(path)
    assert (found.name, found.note) == (
        "latin-1",
        "not UTF-8; read as latin-1: check the accents, or state the encoding",
    )


def test_a_few_wrong_bytes_do_not_spoil_the_accents_of_utf_8(tmp_path):
    """A file that is mostly UTF-8 stays UTF-8, and its wrong bytes become lone surrogates."""
    path = tmp_path / "a.csv"
    path.write_bytes("käse äöü\n".encode() + b"caf\xe9\n")
    found = find_encoding(path)
    assert (found.name, found.note) == ("utf-8", "encoding utf-8 with 1 wrong bytes")
    with found.open(path) as file:
        assert file.read() == "käse äöü\ncaf\udce9\n"


def test_an_encoded_lone_surrogate_is_not_taken_for_windows_1252(tmp_path):
    """The three bytes of a lone surrogate are wrong UTF-8, not three letters."""
    path = tmp_path / "a.csv"
    for content in (b"a\n\xed\xa0\x80\n", b"a\n\xed\xa0\x80\n\xe9\n"):
        path.write_bytes(content)
        assert find_encoding(path).name == "utf-8"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (gzip.compress(b"a\n1\n", mtime=0), "gzip"), (b"PK\x03\x04...", "zip"), (b"PAR1...", "Parquet"),
        (b"\xd0\xcf\x11\xe0...", "old Excel"), ("a;b\n1;2\n".encode("utf-16-le"), "UTF-16 without its mark"),
    ],
)  # fmt: skip
def test_what_is_no_text_is_refused_for_what_it_is(tmp_path, content, words):
    """Archives, workbooks, Parquet and unmarked UTF-16 are named in the error."""
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(BrokenFile, match=words):
        find_encoding(path)


@pytest.mark.parametrize("name", ["no-such", "hex", "rot13", "zlib", "", "a\0b", "utf7", "unicode_escape", "idna"])
def test_only_text_encodings_can_be_stated(tmp_path, name):
    """Codecs that are no encoding of text are refused, and those in which one letter has many forms."""
    path = tmp_path / "a.csv"
    path.write_text("a\n1\n")
    with pytest.raises(InvalidInput, match="no text encoding"):
        find_encoding(path, name)


def test_a_stated_encoding_stands(tmp_path):
    """The file is not guessed at; stated UTF-8 takes off a byte order mark."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbfa\n")
    assert find_encoding(path, "latin-1").name == "iso8859-1"
    with find_encoding(path, "UTF8").open(path) as file:
        assert file.read() == "a\n"


@given(st.binary(max_size=40))
def test_any_bytes_can_be_opened_or_are_refused(tmp_path_factory, content):
    """Whatever follows a plain header, the file is read without an error of decoding, or refused as no text."""
    path = tmp_path_factory.mktemp("bytes") / "a.csv"
    path.write_bytes(b"header\n" + content)
    try:
        found = find_encoding(path)
    except BrokenFile:
        return
    with found.open(path) as file:
        assert file.read().startswith("header\n")
