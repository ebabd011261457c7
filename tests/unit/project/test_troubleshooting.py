"""Every line that a client may print stands in docs/troubleshooting.md or docs/messages.md."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from nat_traversal.cli.console import describe
from scripts.messages import HOLE, PAGE, page, reasons
from tests.unit.cli.test_console import TOLD

REPOSITORY = Path(__file__).parents[3]
ROW = re.compile(
    r"^\| `(?P<line>[^`]+)` \| (?P<cause>[^|]+) \| (?P<remedy>[^|]+) \|$", re.MULTILINE
)
TEXT = (REPOSITORY / "docs/troubleshooting.md").read_text()
LINES = [row["line"] for row in ROW.finditer(TEXT)]
OF_THE_SERVER = re.compile("host-|store-|pair-|no-room|clients-hidden")
"""Events that a server alone tells."""


@cache
def pattern(line: str) -> re.Pattern[str]:
    return re.compile(".+".join(map(re.escape, line.split(HOLE))))


def matches(line: str, text: str) -> bool:
    """Whether a line of the page, with its holes, is `text`."""
    return pattern(line).fullmatch(text) is not None


@pytest.mark.parametrize(
    "text",
    sorted({describe(notice) for notice, name, _ in TOLD if not OF_THE_SERVER.match(name)}),
)
def test_the_page_has_every_notice(text: str) -> None:
    assert [line for line in LINES if matches(line, text)], "add a row with cause and remedy"


def test_the_page_has_every_reason() -> None:
    missing = {
        text
        for text in reasons(REPOSITORY)
        if not any(matches(line, text.replace(HOLE, "x")) for line in LINES)
    }

    assert missing == set(), "add a row with cause and remedy for each"


def test_no_line_of_the_page_stands_there_twice() -> None:
    assert sorted(LINES) == sorted(set(LINES))


def test_the_page_has_no_line_that_no_client_prints() -> None:
    texts = {describe(notice) for notice, _, _ in TOLD}
    texts |= {text.replace(HOLE, "x") for text in reasons(REPOSITORY)}
    source = " ".join(path.read_text() for path in (REPOSITORY / "nat_traversal").rglob("*.py"))
    joined = re.sub(r'"\s*f?"', "", source)

    for line in LINES:
        parts = [part.strip(" ;:,()") for part in line.split(HOLE)]
        known = any(matches(line, text) for text in texts)
        assert known or all(part in joined for part in parts), line


def test_the_list_of_wrong_usage_is_what_the_code_raises() -> None:
    assert (REPOSITORY / PAGE).read_text() == page(REPOSITORY), (
        "make it anew: python -m scripts.messages"
    )
