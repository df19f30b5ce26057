"""Where the rules of the screen draw their lines: just enough to be a secret, and just not."""

from __future__ import annotations

import pytest

from commonground.structure.screen import screen
from commonground.structure.screen_rules import is_placeholder, looks_random


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abcd1234efgh5678", True),
        ("ABCD1234EFGH5678", True),
        ("abcd1234efgh567", False),
        ("a1b2c3d4a1b2c3d4", True),
        ("a1b2c3da1b2c3da1", False),
        ("1029384756102938", False),
        ("qpwoeirutyalskdj", False),
        ("xabcdef1p2q3r4s5", False),
        ("0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0", False),
    ],
)
def test_random_text_has_letters_digits_length_and_entropy(text: str, expected: bool) -> None:
    """Sixteen characters with digits and letters, in no order, of three bits each are enough; less of any is not."""
    assert looks_random(text) is expected


@pytest.mark.parametrize("text", ["PASSWORD", "password", "DB_PASSWORD", "${TOKEN}", "[removed: secret]", "<token>"])
def test_what_stands_for_a_secret_is_none(text: str) -> None:
    """A usual word in any case, the name of a variable, a template and a mark are no secrets."""
    assert is_placeholder(text)


@pytest.mark.parametrize("text", ["Hunter2x", "DBPASSWORD1", "passwords"])
def test_what_is_no_usual_word_may_be_a_secret(text: str) -> None:
    """A word that only looks like a usual one is not taken for it."""
    assert not is_placeholder(text)


@pytest.mark.parametrize(
    "secret",
    [
        "glpat-" + "a1b2c3d4e5f6g7h8",
        "glpat-" + "abcd-efgh-ijkl-mno1-Q",
        'password = "abcd"',
        'password = "two words 2"',
        'passphrase = "two words"',
        "password = 1f2e3d",
        "pwd: 0x1f2e",
        "api_key = 1f2e3d4c",
        'key = "aB3dE6gH9jK2mN5pQ8sT"',
        'found = "aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT0uV"',
        "train.py --hub-Token k2f9",
    ],
)
def test_just_enough_is_removed(secret: str) -> None:
    """What barely has the form of a secret, or its name and a value, is removed."""
    assert screen(secret).removed, secret


@pytest.mark.parametrize(
    "harmless",
    [
        "glpat-" + "abcd-1efg-2hij-3klm",
        "glpat-" + "abcdefghijklmnopqrst",
        'password = "abc"',
        'password = "two words"',
        'password = "/run/secrets/db"',
        "api_key = 1f2e3d",
        "api_key = 1F2E3D",
        "api_key = 0x1f2e",
        "password = settings.password",
        "password = String",
        "password = load_2(name)",
        "password = ~/secret2",
        "password = something",
        'key = "aB3cD4eF5aB3cD4eF5aB"',
        'key = "ab3de6gh9jk2mn5pq8st"',
        'found = "aB1cD2eF3gH4iJ5kaB1cD2eF3gH4iJ5k"',
        'checksum = "aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT0uV"',
        "aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT0uV",
        "train.py --hub-token 12.5",
        "train.py hub-token k2f9",
    ],
)
def test_just_not_enough_stays(harmless: str) -> None:
    """What lacks one mark of a secret is left as it is."""
    assert screen(harmless).text == harmless
