"""Two hosts at different servers that share a store have a relay: that of the server which manages their pair."""

from __future__ import annotations

import itertools

import pytest

from nat_traversal.machine import notices as note
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.relayed import Bind
from tests.sim.client import Client
from tests.sim.cluster import ClusterWorld
from tests.sim.network import Packet
from tests.sim.test_relay import Stream, assert_all_arrived, methods

CLOSED = ("APDM+APDF", "APDM+APDF")
"""Two NATs between which no direct path opens."""


def relayed_at_two(
    *, first: int = 0, relaying: m.Relaying = m.Relaying.AUTO, udp_blocked: str = ""
) -> tuple[ClusterWorld, Client, Client]:
    world = ClusterWorld(3, nat=CLOSED[0], nat_b=CLOSED[1], relaying=relaying)
    if udp_blocked:
        world.net.hosts[udp_blocked].udp_blocked = True
    a = world.at("host_a", "host_b", server=first)
    b = world.at("host_b", "host_a", server=1 - first)
    return world, a, b


@pytest.mark.parametrize("first", [0, 1])
def test_a_pair_without_a_direct_path_is_relayed_by_the_server_that_manages_it(first: int) -> None:
    world, a, b = relayed_at_two(first=first)
    began = world.clock.now
    streams = [Stream(*pair, every=0.05) for pair in itertools.permutations((a, b))]
    world.run(15.0)
    assert methods(a) == methods(b) == ["relay"]
    assert_all_arrived(*streams)
    managing = world.serving(a)
    assert a.path.remote == b.path.remote == managing.addresses[0]
    assert managing is not world.serving(b)
    assert managing.machine.relays == 1
    assert world.serving(b).machine.relays == 0
    for stream in streams:
        assert stream.first_at is not None
        assert stream.first_at - began < 1.5, "one second and round trips after both came"


@pytest.mark.parametrize("blocked", ["host_a", "host_b"])
def test_where_udp_is_blocked_a_host_joins_the_relay_of_the_other_server_by_tcp(
    blocked: str,
) -> None:
    world, a, b = relayed_at_two(udp_blocked=blocked)
    streams = [Stream(*pair, every=0.1) for pair in itertools.permutations((a, b))]
    world.run(15.0)
    by_tcp, by_udp = (a, b) if blocked == "host_a" else (b, a)
    assert methods(by_tcp) == ["relay-tcp"]
    assert methods(by_udp) == ["relay"]
    assert_all_arrived(*streams)


def test_datagrams_move_to_a_direct_path_and_none_is_lost() -> None:
    world = ClusterWorld(2, nat="full-cone", relaying=m.Relaying.EARLY)
    held = [True]
    world.net.drop(lambda packet: held[0] and is_between(world, packet))
    a, b = world.at("host_a", "host_b", server=0), world.at("host_b", "host_a", server=1)
    streams = [Stream(*pair) for pair in itertools.permutations((a, b))]
    world.run(6.0)
    assert methods(a) == methods(b) == ["relay"]
    held[0] = False
    world.run(10.0)
    for stream in streams:
        stream.every = 0.1  # they have moved
    world.run(20.0)
    assert methods(a)[-1] == methods(b)[-1] == "ordered-hello"
    assert_all_arrived(*streams)
    world.run(5.0)
    assert world.serving(a).machine.relays == 0, "given back"


def is_between(world: ClusterWorld, packet: Packet) -> bool:
    return packet.sender != "server" and world.server_at(packet.destination) is None


@pytest.mark.parametrize(("dead", "longest"), [(0, 6.0), (1, 0.1)])
def test_a_dead_server_costs_a_relayed_pair_its_relay_only_where_that_was(
    dead: int, longest: float
) -> None:
    """The next relay is at the server to which the host has moved whose id sorts first: once the dead one's lease is over."""
    world, a, b = relayed_at_two()
    streams = [Stream(*pair, every=0.05) for pair in itertools.permutations((a, b))]
    world.run(10.0)
    world.servers[dead].stop()
    world.run(20.0)
    for stream in streams:
        assert longest_gap(stream) <= longest
    carrying = world.serving(a)
    assert carrying.is_up
    assert carrying.machine.relays == 1
    assert a.way.remote == b.way.remote == carrying.addresses[0]


def longest_gap(stream: Stream) -> float:
    """Seconds between two numbers that arrived, as they were sent, or since the last."""
    sent = [*stream.arrived, len(stream.sent)]
    return max(after - before for before, after in itertools.pairwise(sent)) * stream.every


def test_a_guest_that_does_not_know_the_place_is_told_so_and_the_remedy() -> None:
    """A server that has not learnt an address of its own offers no relay to a host elsewhere."""
    world = ClusterWorld(2, nat=CLOSED[0], relaying=m.Relaying.AUTO)
    for server in world.servers:
        server.machine._places.learn = lambda place: None  # type: ignore[method-assign]
    a, b = world.at("host_a", "host_b", server=0), world.at("host_b", "host_a", server=1)
    world.run(10.0)
    for client in (a, b):
        told = client.told(note.RelayTold)
        assert told
        assert {each.code for each in told} == {"relay-off"}
        assert "--relay-address" in told[0].text
    assert not any(isinstance(packet.datagram, Bind) for packet in world.net.log)


@pytest.mark.parametrize("has", ["host_a", "host_b"])
def test_a_host_s_turn_server_relays_for_a_pair_at_two_servers(has: str) -> None:
    off = ServerSettings(relay_pairs=0)
    world = ClusterWorld(2, nat=CLOSED[0], relaying=m.Relaying.AUTO, settings=off)
    parts = {"host_a": m.TurnPart.TAKES, "host_b": m.TurnPart.TAKES} | {has: m.TurnPart.HAS}
    a = world.at("host_a", "host_b", server=0, turn=parts["host_a"])
    b = world.at("host_b", "host_a", server=1, turn=parts["host_b"])
    streams = [Stream(*pair, every=0.05) for pair in itertools.permutations((a, b))]
    world.run(15.0)
    assert methods(a) == methods(b) == ["turn"]
    assert_all_arrived(*streams)
    assert world.turn.asked == [has]
