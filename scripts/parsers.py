"""The parser of each installed command, of which manual pages and shells' completion are made."""

from __future__ import annotations

from nat_traversal.arguments.environment import name_in_help
from nat_traversal.arguments.parser import Parser
from nat_traversal.cli import main
from nat_traversal.cli.client_arguments import client_options
from nat_traversal.cli.server_arguments import server_options


def both() -> Parser:
    """Of `nat-traversal`."""
    return name_in_help(main.every_command())


def server() -> Parser:
    """Of `traversal-server`."""
    return name_in_help(server_options(Parser("traversal-server")))


def client() -> Parser:
    """Of `traversal-client`."""
    return name_in_help(client_options(Parser("traversal-client")))
