"""A TURN server in the world: it allocates after three round trips, lets in whom it was told, or refuses.

The way between a client and its TURN server takes no time and loses nothing. That from there to the peer is as any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nat_traversal.machine import events as e
from nat_traversal.wire.endpoint import Endpoint
from tests.sim.network import Host

if TYPE_CHECKING:
    from tests.sim.client import Client
    from tests.sim.world import World

ADDRESS = "192.0.2.9"
ROUND_TRIPS = 3
"""Without credentials, with them, and for the permission."""


class TurnServer:
    """Of every client in the world that has one."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.host = Host("turn", "none", ADDRESS, ADDRESS, world.rng)
        self.refuses: dict[str, str] = {}
        """By the names of hosts: why each gets nothing."""
        self.relays_at: Endpoint | None = None
        """Another address that it names for the one at which it relays."""
        self.asked: list[str] = []
        """The hosts that have asked, in order."""
        self.allocated: dict[int, Client] = {}
        """By the sockets' numbers at their clients."""

    def allocate(self, client: Client, generation: int, peers: tuple[Endpoint, ...]) -> None:
        """For `client`, whose socket of that number it stands for."""
        world = self._world
        world.net.hosts[self.host.name] = self.host
        self.asked.append(client.host.name)
        client.allocating.add(generation)
        at = world.clock.now + ROUND_TRIPS * world.r
        world.clock.at(at, lambda: self._answer(client, generation, peers))

    def lose(self, client: Client) -> None:
        """Forget what it has for `client`."""
        for generation in [each for each, owner in self.allocated.items() if owner is client]:
            self.host.sockets[client.sockets[generation]] = lambda *_: None
            client.feed(e.TurnBroken(generation, "it is gone"))

    def _answer(self, client: Client, generation: int, peers: tuple[Endpoint, ...]) -> None:
        if generation not in client.allocating or client.is_dead:
            return
        if client.host.name in self.refuses:
            client.feed(e.TurnBroken(generation, self.refuses[client.host.name]))
            return
        client.allocating.remove(generation)
        permitted = {each.address for each in peers}

        def receive(data: bytes, source: Endpoint) -> None:
            if source.address in permitted:
                client.datagram(data, source, generation)

        address = self.host.open(receive)
        self.allocated[generation] = client
        client.turned(generation, address, self.host)
        client.feed(e.TurnOpened(generation, self.relays_at or address))
