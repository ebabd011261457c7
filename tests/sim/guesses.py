"""The rounds in which ports are guessed: when they began, and what was said in them."""

from __future__ import annotations

from bisect import bisect_left

from nat_traversal.machine import notices as note
from nat_traversal.wire.datagrams import Confirm, Hello
from tests.sim.client import Client
from tests.sim.network import Host, Packet
from tests.sim.world import World

LAST_OF_CONTRACT = 2
"""The round after which ports may be guessed."""


def granted_at(client: Client) -> list[float]:
    """When the server's word of each such round came."""
    return [
        at
        for at, told in client.notices
        if isinstance(told, note.RoundStarted) and told.round > LAST_OF_CONTRACT
    ]


def guesses(world: World, host: str) -> list[Packet]:
    """What `host` said to the other in these rounds."""
    return [
        packet
        for packet in world.between_peers()
        if packet.sender == host
        and isinstance(packet.datagram, Hello | Confirm)
        and packet.datagram.round > LAST_OF_CONTRACT
    ]


def most_within(seconds: float, sent: list[Packet]) -> int:
    """The most of these in any such time."""
    times = sorted(each.sent_at for each in sent)
    return max(
        (bisect_left(times, at + seconds) - place for place, at in enumerate(times)), default=0
    )


def entries(world: World, host: Host) -> int:
    """As a router with connection tracking has them: one for each remote endpoint of each mapping, and of its own."""
    return sum(max(1, len(each.admits)) for each in host.nat.table(world.clock.now))
