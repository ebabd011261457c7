"""Further places where a client may be reached: this host's addresses, its router's port, its TURN server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from nat_traversal.aio.interfaces import hosts_of, ipv6_address
from nat_traversal.aio.open_socket import OpenSocket
from nat_traversal.aio.packet_io import endpoint_of
from nat_traversal.aio.platform import Platform
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.turn import TurnServer

if TYPE_CHECKING:
    from nat_traversal.aio.gateway import Gateway


class Reaching:
    """`open_ipv6` opens a UDP socket, `readable` reads it. The machine hears of it by `feed`."""

    def __init__(
        self,
        open_ipv6: Callable[[], socket.socket],
        readable: Callable[[OpenSocket, socket.socket], None],
        feed: Callable[[e.Event], None],
        platform: Platform,
        turn: TurnServer | None,
    ) -> None:
        self._open_ipv6 = open_ipv6
        self._readable = readable
        self._feed = feed
        self._loop = asyncio.get_running_loop()
        self._gateway: Gateway | None = None
        self._platform = platform
        self._turn = turn
        self._ending: set[asyncio.Task[None]] = set()

    def find_hosts(self, opened: OpenSocket | None, order: do.FindHosts) -> None:
        """Find the addresses that the order wants; an IPv6 one has a socket of its own."""
        if opened is None or opened.udp is None:
            return
        found = hosts_of(opened.udp) if order.hosts else ()
        is_ipv4 = opened.udp.family == socket.AF_INET
        address = ipv6_address() if order.ipv6 and is_ipv4 else None
        if address is not None:
            opened.ipv6 = sock = self._open_ipv6()
            self._loop.add_reader(sock, self._readable, opened, sock)
            found += (Endpoint(address, endpoint_of(sock.getsockname()).port),)
        own_port = endpoint_of(opened.udp.getsockname()).port
        self._feed(e.HostsFound(found, order.generation, own_port))

    def map_port(self, opened: OpenSocket | None) -> None:
        """Let the router lead a port to the socket, if it is an IPv4 one."""
        if opened is None or opened.udp is None or opened.udp.family != socket.AF_INET:
            return
        if self._gateway is None:
            from nat_traversal.aio.gateway import Gateway  # noqa: PLC0415 - few clients need it

            self._gateway = Gateway()
        generation = opened.generation
        opened.mapped = port = endpoint_of(opened.udp.getsockname()).port
        self._gateway.map(port, lambda outside: self._feed(e.RouterMaps(outside, generation)))

    def open_turn(
        self,
        opened: OpenSocket,
        peers: tuple[Endpoint, ...],
        arrived: Callable[[bytes, Endpoint], None],
    ) -> None:
        """Let the TURN server relay for `peers`, in the place of a UDP socket."""
        from nat_traversal.aio.turn import TurnEnd  # noqa: PLC0415 - an extra

        assert self._turn is not None, "the machine knows that there is none"
        given = opened.generation, self._turn, self._platform
        opened.stream = end = TurnEnd(*given, on_event=self._feed, arrived=arrived)
        end.open(peers)

    def ended(self, work: object) -> None:
        """`work` gives something back, if it is a task: wait for it at the end."""
        if isinstance(work, asyncio.Task):
            self._ending.add(work)
            work.add_done_callback(self._ending.discard)

    def settle(self, opened: OpenSocket, remote: Endpoint) -> None:
        """A path to `remote` takes one of the sockets: close the other."""
        other = opened.settle(remote)
        if other is not None:
            self._loop.remove_reader(other)
            other.close()

    def closed(self, opened: OpenSocket) -> None:
        """Give the router its port back."""
        if self._gateway is not None and opened.mapped:
            self._gateway.release(opened.mapped)

    async def close(self) -> None:
        """Wait until routers and TURN servers have all back, for as long as that is of use."""
        if self._ending:
            await asyncio.wait(self._ending)
        if self._gateway is not None:
            await self._gateway.close()
