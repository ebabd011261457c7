"""A client's host: names, ways out, fresh UDP sockets, time asleep. A program or test may give a client another one."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from nat_traversal.aio.interfaces import has_ipv4, has_ipv6
from nat_traversal.aio.network_changes import route_events
from nat_traversal.aio.packet_io import open_udp
from nat_traversal.aio.resolver import resolve
from nat_traversal.aio.wake import suspended
from nat_traversal.wire.endpoint import Endpoint, HostPort


class Resolve(Protocol):
    """The addresses of a name in these IP versions. Raises `NameUnresolvedError`."""

    async def __call__(self, name: HostPort, *, families: Sequence[int]) -> list[Endpoint]: ...


@dataclass(frozen=True, slots=True)
class Platform:
    """The services of an operating system that a client uses."""

    resolve: Resolve = resolve
    has_ipv4: Callable[[], bool] = has_ipv4
    """Whether there is a way to IPv4 hosts."""
    has_ipv6: Callable[[], bool] = has_ipv6
    """The same of IPv6."""
    open_udp: Callable[[Endpoint, int], socket.socket] = open_udp
    """A non-blocking socket at that endpoint, with buffers of so many octets."""
    suspended: Callable[[], float] = suspended
    """Seconds that the host has slept since it booted."""
    route_events: Callable[[], socket.socket | None] = route_events
    """A socket that becomes readable when the host's network changes; None: it does not tell."""
