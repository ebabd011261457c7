"""Guests of a server: a pair that has to connect, and a client that asks and does not read."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nat_traversal import Endpoint, Server, ServerSettings
from nat_traversal.aio.control_connection import ControlProtocol
from nat_traversal.wire import control
from nat_traversal.wire import messages as m
from tests.loopback.hosts import Host
from tests.loopback.scripted import Wire
from tests.loopback.support import eventually

DISCARD = [Endpoint("127.0.0.1", 9)]


async def a_pair_connects(server: Endpoint) -> None:
    async with (
        Host(server, "host_a", "host_b", listen="127.0.0.1") as a,
        Host(server, "host_b", "host_a", connect=DISCARD) as b,
    ):
        await a.connected()
        await b.connected()


NO_RATE_LIMIT = ServerSettings(rate=1e9, burst=10**9)


@asynccontextmanager
async def a_deaf_client(server: Server) -> AsyncIterator[tuple[Wire, ControlProtocol]]:
    """A client that asks and does not read, and the server's end of its connection.

    It is left with many octets that wait at the server, more than the kernel's buffers take.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, server.endpoint.sockaddr)
    async with Wire(*await asyncio.open_connection(sock=sock)) as wire:
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await eventually(lambda: server.connections, "the server accepts")
        protocol = server.connections[-1]
        accepted = protocol.transport.get_extra_info("socket")
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        while protocol.transport.get_write_buffer_size() < 32_768:
            # As if it had asked. Were it to ask, more might be under way than the server lets wait.
            protocol.transport.write(control.encode(m.HeartbeatAnswer(1)) * 20)
            await asyncio.sleep(0)
        yield wire, protocol
