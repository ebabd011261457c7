"""The options of the command `check`."""

from __future__ import annotations

import argparse

from nat_traversal.arguments.durations import parse_duration
from nat_traversal.arguments.parser import checked
from nat_traversal.cli.common_arguments import add_common
from nat_traversal.wire import DEFAULT_PORT
from nat_traversal.wire.ids import parse_server

LEAST_LIFETIME, MOST_LIFETIME = 5.0, 3600.0


def check_options(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the options of the check."""
    parser.description = (
        "Tells how this host's NAT behaves, in the words of RFC 4787, and which rung of the ladder opens a "
        "path to each kind of peer. It asks a STUN server and the router, and changes nothing in them. "
        "The report goes to stdout."
    )
    parser.add_argument(
        "server",
        nargs="?",
        metavar="SERVER",
        type=checked(parse_server),
        help=f"HOST[:PORT] of a traversal server (port {DEFAULT_PORT} by default) or of any STUN server; "
        "one with two addresses tells all (RFC 5780). Without it only the router is asked",
    )
    parser.add_argument(
        "--lifetime",
        nargs="?",
        metavar="DURATION",
        type=checked(lambda text: parse_duration(text, least=LEAST_LIFETIME, most=MOST_LIFETIME)),
        const=300.0,
        default=0.0,
        help="find out as well how long an idle mapping lives, up to DURATION (5m by default); "
        "it takes as long",
    )
    add_common(parser)
    parser.set_defaults(command="check")
    return parser
