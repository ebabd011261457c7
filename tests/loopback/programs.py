"""Local programs with one UDP socket, and services that answer."""

from __future__ import annotations

import asyncio
import select
import socket
import sys
from collections.abc import Callable
from typing import Self

from nat_traversal import Endpoint
from nat_traversal.aio.offload import UDP_SEGMENT
from nat_traversal.aio.packet_io import endpoint_of
from tests.loopback.support import DEADLINE


class Program:
    """A local program with one UDP socket."""

    def __init__(self, address: str = "127.0.0.1", port: int = 0) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
        self.sock.bind((address, port))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    @property
    def endpoint(self) -> Endpoint:
        return endpoint_of(self.sock.getsockname())

    def send(self, payload: bytes, to: Endpoint) -> None:
        self.sock.sendto(payload, to.sockaddr)

    def send_run(self, octets: bytes, size: int, to: Endpoint) -> None:
        """Datagrams of `size` octets each but the last, in one call (GSO)."""
        segment = (socket.IPPROTO_UDP, UDP_SEGMENT, size.to_bytes(2, sys.byteorder))
        self.sock.sendmsg([octets], [segment], 0, to.sockaddr)

    async def receive(self) -> tuple[bytes, Endpoint]:
        async with asyncio.timeout(DEADLINE):
            data, source = await asyncio.get_running_loop().sock_recvfrom(self.sock, 65_536)
        return data, endpoint_of(source)

    async def ask(self, payload: bytes, to: Endpoint) -> bytes:
        """Send, and return the first answer."""
        self.send(payload, to)
        return (await self.receive())[0]

    async def ask_again(self, payload: bytes, to: Endpoint) -> bytes:
        """As `ask`, and once more each half second: the path may end at any time."""
        asked = asyncio.create_task(self.receive())
        while not asked.done():
            self.send(payload, to)
            await asyncio.wait([asked], timeout=0.5)
        return asked.result()[0]

    def has_received(self) -> bool:
        """Whether something is there to be read."""
        return bool(select.select([self.sock], [], [], 0)[0])


Answer = Callable[[bytes, Endpoint], bytes]


class Service(Program):
    """A program that answers each datagram, with the same octets unless told otherwise."""

    def __init__(
        self,
        address: str = "127.0.0.1",
        port: int = 0,
        *,
        answer: Answer = lambda payload, _: payload,
    ) -> None:
        super().__init__(address, port)
        self.asked: list[tuple[bytes, Endpoint]] = []
        self._compose = answer
        asyncio.get_running_loop().add_reader(self.sock, self._answer)

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self.sock)
        super().__exit__()

    def _answer(self) -> None:
        data, source = self.sock.recvfrom(65_536)
        self.asked.append((data, endpoint_of(source)))
        self.sock.sendto(self._compose(data, self.asked[-1][1]), source)
