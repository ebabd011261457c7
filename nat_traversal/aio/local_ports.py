"""The UDP ports of this host that the sockets of paths take: any, or a few in turn, for a firewall that lets these through."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace

from nat_traversal.aio.packet_io import wildcard
from nat_traversal.errors import LocalAddressError
from nat_traversal.wire.endpoint import Endpoint

COUNT = 8
"""Ports from the first on: two rounds at a time, and relays."""

REMEMBERED = 256
"""Ports that are not taken again soon: a NAT may still know the last socket there, with its mapping and filters. By chance the
kernel would give one of them to every few hundredth fresh socket."""
TRIES = 8


class LocalPorts:
    """From `first` on; 0: any. `open_udp` binds a socket, or raises."""

    def __init__(self, first: int, open_udp: Callable[[Endpoint], socket.socket]) -> None:
        self._ports = tuple(range(first, first + COUNT)) if first else ()
        self._open_udp = open_udp
        self._used: dict[int, None] = {}
        """The last ports of the kernel's choice, in their order."""

    def open(self, family: int) -> socket.socket:
        """A socket of that IP version: at the port that has not been used for longest and is free, else at any."""
        at = wildcard(family)
        for port in self._ports:
            self._ports = (*self._ports[1:], port)
            try:
                return self._open_udp(replace(at, port=port))
            except LocalAddressError:  # another socket has it
                continue
        return self._fresh(at)

    def _fresh(self, at: Endpoint) -> socket.socket:
        """A socket at a port that none of the last ones had, as far as the kernel gives one."""
        passed: list[socket.socket] = []
        try:
            for _ in range(TRIES):
                sock = self._open_udp(at)
                if sock.getsockname()[1] not in self._used:
                    break
                passed.append(sock)
            else:
                sock = passed.pop()
        finally:
            for each in passed:  # only now, as the kernel would give them again
                each.close()
        self._used[sock.getsockname()[1]] = None
        if len(self._used) > REMEMBERED:
            del self._used[next(iter(self._used))]
        return sock
