"""Recorded datagrams of a pair, changed at random, against machines that are in the midst of it. By hand, for long:

    python -m tests.mutations 10000000

Each changed datagram goes to the server, to a host in a round, and to the path of a host that has one. None may be
accepted: no action may follow, and no frame may open. It prints how many were dropped, and why.
"""

from __future__ import annotations

import random
import sys
from collections import Counter

from nat_traversal.errors import WireError
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.wire import datagrams
from nat_traversal.wire.datagrams import Frame
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.messages import Relaying
from nat_traversal.wire.methods import MethodName
from tests.sim.client import Client
from tests.sim.server import SERVER
from tests.sim.world import World


def changed(octets: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """`octets` with bits flipped, cut, longer, or with the tail of another one."""
    found = bytearray(octets)
    match rng.randrange(8):
        case 0:
            del found[rng.randrange(len(found)) :]
        case 1:
            found += rng.randbytes(rng.randrange(1, 40))
        case 2:
            at = rng.randrange(len(found))
            found[at:] = rng.choice(others)[at:]
        case 3:
            at = rng.randrange(len(found))
            found[at : at + 4] = rng.randbytes(4)
        case _:
            for _ in range(rng.randrange(1, 4)):
                found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    return bytes(found)


def a_world_with_every_kind(seed: int = 0) -> World:
    """A pair that has a relay at once, has a router that leads no port though it says so, and becomes direct by a method
    that samples the NATs."""
    methods = (MethodName.PORT_MAPPING.value, MethodName.PREDICTION.value)
    nats = "APDM+APDF+sequential", "EIM+APDF+port-mapping"
    world = World(seed=seed, relaying=Relaying.EARLY, nat_a=nats[0], nat_b=nats[1], methods=methods)
    world.net.hosts["host_b"].router_lies = True
    return world


def a_world_with_openers(seed: int = 0) -> World:
    """Public hosts whose first two rounds are lost. One router is between them, so that the openers behind the first come in."""
    world = World(seed=seed, methods=(MethodName.LOW_TTL.value,))
    world.net.routers = ("198.18.0.1",)
    world.net.drop(
        lambda packet: isinstance(packet.datagram, datagrams.Hello) and packet.datagram.round < 3
    )
    return world


class Targets:
    """A server, a host in a round, and a host with a path, each as they are in the midst of it."""

    def __init__(self, seed: int = 0) -> None:
        waiting = World(seed=seed)
        first, second = waiting.pair()
        waiting.until(
            lambda: bool(first.told(note.RoundStarted) and second.told(note.RoundStarted))
        )
        self.punching = (first, second)
        world = a_world_with_every_kind(seed)
        self.established = world.pair()
        world.connect(*self.established)
        for client in self.established:
            client.send_frame(datagrams.Kind.DATA, b"\1\0\0\0\0payload")
        world.run(3.0)
        self.server = world.server.rendezvous
        self.now = world.clock.now
        opening = a_world_with_openers(seed)
        opening.connect(*opening.pair())
        logs = [*waiting.net.log, *world.net.log, *opening.net.log]
        self.known = frozenset(datagrams.encode(each.datagram) for each in logs)
        self.recorded = sorted(self.known)
        self.dropped: Counter[str] = Counter()

    def strike(self, octets: bytes) -> None:
        """Offer one datagram everywhere. Raises `AssertionError` if anything takes it."""
        try:
            datagram = datagrams.decode(octets)
        except WireError:
            self.dropped["malformed"] += 1
            return
        if isinstance(datagram, Frame):
            for client in self.established:
                self._frame(client, octets)
            self.dropped["frame: not authentic, replayed, or of another connection"] += 1
            return
        kind = type(datagram).__name__
        if datagrams.encode(datagram) in self.known:
            self.dropped["reserved octets only: the same datagram"] += 1
            return
        elsewhere = Endpoint("192.0.2.66", 6)
        local = e.LocalAddress(SERVER.address)
        arrived = e.DatagramArrived(datagram, elsewhere, local=local)
        assert not self.server.handle(arrived, self.now), datagram
        source = SERVER if kind in ("Announced", "Bound") else elsewhere
        for client in (*self.punching, *self.established):
            arrived = e.DatagramArrived(datagram, source, max(client.sockets))
            acted = client.agent.handle(arrived, client.world.clock.now)
            assert acted in ([], [do.Count(do.Fault.FORGED)]), datagram  # counted at most
        self.dropped[f"{kind}: not signed, or not for this state"] += 1

    def _frame(self, client: Client, octets: bytes) -> None:
        for order, _ in client.paths:
            assert not list(order.epochs.open(octets, self.now)), octets.hex()


def main(count: int, seed: int = 0) -> Counter[str]:
    """Strike `count` times; the numbers of what was dropped, by reason."""
    targets, rng = Targets(seed), random.Random(seed)
    struck = 0
    while struck < count:
        octets = changed(rng.choice(targets.recorded), targets.recorded, rng)
        if octets not in targets.known:
            targets.strike(octets)
            struck += 1
    return targets.dropped


if __name__ == "__main__":
    for reason, number in main(int(sys.argv[1])).most_common():
        print(f"{number:>10,}  {reason}")
