"""The documents: every link leads somewhere, and sentences are short enough to read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

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


def of_each_page(find: Callable[[str], Iterable[str]]) -> dict[str, list[str]]:
    """The pages in which `find` finds something, and what that is."""
    return {name: found for name in NAMES if (found := list(find(name)))}


def test_every_link_leads_to_a_file_and_a_heading() -> None:
    def broken(name: str) -> Iterator[str]:
        page = ROOT / name
        for link in _LINK.findall(_FENCED.sub("", page.read_text(encoding="utf-8"))):
            path, _, fragment = link.partition("#")
            if re.match(r"[a-z]+:", link):
                continue
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or (fragment and fragment not in anchors(target)):
                yield link

    assert of_each_page(broken) == {}


def test_sentences_are_short() -> None:
    def long(name: str) -> list[str]:
        every = (sentence for block in prose(name) for sentence in sentences(block))
        return [sentence for sentence in every if len(sentence.split()) > LONGEST_SENTENCE]

    assert of_each_page(long) == {}


def test_no_sentence_begins_with_a_headless_clause() -> None:
    """ "Who comes late is ignored" makes a reader look for the question."""

    def headless(name: str) -> list[str]:
        blocks = (re.sub(r"^(?:[-*>]|\d+\.) |\*\*", "", block) for block in prose(name))
        return [found for block in blocks for found in HEADLESS.findall(block)]

    assert of_each_page(headless) == {}


def test_every_file_that_a_page_names_exists() -> None:
    tops = "lab|natlab|nat_traversal|tests|scripts|docs|deploy|examples"

    def missing(name: str) -> list[str]:
        named = re.findall(rf"`((?:{tops})/[\w/.-]*)`", (ROOT / name).read_text(encoding="utf-8"))
        places = (ROOT, ROOT / "lab")
        return [path for path in named if not any((top / path).exists() for top in places)]

    assert of_each_page(missing) == {}


def test_every_page_of_the_documentation_is_linked() -> None:
    linked = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in PAGES
        for link in _LINK.findall(page.read_text(encoding="utf-8"))
        if not link.startswith("#")
    }
    assert not {page for page in PAGES if page.is_relative_to(ROOT / "docs")} - linked


def test_the_contents_of_the_site_list_every_page() -> None:
    contents = (ROOT / "docs" / "site" / "conf.py").read_text(encoding="utf-8").split()
    listed = {word.strip('",') for word in contents}
    pages = {name.removesuffix(".md") for name in NAMES if not name.startswith("deploy/")}
    assert pages <= listed
