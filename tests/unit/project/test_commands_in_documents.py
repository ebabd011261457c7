"""Every command line in the documents is one that the commands take, and every option stands in a document."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from functools import cache

import pytest

from natlab.cli import main as lab
from scripts import parsers
from tests import ROOT
from tests.unit.project.test_documents import NAMES, of_each_page
from tests.unit.project.test_parsers import options

PAGES = [name for name in NAMES if name != "CHANGELOG.md"]
_OURS = {
    "traversal-server": parsers.server,
    "traversal_server.py": parsers.server,
    "traversal-client": parsers.client,
    "traversal_client.py": parsers.client,
    "nat-traversal": parsers.both,
    "nat-traversal.pyz": parsers.both,
}
_OF_OURS = re.compile("|".join(map(re.escape, (*_OURS, "lab", "make"))))
"""In each line with one of our commands."""
_MAKE = {"LAB_ARGS": "matrix"}
"""The variables of the Makefile that are options of the lab, each of which command."""
_STANDING_FOR = ((r"<server_ip>|_server_ip_", "192.0.2.2"), (r"\[\.\.\.\]|…", ""))
"""Words of documents that stand for others."""


@cache
def lab_parser(command: str) -> argparse.ArgumentParser:
    return lab._parser([command])


@cache
def parser_of(name: str) -> argparse.ArgumentParser:
    return _OURS[name]()


def code(page: str) -> Iterator[str]:
    """The lines of `page` that stand for what is typed: indented, fenced without a language or as a shell's,
    or the code that begins a table's row.
    """
    lines = (ROOT / page).read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    fence: str | None = None
    for line in lines:
        if mark := re.match(r"\s*```(\w*)", line):
            fence = mark[1] if fence is None else None
        elif fence in {"", "sh", "bash", "console"} or (fence is None and line.startswith("    ")):
            yield line.strip()
        elif row := re.match(r"\| `([^`]+)` \|", line):
            yield row[1]


def commands(line: str) -> Iterator[list[str]]:
    """The simple commands of a shell's `line`, as words; none of what is no shell."""
    for pattern, word in _STANDING_FOR:
        line = re.sub(pattern, word, line)
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;()<>")
    lexer.whitespace_split = True
    found: list[str] = []
    try:
        words = list(lexer)
    except ValueError:  # a quote that is open: prose
        return
    for word in [*words, ";"]:
        if re.fullmatch(r"[|&;()<>]+", word):
            yield found
            found = []
        else:
            found.append(word)


def taken_apart(words: list[str]) -> tuple[argparse.ArgumentParser, list[str]] | None:
    """The parser of a command of ours, and what it gets; None for other commands."""
    while words and re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    while words and words[0] in {"sudo", "exec"}:
        words = words[1:]
    if words[:1] == ["make"]:
        for name, _, value in (word.partition("=") for word in words[1:]):
            if name in _MAKE:
                return lab_parser(_MAKE[name]), [_MAKE[name], *shlex.split(value)]
        return None
    if words and re.search(r"(?:^|/)python3?$", words[0]):
        words = words[1:] if words[1:2] != ["-m"] else words[2:]
        if words[:1] == ["lab"]:
            words = ["natlab", *words[1:]]
    name = words[0].rpartition("/")[2] if words else ""
    if name == "natlab" and words[1:]:
        return lab_parser(words[1]), words[1:]
    return (parser_of(name), words[1:]) if name in _OURS and words[1:] else None


@cache
def ours(page: str) -> list[tuple[str, argparse.ArgumentParser, list[str]]]:
    """Each command of ours: its line, its parser, and what that gets."""
    return [
        (line, *found)
        for line in code(page)
        if _OF_OURS.search(line)
        for words in commands(line)
        if (found := taken_apart(words))
    ]


def wrong(page: str) -> Iterator[str]:
    for line, parser, arguments in ours(page):
        try:
            parser.parse_args(arguments)
        except SystemExit as ended:
            if ended.code:
                yield line


ELSEWHERE = {
    "docs/architecture.md": "arrows between rooms, no command",
    "docs/troubleshooting.md": "a line that a command prints begins with its name",
    "docs/security.md": "keys and fingerprints are shortened",
}
"""Pages with lines that look like commands of ours and are none, and why."""


@pytest.mark.usefixtures("capsys")  # parsers print what is wrong
def test_every_command_line_is_one_that_the_command_takes() -> None:
    found = of_each_page(lambda page: wrong(page) if page in PAGES else ())
    assert {page: lines for page, lines in found.items() if page not in ELSEWHERE} == {}
    assert found.keys() == ELSEWHERE.keys()


def test_there_are_command_lines_to_check() -> None:
    assert sum(len(ours(page)) for page in PAGES) > 80


def test_every_option_stands_in_a_document() -> None:
    text = "\n".join((ROOT / page).read_text(encoding="utf-8") for page in PAGES)
    known = {"--remote"}  # which all write as -r
    every = [parser_of(name) for name in ("nat-traversal", "traversal-server", "traversal-client")]
    asked = {word for parser in every for word in options(parser)}
    for command in lab.COMMANDS:
        asked |= set(options(lab_parser(command)))
    assert asked - set(re.findall(r"[\w-]+", text)) == known
