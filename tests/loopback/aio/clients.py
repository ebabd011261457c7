"""One client in this process, with a server that waits or that the test scripts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nat_traversal import Endpoint
from nat_traversal.aio.packet_io import endpoint_of
from nat_traversal.machine import notices as note
from nat_traversal.settings import ClientSettings
from tests.loopback.hosts import Host, a_server
from tests.loopback.scripted import ScriptedServer, Wire

SETTINGS = ClientSettings()
DISCARD = [Endpoint("127.0.0.1", 9)]


def punch_socket(host: Host) -> Endpoint:
    return Endpoint("127.0.0.1", endpoint_of(host.socket.sock.getsockname()).port)


@asynccontextmanager
async def a_scripted_server(
    settings: ClientSettings = SETTINGS,
) -> AsyncIterator[tuple[Host, Wire]]:
    """A client, and the server's end of its control connection."""
    async with (
        ScriptedServer.run() as server,
        Host(server.endpoint, "host_a", "host_b", connect=DISCARD, settings=settings) as host,
    ):
        yield host, await server.client()


@asynccontextmanager
async def a_waiting_client() -> AsyncIterator[tuple[Host, Endpoint]]:
    """A client that waits for its peer, and the address of its server."""
    async with (
        a_server() as (server, _),
        Host(server.endpoint, "host_a", "host_b", connect=DISCARD) as host,
    ):
        await host.notices.wait(note.MappingLearned)
        yield host, server.endpoint
