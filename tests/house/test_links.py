"""Every link of the pages leads somewhere: to a file of the repository, and to a heading that is there."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from house import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "src").rglob("*.md")])
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)


@cache
def links_of(page: Path) -> tuple[str, ...]:
    """Where the links of a page lead, those in code left out."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return tuple(LINK.findall(re.sub(r"`[^`\n]*`", "", text)))


@cache
def anchors_of(page: Path) -> frozenset[str]:
    """The names by which the headings of a page can be linked to, as code hosts make them."""
    found: list[str] = []
    for heading in HEADING.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.append(f"{name}-{found.count(name)}" if name in found else name)
    return frozenset(found)


def dead_links(page: Path) -> list[str]:
    """The links of a page that lead nowhere, or out of the repository."""
    dead = []
    for link in links_of(page):
        if re.match(r"[a-z][a-z+.-]*:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        there = target.is_relative_to(ROOT) and target.exists()
        if not there or (anchor and target.suffix == ".md" and anchor not in anchors_of(target)):
            dead.append(link)
    return dead


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_link_is_dead(page: Path) -> None:
    """Each relative link of a page leads to a file in the repository, and its anchor to a heading there."""
    assert dead_links(page) == []


def test_dead_links_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing file, a missing heading and a way out are dead; what stands in code is no link."""
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "other.md").write_text("# The `cg` way, twice\n\n```text\n# no heading\n```\n", encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(
        "# One\n[a](other.md) [b](other.md#the-cg-way-twice) [c](#one) [d](https://example.org/x)\n"
        "[e](gone.md) [f](other.md#no-heading) [g](../out.md) `[h](code.md)`\n```text\n[i](code.md)\n```\n",
        encoding="utf-8",
    )
    assert dead_links(page) == ["gone.md", "other.md#no-heading", "../out.md"]
