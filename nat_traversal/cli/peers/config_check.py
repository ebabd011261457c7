"""The command `config check`: a client's configuration file, looked at and not used."""

from __future__ import annotations

import os

from nat_traversal.arguments.parser import Parser
from nat_traversal.cli.client_arguments import client_options
from nat_traversal.cli.console import Console
from nat_traversal.cli.exit import Exit
from nat_traversal.cli.peers.file import read_file
from nat_traversal.cli.peers.places import USUAL, folders, found
from nat_traversal.errors import UsageError


def run(given: str | None, console: Console) -> Exit:
    """Say that the file is right. Raises `UsageError`; `ConfigError` has all mistakes."""
    path = found(given, os.environ)
    if path is None:
        places = " or ".join(str(folder / f"{USUAL}.toml") for folder in folders(os.environ))
        raise UsageError(f"there is no file to check: name one, or make {places}")
    _, file = read_file(path, client_options(Parser()).parse_args([]), os.environ)
    services = sum(len(plan.options.services) for plan in file.plans)
    peers = _counted(len(file.plans), "peer")
    console.say(f"{path} is right: {peers}, {_counted(services, 'named service')}")
    return Exit.OK


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
