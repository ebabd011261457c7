"""The option `--turn`: hosts of a cell have a TURN server, which carries where no direct path stands."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from nat_traversal.arguments.parser import checked
from nat_traversal.errors import UsageError
from nat_traversal.wire.methods import MethodName
from natlab.cli.methods import methods_of
from natlab.matrix.coturn import check_coturn
from natlab.matrix.jobs import PROVABLE
from natlab.oracle.predict import BY_TURN, method_of
from natlab.oracle.turn import Turn, parse_turn

PROVABLE_BY_TURN = (*PROVABLE, MethodName.TURN)


def add_turn_option(parser: argparse.ArgumentParser) -> None:
    """Add it to `parser`."""
    parser.add_argument(
        "--turn",
        metavar="a|b|both[,tcp]",
        type=checked(parse_turn),
        help="host_a, host_b or both have a TURN server, a real coturn in each cell, by UDP or with ,tcp by TCP; "
        "the project's server relays nothing then, unless --methods has relay, which comes before turn "
        f"(default of --methods: {','.join(BY_TURN)})",
    )


def methods_behind_nats(options: argparse.Namespace) -> tuple[MethodName, ...]:
    """The methods of a pair behind two NATs. Raises `UsageError` for those that cannot be proven there."""
    if options.turn is None:
        return methods_of(options)
    return methods_of(options, PROVABLE_BY_TURN, BY_TURN)


def check_turn(
    turn: Turn | None,
    methods: Sequence[MethodName],
    pairs: Sequence[tuple[str, str]],
    *,
    own: bool,
) -> None:
    """Raises `UsageError` where `--turn` cannot be, before anything starts. `own`: the project's clients run."""
    if turn is None:
        return
    if not own:
        raise UsageError("--turn is for the project's clients: start a TURN server beside yours")
    if MethodName.TURN not in methods:
        raise UsageError("--turn needs the method turn, which --methods lacks")
    for nat_a, nat_b in pairs:
        try:
            method_of(nat_a, nat_b, methods, turn)
        except UsageError as error:
            raise UsageError(f"--turn: {nat_a} × {nat_b}: {error}") from None
    check_coturn()
