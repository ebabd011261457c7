"""The command `config check`: a client's configuration file, looked at and not used."""

from __future__ import annotations

import os
from collections import Counter

from nat_traversal.arguments.parser import Parser
from nat_traversal.cli.client_arguments import client_options
from nat_traversal.cli.console import Console
from nat_traversal.cli.exit import Exit
from nat_traversal.cli.peers.file import read_file
from nat_traversal.cli.peers.places import USUAL, folders, found
from nat_traversal.errors import UsageError
from nat_traversal.settings import ServerSettings

USUAL_PEERS = ServerSettings().pairs
"""Peers of one id that a server takes unless told otherwise."""


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
    ids = Counter((plan.options.id, plan.options.server) for plan in file.plans)
    for (own, server), number in ids.items():
        if number > USUAL_PEERS:
            console.say(
                f"but {own} has {number} peers at {server}, and a server takes {USUAL_PEERS} of one id unless its "
                'pairs say more: give the others another id for this host, as = "NAME"'
            )
    return Exit.OK


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
