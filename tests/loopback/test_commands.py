"""The public commands as processes, from a checkout and installed."""

from __future__ import annotations

import re
import signal

import pytest

from nat_traversal import Endpoint
from tests.loopback.support import Command, Program, Service, unused_address

SERVERS = (
    ("python3", "traversal_server.py"),
    ("python3", "-m", "nat_traversal", "server"),
    ("traversal-server",),
    ("nat-traversal", "server"),
)
CLIENTS = (
    ("python3", "traversal_client.py"),
    ("python3", "-m", "nat_traversal", "client"),
    ("traversal-client",),
    ("nat-traversal", "client"),
)


async def listening(server: Command) -> Endpoint:
    line = await server.line("listening on")
    found = re.search(r"listening on ([\d.]+):(\d+), TCP and UDP$", line)
    assert found
    return Endpoint(found[1], int(found[2]))


@pytest.mark.parametrize(("server_words", "client_words"), list(zip(SERVERS, CLIENTS, strict=True)))
async def test_two_clients_forward_a_datagram_and_its_reply(
    server_words: tuple[str, ...], client_words: tuple[str, ...]
) -> None:
    with Service() as service, Program() as program:
        local = Endpoint(unused_address(), 5300)
        async with Command.run(*server_words, "--port", "0") as server:
            port = (await listening(server)).port
            common = (*client_words, "--server", f"127.0.0.1:{port}", "--id")
            async with (
                Command.run(*common, "host_a", "-r", "host_b", "--listen", str(local)) as a,
                Command.run(
                    *common, "host_b", "-r", "host_a", "--connect", str(service.endpoint)
                ) as b,
            ):
                await a.line("connected to 127.0.0.1:")
                await b.line("connected to 127.0.0.1:")
                assert await program.ask(b"hello", local) == b"hello"
                assert await a.end(signal.SIGTERM) == 0
                await b.line("host_a has left")
                assert await b.end(signal.SIGINT) == 0
                assert a.told[-1] == "datagrams: 1 to the other side, 1 from it"
            await server.line("host_a and host_b are connected (round 1)")
            assert await server.end(signal.SIGTERM) == 0
