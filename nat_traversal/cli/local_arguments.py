"""The options of `status`, `ping` and `reload`, which ask a running client."""

from __future__ import annotations

import argparse

from nat_traversal.arguments.parser import Parser, checked
from nat_traversal.cli.common_arguments import number


def status_options(parser: Parser) -> None:
    """Add the options of `status`."""
    parser.description = "Tells how the paths of this user's clients are."
    _add_name(parser, "default: every client")
    parser.add_argument("--json", action="store_true", help="one JSON object a client on stdout")
    parser.add_argument(
        "--watch", action="store_true", help="tell it anew each second, until Ctrl-C"
    )
    parser.set_defaults(command="status")


def ping_options(parser: Parser) -> None:
    """Add the options of `ping`."""
    parser.description = "Asks a running client to ping a peer through its path, a second apart, and tells the times."
    parser.add_argument("peer", metavar="PEER", help="the other host's id")
    _add_name(parser, "default: the only client that has the peer")
    parser.add_argument(
        "--count",
        metavar="NUMBER",
        type=checked(lambda text: number(text, 1, 1_000_000)),
        default=4,
        help="pings (default: 4)",
    )
    parser.set_defaults(command="ping")


def reload_options(parser: Parser) -> None:
    """Add the options of `reload`."""
    parser.description = (
        "Lets a running client read its configuration file again. Services that have not changed "
        "go on; a file with mistakes changes nothing."
    )
    _add_name(parser, "default: the only client with a file")
    parser.set_defaults(command="reload")


def _add_name(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "name",
        metavar="NAME",
        nargs="?",
        help=f"the client's configuration file, without .toml; of a client without one its --id ({default})",
    )
