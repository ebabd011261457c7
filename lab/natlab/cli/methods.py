"""The option `--methods`: the rungs of the ladder that the project's clients may use in the lab."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from nat_traversal.arguments.parser import checked
from nat_traversal.errors import UsageError
from nat_traversal.wire.methods import MethodName, parse_methods
from natlab.matrix.jobs import PROVABLE, USUAL


def add_methods_option(parser: argparse.ArgumentParser) -> None:
    """Add it to `parser`."""
    parser.add_argument(
        "--methods",
        metavar="NAME[,NAME]",
        type=checked(parse_methods),
        help="ways to a path that the project's clients may use; "
        f"{MethodName.ORDERED_HELLO} is the contract alone (default: {','.join(USUAL)}; "
        f"{MethodName.BIRTHDAY} takes ten seconds a pair)",
    )


def methods_of(
    options: argparse.Namespace,
    provable: Sequence[MethodName] = PROVABLE,
    usual: Sequence[MethodName] = USUAL,
) -> tuple[MethodName, ...]:
    """The methods that `options` name, or the `usual` ones. Raises `UsageError` for one that is not `provable`."""
    methods = tuple(options.methods or usual)
    for method in methods:
        if method not in provable:
            raise UsageError(
                f"--methods: the lab cannot prove {method} here: choose from {', '.join(provable)}"
            )
    return methods
