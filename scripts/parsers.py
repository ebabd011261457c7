"""The parser of each installed command, of which manual pages and shells' completion are made."""

from __future__ import annotations

from nat_traversal.arguments.parser import Parser
from nat_traversal.cli.main import client_options, every_command
from nat_traversal.cli.server_arguments import server_options

__all__ = ["client", "every_command", "server"]


def server() -> Parser:
    """Of `traversal-server`."""
    parser = Parser("traversal-server")
    server_options(parser)
    return parser


def client() -> Parser:
    """Of `traversal-client`."""
    parser = Parser("traversal-client")
    client_options(parser)
    return parser
