"""Names and descriptions are found by stemmed words and by parts, on both engines alike."""

from __future__ import annotations

import pytest

from commonground.store import text_index
from commonground.store.text_index import Document

DOCUMENTS = [
    Document(1, "dataset", "Lung nodules", "Nodules outlined by four radiologists; malignancy graded."),
    Document(2, "feature", "malignancy", "How malignant a nodule looks, from 1 to 5."),
    Document(3, "dataset", "Röntgenbilder", "Aufnahmen der Lunge, geröntgt im Jahr 2021."),
    Document(4, "vocabulary", "spiculation", "Spicules around the margin, see mrn_hash_v2."),
    Document(5, "dataset", "肺结节", "胸部扫描"),
]


@pytest.fixture
def filled(database):
    """A database with five documents."""
    with database.write() as connection:
        text_index.put(connection, DOCUMENTS)
    return database


def found(database, query, **narrow):
    """What a search finds."""
    with database.read() as connection:
        return text_index.search(connection, query, **narrow)


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("nodule", 1),
        ("malignancies", 2),
        ("outline", 1),
        ("SPICUL", 4),
        ("ontgenbild", 3),
        ("RÖNT", 3),
        ("geröntgt", 3),
        ("pikul spiculation", 4),
        ("n_hash_v", 4),
        ("radiologist grading", 1),
    ],
)
def test_words_and_parts_find_the_right_document_first(filled, query, first):
    """Plural, stem, part of a word, any case and underscores lead to the document on both engines."""
    assert found(filled, query)[0] == first


def test_three_letters_of_another_script_are_found(filled):
    """Three characters of a script without spaces find the title that has them."""
    assert found(filled, "肺结节") == [5]


def test_a_title_counts_more_than_a_body(filled):
    """The document that has the word as its title comes before the one that mentions it."""
    assert found(filled, "malignancy")[:2] == [2, 1]


def test_a_search_can_be_narrowed_and_limited(filled):
    """Only documents of the kind asked for, and no more than asked for."""
    assert found(filled, "malignancy", kind="dataset") == [1]
    assert found(filled, "nodule malignancy", limit=1) in ([1], [2])


@pytest.mark.parametrize(
    "query", ["", "   ", "?!\"'()*:-^", "zzzz-nothing", "AND", 'OR "', "NEAR(", "-x", "100%", "\0"]
)
def test_no_query_is_an_error(filled, query):
    """Empty, punctuation, operators of the engines and NUL are searched for as words, and simply find nothing."""
    assert found(filled, query) == []


def test_a_replaced_document_is_found_by_its_new_words_only(filled):
    """Putting a document again replaces it; removing it leaves nothing to find."""
    with filled.write() as connection:
        text_index.put(connection, [Document(1, "dataset", "Kidney stones", "")])
    assert found(filled, "kidneys") == [1]
    assert 1 not in found(filled, "lung outlined")
    with filled.write() as connection:
        text_index.remove(connection, [1, 999])
    assert found(filled, "kidney") == []


def test_removed_text_is_gone_from_the_index_tables(filled):
    """After a removal no column of the index holds the text any more."""
    with filled.write() as connection:
        text_index.remove(connection, [4])
        if filled.dialect == "sqlite":
            connection.exec_driver_sql("INSERT INTO text_stem(text_stem) VALUES('optimize')")
            held = b"".join(bytes(row[0]) for row in connection.exec_driver_sql("SELECT block FROM text_stem_data"))
            held += b"".join(bytes(row[0]) for row in connection.exec_driver_sql("SELECT block FROM text_part_data"))
        else:
            held = "".join(row[0] for row in connection.exec_driver_sql("SELECT text_doc::text FROM text_doc")).encode()
    assert b"spicul" not in held.lower()
