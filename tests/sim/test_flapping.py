"""A path is left for a better one by rule, never for a round trip, and one that comes and goes draws nothing to and fro."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest

from nat_traversal.client.hysteresis import FIRST, FREE, MOST, WITHIN, Hysteresis
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import control
from nat_traversal.wire import messages as m
from nat_traversal.wire.methods import RELAYS, MethodName
from tests.seeds import every, seeds
from tests.sim.client import Client
from tests.sim.network import Weather
from tests.sim.test_relay import Stream, assert_all_arrived
from tests.sim.test_staying import WITHIN as LEFT_WITHIN
from tests.sim.test_staying import is_direct, relayed_world
from tests.sim.world import World

KEEPS_BOTH = replace(ClientSettings(), path_linger=3600.0)
"""The relayed path goes on beside the direct one."""
DEAD, ALIVE = 6.0, 8.0
_NATS = ("full-cone", "port-restricted-cone", "symmetric")
CHANGES = every(5, list(itertools.product(_NATS, (1.0, 0.25))))
"""Behind which NAT interfaces come and go, and each how many seconds."""


def outages(world: World, times: int) -> None:
    """The direct way is dead, and alive again, so many times."""
    dead = [True]
    world.net.drop(lambda packet: dead[0] and is_direct(packet))
    for _ in range(times):
        dead[0] = True
        world.run(DEAD)
        dead[0] = False
        world.run(ALIVE)


def moves(client: Client, *, relayed: bool) -> int:
    return sum((each.method in RELAYS) is relayed for each in client.told(note.PathMoved))


@seeds(1)
def test_two_paths_of_like_and_varying_round_trips_are_moved_between_once(seed: int) -> None:
    """The relayed path stands beside the direct one for ten minutes. Each way takes 30 to 530 ms, by chance."""
    world = World(
        seed=seed,
        nat_a="full-cone",
        nat_b="full-cone",
        relaying=m.Relaying.EARLY,
        weather=Weather(jitter=0.5),
        client_settings=KEEPS_BOTH,
        r=1 / 16,
        p=1 / 16,
    )
    a, b = world.pair()
    world.connect(a, b)
    streams = Stream(a, b, every=0.5), Stream(b, a, every=0.5)
    world.run(600.0)
    for client in (a, b):
        assert len(client.sockets) == 2, "both paths stand"
        assert len(client.told(note.PathMoved)) <= 1
        assert moves(client, relayed=True) == 0
    assert_all_arrived(*streams)


def test_each_outage_of_the_direct_path_is_bridged_by_the_relay() -> None:
    """Not only the first one, after which the pair had moved back to a direct path."""
    world, a, b = relayed_world()
    streams = Stream(a, b, every=0.1), Stream(b, a, every=0.1)
    dead = [False]
    world.net.drop(lambda packet: dead[0] and is_direct(packet))
    for _ in range(FREE):
        dead[0] = True
        before = [len(each.arrived) for each in streams]
        world.run(LEFT_WITHIN + 1.0)
        for stream, count in zip(streams, before, strict=True):
            late = stream.arrived[count:]
            assert len(late) >= 0.9 / stream.every, "the last second arrives"
        world.run(2.0)
        dead[0] = False
        world.run(20.0)


@pytest.mark.long
def test_a_direct_path_that_comes_and_goes_is_used_ever_more_seldom() -> None:
    world, a, b = relayed_world()
    streams = Stream(a, b, every=0.5), Stream(b, a, every=0.5)
    began, times = world.clock.now, 30
    outages(world, times)
    seconds = world.clock.now - began
    doublings = math.log2(MOST / FIRST)
    for client in (a, b):
        most = FREE + 1 + doublings + seconds / MOST
        assert moves(client, relayed=True) <= most < times / 2
        assert not client.told(note.PathLost)
    for stream in streams:
        assert len(stream.arrived) >= 0.9 * len(stream.sent)


def test_a_path_that_has_become_steady_is_used_again() -> None:
    world, a, b = relayed_world()
    stream = Stream(a, b, every=0.2)
    outages(world, 12)
    world.run(2 * MOST)
    for client in (a, b):
        assert client.told(note.PathMoved)[-1].method not in RELAYS
        assert len(client.sockets) == 1
    assert stream.arrived[-1] >= stream.sent[-5]


def test_deaths_are_forgotten() -> None:
    held = Hysteresis()
    for _ in range(FREE + 1):
        held.died(100.0)
    assert (held.holds(100.0, 100.0), held.deadline) == (True, 100.0 + FIRST)
    assert (held.holds(100.0, 100.0 + FIRST), held.deadline) == (False, None)
    held.died(100.0 + WITHIN)
    assert not held.holds(100.0 + WITHIN, 100.0 + WITHIN)


@pytest.mark.long
@pytest.mark.seeded
@pytest.mark.parametrize(("nat_a", "pause"), CHANGES)
def test_interfaces_that_come_and_go_cost_few_attempts_and_datagrams(
    nat_a: str, pause: float
) -> None:
    """Five minutes of changes that mean nothing, each second or four a second."""
    methods = (MethodName.HOST.value, MethodName.PREDICTION.value, MethodName.SIMULTANEOUS.value)
    world = World(nat_a=nat_a, nat_b="symmetric", relaying=m.Relaying.AUTO, methods=methods)
    a, b = world.pair()
    world.run(10.0)
    before = len(world.net.log)
    changes = int(300 / pause)
    for _ in range(changes):
        a.feed(e.NetworkChanged(frozenset(), server_is_stale=False))
        world.run(pause)
    assert a.control is not None
    asked = [control.decode(line) for line in b"".join(a.control.written).splitlines()]
    attempts = sum(isinstance(each, m.Retry) for each in asked)
    sent = [packet for packet in world.net.log[before:] if packet.sender == "host_a"]
    assert attempts <= 15
    assert len(sent) <= 2 * changes + 60 * (attempts + 1), "a ping, a pong, and the attempts"
    assert len(asked) <= changes + 20 * (attempts + 1)
    assert not a.told(note.PathLost)
    assert not a.told(note.ServerLost)
    assert not b.told(note.PathLost)
