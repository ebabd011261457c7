"""The option `--methods`: the rungs of the ladder that the project's clients may use in the lab."""

from __future__ import annotations

import argparse

from nat_traversal.arguments.parser import checked
from nat_traversal.wire.methods import ALL, MethodName, parse_methods


def add_methods_option(parser: argparse.ArgumentParser) -> None:
    """Add it to `parser`."""
    parser.add_argument(
        "--methods",
        metavar="NAME[,NAME]",
        type=checked(parse_methods),
        default=ALL,
        help="ways to a path that the project's clients may use; "
        f"{MethodName.ORDERED_HELLO} is the contract alone (default: all, {','.join(ALL)})",
    )
