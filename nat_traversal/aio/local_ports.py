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


class LocalPorts:
    """From `first` on; 0: any. `open_udp` binds a socket, or raises."""

    def __init__(self, first: int, open_udp: Callable[[Endpoint], socket.socket]) -> None:
        self._ports = tuple(range(first, first + COUNT)) if first else ()
        self._open_udp = open_udp

    def open(self, family: int) -> socket.socket:
        """A socket of that IP version: at the port that has not been used for longest and is free, else at any."""
        at = wildcard(family)
        for port in self._ports:
            self._ports = (*self._ports[1:], port)
            try:
                return self._open_udp(replace(at, port=port))
            except LocalAddressError:  # another socket has it
                continue
        return self._open_udp(at)
