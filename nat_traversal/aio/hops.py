"""Datagrams that end at a router on their way, and the word that it sends of them: IP's TTL, and the kernel's queue of ICMP errors."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

from nat_traversal.aio.packet_io import open_udp, wildcard
from nat_traversal.aio.soft_errors import Lost, SoftErrors
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.methods import MethodName

_TTL = struct.Struct("=i")


def send_limited(sock: socket.socket, data: bytes, destination: Endpoint, hops: int) -> None:
    """It ends at the router number `hops`. Raises what `sendmsg` raises."""
    if sock.family == socket.AF_INET6:
        level, kind = socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT
    else:
        level, kind = socket.IPPROTO_IP, socket.IP_TTL
    sock.sendmsg([data], [(level, kind, _TTL.pack(hops))], 0, destination.sockaddr)


class Tracer:
    """Of one socket. `told` hears the address of each router at which a datagram has ended."""

    def __init__(self, sock: socket.socket, told: Callable[[str], None]) -> None:
        self._sock = sock
        self._told = told
        self._errors = SoftErrors(sock, self._lost)

    @property
    def can_be_told(self) -> bool:
        """The kernel keeps the routers' words."""
        return self._errors.has_queue

    def send(self, data: bytes, destination: Endpoint, hops: int) -> None:
        """It ends at the router number `hops`. Raises what `sendmsg` raises."""
        try:
            send_limited(self._sock, data, destination, hops)
        except OSError as error:
            again = lambda: send_limited(self._sock, data, destination, hops)  # noqa: E731
            if (own := self._errors.again(again, error, data)) is not None:
                raise own from error

    def drain(self) -> None:
        """Hear what routers have said. A socket counts as readable until this is done."""
        self._errors.drain()

    def _lost(self, lost: Lost) -> None:
        if lost.is_expired and lost.teller:
            self._told(lost.teller)


def usable(methods: tuple[str, ...]) -> tuple[str, ...]:
    """Those of `methods` in which this system can take part: `low-ttl` needs one that tells a program at which
    router a datagram has ended. Linux does, without root."""
    if MethodName.LOW_TTL not in methods:
        return methods
    with open_udp(wildcard(4)) as sock:
        can_be_told = Tracer(sock, lambda _: None).can_be_told
    return tuple(each for each in methods if can_be_told or each != MethodName.LOW_TTL)
