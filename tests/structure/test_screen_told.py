"""What a run is told on purpose: which parameters are withheld, how that is said, and what is left alone."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonground.plain import Plain
from commonground.structure.names import LONGEST
from commonground.structure.screen import is_withheld
from commonground.structure.screen_told import (
    KeyNames,
    flatten_screened,
    screen_argv,
    screen_file_names,
    screen_mapping,
    screen_params,
)
from planted import CANARIES


@pytest.mark.parametrize("text", [text for text, _ in CANARIES.values()], ids=list(CANARIES))
def test_a_planted_text_is_in_no_place_of_a_parameter(text: str) -> None:
    """As a value, in a list, in a mapping in a list, as a name: what must vanish has, and a mark is there."""
    part = next(part for known, part in CANARIES.values() if known == text)
    name = " ".join(text.splitlines())
    clean, withheld = flatten_screened({"a": text, "b": [text], "c": [{"d": text, text: 1}], name: 1, "plain": 3})
    told = json.dumps([clean, withheld], ensure_ascii=False)
    assert part not in told
    assert len(withheld) == 4
    assert is_withheld(clean["a"])
    assert clean["plain"] == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("password", "x1"),
        ("db.password", "sesame"),
        ("token", "abcd"),
        ("hub_token", "abcd"),
        ("gitlab_token", "abcd"),
        ("apiKey", "abcd"),
        ("API_KEYS", ["a", "b"]),
        ("credentials.user", "anna"),
        ("secret", 12345678),
        ("connection_string", "anything"),
    ],
)
def test_the_name_alone_withholds_a_value(name: str, value: Plain) -> None:
    """Whatever is called like a secret is withheld, and it is said which parameter that was."""
    assert screen_params({name: value, "trees": 3}) == (
        {name: "[removed: secret]", "trees": 3},
        {f"parameter {name}": "secret"},
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [("patient_id", "medical record number"), ("scan.mrn", "medical record number"), ("phone", "phone number")],
)
def test_a_number_is_judged_by_its_name(name: str, kind: str) -> None:
    """A whole number under a name that makes it an identifier is withheld; the same number as a seed is not."""
    clean, withheld = screen_params({name: 5550123456, "seed": 5550123456, "rows": 5550123456})
    assert clean == {name: f"[removed: {kind}]", "seed": 5550123456, "rows": 5550123456}
    assert withheld == {f"parameter {name}": kind}


@pytest.mark.parametrize(
    "params",
    [
        {"image_token": "<image>", "new_pad_token": "[PAD2]", "split_by_token": "word", "extra_tokens": ["<a>"]},
        {"pad_token": "[PAD]", "eos_token": "</s>", "max_tokens": 512, "tokenizer": "bpe", "token.kind": "bpe"},
        {"use_auth_token": True, "password": None, "api_key": "", "token": "none"},
        {"model": "microsoft/resnet-50", "commit": "3f2a9c1b7d8e4f5a6b7c8d9e0f1a2b3c4d5e6f70", "rate": 1e-4},
        {"columns": ["mrn", "dob"], "key_column": "mrn", "patients": 12, "birth_year": 1961, "compass": "north"},
        {"seed": 4111111111111111, "path": "/data/lung", "split": {}, "folds": []},
    ],
)
def test_what_is_no_secret_is_left_alone(params: dict[str, Any]) -> None:
    """Tokens of a text, settings that are on or off, names of models and commits, and seeds are kept as given."""
    assert screen_params(params) == (params, {})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pad_token", "[PAD]"),
        ("new-pad-token", "[PAD2]"),
        ("padtoken", "[PAD]"),
        ("hubtoken", "abcd"),
        ("encryption_key", "abcd"),
        ("db.password", "sesame"),
        ("patient_id", "5550123456"),
        ("patient", "Jane Doe"),
        ("seed", "5550123456"),
        ("password", "12"),
        ("password", "sesame"),
    ],
)
def test_an_argument_and_a_parameter_go_by_one_rule(name: str, value: str) -> None:
    """What is withheld of a parameter is withheld of an argument with its name, in both of its forms, and no more."""
    kept = screen_params({name: value})[0][name]
    assert screen_argv([f"--{name}={value}", f"--{name}", value, "x"]) == [f"--{name}={kept}", f"--{name}", kept, "x"]


def test_two_names_that_become_the_same_are_told_apart() -> None:
    """Neither of two parameters named by an address is lost, and a name is always kept as the same."""
    clean, withheld = screen_params({"to jane@ward.nhs.uk": 1, "to john@ward.nhs.uk": 2})
    assert clean == {"to [removed: e-mail address]": 1, "to [removed: e-mail address] 2": 2}
    assert set(withheld.values()) == {"e-mail address"}
    clean, _ = screen_params({"to jane@ward.nhs.uk": 1, "to [removed: e-mail address]": 2})
    assert list(clean.values()) == [1, 2]
    names = KeyNames()
    assert [names.clean(key) for key in ("a@b.org", "c@d.org", "a@b.org", "auc")] == [
        "[removed: e-mail address]",
        "[removed: e-mail address] 2",
        "[removed: e-mail address]",
        "auc",
    ]


def test_what_is_no_number_is_not_withheld_beside_a_secret() -> None:
    """NaN differs from itself, and is kept all the same; so is what stands in a list beside it."""
    clean, withheld = screen_params({"password": "sesame", "rate": math.nan, "rates": [math.nan, 1.0]})
    assert math.isnan(float(str(clean["rate"])))
    assert withheld == {"parameter password": "secret"}


@given(st.dictionaries(st.text(st.characters(codec="ascii", categories=("L", "N", "P")), max_size=9), st.integers()))
def test_screening_again_changes_nothing(params: dict[str, int]) -> None:
    """What was kept of parameters and of details is kept as it is when it is given once more."""
    texts = [text for text, _ in CANARIES.values()]
    mixed: dict[str, Plain] = {f"k{place}": text for place, text in enumerate(texts)} | params
    clean, _ = screen_params(mixed)
    assert screen_params(clean)[0] == clean
    assert screen_mapping(screen_mapping(mixed)) == screen_mapping(mixed)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("MRN_1234567.png", "MRN [removed: medical record number].png"),
        ("mrn-1234567-ct.nii.gz", "mrn [removed: medical record number] ct.nii.gz"),
        ("anna@example.org.csv", "[removed: e-mail address].csv"),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123456789.txt", "[removed: github token].txt"),
    ],
)
def test_a_name_of_a_file_keeps_its_ending_and_not_what_it_tells(name: str, kept: str) -> None:
    """Also where its words are held together; the names beside it stay as they are."""
    assert screen_file_names(["LIDC-IDRI-0003-1-n01.png", name]) == ["LIDC-IDRI-0003-1-n01.png", kept]
    assert screen_file_names(["a.png", "checkpoint_0001.pt"]) == ["a.png", "checkpoint_0001.pt"]


def test_a_name_does_not_become_too_long_by_its_mark() -> None:
    """A name of the greatest length is as long when something was taken out of it."""
    name = "x" * (LONGEST - 12) + " mrn 1234567"
    (kept,) = screen_file_names([name])
    assert len(kept) == LONGEST
    assert "1234567" not in kept
