"""A client's connection to its server, where the server goes at a bad moment."""

from __future__ import annotations

import asyncio
import select
import socket
import struct
from collections.abc import Callable

from nat_traversal import Endpoint
from nat_traversal.aio.client_config import ClientConfig
from nat_traversal.aio.control_connection import ControlProtocol
from nat_traversal.aio.platform import Platform
from nat_traversal.aio.server_link import ServerLink
from nat_traversal.aio.trunk import Alone
from nat_traversal.machine import events as e
from nat_traversal.wire.endpoint import HostPort
from tests.loopback.support import eventually

RESET = struct.pack("ii", 1, 0)
"""`SO_LINGER`, so that closing resets."""


class GoneAtOnce(Alone):
    """A connection that `listener` has taken and reset before asyncio hears of it."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener

    async def _dial(self, addresses: list[Endpoint], new: Callable[[], ControlProtocol]) -> None:
        sock = socket.create_connection(addresses[0].sockaddr)
        there, _ = self._listener.accept()
        there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        there.close()
        select.select([sock], [], [])
        sock.setblocking(False)
        await asyncio.get_running_loop().create_connection(new, sock=sock)


async def test_a_server_that_is_gone_as_soon_as_it_was_reached_is_a_broken_connection() -> None:
    told: list[e.Event] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        at = HostPort(*listener.getsockname())
        config = ClientConfig(at, "host_a", "host_b")
        link = ServerLink(config, GoneAtOnce(listener), Platform(), told.append)
        link.open()
        await eventually(lambda: told, "the end")
    assert [type(event) for event in told] == [e.ControlBroken]
    assert link.udp is None
    link.close()
    await link.closed()
