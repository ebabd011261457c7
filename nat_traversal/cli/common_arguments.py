"""The options that both commands have, and the checks that they share."""

from __future__ import annotations

import argparse
import re

from nat_traversal import __version__
from nat_traversal.errors import UsageError


def add_version(parser: argparse.ArgumentParser) -> None:
    """`--version`."""
    parser.add_argument("--version", action="version", version=__version__)


def add_common(parser: argparse.ArgumentParser) -> None:
    """How much is told, and in which form."""
    add_version(parser)
    parser.add_argument("--json", action="store_true", help="one JSON event a line on stdout")
    how_much = parser.add_mutually_exclusive_group()
    how_much.add_argument("-q", "--quiet", action="store_true", help="only errors on stderr")
    how_much.add_argument(
        "-v", "--verbose", action="store_true", help="every state change on stderr"
    )


def add_set(parser: argparse.ArgumentParser, example: str) -> None:
    """Every timing and limit by its name, such as `example`."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"any other timing or limit, such as {example}; docs/protocol.md lists them",
    )


def number(text: str, low: int, high: int) -> int:
    """A whole number from `low` to `high`. Raises `UsageError`."""
    if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
        raise UsageError(f"{text!r} must be a whole number from {low} to {high}")
    return int(text)
