"""The pages are whole: each noun has one, each module is named on one, and the glossary knows our words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_sizes_and_names import AVOIDED

from commonground.identity import Kind
from house import ROOT, SOURCES

DOCS = ROOT / "docs"
GROUND = sorted((DOCS / "store").glob("*.md"))
NOUN_PAGES = sorted((DOCS / "structure").glob("*.md"))
DECISIONS = sorted((DOCS / "decisions").glob("*.md"))
LONGEST_PAGE, LONGEST_LINE = 140, 320
NOUNS = (
    "people", "vocabularies", "entities", "assets", "features", "selectors", "agreement", "datasets", "versions",
    "frames", "workflows", "executions", "lineage", "erasure",
)  # fmt: skip
NAMED = re.compile(r"`((?:tests|structure|store|operations|exchange|interfaces|docs|scripts)/[\w/.-]+\.(?:py|md))`")


def text_of(page: Path) -> str:
    """A page as text."""
    return page.read_text(encoding="utf-8")


def glossary() -> dict[str, str]:
    """Each word of the glossary, and the words it says to avoid."""
    rows = re.findall(r"^\| (.+?) \| .+ \|(.*)\|$", text_of(DOCS / "glossary.md"), re.MULTILINE)
    words = {}
    for listed, avoid in rows:
        for word in re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", listed).split(","):
            assert word.strip() not in words, f"{word.strip()} stands twice in the glossary"
            words[word.strip()] = avoid.strip()
    return words


@pytest.mark.parametrize("noun", NOUNS)
def test_every_noun_has_its_page(noun: str) -> None:
    """A noun's file in `structure` has a page of the same name that shows it in code and says where it is kept."""
    assert (SOURCES / "structure" / f"{noun}.py").is_file()
    text = text_of(DOCS / "structure" / f"{noun}.md")
    assert f"`structure/{noun}.py`" in text
    assert "```python" in text
    assert "What is refused" in text


def test_every_module_of_the_ground_and_of_the_nouns_is_on_a_page() -> None:
    """Whoever looks for what a file of `structure` or `store` is for finds it named on a page of that floor."""
    told = {name for page in [*NOUN_PAGES, *GROUND, DOCS / "promises.md"] for name in NAMED.findall(text_of(page))}
    modules = {
        f"{floor}/{path.name}"
        for floor in ("structure", "store")
        for path in (SOURCES / floor).glob("*.py")
        if path.name != "__init__.py"
    }
    assert sorted(modules - told) == []


def test_every_file_that_a_page_names_is_there() -> None:
    """No page names a module or a test that was moved or never written."""
    gone = [
        f"{page.relative_to(ROOT)}: {name}"
        for page in DOCS.rglob("*.md")
        for name in NAMED.findall(text_of(page))
        if not any((root / name).is_file() for root in (ROOT, SOURCES))
    ]
    assert gone == []


@pytest.mark.parametrize("page", [*NOUN_PAGES, *GROUND, *DECISIONS], ids=lambda page: page.stem)
def test_pages_are_short(page: Path) -> None:
    """A page is read in a few minutes."""
    lines = text_of(page).splitlines()
    assert len(lines) <= LONGEST_PAGE
    assert [line for line in lines if len(line) > LONGEST_LINE] == []


def test_the_index_names_every_page() -> None:
    """Each page of a noun, of the ground, and each decision is reached from the index."""
    linked = set(re.findall(r"\]\(([^)#]+)", text_of(DOCS / "index.md")))
    assert {str(page.relative_to(DOCS)) for page in [*NOUN_PAGES, *GROUND, *DECISIONS]} - linked == set()


def test_decisions_are_numbered_without_gaps() -> None:
    """A decision has the next number, says its status, and what it is instead of."""
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    for page in DECISIONS:
        assert text_of(page).startswith(f"# {page.name[:4]} "), page.name
        assert all(part in text_of(page) for part in ("**Status**", "## The decision", "## Why")), page.name


def test_the_glossary_knows_every_kind() -> None:
    """Each kind of thing that an id can name is a word of the glossary."""
    words = glossary()
    assert [kind for kind in Kind if kind.value not in words] == []


@pytest.mark.parametrize("word", sorted(AVOIDED))
def test_the_glossary_and_the_names_in_the_code_agree(word: str) -> None:
    """What the house tests refuse as a name is a word that the glossary says to avoid, with the word to use."""
    text = text_of(DOCS / "glossary.md")
    instead, plain = AVOIDED[word], word.removesuffix("_id")
    row = glossary().get(instead)
    assert (row is not None and plain in row) or re.search(rf"\*{instead}\* [^.]*\(not\s+a\s+{plain}\)", text)


def test_promises_name_a_test_each() -> None:
    """Every row of a table of promises names the test that holds it."""
    rows = re.findall(r"^\| (.+) \| (.+) \|$", text_of(DOCS / "promises.md"), re.MULTILINE)
    told = [(promise, test) for promise, test in rows if promise not in {"promise", "---"}]
    assert len(told) > 20
    assert [promise for promise, test in told if "`tests/" not in test] == []
