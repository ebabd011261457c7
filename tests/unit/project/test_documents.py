"""The documents: every link leads somewhere, and sentences are short enough to read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import ROOT

PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").glob("*.md")]
)
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
LONGEST_SENTENCE = 30
"""Words. Plain English asks for 25; this leaves room for numbers."""
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
HEADLESS = re.compile(
    r"(?:^|(?<=[.:;] ))(?:Who|Whom|Whoever|What|Whatever)\b[^.?]*\.", re.MULTILINE
)


def prose(page: str) -> list[str]:
    """The paragraphs, list items and table cells of `page`, without code, each on one line."""
    text = _FENCED.sub("", (ROOT / page).read_text(encoding="utf-8"))
    text = re.sub(r"<!--.*?-->", "", text)
    blocks: list[str] = []
    for line in text.splitlines():
        if line.startswith("|"):
            blocks += ["", *(cell.strip() for cell in line.strip("|").split("|")), ""]
        elif re.match(r"(?: {4}|#|$)", line):
            blocks.append("")
        elif re.match(r"\s*(?:[-*>]|\d+\.) ", line):
            blocks.append(line.strip())
        elif blocks:
            blocks[-1] = f"{blocks[-1]} {line.strip()}".strip()
        else:
            blocks.append(line.strip())
    return [re.sub(r"`[^`]*`", "CODE", block) for block in blocks if block]


def sentences(block: str) -> list[str]:
    return re.split(r"(?<=[.?!:])\)?\"?\s+", block.replace("**", ""))


def anchors(page: Path) -> set[str]:
    """The fragments that GitHub makes of the headings of `page`."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_to_a_file_and_a_heading(name: str) -> None:
    page = ROOT / name
    broken = []
    for link in _LINK.findall(_FENCED.sub("", page.read_text(encoding="utf-8"))):
        path, _, fragment = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (fragment and fragment not in anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("name", NAMES)
def test_sentences_are_short(name: str) -> None:
    long = {
        sentence: words
        for block in prose(name)
        for sentence in sentences(block)
        if (words := len(sentence.split())) > LONGEST_SENTENCE
    }
    assert not long


@pytest.mark.parametrize("name", NAMES)
def test_no_sentence_begins_with_a_headless_clause(name: str) -> None:
    """ "Who comes late is ignored" makes a reader look for the question."""
    assert not [found for block in prose(name) for found in HEADLESS.findall(block)]


@pytest.mark.parametrize("name", NAMES)
def test_every_file_that_a_page_names_exists(name: str) -> None:
    tops = "lab|natlab|nat_traversal|tests|scripts|docs|deploy|examples"
    named = re.findall(rf"`((?:{tops})/[\w/.-]*)`", (ROOT / name).read_text(encoding="utf-8"))
    assert not [
        path for path in named if not any((top / path).exists() for top in (ROOT, ROOT / "lab"))
    ]


def test_every_page_of_the_documentation_is_linked() -> None:
    linked = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in PAGES
        for link in _LINK.findall(page.read_text(encoding="utf-8"))
        if not link.startswith("#")
    }
    assert not {page for page in PAGES if page.is_relative_to(ROOT / "docs")} - linked
