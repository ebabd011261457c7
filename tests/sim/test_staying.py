"""A pair stays connected: a dead path is left for another within three seconds, and nothing is sent where nobody asked.

Between the hosts, what arrived is read from the network's own record.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Kind
from tests.sim.client import Client
from tests.sim.network import Packet
from tests.sim.server import SERVER
from tests.sim.test_relay import Stream, assert_all_arrived
from tests.sim.world import World, connected, is_frame

SETTINGS = ClientSettings()
WITHIN = 3.0
"""Seconds from the first datagram offered until a dead path has been left."""


def relayed_world() -> tuple[World, Client, Client]:
    world = World(nat_a="full-cone", nat_b="full-cone", relaying=m.Relaying.AUTO)
    a, b = world.pair()
    world.connect(a, b)
    world.run(20.0)
    assert len(a.sockets) == len(b.sockets) == 1, "a direct path, and nothing else"
    return world, a, b


def is_direct(packet: Packet) -> bool:
    return packet.sender != "server" and packet.destination != SERVER


def from_host(name: str) -> Callable[[Packet], bool]:
    return lambda packet: is_direct(packet) and packet.sender == name


def pings(world: World, since: float = 0.0) -> list[float]:
    return [p.sent_at for p in world.net.log if is_frame(p, Kind.PING) and p.sent_at >= since]


def arrives(world: World, sender: Client, receiver: Client, within: float) -> float:
    """Seconds until a datagram of a stream that begins now arrives."""
    began, before = world.clock.now, len(receiver.delivered)
    Stream(sender, receiver, every=0.02)
    return world.until(lambda: len(receiver.delivered) > before, within) - began


@pytest.mark.parametrize("deaf", [None, "host_a", "host_b"])
def test_a_dead_path_is_left_for_the_relay_within_three_seconds(deaf: str | None) -> None:
    world, a, b = relayed_world()
    world.net.drop(is_direct if deaf is None else from_host(deaf))
    offered_at = world.clock.now
    streams = Stream(a, b, every=0.1), Stream(b, a, every=0.1)
    world.until(lambda: all(each.arrived for each in streams), WITHIN)
    world.run(30.0)
    assert not [told for each in (a, b) for told in each.told(note.PathLost)]
    for stream in streams:
        first = int((offered_at + WITHIN - offered_at) / stream.every)
        assert set(stream.sent[first:-4]) <= set(stream.arrived)


def test_a_path_that_was_silent_for_a_moment_is_used_again() -> None:
    world, a, b = relayed_world()
    stream = Stream(a, b, every=0.1)
    world.net.drop(is_direct)
    world.run(4.0)
    assert len(a.sockets) > 1, "the relay"
    world.net.drops.clear()
    world.run(30.0)
    for each in (a, b):
        assert len(each.sockets) == 1
        assert not each.told(note.PathLost)
    assert stream.arrived[-1] >= stream.sent[-2]


def test_without_another_path_consent_decides() -> None:
    world, a, b = connected()
    world.net.drop(is_direct)
    Stream(a, b, every=0.1)
    world.run(SETTINGS.consent - 6.0)
    assert not a.told(note.PathLost)
    world.run(7.0)
    assert a.told(note.PathLost)


def test_an_idle_path_has_keepalives_only() -> None:
    world, _, _ = connected()
    began = world.clock.now + 5.0
    world.run(605.0)
    sent = [p for p in world.between_peers() if p.sent_at >= began]
    assert [p for p in sent if not is_frame(p, Kind.PING, Kind.PONG)] == []
    assert len(sent) <= 4 * 600 / (0.8 * SETTINGS.ping_interval)


def test_traffic_that_is_answered_costs_no_ping_more() -> None:
    world, a, b = connected()
    streams = Stream(a, b, every=0.5), Stream(b, a, every=0.5)
    began = world.clock.now
    world.run(300.0)
    assert len(pings(world, began)) <= 2 * 300 / (0.8 * SETTINGS.ping_interval) + 2
    assert_all_arrived(*streams)


def test_traffic_one_way_is_answered_by_a_pong_each_second() -> None:
    world, a, b = connected()
    Stream(a, b, every=0.1)
    began = world.clock.now
    world.run(60.0)
    assert 40 <= len(pings(world, began)) <= 60 + 2 * 60 / 4
    assert a.is_connected


def test_pings_come_each_three_tenths_of_a_second_after_one_without_a_word() -> None:
    world, a, b = connected()
    world.net.drop(is_direct)
    began = world.clock.now
    Stream(a, b)
    world.run(4.0)
    sent = [
        p.sent_at - began
        for p in world.net.log
        if is_frame(p, Kind.PING) and p.sender == "host_a" and p.sent_at >= began
    ]
    assert SETTINGS.quiet_after <= sent[0] <= SETTINGS.quiet_after + 0.3
    assert len(sent) >= 8


def test_a_better_path_is_looked_for_while_the_relay_carries() -> None:
    world, a, b = relayed_world()
    Stream(a, b, every=0.5)
    world.net.drop(is_direct)
    world.run(60.0)
    begun = world.server.rendezvous.counters["attempts-begun"]
    world.net.drops.clear()
    world.run(400.0)
    assert world.server.rendezvous.counters["attempts-begun"] > begun
    assert a.told(note.PathMoved)[-1].method == "ordered-hello"


def test_a_restarted_server_is_no_reason_to_leave_a_path() -> None:
    world, a, b = connected()
    stream = Stream(a, b)
    world.server.restart()
    world.run(20.0)
    assert len(a.told(note.PathEstablished)) == 1
    assert_all_arrived(stream)


def test_the_peer_keeps_its_path_while_a_new_one_is_opened() -> None:
    """Host A sees its path die, B does not: no datagram of B's is lost on the way to another."""
    world, a, b = connected()
    streams = Stream(a, b), Stream(b, a)
    old = a.path.remote
    world.net.drop(lambda p: p.destination == old and is_frame(p, Kind.PING))
    a.feed(e.NetworkChanged(frozenset({a.path.generation})))
    world.run(20.0)
    for each in (a, b):
        assert len(each.told(note.PathEstablished)) == 2
        assert not each.told(note.PathLost)
    assert_all_arrived(*streams)
