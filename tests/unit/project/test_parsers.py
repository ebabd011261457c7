"""Manual pages and completion are made from the parsers: every command and option is in them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

import pytest
import shtab
from argparse_manpage.manpage import Manpage

from nat_traversal.arguments.parser import Parser
from scripts import parsers

PARSERS = [parsers.both(), parsers.server(), parsers.client()]


def options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The long options that `parser` and its subcommands show in --help."""
    for action in parser._actions:
        if action.help != argparse.SUPPRESS:
            yield from (word for word in action.option_strings if word.startswith("--"))
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                yield name
                yield from options(command)


@pytest.mark.parametrize("parser", PARSERS, ids=lambda it: it.prog)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_every_command_and_option(parser: Parser, shell: str) -> None:
    script = shtab.complete(parser, shell)
    wanted = set(options(parser))
    assert len(wanted) > 15
    assert {word for word in wanted if word.removeprefix("--") not in script} == set()


@pytest.mark.parametrize("parser", PARSERS, ids=lambda it: it.prog)
def test_the_manual_page_has_every_command_and_option(parser: Parser) -> None:
    page = str(Manpage(parser, {"prog": parser.prog})).replace("\\-", "-")
    wanted = set(options(parser)) - {"--help"}  # as manual pages have it
    assert {word for word in wanted if word not in page} == set()


def timed(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.Action]]:
    """The options of `parser` and its subcommands that take a time, each with its command."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from timed(command)
        elif re.search("DURATION|TIME|SECOND|MINUTE", str(action.metavar)):
            yield parser.prog, action


@pytest.mark.parametrize("parser", PARSERS, ids=lambda it: it.prog)
def test_every_option_that_takes_a_time_takes_it_in_the_one_syntax(parser: Parser) -> None:
    found = list(timed(parser))
    assert len(found) >= 2
    assert {action.metavar for _, action in found} == {"DURATION"}
    for command, action in found:
        read = action.type
        assert callable(read), (command, action.option_strings)
        for text in ("1m", "60s", "60", "60.0", "60000ms"):
            assert read(text) in (60.0, text), (command, action.option_strings)
        for text in ("1 m", "60sec", "1min", ".5", "6e1", "-60"):
            with pytest.raises(
                argparse.ArgumentTypeError, match=f"^'{text}' is no duration: write it"
            ):
                read(text)
