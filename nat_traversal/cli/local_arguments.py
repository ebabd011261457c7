"""The options of `status` and `reload`, which ask a running client."""

from __future__ import annotations

import argparse

from nat_traversal.arguments.parser import Parser


def status_options(parser: Parser) -> None:
    """Add the options of `status`."""
    parser.description = "Tells how the paths of this user's clients are."
    _add_name(parser, "default: every client")
    parser.add_argument("--json", action="store_true", help="one JSON object a client on stdout")
    parser.set_defaults(command="status")


def reload_options(parser: Parser) -> None:
    """Add the options of `reload`."""
    parser.description = (
        "Lets a running client read its configuration file again. Services that have not changed "
        "go on; a file with mistakes changes nothing."
    )
    _add_name(parser, "default: the only client")
    parser.set_defaults(command="reload")


def _add_name(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "name",
        metavar="NAME",
        nargs="?",
        help=f"the name of the client's configuration file, without .toml ({default})",
    )
