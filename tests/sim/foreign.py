"""Connections of others through a host's NAT: each takes a port, and an entry."""

from __future__ import annotations

import random

from nat_traversal.wire.endpoint import Endpoint
from tests.sim.network import Host
from tests.sim.world import World


class Foreign:
    """`rate` new ones a second through the NAT of `host`, at random moments, to servers of their own."""

    def __init__(self, world: World, host: Host, rate: float, rng: random.Random) -> None:
        self._world, self._host, self._rate, self._rng = world, host, rate, rng
        self.count = 0
        self._next()

    def _next(self) -> None:
        clock = self._world.clock
        clock.at(clock.now + self._rng.expovariate(self._rate), self._begins)

    def _begins(self) -> None:
        self.count += 1
        port = 1024 + self.count % 60_000
        remote = Endpoint(f"100.64.{self.count >> 8 & 255}.{self.count & 255}", 443)
        self._host.nat.outbound(Endpoint("10.0.9.9", port), remote, self._world.clock.now)
        self._next()
