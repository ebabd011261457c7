"""The TCP and UDP sockets of a server: its own at each address, or those that a service manager has opened."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from nat_traversal.aio.packet_io import (
    AnsweringSocket,
    bind_problem,
    endpoint_of,
    family_of,
    open_udp,
)
from nat_traversal.errors import UsageError
from nat_traversal.machine.events import LocalAddress
from nat_traversal.wire.endpoint import Endpoint

TRIES = 20
"""For a port number that is free wherever it is wanted: for TCP and UDP, at every address."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Bound sockets: at each address one for TCP and one for UDP, with the same number."""

    tcp: tuple[socket.socket, ...]
    udp: tuple[AnsweringSocket, ...]

    @classmethod
    def bind(cls, hosts: Sequence[str], port: int) -> Self:
        """The same port number at each of these IP addresses; 0 is any that is free at all of them.

        Raises `UsageError`, its kind `LocalAddressError` where time may cure that.
        """
        for left in reversed(range(TRIES)):
            made = cls((), ())
            number = port
            try:
                for host in hosts:
                    made = cls((*made.tcp, bind_tcp(host, number)), made.udp)
                    number = made.tcp[0].getsockname()[1]
                    udp = open_udp(Endpoint(host, number), only_v6=True)
                    made = cls(made.tcp, (*made.udp, AnsweringSocket(udp)))
            except UsageError:
                made.close()
                if port or not left:  # one that is free over TCP may be taken for UDP: try another
                    raise
            else:
                return made
        raise AssertionError

    @classmethod
    def inherit(cls, sockets: Sequence[socket.socket]) -> Self:
        """Those that somebody else has bound. Raises `UsageError` if a server cannot use them."""
        tcp = [each for each in sockets if each.type == socket.SOCK_STREAM]
        udp = [each for each in sockets if each.type == socket.SOCK_DGRAM]
        names = [{endpoint_of(each.getsockname()) for each in kind} for kind in (tcp, udp)]
        lacking = sorted(names[0] ^ names[1])
        if lacking or not names[0]:
            where = str(lacking[0]) if lacking else "any address"
            raise UsageError(
                f"the sockets handed over lack TCP or UDP at {where}: "
                "the unit needs ListenStream= and ListenDatagram= for each address"
            )
        for each in sockets:
            is_ipv6 = each.family == socket.AF_INET6
            if is_ipv6 and not each.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
                raise UsageError(
                    "a socket handed over speaks IPv4 and IPv6 at once: the unit needs "
                    "BindIPv6Only=ipv6-only, and lines of their own for 0.0.0.0 and [::]"
                )
            each.setblocking(False)
        return cls(tuple(tcp), tuple(map(AnsweringSocket, udp)))

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where they listen, over TCP and UDP alike."""
        return tuple(each.endpoint for each in self.udp)

    def local(self, udp: AnsweringSocket, asked: LocalAddress | None) -> LocalAddress | None:
        """The address that an answer to what came on `udp` has to leave from; None: there is no choice."""
        if asked is None and len(self.udp) > 1:
            return LocalAddress(udp.endpoint.address)
        return asked

    def answer(self, octets: bytes, destination: Endpoint, local: LocalAddress | None) -> None:
        """Send from the socket that has the address `local`. Raises `OSError`."""
        udp = self.udp[0]
        if len(self.udp) > 1:
            udp = self._with(destination.family, local)
        udp.answer(octets, destination.sockaddr, local)

    def close(self) -> None:
        """Free the ports."""
        for tcp in self.tcp:
            tcp.close()
        for udp in self.udp:
            udp.close()

    def _with(self, family: int, local: LocalAddress | None) -> AnsweringSocket:
        ours = [each for each in self.udp if each.endpoint.family == family] or [*self.udp]
        exact = [each for each in ours if local and each.endpoint.address == local.address]
        wide = [each for each in ours if each.is_wildcard]
        return (exact or wide or ours)[0]


def bind_tcp(host: str, port: int) -> socket.socket:
    """A socket at that IP address and port (0: any), which does not listen yet. Raises `UsageError`."""
    # asyncio turns Nagle's delay off, which costs a round trip, only where it is told the protocol.
    try:
        tcp = socket.socket(family_of(host), socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:
        raise bind_problem("TCP", host, port, error) from error
    try:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if tcp.family == socket.AF_INET6:
            tcp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        tcp.bind((host, port))
    except OSError as error:
        tcp.close()
        raise bind_problem("TCP", host, port, error) from error
    return tcp
