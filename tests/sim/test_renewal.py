"""Mappings that die at an absolute age: the next path takes over before that, and no datagram is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nat_traversal.machine import notices as note
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.datagrams import Kind
from nat_traversal.wire.messages import Relaying
from tests.sim.world import World

if TYPE_CHECKING:
    from tests.sim.client import Client

ABSOLUTE = "EIM+APDF+random+absolute+60s"
"""It ends each mapping after a minute, and then gives the host another port."""
CELLS = [(ABSOLUTE, "EIM+APDF"), ("EIM+APDF", ABSOLUTE), (ABSOLUTE, "EIM+EIF")]


class Flow:
    """Numbered datagrams of a program, `rate` a second from one client to the other."""

    def __init__(self, world: World, sender: Client, receiver: Client, rate: float) -> None:
        self._world, self._sender, self._rate = world, sender, rate
        self._receiver = receiver
        self.sent = 0
        self._next()

    def _next(self) -> None:
        def now() -> None:
            self._sender.send_frame(Kind.DATA, b"%06d" % self.sent)
            self.sent += 1
            self._next()

        self._world.clock.at(self._world.clock.now + 1 / self._rate, now)

    def lost(self, since: int = 0) -> list[int]:
        """The numbers, from `since` on, of those that have not come."""
        came = {int(each) for each in self._receiver.delivered}
        return [each for each in range(since, self.sent) if each not in came]


def flowing(
    nats: tuple[str, str], rate: float, settings: ClientSettings | None = None
) -> tuple[World, Client, Client, tuple[Flow, Flow]]:
    world = World(
        nat_a=nats[0],
        nat_b=nats[1],
        r=0.05,
        p=0.04,
        client_settings=settings,
        relaying=Relaying.AUTO,
    )
    a, b = world.pair()
    world.connect(a, b)
    world.run(0.5)
    return world, a, b, (Flow(world, a, b, rate), Flow(world, b, a, rate))


def lost_until_now(world: World, flows: tuple[Flow, Flow], since: list[int]) -> list[list[int]]:
    """Of each flow, once all that was sent has had time to come."""
    ends = [flow.sent for flow in flows]
    world.run(1.0)
    both = zip(flows, since, ends, strict=True)
    return [[each for each in flow.lost(first) if each < end] for flow, first, end in both]


@pytest.mark.parametrize("nats", CELLS)
def test_nothing_is_lost_where_the_age_is_told(nats: tuple[str, str]) -> None:
    world, a, _, flows = flowing(nats, 5.0, ClientSettings(mapping_age=60.0))
    world.clock.most_steps = 10_000_000
    world.run(200.0)
    assert lost_until_now(world, flows, [0, 0]) == [[], []]
    opened = len(a.told(note.PathEstablished))
    assert opened >= 4
    assert not [told for told in a.told(note.PathMoved) if told.method == "relay"]


@pytest.mark.parametrize("nats", CELLS[::2])
def test_the_age_is_learned_from_two_paths_that_die_at_it(nats: tuple[str, str]) -> None:
    world, _, _, flows = flowing(nats, 5.0)
    world.clock.most_steps = 10_000_000
    world.run(150.0)
    since = [flow.sent for flow in flows]
    assert any(flow.lost() for flow in flows), "else nothing had to be learned"
    world.run(150.0)
    assert lost_until_now(world, flows, since) == [[], []]
