"""The relays of one server among several: a guest reaches them at an address of this server, or has none."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from nat_traversal.machine.counters import Counters
from nat_traversal.machine.events import ConnectionId
from nat_traversal.machine.timers import Timers
from nat_traversal.server.member import Member
from nat_traversal.server.relays import Relays
from nat_traversal.server.session import numbers as numbered
from nat_traversal.settings import ServerSettings
from nat_traversal.wire.control import MAX_COUNTER
from nat_traversal.wire.endpoint import Endpoint


class SharedRelays(Relays):
    """`place_of` tells where the host at a connection reaches this server, if it is a guest.

    A client may have relays of two servers. So each begins to count elsewhere.
    """

    def __init__(
        self,
        timers: Timers,
        settings: ServerSettings,
        counters: Counters,
        numbers: Iterator[int],
        rng: random.Random,
        *,
        place_of: Callable[[ConnectionId], Endpoint | None],
    ) -> None:
        del numbers
        super().__init__(timers, settings, counters, numbered(rng.randrange(MAX_COUNTER)), rng)
        self._place_of = place_of

    def obstacle(self, hosts: tuple[Member, Member]) -> str:
        """A guest to which this server can name no address of its own."""
        for host in hosts:
            if host.connection < 0 and self._place_of(host.connection) is None:
                return (
                    f"the two hosts are at different servers, and the one that has the relay knows no address of its "
                    f"own at which {host.id} could reach it: start it with --relay-address ADDRESS"
                )
        return ""
