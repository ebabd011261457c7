"""A socket of a client, and the path on it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from nat_traversal.aio.datapath import DataPath
from nat_traversal.aio.hops import Tracer, send_limited
from nat_traversal.aio.nat64 import Edge
from nat_traversal.aio.packet_io import PacketIO
from nat_traversal.aio.roaming import Roaming
from nat_traversal.machine import actions as do
from nat_traversal.machine.events import HopTold
from nat_traversal.wire.endpoint import Endpoint


class StandIn(PacketIO, Protocol):
    """It stands for a UDP socket, and carries one path: a connection to a relay, or an allocation at a TURN server."""

    @property
    def kernel_socket(self) -> socket.socket | None:
        """The one beneath, once there is one."""

    def send(self, data: bytes, destination: Endpoint | None) -> None:
        """Send one datagram to the other host."""

    def towards(self, remote: Endpoint) -> PacketIO:
        """The way of a path to `remote`."""

    def close(self) -> object:
        """End it: what was sent still leaves."""


@dataclass(eq=False, slots=True)
class OpenSocket:
    """One UDP socket of a client, and the path on it once there is one."""

    generation: int
    udp: socket.socket | None
    """None: `stream` stands for it."""
    edge: Edge
    stream: StandIn | None = None
    ipv6: socket.socket | None = None
    """A socket of the other IP version beside an IPv4 one, until a path takes one of the two."""
    mapped: int = 0
    """The port of this host to which the router was asked to lead one; 0: none."""
    path: DataPath | None = None
    roaming: Roaming | None = None
    """The sockets of a path that may move."""
    tracer: Tracer | None = None
    """Once it has sent a datagram of which a router may tell."""
    early: list[bytes] = field(default_factory=list)
    """Frames that overtook the proof."""

    @property
    def sock(self) -> socket.socket:
        """The UDP socket of one that is no connection."""
        assert self.udp is not None
        return self.udp

    def send_frame(self, order: do.SendFrame) -> None:
        """Seal and send it, where the path leads or elsewhere."""
        assert self.path is not None, "frames come after UsePath"
        if order.to is None:
            self.path.send_frame(order.kind, order.plain)
        elif self.roaming is not None:
            self.roaming.send(order.kind, order.plain, order.to)

    def rebind(self) -> None:
        """Go on from the address that this host has now."""
        if self.roaming is not None:
            self.roaming.rebind()

    def redirect(self, remote: Endpoint) -> None:
        """The peer is at `remote` now."""
        if self.roaming is not None:
            self.roaming.redirect(remote)

    @property
    def kernel_socket(self) -> socket.socket | None:
        """The one beneath the path."""
        if self.roaming is not None:
            return self.roaming.sock
        return self.udp if self.stream is None else self.stream.kernel_socket

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The open ones."""
        if self.roaming is not None:
            return self.roaming.sockets
        return tuple(each for each in (self.udp, self.ipv6) if each is not None)

    def towards(self, remote: Endpoint) -> socket.socket:
        """The one whose datagrams get there."""
        return self.ipv6 if self.ipv6 is not None and remote.family == 6 else self.sock

    def send_limited(
        self, data: bytes, remote: Endpoint, hops: int, feed: Callable[[HopTold], None] | None
    ) -> None:
        """A datagram that ends at the router number `hops`; `feed` is told which that is. Raises what `sendmsg` raises."""
        sock, edge = self.towards(remote), self.edge
        to = edge.outside(remote, sock)
        if feed is None:
            send_limited(sock, data, to, hops)
            return
        if self.tracer is None:
            self.tracer = Tracer(
                sock, lambda teller: feed(HopTold(edge.inside_address(teller), self.generation))
            )
        self.tracer.send(data, to, hops)

    def settle(self, remote: Endpoint) -> socket.socket | None:
        """A path to `remote` takes the one: the other is to be closed."""
        other = (
            self.udp if self.udp is not None and self.towards(remote) is self.ipv6 else self.ipv6
        )
        self.udp, self.ipv6 = (None if self.udp is None else self.towards(remote)), None
        return other
