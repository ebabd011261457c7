"""How tests start the commands, and where a server says that it listens."""

from __future__ import annotations

import re
import signal

import pytest

from nat_traversal import Endpoint
from tests.loopback.command import Command

SERVER = ("python3", "traversal_server.py")
CLIENT = ("python3", "traversal_client.py")
BOTH_SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
EVERY_SIGNAL = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])


def host_a(server: Endpoint | str) -> tuple[str, ...]:
    return (*CLIENT, "--server", str(server), "--id", "host_a", "-r", "host_b")


def at(endpoint: Endpoint) -> tuple[str, ...]:
    return ("--host", endpoint.address, "--port", str(endpoint.port))


async def listening(server: Command) -> Endpoint:
    line = await server.line("listening on")
    found = re.fullmatch(r"listening on ([\d.]+):(\d+), TCP and UDP", line)
    assert found
    return Endpoint(found[1], int(found[2]))
