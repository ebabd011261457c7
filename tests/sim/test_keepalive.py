"""An idle path costs no more than one packet a minute and direction, and no mapping ends meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nat_traversal.machine import notices as note
from nat_traversal.wire.datagrams import Frame, Kind
from tests.sim.world import World

if TYPE_CHECKING:
    from tests.sim.client import Client

DAY = 86_400.0


def idle(nats: tuple[str, str]) -> tuple[World, Client, Client]:
    """A pair whose path nobody has used for ten minutes."""
    world = World(nat_a=nats[0], nat_b=nats[1], r=0.05, p=0.04)
    world.clock.most_steps = 10_000_000
    a, b = world.pair()
    world.connect(a, b)
    world.run(600.0)
    return world, a, b


def packets(world: World, host: str, since: float) -> int:
    return sum(
        each.sender == host and each.sent_at >= since and isinstance(each.datagram, Frame)
        for each in world.between_peers()
    )


@pytest.mark.long
def test_an_idle_path_takes_one_packet_a_minute_and_direction_and_lives_for_a_day() -> None:
    """Through NATs of 120 s that give another port once a mapping has ended."""
    world, a, b = idle(("EIM+APDF+random", "EIM+ADF+random"))
    since = world.clock.now
    world.run(DAY)
    for host in ("host_a", "host_b"):
        assert DAY / 60 / 2 < packets(world, host, since) <= DAY / 60
    assert [len(each.told(note.PathEstablished)) for each in (a, b)] == [1, 1]
    assert not [told for each in (a, b) for told in each.told(note.ServerLost)]
    assert world.carries_data(a, b)
    assert world.carries_data(b, a)


def test_what_shorter_lifetimes_bear_is_learned_from_one_path_that_dies() -> None:
    world, a, b = idle(("EIM+APDF+random+30s", "EIM+ADF+random+30s"))
    lost = len(a.told(note.PathEstablished))
    assert lost <= 3
    since = world.clock.now
    world.run(3600.0)
    assert len(a.told(note.PathEstablished)) == lost
    assert packets(world, "host_a", since) <= 3600 / 20
    assert world.carries_data(a, b)
    assert world.carries_data(b, a)


def test_a_path_that_is_used_again_is_asked_at_once() -> None:
    world, a, b = idle(("EIM+APDF", "EIM+ADF"))
    since = world.clock.now
    b.vanish()
    a.send_frame(Kind.DATA, b"01234?")
    world.run(0.5)
    assert packets(world, "host_a", since) >= 2, "the datagram, and a ping"
    world.until(lambda: bool(a.told(note.PathLost)), within=35.0)
