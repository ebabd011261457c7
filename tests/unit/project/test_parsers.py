"""Manual pages and completion are made from the parsers: every command and option is in them."""

from __future__ import annotations

import argparse
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
