"""Tells a client's machine that its host's network has changed, or that it has slept.

The kernel says that something has changed (rtnetlink(7)), the timer of `wake` that time has passed. Then two things are
looked at: the plausible interfaces, and the address from which datagrams would leave now. So containers,
machines and others' tunnels may come and go. Without rtnetlink the timer alone makes one look.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Hashable, Mapping
from typing import NamedTuple

from nat_traversal.aio.interfaces import networks, source_towards
from nat_traversal.aio.packet_io import endpoint_of
from nat_traversal.aio.wake import WakeWatch
from nat_traversal.machine import events as e
from nat_traversal.wire.endpoint import Endpoint

log = logging.getLogger(__name__)

SETTLE = 0.05
"""Seconds from the kernel's first word until a look: a link that comes or goes is told in several."""
CALM = 0.5
"""Seconds between two looks at least: a link that flaps is no reason for more."""
_RTMGRP_LINK, _RTMGRP_IPV4_IFADDR, _RTMGRP_IPV4_ROUTE = 0x1, 0x10, 0x40
_RTMGRP_IPV6_IFADDR, _RTMGRP_IPV6_ROUTE = 0x100, 0x400
_GROUPS = (
    _RTMGRP_LINK
    | _RTMGRP_IPV4_IFADDR
    | _RTMGRP_IPV4_ROUTE
    | _RTMGRP_IPV6_IFADDR
    | _RTMGRP_IPV6_ROUTE
)
"""Of linux/rtnetlink.h."""
_LONGEST = 65_536


class Ends(NamedTuple):
    """Of one connected socket."""

    here: Endpoint
    there: Endpoint


def ends_of(sock: socket.socket | None) -> Ends | None:
    """None: it is not connected."""
    if sock is None:
        return None
    try:
        return Ends(endpoint_of(sock.getsockname()), endpoint_of(sock.getpeername()))
    except OSError:
        return None


class Ways(NamedTuple):
    """The client's connected sockets."""

    paths: Mapping[int, Ends | None]
    """By generation, those of paths; None: there was no way when it should have been connected."""
    server: Ends | None
    """The control connection."""


def route_events() -> socket.socket | None:
    """A socket that becomes readable when links, addresses or routes change; None where no kernel tells."""
    if not hasattr(socket, "AF_NETLINK"):
        return None
    try:
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    except OSError as error:
        log.debug("changes of the network are looked for by a timer alone: %s", error)
        return None
    try:
        sock.setblocking(False)
        sock.bind((0, _GROUPS))
    except OSError as error:
        log.debug("changes of the network are looked for by a timer alone: %s", error)
        sock.close()
        return None
    return sock


class NetworkChanges:
    """Feeds `NetworkChanged` and `Woke` until `close`. `ways` tells the client's sockets at each look; `interval`:
    seconds between two looks without a word of the kernel; `slept`: `wake.suspended`."""

    def __init__(
        self,
        interval: float,
        ways: Callable[[], Ways],
        feed: Callable[[e.Event], None],
        *,
        slept: Callable[[], float],
        events: Callable[[], socket.socket | None] = route_events,
        here: Callable[[], Hashable] = networks,
        source: Callable[[Endpoint], str | None] = source_towards,
    ) -> None:
        self._ways, self._feed = ways, feed
        self._here, self._source = here, source
        self._loop = asyncio.get_running_loop()
        self._last_here = here()
        self._last_stale = frozenset[int | None]()
        self._looked_at = self._loop.time() - CALM
        self._timer: asyncio.TimerHandle | None = None
        self._sock = events()
        if self._sock is not None:
            self._loop.add_reader(self._sock, self._told, self._sock)
        self._watch = WakeWatch(interval, lambda: feed(e.Woke()), clock=slept, looked=self.look)

    def close(self) -> None:
        """Watch no more."""
        self._watch.close()
        if self._timer is not None:
            self._timer.cancel()
        if self._sock is not None:
            self._loop.remove_reader(self._sock)
            self._sock.close()
            self._sock = None

    def look(self) -> None:
        """Tell the machine if anything that counts has changed since the last look."""
        self._timer, self._looked_at = None, self._loop.time()
        ways = self._ways()
        stale = frozenset(number for number, ends in ways.paths.items() if self._is_stale(ends))
        server_is_stale = ways.server is not None and self._is_stale(ways.server)
        found = stale | {None} if server_is_stale else stale
        here, before, known = self._here(), self._last_here, self._last_stale
        self._last_here, self._last_stale = here, found
        if here == before and found <= known:
            return
        if here or found:  # else there is no network: wait for the next one
            self._feed(e.NetworkChanged(stale, server_is_stale))

    def _told(self, sock: socket.socket) -> None:
        """Take the kernel's words; one that was lost because of their number is a word too."""
        while True:
            try:
                sock.recv(_LONGEST)
            except BlockingIOError:
                break
            except OSError as error:
                log.debug("rtnetlink: %s", error)
        if self._timer is None:
            at = max(self._loop.time() + SETTLE, self._looked_at + CALM)
            self._timer = self._loop.call_at(at, self.look)

    def _is_stale(self, ends: Ends | None) -> bool:
        """Whether datagrams would leave from another address now. Where there is no way they may as well wait."""
        if ends is None:
            return True
        source = self._source(ends.there)
        return source is not None and source != ends.here.address
