"""The option `--methods`: the rungs of the ladder that the project's clients may use in the lab."""

from __future__ import annotations

import argparse

from nat_traversal.arguments.parser import checked
from nat_traversal.errors import UsageError
from nat_traversal.wire.methods import MethodName, parse_methods
from natlab.matrix.jobs import PROVABLE, USUAL


def add_methods_option(parser: argparse.ArgumentParser) -> None:
    """Add it to `parser`."""
    parser.add_argument(
        "--methods",
        metavar="NAME[,NAME]",
        type=checked(_provable),
        default=USUAL,
        help="ways to a path that the project's clients may use; "
        f"{MethodName.ORDERED_HELLO} is the contract alone (default: {','.join(USUAL)}; "
        f"{MethodName.BIRTHDAY} takes ten seconds a pair)",
    )


def _provable(text: str) -> tuple[MethodName, ...]:
    methods = parse_methods(text)
    for method in methods:
        if method not in PROVABLE:
            raise UsageError(
                f"the lab cannot prove {method} yet: choose from {', '.join(PROVABLE)}"
            )
    return methods
