"""What argparse makes of odd words: a value of the right kind, or one line and status 2."""

from __future__ import annotations

import argparse

import pytest

from nat_traversal.arguments.parser import Parser, checked
from nat_traversal.cli.server_arguments import server_options


def parsed(parser: Parser, word: str) -> argparse.Namespace | None:
    """None: the parser has ended with status 2."""
    try:
        return parser.parse_args([word])
    except SystemExit as end:
        if end.code != 2:
            raise
        return None


@pytest.mark.parametrize("word", ["--one=--", "--many=--", "--kind=--", "-o--"])
def test_two_dashes_as_a_value_are_that_value_or_one_line(
    word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = Parser("program")
    parser.add_argument("-o", "--one")
    parser.add_argument("--many", action="append")
    parser.add_argument("--kind", type=checked(str))
    options = parsed(parser, word)
    if options is not None:  # from Python 3.13 on
        assert "--" in (options.one, options.kind, *(options.many or ()))
        return
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: argument ")
    assert "expected one argument" in line


@pytest.mark.parametrize("option", sorted(server_options(Parser()).long_options()))
def test_no_option_of_a_server_gets_an_empty_list_for_a_value(option: str) -> None:
    options = parsed(server_options(Parser()), f"--{option}=--")
    assert options is None or vars(options)[option.replace("-", "_")] != []
